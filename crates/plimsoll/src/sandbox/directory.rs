//! The sandbox's own directory: `data/` for the server, the unix socket and
//! the log beside it. Mode 0700, owned by whoever runs the server.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::SandboxError;
use super::account::Account;
use super::error::doing;

/// The longest path of a unix socket on the systems we know, less one for the NUL.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Names tried before giving up. Only a leftover of an old process with our number is in the way.
const NAMES_MAX: u32 = 1_000;

/// Made, owned by the right user, and gone again with [`Directory::remove`].
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// The other user, when we are root.
    pub(super) account: Option<Account>,
}

impl Directory {
    pub(super) fn create(base: Option<&Path>) -> Result<Directory, SandboxError> {
        let path = doing("make a directory for PostgreSQL", create_unique(base))?;
        let remove_on = |error| {
            fs::remove_dir_all(&path).ok();
            error
        };
        // Whoever owns what we just made is who we effectively are: no system call is needed.
        let uid = doing("look at the new directory", fs::metadata(&path))
            .map_err(remove_on)?
            .uid();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account =
            Account::choose(uid, &passwd).map_err(|()| remove_on(SandboxError::NoAccount))?;
        let directory = Directory {
            path: path.clone(),
            account,
        };
        directory
            .give("give the directory to PostgreSQL's user", &path)
            .map_err(remove_on)?;
        Ok(directory)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Writes a file that only the server's user may read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), SandboxError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.data().join(name);
        let write = || {
            // initdb made some of these already, with a mode that suits.
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(text.as_bytes())
        };
        doing("write PostgreSQL's settings", write())?;
        self.give("give a file to PostgreSQL's user", &path)
    }

    pub(super) fn give(&self, what: &'static str, path: &Path) -> Result<(), SandboxError> {
        match &self.account {
            Some(account) => doing(what, chown(path, Some(account.uid), Some(account.gid))),
            None => Ok(()),
        }
    }

    /// The log's last lines, for an error message.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text))
    }

    pub(super) fn remove(&self) {
        // Backends of a killed server may still close their files: twice is enough.
        for _ in 0..2 {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => {}
            }
        }
    }
}

/// The last twelve lines.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn create_unique(base: Option<&Path>) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let temp = std::env::temp_dir();
    let base = base.unwrap_or(&temp);
    // "/plimsoll-4294967295-999/.s.PGSQL.65535" is 38 bytes.
    let base = if base.as_os_str().len() + 38 > SOCKET_PATH_BYTES_MAX {
        Path::new("/tmp")
    } else {
        base
    };
    for _ in 0..NAMES_MAX {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("plimsoll-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}
