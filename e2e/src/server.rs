//! A private PostgreSQL: own directory, own port, loopback and a unix socket only.
//!
//! Kept apart from everything else so that another provider of a private server can take its place: the rest of the
//! crate uses [`Server`]'s public methods only.

mod failover;

use crate::raw::{Client, Target};
use crate::sandbox::{Dir, PATIENCE, Process, RunAs, free_port, signal, until, until_deadline};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The password of every user that has one.
pub const PASSWORD: &str = "Tr0ub4dor & \\\"quote\\\"";

/// Where to look for the server's programs beside `PATH`.
const BINARY_DIRS: [&str; 4] = [
    "/usr/lib/postgresql",
    "/usr/pgsql",
    "/opt/homebrew/opt",
    "/usr/local/pgsql",
];

/// A running private PostgreSQL.
#[derive(Debug)]
pub struct Server {
    process: Option<Process>,
    host: String,
    port: u16,
    /// Processes that were stopped where they are.
    frozen: Vec<u32>,
    run_as: RunAs,
    certificates: Certificates,
    dir: Dir,
}

/// Files of a small test authority.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// Certificate for `localhost`, 127.0.0.1 and ::1.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Certificate of the client `tls_user`.
    pub client_cert: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
    /// A certificate of another authority, which verification must refuse.
    pub foreign_ca: PathBuf,
}

impl Server {
    /// initdb, start, create users and the database `app`.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further settings (`name = value` lines).
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_on("127.0.0.1", settings)
    }

    fn start_on(host: &str, settings: &[&str]) -> Self {
        let run_as = RunAs::unprivileged();
        let dir = Dir::new("pg", run_as);
        let certificates = Certificates::generate(&dir, run_as);
        let data = dir.path().join("data");
        let mut initdb = Command::new(program("initdb"));
        initdb
            .args(["-N", "-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--locale=C", "-D"])
            .arg(&data)
            .current_dir(dir.path());
        let out = run_as.apply(&mut initdb).output().expect("run initdb");
        assert!(
            out.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        let mut server = Server {
            process: None,
            host: host.to_owned(),
            port: 0,
            frozen: Vec::new(),
            run_as,
            certificates,
            dir,
        };
        server.write_settings(settings);
        server.boot();
        server.create_users();
        server
    }

    fn write_settings(&self, extra: &[&str]) {
        let c = &self.certificates;
        let text = format!(
            "fsync = off\n\
             synchronous_commit = off\nfull_page_writes = off\nmax_connections = 100\nshared_buffers = 32MB\n\
             autovacuum = off\nssl = on\nssl_cert_file = '{cert}'\nssl_key_file = '{key}'\nssl_ca_file = '{ca}'\n\
             log_min_messages = warning\nlog_line_prefix = '%m [%p] '\ntimezone = 'UTC'\n\
             max_prepared_transactions = 5\nwal_level = logical\n{extra}\n",
            cert = c.cert.display(),
            key = c.key.display(),
            ca = c.ca.display(),
            extra = extra.join("\n"),
        );
        let auto = self.dir.path().join("data/postgresql.auto.conf");
        std::fs::write(auto, text).expect("write settings");
        const HBA: &str = "local all all trust\n\
            hostssl all tls_user all cert\n\
            host all scram_user all scram-sha-256\nhost all md5_user all md5\n\
            hostssl all tls_only all trust\nhost all tls_only all reject\n\
            hostnossl all plain_only all trust\nhost all plain_only all reject\nhost all refused all reject\n\
            host all all all trust\nhost replication all all trust\n";
        std::fs::write(self.dir.path().join("data/pg_hba.conf"), HBA).expect("write pg_hba.conf");
    }

    /// Starts the server, on its port if it has one already.
    fn boot(&mut self) {
        for _ in 0..5 {
            let port = if self.port == 0 {
                free_port()
            } else {
                self.port
            };
            let mut command = Command::new(program("postgres"));
            // Not in a file: a standby has a copy of its primary's.
            let listen = match self.host.as_str() {
                "127.0.0.1" => "127.0.0.1,::1",
                host => host,
            };
            let sockets = self.dir.path().display();
            command
                .args(["-c", &format!("listen_addresses={listen}")])
                .args(["-c", &format!("unix_socket_directories={sockets}")])
                .args(["-p", &port.to_string(), "-D"])
                .arg(self.dir.path().join("data"))
                .current_dir(self.dir.path());
            let log = self.dir.path().join("server.log");
            let remove = Some(self.dir.path());
            let mut process = Process::start(self.run_as.apply(&mut command), &log, remove)
                .expect("start postgres");
            let up = until_deadline(PATIENCE, &mut || {
                if process.exited().is_some() {
                    return Some(false);
                }
                let target = Target::tcp(&self.host, port, "postgres", "postgres");
                Client::login(&target).ok().map(|_| true)
            });
            if up == Some(true) {
                self.port = port;
                self.process = Some(process);
                return;
            }
        }
        panic!("PostgreSQL did not start:\n{}", self.log());
    }

    fn create_users(&self) {
        let sql = format!(
            "set password_encryption = 'scram-sha-256';\n\
             create role scram_user login password '{p}';\n\
             create role app login superuser password '{p}';\n\
             create role tls_user login; create role tls_only login; create role plain_only login; create role refused login; create role nobody_special login;\n\
             create role \"Odd 'name\" login;\n\
             set password_encryption = 'md5'; create role md5_user login password '{p}';",
            p = PASSWORD.replace('\'', "''")
        );
        self.sql("postgres", &sql);
        self.sql("postgres", "create database app owner app");
        self.sql(
            "app",
            "grant all on schema public to public; grant create on database app to public",
        );
    }

    /// Runs simple statements as superuser, over the unix socket, and gives the rows as text.
    pub fn sql(&self, database: &str, sql: &str) -> Vec<Vec<String>> {
        let mut client = Client::login(&self.unix_target(database, "postgres"))
            .unwrap_or_else(|error| panic!("login as superuser: {error}"));
        client
            .rows(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The address that it listens on.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Directory of the unix socket.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The test authority's files.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Straight to the server by TCP.
    pub fn target(&self, database: &str, user: &str) -> Target {
        Target::tcp(&self.host, self.port, database, user)
    }

    /// Straight to the server by its unix socket.
    pub fn unix_target(&self, database: &str, user: &str) -> Target {
        let socket = self.dir.path().join(format!(".s.PGSQL.{}", self.port));
        Target::unix(socket, database, user)
    }

    /// SHA-256 verifier of a user, as the server stores it.
    pub fn stored_secret(&self, user: &str) -> String {
        let sql = format!("select rolpassword from pg_authid where rolname = '{user}'");
        self.sql("postgres", &sql).remove(0).remove(0)
    }

    /// Ends the server: `INT` is a fast shutdown, `QUIT` an immediate one.
    pub fn stop(&mut self, how: &str) {
        if let Some(mut process) = self.process.take() {
            process.signal(how);
            process.wait("end of PostgreSQL");
        }
    }

    /// Starts it again on the same port.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "still running");
        self.boot();
    }

    /// Sends a signal to one backend, which must be a child of this server.
    pub fn signal_backend(&self, pid: u32, name: &str) {
        let parent = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| {
                let rest = stat.rsplit_once(") ")?.1.to_owned();
                rest.split(' ').nth(1)?.parse::<u32>().ok()
            });
        let ours = self.process.as_ref().map(Process::pid);
        assert!(
            parent.is_some() && parent == ours,
            "{pid} is not our backend"
        );
        signal(pid, name);
    }

    /// Connections of `database` that the server sees, but for internal ones.
    pub fn connections(&self, database: &str) -> usize {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = '{database}' and backend_type = 'client backend'"
        );
        self.sql("postgres", &sql)[0][0].parse().expect("a count")
    }

    /// Waits until the server sees no more than `most` connections of `database`.
    pub fn wait_for_connections(&self, database: &str, most: usize) {
        until("connections to be closed", || {
            (self.connections(database) <= most).then_some(())
        });
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is stopped cannot end.
        self.thaw();
    }
}

