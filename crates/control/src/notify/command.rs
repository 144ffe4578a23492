//! A command that gets the alerts on standard input. No shell reads it.

use super::send::Fault;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For all of it; what still runs is killed.
const TIME_MAX: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Between two looks at the child.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it to its end. Blocks: for a thread of its own.
pub(super) fn run(argv: &[String], input: &str) -> Result<(), Fault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Fault::lasting("no command is named"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: its children end with it.
        .process_group(0)
        .spawn()
        .map_err(|e| Fault::lasting(&format!("it cannot be started: {}", e.kind())))?;
    let stdin = child.stdin.take();
    let text = input.to_owned();
    // One that does not read must not hold us up; the pipe breaks when it is killed.
    let writer = std::thread::Builder::new()
        .name("notify-input".into())
        .spawn(move || {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(text.as_bytes());
            }
        });
    let deadline = Instant::now() + TIME_MAX;
    let result = loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break Ok(()),
            Ok(Some(status)) => {
                let code = status.code().map_or("a signal".into(), |c| c.to_string());
                break Err(Fault::passing(&format!("it ended with {code}")));
            }
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(None) => {
                end(&mut child);
                break Err(Fault::passing("it did not end within 10 s"));
            }
            Err(_) => {
                end(&mut child);
                break Err(Fault::passing("it cannot be waited for"));
            }
        }
    };
    drop(writer);
    result
}

fn end(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id())
        && let Some(pid) = rustix::process::Pid::from_raw(pid)
    {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}
