//! The pooler under test as a process, with generated settings.

use crate::raw::{Client, Target};
use crate::sandbox::{Dir, PATIENCE, Process, RunAs, describe_end, free_port, until_deadline};
use crate::server::{Certificates, PASSWORD, Server};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Which program is tested.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Its path.
    pub path: PathBuf,
    /// PgBouncer stands in.
    pub is_pgbouncer: bool,
}

impl Binary {
    /// The one named by the environment, or the workspace's own beside the tests.
    pub fn find() -> Self {
        let path = std::env::var_os("PLIMSOLL_E2E_POOLER").map_or_else(own_binary, PathBuf::from);
        assert!(
            path.exists(),
            "no pooler at {}: run `cargo build -p plimsoll` (same profile), or set PLIMSOLL_E2E_POOLER",
            path.display()
        );
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Binary {
            is_pgbouncer: name.starts_with("pgbouncer"),
            path,
        }
    }
}

/// `target/<profile>/plimsoll`, seen from `target/<profile>/deps/e2e-…`.
fn own_binary() -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/<profile>");
    profile.join("plimsoll")
}

/// Settings of a pooler, in the vocabulary of pgbouncer.ini.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lines of `[databases]`.
    pub databases: Vec<String>,
    /// Lines of `[users]`.
    pub users: Vec<String>,
    /// Keys of `[pgbouncer]`.
    pub keys: BTreeMap<String, String>,
    /// Keys of `[plimsoll]`, which PgBouncer lacks.
    pub own: BTreeMap<String, String>,
    /// Lines of the user file.
    pub userlist: Vec<String>,
    /// Our own defaults and our own format, with pool mode and size from `keys`; PgBouncer gets its own all the same.
    pub native: Option<u16>,
    /// Further lines of our own format: sections that the above does not write.
    pub sections: String,
    /// A file that stands in for /etc/hosts; the pooler then has its own view of files.
    pub hosts: Option<PathBuf>,
}

impl Settings {
    /// `app` and any other database at `server`, transaction mode, two connections, trust.
    pub fn for_server(server: &Server) -> Self {
        let keys = [
            ("listen_addr", "127.0.0.1,::1"),
            ("auth_type", "trust"),
            ("pool_mode", "transaction"),
            ("default_pool_size", "2"),
            ("max_client_conn", "2000"),
            ("admin_users", "admin"),
            ("stats_users", "stats"),
            ("server_login_retry", "1"),
            ("log_connections", "0"),
            ("log_disconnections", "0"),
            (
                "ignore_startup_parameters",
                "extra_float_digits,options,search_path",
            ),
        ];
        let users = [
            "postgres",
            "app",
            "admin",
            "stats",
            "nobody_special",
            "scram_user",
            "md5_user",
            "tls_only",
            "plain_only",
            "refused",
            "Odd 'name",
        ];
        Settings {
            databases: vec![format!("* = host=127.0.0.1 port={}", server.port())],
            users: Vec::new(),
            keys: keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            native: None,
            own: BTreeMap::new(),
            sections: String::new(),
            hosts: None,
            userlist: users.iter().map(|user| user_line(user, PASSWORD)).collect(),
        }
    }

    /// In our own format: every start-up parameter follows the client, and all connections may be pinned.
    pub fn native(mut self, server: &Server) -> Self {
        self.native = Some(server.port());
        self
    }

    /// With further sections of our own format.
    pub fn sections(mut self, text: &str) -> Self {
        self.sections = text.into();
        self
    }

    /// With a key of `[pgbouncer]`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.keys.insert(key.into(), value.into());
        self
    }

    /// With a key of `[plimsoll]`.
    pub fn own(mut self, key: &str, value: &str) -> Self {
        self.own.insert(key.into(), value.into());
        self
    }

    /// With `[databases]` replaced.
    pub fn databases(mut self, lines: &[&str]) -> Self {
        self.databases = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// With the user file replaced.
    pub fn userlist(mut self, lines: &[String]) -> Self {
        self.userlist = lines.to_vec();
        self
    }

    /// TLS towards clients with the test authority's certificate.
    pub fn client_tls(self, mode: &str, certificates: &Certificates) -> Self {
        self.set("client_tls_sslmode", mode)
            .set("client_tls_cert_file", &certificates.cert.to_string_lossy())
            .set("client_tls_key_file", &certificates.key.to_string_lossy())
            .set("client_tls_ca_file", &certificates.ca.to_string_lossy())
    }

    fn toml(&self, server_port: u16) -> String {
        let key = |name: &str| self.keys.get(name).map_or("", String::as_str);
        format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{dir}\"\n\
             [auth]\ntype = \"{auth}\"\nuser_file = \"{users}\"\nadmin_users = [\"admin\"]\n\
             [pool]\nmode = \"{mode}\"\nsize = {size}\n\
             [session]\npin_share_percent = 100\n\
             [database.\"*\"]\nhost = \"127.0.0.1\"\nport = {server_port}\n{sections}",
            sections = self.sections,
            auth = self.own.get("auth_type").map_or("trust", String::as_str),
            port = key("listen_port"),
            dir = key("unix_socket_dir"),
            users = key("auth_file"),
            mode = key("pool_mode"),
            size = key("default_pool_size"),
        )
    }

    fn text(&self) -> String {
        let mut out = String::from("[databases]\n");
        out += &self.databases.join("\n");
        if !self.users.is_empty() {
            out += "\n[users]\n";
            out += &self.users.join("\n");
        }
        out += "\n[pgbouncer]\n";
        for (key, value) in &self.keys {
            out += &format!("{key} = {value}\n");
        }
        if !self.own.is_empty() {
            out += "[plimsoll]\n";
        }
        for (key, value) in &self.own {
            out += &format!("{key} = {value}\n");
        }
        out
    }
}

