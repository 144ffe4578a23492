//! The programs under test: how each is set up, started and known.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cells::{Auth, Cell, Protocol};
use crate::postgres::Postgres;
use crate::sandbox::{Process, Sandbox, free_address, output};
use crate::{DATABASE, Failure, USER, fail, wire};

/// Server connections of every pooler.
pub const SERVERS: usize = 20;
/// Above the largest number of idle clients that we open.
const CLIENTS_MAX: usize = 11_000;

/// What kind of program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PgBouncer, of any version.
    PgBouncer,
    /// Ours; it reads PgBouncer's file.
    Plimsoll,
    /// The bare relay in this program.
    Floor,
    /// HAProxy in TCP mode: one server connection per client.
    HaProxy,
    /// No pooler at all.
    Direct,
}

/// A program under test.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its name with version, as the report shows it.
    pub name: String,
    /// Program and leading arguments. Empty for [`Kind::Direct`].
    pub command: Vec<PathBuf>,
    /// Worker threads, for Plimsoll in settings of its own; otherwise its default.
    pub workers: Option<u32>,
    /// Clients that are logged in beside the load, and say nothing.
    pub idle: usize,
    /// All of the load line on, or off; `None`: as it comes.
    pub guarded: Option<bool>,
}

impl Target {
    /// A target, its version asked from the program itself.
    pub fn new(kind: Kind, command: Vec<PathBuf>) -> Result<Self, Failure> {
        let name = match kind {
            Kind::Floor => "floor".into(),
            Kind::Direct => "direct".into(),
            Kind::PgBouncer => format!("PgBouncer {}", version(&command, "--version")?),
            Kind::HaProxy => format!("HAProxy {}", version(&command, "-v")?),
            Kind::Plimsoll => format!("Plimsoll {}", version(&command, "--version")?),
        };
        Ok(Self {
            kind,
            name,
            command,
            workers: None,
            idle: 0,
            guarded: None,
        })
    }

    /// The same program with all of the load line on, or with all of it off.
    pub fn guarded(&self, on: bool) -> Self {
        Self {
            name: format!("{}, load line {}", self.name, if on { "on" } else { "off" }),
            workers: Some(1),
            guarded: Some(on),
            ..self.clone()
        }
    }

    /// The same program with that many workers, beside that many idle clients.
    pub fn with(&self, workers: u32, idle: usize) -> Self {
        let plural = if workers == 1 { "" } else { "s" };
        let beside = if idle == 0 {
            String::new()
        } else {
            format!(" beside {idle} idle clients")
        };
        Self {
            name: format!("{}, {workers} worker{plural}{beside}", self.name),
            workers: Some(workers),
            idle,
            ..self.clone()
        }
    }

    /// Why a cell cannot be asked of this target; `None` when it can.
    pub fn cannot(&self, cell: &Cell) -> Option<&'static str> {
        let one_to_one = matches!(self.kind, Kind::HaProxy | Kind::Direct);
        if one_to_one && cell.clients > 100 {
            return Some("one server connection per client");
        }
        if cell.auth == Auth::Scram && !matches!(self.kind, Kind::PgBouncer | Kind::Plimsoll) {
            return Some("knows no passwords");
        }
        if cell.protocol == Protocol::Prepared {
            if self.kind == Kind::Floor {
                return Some("knows no prepared statements");
            }
            if self.kind == Kind::PgBouncer && self.minor() < 21 {
                return Some("knows no prepared statements before 1.21");
            }
        }
        None
    }

    /// PgBouncer's second number: 26 in 1.26.1.
    pub fn minor(&self) -> u32 {
        self.name
            .split('.')
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }
}

/// A started target.
pub struct Running {
    process: Option<Process>,
    /// Held open, and dropped with it.
    _idle: Vec<TcpStream>,
    /// Where clients go.
    pub address: SocketAddr,
}

impl Running {
    /// The process to be measured; `None` for [`Kind::Direct`].
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.process.as_mut().is_none_or(|p| p.ended().is_none())
    }

    /// Ends it and waits.
    pub fn end(&mut self, patience: Duration) {
        if let Some(process) = &mut self.process {
            process.end(patience);
        }
    }
}

