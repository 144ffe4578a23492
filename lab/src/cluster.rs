//! PostgreSQL for one case: a copy of a data directory that was made once, on its own port.

use crate::wire::Wire;
use plimsoll_e2e::raw::{Client, Error, Target};
use plimsoll_e2e::sandbox::{Dir, PATIENCE, Process, RunAs, free_port, until_deadline};
use plimsoll_e2e::server::program;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The password of every role.
pub const PASSWORD: &str = "correct-horse-7";

/// Roles and tables that every case finds.
const SCHEMA: &str = "
    create role app login password 'correct-horse-7'; create role shop login password 'correct-horse-7';
    create role monitor login password 'correct-horse-7'; create role blind login password 'correct-horse-7';
    grant pg_monitor to monitor;
    create database shop owner app;";
const TABLES: &str = "
    create table items (id int primary key, n int not null default 0, name text not null);
    insert into items select i, 0, md5(i::text) from generate_series(1, 20000) i;
    create table orders (id int primary key, item int not null, customer int not null, note text not null);
    insert into orders select i, i % 20000 + 1, i % 997, repeat(md5(i::text), 3) from generate_series(1, 60000) i;
    create index orders_customer on orders (customer);
    create table counters (id int primary key, n int not null);
    insert into counters select i, 0 from generate_series(1, 10) i;
    create function report(ms float) returns int language plpgsql as
        $$ declare n int; begin
            select count(*) into n from items where id < 500; perform pg_sleep(ms / 1000.0); return n; end $$;
    create function enrich(who int) returns int language plpgsql as
        $$ begin return who; end $$;
    grant all on all tables in schema public to public; grant all on schema public to public;
    analyze;";

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Cluster {
    process: Option<Process>,
    port: u16,
    settings: Vec<String>,
    namespace: Option<String>,
    dir: Dir,
}

/// The data directory that the others are copied from.
fn template() -> Result<&'static Path, String> {
    static MADE: OnceLock<Result<Dir, String>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let owner = RunAs::unprivileged();
        let dir = Dir::new("lab-template", owner);
        let mut initdb = Command::new(program("initdb"));
        initdb.args([
            "-N",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
        ]);
        initdb.arg(dir.path().join("data")).current_dir(dir.path());
        run(owner.apply(&mut initdb))?;
        let mut cluster = Cluster {
            process: None,
            port: 0,
            settings: Vec::new(),
            namespace: None,
            dir,
        };
        cluster.boot()?;
        cluster.sql("postgres", "set password_encryption = 'scram-sha-256'")?;
        for statement in SCHEMA.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            for one in statement.trim_end_matches(';').split("; ") {
                cluster.sql("postgres", one.trim())?;
            }
        }
        cluster.sql("shop", TABLES)?;
        cluster.stop("INT");
        Ok(cluster.dir)
    });
    made.as_ref().map(Dir::path).map_err(Clone::clone)
}

/// Removes the template at the end: statics are not dropped.
pub fn remove_template() {
    if let Ok(path) = template() {
        let _ = std::fs::remove_dir_all(path);
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        )),
    }
}

impl Cluster {
    /// Copies the template and starts it, in the wire's namespace where one is given.
    pub fn start(settings: &[String], wire: Option<&Wire>) -> Result<Cluster, String> {
        let dir = Dir::new("lab-pg", RunAs::unprivileged());
        let from = template()?.join("data");
        run(Command::new("cp").arg("-a").arg(&from).arg(dir.path()))?;
        let mut settings = settings.to_vec();
        if let Some(wire) = wire {
            settings.push(format!("listen_addresses = '127.0.0.1,{}'", wire.far));
        }
        let mut cluster = Cluster {
            process: None,
            port: 0,
            settings,
            namespace: wire.map(|w| w.namespace.clone()),
            dir,
        };
        cluster.boot()?;
        Ok(cluster)
    }

