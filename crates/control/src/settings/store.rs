//! The history of settings: one SQLite file in the state directory.
//!
//! It holds every version's texts without secrets, and each change's states as
//! they were entered: what is written here is what a new process goes on from.
//! Each write is one transaction that is on disk before the call returns. What
//! cannot be read is left as it is, and the pooler serves without a history.

mod error;
mod file;
mod rows;

use crate::state::Kept;
use config::rollout::{Nature, Origin, State, Why};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use error::StoreError;
use file::lock;
pub(crate) use file::settled;
use rows::make_current;
pub use rows::{ChangeRow, EventRow, VersionRow};
pub(crate) use rows::{state_from, state_words};

/// The file in the state directory.
pub(crate) const KEPT_FILE: Kept = Kept {
    file: "settings.db",
    what: "the history of settings",
    without: "the settings file serves as it is, and until that plimsoll is back there is no history, no rollback, and no memory of what was turned down",
    steps: &[rows::SCHEMA_1],
};
/// Versions that are kept; the oldest go first, never one that serves.
pub const VERSIONS_MAX: i64 = 10_000;
/// Events that are kept.
const EVENTS_MAX: i64 = 100_000;
/// Ends of the process in the middle of a change to the same texts.
const KILLED_MAX: u32 = 2;
/// Another reader may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(2);

/// What a result of the store is.
pub type Stored<T> = Result<T, StoreError>;

/// The history.
pub struct Store {
    db: Connection,
    /// Held while the process lives; `None`: no directory, or only read.
    _lock: Option<File>,
    directory: Option<PathBuf>,
    /// The history is not in the directory: it ends with the process.
    beside: bool,
}

/// A version to be written down.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    /// SHA-256 of its texts, hexadecimal.
    pub hash: &'a str,
    /// Where it comes from.
    pub origin: Origin,
    /// Who, and from where.
    pub actor: &'a str,
    /// Why, in that person's words.
    pub reason: &'a str,
    /// It is not in the settings file.
    pub temporary: bool,
    /// Path and text without secrets of each settings file.
    pub files: &'a [(PathBuf, String)],
    /// Its number is higher than this one: another was given without being written.
    pub above: u64,
}

impl Store {
    /// Opens the history in `directory`, or begins one.
    ///
    /// # Errors
    /// Why there is none. Nothing was changed then.
    pub fn open(directory: &Path) -> Stored<Store> {
        let lock = lock(directory)?;
        let path = directory.join(KEPT_FILE.file);
        let store = Store {
            db: KEPT_FILE.open(&path, BUSY)?,
            _lock: Some(lock),
            directory: Some(directory.to_owned()),
            beside: false,
        };
        use std::os::unix::fs::PermissionsExt;
        // SQLite gives its further files the mode of this one.
        let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
        Ok(store)
    }

    /// A history that ends with the process.
    ///
    /// # Errors
    /// SQLite's.
    pub fn in_memory() -> Stored<Store> {
        let mut db = Connection::open_in_memory()?;
        KEPT_FILE.migrate(&mut db)?;
        Ok(Store {
            db,
            _lock: None,
            directory: None,
            beside: true,
        })
    }

    /// A history that ends with the process, in a directory whose own one a newer
    /// binary wrote: what else is kept there still is.
    ///
    /// # Errors
    /// The directory is another process's, or SQLite's.
    pub fn beside(directory: &Path) -> Stored<Store> {
        Ok(Store {
            _lock: Some(lock(directory)?),
            directory: Some(directory.to_owned()),
            ..Store::in_memory()?
        })
    }