/// Starts a target before the given server. `prefix` is a program to run it under, such as valgrind.
pub fn start(
    sandbox: &Sandbox,
    postgres: &Postgres,
    target: &Target,
    auth: Auth,
    prefix: &[String],
) -> Result<Running, Failure> {
    if target.kind == Kind::Direct {
        return Ok(Running {
            process: None,
            _idle: Vec::new(),
            address: postgres.address,
        });
    }
    let address = free_address()?;
    let slug: String = target
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let dir = sandbox.subdir(&format!("{slug}-{}", address.port()))?;
    let mut words: Vec<String> = prefix.to_vec();
    words.extend(target.command.iter().map(|w| w.display().to_string()));
    words.extend(arguments(target, &dir, address, postgres, auth)?);
    let mut words = words.into_iter();
    let mut command = sandbox.command(words.next().unwrap_or_default());
    let log_path = dir.join("log");
    let log = fs::File::create(&log_path)?;
    command.args(words).stdout(log.try_clone()?).stderr(log);
    let mut process = Process::spawn(&mut command, Signal::SIGTERM)?;
    // Once somebody listens; a pooler with passwords cannot be asked more than that by our small client.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        sandbox.stop.check()?;
        let up = match auth {
            Auth::Trust => wire::login(address, USER, DATABASE).map(drop),
            Auth::Scram => TcpStream::connect(address).map(drop),
        };
        let Err(e) = up else { break };
        if process.ended().is_some() || Instant::now() > deadline {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(8).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return fail(format!(
                "{} does not start: {e}\n{}",
                target.name,
                tail.join("\n")
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut idle = Vec::new();
    while idle.len() < target.idle {
        if idle.len().is_multiple_of(100) {
            sandbox.stop.check()?;
        }
        idle.push(wire::login(address, USER, DATABASE)?.0);
    }
    Ok(Running {
        process: Some(process),
        _idle: idle,
        address,
    })
}

fn arguments(
    target: &Target,
    dir: &Path,
    address: SocketAddr,
    postgres: &Postgres,
    auth: Auth,
) -> Result<Vec<String>, Failure> {
    let file = |name: &str, text: String| -> Result<String, Failure> {
        let path = dir.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    Ok(match target.kind {
        Kind::Plimsoll if target.workers.is_some() => {
            let users = file("userlist.txt", format!("\"{USER}\" \"\"\n"))?;
            let text = plimsoll_toml(target, address, postgres.address, &users);
            vec!["run".into(), file("plimsoll.toml", text)?]
        }
        Kind::PgBouncer | Kind::Plimsoll => {
            let users = file(
                "userlist.txt",
                format!("\"{USER}\" \"{}\"\n", postgres.scram_secret),
            )?;
            let ini = file(
                "pgbouncer.ini",
                pgbouncer_ini(target, address, postgres.address, auth, &users),
            )?;
            if target.kind == Kind::Plimsoll {
                vec!["run".into(), ini]
            } else {
                vec![ini]
            }
        }
        Kind::HaProxy => vec![
            "-db".into(),
            "-f".into(),
            file("haproxy.cfg", haproxy_cfg(address, postgres.address))?,
        ],
        Kind::Floor => [
            "--listen",
            &address.to_string(),
            "--server",
            &postgres.address.to_string(),
        ]
        .into_iter()
        .chain(["--servers", &SERVERS.to_string()])
        .map(str::to_owned)
        .collect(),
        Kind::Direct => Vec::new(),
    })
}

/// The settings that PgBouncer and Plimsoll share, word for word. Logins are not logged, by either.
fn pgbouncer_ini(
    target: &Target,
    listen: SocketAddr,
    server: SocketAddr,
    auth: Auth,
    users: &str,
) -> String {
    let auth = match auth {
        Auth::Trust => "trust",
        Auth::Scram => "scram-sha-256",
    };
    // From 1.21 to 1.23 prepared statements were off by default; before, the key did not exist.
    let prepared = match (target.kind, target.minor()) {
        (Kind::PgBouncer, 21..=23) => "max_prepared_statements = 200\n",
        _ => "",
    };
    format!(
        "[databases]\n\
         {DATABASE} = host={} port={} dbname={DATABASE}\n\
         [pgbouncer]\n\
         listen_addr = {}\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = {auth}\n\
         auth_file = {users}\n\
         pool_mode = transaction\n\
         default_pool_size = {SERVERS}\n\
         max_client_conn = {CLIENTS_MAX}\n\
         log_connections = 0\n\
         log_disconnections = 0\n\
         {prepared}",
        server.ip(),
        server.port(),
        listen.ip(),
        listen.port(),
    )
}

/// The same settings in Plimsoll's own form, which has a number of workers.
fn plimsoll_toml(target: &Target, listen: SocketAddr, server: SocketAddr, users: &str) -> String {
    let (size, line) = match target.guarded {
        None => (SERVERS.to_string(), String::new()),
        Some(true) => (
            "\"auto\"".into(),
            format!(
                "[server]\nmonitor_user = \"{USER}\"\n\
                 [guards]\nreclaim = \"enforce\"\nshed = \"enforce\"\nauto_size = \"enforce\"\n"
            ),
        ),
        Some(false) => (
            SERVERS.to_string(),
            "[leaks]\nstatement_text = \"off\"\n\
             [guards]\nreclaim = \"off\"\nshed = \"off\"\nauto_size = \"off\"\n"
                .into(),
        ),
    };
    format!(
        "{line}[listen]\ntcp = [\"{listen}\"]\n\
         [auth]\ntype = \"trust\"\nuser_file = \"{users}\"\n\
         [pool]\nmode = \"transaction\"\nsize = {size}\n\
         [clients]\nmax = {CLIENTS_MAX}\n\
         [process]\nworkers = {}\n\
         [database.{DATABASE}]\nhost = \"{}\"\nport = {}\n",
        target.workers.unwrap_or(1),
        server.ip(),
        server.port(),
    )
}

fn haproxy_cfg(listen: SocketAddr, server: SocketAddr) -> String {
    format!(
        "global\n    nbthread 1\n    maxconn 1000\n\
         defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n\
         listen postgres\n    bind {listen}\n    server postgres {server}\n"
    )
}

fn version(command: &[PathBuf], flag: &str) -> Result<String, Failure> {
    let (program, arguments) = command.split_first().ok_or("an empty command")?;
    let text = output(
        std::process::Command::new(program)
            .args(arguments)
            .arg(flag),
    )?;
    let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    // HAProxy says 2.6.12-1+deb12u4; the packager's part is left out.
    let word = text.split_whitespace().find(number).unwrap_or("unknown");
    Ok(word.split(['-', '+']).next().unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: Kind, name: &str) -> Target {
        Target {
            kind,
            name: name.into(),
            command: Vec::new(),
            workers: None,
            idle: 0,
            guarded: None,
        }
    }

    #[test]
    fn old_pgbouncers_are_not_asked_for_prepared_statements() {
        let cell = Cell::parse("select-only/prepared/16").unwrap();
        assert!(
            target(Kind::PgBouncer, "PgBouncer 1.18.0")
                .cannot(&cell)
                .is_some()
        );
        assert!(
            target(Kind::PgBouncer, "PgBouncer 1.26.1")
                .cannot(&cell)
                .is_none()
        );
        assert!(target(Kind::Floor, "floor").cannot(&cell).is_some());
        assert!(
            target(Kind::Plimsoll, "Plimsoll 0.1.0")
                .cannot(&cell)
                .is_none()
        );
    }

    #[test]
    fn one_to_one_targets_are_spared_what_the_server_cannot_hold() {
        let cell = Cell::parse("select-only/simple/500").unwrap();
        assert!(
            target(Kind::HaProxy, "HAProxy 2.6.12")
                .cannot(&cell)
                .is_some()
        );
        assert!(target(Kind::Floor, "floor").cannot(&cell).is_none());
    }

    #[test]
    fn a_variant_says_what_it_is() {
        let plimsoll = target(Kind::Plimsoll, "Plimsoll 0.1.0");
        assert_eq!(plimsoll.with(1, 0).name, "Plimsoll 0.1.0, 1 worker");
        assert_eq!(
            plimsoll.with(2, 10_000).name,
            "Plimsoll 0.1.0, 2 workers beside 10000 idle clients"
        );
        let at = "127.0.0.1:6432".parse().unwrap();
        let text = plimsoll_toml(&plimsoll.with(2, 0), at, at, "u");
        assert!(text.contains("workers = 2\n"), "{text}");
    }

    #[test]
    fn both_read_the_same_file() {
        let at = "127.0.0.1:6432".parse().unwrap();
        let theirs = pgbouncer_ini(
            &target(Kind::PgBouncer, "PgBouncer 1.26.1"),
            at,
            at,
            Auth::Trust,
            "u",
        );
        let ours = pgbouncer_ini(
            &target(Kind::Plimsoll, "Plimsoll 0.1.0"),
            at,
            at,
            Auth::Trust,
            "u",
        );
        assert_eq!(theirs, ours);
        let old = pgbouncer_ini(
            &target(Kind::PgBouncer, "PgBouncer 1.22.0"),
            at,
            at,
            Auth::Trust,
            "u",
        );
        assert!(old.contains("max_prepared_statements = 200"));
    }
}
