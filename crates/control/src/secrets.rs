//! Watches the files that hold secrets and certificates, and has them read
//! again within two seconds of a change.
//!
//! It reads no secret itself: hashes tell it that one changed, and the data
//! plane reads, checks and swaps. It never stops for what it finds. The one
//! invariant: each change of a file is told at least once after it happened.

use crate::watch::{PERIOD, Watch};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

/// What the watch needs of the data plane.
pub trait Plane: Send + Sync + 'static {
    /// The files that hold secrets and certificates of the settings in force.
    fn files(&self) -> Vec<PathBuf>;

    /// These have another content, vanished, or came back. Says in the log and
    /// in its figures what came of it.
    fn changed(&self, files: &[PathBuf]);

    /// Called each second by a thread of its own, for what has an end of its
    /// own; it may take long.
    fn tick(&self);
}

/// A running watch.
pub struct Keeper {
    stop: [Sender<()>; 2],
    watch: JoinHandle<()>,
}

impl Keeper {
    /// Ends it. Waits for the look that is under way, and not for a tick.
    pub fn stop(self) {
        drop(self.stop);
        let _ = self.watch.join();
    }
}

/// Starts the watch, and what renews secrets that end. Two threads: a command
/// that takes long holds no file up.
///
/// # Errors
/// A thread cannot be started.
pub fn watch(plane: Arc<dyn Plane>) -> io::Result<Keeper> {
    let ((stop, stopped), (stop_ticks, ticks_stopped)) = (channel::<()>(), channel::<()>());
    let renewed = Arc::clone(&plane);
    std::thread::Builder::new()
        .name("secret-renewal".into())
        .spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ticks_stopped.recv_timeout(PERIOD) {
                renewed.tick();
            }
        })?;
    let watch = std::thread::Builder::new()
        .name("secret-watch".into())
        .spawn(move || {
            let mut rounds = Rounds::default();
            // Nothing is ever sent: the other end goes away.
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(rounds.pause()) {
                rounds.look(plane.as_ref());
            }
        })?;
    let stop = [stop, stop_ticks];
    Ok(Keeper { stop, watch })
}

/// One look after the other.
struct Rounds {
    watch: Watch,
    files: Vec<PathBuf>,
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds {
            watch: Watch::new([]),
            files: Vec::new(),
        }
    }
}

impl Rounds {
    fn pause(&self) -> std::time::Duration {
        self.watch.pause()
    }

    fn look(&mut self, plane: &dyn Plane) {
        let files = plane.files();
        let mut changed: Vec<PathBuf> = Vec::new();
        if files != self.files {
            // They were read before they were watched: once more, now that no
            // change can be missed. Where nothing changed, nothing happens.
            self.watch.set_paths(files.iter().cloned());
            let new = files.iter().filter(|f| !self.files.contains(f));
            changed.extend(new.cloned());
            self.files = files;
        }
        for change in self.watch.poll() {
            if !changed.contains(&change.path) {
                changed.push(change.path);
            }
        }
        if !changed.is_empty() {
            plane.changed(&changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Told {
        files: Mutex<Vec<PathBuf>>,
        changed: Mutex<Vec<Vec<PathBuf>>>,
    }

    impl Plane for Told {
        fn files(&self) -> Vec<PathBuf> {
            self.files.lock().expect("not poisoned").clone()
        }

        fn changed(&self, files: &[PathBuf]) {
            let mut changed = self.changed.lock().expect("not poisoned");
            changed.push(files.to_vec());
        }

        fn tick(&self) {}
    }

    #[test]
    fn a_new_file_is_told_once_and_each_change_after_it() {
        let dir = std::env::temp_dir().join(format!("plimsoll-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let file = dir.join("pw");
        std::fs::write(&file, "one").expect("written");
        let told = Told::default();
        let take = || std::mem::take(&mut *told.changed.lock().expect("not poisoned"));
        let mut rounds = Rounds::default();
        rounds.look(&told);
        assert!(take().is_empty(), "nothing to watch yet");
        *told.files.lock().expect("not poisoned") = vec![file.clone()];
        rounds.look(&told);
        assert_eq!(take(), [vec![file.clone()]], "it may have changed before");
        rounds.look(&told);
        assert!(take().is_empty());
        std::fs::write(&file, "two").expect("written");
        rounds.look(&told);
        rounds.look(&told);
        assert_eq!(take(), [vec![file.clone()]]);
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn it_ends_when_asked() {
        let keeper = watch(Arc::new(Told::default())).expect("a thread");
        keeper.stop();
    }
}
