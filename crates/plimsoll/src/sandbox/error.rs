//! Why a sandbox could not do what was asked. No text here holds a password
//! or a statement.

use std::fmt;
use std::io;

use super::programs::NotFound;

/// What went wrong with a private PostgreSQL.
#[derive(Debug)]
pub enum SandboxError {
    /// PostgreSQL is not installed, or not where it was said to be.
    NotFound(NotFound),
    /// We are root, and there is no other user to run the server as.
    NoAccount,
    /// `initdb` failed; its last lines.
    Initdb(String),
    /// The server ended instead of serving; the last lines of its log.
    Exited(String),
    /// The server was not ready in time; the last lines of its log.
    NotReady(String),
    /// `psql` reported an error; its text.
    Psql(String),
    /// The operating system refused something; what we were doing.
    Io(&'static str, io::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::NotFound(places) => write!(f, "{places}"),
            SandboxError::NoAccount => write!(
                f,
                "PostgreSQL refuses to run as root, and /etc/passwd names neither a user \
                 `postgres` nor `nobody`. Add one (useradd --system postgres), or start as \
                 another user."
            ),
            SandboxError::Initdb(text) => write!(f, "initdb failed:\n{text}"),
            SandboxError::Exited(log) => {
                write!(f, "PostgreSQL did not start. Its log ends:\n{log}")
            }
            SandboxError::NotReady(log) => {
                write!(f, "PostgreSQL was not ready in time. Its log ends:\n{log}")
            }
            SandboxError::Psql(text) => write!(f, "psql: {text}"),
            SandboxError::Io(doing, error) => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SandboxError::NotFound(places) => Some(places),
            SandboxError::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Names what we were doing when the operating system refused.
pub(super) fn doing<T>(what: &'static str, result: io::Result<T>) -> Result<T, SandboxError> {
    result.map_err(|error| SandboxError::Io(what, error))
}
