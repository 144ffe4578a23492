//! What there is to tell.

use super::server::Waiting;
use super::store::Version;
use super::writing::NotWritten;
use std::path::PathBuf;

/// Something that a person should know.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum News {
    /// Never seen before: accepted as it is.
    Adopted(Version),
    /// A content that nobody accepted; `accepted`: the hash of what should be there.
    Drift {
        accepted: Option<String>,
        version: Version,
    },
    /// The file is gone.
    Vanished { path: PathBuf },
    /// It cannot be read.
    Unreadable { path: PathBuf, why: String },
    /// It is as accepted again.
    Same { path: PathBuf },
    /// Only its secrets changed.
    Rotated { path: PathBuf },
    /// The accepted content was written back.
    Restored { version: Version },
    /// It was not, and why.
    NotRestored { path: PathBuf, why: NotWritten },
    /// A setting of the server is written and does not run.
    Waits(Waiting),
    /// It does now, or is not written any more.
    WaitIsOver(Waiting),
    /// The server cannot be asked.
    ServerSilent(String),
    /// It can again.
    ServerAnswers(String),
    /// Anything else.
    Remark(String),
}
