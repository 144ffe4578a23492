//! A private etcd: one member, own directory, own ports, loopback only.

use crate::sandbox::{Dir, PATIENCE, Process, RunAs, free_port, until_deadline};
use crate::server::Certificates;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running etcd; it ends with this.
#[derive(Debug)]
pub struct Etcd {
    process: Option<Process>,
    /// For clients, and for members of which there is only one.
    ports: (u16, u16),
    /// Clients show a certificate of this authority. Whether it is well is told at the port
    /// beside, without TLS.
    tls: Option<(Certificates, u16)>,
    dir: Dir,
}

impl Etcd {
    /// Starts one, or says why there is none.
    pub fn start() -> Result<Etcd, String> {
        Etcd::start_with(false)
    }

    /// One that takes TLS alone, and asks each client for its certificate.
    pub fn start_with_tls() -> Result<Etcd, String> {
        Etcd::start_with(true)
    }

    fn start_with(tls: bool) -> Result<Etcd, String> {
        let found = Command::new("etcd").arg("--version").output();
        if !found.is_ok_and(|out| out.status.success()) {
            return Err("etcd is not there; `cargo xtask deps` installs it".into());
        }
        let dir = Dir::new("etcd", RunAs::myself());
        let tls = tls.then(|| (Certificates::generate(&dir, RunAs::myself()), 0));
        let mut etcd = Etcd {
            process: None,
            ports: (0, 0),
            tls,
            dir,
        };
        // The ports were free a moment ago; another may have been faster.
        for _ in 0..5 {
            etcd.ports = (free_port(), free_port());
            if let Some((_, health)) = &mut etcd.tls {
                *health = free_port();
            }
            if etcd.boot(&etcd.dir.path().join("data")) {
                return Ok(etcd);
            }
        }
        panic!("etcd did not start:\n{}", etcd.log());
    }

    /// Where clients ask.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.ports.0)
    }

    /// The files of one that was started with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.tls.as_ref().map(|(files, _)| files)
    }

    /// Ends it at once, as a crash does. What it has written stays.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("KILL");
            process.wait("etcd to be killed");
        }
    }

    /// It stands still, and goes on with `CONT`.
    pub fn signal(&mut self, name: &str) {
        if let Some(process) = &mut self.process {
            process.signal(name);
        }
    }

    /// Starts it again on its ports, with what it has written.
    pub fn start_again(&mut self) {
        let data = self.dir.path().join("data");
        assert!(self.boot(&data), "etcd is not back:\n{}", self.log());
    }

    /// Saves what it holds to a file.
    pub fn backup(&self) -> Result<(), String> {
        let file = self.dir.path().join("backup.db");
        let _ = std::fs::remove_file(&file);
        self.control(&["snapshot", "save", &file.display().to_string()])
    }

    /// Ends it, and starts it on its ports with what was saved: its revisions go back.
    pub fn restore(&mut self) -> Result<(), String> {
        self.kill();
        let data = self.dir.path().join("data");
        let _ = std::fs::remove_dir_all(&data);
        let file = self.dir.path().join("backup.db").display().to_string();
        let (name, at) = ("--name=one", format!("--data-dir={}", data.display()));
        let peer = format!("http://127.0.0.1:{}", self.ports.1);
        let cluster = format!("--initial-cluster=one={peer}");
        let peers = format!("--initial-advertise-peer-urls={peer}");
        self.control(&["snapshot", "restore", &file, name, &at, &cluster, &peers])?;
        assert!(self.boot(&data), "etcd is not back:\n{}", self.log());
        Ok(())
    }

    /// Runs etcdctl on it; it is not everywhere where etcd is.
    pub fn control(&self, words: &[&str]) -> Result<(), String> {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.url()))
            .args(words);
        match command.output() {
            Ok(out) if out.status.success() => Ok(()),
            Ok(out) => panic!("{words:?}: {}", String::from_utf8_lossy(&out.stderr)),
            Err(error) => Err(format!("etcdctl: {error}")),
        }
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("etcd.log")).unwrap_or_default()
    }

    fn boot(&mut self, data: &Path) -> bool {
        let (client, peer) = (self.url(), format!("http://127.0.0.1:{}", self.ports.1));
        let mut command = Command::new("etcd");
        command
            .args(["--name=one", "--logger=zap", "--log-level=warn"])
            .args(["--log-outputs=stderr"])
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=one={peer}"))
            .current_dir(self.dir.path());
        if let Some((files, health)) = &self.tls {
            command
                .arg(format!("--cert-file={}", files.cert.display()))
                .arg(format!("--key-file={}", files.key.display()))
                .arg(format!("--trusted-ca-file={}", files.ca.display()))
                .arg("--client-cert-auth")
                .arg(format!("--listen-metrics-urls=http://127.0.0.1:{health}"));
        }
        let log = self.dir.path().join("etcd.log");
        let remove = Some(self.dir.path());
        let mut process = Process::start(&mut command, &log, remove).expect("start etcd");
        let up = until_deadline(PATIENCE, &mut || match process.exited() {
            Some(_) => Some(false),
            None => self.is_healthy().then_some(true),
        });
        self.process = Some(process);
        up == Some(true)
    }

    fn is_healthy(&self) -> bool {
        let port = self
            .tls
            .as_ref()
            .map_or(self.ports.0, |(_, health)| *health);
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else {
            return false;
        };
        let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
        let ask = b"GET /health HTTP/1.0\r\nHost: etcd\r\n\r\n";
        let mut answer = String::new();
        let asked = socket.write_all(ask);
        asked.is_ok()
            && socket.read_to_string(&mut answer).is_ok()
            && answer.contains(r#""health":"true""#)
    }
}
