//! What a run leaves behind: nothing. Temporary directory, child processes, free ports, the wish to stop.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use crate::{Failure, fail};

/// Set by SIGINT, SIGTERM and SIGHUP; every loop looks at it, so that guards clean up.
#[derive(Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Takes over the signals.
    pub fn install() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signal_hook::flag::register(signal as i32, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error once somebody asked us to stop.
    pub fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) {
            fail("interrupted")
        } else {
            Ok(())
        }
    }
}

/// The temporary directory and the user that PostgreSQL and the poolers run as.
pub struct Sandbox {
    dir: PathBuf,
    /// Set when we are root, whom PostgreSQL and PgBouncer refuse.
    owner: Option<User>,
    /// When to end early.
    pub stop: Stop,
}

impl Sandbox {
    /// Makes the directory.
    pub fn create(stop: Stop) -> Result<Self, Failure> {
        let owner = if geteuid().is_root() {
            let found = ["postgres", "nobody"]
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten());
            Some(found.ok_or(
                "running as root, and there is no user postgres or nobody to run servers as",
            )?)
        } else {
            None
        };
        let dir = std::env::temp_dir().join(format!("plimsoll-bench-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let sandbox = Self { dir, owner, stop };
        sandbox.hand_over(&sandbox.dir)?;
        Ok(sandbox)
    }

    /// A fresh directory inside, owned by the servers' user.
    pub fn subdir(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.dir.join(name);
        fs::create_dir_all(&path)?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// A copy of a program where the servers' user may read it: build directories are often private.
    pub fn copy_program(&self, program: &Path, name: &str) -> Result<PathBuf, Failure> {
        let copy = self.subdir("bin")?.join(name);
        if !copy.exists() {
            fs::copy(program, &copy).map_err(|e| format!("{}: {e}", program.display()))?;
        }
        Ok(copy)
    }

    /// A command in its own process group (Ctrl-C is ours to handle), as the servers' user.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command
            .process_group(0)
            .stdin(Stdio::null())
            .current_dir(&self.dir);
        if let Some(owner) = &self.owner {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        command
    }

    fn hand_over(&self, path: &Path) -> io::Result<()> {
        match &self.owner {
            Some(owner) => {
                std::os::unix::fs::chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Nothing to be done if it fails; the name says whose it is.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A child that ends with us.
pub struct Process {
    child: Child,
    signal: Signal,
}

impl Process {
    /// Starts it; `signal` is how it is asked to end.
    pub fn spawn(command: &mut Command, signal: Signal) -> Result<Self, Failure> {
        let child = command.spawn().map_err(|e| {
            format!(
                "cannot start {}: {e}",
                command.get_program().to_string_lossy()
            )
        })?;
        Ok(Self { child, signal })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end, and does not wait.
    pub fn ask_to_end(&self) {
        let _ = kill(Pid::from_raw(self.pid()), self.signal);
    }

    /// The pipe of its standard error, once.
    pub fn take_stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// The pipe of its standard output, once.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Asks it to end, then insists.
    pub fn end(&mut self, patience: Duration) {
        if self.ended().is_some() {
            return;
        }
        let _ = kill(Pid::from_raw(self.pid()), self.signal);
        let deadline = Instant::now() + patience;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                // PostgreSQL ends its own children on SIGQUIT, not on SIGKILL.
                let _ = kill(Pid::from_raw(self.pid()), Signal::SIGQUIT);
                std::thread::sleep(Duration::from_millis(300));
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Duration::from_secs(5));
    }
}

/// A port nobody listens on just now. Another program may take it before we do; then the start fails, loudly.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Runs a short command to its end and returns what it printed; its error text is in the failure.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .output()
        .map_err(|e| format!("cannot start {name}: {e}"))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        fail(format!(
            "{name}: {}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        ))
    }
}

/// Finds a program: a path as it is, a name in PATH and in the directories for servers.
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return fs::canonicalize(name).ok();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places.map(|dir| dir.join(name)).find(|file| file.is_file())
}
