//! One look at one file: what kind it is, and a bounded read.

use super::{BYTES_MAX, Fault, Hash, SETTLE, Seen};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

/// Smaller files are read at each look, so that content alone decides.
const READ_ALWAYS: u64 = 1 << 20;
/// Bytes of one read call.
const CHUNK: usize = 64 << 10;

/// What the last look of a file found, so that a large one is not read again
/// and again. Content is not kept.
#[derive(Default)]
pub(super) struct Memory {
    last: Option<(Stamp, Hash)>,
}

/// What changes with every write, as the system keeps it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// SHA-256 of these bytes, as a watch reports it.
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Reads a file whole, if it is one and has at most `bytes_max` bytes. Never
/// waits for a FIFO's other end.
///
/// # Errors
/// Those of the system; `IsADirectory`, `InvalidInput` for what is no regular
/// file, `FileTooLarge`.
pub fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let (mut file, metadata) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(bytes_max)).unwrap_or(0));
    each_chunk(&mut file, bytes_max, |chunk| bytes.extend_from_slice(chunk))?;
    Ok(bytes)
}

pub(super) fn look(path: &Path, memory: &mut Memory) -> Seen {
    match content(path, memory) {
        Ok(seen) => seen,
        Err(error) => {
            memory.last = None;
            seen_of(error.kind())
        }
    }
}

fn seen_of(kind: ErrorKind) -> Seen {
    Seen::Unreadable(match kind {
        // A part of the path is a file now: the file itself is gone as well.
        ErrorKind::NotFound | ErrorKind::NotADirectory => return Seen::Absent,
        ErrorKind::PermissionDenied => Fault::Permission,
        ErrorKind::IsADirectory => Fault::Directory,
        ErrorKind::InvalidInput => Fault::NotAFile,
        ErrorKind::FileTooLarge => Fault::TooLarge,
        other => Fault::Other(other),
    })
}

fn content(path: &Path, memory: &mut Memory) -> io::Result<Seen> {
    let (mut file, metadata) = open(path)?;
    let stamp = Stamp::of(&metadata);
    if metadata.len() > READ_ALWAYS
        && let Some((before, hash)) = memory.last
        && before == stamp
    {
        return Ok(Seen::Content {
            hash,
            settled: is_settled(&metadata),
        });
    }
    let mut hasher = Sha256::new();
    each_chunk(&mut file, BYTES_MAX, |chunk| hasher.update(chunk))?;
    let hash = hasher.finalize().into();
    let after = file.metadata()?;
    let whole = Stamp::of(&after) == stamp;
    let settled = whole && is_settled(&after);
    memory.last = settled.then_some((stamp, hash));
    Ok(Seen::Content { hash, settled })
}

/// The last write is [`SETTLE`] ago. A time in the future says nothing; then a
/// second look decides.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell: the age of a file is asked of the clock"
)]
fn is_settled(metadata: &Metadata) -> bool {
    let age = |t: SystemTime| SystemTime::now().duration_since(t).ok();
    let age = metadata.modified().ok().and_then(age);
    age.is_some_and(|age| age >= SETTLE)
}

/// Opens a regular file, and nothing else: what it is gets asked first, and
/// again of what was opened, which may be another.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    regular(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    match metadata.file_type() {
        t if t.is_file() => Ok(()),
        t if t.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is no regular file",
        )),
    }
}

fn each_chunk(file: &mut File, bytes_max: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut left = bytes_max;
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        left = left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::from(ErrorKind::FileTooLarge))?;
        each(chunk.get(..n).unwrap_or_default());
    }
}
