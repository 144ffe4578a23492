//! Ends processes that we started when we cannot: a shell that waits for our end of a pipe.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// It knows groups of processes by the number of their first. Lines come in as
/// `+ GROUP` and `- GROUP`; when they end, it ends what is left.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) groups=$(printf '%s' "$groups" | sed "s/ $group / /") ;;
  esac
done
for group in $groups; do kill -s TERM -- "-$group" 2>/dev/null; done
[ "$groups" = ' ' ] && exit 0
sleep 2
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"#;

/// The shell. Dropping it ends all that it still knows.
#[derive(Debug)]
pub(super) struct Keeper {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Keeper {
    pub(super) fn start() -> io::Result<Keeper> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "plimsoll-lab-keeper"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Keeper { shell, pipe })
    }

    /// From now on, end this group when we end.
    pub(super) fn watch(&mut self, group: u32) {
        self.tell(&format!("+ {group}\n"));
    }

    /// The group has ended: its number may soon be another's.
    pub(super) fn gone(&mut self, group: u32) {
        self.tell(&format!("- {group}\n"));
    }

    /// A shell that someone killed leaves us nothing to tell.
    fn tell(&mut self, line: &str) {
        if let Some(pipe) = &mut self.pipe {
            pipe.write_all(line.as_bytes()).ok();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.pipe = None;
        self.shell.wait().ok();
    }
}
