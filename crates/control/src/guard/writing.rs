//! Writing an accepted text back.

use crate::watch::{Hash, hash, read_bounded};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that somebody else keeps writing is not fought over: so many times
pub const RESTORES_MAX: usize = 3;
/// in this time.
pub const RESTORES_IN: Duration = Duration::from_secs(600);

/// Why a file is not written back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotWritten {
    /// A symlink: whoever swaps it (Kubernetes, stow, Nix) owns the content.
    Symlink,
    /// Mounted for reading.
    ReadOnly,
    /// The file itself is a mount: subPath, `docker run -v file:file`.
    MountPoint,
    /// Its writer is the server.
    Servers,
    /// Only a part of the text is kept.
    NotWhole,
    /// Nothing was accepted there.
    NothingAccepted,
    /// It was written since it was looked at.
    Changed,
    /// It is no regular file.
    NotAFile,
    /// It would not belong to its owner any more.
    Owner(u32, u32),
    /// [`RESTORES_MAX`] is reached.
    TooOften,
    /// The system's words.
    Io(String),
}

impl std::fmt::Display for NotWritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotWritten::Symlink => f.write_str(
                "it is a symlink: who manages what it leads to (a ConfigMap, a deploy) must mend it there",
            ),
            NotWritten::ReadOnly => f.write_str("it is on a read-only mount: mend it where it comes from"),
            NotWritten::MountPoint => {
                f.write_str("the file itself is mounted (subPath, a bind mount): mend it where it comes from")
            }
            NotWritten::Servers => f.write_str(
                "the server writes this file itself: ALTER SYSTEM RESET name, then SELECT pg_reload_conf()",
            ),
            NotWritten::NotWhole => f.write_str(
                "its secrets are not kept, so its text is not whole here: mend it by hand, or from where it comes from",
            ),
            NotWritten::NothingAccepted => f.write_str("no content was accepted there: remove it by hand, or accept it"),
            NotWritten::Changed => f.write_str("it was written again since it was looked at: look again"),
            NotWritten::NotAFile => f.write_str("it is no regular file"),
            NotWritten::Owner(uid, gid) => write!(
                f,
                "it belongs to uid {uid}, gid {gid}, and would not any more: run this as that user, or as root"
            ),
            NotWritten::TooOften => write!(
                f,
                "it was written back {RESTORES_MAX} times in {} minutes; somebody writes it each time",
                RESTORES_IN.as_secs() / 60
            ),
            NotWritten::Io(why) => f.write_str(why),
        }
    }
}

/// How often a file was written back lately. Pure.
#[derive(Clone, Debug, Default)]
pub struct Limit {
    at: Vec<Instant>,
}

impl Limit {
    /// One that an earlier process wrote.
    pub fn remember(&mut self, at: Instant) {
        self.at.push(at);
    }

    /// One more, if there may be one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.at.retain(|at| now.duration_since(*at) < RESTORES_IN);
        let free = self.at.len() < RESTORES_MAX;
        if free {
            self.at.push(now);
        }
        free
    }
}

/// What a file must be when it is written back.
pub struct Wanted<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its content as it was looked at; `None`: it was absent.
    pub before: Option<Hash>,
    /// Mode, user and group where nothing stands there now.
    pub made: (u32, u32, u32),
}

