//! Reads SQL texts far enough to know which session state they change.
//!
//! It follows PostgreSQL's lexical rules and has no grammar. It never refuses a text, never
//! panics, reads each byte a bounded number of times, and never shows a literal in its `Debug`
//! output. What it cannot see: state that functions, procedures and DO blocks change inside.
//!
//! The one invariant: when [`is_plain`] is true, [`read`] finds at most one statement and no
//! effect, and the text neither opens nor ends a transaction.
//!
//! ```text
//!   text ──▶ is_plain ──yes──▶ forward, nothing to remember
//!              │ no
//!              ▼
//!            read ──▶ Script { statements, first, effects: [Set, Begin, Listen, …] }
//!                                                     │ each counts once its statement succeeded
//!                                                     ▼
//!                                  replay, reset ──▶ SQL for another server connection
//! ```
//!
//! Limits. Bytes from 0x80 on are parts of words, as in the server; a text in an encoding whose
//! later bytes may be a backslash (SJIS, BIG5, GBK, …) can be misread inside `E'…'`. The server
//! refuses a text as a whole when it cannot be lexed; then [`Script::broken`] is set.
//!
//! ```
//! use wire::sql::{self, Change, Quoting, Value};
//!
//! let quoting = Quoting { standard_conforming_strings: true };
//! assert!(sql::is_plain(b"SELECT 1"));
//!
//! let script = sql::read(b"BEGIN; SET search_path = App, public", quoting);
//! assert_eq!(script.statements, 2);
//! assert_eq!(script.effects[0].change, Change::Begin);
//! let Change::Set { name, value, local: false } = &script.effects[1].change else { panic!() };
//! let mut out = Vec::new();
//! sql::replay(name, value, &mut out);
//! assert_eq!(out, b"SET search_path = app, public");
//! ```

mod calls;
mod cursor;
mod lex;
mod literal;
mod normal;
mod objects;
mod plain;
mod reader;
mod replay;
mod settings;
mod split;
mod tags;
mod verb;

#[cfg(test)]
mod tests;

use std::fmt;

pub use normal::{fingerprint, normalise, whole_tokens};
pub use replay::{replay, reset};
pub use split::statements;
pub use tags::{Tag, Tags, tags};
pub use verb::Verb;

/// The session settings that change how a text is lexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoting {
    /// The session's `standard_conforming_strings`. When off, a backslash in `'…'` is an escape.
    pub standard_conforming_strings: bool,
}

impl Default for Quoting {
    /// The server's default since 9.1: on.
    fn default() -> Self {
        Quoting {
            standard_conforming_strings: true,
        }
    }
}

/// The longest value of a setting that is kept, in bytes of its replayed form. A longer one is
/// [`Change::SetOpaque`].
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// How many effects of one text are kept; see [`Script::truncated`].
pub const EFFECTS_MAX: usize = 1024;

/// What [`read`] found in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// How many statements the text holds, empty ones not counted.
    pub statements: u32,
    /// What the first statement begins with.
    pub first: Verb,
    /// In the order of the text. Each takes effect only if its statement succeeds.
    pub effects: Vec<Effect>,
    /// The text has more effects than [`EFFECTS_MAX`]; treat the session as unknown.
    pub truncated: bool,
    /// The text cannot be lexed to its end; the server refuses all of it.
    pub broken: bool,
}

/// One change, and the statement that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The statement's place in the text, from 0, empty statements not counted.
    pub statement: u32,
    /// What it changes.
    pub change: Change,
}

