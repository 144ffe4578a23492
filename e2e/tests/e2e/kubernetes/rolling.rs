//! A rolling update as a Deployment plays it (maxUnavailable 0, maxSurge 1), under load: settings that fail the check
//! take nobody's place, and the next good ones cut no transaction.

use super::{Pod, Volume, probe};
use crate::common::{full, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Error, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port, until};
use plimsoll_e2e::server::{PASSWORD, Server};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Of the server: 100 slots, 3 of them for superusers; 5 are headroom.
const SLOTS: u64 = 100 - 3 - 5;
/// How long nodes go on sending clients to a pod that is ending; below `drain_delay`.
const NODES_HEAR: Duration = Duration::from_millis(400);
/// `timeouts.drain_delay`.
const DELAY: &str = "1s";

/// The database, what applications find behind the Service's name, and what they met.
struct World {
    server: Server,
    dir: Dir,
    /// How many pods there were; each has a directory of its own.
    pods: AtomicU64,
    /// The ports that the Service leads to.
    endpoints: Mutex<Vec<u16>>,
    stop: AtomicBool,
    committed: AtomicU64,
    /// Connections that were closed while nothing was under way on them, with 57P01.
    idle_closed: AtomicU64,
    longest_ms: AtomicU64,
    connections_most: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// Ends the load also when the test fails: scoped threads are waited for.
struct StopAtEnd<'a>(&'a World);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl World {
    fn new() -> World {
        let server = Server::start_with(&[]);
        server.sql("postgres", "create role watcher login");
        server.sql("postgres", "grant pg_read_all_stats to watcher");
        server.sql("app", "create table rolled (who int, what bigint)");
        server.sql("app", "grant all on rolled to app");
        World {
            server,
            dir: Dir::new("rolling", RunAs::myself()),
            pods: AtomicU64::new(0),
            endpoints: Mutex::default(),
            stop: AtomicBool::new(false),
            committed: AtomicU64::new(0),
            idle_closed: AtomicU64::new(0),
            longest_ms: AtomicU64::new(0),
            connections_most: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self, what: String) {
        self.errors.lock().expect("errors").push(what);
    }

    fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("errors").clone()
    }

    /// An application's connection, to one of the pods that are ready.
    fn connect(&self, turn: u64) -> Option<Client> {
        let port = {
            let endpoints = self.endpoints.lock().expect("endpoints");
            endpoints[usize::try_from(turn).unwrap_or(0) % endpoints.len()]
        };
        let target = Target::tcp("127.0.0.1", port, "app", "app");
        match Client::login(&target) {
            Ok(client) => Some(client),
            Err(error) => {
                self.failed(format!("login: {error}"));
                None
            }
        }
    }

    /// An application: transactions on a connection that it keeps for as long as it is let, as a pool does.
    fn application(&self, who: u64) {
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

    /// The server's own count of the pods' connections.
    fn watch(&self) {
        let target = self.server.unix_target("postgres", "postgres");
        let mut watch = Client::login(&target).expect("login");
        let sql = "select count(*) from pg_stat_activity where usename in ('app', 'watcher')";
        while self.running() {
            let count = watch
                .value(sql)
                .expect("a count")
                .parse()
                .expect("a number");
            self.connections_most.fetch_max(count, Ordering::Relaxed);
        }
    }

    fn wait_for_more(&self, transactions: u64) {
        let goal = self.committed.load(Ordering::Relaxed) + transactions;
        until("the load to go on", || {
            (self.committed.load(Ordering::Relaxed) >= goal || !self.errors().is_empty())
                .then_some(())
        });
        assert_eq!(self.errors(), Vec::<String>::new());
    }

    /// A pod of a revision: its own ConfigMap, an empty history.
    fn pod(&self, settings: &str) -> Pod {
        let (port, metrics) = (free_port(), free_port());
        let number = self.pods.fetch_add(1, Ordering::Relaxed);
        let home = self.dir.path().join(number.to_string());
        let mut volume = Volume::new(home.join("settings"));
        let text = format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [settings]\nsource = \"deploy\"\n[auth]\ntype = \"trust\"\n\
             [server]\nmonitor_user = \"watcher\"\n{settings}\n\
             [timeouts]\ndrain_delay = \"{DELAY}\"\ndrain = \"5s\"\n\
             [database.app]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"app\"\npassword = \"{PASSWORD}\"\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"watcher\"\npassword = \"{PASSWORD}\"\n",
            self.server.port()
        );
        volume.write(&[("plimsoll.toml", &text)]);
        let mut command = Command::new(Binary::find().path);
        command.arg("run").arg(volume.file("plimsoll.toml"));
        command.arg("--state").arg(home.join("state"));
        Pod::start(command, &home.join("log"), (port, metrics))
    }

