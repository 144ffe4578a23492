//! The key of a state directory.

use super::KEY;
use crate::settings::store::{StoreError, Stored};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The key of this directory. It stands beside the history, not in it: whoever
/// gets the history alone cannot try passwords against its hashes.
pub(super) fn key(path: &Path) -> Stored<[u8; 32]> {
    let io = |error| StoreError::Io(path.to_owned(), error);
    let read = || -> std::io::Result<[u8; 32]> {
        let mut key = [0; 32];
        File::open(path)?.read_exact(&mut key)?;
        Ok(key)
    };
    match read() {
        Ok(key) => return Ok(key),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let key = random().map_err(io)?;
    let name = format!("{KEY}.{}", std::process::id());
    let new = path.with_file_name(name);
    let written = (|| {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        std::io::Write::write_all(&mut file, &key)?;
        file.sync_all()?;
        // Who was first keeps it.
        std::fs::hard_link(&new, path)
    })();
    let _ = std::fs::remove_file(&new);
    match written {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read().map_err(io),
        Err(error) => Err(io(error)),
    }
}

pub(super) fn random() -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}
