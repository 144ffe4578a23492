//! Instances of two versions: started, ended, and asked by the command line of either.

use crate::load::Load;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, Process, RunAs, free_port, until};
use plimsoll_e2e::server::PASSWORD;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a balancer goes on sending clients to an instance that is ending; below `drain_delay`.
const BALANCER_HEARS: Duration = Duration::from_millis(400);

/// A program of some version.
#[derive(Clone)]
pub struct Version {
    pub path: PathBuf,
    /// What the report calls it.
    pub name: String,
}

/// A running instance.
pub struct Instance {
    process: Process,
    pub home: Home,
    pub version: Version,
}

/// Where an instance lives; it outlives the process.
pub struct Home {
    dir: Dir,
    pub port: u16,
    metrics: u16,
}

impl Home {
    /// `more`: further sections.
    pub fn new(load: &Load, more: &str) -> Home {
        let dir = Dir::new("upgrade", RunAs::myself());
        let home = Home {
            dir,
            port: free_port(),
            metrics: free_port(),
        };
        home.write(load, more);
        home
    }

    fn write(&self, load: &Load, more: &str) {
        let at = self.dir.path().display();
        std::fs::write(self.dir.path().join("pw"), PASSWORD).expect("written");
        // The pool alone would cross the line: only the budget holds it.
        let text = format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{at}\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n[state]\ndirectory = \"{at}/state\"\n\
             [auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n[pool]\nsize = 60\n\
             [timeouts]\ndrain_delay = \"1s\"\ndrain = \"10s\"\n\
             [database.app]\nhost = \"127.0.0.1\"\nport = {server}\nuser = \"app\"\npassword_file = \"{at}/pw\"\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\n\
             [[user]]\nname = \"watcher\"\npassword_file = \"{at}/pw\"\n{more}\n",
            port = self.port,
            metrics = self.metrics,
            server = load.server.port(),
        );
        std::fs::write(self.file(), text).expect("written");
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("plimsoll.toml")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts a version here, and waits until it is ready.
    pub fn start(self, version: &Version) -> Instance {
        let mut command = Command::new(&version.path);
        command.arg("run").arg(self.file());
        let log = self.dir.path().join("log");
        let process = Process::start(&mut command, &log, None).expect("it starts");
        let mut instance = Instance {
            process,
            home: self,
            version: version.clone(),
        };
        until("an instance that is ready", || {
            if let Some(end) = instance.process.exited() {
                panic!("{} ended: {end:?}\n{}", version.name, instance.home.log());
            }
            instance.is_ready().then_some(())
        });
        instance
    }

    /// What a command of some version says of the pooler here, as JSON.
    pub fn ask(&self, version: &Version, words: &[&str]) -> Result<Value, String> {
        let output = Command::new(&version.path)
            .args(words)
            .args(["--format", "json", "--socket"])
            .arg(self.dir.path())
            .env_remove("PLIMSOLL_SOCKET")
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("{} {}: {text} {said}", version.name, words.join(" "))
        })
    }

    /// A version applies settings with this text in place of that one.
    pub fn change(&self, version: &Version, (from, to): (&str, &str)) {
        let text = std::fs::read_to_string(self.file()).expect("read");
        assert!(text.contains(from), "{text}");
        let new = self.dir.path().join("new.toml");
        std::fs::write(&new, text.replace(from, to)).expect("written");
        let new = new.to_string_lossy().into_owned();
        let words = ["apply", &new, "--now", "--yes", "--reason", "an upgrade"];
        if let Err(error) = self.ask(version, &words) {
            panic!("{error}\n{}", self.log());
        }
    }
}

impl Instance {
    fn is_ready(&self) -> bool {
        let answer = http(self.home.metrics, "/readyz");
        let target = Target::tcp("127.0.0.1", self.home.port, "app", "app");
        answer.is_some_and(|text| text.starts_with("HTTP/1.1 200"))
            && Client::login(&target).is_ok()
    }

    /// New connections come here too.
    pub fn join(&self, load: &Load) {
        load.endpoints
            .lock()
            .expect("endpoints")
            .push(self.home.port);
    }

    /// SIGTERM, while the balancer hears of it in its own time.
    pub fn end(mut self, load: &Load) -> (Home, Duration) {
        let told = Instant::now();
        self.process
            .signal(if load.kills { "KILL" } else { "TERM" });
        load.pause(BALANCER_HEARS);
        let port = self.home.port;
        let mut endpoints = load.endpoints.lock().expect("endpoints");
        if endpoints.len() > 1 {
            endpoints.retain(|p| *p != port);
        }
        drop(endpoints);
        let end = self.process.wait("the end of an instance");
        assert!(load.kills || end.code() == Some(0), "{}", self.home.log());
        (self.home, told.elapsed())
    }

    /// The states in which it sees the others.
    pub fn peers(&self) -> Vec<String> {
        let status = self
            .home
            .ask(&self.version, &["status"])
            .unwrap_or_default();
        let peers = status["fleet"]["peers"].as_array().cloned();
        let state = |peer: &Value| peer["state"].as_str().unwrap_or("?").to_owned();
        peers.unwrap_or_default().iter().map(state).collect()
    }

    /// The version of the settings that serves, and all that the history holds.
    pub fn history(&self, asker: &Version) -> Result<(u64, Vec<u64>), String> {
        let status = self.home.ask(asker, &["status"])?;
        let serves = status["version"].as_u64().ok_or("no version")?;
        let lines = self.home.ask(asker, &["history"])?;
        let of = |line: &Value| line["version"].as_u64();
        let mut all: Vec<u64> = lines
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(of)
            .collect();
        all.sort_unstable();
        Ok((serves, all))
    }
}

/// Whether a version understands settings, by its own check.
pub fn understands(version: &Version, file: &Path) -> bool {
    let output = Command::new(&version.path).arg("check").arg(file).output();
    output.is_ok_and(|out| !String::from_utf8_lossy(&out.stdout).contains("key-unread"))
}

fn http(port: u16, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}