    /// A pod that is ready takes clients.
    fn join(&self, pod: &Pod) {
        self.endpoints.lock().expect("endpoints").push(pod.port);
    }

    /// As the kubelet ends a pod: SIGTERM at once, while the nodes hear of it in their own time.
    fn end(&self, mut pod: Pod) -> Duration {
        let told = Instant::now();
        pod.process.signal("TERM");
        until("the nodes to hear of it", || {
            (told.elapsed() > NODES_HEAR).then_some(())
        });
        let port = pod.port;
        self.endpoints
            .lock()
            .expect("endpoints")
            .retain(|p| *p != port);
        let end = pod.process.wait("the end of a pod");
        assert_eq!(end.code(), Some(0), "{}", pod.said());
        told.elapsed()
    }

    /// A pod whose settings fail the check: never ready, while the others serve.
    fn is_held_back(&self, old: &[Pod]) {
        let bad = self.pod("[pool]\nsize = 20\nmin = 30");
        let reason = until("an answer to the probe", || probe(bad.metrics, "/readyz"));
        assert_eq!(reason.0, 503, "{}", bad.said());
        assert!(reason.1.contains("min-above-max"), "{}", reason.1);
        for _ in 0..20 {
            self.wait_for_more(50);
            assert!(!bad.is_ready(), "{}", bad.said());
            assert!(old.iter().all(Pod::is_ready));
        }
        // The liveness probe leaves it alone: a restart would mend nothing.
        assert_eq!(
            probe(bad.metrics, "/livez").map(|(code, _)| code),
            Some(200)
        );
        self.end(bad);
        // Text that is no settings at all: the container ends, and is started again and again.
        let mut worse = self.pod("[pool]\nszie = 20");
        let end = worse.process.wait("its end");
        assert_ne!(end.code(), Some(0));
        assert!(
            worse.said().contains("did you mean `size`"),
            "{}",
            worse.said()
        );
    }

    /// Each old pod in its turn, after a new one is ready.
    fn roll(&self, pods: &mut Vec<Pod>, settings: &str) {
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
}

#[test]
fn a_rolling_update_stops_at_bad_settings_and_cuts_no_transaction() {
    if Binary::find().is_pgbouncer {
        skip(
            "a_rolling_update_stops_at_bad_settings_and_cuts_no_transaction",
            "PgBouncer says nothing of its settings to a probe",
        );
        return;
    }
    let world = World::new();
    let (clients, rounds) = if full() { (120, 8) } else { (40, 1) };
    let mut pods: Vec<Pod> = (0..3).map(|_| world.pod("[pool]\nsize = 20")).collect();
    for pod in &mut pods {
        pod.wait_until_ready();
        world.join(pod);
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&world);
        scope.spawn(|| world.watch());
        for who in 0..clients {
            let world = &world;
            scope.spawn(move || world.application(who));
        }
        world.wait_for_more(1_000);
        for round in 0..rounds {
            world.is_held_back(&pods);
            world.roll(&mut pods, &format!("[pool]\nsize = {}", 21 + round));
            world.wait_for_more(500);
        }
    });
    assert_eq!(world.errors(), Vec::<String>::new());
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    // What was answered as committed is there, and nothing else is.
    let rows = world.server.sql("app", "select count(*) from rolled");
    assert_eq!(rows[0][0], count(&world.committed).to_string());
    assert!(count(&world.idle_closed) > 0, "idle connections are closed");
    assert!(count(&world.connections_most) <= SLOTS);
    eprintln!(
        "{} pods replaced under {clients} clients in {:?}: {} transactions, the longest {} ms, 0 cut, \
         {} idle connections closed with 57P01, at most {} server connections of {SLOTS}",
        3 * rounds,
        begun.elapsed(),
        count(&world.committed),
        count(&world.longest_ms),
        count(&world.idle_closed),
        count(&world.connections_most),
    );
}
