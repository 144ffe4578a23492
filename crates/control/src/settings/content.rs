//! What a version of the settings is: the texts of its files without secrets,
//! their hash, and the plan that they make.
//!
//! Secrets are read where they are kept, at each reading: a version has
//! references and placeholders, so that a rollback never touches a secret.

use crate::watch::{BYTES_MAX, read_bounded};
use config::{Errors, Overrides, Plan, Source};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads secrets and runs their commands, for the process that serves.
pub type Secrets = Arc<dyn Source + Send + Sync>;

/// Settings as they were read.
#[derive(Clone)]
pub struct Content {
    /// What they say.
    pub plan: Plan,
    /// Path and text without secrets of each settings file, the main one first.
    pub files: Vec<(PathBuf, String)>,
    /// SHA-256 of these, hexadecimal.
    pub hash: String,
}

/// Reads settings files: those that are given as texts, the rest from the disk.
struct Reader<'a> {
    secrets: &'a Secrets,
    given: &'a [(PathBuf, String)],
    /// What was read as settings, in this order, without secrets.
    read: RefCell<Vec<(PathBuf, String)>>,
}

impl Reader<'_> {
    /// Reads a file, and keeps its text as `masked` leaves it.
    fn kept(&self, path: &Path, masked: impl Fn(&str) -> String) -> io::Result<Vec<u8>> {
        let given = self.given.iter().find(|(known, _)| known == path);
        let bytes = match given {
            Some((_, text)) => text.clone().into_bytes(),
            None => read_bounded(path, BYTES_MAX)?,
        };
        let text = masked(&String::from_utf8_lossy(&bytes));
        self.read.borrow_mut().push((path.to_owned(), text));
        Ok(bytes)
    }
}

impl Source for Reader<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.kept(path, |text| config::masked(path, text))
    }

    fn read_rules(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.kept(path, config::masked_rules)
    }

    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.secrets.read_secret(path)
    }

    fn run(&self, command: &config::SecretCommand) -> io::Result<Vec<u8>> {
        self.secrets.run(command)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.secrets.env(name)
    }
}

impl Content {
    /// Reads the settings at `path`, and what they include.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(path: &Path, overrides: &Overrides, secrets: &Secrets) -> Result<Content, Errors> {
        Content::of(path, &[], overrides, secrets)
    }

    /// The settings at `path` as these texts have them; files that are not among
    /// them are read from the disk.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(
        path: &Path,
        given: &[(PathBuf, String)],
        overrides: &Overrides,
        secrets: &Secrets,
    ) -> Result<Content, Errors> {
        let reader = Reader {
            secrets,
            given,
            read: RefCell::new(Vec::new()),
        };
        let plan = config::load_with(path, &reader, overrides)?;
        let mut files: Vec<(PathBuf, String)> = Vec::new();
        for (path, text) in reader.read.into_inner() {
            // A name without an extension is looked into before it is read.
            if !files.iter().any(|(known, _)| *known == path) {
                files.push((path, text));
            }
        }
        Ok(Content {
            plan,
            hash: hash(&files),
            files,
        })
    }

    /// The hash of what instances that serve alike have in common.
    pub(crate) fn alike(&self) -> String {
        let mut text = String::new();
        for (key, value) in config::in_common(&self.plan) {
            // Quoted, so that no value looks like another setting.
            let _ = writeln!(text, "{key:?} {value:?}");
        }
        hash(&[(PathBuf::new(), text)])
    }

    /// The first twelve digits: what people see.
    pub fn short(&self) -> &str {
        short(&self.hash)
    }
}

/// The first 24 bits of a hash: what instances tell each other.
pub(crate) fn brief(hash: &str) -> Option<u32> {
    u32::from_str_radix(hash.get(..6)?, 16).ok()
}

/// The first twelve digits of a hash: what people see.
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Names count with the texts: the same text in another place is another version.
fn hash(files: &[(PathBuf, String)]) -> String {
    let mut hasher = Sha256::new();
    for (path, text) in files {
        // The main file may lie elsewhere at the next start; what it includes is named in it.
        let name = path.file_name().unwrap_or_default();
        for part in [name.as_encoded_bytes(), text.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let mut out = String::new();
    for byte in hasher.finalize() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Memory;

    fn content(given: &[(&str, &str)], secrets: Memory) -> Result<Content, Errors> {
        let given: Vec<(PathBuf, String)> = given
            .iter()
            .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
            .collect();
        let secrets: Secrets = Arc::new(secrets);
        Content::of(&given[0].0, &given, &Overrides::default(), &secrets)
    }

    #[test]
    fn a_version_is_its_texts_without_secrets() {
        let text = |password: &str, size: u32| {
            format!(
                "[databases]\napp = host=db user=u password={password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = any\n%include /x/more.ini\ndefault_pool_size = {size}\n"
            )
        };
        let of = |password: &str, size: u32| {
            let main = text(password, size);
            let given = [
                ("/x/p.ini", main.as_str()),
                ("/x/more.ini", "server_lifetime = 60\n"),
            ];
            content(&given, Memory::default()).unwrap_or_else(|e| panic!("{}", e.render()))
        };
        let first = of("hunter2", 20);
        assert_eq!(first.files.len(), 2);
        assert!(!format!("{:?}", first.files).contains("hunter2"));
        assert_eq!(first.hash.len(), 64);
        assert_eq!(
            first.hash,
            of("another", 20).hash,
            "a rotation is no version"
        );
        assert_ne!(first.hash, of("hunter2", 21).hash);
        // The stored texts make the same plan, but for the secret.
        let stored = Content::of(
            "/x/p.ini".as_ref(),
            &first.files,
            &Overrides::default(),
            &(Arc::new(Memory::default()) as Secrets),
        )
        .unwrap_or_else(|e| panic!("{}", e.render()));
        let mut plan = stored.plan;
        assert_eq!(stored.hash, first.hash);
        assert!(config::with_secrets_of(&mut plan, &first.plan).is_empty());
        assert_eq!(plan, first.plan);
    }

    #[test]
    fn mistakes_are_the_reader_s_own() {
        let error = content(&[("/x/p.toml", "[pool]\nszie = 3\n")], Memory::default());
        let error = error.err().expect("a mistake");
        assert!(
            error.render().contains("did you mean `size`"),
            "{}",
            error.render()
        );
    }
}
