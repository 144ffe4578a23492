//! The history of guarded files: `guard.db` in the state directory.
//!
//! What was accepted is here and only here: the process that guards looks at it
//! again whenever another one (`guard accept`) wrote. One process guards, by a
//! lock of its own; others may write beside it, each in one transaction.

mod key;
mod rows;

pub(super) use rows::lacks;

use super::difference::Difference;
use super::observe::Observed;
use crate::settings::store::{StoreError, Stored};
use crate::state::Kept;
use key::{key, random};
use rows::{SCHEMA_1, VERSION, event, file_id, read_version, trim, version_id, words};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files in the state directory.
const KEPT_FILE: Kept = Kept {
    file: "guard.db",
    what: "the history of guarded files",
    without: "nothing is guarded with this directory until that plimsoll is back",
    steps: &[SCHEMA_1],
};
const LOCK: &str = "guard.lock";
const KEY: &str = "guard.key";
/// Another writer may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(1);

/// A content that a file had.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Version {
    /// Its number, over all files.
    pub version: u64,
    /// Whose.
    pub path: PathBuf,
    /// What it is compared by.
    pub hash: String,
    /// When it was first seen; milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Bytes.
    pub size: u64,
    /// Of the file as it was seen: mode, user and group.
    pub mode: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its last write; milliseconds since 1970, UTC.
    pub modified_ms: i64,
    /// Its text, without secrets.
    pub text: Option<String>,
    /// Nothing is left out of the text.
    pub whole: bool,
    /// Why there is no text, or not all of it; may be empty.
    pub lacks: String,
    /// Against what was accepted then.
    pub difference: Difference,
    /// What the check said of it.
    pub findings: Vec<String>,
    /// It is the accepted one.
    pub accepted: bool,
}

/// Something that happened to a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// Whose.
    pub path: PathBuf,
    /// Which content, where one is meant.
    pub version: Option<u64>,
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// A word: adopted, drift, accepted, restored, same, vanished …
    pub what: String,
    /// Who, and from where, as far as that is known.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What is known of a file.
#[derive(Clone, PartialEq, Debug)]
pub enum Known {
    /// Never seen.
    Never,
    /// Nothing should be there.
    Absent,
    /// This content should be there.
    Accepted(Box<Version>),
}

/// The history.
pub struct Store {
    db: Connection,
    key: [u8; 32],
    lock: Option<File>,
    directory: Option<PathBuf>,
}

