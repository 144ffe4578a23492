//! The programs' settings for a scenario, and their start.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::scenarios::Stage;
use crate::poolers::Kind;
use crate::postgres::Postgres;
use crate::sandbox::{Process, Sandbox, free_address};
use crate::{DATABASE, Failure, USER, fail, wire};

/// The application's user: an ordinary one, so that the slots for superusers stay free.
pub const APP: &str = "app";
/// Plimsoll's monitor user.
pub const MONITOR: &str = "plimsoll_monitor";
/// An ordinary user who comes past the pooler.
pub const ORDINARY: &str = "ordinary";
/// Two users of one pool.
pub const QUIET: &str = "quiet";
/// The other one.
pub const NOISY: &str = "noisy";
/// Users who have a pool each.
pub const MANY: usize = 300;

/// Bytes of a log that stand in an error.
const LOG_SHOWN: usize = 2000;

/// The name of one of [`MANY`].
pub fn one_of_many(n: usize) -> String {
    format!("user{n:03}")
}

/// The roles of all scenarios, and the leak's table.
pub fn prepare(sandbox: &Sandbox, postgres: &Postgres) -> Result<(), Failure> {
    let mut sql = String::new();
    let named = [APP, MONITOR, ORDINARY, QUIET, NOISY].map(str::to_owned);
    for name in named.into_iter().chain((0..MANY).map(one_of_many)) {
        let _ = write!(sql, "CREATE ROLE {name} LOGIN; ");
    }
    let _ = write!(
        sql,
        "GRANT pg_read_all_stats TO {MONITOR}; \
         CREATE TABLE baskets (id int, item text); GRANT ALL ON baskets, pgbench_accounts TO {APP};"
    );
    postgres.ask(sandbox, DATABASE, &sql).map(drop)
}

/// Server connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many.
    Fixed(u32),
    /// Plimsoll's own search.
    Auto,
}

impl Size {
    fn words(self) -> String {
        match self {
            Size::Fixed(size) => size.to_string(),
            Size::Auto => "\"auto\"".into(),
        }
    }
}

/// What a scenario wants from a pooler, in words that both know.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Connections per pool.
    pub size: Size,
    /// A client waits at most so long.
    pub wait: Duration,
    /// All client users share the pool of [`APP`].
    pub shared: bool,
    /// Most connections of all pools together, where a program cannot read that from the server.
    pub line: Option<u32>,
}

impl Wish {
    /// One pool of that size.
    pub fn pool(size: Size) -> Wish {
        Wish {
            size,
            wait: Duration::from_secs(30),
            shared: false,
            line: None,
        }
    }
}

/// A pooler that serves.
pub struct Pooler {
    process: Process,
    /// Where clients go.
    pub address: SocketAddr,
    metrics: SocketAddr,
    log: PathBuf,
}

impl Pooler {
    /// Starts the stage's target. What an earlier one had open at the server is gone by then.
    pub fn start(stage: &Stage<'_>, wish: Wish) -> Result<Pooler, Failure> {
        let alone = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename NOT IN ('{USER}', '{ORDINARY}')"
        );
        let deadline = Instant::now() + Duration::from_secs(10);
        while stage.postgres.ask(stage.sandbox, DATABASE, &alone)? != "0" {
            if Instant::now() > deadline {
                return fail("what an earlier pooler had opened does not go away");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self::start_beside(stage, wish)
    }

    /// Starts the stage's target beside others of its kind.
    pub fn start_beside(stage: &Stage<'_>, wish: Wish) -> Result<Pooler, Failure> {
        let (address, metrics) = (free_address()?, free_address()?);
        let dir = stage.sandbox.subdir(&format!("line-{}", address.port()))?;
        let users = dir.join("userlist.txt");
        fs::write(&users, user_list())?;
        let (name, text) = match stage.target.kind {
            Kind::Plimsoll => (
                "plimsoll.toml",
                toml(stage, wish, [address, metrics], &users),
            ),
            _ => ("pgbouncer.ini", ini(stage, wish, address, &users)),
        };
        let file = dir.join(name);
        fs::write(&file, text)?;
        let log = dir.join("log");
        let out = fs::File::create(&log)?;
        let (program, arguments) = stage.target.command.split_first().ok_or("no program")?;
        let mut command = stage.sandbox.command(program);
        command.args(arguments);
        if stage.target.kind == Kind::Plimsoll {
            command.arg("run");
        }
        command.arg(&file).stdout(out.try_clone()?).stderr(out);
        let mut process = Process::spawn(&mut command, Signal::SIGTERM)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(e) = wire::login(address, APP, DATABASE) {
            stage.sandbox.stop.check()?;
            if process.ended().is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&log).unwrap_or_default();
                let log = log.get(..LOG_SHOWN).unwrap_or(&log);
                return fail(format!("{} does not start: {e}\n{log}", stage.target.name));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Pooler {
            process,
            address,
            metrics,
            log,
        })
    }

