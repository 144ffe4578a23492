//! The load line on a real server: never above it, whoever asks for how much.

use crate::common::skip;
use plimsoll_e2e::pooler::{Binary, Pooler, Settings, user_line};
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{until, until_deadline};
use plimsoll_e2e::server::{PASSWORD, Server};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of `Server`: 100 slots, 3 of them for superusers.
pub(crate) const SLOTS: usize = 100;
pub(crate) const RESERVED: usize = 3;
/// The settings' default.
pub(crate) const HEADROOM: usize = 5;

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(5);

pub(crate) fn stands_in(test: &str) -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip(test, "PgBouncer knows no line");
    }
    pgbouncer
}

/// A server with a role for the monitor session; `grants` is what it may see.
pub(crate) fn server(settings: &[&str], grants: &str) -> Server {
    let server = Server::start_with(settings);
    server.sql("postgres", "create role watcher login");
    if !grants.is_empty() {
        server.sql("postgres", &format!("grant {grants} to watcher"));
    }
    server
}

pub(crate) fn settings(server: &Server) -> Settings {
    let mut settings = Settings::for_server(server)
        .set("default_pool_size", "500")
        .own("monitor_user", "watcher");
    settings.userlist.push(user_line("watcher", PASSWORD));
    settings
}

/// The row of SHOW BUDGET.
pub(crate) fn budget(pooler: &Pooler) -> Vec<String> {
    let mut rows = pooler.console().rows("show budget").expect("show budget");
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

pub(crate) fn figure(row: &[String], column: usize) -> usize {
    row[column].parse().expect("a figure")
}

/// Connections of `app` at the server, and all client backends.
fn connections(watch: &mut Client) -> (usize, usize) {
    let sql = "select count(*) filter (where usename = 'app'), count(*) \
               from pg_stat_activity where backend_type = 'client backend'";
    let row = watch.rows(sql).expect("the activity view").remove(0);
    (figure(&row, 0), figure(&row, 1))
}

/// What came of the load.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) stop: AtomicBool,
    pub(crate) good: AtomicU64,
    errors: Mutex<Vec<String>>,
    pub(crate) most: AtomicUsize,
}

impl Outcome {
    pub(crate) fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self, what: impl std::fmt::Display) {
        self.errors.lock().expect("errors").push(what.to_string());
    }

    pub(crate) fn none_failed(&self) {
        let errors = self.errors.lock().expect("errors");
        let some: Vec<&String> = errors.iter().take(5).collect();
        assert!(errors.is_empty(), "{} errors: {some:?}", errors.len());
    }

    /// A client that asks until the load is over.
    pub(crate) fn ask(&self, target: &Target) {
        let served = Client::login(target).and_then(|mut client| {
            while self.running() {
                client.value("select pg_sleep(0.01), 7")?;
                self.good.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        if let Err(error) = served {
            self.failed(error);
        }
    }

    /// Watches the server's own count until the load is over.
    pub(crate) fn watch(&self, server: &Server) {
        let mut watch = Client::login(&server.unix_target("postgres", "postgres")).expect("login");
        while self.running() {
            self.most
                .fetch_max(connections(&mut watch).0, Ordering::Relaxed);
        }
    }

    /// Somebody else, who must always get in.
    fn log_in_directly(&self, server: &Server, user: &str) {
        while self.running() {
            let value = Client::login(&server.target("app", user))
                .and_then(|mut client| client.value("select pg_sleep(0.05), 1"));
            if let Err(error) = value {
                self.failed(format!("direct login of {user}: {error}"));
            }
        }
    }
}

/// Ends the load also when the test fails: scoped threads are waited for.
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a Outcome);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_pool_of_500_is_held_at_the_line_of_100_slots() {
    if stands_in("a_pool_of_500_is_held_at_the_line_of_100_slots") {
        return;
    }
    // The role may see nothing of others but that they are there.
    let server = server(&[], "");
    let pooler = Pooler::start(settings(&server));
    let outcome = Outcome::default();
    let target = pooler.target("app", "app");
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for _ in 0..400 {
            let (outcome, target) = (&outcome, &target);
            scope.spawn(move || {
                let mut client = match Client::login(target) {
                    Ok(client) => client,
                    Err(error) => return outcome.failed(format!("login: {error}")),
                };
                while outcome.running() {
                    match client.value("select pg_sleep(0.02), 7") {
                        Ok(_) => drop(outcome.good.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => return outcome.failed(error),
                    }
                }
            });
        }
        scope.spawn(|| outcome.watch(&server));
        scope.spawn(|| outcome.log_in_directly(&server, "nobody_special"));
        scope.spawn(|| outcome.log_in_directly(&server, "postgres"));
        until("the pool to be at the line", || {
            (outcome.most.load(Ordering::Relaxed) > 80).then_some(())
        });
        let end = Instant::now() + LOAD;
        until("the time of the load", || {
            (Instant::now() > end).then_some(())
        });
    });
    outcome.none_failed();
    let most = outcome.most.load(Ordering::Relaxed);
    let line = SLOTS - RESERVED - HEADROOM - 1;
    assert!(most <= line, "{most} connections, the line is {line}");
    assert!(outcome.good.load(Ordering::Relaxed) > 1000, "served");
    let row = budget(&pooler);
    assert_eq!((row[1].as_str(), figure(&row, 7)), ("known", SLOTS));
    assert_eq!(figure(&row, 13), HEADROOM);
    assert!(
        pooler.log().contains("the settings ask for more"),
        "{}",
        pooler.log()
    );
    eprintln!(
        "line {line}, most {most}, served {}",
        outcome.good.load(Ordering::Relaxed)
    );
}