impl Certificates {
    /// New ones, in this directory; keys are for `owner`, the client's for us.
    pub fn generate(dir: &Dir, owner: RunAs) -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).expect("certificate");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key")).expect("sign")
        };
        let ca = authority("test authority");
        let foreign = authority("foreign authority");
        let leaf = |common_name: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).expect("certificate");
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, common_name);
            let key = KeyPair::generate().expect("key");
            let cert = params.signed_by(&key, &ca).expect("sign");
            (cert.pem(), key.serialize_pem())
        };
        let (cert, key) = leaf("localhost", &["localhost", "127.0.0.1", "::1"]);
        let (client_cert, client_key) = leaf("tls_user", &[]);
        Certificates {
            ca: dir.write("ca.pem", &ca.pem(), owner, 0o644),
            cert: dir.write("server.pem", &cert, owner, 0o644),
            key: dir.write("server.key", &key, owner, 0o600),
            client_cert: dir.write("client.pem", &client_cert, owner, 0o644),
            client_key: dir.write("client.key", &client_key, RunAs::myself(), 0o600),
            foreign_ca: dir.write("foreign.pem", &foreign.pem(), owner, 0o644),
        }
    }
}

/// A PostgreSQL program: from the directory that `PGBIN` names, if it is there (packages with nothing but a server exist);
/// else the newest version in the usual places, else from `PATH`.
pub fn program(name: &str) -> PathBuf {
    let chosen = std::env::var_os("PGBIN").map(|dir| Path::new(&dir).join(name));
    if let Some(chosen) = chosen.filter(|path| path.exists()) {
        return chosen;
    }
    let mut found: Vec<(u32, PathBuf)> = BINARY_DIRS
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path().join("bin").join(name);
            let digits: String = entry
                .file_name()
                .to_string_lossy()
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            path.exists().then(|| (digits.parse().unwrap_or(0), path))
        })
        .collect();
    found.sort();
    found.pop().map_or_else(|| name.into(), |(_, path)| path)
}
