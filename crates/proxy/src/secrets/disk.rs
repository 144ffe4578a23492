//! Where settings and secrets are read from: files, variables, commands.

use config::SecretCommand;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Larger secret files are refused; as large as the largest user file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most that a `password_command` may print.
const PRINTED_MAX: u64 = 64 << 10;
/// Longest run of a `password_command`.
const RUN_MAX: Duration = Duration::from_secs(10);
/// A command that failed is not run again before this; its error stands.
const RETRY: Duration = Duration::from_secs(5);
/// A younger answer is not doubted: the command has just run.
const JUST_RUN: Duration = Duration::from_secs(1);
/// Most commands whose answers are kept.
const COMMANDS_MAX: usize = 10_000;
/// Pause between two looks whether a command that closed its output has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Reads for the settings' readers. Clones share what commands have printed.
#[derive(Clone, Default)]
pub struct Disk {
    answers: Arc<Mutex<BTreeMap<SecretCommand, Answer>>>,
}

/// What a command printed, or why it printed nothing.
struct Answer {
    at: Instant,
    printed: Result<Vec<u8>, String>,
}

impl Answer {
    /// It may be used without asking again.
    fn good(&self, command: &SecretCommand) -> bool {
        let age = self.at.elapsed();
        match (&self.printed, command.ttl) {
            (Ok(_), None) => true,
            (Ok(_), Some(ttl)) => age < renewal(ttl),
            (Err(_), _) => age < RETRY,
        }
    }
}

/// A secret with an end is renewed when a quarter of its time is left.
fn renewal(ttl: Duration) -> Duration {
    ttl - ttl / 4
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk(…)")
    }
}

impl Disk {
    fn answers(&self) -> MutexGuard<'_, BTreeMap<SecretCommand, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next reading of this command runs it, unless it has just run or failed.
    pub(crate) fn doubt(&self, command: &SecretCommand) {
        self.answers().retain(|known, answer| {
            known != command || answer.printed.is_err() || answer.at.elapsed() < JUST_RUN
        });
    }

    /// The answer of this command ends soon, or there is none.
    pub(crate) fn is_due(&self, command: &SecretCommand) -> bool {
        command.ttl.is_some() && !self.answers().get(command).is_some_and(|a| a.good(command))
    }
}

impl config::Source for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn run(&self, command: &SecretCommand) -> io::Result<Vec<u8>> {
        if let Some(answer) = self.answers().get(command).filter(|a| a.good(command)) {
            return answer.printed.clone().map_err(failed);
        }
        // No lock is held while it runs.
        let printed = run(&command.argv, RUN_MAX).map_err(|error| error.to_string());
        let mut answers = self.answers();
        if answers.len() >= COMMANDS_MAX {
            answers.clear();
        }
        let answer = Answer {
            at: Instant::now(),
            printed: printed.clone(),
        };
        answers.insert(command.clone(), answer);
        printed.map_err(failed)
    }
}

/// A regular file of bounded size; never waits for a FIFO's other end.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let nonblock = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(nonblock.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        let what = "it is no regular file";
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

fn failed(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}

/// Runs a command without a shell and takes what it prints. Its own errors are
/// not read: they may show what it was asked for.
fn run(argv: &[String], longest: Duration) -> io::Result<Vec<u8>> {
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| failed("it names no program"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // With what it starts, it can be ended as a group.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("it cannot be started: {}", error.kind())))?;
    let deadline = Instant::now() + longest;
    let printed = printed(&mut child, deadline);
    let status = match &printed {
        Ok(_) => ended(&mut child, deadline),
        Err(_) => None,
    };
    let Some(status) = status else {
        end(&mut child);
        let late = || failed(format!("it did not end within {} s", longest.as_secs()));
        return Err(printed.err().unwrap_or_else(late));
    };
    if !status.success() {
        return Err(failed(match status.code() {
            Some(code) => format!("it ended with exit code {code}"),
            None => "it was ended by a signal".to_owned(),
        }));
    }
    printed
}

/// All that it prints. The reader is a thread of its own, because a pipe cannot
/// be read with a time limit; the command's end ends it.
fn printed(child: &mut Child, deadline: Instant) -> io::Result<Vec<u8>> {
    let pipe = child.stdout.take().ok_or_else(|| failed("no output"))?;
    let (to, from) = sync_channel(1);
    std::thread::Builder::new()
        .name("secret-output".into())
        .spawn(move || {
            let mut bytes = Vec::new();
            let read = pipe.take(PRINTED_MAX + 1).read_to_end(&mut bytes);
            let _ = to.send(read.map(|_| bytes));
        })?;
    let left = deadline.saturating_duration_since(Instant::now());
    match from.recv_timeout(left) {
        Ok(Ok(bytes)) if bytes.len() as u64 > PRINTED_MAX => Err(failed(format!(
            "it printed more than {} KiB",
            PRINTED_MAX >> 10
        ))),
        Ok(read) => read,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(failed(format!(
            "it did not end within {} s",
            RUN_MAX.as_secs()
        ))),
    }
}

fn ended(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            _ => return None,
        }
    }
}

