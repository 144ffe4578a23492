//! Cleans up after us when we cannot.
//!
//! A signal, a crash or `kill -9` must not leave a server and a directory
//! behind, and `Drop` does not run then. So a small shell waits on a pipe from
//! us. The kernel closes the pipe whenever and however we end; the shell then
//! ends the server and removes the directory. We tell it, line by line, which
//! process that is, so that it never trusts an old process number.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// `$1` is the directory. `bye` ends the watch without touching anything.
/// The shell ignores what a terminal sends, and stands in a process group of
/// its own, so that Ctrl-C ends us first and it has its work to do after. The
/// server removes its pid file last; the number alone may stay as a zombie
/// where the first process of a container reaps nobody.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pid=
while read -r word number; do
  case $word in
    watch) pid=$number ;;
    gone) pid= ;;
    bye) exit 0 ;;
  esac
done
if [ -n "$pid" ]; then
  kill -s QUIT "$pid" 2>/dev/null
  left=100
  while [ "$left" -gt 0 ] && [ -e "$1/data/postmaster.pid" ] && kill -s 0 "$pid" 2>/dev/null; do
    left=$((left - 1))
    sleep 0.1
  done
  kill -s KILL "$pid" 2>/dev/null
fi
rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
"#;

/// The watching shell. Dropping it without [`Watchdog::dismiss`] sets it off.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    pub(super) fn start(directory: &Path) -> io::Result<Watchdog> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "plimsoll-sandbox-watchdog"])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            // An inherited output would keep a reader of ours waiting after our end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Watchdog { shell, pipe })
    }

    /// From now on, end this process when we end.
    pub(super) fn watch(&mut self, pid: u32) -> io::Result<()> {
        self.tell(&format!("watch {pid}\n"))
    }

    /// The process watched has ended: its number may soon be another's.
    pub(super) fn gone(&mut self) {
        // A shell that someone killed leaves us nothing to tell.
        self.tell("gone\n").ok();
    }

    /// The directory is removed and the server is gone: nothing is left to watch.
    pub(super) fn dismiss(&mut self) {
        self.tell("bye\n").ok();
        self.pipe = None;
        self.shell.wait().ok();
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => pipe.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}
