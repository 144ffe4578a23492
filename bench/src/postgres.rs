//! A private PostgreSQL for the length of a run: trust, TCP on loopback, filled by `pgbench -i`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::sandbox::{Process, Sandbox, find_program, free_address, output};
use crate::{DATABASE, Failure, PASSWORD, USER, fail, wire};

/// pgbench's scale: 10 makes a million accounts, 150 MB, which stay in memory.
const SCALE: &str = "10";
/// Room for four poolers with 20 connections each and 64 direct ones.
pub const MAX_CONNECTIONS: u32 = 200;

/// A running server.
pub struct Postgres {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its own words about its version.
    pub version: String,
    /// Directory of psql, pgbench and the rest.
    pub bin: PathBuf,
    /// The verifier of [`PASSWORD`] as the server keeps it.
    pub scram_secret: String,
}

impl Postgres {
    /// Makes a cluster in a directory of that name and starts it.
    pub fn start(
        sandbox: &Sandbox,
        bin: Option<PathBuf>,
        name: &str,
        max_connections: u32,
    ) -> Result<Self, Failure> {
        let bin = bin
            .or_else(find_bin)
            .ok_or("no PostgreSQL found: install it, or say where with --pg-bin DIR")?;
        let data = sandbox.subdir(&format!("data-{name}"))?;
        output(
            sandbox
                .command(bin.join("initdb"))
                .args([
                    "--auth=trust",
                    "--no-sync",
                    "--encoding=UTF8",
                    "--locale=C",
                    "-U",
                    USER,
                    "-D",
                ])
                .arg(&data),
        )?;
        let address = free_address()?;
        let log = fs::File::create(sandbox.subdir("log")?.join("postgres.log"))?;
        let mut command = sandbox.command(bin.join("postgres"));
        command
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(log);
        for setting in [
            format!("port={}", address.port()),
            "listen_addresses=127.0.0.1".into(),
            "unix_socket_directories=".into(),
            format!("max_connections={max_connections}"),
            "shared_buffers=256MB".into(),
            "fsync=off".into(),
            "autovacuum=off".into(),
            "password_encryption=scram-sha-256".into(),
        ] {
            command.arg("-c").arg(setting);
        }
        // SIGINT is PostgreSQL's fast shutdown.
        let process = Process::spawn(&mut command, Signal::SIGINT)?;
        let mut server = Self {
            process,
            address,
            version: String::new(),
            bin,
            scram_secret: String::new(),
        };
        server.wait(sandbox)?;
        server.prepare(sandbox)?;
        Ok(server)
    }

    /// Answers one value.
    pub fn ask(&self, sandbox: &Sandbox, database: &str, sql: &str) -> Result<String, Failure> {
        let mut command = sandbox.command(self.bin.join("psql"));
        command.args([
            "-XAtq",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
            "-d",
            database,
            "-c",
            sql,
        ]);
        command.arg("-p").arg(self.address.port().to_string());
        Ok(output(&mut command)?.trim().to_owned())
    }

    fn wait(&mut self, sandbox: &Sandbox) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(e) = wire::login(self.address, USER, "postgres") {
            sandbox.stop.check()?;
            if self.process.ended().is_some() || Instant::now() > deadline {
                return fail(format!("PostgreSQL does not start: {e}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn prepare(&mut self, sandbox: &Sandbox) -> Result<(), Failure> {
        self.ask(sandbox, "postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        self.ask(
            sandbox,
            "postgres",
            &format!("ALTER ROLE {USER} PASSWORD '{PASSWORD}'"),
        )?;
        let secret = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{USER}'");
        self.scram_secret = self.ask(sandbox, "postgres", &secret)?;
        self.version = self.ask(sandbox, "postgres", "SHOW server_version")?;
        let mut fill = sandbox.command(self.bin.join("pgbench"));
        fill.args(["-i", "-q", "-s", SCALE, "-h", "127.0.0.1", "-U", USER]);
        output(
            fill.arg("-p")
                .arg(self.address.port().to_string())
                .arg(DATABASE),
        )?;
        self.ask(sandbox, DATABASE, "CHECKPOINT")?;
        Ok(())
    }
}

/// The newest of Debian's directories, else where `postgres` in PATH lives.
fn find_bin() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .ok()
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, bin)| bin.join("postgres").is_file() && bin.join("pgbench").is_file())
        .max();
    newest
        .map(|(_, bin)| bin)
        .or_else(|| find_program("postgres")?.parent().map(Into::into))
}