/// Ends the command and what it started.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok();
    if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Source;

    fn command(script: &str, ttl: Option<u64>) -> SecretCommand {
        SecretCommand {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            ttl: ttl.map(Duration::from_secs),
        }
    }

    #[test]
    fn commands_are_bounded_and_their_errors_show_no_output() {
        let run = |script: &str| {
            let argv = command(script, None).argv;
            run(&argv, Duration::from_millis(500)).map_err(|e| e.to_string())
        };
        assert_eq!(run("printf pass"), Ok(b"pass".to_vec()));
        for (script, why) in [
            ("echo Hunter2; echo Hunter2 >&2; exit 3", "exit code 3"),
            ("kill -9 $$", "signal"),
            ("sleep 60", "did not end"),
            ("sleep 60 & echo Hunter2", "did not end"),
            ("exec 1>&-; sleep 60", "did not end"),
            ("yes Hunter2", "more than 64 KiB"),
        ] {
            let error = run(script).expect_err(script);
            assert!(error.contains(why), "{script}: {error}");
            assert!(!error.contains("Hunter2"));
        }
        let absent = super::run(&["/no/such/program".to_owned()], RUN_MAX);
        assert!(absent.is_err_and(|e| e.to_string().contains("cannot be started")));
    }

    #[test]
    fn an_answer_is_used_again_until_it_is_doubted_or_due() {
        let dir = std::env::temp_dir().join(format!("plimsoll-disk-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let count = dir.join("count");
        let script = format!("echo x >> {0}; wc -l < {0}", count.display());
        let (disk, command) = (Disk::default(), command(&script, Some(3600)));
        assert!(disk.is_due(&command), "it never ran");
        let said = |disk: &Disk| {
            let bytes = disk.run(&command).expect("it runs");
            String::from_utf8_lossy(&bytes).trim().to_owned()
        };
        assert_eq!((said(&disk), said(&disk.clone())), ("1".into(), "1".into()));
        assert!(!disk.is_due(&command));
        disk.doubt(&command);
        assert_eq!(said(&disk), "1", "it has just run");
        for answer in disk.answers().values_mut() {
            answer.at = Instant::now() - Duration::from_secs(60);
        }
        assert_eq!(said(&disk), "1");
        disk.doubt(&command);
        assert_eq!(said(&disk), "2");
        for answer in disk.answers().values_mut() {
            answer.at = Instant::now() - Duration::from_secs(2701);
        }
        assert!(disk.is_due(&command), "a quarter of its time is left");
        let forever = SecretCommand {
            ttl: None,
            ..command.clone()
        };
        assert!(!disk.is_due(&forever), "without an end it is never due");
        assert!(disk.run(&forever).is_ok());
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn a_command_that_fails_is_not_run_all_the_time() {
        let dir = std::env::temp_dir().join(format!("plimsoll-fails-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let script = format!("echo x >> {}/count; exit 1", dir.display());
        let (disk, command) = (Disk::default(), command(&script, Some(10)));
        for _ in 0..3 {
            let error = disk.run(&command).expect_err("it fails").to_string();
            assert!(error.contains("exit code 1"), "{error}");
            disk.doubt(&command);
            assert!(!disk.is_due(&command));
        }
        for answer in disk.answers().values_mut() {
            answer.at = Instant::now() - RETRY;
        }
        assert!(disk.is_due(&command), "after a pause it is run again");
        let _ = disk.run(&command);
        let count = std::fs::read_to_string(dir.join("count")).expect("it ran");
        assert_eq!(count, "x\nx\n");
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        assert!(read_file("/".as_ref()).is_err());
        assert!(read_file("/dev/zero".as_ref()).is_err());
        assert!(read_file("/no/such".as_ref()).is_err());
    }
}
