//! Why there is no history.

use crate::state::Ahead;
use std::path::PathBuf;

/// Why there is no history.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has it.
    Locked(PathBuf),
    /// A newer binary wrote it.
    Newer(Ahead),
    /// The directory or the lock cannot be used.
    Io(PathBuf, std::io::Error),
    /// SQLite says no: damaged, full, read only.
    Sqlite(rusqlite::Error),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Locked(path) => write!(
                f,
                "another process keeps its history in {}: give each its own state directory",
                path.display()
            ),
            StoreError::Newer(ahead) => ahead.fmt(f),
            StoreError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            StoreError::Sqlite(error) => write!(f, "the history cannot be written: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Sqlite(error)
    }
}

impl StoreError {
    /// Another try will not do: what the row refers to is not there.
    pub fn is_lasting(&self) -> bool {
        let StoreError::Sqlite(error) = self else {
            return false;
        };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
    }
}
