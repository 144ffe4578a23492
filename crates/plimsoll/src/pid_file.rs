//! The PID file: who serves, for scripts and supervisors.

use anyhow::{Context, bail};
use rustix::process::{Pid, test_kill_process};
use std::path::{Path, PathBuf};

/// A longer file is none of ours.
const LENGTH_MAX: usize = 64;

/// Says who serves until it is dropped.
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes it.
    ///
    /// # Errors
    /// It names another pooler that lives, or cannot be written.
    pub fn write(path: &Path, takes_over: bool) -> anyhow::Result<PidFile> {
        if !takes_over && let Some(other) = holder(path) {
            bail!(
                "the PID file {} names process {other}, which serves: end it first, take over from it \
                 (--takeover), or use another PID file",
                path.display()
            );
        }
        std::fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write the PID file {}", path.display()))?;
        Ok(PidFile {
            path: path.to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever took over has put itself there.
        if named(&self.path) == Some(std::process::id()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The number in the file.
fn named(path: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.get(..text.len().min(LENGTH_MAX))?;
    text.trim().parse().ok()
}

/// Another living pooler, of this program or PgBouncer, that the file names. A number outlives its process in a
/// file, and in a container soon belongs to something else: that must not keep anybody from starting.
fn holder(path: &Path) -> Option<u32> {
    let other = named(path).filter(|pid| *pid != std::process::id())?;
    let pid = Pid::from_raw(i32::try_from(other).ok()?)?;
    let lives = match test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    };
    (lives && is_a_pooler(other)).then_some(other)
}

/// Where the system tells what a process runs, it is what we run, or whose file ours may be.
fn is_a_pooler(other: u32) -> bool {
    let name = |who: &str| std::fs::read_to_string(format!("/proc/{who}/comm")).ok();
    match (name("self"), name(&other.to_string())) {
        (Some(own), Some(other)) => own == other || other.trim_end() == "pgbouncer",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        let dir = std::env::temp_dir();
        dir.join(format!("plimsoll-pid-{}-{name}", std::process::id()))
    }

    #[test]
    fn it_says_who_serves_and_goes_with_it() {
        let path = place("own");
        let file = PidFile::write(&path, false).expect("written");
        assert_eq!(named(&path), Some(std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_number_that_means_nothing_any_more_is_written_over() {
        let path = place("stale");
        // Nobody's, this process' parent's (another program), no number, too much of one.
        let parent = std::os::unix::process::parent_id();
        let odd = [
            "999999999".to_owned(),
            parent.to_string(),
            "-1".into(),
            "x".repeat(200),
        ];
        for text in odd {
            std::fs::write(&path, &text).expect("a file");
            drop(PidFile::write(&path, false).expect(&text));
            assert!(!path.exists(), "{text}");
        }
    }

    #[test]
    fn what_another_process_wrote_there_since_stays() {
        let path = place("other");
        let file = PidFile::write(&path, false).expect("written");
        std::fs::write(&path, "1\n").expect("a file");
        drop(file);
        assert_eq!(named(&path), Some(1));
        std::fs::remove_file(&path).expect("removed");
    }
}