    /// Whether its log has a line with all these words.
    pub fn log_says(&self, words: &[&str]) -> bool {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().any(|l| words.iter().all(|w| l.contains(w)))
    }

    /// Asks it to end once its clients are served.
    pub fn ask_to_end(&self) {
        self.process.ask_to_end();
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// The sum over a family of its metrics; `None` where there are none.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(self.metrics).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        sum_of(&text, name)
    }
}

fn sum_of(text: &str, name: &str) -> Option<f64> {
    let mut sum = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        if rest.starts_with(['{', ' ']) {
            let value = rest.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok());
            sum = Some(sum.unwrap_or(0.0) + value?);
        }
    }
    sum
}

fn user_list() -> String {
    let named = [APP, MONITOR, QUIET, NOISY].map(str::to_owned);
    let all = named.into_iter().chain((0..MANY).map(one_of_many));
    all.map(|name| format!("\"{name}\" \"\"\n")).collect()
}

fn ini(stage: &Stage<'_>, wish: Wish, listen: SocketAddr, users: &Path) -> String {
    let mut line = wish
        .line
        .map_or(String::new(), |line| format!(" max_db_connections={line}"));
    if wish.shared {
        let _ = write!(line, " user={APP}");
    }
    format!(
        "[databases]\n\
         {DATABASE} = host={} port={} dbname={DATABASE}{line}\n\
         [pgbouncer]\n\
         listen_addr = {}\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = trust\n\
         auth_file = {}\n\
         pool_mode = transaction\n\
         default_pool_size = {}\n\
         query_wait_timeout = {}\n\
         max_client_conn = 10000\n\
         log_connections = 0\n\
         log_disconnections = 0\n",
        stage.postgres.address.ip(),
        stage.postgres.address.port(),
        listen.ip(),
        listen.port(),
        users.display(),
        wish.size.words(),
        wish.wait.as_secs_f64(),
    )
}

/// Guards, leaks, headroom and the budget's times are the defaults: nothing is tuned for a scenario but what it asks for.
fn toml(stage: &Stage<'_>, wish: Wish, [listen, metrics]: [SocketAddr; 2], users: &Path) -> String {
    let user = match wish.shared {
        true => format!("user = \"{APP}\"\n"),
        false => String::new(),
    };
    format!(
        "[listen]\ntcp = [\"{listen}\"]\n\
         [metrics]\nlisten = \"{metrics}\"\n\
         [auth]\ntype = \"trust\"\nuser_file = \"{}\"\n\
         [log]\nconnections = false\ndisconnections = false\n\
         [server]\nmonitor_user = \"{MONITOR}\"\n\
         [pool]\nmode = \"transaction\"\nsize = {}\n\
         [timeouts]\nquery_wait = \"{}ms\"\n\
         [clients]\nmax = 10000\n\
         [database.{DATABASE}]\nhost = \"{}\"\nport = {}\n{user}",
        users.display(),
        wish.size.words(),
        wish.wait.as_millis(),
        stage.postgres.address.ip(),
        stage.postgres.address.port(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_familys_samples_are_added_and_no_others() {
        let text = "# TYPE a counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3.5\na_totals 9\nb 1\n";
        assert_eq!(sum_of(text, "a_total"), Some(5.5));
        assert_eq!(sum_of(text, "b"), Some(1.0));
        assert_eq!(sum_of(text, "c"), None);
    }
}