    /// It, if all that a start asks of it can be read. A file may be sound and
    /// still be no history.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn readable(self) -> Stored<Store> {
        self.current()?;
        self.versions(1)?;
        self.open_changes()?;
        self.rejected("")?;
        self.passed_over()?;
        Ok(self)
    }

    /// Only to read: works beside the process that writes, and when there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read_only(directory: &Path) -> Stored<Store> {
        let path = directory.join(KEPT_FILE.file);
        if !path.exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(StoreError::Io(path, missing));
        }
        Ok(Store {
            db: KEPT_FILE.read(&path, BUSY)?,
            _lock: None,
            directory: Some(directory.to_owned()),
            beside: false,
        })
    }

    /// Where it is; `None`: in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref().filter(|_| !self.beside)
    }

    /// The state directory, which is this process's; `None`: there is none.
    pub fn state(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Writes a version down. Returns its number.
    ///
    /// # Errors
    /// SQLite's: most likely a full disk. Nothing was written then.
    pub fn add_version(&mut self, new: &NewVersion<'_>) -> Stored<u64> {
        let write = self.db.transaction()?;
        write.execute(
            "INSERT INTO version (id, hash, at, origin, actor, reason, temporary, files)
             VALUES (1 + MAX(?8, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'version'), 0)),
                     ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.hash,
                now_ms(),
                new.origin.label(),
                new.actor,
                new.reason,
                new.temporary,
                rows::files_text(new.files),
                new.above as i64,
            ],
        )?;
        let id = write.last_insert_rowid();
        write.execute(
            "DELETE FROM version WHERE id <= ?1 - ?2 AND id <> (SELECT value FROM meta WHERE key = 'current')",
            params![id, VERSIONS_MAX],
        )?;
        write.commit()?;
        Ok(id as u64)
    }

    /// Writes down that a change entered a state; the end of one that stays is
    /// the moment when its version becomes the current one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn enter(
        &mut self,
        version: u64,
        from: u64,
        nature: Nature,
        state: State,
        note: &str,
    ) -> Stored<()> {
        let write = self.db.transaction()?;
        let (word, detail) = state_words(state);
        write.execute(
            "INSERT INTO change (version, from_version, nature, state, detail, note, began, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (version) DO UPDATE SET state = ?4, detail = ?5, note = CASE WHEN ?6 = '' THEN note ELSE ?6 END, at = ?7",
            params![version as i64, from as i64, rows::nature_text(nature), word, detail, note, now_ms()],
        )?;
        event(&write, version, format!("{word} {detail}").trim_end(), note)?;
        if state == State::Applied {
            make_current(&write, version)?;
        }
        write.commit()?;
        Ok(())
    }

    /// A version that serves without having gone through a change: the first one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn adopt(&mut self, version: u64, note: &str) -> Stored<()> {
        let write = self.db.transaction()?;
        event(&write, version, "adopted", note)?;
        make_current(&write, version)?;
        write.commit()?;
        Ok(())
    }

    /// Something that happened to a version.
    ///
    /// # Errors
    /// SQLite's.
    pub fn note(&mut self, version: u64, what: &str, text: &str) -> Stored<()> {
        let write = self.db.transaction()?;
        event(&write, version, what, text)?;
        write.commit()?;
        Ok(())
    }

    /// The version that serves.
    ///
    /// # Errors
    /// SQLite's.
    pub fn current(&self) -> Stored<Option<u64>> {
        let text: Option<i64> = self
            .db
            .query_row(
                "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'current'",
                [],
                |row| row.get(0),
            )
            .optional()?;
        Ok(text.map(|n| n as u64))
    }

    /// One version, with its texts.
    ///
    /// # Errors
    /// SQLite's.
    pub fn version(&self, id: u64) -> Stored<Option<VersionRow>> {
        let query = format!("{} WHERE version.id = ?1", rows::VERSIONS);
        let found = self.db.query_row(&query, [id as i64], rows::version);
        Ok(found.optional()?)
    }

    /// The newest versions, the newest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn versions(&self, most: u32) -> Stored<Vec<VersionRow>> {
        let query = format!("{} ORDER BY version.id DESC LIMIT ?1", rows::VERSIONS);
        let mut statement = self.db.prepare(&query)?;
        let all = statement.query_map([most], rows::version)?;
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// What happened to a version, in its order.
    ///
    /// # Errors
    /// SQLite's.
    pub fn events(&self, version: u64) -> Stored<Vec<EventRow>> {
        let mut statement = self.db.prepare(
            "SELECT at, what, text FROM event WHERE version = ?1 ORDER BY id LIMIT 1000",
        )?;
        let all = statement.query_map([version as i64], rows::event)?;
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// The highest number that was given to a version; 0: none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn last(&self) -> Stored<u64> {
        let query = "SELECT seq FROM sqlite_sequence WHERE name = 'version'";
        let found: Option<i64> = self.db.query_row(query, [], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(0) as u64)
    }

    /// The changes that have no end yet, the newest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open_changes(&self) -> Stored<Vec<ChangeRow>> {
        let mut statement = self.db.prepare(
            "SELECT version, from_version, nature, state, detail, note, began, at FROM change
             WHERE state NOT IN ('applied', 'rolled_back', 'refused') ORDER BY version DESC LIMIT 1000",
        )?;
        let all = statement.query_map([], rows::change)?;
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// Why the newest change to these texts was turned down, where it was, and
    /// nothing made it good since.
    ///
    /// # Errors
    /// SQLite's.
    pub fn rejected(&self, hash: &str) -> Stored<Option<(u64, State)>> {
        let mut statement = self.db.prepare(
            "SELECT change.version, change.state, change.detail FROM change JOIN version ON version.id = change.version
             WHERE version.hash = ?1 AND change.state IN ('applied', 'rolled_back', 'refused') ORDER BY change.version DESC",
        )?;
        let mut rows = statement.query([hash])?;
        let mut killed = 0;
        while let Some(row) = rows.next()? {
            let (version, word, detail): (i64, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            match state_from(&word, &detail) {
                Some(State::Applied) => return Ok(None),
                Some(state @ (State::Refused(why) | State::RolledBack(why))) if why.convicts() => {
                    return Ok(Some((version as u64, state)));
                }
                // Once may be chance; twice, and the texts may be what ends the process.
                Some(state @ State::RolledBack(Why::Killed)) => {
                    killed += 1;
                    if killed == KILLED_MAX {
                        return Ok(Some((version as u64, state)));
                    }
                }
                // Superseded: it says nothing of the texts.
                _ => {}
            }
        }
        Ok(None)
    }

    /// How the newest change to these texts ended, or where it is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn newest_end(&self, hash: &str) -> Stored<Option<(u64, State)>> {
        const NEWEST: &str = "SELECT change.version, change.state, change.detail FROM change
             JOIN version ON version.id = change.version WHERE version.hash = ?1
             ORDER BY change.version DESC LIMIT 1";
        let newest: Option<(i64, String, String)> = self
            .db
            .query_row(NEWEST, [hash], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        Ok(newest.and_then(|(version, word, detail)| {
            Some((version as u64, state_from(&word, &detail)?))
        }))
    }

    /// The settings file says this, and a person ordered something else.
    ///
    /// # Errors
    /// SQLite's.
    pub fn pass_over(&mut self, hash: &str) -> Stored<()> {
        self.db.execute(
            "INSERT INTO meta (key, value) VALUES ('passed_over', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
            [hash],
        )?;
        Ok(())
    }

    /// What the settings file said when a person ordered something else.
    ///
    /// # Errors
    /// SQLite's.
    pub fn passed_over(&self) -> Stored<Option<String>> {
        Ok(self
            .db
            .query_row(
                "SELECT value FROM meta WHERE key = 'passed_over'",
                [],
                |row| row.get(0),
            )
            .optional()?)
    }

    /// The labels of the guards that served with this history; `None`: it is of a
    /// version that did not write them down, or new.
    ///
    /// # Errors
    /// SQLite's.
    pub fn guards(&self) -> Stored<Option<Vec<String>>> {
        let sql = "SELECT value FROM meta WHERE key = 'guards'";
        let found: Option<String> = self.db.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(found.map(|text| text.split_whitespace().map(str::to_owned).collect()))
    }

    /// From now on these guards are known.
    ///
    /// # Errors
    /// SQLite's.
    pub fn know_guards(&mut self, labels: &[String]) -> Stored<()> {
        self.db.execute(
            "INSERT INTO meta (key, value) VALUES ('guards', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
            [labels.join(" ")],
        )?;
        Ok(())
    }

    /// The version that served before `version` did, for `rollback` without a number.
    ///
    /// # Errors
    /// SQLite's.
    pub fn before(&self, version: u64) -> Stored<Option<u64>> {
        // What differs from it, and was not taken back by a person.
        let found: Option<i64> = self
            .db
            .query_row(
                "SELECT MAX(event.version) FROM event JOIN version ON version.id = event.version
                 WHERE event.what IN ('applied', 'adopted') AND event.version < ?1
                   AND version.hash <> (SELECT hash FROM version WHERE id = ?1)
                   AND version.hash NOT IN (SELECT version.hash FROM change JOIN version ON version.id = change.version
                     WHERE change.state IN ('rolled_back', 'refused') AND change.detail = 'person')",
                [version as i64],
                |row| row.get(0),
            )
            .optional()?
            .flatten();
        Ok(found.map(|n| n as u64))
    }
}

fn event(write: &Transaction<'_>, version: u64, what: &str, text: &str) -> Stored<()> {
    write.execute(
        "INSERT INTO event (version, at, what, text) VALUES (?1, ?2, ?3, ?4)",
        params![version as i64, now_ms(), what, text],
    )?;
    write.execute(
        "DELETE FROM event WHERE id <= ?1 - ?2",
        params![write.last_insert_rowid(), EVENTS_MAX],
    )?;
    Ok(())
}

/// Milliseconds since 1970, UTC.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