/// Somebody else's hand is on it.
pub fn managed(path: &Path) -> Option<NotWritten> {
    if path
        .file_name()
        .is_some_and(|name| name == "postgresql.auto.conf")
    {
        return Some(NotWritten::Servers);
    }
    let about = std::fs::symlink_metadata(path).ok();
    if about.as_ref().is_some_and(|m| m.file_type().is_symlink()) {
        return Some(NotWritten::Symlink);
    }
    if about.as_ref().is_some_and(|m| !m.is_file()) {
        return Some(NotWritten::NotAFile);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let around = std::fs::metadata(directory).ok();
    let device = |m: &Metadata| m.dev();
    if let (Some(file), Some(around)) = (&about, &around)
        && device(file) != device(around)
    {
        return Some(NotWritten::MountPoint);
    }
    let read_only = |path: &Path| {
        rustix::fs::statvfs(path)
            .is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    };
    if read_only(path) || read_only(directory) {
        return Some(NotWritten::ReadOnly);
    }
    None
}

/// Replaces a file in one step: a reader sees the old text or the new one. Mode
/// and owner stay.
///
/// # Errors
/// Why it was left as it is.
pub fn restore(path: &Path, wanted: &Wanted<'_>) -> Result<(), NotWritten> {
    if let Some(why) = managed(path) {
        return Err(why);
    }
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::ResourceBusy => NotWritten::MountPoint,
        ErrorKind::ReadOnlyFilesystem => NotWritten::ReadOnly,
        _ => NotWritten::Io(error.to_string()),
    };
    unchanged(path, wanted)?;
    let before = std::fs::metadata(path).ok();
    let (mode, uid, gid) = before
        .as_ref()
        .map_or(wanted.made, |m| (m.mode() & 0o7777, m.uid(), m.gid()));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".plimsoll-{}", std::process::id()));
    let new: PathBuf = path.with_file_name(name);
    let written = (|| {
        // Never through a link that somebody put there, and never readable for more people.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(io)?;
        file.write_all(wanted.text.as_bytes()).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if (about.uid(), about.gid()) != (uid, gid) {
            fchown(&file, Some(uid), Some(gid)).map_err(|_| NotWritten::Owner(uid, gid))?;
        }
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(io)?;
        file.sync_all().map_err(io)?;
        unchanged(path, wanted)?;
        std::fs::rename(&new, path).map_err(io)
    })();
    match &written {
        Ok(()) => {
            let directory = path.parent().map(File::open);
            if let Some(Ok(directory)) = directory {
                let _ = directory.sync_all();
            }
        }
        Err(_) => {
            let _ = std::fs::remove_file(&new);
        }
    }
    written
}

/// It is still what was looked at.
fn unchanged(path: &Path, wanted: &Wanted<'_>) -> Result<(), NotWritten> {
    let now = match read_bounded(path, crate::watch::BYTES_MAX) {
        Ok(bytes) => Some(hash(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(NotWritten::Io(error.to_string())),
    };
    match now == wanted.before {
        true => Ok(()),
        false => Err(NotWritten::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        let name = format!("plimsoll-guard-writing-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("made");
        dir
    }

    fn wanted<'a>(text: &'a str, before: Option<&str>) -> Wanted<'a> {
        Wanted {
            text,
            before: before.map(|b| hash(b.as_bytes())),
            made: (
                0o640,
                rustix::process::getuid().as_raw(),
                rustix::process::getgid().as_raw(),
            ),
        }
    }

    #[test]
    fn it_comes_back_in_one_step_with_its_mode() {
        let dir = place("step");
        let path = dir.join("a.conf");
        std::fs::write(&path, "bad").expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o604)).expect("set");
        restore(&path, &wanted("good", Some("bad"))).expect("restored");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "good");
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o604);
        // It had vanished.
        std::fs::remove_file(&path).expect("removed");
        restore(&path, &wanted("good", None)).expect("restored");
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o640);
        assert_eq!(
            std::fs::read_dir(&dir).expect("read").count(),
            1,
            "nothing is left beside it"
        );
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn what_is_another_s_or_changed_stays() {
        let dir = place("stays");
        let path = dir.join("a.conf");
        std::fs::write(&path, "bad").expect("written");
        let table = [
            (Some("good"), NotWritten::Changed),
            (None, NotWritten::Changed),
        ];
        for (before, why) in table {
            assert_eq!(
                restore(&path, &wanted("good", before)),
                Err(why),
                "{before:?}"
            );
        }
        let link = dir.join("link.conf");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert_eq!(
            restore(&link, &wanted("good", Some("bad"))),
            Err(NotWritten::Symlink)
        );
        let auto = dir.join("postgresql.auto.conf");
        assert_eq!(
            restore(&auto, &wanted("good", None)),
            Err(NotWritten::Servers)
        );
        assert_eq!(
            restore(&dir, &wanted("good", None)),
            Err(NotWritten::NotAFile)
        );
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "bad");
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    fn three_times_in_ten_minutes() {
        let mut limit = Limit::default();
        let begun = Instant::now();
        let at = |s: u64| begun + Duration::from_secs(s);
        for (seconds, may) in [
            (0, true),
            (10, true),
            (20, true),
            (30, false),
            (599, false),
            (600, true),
            (601, false),
            (611, true),
        ] {
            assert_eq!(limit.take(at(seconds)), may, "{seconds}");
        }
    }
}