/// Instances behind a load balancer that knows which are ready.
struct Fleet<'a> {
    pub(crate) targets: Vec<plimsoll_e2e::raw::Target>,
    pub(crate) ready: Vec<AtomicBool>,
    pub(crate) sessions: Vec<AtomicUsize>,
    pub(crate) outcome: &'a Outcome,
}

impl Fleet<'_> {
    /// Short sessions, each at the next instance that is ready.
    pub(crate) fn client(&self, number: usize) {
        let mut turn = number;
        while self.outcome.running() {
            turn += 1;
            let at = turn % self.targets.len();
            self.sessions[at].fetch_add(1, Ordering::SeqCst);
            if self.ready[at].load(Ordering::SeqCst)
                && let Err(error) = self.session(at)
            {
                self.outcome.failed(format!("instance {at}: {error}"));
            }
            self.sessions[at].fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn session(&self, at: usize) -> Result<(), plimsoll_e2e::raw::Error> {
        let mut client = Client::login(&self.targets[at])?;
        for _ in 0..10 {
            client.value("select pg_sleep(0.02), 7")?;
            self.outcome.good.fetch_add(1, Ordering::Relaxed);
        }
        client.terminate();
        Ok(())
    }
}

#[test]
fn three_instances_share_the_line_and_one_is_restarted_under_load() {
    if stands_in("three_instances_share_the_line_and_one_is_restarted_under_load") {
        return;
    }
    let server = server(&[], "pg_read_all_stats");
    let mut poolers: Vec<Pooler> = (0..3).map(|_| Pooler::start(settings(&server))).collect();
    let outcome = Outcome::default();
    let flags = |on| (0..3).map(|_| AtomicBool::new(on)).collect();
    let fleet = Fleet {
        targets: poolers.iter().map(|p| p.target("app", "app")).collect(),
        ready: flags(true),
        sessions: (0..3).map(|_| AtomicUsize::new(0)).collect(),
        outcome: &outcome,
    };
    let shares = |poolers: &[Pooler]| -> Vec<usize> {
        poolers.iter().map(|p| figure(&budget(p), 16)).collect()
    };
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for number in 0..180 {
            let fleet = &fleet;
            scope.spawn(move || fleet.client(number));
        }
        scope.spawn(|| outcome.watch(&server));
        until("every instance to have a share", || {
            let shares = shares(&poolers);
            shares.iter().all(|share| *share > 20).then_some(())
        });
        // One goes: first out of the load balancer, then for good.
        fleet.ready[2].store(false, Ordering::SeqCst);
        until("its sessions to end", || {
            (fleet.sessions[2].load(Ordering::SeqCst) == 0).then_some(())
        });
        let mut gone = poolers.pop().expect("three");
        let again = gone.settings().clone();
        gone.signal("TERM");
        gone.wait();
        let went = Instant::now();
        drop(gone);
        let taken = until_deadline(Duration::from_secs(10), &mut || {
            let sum: usize = shares(&poolers).iter().sum();
            (sum >= SLOTS - RESERVED - HEADROOM - 2 - 3).then(|| went.elapsed())
        });
        let taken = taken.expect("its share to be taken");
        assert!(
            taken <= Duration::from_secs(5),
            "a share unused for {taken:?}"
        );
        eprintln!("the share of the one that went was in use after {taken:?}");
        // It comes back, and gets its share.
        poolers.push(Pooler::start(again));
        let back = &poolers[2];
        let target = back.target("app", "app");
        let mut clients = Vec::new();
        for _ in 0..40 {
            let (outcome, target) = (&outcome, target.clone());
            clients.push(scope.spawn(move || {
                let mut client = match Client::login(&target) {
                    Ok(client) => client,
                    Err(error) => return outcome.failed(format!("the one that is back: {error}")),
                };
                while outcome.running() {
                    if let Err(error) = client.value("select pg_sleep(0.02), 7") {
                        return outcome.failed(format!("the one that is back: {error}"));
                    }
                }
            }));
        }
        until("the one that is back to have its share", || {
            (shares(&poolers)[2] > 20).then_some(())
        });
        outcome.stop.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .for_each(|client| client.join().expect("a client"));
    });
    outcome.none_failed();
    let most = outcome.most.load(Ordering::Relaxed);
    let line = SLOTS - RESERVED - HEADROOM - 1;
    assert!(most <= line, "{most} connections, the line is {line}");
    eprintln!("line {line}, most {most}");
}

