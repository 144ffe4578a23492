//! In the background, as PgBouncer's `-d`: a process without a terminal, whose parent ends when it serves or has failed.
//!
//! ```text
//!   parent                          child: this program anew, with DETACHED in its environment
//!    │ starts it, reads its stderr    │ a session of its own; reads settings, opens sockets …
//!    │ ◄── what is wrong, as it comes │ … has a mistake: says it, and ends
//!    │ ◄── SERVING                    │ … serves: says so, and lets standard error go
//!    ▼ ends, with 0 or the child's code
//! ```

use anyhow::Context;
use rustix::process::setsid;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

/// Marks the child.
const DETACHED: &str = "PLIMSOLL_DETACHED";
/// What the child says when clients are served; no text of ours has it.
const SERVING: u8 = 0x06;

/// Whether this process is the child.
pub fn is_detached() -> bool {
    std::env::var_os(DETACHED).is_some()
}

/// The child leaves the terminal of whoever started it.
pub fn leave_terminal() {
    // It leads a session already where it started itself anew as another user.
    let _ = setsid();
}

/// Starts this program anew in the background, and waits until it serves or has failed. What it says on the way is
/// passed on.
pub fn detach() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut words = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).env(DETACHED, "1");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(Stdio::piped()).spawn();
    let mut child = child.context("cannot start a process in the background")?;
    let mut said = child.stderr.take().context("no pipe from the process")?;
    let mut bytes = [0; 1024];
    loop {
        let length = said.read(&mut bytes).context("cannot hear the process")?;
        let text = bytes.get(..length).unwrap_or_default();
        let (text, serves) = match text.iter().position(|byte| *byte == SERVING) {
            Some(at) => (text.get(..at).unwrap_or_default(), true),
            None => (text, false),
        };
        // Who does not listen any more misses it.
        let _ = std::io::stderr().write_all(text);
        if serves {
            return Ok(ExitCode::SUCCESS);
        }
        if length == 0 {
            let end = child.wait().context("the process cannot be waited for")?;
            let code = end.code().and_then(|code| u8::try_from(code).ok());
            return Ok(ExitCode::from(code.unwrap_or(1)));
        }
    }
}

/// Clients are served: the child's parent may end. Nothing happens in a process that has none.
pub fn serving() {
    if !is_detached() {
        return;
    }
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(&[SERVING]).and_then(|()| stderr.flush());
    match std::fs::OpenOptions::new().write(true).open("/dev/null") {
        Ok(null) => drop(rustix::stdio::dup2_stderr(&null)),
        Err(error) => tracing::warn!(%error, "/dev/null cannot be opened: standard error stays"),
    }
}
