//! Where texts come from. The caller does the IO, so that tests need no disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Reads files and environment variables on behalf of the readers.
pub trait Source {
    /// The whole content of a file. Relative paths are the caller's to resolve.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// An environment variable, for `password_env`. `None`: not set.
    fn env(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

impl<F: Fn(&Path) -> io::Result<Vec<u8>>> Source for F {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self(path)
    }
}

/// Files and variables in memory, for tests, rehearsals and documentation.
#[derive(Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    variables: BTreeMap<String, String>,
}

impl Memory {
    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(content) => Ok(content.clone()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