/// A line of the user file.
pub fn user_line(user: &str, secret: &str) -> String {
    let quote = |text: &str| text.replace('"', "\"\"");
    format!("\"{}\" \"{}\"", quote(user), quote(secret))
}

/// A running pooler.
#[derive(Debug)]
pub struct Pooler {
    process: Process,
    binary: Binary,
    run_as: RunAs,
    settings: Settings,
    port: u16,
    metrics_port: u16,
    dir: Dir,
}

impl Pooler {
    /// Starts the pooler and waits until it listens.
    pub fn start(settings: Settings) -> Self {
        Self::try_start(settings).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Starts it; if it ends before it listens: how, and what it said.
    pub fn try_start(mut settings: Settings) -> Result<Self, String> {
        let binary = Binary::find();
        // PgBouncer refuses to be root; ours does not, and may lie where only root can read.
        let run_as = if binary.is_pgbouncer {
            RunAs::unprivileged()
        } else {
            RunAs::myself()
        };
        let mut failure = String::new();
        for _ in 0..3 {
            let dir = Dir::new("pooler", run_as);
            let (port, metrics_port) = (free_port(), free_port());
            adapt(&mut settings, &binary, &dir, port);
            let (name, text) = match settings.native {
                Some(server) if !binary.is_pgbouncer => ("plimsoll.toml", settings.toml(server)),
                _ => ("pgbouncer.ini", settings.text()),
            };
            let file = dir.write(name, &text, run_as, 0o644);
            dir.write(
                "userlist.txt",
                &(settings.userlist.join("\n") + "\n"),
                run_as,
                0o644,
            );
            // Each listener is ready in its own time.
            let ports = [
                port,
                if binary.is_pgbouncer {
                    port
                } else {
                    metrics_port
                },
            ];
            let mut process = launch(&binary, &settings, &file, &dir, (run_as, metrics_port));
            match wait_for_listeners(&mut process, ports) {
                None => {
                    return Ok(Pooler {
                        process,
                        binary,
                        run_as,
                        settings,
                        port,
                        metrics_port,
                        dir,
                    });
                }
                Some(end) => {
                    failure = format!("{end}\n{}", read_log(&dir));
                    // The only failure worth another try: somebody took the port.
                    if !failure.to_lowercase().contains("address already in use") {
                        break;
                    }
                }
            }
        }
        Err(failure)
    }

    /// Is PgBouncer standing in?
    pub fn is_pgbouncer(&self) -> bool {
        self.binary.is_pgbouncer
    }

    /// By TCP.
    pub fn target(&self, database: &str, user: &str) -> Target {
        Target::tcp("127.0.0.1", self.port, database, user)
    }

    /// By unix socket.
    pub fn unix_target(&self, database: &str, user: &str) -> Target {
        Target::unix(self.socket_path(), database, user)
    }

    /// Starts it again, with the same file and ports, after its end.
    pub fn restart(&mut self) {
        let file = self.settings_path();
        let (how, ports) = (
            (self.run_as, self.metrics_port),
            [self.port, self.metrics_port],
        );
        self.process = launch(&self.binary, &self.settings, &file, &self.dir, how);
        if let Some(failure) = wait_for_listeners(&mut self.process, ports) {
            panic!("{failure}\n{}", self.log());
        }
    }

    /// The unix socket.
    pub fn socket_path(&self) -> PathBuf {
        self.dir.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of /metrics, /livez and /readyz.
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The settings file.
    pub fn settings_path(&self) -> PathBuf {
        let native = self.settings.native.is_some() && !self.binary.is_pgbouncer;
        let name = if native {
            "plimsoll.toml"
        } else {
            "pgbouncer.ini"
        };
        self.dir.path().join(name)
    }

    /// Writes other sections of our own format; the pooler is not told.
    pub fn rewrite_sections(&mut self, text: &str) {
        self.settings.sections = text.into();
        if let Some(server) = self.settings.native {
            let text = self.settings.toml(server);
            self.dir.write("plimsoll.toml", &text, self.run_as, 0o644);
        }
    }

    /// The settings as last written.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes other settings, keeping addresses; the pooler is not told.
    pub fn rewrite(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.write_raw(&self.settings.text());
        let users = self.settings.userlist.join("\n") + "\n";
        self.dir.write("userlist.txt", &users, self.run_as, 0o644);
    }

    /// Writes any text in place of the settings.
    pub fn write_raw(&self, text: &str) {
        self.dir.write("pgbouncer.ini", text, self.run_as, 0o644);
    }

    /// The settings' text as written.
    pub fn text(&self) -> String {
        self.settings.text()
    }

    /// Sends a signal.
    pub fn signal(&mut self, name: &str) {
        self.process.signal(name);
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait("end of the pooler")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        read_log(&self.dir)
    }

    /// A console session of the administrator.
    pub fn console(&self) -> Client {
        Client::login(&self.target("pgbouncer", "admin"))
            .unwrap_or_else(|error| panic!("console: {error}\n{}", self.log()))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let end = self.process.exited().map(describe_end);
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("pooler's end: {end:?}; its last lines:");
            for line in tail.iter().rev() {
                eprintln!("  {line}");
            }
        }
    }
}

/// Fills in what depends on the directory, the port and the program.
fn adapt(settings: &mut Settings, binary: &Binary, dir: &Dir, port: u16) {
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let mut set = |key: &str, value: String| settings.keys.insert(key.into(), value);
    set("listen_port", port.to_string());
    set("auth_file", path("userlist.txt"));
    let socket = settings.keys.get("unix_socket_dir");
    if socket.is_none_or(|name| !name.starts_with('@')) {
        let directory = path("");
        settings.keys.insert("unix_socket_dir".into(), directory);
    }
    if !binary.is_pgbouncer {
        let keys = &mut settings.keys;
        keys.entry("max_prepared_statements".into())
            .or_insert_with(|| "100".into());
    }
}

/// Runs a program with another /etc/hosts: in a mount namespace of its own, so that
/// nothing else of the machine sees it. The process is the program's.
fn with_hosts(hosts: &Path, program: &Path) -> Command {
    const SCRIPT: &str = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", SCRIPT, "sh"])
        .args([hosts, program]);
    command
}

/// Whether the system lets a program have another /etc/hosts.
pub fn hosts_can_be_replaced() -> bool {
    let mut command = with_hosts(Path::new("/etc/hosts"), Path::new("true"));
    command.output().is_ok_and(|out| out.status.success())
}

fn launch(
    binary: &Binary,
    settings: &Settings,
    file: &Path,
    dir: &Dir,
    (run_as, metrics): (RunAs, u16),
) -> Process {
    let mut command = match settings.hosts.as_deref() {
        Some(hosts) => with_hosts(hosts, &binary.path),
        None => Command::new(&binary.path),
    };
    if !binary.is_pgbouncer {
        command.arg("run");
    }
    command.arg(file).current_dir(dir.path());
    if !binary.is_pgbouncer {
        // Not a key of pgbouncer.ini, so it is told here.
        command.args(["--metrics", &format!("127.0.0.1:{metrics}")]);
    }
    let log = dir.path().join("pooler.log");
    Process::start(run_as.apply(&mut command), &log, Some(dir.path()))
        .unwrap_or_else(|error| panic!("start {}: {error}", binary.path.display()))
}

/// `None` once it listens at every port; else how it failed to.
fn wait_for_listeners(process: &mut Process, ports: [u16; 2]) -> Option<String> {
    let up = until_deadline(PATIENCE, &mut || {
        if let Some(status) = process.exited() {
            return Some(Some(format!("the pooler ended: {}", describe_end(status))));
        }
        let listens = |port| {
            let target = Target::tcp("127.0.0.1", port, "", "").patience(Duration::from_secs(1));
            Client::connect(&target).is_ok()
        };
        ports.into_iter().all(listens).then_some(None)
    });
    up.unwrap_or_else(|| Some("the pooler does not listen".into()))
}

fn read_log(dir: &Dir) -> String {
    std::fs::read_to_string(dir.path().join("pooler.log")).unwrap_or_default()
}
