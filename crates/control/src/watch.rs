//! Watches files by their content, without waiting for anything.
//!
//! The caller polls; each poll looks at every file once and says what changed
//! since the last report. Content counts, not names or times: a ConfigMap's
//! symlink swap, a rename over the file and a write in place are all the same
//! to it, and a file that was only touched did not change. A file that is being
//! written is reported once it has settled. What stands where a file is
//! expected (a FIFO, a directory, something huge) is a fault, never a wait.
//!
//! ```text
//!   paths ──► look (IO: stat, bounded read, SHA-256) ──► decide (pure) ──► Change
//! ```
//!
//! ```
//! use control::watch::{Kind, Watch};
//! let dir = std::env::temp_dir().join(format!("watch-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&dir)?;
//! let file = dir.join("settings");
//! std::fs::write(&file, "one")?;
//! let mut watch = Watch::new([file.clone()]);
//! assert!(watch.poll().is_empty());
//! std::fs::write(&file, "two")?;
//! let change = loop {
//!     if let Some(change) = watch.poll().pop() {
//!         break change;
//!     }
//! };
//! assert_eq!(change.path, file);
//! assert!(matches!(change.kind, Kind::Content(_)));
//! std::fs::remove_dir_all(&dir)?;
//! # std::io::Result::Ok(())
//! ```

mod look;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use look::{hash, read_bounded};

/// Time between two polls that keeps the promise of two seconds with room to
/// spare: this, [`SETTLE`] and the reading.
pub const PERIOD: Duration = Duration::from_secs(1);
/// A file whose last write is this long ago is taken as whole.
pub const SETTLE: Duration = Duration::from_millis(200);
/// Larger files are a fault. As large as the largest user file that is read.
pub const BYTES_MAX: u64 = 64 << 20;
/// Most files of one watch.
pub const FILES_MAX: usize = 10_000;
/// Looks that an absent or unreadable file must stay so.
const GONE_LOOKS: u8 = 2;

/// SHA-256 of a file's content.
pub type Hash = [u8; 32];

/// Why what stands at a path cannot be read as a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// No permission.
    Permission,
    /// A directory.
    Directory,
    /// A FIFO, a socket or a device.
    NotAFile,
    /// Larger than [`BYTES_MAX`].
    TooLarge,
    /// Anything else: a loop of symlinks, a broken disk.
    Other(std::io::ErrorKind),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Permission => f.write_str("permission denied"),
            Fault::Directory => f.write_str("it is a directory"),
            Fault::NotAFile => f.write_str("it is no regular file"),
            Fault::TooLarge => write!(f, "it is larger than {} MiB", BYTES_MAX >> 20),
            Fault::Other(kind) => write!(f, "{kind}"),
        }
    }
}

/// What a file became.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It has another content, or is back after it had vanished.
    Content(Hash),
    /// It has been absent for two polls.
    Vanished,
    /// It has been unreadable for two polls.
    Unreadable(Fault),
}

/// One change of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The path as it was given, not where its symlinks lead.
    pub path: PathBuf,
    /// What it became.
    pub kind: Kind,
}

/// What one look at one file found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Absent,
    Content {
        hash: Hash,
        /// The last write is long enough ago, and none came while it was read.
        settled: bool,
    },
    Unreadable(Fault),
}

/// What is known of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct State {
    /// What the caller was told last.
    told: Kind,
    /// What differs from that and was seen so many times in a row.
    pending: Option<(Kind, u8)>,
}

impl State {
    /// What a file is taken for when its watch begins; nothing is told of it.
    fn at_first(seen: Seen) -> State {
        State {
            told: kind_of(seen),
            pending: None,
        }
    }

    /// One more look. Returns what is to be told.
    fn decide(&mut self, seen: Seen) -> Option<Kind> {
        let kind = kind_of(seen);
        if kind == self.told {
            self.pending = None;
            return None;
        }
        let looks = match self.pending {
            Some((before, looks)) if before == kind => looks.saturating_add(1),
            _ => 1,
        };
        let certain = matches!(seen, Seen::Content { settled: true, .. });
        if certain || looks >= GONE_LOOKS {
            *self = State {
                told: kind,
                pending: None,
            };
            return Some(kind);
        }
        self.pending = Some((kind, looks));
        None
    }

    /// A content was seen that may not be whole yet.
    fn unsettled(&self) -> bool {
        matches!(self.pending, Some((Kind::Content(_), _)))
    }
}

fn kind_of(seen: Seen) -> Kind {
    match seen {
        Seen::Absent => Kind::Vanished,
        Seen::Content { hash, .. } => Kind::Content(hash),
        Seen::Unreadable(fault) => Kind::Unreadable(fault),
    }
}

/// Files under watch.
pub struct Watch {
    files: BTreeMap<PathBuf, (State, look::Memory)>,
}

impl Watch {
    /// Begins to watch. What the files hold now is taken as known, so begin
    /// before you read them: a change in between is then reported.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Watch {
        let mut watch = Watch {
            files: BTreeMap::new(),
        };
        watch.set_paths(paths);
        watch
    }

    /// Watches these paths from now on. Those known before keep their state;
    /// those above [`FILES_MAX`] are left out.
    pub fn set_paths(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut before = std::mem::take(&mut self.files);
        for path in paths.into_iter().take(FILES_MAX) {
            let entry = before.remove(&path).unwrap_or_else(|| {
                let mut memory = look::Memory::default();
                let seen = look::look(&path, &mut memory);
                (State::at_first(seen), memory)
            });
            self.files.insert(path, entry);
        }
    }

    /// The paths under watch.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Looks at every file once, and returns what changed.
    pub fn poll(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (path, (state, memory)) in &mut self.files {
            let seen = look::look(path, memory);
            if let Some(kind) = state.decide(seen) {
                changes.push(Change {
                    path: path.clone(),
                    kind,
                });
            }
        }
        changes
    }

    /// How long to wait before the next poll: [`SETTLE`] while a file may still
    /// be written, else [`PERIOD`].
    pub fn pause(&self) -> Duration {
        match self.files.values().any(|(state, _)| state.unsettled()) {
            true => SETTLE,
            false => PERIOD,
        }
    }

    /// What is known of a file: what was told last, or what it was at first.
    pub fn known(&self, path: &Path) -> Option<Kind> {
        self.files.get(path).map(|(state, _)| state.told)
    }
}

#[cfg(test)]
mod tests;
