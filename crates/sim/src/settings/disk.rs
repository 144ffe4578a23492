//! The settings file, its secrets, and what reading them gives.

use config::{Errors, Overrides, Plan, Source};
use std::io;
use std::path::{Path, PathBuf};

/// A disk with one settings file and the secrets beside it.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// The name decides the dialect; one without an extension leaves it to the text.
    pub path: PathBuf,
    /// `None`: it is gone.
    pub file: Option<Vec<u8>>,
    /// Counts up with each rotation.
    pub secret: u64,
}

/// Settings as they were read.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub plan: Plan,
    /// Without secrets.
    pub text: String,
    pub hash: u64,
}

/// Reads one text as the settings file.
struct Reader<'a> {
    disk: &'a Disk,
    text: &'a [u8],
}

impl Source for Reader<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == self.disk.path {
            true => Ok(self.text.to_vec()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/x/pw") => Ok(format!("s{}\n", self.disk.secret).into_bytes()),
            Some("/x/users.txt") => Ok(format!("\"u\" \"s{}\"\n", self.disk.secret).into_bytes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Disk {
    /// What the settings file says now; `None`: it is gone or has mistakes.
    pub fn read(&self) -> Option<Content> {
        self.file.as_ref().and_then(|text| self.content(text).ok())
    }

    /// What these bytes say as the settings file.
    pub fn content(&self, text: &[u8]) -> Result<Content, Errors> {
        let reader = Reader { disk: self, text };
        let plan = config::load_with(&self.path, &reader, &Overrides::default())?;
        let text = config::masked(&self.path, &String::from_utf8_lossy(text));
        let hash = fnv(text.as_bytes());
        Ok(Content { plan, text, hash })
    }

    /// Puts the secrets of what serves into a plan, and reads those that it lacks.
    pub fn renew(&self, plan: &mut Plan, serves: &Plan) {
        let reader = Reader {
            disk: self,
            text: &[],
        };
        config::renew(plan, serves, &reader);
    }

    /// The secrets of a plan, read again.
    pub fn reread(&self, plan: &Plan) -> Plan {
        let reader = Reader {
            disk: self,
            text: &[],
        };
        config::reread(plan, &reader, &|_| true).plan
    }
}

/// FNV-1a: two texts of one run never share it, and if they did, it repeats.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
