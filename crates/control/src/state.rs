//! The files of the state directory: their version marks, and what becomes of a
//! file that an older or a newer binary wrote.
//!
//! Each file carries the number of its schema (`PRAGMA user_version`). A lower one
//! is migrated: a copy of the old file is made, then all steps happen in one
//! transaction or none does. A higher one was written by a newer binary: the file
//! is not written to, and the pooler serves without what stands in it. Going forward
//! again then loses nothing.

mod carried;

pub(crate) use carried::{carried, is_ahead};

use crate::settings::store::{StoreError, Stored, settled};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a look at a version mark waits for who writes.
const LOOK: Duration = Duration::from_millis(500);

/// A file of the state directory.
pub(crate) struct Kept {
    /// Its name.
    pub file: &'static str,
    /// What stands in it.
    pub what: &'static str,
    /// What a binary that cannot read it does without.
    pub without: &'static str,
    /// The way from nothing to the newest schema: step n leads to number n + 1. A
    /// step that was released is never changed; it begins and commits nothing, and
    /// it drops no table that it could leave.
    pub steps: &'static [&'static str],
}

/// The files that the pooler keeps, for who tells what a start does without.
/// `guard.db` belongs to `plimsoll guard`, which tells of it itself.
pub(crate) const POOLERS: [&Kept; 3] = [
    &crate::settings::store::KEPT_FILE,
    &crate::incidents::KEPT_FILE,
    &crate::measure::KEPT_FILE,
];

/// A newer binary wrote a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ahead {
    /// What stands in it.
    pub what: &'static str,
    /// What this one does without.
    pub without: &'static str,
    /// Its number.
    pub found: i64,
    /// The highest that is known here.
    pub known: i64,
}

impl std::fmt::Display for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a newer plimsoll wrote {} (schema {}, this one knows {}): it is left alone; {}",
            self.what, self.found, self.known, self.without
        )
    }
}

/// What this binary cannot read in a state directory, a sentence for each file.
pub fn ahead(directory: &Path) -> Vec<String> {
    POOLERS
        .iter()
        .filter_map(|kept| kept.ahead(&directory.join(kept.file)))
        .map(|ahead| ahead.to_string())
        .collect()
}

impl Kept {
    /// The newest schema.
    pub const fn schema(&self) -> i64 {
        self.steps.len() as i64
    }

    /// Opens the file for writing, as the newest schema; makes it where there is none.
    ///
    /// # Errors
    /// Why it cannot be used. It is then as it was.
    pub fn open(&self, path: &Path, busy: Duration) -> Stored<Connection> {
        // A connection that may write would write at its end, also to a newer file:
        // what was committed before a kill moves from the log into the file.
        if let Some(ahead) = self.ahead(path) {
            return Err(StoreError::Newer(ahead));
        }
        let mut db = Connection::open(path)?;
        let schema = settled(&db, path, busy)?;
        if schema < self.schema() {
            if schema > 0 {
                back_up(&db, path, schema)?;
            }
            self.migrate(&mut db)?;
        }
        Ok(db)
    }

    /// Opens the file to read it, beside who writes.
    ///
    /// # Errors
    /// There is none, or it cannot be read here.
    pub fn read(&self, path: &Path, busy: Duration) -> Stored<Connection> {
        let db = look_only(path, busy)?;
        let found = number(&db)?;
        match self.beyond(found) {
            Some(ahead) => Err(StoreError::Newer(ahead)),
            None => Ok(db),
        }
    }

    /// Makes an empty or older schema the newest: all of it or nothing.
    ///
    /// # Errors
    /// SQLite's.
    pub fn migrate(&self, db: &mut Connection) -> Stored<()> {
        // Two may begin at once: who comes second finds it made.
        let write = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let from = usize::try_from(number(&write)?).unwrap_or(0);
        for step in self.steps.iter().skip(from) {
            write.execute_batch(step)?;
        }
        if from < self.steps.len() {
            write.pragma_update(None, "user_version", self.schema())?;
        }
        Ok(write.commit()?)
    }

    fn beyond(&self, found: i64) -> Option<Ahead> {
        (found > self.schema()).then(|| Ahead {
            what: self.what,
            without: self.without,
            found,
            known: self.schema(),
        })
    }

    /// Whether a newer binary wrote the file. Nothing is written.
    fn ahead(&self, path: &Path) -> Option<Ahead> {
        let db = path.exists().then(|| look_only(path, LOOK).ok())??;
        self.beyond(number(&db).ok()?)
    }
}

fn look_only(path: &Path, busy: Duration) -> Stored<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(busy)?;
    Ok(db)
}

fn number(db: &Connection) -> Stored<i64> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// A copy of the file as it was, for the way back: `settings.db.schema-1`. It takes
/// the place of an earlier one only when it is whole.
fn back_up(db: &Connection, path: &Path, schema: i64) -> Stored<()> {
    use std::os::unix::fs::PermissionsExt;
    let named = |end: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (whole, partly) = (
        named(format!(".schema-{schema}")),
        named(format!(".schema-{schema}.new")),
    );
    let io = |error| StoreError::Io(whole.clone(), error);
    // What a kill left: SQLite copies into no file that has something in it.
    match std::fs::remove_file(&partly) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    db.execute("VACUUM INTO ?1", [partly.to_string_lossy()])?;
    std::fs::set_permissions(&partly, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    std::fs::File::open(&partly)
        .and_then(|file| file.sync_all())
        .map_err(io)?;
    std::fs::rename(&partly, &whole).map_err(io)
}

#[cfg(test)]
mod tests;
