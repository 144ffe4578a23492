//! The server's life: made, started, stopped, killed, started again, removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::directory::{Directory, tail};
use super::error::doing;
use super::settings::{self, identifier, literal, percent};
use super::watchdog::Watchdog;
use super::{Options, Programs, SandboxError, text};

/// Ports tried at the first start: another process may take one between our look and our use.
const PORTS_MAX: u32 = 5;

/// How long a server may take to end before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running (or stopped, or killed) private PostgreSQL. Dropping it removes it.
#[derive(Debug)]
pub struct Sandbox {
    options: Options,
    programs: Programs,
    directory: Directory,
    watchdog: Watchdog,
    port: u16,
    /// `None` while it does not run.
    server: Option<Child>,
}

impl Sandbox {
    /// Makes a data directory, starts the server and waits until it takes connections.
    pub fn start(options: Options) -> Result<Sandbox, SandboxError> {
        let programs = options.places.find().map_err(SandboxError::NotFound)?;
        let directory = Directory::create(options.base.as_deref())?;
        let watchdog = match Watchdog::start(&directory.path) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                directory.remove();
                return Err(SandboxError::Io("start the watchdog (/bin/sh)", error));
            }
        };
        // From here on, dropping `sandbox` cleans up after any error.
        let mut sandbox = Sandbox {
            options,
            programs,
            directory,
            watchdog,
            port: 0,
            server: None,
        };
        sandbox.initdb()?;
        sandbox.start_on_a_free_port()?;
        Ok(sandbox)
    }

    /// The TCP port. It stays the same over [`Sandbox::restart`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the unix socket: libpq's `host`.
    pub fn socket_dir(&self) -> &Path {
        &self.directory.path
    }

    /// The superuser, who needs no password on the unix socket and has none for TCP.
    pub fn superuser(&self) -> &str {
        &self.options.superuser
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.data()
    }

    /// The server's log.
    pub fn log_path(&self) -> PathBuf {
        self.directory.log()
    }

    /// The programs in use, `pgbench` among them where it is installed.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The server's process number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Whether the server's process lives.
    pub fn is_running(&mut self) -> bool {
        match &mut self.server {
            Some(server) => matches!(server.try_wait(), Ok(None)),
            None => false,
        }
    }

    /// A `postgres://` URL for TCP. It holds the password: do not print it.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let (user, password, database) = (percent(user), percent(password), percent(database));
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Runs SQL as the superuser and returns what it printed: rows without
    /// headers, columns separated by `|`. Stops at the first error.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, SandboxError> {
        let mut command = self.command(&self.programs.psql);
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .arg("-h")
            .arg(self.socket_dir())
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                self.superuser(),
                "-d",
                database,
            ]);
        // By standard input, since arguments (and so passwords) are for all to see.
        let output = doing("run psql", run_with_input(&mut command, sql))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned())
        } else {
            Err(SandboxError::Psql(
                String::from_utf8_lossy(&output.stderr)
                    .trim_end()
                    .to_owned(),
            ))
        }
    }

    /// `CREATE ROLE … LOGIN PASSWORD …`, followed by `more` ("SUPERUSER CONNECTION LIMIT 5").
    pub fn create_user(&self, name: &str, password: &str, more: &str) -> Result<(), SandboxError> {
        let (name, password) = (identifier(name), literal(password));
        self.psql(
            "postgres",
            &format!("create role {name} login password {password} {more};"),
        )?;
        Ok(())
    }

    /// `CREATE DATABASE … OWNER …`.
    pub fn create_database(&self, name: &str, owner: &str) -> Result<(), SandboxError> {
        let (name, owner) = (identifier(name), identifier(owner));
        self.psql(
            "postgres",
            &format!("create database {name} owner {owner};"),
        )?;
        Ok(())
    }

    /// A command as the server's user, in its directory, without our `PG…` variables.
    /// For `pgbench` and the like.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.directory.path)
            .env("LC_ALL", "C")
            .env("HOME", &self.directory.path);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Some(account) = &self.directory.account {
            account.apply(&mut command);
        }
        command
    }

    /// A clean ("fast") stop: sessions end with 57P01. Does nothing when it does not run.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// `kill -9`, as a crash would. The next start recovers.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().ok();
            server.wait().ok();
            self.watchdog.gone();
        }
    }

    /// Stops the server when it runs, then starts it on the same port and waits until it is ready.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        self.stop();
        self.launch()
    }

    fn initdb(&mut self) -> Result<(), SandboxError> {
        let mut command = self.command(&self.programs.initdb);
        command
            .args([
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--auth=trust",
                "-U",
            ])
            .arg(&self.options.superuser)
            .arg("-D")
            .arg(self.directory.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = doing("run initdb", command.spawn())?;
        self.watchdog.watch(child.id()).ok();
        let output = doing("wait for initdb", child.wait_with_output());
        self.watchdog.gone();
        let output = output?;
        if !output.status.success() {
            return Err(SandboxError::Initdb(tail(&String::from_utf8_lossy(
                &output.stderr,
            ))));
        }
        self.directory
            .write("pg_hba.conf", &settings::pg_hba_conf(&self.options))?;
        if let Some(tls) = &self.options.tls {
            self.directory.write("server.crt", &tls.certificate)?;
            self.directory.write("server.key", &tls.key)?;
            if let Some(ca) = &tls.client_ca {
                self.directory.write("clients.crt", ca)?;
            }
        }
        Ok(())
    }

    fn start_on_a_free_port(&mut self) -> Result<(), SandboxError> {
        let mut attempt = 1;
        loop {
            self.port = doing("find a free port", free_port())?;
            let conf =
                settings::postgresql_conf(&self.options, self.port, &text(self.socket_dir()));
            self.directory.write("postgresql.conf", &conf)?;
            match self.launch() {
                Err(SandboxError::Exited(log))
                    if attempt < PORTS_MAX
                        && log.contains("could not create any TCP/IP sockets") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Starts the server and waits for it. After a kill, its backends may hold
    /// the shared memory for a moment: then it is tried again.
    fn launch(&mut self) -> Result<(), SandboxError> {
        let deadline = Instant::now() + self.options.start_within;
        loop {
            self.spawn()?;
            match self.wait_until_ready(deadline) {
                Err(SandboxError::Exited(log))
                    if log.contains("is still in use") && Instant::now() < deadline =>
                {
                    pause();
                }
                result => return result,
            }
        }
    }

    fn spawn(&mut self) -> Result<(), SandboxError> {
        let log = doing("make PostgreSQL's log", File::create(self.directory.log()))?;
        let mut command = self.command(&self.programs.postgres);
        command
            .arg("-D")
            .arg(self.directory.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for us: we drain, then stop the server.
            .process_group(0);
        let server = doing("start PostgreSQL", command.spawn())?;
        self.watchdog.watch(server.id()).ok();
        self.server = Some(server);
        Ok(())
    }

    /// Ready is what the server itself writes into its pid file, as `pg_ctl` reads it.
    fn wait_until_ready(&mut self, deadline: Instant) -> Result<(), SandboxError> {
        let Some(pid) = self.pid() else {
            return Err(SandboxError::Exited(String::new()));
        };
        let pid_file = self.directory.data().join("postmaster.pid");
        loop {
            if fs::read_to_string(&pid_file).is_ok_and(|text| says_ready(&text, pid)) {
                return Ok(());
            }
            if !self.is_running() {
                self.server = None;
                self.watchdog.gone();
                return Err(SandboxError::Exited(self.directory.log_tail()));
            }
            if Instant::now() >= deadline {
                self.kill();
                return Err(SandboxError::NotReady(self.directory.log_tail()));
            }
            pause();
        }
    }

    /// Sends a signal, waits for the end, and kills a server that does not obey.
    fn end(&mut self, signal: &str) {
        if let Some(server) = &mut self.server {
            send(signal, server.id());
            let deadline = Instant::now() + STOP_WITHIN;
            while matches!(server.try_wait(), Ok(None)) && Instant::now() < deadline {
                pause();
            }
            // Already ended: this reaps nothing and harms nobody.
            self.kill();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // "Immediate": nothing in it is worth a checkpoint.
        self.end("QUIT");
        self.directory.remove();
        self.watchdog.dismiss();
    }
}

/// Waits for a condition, looking every few milliseconds. `false` when it did not come in time.
pub fn wait_until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        pause();
    }
}

/// The first line is the process number, the eighth the state.
fn says_ready(pid_file: &str, pid: u32) -> bool {
    let mut lines = pid_file.lines();
    lines
        .next()
        .is_some_and(|line| line.trim() == pid.to_string())
        && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

/// The system hands out a port; it is free again when this returns.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The standard library can only kill. The shell can send any signal. The
/// process is our child and not reaped, so the number is surely its own.
fn send(signal: &str, pid: u32) {
    Command::new("/bin/sh")
        .args([
            "-c",
            "kill -s \"$1\" \"$2\"",
            "sh",
            signal,
            &pid.to_string(),
        ])
        .stderr(Stdio::null())
        .status()
        .ok();
}

/// Writes the input from a thread of its own, so that neither side waits for the other.
fn run_with_input(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // psql that stops at an error closes the pipe early. That is its answer, not a fault.
            stdin.map(|mut pipe| pipe.write_all(input.as_bytes()));
        });
        child.wait_with_output()
    })
}

/// Between two looks at a condition that no handle can wait for.
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_ready_line_counts() {
        let file = |pid: &str, state: &str| {
            format!("{pid}\n/data\n1700000000\n5432\n/s\n127.0.0.1\n  5432001 7\n{state}\n")
        };
        let table = [
            ("ready", file("41", "ready   "), true),
            ("still starting", file("41", "starting"), false),
            ("left by a killed server", file("40", "ready   "), false),
            ("half written", "41\n/data\n".to_owned(), false),
            ("empty", String::new(), false),
        ];
        for (what, text, expected) in table {
            assert_eq!(says_ready(&text, 41), expected, "{what}");
        }
    }
}
