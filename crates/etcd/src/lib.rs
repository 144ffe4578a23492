//! A small client of etcd: keys, transactions, leases and watches, by its JSON
//! gateway.
//!
//! It asks and hands back what was answered. It never tries again what may have
//! been done, keeps nothing of what it read, and prints no secret.
//!
//! **The invariant:** each call ends within [`Settings::answer_max`], all that it waits
//! for included, has read at most [`ANSWER_BYTES_MAX`] an answer, and says by
//! [`Error::may_be_done`] whether what it asked for may still happen.
//!
//! ```text
//!   Txn, Range, …  ──messages──►  JSON  ──door──►  HTTP/1.1, TLS  ──►  etcd
//!   Done, Ranged   ◄──messages──  JSON  ◄──door──
//! ```
//!
//! Several endpoints are members of one cluster: the one that answered last is
//! asked next, and another one when it cannot be reached.
//!
//! Beside it stand two things that other shells need towards other places too: how TLS
//! trusts ([`tls`]), and [`own_address`].
//!
//! ```no_run
//! use etcd::{Client, Compare, Op, Put, Settings, Txn};
//! # async fn example() -> Result<(), etcd::Error> {
//! let client = Client::new(Settings::at(["http://127.0.0.1:2379"]))?;
//! let lease = client.grant(std::time::Duration::from_secs(6)).await?;
//! let mine = Put::new("seat/0", "me").under(lease.id);
//! let done = client
//!     .txn(&Txn {
//!         compare: vec![Compare::created_at("seat/0", 0)],
//!         then: vec![Op::Put(mine)],
//!         otherwise: vec![],
//!     })
//!     .await?;
//! println!("sat down: {}", done.succeeded);
//! # Ok(())
//! # }
//! ```

// A shell: sockets, clocks and files live here.
#![allow(clippy::disallowed_methods)]

mod client;
mod door;
mod messages;
mod own;
mod read;
#[cfg(test)]
mod tests;
pub mod tls;
mod watch;

pub use client::Client;
pub use messages::{
    Answer, Compare, Done, Event, Header, KeyValue, Lease, Op, Put, Range, Ranged, Txn, Watch,
    prefix_end,
};
pub use own::own_address;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
pub use watch::{News, Watching};

/// Largest answer, and largest piece of a watch. 10,000 rows of a ledger are below one MiB.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where etcd is, and who asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://host:port` or `https://host:port`, members of one cluster.
    pub endpoints: Vec<String>,
    /// Who asks, where etcd wants to know.
    pub user: Option<String>,
    /// The user's password, read again whenever it is needed.
    pub password_file: Option<PathBuf>,
    /// What the members' certificates are checked against, in place of the system's authorities.
    pub tls_ca: Option<PathBuf>,
    /// Certificate to show, and its key.
    pub tls_cert: Option<PathBuf>,
    /// See `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// A call is given up after so long. That is the whole of it: the wait for a slot, a
    /// token that is asked for before, a connection, and the second question where the
    /// token was turned down.
    pub answer_max: Duration,
    /// Questions under way, of all who share the client; further ones wait.
    pub questions_max: usize,
}

impl Settings {
    /// As the product's settings have it, with the bounds of [`Settings::at`].
    pub fn of(at: &config::Etcd) -> Settings {
        Settings {
            user: at.user.clone(),
            password_file: at.password_file.clone(),
            tls_ca: at.tls_ca.clone(),
            tls_cert: at.tls_cert.clone(),
            tls_key: at.tls_key.clone(),
            ..Settings::at(at.endpoints.clone())
        }
    }

    /// These endpoints, without user and certificate; two seconds, sixteen questions.
    pub fn at<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> Settings {
        Settings {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            password_file: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            answer_max: Duration::from_secs(2),
            questions_max: 16,
        }
    }
}

/// Why a call brought nothing. No text holds a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The operator's: settings, or files that they name.
    Settings(String),
    /// No endpoint could be reached, so nothing was asked.
    Unreachable(String),
    /// It was asked, and no answer came: it may be done, now or later.
    Lost(String),
    /// etcd says no, with the code that gRPC has for it.
    Refused {
        /// gRPC's: 3 is a wrong argument, 7 forbidden, 11 compacted, 16 not authenticated.
        code: u32,
        /// In etcd's words.
        message: String,
    },
    /// What came is no answer of etcd's, or too large.
    Nonsense(String),
}

impl Error {
    /// What was asked for may have happened, or may still.
    pub fn may_be_done(&self) -> bool {
        matches!(self, Error::Lost(_) | Error::Nonsense(_))
    }

    pub(crate) fn nonsense(what: impl Into<String>) -> Error {
        Error::Nonsense(what.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Settings(text) => f.write_str(text),
            Error::Unreachable(text) => write!(f, "etcd cannot be reached: {text}"),
            Error::Lost(text) => write!(f, "etcd did not answer: {text}"),
            Error::Refused { message, .. } => write!(f, "etcd refused it: {message}"),
            Error::Nonsense(text) => write!(f, "not an answer of etcd: {text}"),
        }
    }
}

impl std::error::Error for Error {}
