//! Several instances behind one name, under the load of applications that keep their connections as pools do.

use crate::kubernetes::{Pod, Volume};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Error, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port, until};
use plimsoll_e2e::server::{PASSWORD, Server};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long nodes go on sending clients to an instance that is ending; below `drain_delay`.
const NODES_HEAR: Duration = Duration::from_millis(400);
/// `timeouts.drain_delay`.
const DELAY: &str = "1s";

/// The database, what applications find behind the name, and what they met.
pub struct World {
    pub server: Server,
    dir: Dir,
    /// How many instances there were; each has a directory of its own.
    started: AtomicU64,
    /// Where the name leads to.
    endpoints: Mutex<Vec<(String, u16)>>,
    stop: AtomicBool,
    pub committed: AtomicU64,
    /// Connections that were closed while nothing was under way on them, with 57P01.
    pub idle_closed: AtomicU64,
    longest_ms: AtomicU64,
    /// The most that the server ever had of the instances.
    pub connections_most: AtomicU64,
    /// Below so many of the application's, a part of the line lies unused.
    enough: AtomicU64,
    unused_ms: AtomicU64,
    /// The fewest of the application's, in the longest time with less than enough.
    pub least: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// Ends the load also when the test fails: scoped threads are waited for.
pub struct StopAtEnd<'a>(pub &'a World);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl World {
    /// `grants` is what the monitor sessions' role may see.
    pub fn new(server: Server, grants: &str) -> World {
        server.sql("postgres", "create role watcher login");
        if !grants.is_empty() {
            server.sql("postgres", &format!("grant {grants} to watcher"));
        }
        server.sql("app", "create table rolled (who int, what bigint)");
        server.sql("app", "grant all on rolled to app");
        World {
            server,
            dir: Dir::new("instances", RunAs::myself()),
            started: AtomicU64::new(0),
            endpoints: Mutex::default(),
            stop: AtomicBool::new(false),
            committed: AtomicU64::new(0),
            idle_closed: AtomicU64::new(0),
            longest_ms: AtomicU64::new(0),
            connections_most: AtomicU64::new(0),
            enough: AtomicU64::new(0),
            unused_ms: AtomicU64::new(0),
            least: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self, what: String) {
        self.errors.lock().expect("errors").push(what);
    }

    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("errors").clone()
    }

    /// An application's connection, to one of the instances that are ready.
    fn connect(&self, turn: u64) -> Option<Client> {
        let (host, port) = {
            let endpoints = self.endpoints.lock().expect("endpoints");
            endpoints[usize::try_from(turn).unwrap_or(0) % endpoints.len()].clone()
        };
        match Client::login(&Target::tcp(&host, port, "app", "app")) {
            Ok(client) => Some(client),
            Err(error) => {
                self.failed(format!("login: {error}"));
                None
            }
        }
    }

