//! Secrets, and where they are kept.

use std::path::PathBuf;
use std::time::Duration;

/// A secret. Its `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is kept, when the settings name only the place. The place is
/// a setting; the secret is none: it is read again without them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SecretRef {
    /// `password_file`: the first line of a file.
    File(PathBuf),
    /// `password_env`: an environment variable, which cannot change while running.
    Env(String),
    /// `password_command`: what a command prints.
    Command(SecretCommand),
    /// A line of the user file, [`crate::Plan::auth_file`].
    UserFile,
}

/// A command that prints a secret. No shell reads it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SecretCommand {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// How long its answer is good; `None`: until a server refuses it.
    pub ttl: Option<Duration>,
}

impl std::fmt::Display for SecretCommand {
    /// The program alone: an argument may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.argv.first().map_or("", String::as_str))
    }
}
