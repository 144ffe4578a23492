//! Directories, ports, processes and waiting: what both the server and the pooler stand on.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for anything local; generous, for loaded machines.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `look` gives a value; panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    match until_deadline(PATIENCE, &mut look) {
        Some(value) => value,
        None => panic!("gave up after {PATIENCE:?} waiting for: {what}"),
    }
}

/// Waits until `look` gives a value, or `patience` is over.
pub fn until_deadline<T>(patience: Duration, look: &mut dyn FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A port that was free a moment ago. The taker must be ready to lose the race.
pub fn free_port() -> u16 {
    // Never the same twice: another test's listener there would be taken for our own.
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind port 0");
        let port = listener.local_addr().expect("local address").port();
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.insert(port) {
            return port;
        }
    }
}

/// The user that servers run as: ourselves, or `postgres` when we are root, whom PostgreSQL refuses.
#[derive(Clone, Copy, Debug)]
pub struct RunAs(Option<(u32, u32)>);

impl RunAs {
    /// The user who may run PostgreSQL.
    pub fn unprivileged() -> Self {
        if id("-u", None) != 0 {
            return RunAs(None);
        }
        RunAs(Some((
            id("-u", Some("postgres")),
            id("-g", Some("postgres")),
        )))
    }

    /// Whoever runs the tests.
    pub fn myself() -> Self {
        RunAs(None)
    }

    /// Applies to a command.
    pub fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let RunAs(Some((uid, gid))) = *self {
            // Ours is not theirs: libpq would look for certificates in it, and not be let in.
            command.uid(uid).gid(gid).env("HOME", "/nonexistent");
        }
        command
    }

    /// Gives a path to that user.
    pub fn own(&self, path: &Path) {
        if let RunAs(Some((uid, gid))) = *self {
            chown(path, Some(uid), Some(gid)).expect("chown");
        }
    }
}

fn id(flag: &str, user: Option<&str>) -> u32 {
    let out = Command::new("id")
        .arg(flag)
        .args(user)
        .output()
        .expect("run id");
    String::from_utf8_lossy(&out.stdout)
        .trim()
        .parse()
        .expect("a PostgreSQL user is needed when the tests run as root")
}

/// A directory that goes away with its owner, unless the test failed.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
}

impl Dir {
    /// A fresh directory; short, because unix socket paths are bounded to 107 bytes.
    pub fn new(kind: &str, owner: RunAs) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-{kind}-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("create directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        owner.own(&path);
        Dir { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, owned by `owner`, with permission bits `mode`.
    pub fn write(&self, name: &str, text: &str, owner: RunAs, mode: u32) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).expect("write file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        owner.own(&path);
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("PLIMSOLL_E2E_KEEP").is_some() {
            eprintln!("kept: {}", self.path.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A child process that cannot outlive us: a small shell waits for our end of a pipe to close.
#[derive(Debug)]
pub struct Process {
    child: Child,
    guard: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with standard output and error appended to `log`. When we die first, `SIGINT` and, should that
    /// not help, `SIGKILL` end it, and `remove` is deleted.
    pub fn start(command: &mut Command, log: &Path, remove: Option<&Path>) -> io::Result<Self> {
        Process::start_reading(command, Stdio::null(), log, remove)
    }

    /// The same, with something at its standard input.
    pub fn start_reading(
        command: &mut Command,
        input: Stdio,
        log: &Path,
        remove: Option<&Path>,
    ) -> io::Result<Self> {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)?;
        let child = command
            .stdin(input)
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()?;
        const GUARD: &str = "read line && exit 0\nkill -INT $1; i=0\n\
            while kill -0 $1 2>/dev/null && [ $i -lt 50 ]; do i=$((i+1)); sleep 0.1; done\n\
            kill -KILL $1 2>/dev/null; [ -z \"$2\" ] || rm -rf \"$2\"";
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &child.id().to_string()])
            .arg(remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Process {
            child,
            guard,
            status: None,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("wait for child");
            if self.status.is_some() {
                self.dismiss_guard();
            }
        }
        self.status
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, name: &str) {
        if self.exited().is_none() {
            signal(self.pid(), name);
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self, what: &str) -> ExitStatus {
        until(what, || self.exited())
    }

    fn dismiss_guard(&mut self) {
        if let Some(mut pipe) = self.guard.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("INT");
        let ended = until_deadline(Duration::from_secs(5), &mut || self.exited());
        if ended.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
            self.dismiss_guard();
        }
    }
}

/// Sends a signal to a process by its id.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// A readable end: exit code, or the signal's number.
pub fn describe_end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(number)) => format!("signal {number}"),
        (None, None) => "unknown end".into(),
    }
}

/// Resident memory of a process in KiB, from the operating system.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|figure| figure.parse().ok())
        .unwrap_or(0)
}
