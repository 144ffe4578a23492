//! The real `plimsoll` as a process: settings, reload, verdict, bundle.

use crate::cluster::PASSWORD;
use crate::http;
use crate::wire::Wire;
use diagnose::Verdict;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{
    Dir, PATIENCE, Process, RunAs, describe_end, free_port, until_deadline,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What its settings file says beyond addresses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[pool] size`.
    pub size: u32,
    /// `[auth] type`.
    pub auth: &'static str,
    /// `[server] monitor_user`.
    pub monitor: Option<&'static str>,
    /// `[server] line`.
    pub line: u32,
    /// `[clients] max`.
    pub clients_max: u32,
    /// Guards act, as they do unless told otherwise; else they only watch.
    pub guards_act: bool,
    /// `[timeouts] query_wait`.
    pub query_wait: &'static str,
    /// Host and port of the database server.
    pub server: (String, u16),
    /// Further lines by section: ("timeouts", "server_lifetime = \"5s\"").
    pub more: Vec<(&'static str, String)>,
    /// Lines of the user file.
    pub users: Vec<(String, String)>,
}

impl Settings {
    /// Quiet defaults for a server there.
    pub fn new(host: &str, port: u16) -> Settings {
        let user = |name: &str| (name.to_owned(), PASSWORD.to_owned());
        Settings {
            size: 8,
            auth: "trust",
            monitor: Some("monitor"),
            line: 80,
            clients_max: 500,
            guards_act: false,
            query_wait: "10s",
            server: (host.to_owned(), port),
            more: Vec::new(),
            users: ["app", "shop", "monitor", "blind", "admin"]
                .map(user)
                .to_vec(),
        }
    }

    fn toml(&self, dir: &Path, address: &str, port: u16) -> String {
        let mut sections: Vec<(&str, Vec<String>)> = vec![
            (
                "listen",
                vec![
                    format!("tcp = [\"{address}:{port}\"]"),
                    format!("unix = \"{}\"", dir.display()),
                    format!("unix_port = {port}"),
                ],
            ),
            (
                "auth",
                vec![
                    format!("type = \"{}\"", self.auth),
                    "user_file = \"userlist.txt\"\nadmin_users = [\"admin\"]".to_owned(),
                ],
            ),
            (
                "pool",
                vec![format!("mode = \"transaction\"\nsize = {}", self.size)],
            ),
            ("clients", vec![format!("max = {}", self.clients_max)]),
            (
                "log",
                vec!["connections = false\ndisconnections = false".to_owned()],
            ),
            (
                "timeouts",
                vec![format!(
                    "query_wait = \"{}\"\nserver_login_retry = \"1s\"",
                    self.query_wait
                )],
            ),
            ("server", vec![format!("line = {}", self.line)]),
            (
                "database.shop",
                vec![format!(
                    "host = \"{}\"\nport = {}",
                    self.server.0, self.server.1
                )],
            ),
        ];
        if let Some(user) = self.monitor {
            let lines = format!(
                "monitor_user = \"{user}\"\nmonitor_database = \"shop\"\nmonitor_interval = \"1s\""
            );
            sections[6].1.push(lines);
        }
        if !self.guards_act {
            sections.push((
                "guards",
                vec!["reclaim = \"observe\"\nauto_revert = \"observe\"".to_owned()],
            ));
        }
        for (section, line) in &self.more {
            match sections.iter_mut().find(|(name, _)| name == section) {
                Some((_, lines)) => lines.push(line.clone()),
                None => sections.push((section, vec![line.clone()])),
            }
        }
        let text =
            |(name, lines): &(&str, Vec<String>)| format!("[{name}]\n{}\n", lines.join("\n"));
        sections.iter().map(text).collect()
    }
}

/// A running pooler.
#[derive(Debug)]
pub struct Front {
    process: Option<Process>,
    program: PathBuf,
    /// What its file says; see [`Front::write`].
    pub settings: Settings,
    address: String,
    port: u16,
    namespace: Option<String>,
    /// How often it was started: each start has a state directory of its own.
    starts: u32,
    dir: Dir,
}

impl Front {
    /// Starts it; `inside`: in the wire's namespace, with clients out here.
    pub fn start(
        program: &Path,
        settings: Settings,
        inside: Option<&Wire>,
    ) -> Result<Front, String> {
        let mut front = Front {
            process: None,
            program: program.to_owned(),
            settings,
            address: inside.map_or("127.0.0.1".to_owned(), |w| w.far.clone()),
            port: free_port(),
            namespace: inside.map(|w| w.namespace.clone()),
            starts: 0,
            dir: Dir::new("lab", RunAs::myself()),
        };
        front.boot()?;
        Ok(front)
    }

    /// Writes the settings file and the user file; the pooler is not told.
    pub fn write(&self) {
        let me = RunAs::myself();
        let text = self
            .settings
            .toml(self.dir.path(), &self.address, self.port);
        self.dir.write("plimsoll.toml", &text, me, 0o644);
        let line = |(user, secret): &(String, String)| format!("\"{user}\" \"{secret}\"\n");
        let users: String = self.settings.users.iter().map(line).collect();
        self.dir.write("userlist.txt", &users, me, 0o600);
    }

    /// Ends it and starts it again, without what it had seen.
    pub fn start_afresh(&mut self) -> Result<(), String> {
        if let Some(mut process) = self.process.take() {
            process.signal("KILL");
            process.wait("end of the pooler");
        }
        self.boot()
    }

    fn boot(&mut self) -> Result<(), String> {
        self.write();
        self.starts += 1;
        let mut command = match &self.namespace {
            None => Command::new(&self.program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command
                    .args(["netns", "exec", namespace])
                    .arg(&self.program);
                command
            }
        };
        command
            .arg("run")
            .arg(self.file())
            .current_dir(self.dir.path());
        command.arg("--state").arg(self.state());
        let log = self.dir.path().join("pooler.log");
        let mut process = Process::start(&mut command, &log, Some(self.dir.path()))
            .map_err(|e| format!("start {}: {e}", self.program.display()))?;
        let up = until_deadline(PATIENCE, &mut || {
            if let Some(end) = process.exited() {
                return Some(Err(format!(
                    "the pooler ended, {}:\n{}",
                    describe_end(end),
                    self.log()
                )));
            }
            Client::connect(&self.target()).ok().map(|_| Ok(()))
        });
        up.unwrap_or_else(|| Err("the pooler does not listen".to_owned()))?;
        self.process = Some(process);
        Ok(())
    }

    /// Where clients go.
    pub fn target(&self) -> Target {
        Target::tcp(&self.address, self.port, "shop", "app").patience(Duration::from_secs(5))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    /// Its settings file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("plimsoll.toml")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(format!("state-{}", self.starts))
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("pooler.log")).unwrap_or_default()
    }

    /// A statement of the console, by the unix socket.
    pub fn console(&self, statement: &str) -> Result<Vec<Vec<String>>, String> {
        let socket = self.dir.path().join(format!(".s.PGSQL.{}", self.port));
        let target = Target::unix(socket, "pgbouncer", "admin").password(PASSWORD);
        let mut console = Client::login(&target).map_err(|e| format!("console: {e}"))?;
        console
            .rows(statement)
            .map_err(|e| format!("{statement}: {e}"))
    }

    /// Changes the settings as a person does: the file, then RELOAD.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), String> {
        change(&mut self.settings);
        self.write();
        self.console("RELOAD").map(|_| ())
    }

    /// Changes the settings past the gate: `--force`, in steps; `--now`, at once.
    pub fn apply(&mut self, how: &str, reason: &str) -> Result<(), String> {
        self.write();
        let said = self.tool(&["apply", how, "--yes", "--reason", reason]);
        said.map(|_| ())
    }

    fn api(&self, verb: &str, path: &str, body: &str) -> Result<Vec<u8>, String> {
        let socket = self.dir.path().join(format!(".s.PLIMSOLL.{}", self.port));
        http::ask(&socket, verb, path, body)
    }

    /// Says that an application was released, as a deployment does.
    pub fn mark_release(&self, app: &str, release: &str) -> Result<(), String> {
        let body = format!("{{\"application\":\"{app}\",\"version\":\"{release}\"}}");
        self.api("POST", "/v1/releases", &body).map(|_| ())
    }

    /// Its verdict now, and how long that took.
    pub fn ask(&self) -> (Result<Verdict, String>, Duration) {
        let began = Instant::now();
        let answer = self.api("GET", "/v1/diagnosis", "");
        let verdict = answer.and_then(|bytes| {
            serde_json::from_slice(&bytes).map_err(|e| format!("not a verdict: {e}"))
        });
        (verdict, began.elapsed())
    }

    /// All that it knows, as one file.
    pub fn bundle(&self) -> Result<Vec<u8>, String> {
        self.api("GET", "/v1/bundle", "")
    }

    /// Another command of the same program, with our state directory; its standard output.
    pub fn tool(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(self.dir.path());
        command
            .env("STATE_DIRECTORY", self.state())
            .env("PLIMSOLL_SOCKET", self.dir.path());
        let out = command
            .stdin(Stdio::null())
            .output()
            .map_err(|e| e.to_string())?;
        match out.status.code() {
            Some(0 | 1) if !out.stdout.is_empty() => {
                Ok(String::from_utf8_lossy(&out.stdout).into_owned())
            }
            Some(0) => Ok(String::new()),
            _ => {
                let said = String::from_utf8_lossy(&out.stderr);
                Err(format!(
                    "{}: {}",
                    words.join(" "),
                    said.lines().next().unwrap_or("failed")
                ))
            }
        }
    }
}
