//! One look at one file: its content, what is kept of it, whose it is.

use super::mask::{Kept, keep};
use crate::watch::{self, Hash, read_bounded};
use config::MASKED;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file with a content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// What it is compared by, hexadecimal: SHA-256 of the content; of the text
    /// without its secrets, where it has some; of the content and the state
    /// directory's key, where all of it may be secret.
    pub hash: String,
    /// SHA-256 of the content. It is not kept: secrets could be tried against it.
    pub raw: Hash,
    /// Bytes.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last write; milliseconds since 1970, UTC.
    pub modified_ms: i64,
    /// What may be kept.
    pub kept: Kept,
}

/// Why a file has no content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unseen {
    /// Nothing is there.
    Absent,
    /// What is there cannot be read; in words.
    Unreadable(String),
}

/// Reads a file, whole and once.
///
/// # Errors
/// Why it has no content.
pub fn observe(path: &Path, key: &[u8; 32]) -> Result<Observed, Unseen> {
    let unseen = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Unseen::Absent,
        ErrorKind::PermissionDenied => Unseen::Unreadable("permission denied".to_owned()),
        ErrorKind::IsADirectory => Unseen::Unreadable("it is a directory".to_owned()),
        ErrorKind::InvalidInput => Unseen::Unreadable("it is no regular file".to_owned()),
        ErrorKind::FileTooLarge => {
            Unseen::Unreadable(format!("it is larger than {} MiB", watch::BYTES_MAX >> 20))
        }
        _ => Unseen::Unreadable(error.to_string()),
    };
    let bytes = read_bounded(path, watch::BYTES_MAX).map_err(unseen)?;
    let about = std::fs::metadata(path).map_err(unseen)?;
    let mut seen = of(path, &bytes, key);
    (seen.mode, seen.uid, seen.gid) = (about.mode() & 0o7777, about.uid(), about.gid());
    seen.modified_ms = about.mtime() * 1_000 + about.mtime_nsec() / 1_000_000;
    Ok(seen)
}

/// A content, of nobody.
pub fn of(path: &Path, bytes: &[u8], key: &[u8; 32]) -> Observed {
    let kept = keep(path, bytes);
    let raw = watch::hash(bytes);
    Observed {
        hash: identity(&kept, bytes, raw, key),
        raw,
        size: bytes.len() as u64,
        mode: 0,
        uid: 0,
        gid: 0,
        modified_ms: 0,
        kept,
    }
}

/// A text that was made without secrets, of a server.
pub fn listed(text: &str) -> Observed {
    let raw = watch::hash(text.as_bytes());
    Observed {
        hash: hex(&raw),
        raw,
        size: text.len() as u64,
        mode: 0,
        uid: 0,
        gid: 0,
        modified_ms: 0,
        // Never written anywhere as it is.
        kept: Kept::Masked(text.to_owned()),
    }
}

fn identity(kept: &Kept, bytes: &[u8], raw: Hash, key: &[u8; 32]) -> String {
    let hash: Hash = match kept {
        Kept::Whole(_) => raw,
        // A rotation of a secret is no other version.
        Kept::Masked(text) => Sha256::new()
            .chain_update(MASKED)
            .chain_update(text)
            .finalize()
            .into(),
        Kept::Nothing(_) => Sha256::new()
            .chain_update(key)
            .chain_update(bytes)
            .finalize()
            .into(),
    };
    hex(&hash)
}

fn hex(hash: &Hash) -> String {
    let mut out = String::with_capacity(64);
    for byte in hash {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