#[test]
fn a_full_server_is_waited_for() {
    if stands_in("a_full_server_is_waited_for") {
        return;
    }
    // Nobody tells the pooler that there are so few.
    let server = Server::start_with(&["max_connections = 30"]);
    let pooler = Pooler::start(Settings::for_server(&server).set("default_pool_size", "60"));
    let target = pooler.target("app", "nobody_special");
    let outcome = Outcome::default();
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for _ in 0..60 {
            scope.spawn(|| outcome.ask(&target));
        }
        until("the server to be full", || {
            (figure(&budget(&pooler), 24) > 0).then_some(())
        });
        let row = budget(&pooler);
        assert_eq!(row[1], "shrunk", "{row:?}");
        until("load", || {
            (outcome.good.load(Ordering::Relaxed) > 2000).then_some(())
        });
    });
    outcome.none_failed();
    assert!(pooler.log().contains("server_full"), "{}", pooler.log());
}

/// A managed server: no role of ours is a superuser, and the provider keeps slots
/// for itself in a setting of its own.
#[test]
fn a_restricted_role_and_a_providers_own_slots() {
    if stands_in("a_restricted_role_and_a_providers_own_slots") {
        return;
    }
    let server = server(
        &[
            "max_connections = 30",
            "superuser_reserved_connections = 3",
            "rds.rds_superuser_reserved_connections = 2",
        ],
        "",
    );
    server.sql(
        "postgres",
        "alter role watcher nosuperuser connection limit 20; grant connect on database app to watcher",
    );
    let pooler = Pooler::start(settings(&server));
    let outcome = Outcome::default();
    // Not a superuser, so what is reserved is not for it.
    let target = pooler.target("app", "nobody_special");
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for _ in 0..60 {
            scope.spawn(|| outcome.ask(&target));
        }
        until("load", || {
            let sql = "select count(*) from pg_stat_activity where usename = 'nobody_special'";
            let now = server.sql("postgres", sql)[0][0].parse().expect("a count");
            most.fetch_max(now, Ordering::Relaxed);
            (outcome.good.load(Ordering::Relaxed) > 2000).then_some(())
        });
        // Somebody without privileges still gets in directly.
        let direct = Client::login(&server.target("app", "scram_user").password(PASSWORD));
        direct
            .and_then(|mut client| client.value("select 1"))
            .expect("headroom");
    });
    outcome.none_failed();
    let row = budget(&pooler);
    assert_eq!(row[1], "known", "{row:?}");
    let parts: Vec<usize> = (7..11).map(|column| figure(&row, column)).collect();
    assert_eq!(
        parts,
        [30, 3, 0, 2],
        "max, superuser, reserved, the provider's"
    );
    let line = 30 - 3 - 2 - HEADROOM - 1;
    let most = most.into_inner();
    assert!(most <= line, "{most} connections, the line is {line}");
    assert!(most >= line - 2, "{most} of {line} are used");
    until("what is unknown to be said", || {
        let row = budget(&pooler);
        row.last()?
            .contains("GRANT pg_read_all_stats")
            .then_some(())
    });
    assert!(!pooler.log().contains("server_full"), "{}", pooler.log());
}
