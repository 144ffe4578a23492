//! Plimsoll in Kubernetes, as far as it can be proved without a cluster: what is rendered, what a kubelet does to
//! mounts, how a pod ends, and how a Deployment rolls.

mod ending;
mod manifests;
mod mounts;
mod rolling;

use plimsoll_e2e::sandbox::{Process, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A directory that is a volume of a ConfigMap or Secret, written as a kubelet writes it: each content in a directory of
/// its own, one symlink to that of now, and a symlink for each file.
pub struct Volume {
    path: PathBuf,
    writes: u32,
}

impl Volume {
    pub fn new(path: PathBuf) -> Volume {
        std::fs::create_dir_all(&path).expect("a directory");
        Volume { path, writes: 0 }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory of the next content, with the files in it; nobody is led there yet.
    fn prepare(&mut self, files: &[(&str, &str)]) -> PathBuf {
        self.writes += 1;
        let new = self.path.join(format!("..2026_11_{:02}", self.writes));
        std::fs::create_dir(&new).expect("a directory");
        for (name, text) in files {
            std::fs::write(new.join(name), text).expect("write");
        }
        new
    }

    /// What was prepared takes the place of what was there, in one step.
    fn swap(&self, new: &Path) {
        let now = self.path.join("..data");
        let before = std::fs::read_link(&now).ok();
        let aside = self.path.join("..data_tmp");
        symlink(new.file_name().expect("a name"), &aside).expect("link");
        std::fs::rename(&aside, &now).expect("swap");
        for entry in std::fs::read_dir(new).expect("read").flatten() {
            let link = self.path.join(entry.file_name());
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(entry.file_name()), link).expect("link");
            }
        }
        if let Some(before) = before {
            std::fs::remove_dir_all(self.path.join(before)).expect("the old one goes");
        }
    }

    pub fn write(&mut self, files: &[(&str, &str)]) {
        let new = self.prepare(files);
        self.swap(&new);
    }
}

/// What a probe finds at a port of this machine: the status and the body; `None` where nobody answers.
fn probe(port: u16, path: &str) -> Option<(u16, String)> {
    probe_at("127.0.0.1", port, path)
}

/// The same at an address.
fn probe_at(host: &str, port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((host, port)).ok()?;
    // As a probe's timeoutSeconds.
    let limit = Some(Duration::from_secs(2));
    stream.set_read_timeout(limit).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

/// A pooler as the container of a pod, without the container.
pub struct Pod {
    pub process: Process,
    pub host: String,
    pub port: u16,
    pub metrics: u16,
    log: PathBuf,
}

impl Pod {
    fn start(command: Command, log: &Path, ports: (u16, u16)) -> Pod {
        Pod::start_at("127.0.0.1", command, log, ports)
    }

    /// At another address of this machine.
    pub fn start_at(host: &str, mut command: Command, log: &Path, ports: (u16, u16)) -> Pod {
        let process = Process::start(&mut command, log, None).expect("it starts");
        let (port, metrics) = ports;
        Pod {
            process,
            host: host.to_owned(),
            port,
            metrics,
            log: log.to_owned(),
        }
    }

    pub fn is_ready(&self) -> bool {
        probe_at(&self.host, self.metrics, "/readyz").is_some_and(|(code, _)| code == 200)
    }

    pub fn wait_until_ready(&mut self) {
        until("a pod that is ready", || {
            if let Some(end) = self.process.exited() {
                panic!("it ended: {end:?}\n{}", self.said());
            }
            self.is_ready().then_some(())
        });
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
