//! The programs' settings for a scenario, and their start.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::scenarios::Stage;
use crate::poolers::Kind;
use crate::sandbox::{Process, free_address};
use crate::{DATABASE, Failure, USER, fail, wire};

/// What a scenario wants from a pooler, in words that both know.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Connections per pool.
    pub size: u32,
    /// A client waits at most so long.
    pub wait: Duration,
}

/// A pooler that serves.
pub struct Pooler {
    _process: Process,
    /// Where clients go.
    pub address: SocketAddr,
    log: PathBuf,
}

impl Pooler {
    /// Starts the stage's target.
    pub fn start(stage: &Stage<'_>, wish: Wish) -> Result<Pooler, Failure> {
        let address = free_address()?;
        let dir = stage.sandbox.subdir(&format!("line-{}", address.port()))?;
        let users = dir.join("userlist.txt");
        fs::write(&users, format!("\"{USER}\" \"\"\n"))?;
        let (name, text) = match stage.target.kind {
            Kind::Plimsoll => ("plimsoll.toml", toml(stage, wish, address, &users)),
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
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(e) = wire::login(address, USER, DATABASE) {
            stage.sandbox.stop.check()?;
            if process.ended().is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return fail(format!("{} does not start: {e}\n{log}", stage.target.name));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Pooler {
            _process: process,
            address,
            log,
        })
    }

    /// Whether its log has a line with all these words.
    pub fn log_says(&self, words: &[&str]) -> bool {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().any(|l| words.iter().all(|w| l.contains(w)))
    }
}

fn ini(stage: &Stage<'_>, wish: Wish, listen: SocketAddr, users: &std::path::Path) -> String {
    format!(
        "[databases]\n\
         {DATABASE} = host={} port={} dbname={DATABASE}\n\
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
        wish.size,
        wish.wait.as_secs_f64(),
    )
}

fn toml(stage: &Stage<'_>, wish: Wish, listen: SocketAddr, users: &std::path::Path) -> String {
    format!(
        "[listen]\ntcp = [\"{listen}\"]\n\
         [auth]\ntype = \"trust\"\nuser_file = \"{}\"\n\
         [pool]\nmode = \"transaction\"\nsize = {}\n\
         [timeouts]\nquery_wait = \"{}ms\"\n\
         [clients]\nmax = 10000\n\
         [database.{DATABASE}]\nhost = \"{}\"\nport = {}\n",
        users.display(),
        wish.size,
        wish.wait.as_millis(),
        stage.postgres.address.ip(),
        stage.postgres.address.port(),
    )
}