    /// An application: transactions on a connection that it keeps for as long as it is let.
    pub fn application(&self, who: u64) {
        let (mut turn, mut connection) = (who, None);
        while self.running() {
            turn += 1;
            let mut client = match connection.take().or_else(|| self.connect(turn)) {
                Some(client) => client,
                None => return,
            };
            let begun = Instant::now();
            match client.rows("begin") {
                Ok(_) => {}
                // Nothing of this transaction was done: a pool asks its next connection.
                Err(error) if error.code() == "57P01" => {
                    self.idle_closed.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Err(error) => self.failed(format!("begin: {error}")),
            }
            if let Err(error) = self.transaction(&mut client, who, turn) {
                self.failed(format!("cut: {error}"));
                continue;
            }
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.longest_ms.fetch_max(took, Ordering::Relaxed);
            // The time between two requests; a pool that looks would see the farewell now.
            match client.read_within(Duration::from_millis(2 + who % 17)) {
                Ok(None) => connection = Some(client),
                Ok(Some(said)) if said.fields().code() == "57P01" => {
                    self.idle_closed.fetch_add(1, Ordering::Relaxed);
                }
                other => self.failed(format!("idle: {other:?}")),
            }
        }
    }

    fn transaction(&self, client: &mut Client, who: u64, turn: u64) -> Result<(), Error> {
        client.rows(&format!("insert into rolled values ({who}, {turn})"))?;
        client.rows("select pg_sleep(0.004)")?;
        client.rows("commit")?;
        self.committed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The server's own count of the instances' connections.
    pub fn watch(&self) {
        let target = self.server.unix_target("postgres", "postgres");
        let mut watch = Client::login(&target).expect("login");
        let sql = "select count(*), count(*) filter (where usename = 'app') \
                   from pg_stat_activity where usename in ('app', 'watcher')";
        let mut low_since: Option<Instant> = None;
        let mut least = u64::MAX;
        while self.running() {
            let row = watch.rows(sql).expect("counts").remove(0);
            let figure = |column: usize| row[column].parse::<u64>().expect("a number");
            self.connections_most
                .fetch_max(figure(0), Ordering::Relaxed);
            if figure(1) >= self.enough.load(Ordering::Relaxed) {
                (low_since, least) = (None, u64::MAX);
                continue;
            }
            let low = low_since.get_or_insert_with(Instant::now).elapsed();
            let low = u64::try_from(low.as_millis()).unwrap_or(u64::MAX);
            least = least.min(figure(1));
            if low > self.unused_ms.fetch_max(low, Ordering::Relaxed) {
                self.least.store(least, Ordering::Relaxed);
            }
        }
    }

    /// From now on it is measured how long fewer than `connections` are there, of the applications' own,
    /// while more are wanted. Waits until so many are there.
    pub fn expect_use_of(&self, connections: u64) {
        let sql = "select count(*) from pg_stat_activity where usename = 'app'";
        until("the line to be used", || {
            let now = self.server.sql("postgres", sql)[0][0].parse::<u64>();
            (now.expect("a count") >= connections).then_some(())
        });
        self.unused_ms.store(0, Ordering::Relaxed);
        self.enough.store(connections, Ordering::Relaxed);
    }

    /// Waits until so many instances, and no more, each hold all that they claim, and about as much as each other.
    pub fn wait_for_even_shares(&self, instances: usize) {
        let sql = "select split_part(application_name, '/', 4)::int, split_part(application_name, '/', 5)::int \
                   from pg_stat_activity where usename = 'watcher' and application_name like 'plimsoll/%'";
        until("even shares", || {
            let rows = self.server.sql("postgres", sql);
            let figure = |row: &[String], i: usize| row[i].parse::<u32>().expect("a number");
            let holds = |row: &Vec<String>| figure(row, 0) == figure(row, 1);
            let most = rows.iter().map(|row| figure(row, 0)).max()?;
            let least = rows.iter().map(|row| figure(row, 0)).min()?;
            let even = rows.len() == instances && most - least <= 2;
            (even && rows.iter().all(holds)).then_some(())
        });
    }

    /// The longest time that was measured since, and the longest transaction.
    pub fn longest(&self) -> (Duration, Duration) {
        let of = |what: &AtomicU64| Duration::from_millis(what.load(Ordering::Relaxed));
        (of(&self.unused_ms), of(&self.longest_ms))
    }

    pub fn wait_for_more(&self, transactions: u64) {
        let goal = self.committed.load(Ordering::Relaxed) + transactions;
        until("the load to go on", || {
            (self.committed.load(Ordering::Relaxed) >= goal || !self.errors().is_empty())
                .then_some(())
        });
        assert_eq!(self.errors(), Vec::<String>::new());
    }

    /// An instance of a revision, at 127.0.0.1: its own settings, an empty history.
    pub fn pod(&self, settings: &str) -> Pod {
        self.pod_at("127.0.0.1", settings, |program| Command::new(program))
    }

    /// The same at another address; `run` makes the command that runs a program there.
    pub fn pod_at(&self, host: &str, settings: &str, run: impl FnOnce(&Path) -> Command) -> Pod {
        let (port, metrics) = (free_port(), free_port());
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let home = self.dir.path().join(number.to_string());
        let mut volume = Volume::new(home.join("settings"));
        let text = format!(
            "[listen]\ntcp = [\"{host}:{port}\"]\n[metrics]\nlisten = \"{host}:{metrics}\"\n\
             [settings]\nsource = \"deploy\"\n[auth]\ntype = \"trust\"\n\
             [server]\nmonitor_user = \"watcher\"\n{settings}\n\
             [timeouts]\ndrain_delay = \"{DELAY}\"\ndrain = \"5s\"\n\
             [database.app]\nhost = \"{}\"\nport = {}\nuser = \"app\"\npassword = \"{PASSWORD}\"\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"watcher\"\npassword = \"{PASSWORD}\"\n",
            self.server.host(),
            self.server.port()
        );
        volume.write(&[("plimsoll.toml", &text)]);
        let mut command = run(&Binary::find().path);
        command.arg("run").arg(volume.file("plimsoll.toml"));
        command.arg("--state").arg(home.join("state"));
        Pod::start_at(host, command, &home.join("log"), (port, metrics))
    }

    /// An instance that is ready takes clients.
    pub fn join(&self, pod: &Pod) {
        let mut endpoints = self.endpoints.lock().expect("endpoints");
        endpoints.push((pod.host.clone(), pod.port));
    }

    /// It gets no more clients; those that it has it keeps.
    pub fn withdraw(&self, pod: &Pod) {
        let mut endpoints = self.endpoints.lock().expect("endpoints");
        endpoints.retain(|(_, port)| *port != pod.port);
    }

    /// As the kubelet ends a pod: SIGTERM at once, while the nodes hear of it in their own time.
    pub fn end(&self, mut pod: Pod) -> Duration {
        let told = Instant::now();
        pod.process.signal("TERM");
        until("the nodes to hear of it", || {
            (told.elapsed() > NODES_HEAR).then_some(())
        });
        self.withdraw(&pod);
        let end = pod.process.wait("the end of an instance");
        assert_eq!(end.code(), Some(0), "{}", pod.said());
        told.elapsed()
    }

    /// Each old one in its turn, after a new one is ready.
    pub fn roll(&self, pods: &mut Vec<Pod>, settings: &str) {
        for _ in 0..pods.len() {
            let mut new = self.pod(settings);
            new.wait_until_ready();
            self.join(&new);
            self.wait_for_more(50);
            let took = self.end(pods.remove(0));
            assert!(took < Duration::from_secs(6), "{took:?}");
            pods.push(new);
        }
    }

    /// What was answered as committed is there, and nothing else is; nothing failed.
    pub fn nothing_was_lost(&self) {
        assert_eq!(self.errors(), Vec::<String>::new());
        let rows = self.server.sql("app", "select count(*) from rolled");
        assert_eq!(
            rows[0][0],
            self.committed.load(Ordering::Relaxed).to_string()
        );
    }
}
