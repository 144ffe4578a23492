//! The files of a history: whose they are, and whether they can be used.

use super::{StoreError, Stored};
use rusqlite::Connection;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Locked by the process that writes.
const LOCK: &str = "lock";

/// Makes a file ready to be written: it is sound, and what is committed is on disk.
/// Who holds it is waited for so long. Returns its schema; 0: it is new.
///
/// # Errors
/// Why it cannot be used. Nothing was written then.
pub(crate) fn settled(db: &Connection, path: &Path, busy: Duration) -> Stored<i64> {
    db.busy_timeout(busy)?;
    let schema: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // A file that is no database shows itself here, before anything is written.
    let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        let what = std::io::Error::other(format!("damaged: {sound}"));
        return Err(StoreError::Io(path.to_owned(), what));
    }
    let _: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(schema)
}

/// Makes the directory, for its owner alone, and takes its lock.
pub(super) fn lock(directory: &Path) -> Stored<File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| StoreError::Io(path, error)
    };
    if !directory.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io(directory))?;
    }
    let mode = directory
        .metadata()
        .map_err(io(directory))?
        .permissions()
        .mode();
    if mode & 0o022 != 0 {
        // Not ours to close: it may be /tmp.
        let what = std::io::Error::other("others may write there: name a directory of its own");
        return Err(StoreError::Io(directory.to_owned(), what));
    }
    let path = directory.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io(&path))?;
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, exclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(directory.to_owned())),
        Err(error) => Err(StoreError::Io(path, error.into())),
    }
}
