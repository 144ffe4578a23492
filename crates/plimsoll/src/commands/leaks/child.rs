//! The command: started as a shell would, signals passed on, nothing left behind.

use super::tap::{Tap, now};
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The exit code where the time limit ended the command, as timeout(1) has it.
const OUT_OF_TIME: u8 = 124;
/// What is asked to end may take so long before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// The same for what the command left behind.
const LEFTOVERS_GRACE: Duration = Duration::from_secs(2);
/// Pause between two looks at what is left.
const LOOK: Duration = Duration::from_millis(10);
/// Longest line that is remembered; more of it passes through unread.
const LINE_MAX: usize = 4096;

/// How the command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outcome {
    /// What a shell would say.
    pub(super) code: u8,
    /// A signal to us, or the time limit, ended it.
    pub(super) cut: bool,
}

/// What the waiting thread is told.
enum News {
    Ended(std::io::Result<ExitStatus>),
    Signal(i32),
}

/// Runs a command to its end, or to the limit's.
pub(super) fn run(
    words: &[OsString],
    environment: &BTreeMap<OsString, Option<OsString>>,
    limit: Option<Duration>,
    tap: &Arc<Tap>,
) -> anyhow::Result<Outcome> {
    // A terminal sends its signals to everyone in the foreground; a group of its own would be
    // stopped when it reads.
    let terminal = std::io::stdin().is_terminal();
    let mut command = prepared(words, environment)?;
    if !terminal {
        command.process_group(0);
    }
    // Before the child, so that none is missed.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]).context("cannot watch for signals")?;
    let mut child = command.spawn().with_context(|| {
        let program = command.get_program().to_string_lossy();
        format!("cannot run {program}")
    })?;
    let pid = Pid::from_child(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let passed = Arc::new(AtomicU64::new(0));
    let copies = [
        out.and_then(|from| copy(from, std::io::stdout(), tap, &passed)),
        err.and_then(|from| copy(from, std::io::stderr(), tap, &passed)),
    ];
    let (to, news) = channel();
    let ended = to.clone();
    std::thread::spawn(move || drop(ended.send(News::Ended(child.wait()))));
    let closer = signals.handle();
    let watcher = std::thread::spawn(move || {
        for signal in signals.forever() {
            if to.send(News::Signal(signal)).is_err() {
                return;
            }
        }
    });
    let group = Group { pid, terminal };
    let outcome = wait(&news, &group, limit);
    group.end_leftovers();
    for copy in copies.into_iter().flatten() {
        finish(copy, &passed);
    }
    closer.close();
    let _ = watcher.join();
    outcome
}

/// The command, with its environment and pipes.
fn prepared(
    words: &[OsString],
    environment: &BTreeMap<OsString, Option<OsString>>,
) -> anyhow::Result<Command> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // What a terminal shows is left to it: programs ask whether they write to one.
    if !std::io::stdout().is_terminal() {
        command.stdout(Stdio::piped());
    }
    if !std::io::stderr().is_terminal() {
        command.stderr(Stdio::piped());
    }
    Ok(command)
}

/// Waits until all was passed on. Somebody outside the command's group may have its output, too,
/// and keep it open: then no more is waited for than for the next bytes.
fn finish(copy: JoinHandle<()>, passed: &AtomicU64) {
    let mut before = passed.load(Ordering::Relaxed);
    let mut end = Instant::now() + LEFTOVERS_GRACE;
    while !copy.is_finished() && Instant::now() < end {
        std::thread::sleep(LOOK);
        let now = passed.load(Ordering::Relaxed);
        if now != before {
            (before, end) = (now, Instant::now() + LEFTOVERS_GRACE);
        }
    }
}

/// The processes that the command consists of.
struct Group {
    pid: Pid,
    terminal: bool,
}

impl Group {
    fn send(&self, signal: Signal) {
        // Whoever is gone needs no signal.
        let _ = match self.terminal {
            true => kill_process(self.pid, signal),
            false => kill_process_group(self.pid, signal),
        };
    }

    /// The command has ended; what it left in its group follows.
    fn end_leftovers(&self) {
        if self.terminal || test_kill_process_group(self.pid).is_err() {
            return;
        }
        self.send(Signal::TERM);
        let end = Instant::now() + LEFTOVERS_GRACE;
        while Instant::now() < end {
            if test_kill_process_group(self.pid).is_err() {
                return;
            }
            std::thread::sleep(LOOK);
        }
        self.send(Signal::KILL);
    }
}

fn wait(news: &Receiver<News>, group: &Group, limit: Option<Duration>) -> anyhow::Result<Outcome> {
    let mut deadline = limit.map(|limit| Instant::now() + limit);
    let (mut cut, mut late) = (false, false);
    loop {
        let next = match deadline {
            Some(at) => news.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(News::Ended(status)) => {
                let status = status.context("cannot wait for the command")?;
                let code = if late { OUT_OF_TIME } else { code(status) };
                return Ok(Outcome { code, cut });
            }
            Ok(News::Signal(signal)) => {
                cut = true;
                // The terminal has sent it to the command as well.
                let sent = group.terminal && matches!(signal, SIGINT | SIGQUIT);
                if let Some(signal) = Signal::from_named_raw(signal).filter(|_| !sent) {
                    group.send(signal);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let signal = if late { Signal::KILL } else { Signal::TERM };
                (cut, late) = (true, true);
                group.send(signal);
                deadline = Some(Instant::now() + GRACE);
            }
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody waits for the command"),
        }
    }
}

/// As a shell says it.
fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Passes on what the command prints, as it comes, and remembers its lines.
fn copy(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    tap: &Arc<Tap>,
    passed: &Arc<AtomicU64>,
) -> Option<JoinHandle<()>> {
    let (tap, passed) = (Arc::clone(tap), Arc::clone(passed));
    let pass = move || {
        let mut buffer = vec![0; 16 * 1024];
        let mut line: Vec<u8> = Vec::new();
        while let Ok(n) = from.read(&mut buffer) {
            let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let at = now();
            // Whoever closed our output need not keep the command from going on.
            let _ = to.write_all(bytes).and_then(|()| to.flush());
            passed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            for piece in bytes.split_inclusive(|b| *b == b'\n') {
                let room = LINE_MAX.saturating_sub(line.len());
                line.extend_from_slice(piece.get(..room).unwrap_or(piece));
                if piece.ends_with(b"\n") {
                    tap.line(at, &String::from_utf8_lossy(&line));
                    line.clear();
                }
            }
        }
    };
    std::thread::Builder::new().spawn(pass).ok()
}
