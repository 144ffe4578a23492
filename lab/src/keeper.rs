//! Cleans up after us, also when we are killed: a shell that waits for our end of a pipe to close.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Dropping it runs its last words, and waits for them.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
}

impl Keeper {
    /// Runs `first`, and `last` once we are gone or let go. `$1` and so on are the words.
    pub fn new(first: &str, last: &str, words: &[&str]) -> Result<Keeper, String> {
        // No signal is needed: Ctrl-C reaches our group, not this one's.
        let script = format!("{{ {first}; }} >&2 || exit 1; echo ready; read line; {last}");
        let mut child = Command::new("sh")
            .args(["-c", &script, "keeper"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("sh: {e}"))?;
        let mut said = String::new();
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut said);
        }
        match said.trim() {
            "ready" => Ok(Keeper { child }),
            _ => {
                let _ = child.wait();
                Err(format!("`{first}` failed for {}", words.join(" ")))
            }
        }
    }

    /// Its last words are no longer needed.
    pub fn dismiss(mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.child.wait();
    }
}
