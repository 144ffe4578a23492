//! What a failover needs: servers on addresses of their own, a streaming standby,
//! a promotion, a server that freezes, and one that comes back read-only.

use super::{Server, program};
use crate::sandbox::{Dir, RunAs, signal};
use std::process::Command;

impl Server {
    /// As [`Server::start_with`], at this loopback address.
    pub fn start_at(host: &str, settings: &[&str]) -> Self {
        Self::start_on(host, settings)
    }

    /// A copy of this server that follows it, at another address and the same port.
    pub fn standby_at(&self, host: &str) -> Server {
        let port = self.port.to_string();
        self.standby_by(host, &["-h", &self.host, "-p", &port, "-U", "postgres"])
    }

    /// The same, copied and followed by the way that these words for pg_basebackup tell.
    pub fn standby_by(&self, host: &str, way: &[&str]) -> Server {
        let run_as = RunAs::unprivileged();
        let dir = Dir::new("pg", run_as);
        let mut copy = Command::new(program("pg_basebackup"));
        copy.args(way)
            .args(["-c", "fast", "-X", "stream", "-R", "-D"])
            .arg(dir.path().join("data"))
            .current_dir(dir.path());
        let out = run_as.apply(&mut copy).output().expect("run pg_basebackup");
        assert!(
            out.status.success(),
            "pg_basebackup failed: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        let mut server = Server {
            process: None,
            host: host.to_owned(),
            port: self.port,
            frozen: Vec::new(),
            run_as,
            certificates: self.certificates.clone(),
            dir,
        };
        server.boot();
        server
    }

    /// Ends its recovery; returns once it takes writes.
    pub fn promote(&self) {
        let done = self.sql("postgres", "select pg_promote(true, 30)");
        assert_eq!(done[0][0], "t", "not promoted");
    }

    /// Starts it again, in recovery: it answers, and takes no writes.
    pub fn start_again_as_standby(&mut self) {
        let mark = self.dir.path().join("data/standby.signal");
        std::fs::write(&mark, "").expect("standby.signal");
        self.run_as.own(&mark);
        self.start_again();
    }

    /// Stops all its processes where they are: sockets stay open, nothing answers.
    pub fn freeze(&mut self) {
        let parent = self.process.as_ref().expect("running").pid();
        // First the one that would make new ones.
        self.frozen = vec![parent];
        signal(parent, "STOP");
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse::<u32>().ok());
        self.frozen.extend(children);
        for pid in &self.frozen {
            signal(*pid, "STOP");
        }
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        for pid in std::mem::take(&mut self.frozen).into_iter().rev() {
            signal(pid, "CONT");
        }
    }
}