impl Store {
    /// Opens the history in `directory`, or begins one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(directory: &Path) -> Stored<Store> {
        let io = |error| StoreError::Io(directory.to_owned(), error);
        if !directory.is_dir() {
            let made = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory);
            made.map_err(io)?;
        }
        let about = directory.metadata().map_err(io)?;
        if about.permissions().mode() & 0o077 != 0 {
            let closed = std::fs::Permissions::from_mode(0o700);
            let _ = std::fs::set_permissions(directory, closed);
        }
        let key = key(&directory.join(KEY))?;
        let path = directory.join(KEPT_FILE.file);
        // Made before SQLite does, so that nobody else may read it.
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        opened.map_err(|error| StoreError::Io(path.clone(), error))?;
        Ok(Store {
            db: KEPT_FILE.open(&path, BUSY)?,
            key,
            lock: None,
            directory: Some(directory.to_owned()),
        })
    }

    /// Opens it for the one process that guards.
    ///
    /// # Errors
    /// Also: another one guards with this directory.
    pub fn open_to_guard(directory: &Path) -> Stored<Store> {
        let mut store = Store::open(directory)?;
        let path = directory.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| StoreError::Io(path.clone(), error))?;
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(&file, exclusive) {
            Ok(()) => store.lock = Some(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked(directory.to_owned()));
            }
            Err(error) => return Err(StoreError::Io(path, error.into())),
        }
        Ok(store)
    }

    /// Whether a history is there.
    pub fn exists(directory: &Path) -> bool {
        directory.join(KEPT_FILE.file).exists()
    }

    /// A history that ends with the process.
    ///
    /// # Errors
    /// SQLite's, or no randomness for a key.
    pub fn in_memory() -> Stored<Store> {
        let mut db = Connection::open_in_memory()?;
        KEPT_FILE.migrate(&mut db)?;
        Ok(Store {
            db,
            key: random().map_err(|error| StoreError::Io("/dev/urandom".into(), error))?,
            lock: None,
            directory: None,
        })
    }

    /// Where it is; `None`: in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What hashes of secret contents are made with.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// A number that changes when another process writes.
    pub fn written_by_others(&self) -> i64 {
        self.db
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .unwrap_or(0)
    }

    /// This directory's files were adopted: another file there is new.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_adopted(&self, root: &Path) -> Stored<bool> {
        let sql = "SELECT 1 FROM root WHERE path = ?1";
        let found: Option<i64> = self
            .db
            .query_row(sql, [words(root)], |row| row.get(0))
            .optional()?;
        Ok(found.is_some())
    }

    /// From now on another file there is new.
    ///
    /// # Errors
    /// SQLite's.
    pub fn adopt(&mut self, root: &Path) -> Stored<()> {
        let sql = "INSERT OR IGNORE INTO root (path) VALUES (?1)";
        self.db.execute(sql, [words(root)])?;
        Ok(())
    }

    /// What should stand at a path.
    ///
    /// # Errors
    /// SQLite's.
    pub fn known(&self, path: &Path) -> Stored<Known> {
        let sql = "SELECT accepted FROM file WHERE path = ?1";
        let found: Option<Option<i64>> = self
            .db
            .query_row(sql, [words(path)], |row| row.get(0))
            .optional()?;
        Ok(match found {
            None => Known::Never,
            Some(None) => Known::Absent,
            Some(Some(id)) => match self.version(id as u64)? {
                Some(version) => Known::Accepted(Box::new(version)),
                None => Known::Absent,
            },
        })
    }

    /// One version.
    ///
    /// # Errors
    /// SQLite's.
    pub fn version(&self, version: u64) -> Stored<Option<Version>> {
        let sql = format!("{VERSION} WHERE version.id = ?1");
        Ok(self
            .db
            .query_row(&sql, [version as i64], read_version)
            .optional()?)
    }

    /// The newest versions, of one file or of all.
    ///
    /// # Errors
    /// SQLite's.
    pub fn versions(&self, path: Option<&Path>, most: u32) -> Stored<Vec<Version>> {
        let sql = format!(
            "{VERSION} WHERE ?1 IS NULL OR file.path = ?1 ORDER BY version.id DESC LIMIT ?2"
        );
        let mut query = self.db.prepare(&sql)?;
        let rows = query.query_map(params![path.map(words), most], read_version)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest events, of one file or of all.
    ///
    /// # Errors
    /// SQLite's.
    pub fn events(&self, path: Option<&Path>, most: u32) -> Stored<Vec<Event>> {
        let mut query = self.db.prepare(
            "SELECT file.path, version, at, what, actor, reason FROM event
             JOIN file ON file.id = event.file
             WHERE ?1 IS NULL OR file.path = ?1 ORDER BY event.id DESC LIMIT ?2",
        )?;
        let rows = query.query_map(params![path.map(words), most], |row| {
            Ok(Event {
                path: PathBuf::from(row.get::<_, String>(0)?),
                version: row.get::<_, Option<i64>>(1)?.map(|n| n as u64),
                at_ms: row.get(2)?,
                what: row.get(3)?,
                actor: row.get(4)?,
                reason: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All paths that are known.
    ///
    /// # Errors
    /// SQLite's.
    pub fn paths(&self) -> Stored<Vec<PathBuf>> {
        let mut query = self.db.prepare("SELECT path FROM file ORDER BY path")?;
        let rows = query.query_map([], |row| row.get::<_, String>(0))?;
        let paths: Result<Vec<String>, _> = rows.collect();
        Ok(paths?.into_iter().map(PathBuf::from).collect())
    }

    /// Writes down what a file became. Returns the version.
    ///
    /// # Errors
    /// SQLite's: most likely a full disk. Nothing was written then.
    pub fn record(&mut self, new: &Record<'_>) -> Stored<u64> {
        let write = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let file = file_id(&write, new.path)?;
        let version = match &new.seen {
            Some(seen) => Some(version_id(&write, file, seen, new)?),
            None => None,
        };
        if new.accept {
            let sql = "UPDATE file SET accepted = ?2 WHERE id = ?1";
            write.execute(sql, params![file, version])?;
        }
        event(&write, file, version, new)?;
        trim(&write, file)?;
        write.commit()?;
        Ok(version.unwrap_or(0) as u64)
    }

    /// Makes a version that is known the accepted one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn accept(
        &mut self,
        version: &Version,
        what: &str,
        actor: &str,
        reason: &str,
    ) -> Stored<()> {
        let write = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let file = file_id(&write, &version.path)?;
        let id = version.version as i64;
        let sql = "UPDATE file SET accepted = ?2 WHERE id = ?1";
        write.execute(sql, params![file, id])?;
        let new = Record {
            what,
            actor,
            reason,
            ..Record::of(&version.path)
        };
        event(&write, file, Some(id), &new)?;
        write.commit()?;
        Ok(())
    }
}

/// What is to be written down.
pub struct Record<'a> {
    /// Whose.
    pub path: &'a Path,
    /// Its content, where it has one.
    pub seen: Option<&'a Observed>,
    /// Against what was accepted.
    pub difference: Option<&'a Difference>,
    /// What the check said.
    pub findings: &'a [String],
    /// A word.
    pub what: &'a str,
    /// Who.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
    /// From now on this is what should be there.
    pub accept: bool,
}

impl<'a> Record<'a> {
    /// Nothing but the path.
    pub fn of(path: &'a Path) -> Record<'a> {
        Record {
            path,
            seen: None,
            difference: None,
            findings: &[],
            what: "",
            actor: "",
            reason: "",
            accept: false,
        }
    }
}

#[cfg(test)]
mod tests;