/// A change to the session, the transaction, or the schema.
///
/// Names of settings are in lower case. Other names are folded and cut as the server does it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// `SET name = constant` in any of its forms, or `set_config` with constant arguments.
    /// Roles are the settings `role` and `session_authorization`.
    Set {
        /// The setting.
        name: Box<str>,
        /// What [`replay`] needs.
        value: Value,
        /// It ends with the transaction.
        local: bool,
    },
    /// A setting got a value that the text does not tell.
    SetOpaque {
        /// The setting; empty when even the name is unknown.
        name: Box<str>,
        /// It ends with the transaction.
        local: bool,
    },
    /// `RESET name`, `SET name TO DEFAULT`.
    Reset {
        /// The setting.
        name: Box<str>,
    },
    /// `RESET ALL`. It leaves `role` and `session_authorization` as they are.
    ResetAll,

    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit {
        /// AND CHAIN: a new transaction begins at once.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN: a new transaction begins at once.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint {
        /// Its name.
        name: Box<str>,
    },
    /// RELEASE.
    Release {
        /// The savepoint's name.
        name: Box<str>,
    },
    /// ROLLBACK TO.
    RollbackTo {
        /// The savepoint's name.
        name: Box<str>,
    },
    /// PREPARE TRANSACTION: the session's transaction ends without being decided.
    PrepareTransaction,

    /// LISTEN.
    Listen {
        /// The channel.
        channel: Box<str>,
    },
    /// UNLISTEN channel.
    Unlisten {
        /// The channel.
        channel: Box<str>,
    },
    /// `UNLISTEN *`.
    UnlistenAll,
    /// SQL's PREPARE.
    Prepare {
        /// The prepared statement.
        name: Box<str>,
    },
    /// DEALLOCATE name.
    Deallocate {
        /// The prepared statement.
        name: Box<str>,
    },
    /// DEALLOCATE ALL; it also drops the protocol's prepared statements.
    DeallocateAll,
    /// DECLARE … WITH HOLD.
    DeclareHold {
        /// The cursor.
        name: Box<str>,
    },
    /// CLOSE name; also for cursors that were never held.
    CloseCursor {
        /// The cursor.
        name: Box<str>,
    },
    /// CLOSE ALL.
    CloseAllCursors,
    /// A temporary table, view or sequence that outlives its transaction, or anything else
    /// created in `pg_temp`.
    CreateTemp {
        /// Without its schema.
        name: Box<str>,
    },
    /// A temporary table that the end of its transaction drops.
    CreateTransient,
    /// DROP TABLE, VIEW or SEQUENCE. A [`Change::Ddl`] follows it.
    Drop {
        /// Without a schema `pg_temp`, with any other.
        names: Vec<Box<str>>,
    },
    /// A session level advisory lock, perhaps only tried.
    AdvisoryLock {
        /// The arguments.
        key: LockKey,
        /// Shared.
        shared: bool,
    },
    /// One session level advisory lock is given back.
    AdvisoryUnlock {
        /// The arguments.
        key: LockKey,
        /// Shared.
        shared: bool,
    },
    /// All of them are given back.
    AdvisoryUnlockAll,
    /// DISCARD.
    Discard(Discard),
    /// LOAD: the library stays in the server process for good.
    Load,
    /// CREATE, ALTER or DROP of what plans depend on: cached plans and prepared statements may
    /// be invalid. Not for temporary objects, roles, databases and the like.
    Ddl,
    /// COPY, either way.
    Copy,
    /// `pg_export_snapshot`: other sessions may build on this transaction while it lasts.
    ExportSnapshot,
}

/// What DISCARD discards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Discard {
    All,
    Temp,
    Plans,
    Sequences,
}

/// A setting's value, in the form in which [`replay`] can set it again.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// SQL text for the right side of SET: constants, comma lists. It means the same whatever
    /// `standard_conforming_strings` is.
    Fragment(Box<str>),
    /// The setting's string as `set_config` takes it, without quotes. For a list such as
    /// `search_path` that is not the same as `SET … = 'string'`.
    Guc(Box<str>),
}

impl fmt::Debug for Value {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Fragment(_) => "Fragment(…)",
            Value::Guc(_) => "Guc(…)",
        })
    }
}

/// The arguments of an advisory lock function, without comments and white space, in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockKey(Box<str>);

impl LockKey {
    /// The text, to compare keys. It may hold literals: not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text tells which lock it is: integers, and nothing else. If not, equal texts
    /// may be different locks, and different texts the same.
    pub fn is_constant(&self) -> bool {
        let integer = |part: &str| {
            let digits = part.strip_prefix('-').unwrap_or(part);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        self.0.split(',').all(integer)
    }
}

impl fmt::Debug for LockKey {
    /// Without the key, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockKey(…)")
    }
}

/// Whether `text` is at most one ordinary statement that leaves the session as it was.
///
/// False is always a correct answer; true is a promise (see the module's invariant). It costs
/// less than a nanosecond per byte and allocates nothing.
pub fn is_plain(text: &[u8]) -> bool {
    plain::plain_verb(text).is_some()
}

/// Finds what `text` changes. A plain text costs what [`is_plain`] costs.
pub fn read(text: &[u8], quoting: Quoting) -> Script {
    match plain::plain_verb(text) {
        Some(first) => Script {
            statements: u32::from(first != Verb::Empty),
            first,
            effects: Vec::new(),
            truncated: false,
            broken: false,
        },
        None => reader::read(text, quoting),
    }
}