    fn write_settings(&self) -> Result<(), String> {
        let text = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\nsynchronous_commit = off\n\
             full_page_writes = off\nmax_connections = 100\nshared_buffers = 16MB\nautovacuum = off\n\
             log_min_messages = fatal\nlog_line_prefix = '%m [%p] '\ntimezone = 'UTC'\n{}\n",
            self.dir.path().display(),
            self.settings.join("\n"),
        );
        const HBA: &str =
            "local all all trust\nhost all postgres all trust\nhost all all all scram-sha-256\n";
        let write = |name: &str, text: &str| {
            let path = self.dir.path().join("data").join(name);
            std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
        };
        write("postgresql.auto.conf", &text)?;
        write("pg_hba.conf", HBA)
    }

    /// Starts it, on its port where it has one.
    pub fn boot(&mut self) -> Result<(), String> {
        self.write_settings()?;
        for _ in 0..5 {
            let port = if self.port == 0 {
                free_port()
            } else {
                self.port
            };
            let data = self.dir.path().join("data");
            let words = [
                "-p".to_owned(),
                port.to_string(),
                "-D".to_owned(),
                data.display().to_string(),
            ];
            let mut command = match &self.namespace {
                None => Command::new(program("postgres")),
                Some(namespace) => {
                    let mut command = Command::new("ip");
                    command.args(["netns", "exec", namespace, "setpriv"]);
                    command.args([
                        "--reuid",
                        "postgres",
                        "--regid",
                        "postgres",
                        "--clear-groups",
                    ]);
                    command.arg(program("postgres"));
                    command
                }
            };
            command.args(&words).current_dir(self.dir.path());
            if self.namespace.is_none() {
                RunAs::unprivileged().apply(&mut command);
            }
            let log = self.dir.path().join("server.log");
            let mut process = Process::start(&mut command, &log, Some(self.dir.path()))
                .map_err(|e| format!("start postgres: {e}"))?;
            let socket = self.socket(port);
            let up = until_deadline(PATIENCE, &mut || {
                if process.exited().is_some() {
                    return Some(false);
                }
                let target = Target::unix(socket.clone(), "postgres", "postgres");
                Client::login(&target).ok().map(|_| true)
            });
            if up == Some(true) {
                self.port = port;
                self.process = Some(process);
                return Ok(());
            }
        }
        Err(format!("PostgreSQL did not start:\n{}", self.log()))
    }

    fn socket(&self, port: u16) -> PathBuf {
        self.dir.path().join(format!(".s.PGSQL.{port}"))
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Straight to it, by its unix socket, whatever stands between others and it.
    pub fn target(&self, database: &str, user: &str) -> Target {
        Target::unix(self.socket(self.port), database, user)
    }

    /// A superuser's session.
    pub fn session(&self, database: &str) -> Result<Client, Error> {
        Client::login(&self.target(database, "postgres"))
    }

    /// Runs a statement as superuser.
    pub fn sql(&self, database: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let mut session = self
            .session(database)
            .map_err(|e| format!("superuser: {e}"))?;
        session.rows(sql).map_err(|e| format!("{sql}: {e}"))
    }

    /// Ends every session of this role.
    pub fn end_sessions(&self, role: &str) -> Result<(), String> {
        let sql = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
        );
        self.sql("postgres", &sql).map(|_| ())
    }

    /// `INT`: a fast shutdown; `QUIT`: an immediate one; `KILL`.
    pub fn stop(&mut self, how: &str) {
        if let Some(mut process) = self.process.take() {
            process.signal(how);
            process.wait("end of PostgreSQL");
        }
    }

    /// Kills it as the kernel does when memory runs out, backends included.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let children = children(process.pid());
        process.signal("KILL");
        for pid in children {
            plimsoll_e2e::sandbox::signal(pid, "KILL");
        }
        process.wait("end of PostgreSQL");
        let _ = std::fs::remove_file(self.dir.path().join("data/postmaster.pid"));
    }

    /// When it starts again it is a standby: it reads, and refuses to write.
    pub fn become_standby(&self) -> Result<(), String> {
        let path = self.dir.path().join("data/standby.signal");
        std::fs::write(&path, "").map_err(|e| e.to_string())?;
        RunAs::unprivileged().own(&path);
        Ok(())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }
}

/// The processes that this one started and that still run.
pub fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}
