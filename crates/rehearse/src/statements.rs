//! Captured statements: what clients sent, with every value, as lines of a file, and
//! the file as steps of a replay.
//!
//! ```text
//!   Record (bytes of clients) ─► Writer ─► lines (a file) ─► Survey ─► what there is
//!                                                      └───► Steps ─► drive::recorded
//! ```
//!
//! A file is text. Lines that begin with `#` are for people. The first other one says
//! which version it is; each after it is one JSON object: one thing that one session did
//! at one moment; the last one says how the capture ended. A file without it was cut off.
//!
//! ```text
//!   {"plimsoll_statements":1,"began":"2026-11-22 09:47:30Z","of":"shop-1:4711"}
//!   {"s":1,"at":5120,"kind":"login","database":"shop","user":"anna",…}
//!   {"s":1,"at":5120,"kind":"query","sql":"select 1"}
//!   {"s":1,"at":9004,"kind":"end"}
//!   {"end":"time","whole":true,"lasted":60000000,"sessions":1,…}
//! ```
//!
//! The invariant: a session is in the file as it was from the moment at which it was
//! taken, or it is not in it at all.

mod classes;
mod message;
mod octets;
mod read;
mod steps;
mod survey;
mod write;

pub use message::Message;
pub use octets::Octets;
pub use read::{Lines, ReadError};
pub use steps::{Does, Ends, Step, Steps};
pub use survey::{Class, Survey};
pub use write::{LeftOut, Writer, session_of};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How every file begins.
pub const FIRST_LINE: &str = "# plimsoll statements 1";
/// The version that this build writes, and the only one that there is.
pub const VERSION: u32 = 1;
/// Longest message that is captured, bytes. A session with a longer one is left out.
pub const MESSAGE_MAX: usize = 4 << 20;
/// Longest line, bytes: a message, each byte of it as two digits or an escape of two.
pub const LINE_MAX: usize = 2 * MESSAGE_MAX + (64 << 10);
/// Sessions of a file.
pub const SESSIONS_MAX: usize = events::tap::SESSIONS_MAX as usize;
/// Prepared statements and portals that are remembered of one session.
const NAMES_MAX: usize = 65_536;

/// The line before all others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub plimsoll_statements: u32,
    /// When the capture began, UTC.
    pub began: String,
    /// Of which pooler it is.
    pub of: String,
}

/// One thing that one session did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The session's number in this file.
    pub s: u32,
    /// Since the capture's begin, microseconds.
    pub at: u64,
    /// What it did.
    #[serde(flatten)]
    pub what: What,
}

/// What a session did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// It came, or ended, or had something before.
    Session(Session),
    /// It sent a message.
    Message(Message),
}

/// What is no message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Session {
    /// It is captured from here on.
    Login {
        /// The database as the client knows it.
        database: String,
        /// Its user.
        user: String,
        /// What it calls itself.
        application: String,
        /// It logged in while the capture ran; else it was there before.
        new: bool,
        /// Statements that set what it had set.
        settings: Octets,
    },
    /// It had this statement prepared when it was taken.
    Prepared {
        /// Its name; empty for the unnamed one.
        name: Octets,
        /// The statement.
        sql: Octets,
        /// Types of its parameters; 0: the server finds out.
        types: Vec<u32>,
    },
    /// Its connection ended.
    End,
}

/// The last line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// Why: a word of [`events::tap::Reason`], or `lost` where the pooler went away.
    pub end: String,
    /// It lasted as long as it was to last.
    pub whole: bool,
    /// How long that was, microseconds.
    pub lasted: u64,
    /// Sessions in the file.
    pub sessions: u32,
    /// Messages in the file.
    pub messages: u64,
    /// Sessions that are not in it, by reason.
    pub left_out: BTreeMap<String, u32>,
    /// Clients that sent something, and were never at rest before it.
    pub untaken: u32,
}

/// Whether a file begins as one of captured statements does.
pub fn is_statements(begin: &[u8]) -> bool {
    begin.starts_with(b"# plimsoll statements ")
}

/// What a person reads first. `place`: which pooler; `who` asked for it.
pub fn head(began: &str, place: &str, who: &str) -> String {
    format!(
        "{FIRST_LINE}\n\
         #\n\
         # DANGER: here is what clients sent, WITH EVERY VALUE: personal data, and each secret\n\
         # that a statement holds. Keep it as you keep a dump of the database. Never into git,\n\
         # never into a ticket; delete it after use.\n\
         #\n\
         # when      {began}\n\
         # of        {place}\n\
         # asked by  {who}\n\
         #\n\
         # One JSON object on each line: a session, a moment in microseconds, what it did.\n\
         # A session is in here from its login, or from the first moment at which it was at\n\
         # rest outside a transaction; what it had prepared and set before stands at its\n\
         # begin. What it did before that, as temporary tables or locks, is not in here.\n\
         # Sessions of which something is missing are left out whole; the last line counts them.\n"
    )
}

#[cfg(test)]
mod tests;
