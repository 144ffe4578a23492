//! Where texts come from. The caller does the IO, so that tests need no disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::SecretCommand;

/// Reads files and environment variables on behalf of the readers.
pub trait Source {
    /// The whole content of a file. Relative paths are the caller's to resolve.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The whole content of a file that holds secrets: a user file, a password
    /// file. Apart from [`Source::read`], so that a caller can tell settings
    /// from secrets: only the former have versions.
    ///
    /// # Errors
    /// Those of reading.
    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    /// The whole content of a file of host-based rules, of ident maps, or of
    /// names that they list. It is read with the settings and has versions with
    /// them; a caller that only asks what the settings say may leave it out.
    ///
    /// # Errors
    /// Those of reading.
    fn read_rules(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    /// What a `password_command` prints. It may take its time: never call it
    /// where something waits.
    ///
    /// # Errors
    /// That it did not run, failed or printed too much; never what it printed.
    fn run(&self, command: &SecretCommand) -> io::Result<Vec<u8>> {
        let _ = command;
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "commands are not run here",
        ))
    }

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
    commands: BTreeMap<Vec<String>, Vec<u8>>,
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

    /// Adds a command and what it prints.
    #[must_use]
    pub fn command(mut self, argv: &[&str], prints: impl Into<Vec<u8>>) -> Self {
        let argv = argv.iter().map(|a| (*a).to_owned()).collect();
        self.commands.insert(argv, prints.into());
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

    fn run(&self, command: &SecretCommand) -> io::Result<Vec<u8>> {
        match self.commands.get(&command.argv) {
            Some(prints) => Ok(prints.clone()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
