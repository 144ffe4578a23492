//! Failover by name, as managed databases do it: two servers on addresses of their
//! own, one name that leads to one of them, and clients that write all the time.
//!
//! Figures of several rounds: `E2E_FULL=1 FAILOVER_ROUNDS=5 cargo test … failover -- --nocapture`
//! ([what they were](../../../docs/failover.md)).

use crate::common::{full, number, skip};
use crate::http::get;
use plimsoll_e2e::pooler::{Binary, Pooler, Settings, hosts_can_be_replaced, user_line};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::{PATIENCE, until, until_deadline};
use plimsoll_e2e::server::{PASSWORD, Server};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NAME: &str = "db.failover.test";
/// Of one length, so that the file of names is never half written.
const OLD: &str = "127.0.0.2";
const NEW: &str = "127.0.0.3";
const WRITERS: usize = 32;
const IDLE: usize = 8;
/// Writes are back so long after the new primary takes them, at the latest.
const BACK_MAX: Duration = Duration::from_secs(5);

/// What becomes of the old primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is gone.
    Stops,
    /// It comes back as a standby, before the name leads elsewhere.
    ComesBackReadOnly,
    /// Its sockets stay, and nothing answers.
    Freezes,
    /// It goes on as if nothing had happened, and would take writes.
    LivesOn,
}

/// The name, and where it leads: a hosts file of the pooler's own.
struct Name {
    file: PathBuf,
}

impl Name {
    fn leads_to(dir: &Path, address: &str) -> Name {
        let file = dir.join("hosts");
        let text = format!("{address} {NAME}\n127.0.0.1 localhost\n");
        std::fs::write(&file, text).expect("hosts");
        Name { file }
    }

    /// It leads to the new server from now on.
    fn moves(&self) {
        let file = std::fs::File::options().write(true).open(&self.file);
        let written = file.and_then(|mut file| file.write_all(NEW.as_bytes()));
        written.expect("the name to move");
    }
}

/// Two servers, the poolers before their name, and what their clients see.
struct Stage {
    // Ended in this order.
    poolers: Vec<Pooler>,
    standby: Server,
    primary: Server,
    name: Name,
}

impl Stage {
    /// `None`: not on this system, or not with this pooler.
    fn set(test: &str, instances: usize, monitor: bool) -> Option<Stage> {
        if Binary::find().is_pgbouncer {
            skip(test, "PgBouncer follows a name in its own way");
            return None;
        }
        if !hosts_can_be_replaced() {
            skip(test, "the system gives no program a hosts file of its own");
            return None;
        }
        let primary = Server::start_at(OLD, &[]);
        primary.sql(
            "app",
            "create table written (client int, number int, primary key (client, number))",
        );
        primary.sql("postgres", "create role watcher login");
        let standby = primary.standby_at(NEW);
        let name = Name::leads_to(primary.dir(), OLD);
        let line = format!("* = host={NAME} port={}", primary.port());
        let settings = || {
            let mut settings = Settings::for_server(&primary)
                .databases(&[&line])
                .set("default_pool_size", "8")
                .set("server_login_retry", "30")
                .set("query_wait_timeout", "60");
            if monitor {
                settings = settings.own("monitor_user", "watcher");
                settings.userlist.push(user_line("watcher", PASSWORD));
            }
            settings.hosts = Some(name.file.clone());
            settings
        };
        let poolers: Vec<Pooler> = (0..instances).map(|_| Pooler::start(settings())).collect();
        Some(Stage {
            poolers,
            standby,
            primary,
            name,
        })
    }

    fn client(&self) -> Client {
        let pooler = &self.poolers[0];
        let target = pooler
            .target("app", "app")
            .patience(Duration::from_secs(60));
        Client::login(&target).unwrap_or_else(|error| panic!("{error}\n{}", pooler.log()))
    }

    /// Runs one failover under load.
    fn fail_over(&mut self, fate: Fate) -> Outcome {
        let load = Load::default();
        let mut idle: Vec<Client> = (0..IDLE).map(|_| self.client()).collect();
        for client in &mut idle {
            assert_eq!(client.value("select 1").expect("served"), "1");
        }
        let mut open = (fate == Fate::LivesOn).then(|| self.client());
        if let Some(client) = &mut open {
            client
                .query("begin; insert into written values (-1, 1)")
                .expect("an open transaction");
        }
        let poolers = &self.poolers[..];
        let servers = (&mut self.primary, &self.standby);
        let name = &self.name;
        let (accepts, known) = std::thread::scope(|scope| {
            let _end = StopAtEnd(&load.stop);
            for n in 0..WRITERS {
                let load = &load;
                scope.spawn(move || load.write(n, &poolers[n % poolers.len()]));
            }
            load.go_on(500);
            all_have_a_share(poolers);
            let accepts = trouble(fate, &load, servers, name, poolers);
            let known = until("the move to be told", || {
                all_say(poolers, "the database server has moved").then(|| load.number())
            });
            let name_known = until("the name to be followed", || {
                all_say(poolers, &format!("to=\"{NEW}\"")).then(|| load.number())
            });
            load.all_are_back(accepts);
            load.go_on(500);
            (accepts, (known, name_known))
        });
        // Who was idle was not closed, and is served by the new one.
        for client in &mut idle {
            let address = client.value("select host(inet_server_addr())");
            assert_eq!(address.expect("an idle client's session"), NEW);
        }
        if let Some(client) = &mut open {
            let error = client.query("insert into written values (-1, 2)");
            let error = format!("{:?}", error.map(|_| ()));
            assert!(error.contains("has moved"), "an open transaction: {error}");
        }
        self.judge(fate, &load, known);
        load.outcome(accepts)
    }

    /// No write reached the old server that was sent after it was known, and all
    /// that was acknowledged since is at the new one.
    fn judge(&mut self, fate: Fate, load: &Load, (known, name_known): (u64, u64)) {
        let last = "select coalesce(max(number), 0) from written where client >= 0";
        match fate {
            Fate::Stops => {}
            Fate::ComesBackReadOnly => {
                let log = self.primary.log();
                assert!(
                    !log.contains("read-only transaction"),
                    "a write was sent: {log}"
                );
            }
            Fate::Freezes | Fate::LivesOn => {
                self.primary.thaw();
                until("the old server to have done what was sent", || {
                    let active = "select count(*) from pg_stat_activity where usename = 'app' and state = 'active'";
                    (self.primary.sql("postgres", active)[0][0] == "0").then_some(())
                });
                let last: u64 = self.primary.sql("app", last)[0][0]
                    .parse()
                    .expect("a number");
                assert!(
                    last <= name_known,
                    "{last} was written, known since {name_known}"
                );
            }
        }
        let there = self.standby.sql(
            "app",
            &format!("select count(*) from written where number > {name_known} and client >= 0"),
        );
        let there: usize = there[0][0].parse().expect("a count");
        let acknowledged = load.acknowledged.lock().expect("not poisoned");
        let acknowledged = acknowledged.iter().filter(|n| **n > name_known).count();
        assert!(there >= acknowledged, "{there} of {acknowledged} are there");
        assert!(known <= name_known);
        let closed = "plimsoll_connections_closed_total{reason=\"server_moved\"";
        for pooler in &self.poolers {
            let metrics = get(pooler, "/metrics").1;
            let counted = metrics
                .lines()
                .find(|l| l.starts_with(closed))
                .and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok());
            if matches!(fate, Fate::Freezes | Fate::LivesOn) {
                assert!(counted > Some(0), "{counted:?} closed as moved");
            }
        }
    }
}

fn all_say(poolers: &[Pooler], text: &str) -> bool {
    poolers.iter().all(|pooler| pooler.log().contains(text))
}

/// A newcomer of a fleet waits for its share; that is not what is measured.
fn all_have_a_share(poolers: &[Pooler]) {
    if poolers.len() < 2 {
        return;
    }
    until("a share for each", || {
        let shared = |pooler: &Pooler| {
            let rows = pooler.console().rows("show budget").expect("a row");
            rows[0][1] == "known" && rows[0][2].parse::<u32>().is_ok_and(|line| line >= 8)
        };
        poolers.iter().all(shared).then_some(())
    });
}

/// The failover itself; when the new primary took writes.
fn trouble(
    fate: Fate,
    load: &Load,
    (primary, standby): (&mut Server, &Server),
    name: &Name,
    poolers: &[Pooler],
) -> Instant {
    match fate {
        Fate::Stops => primary.stop("QUIT"),
        Fate::ComesBackReadOnly => {
            primary.stop("INT");
            primary.start_again_as_standby();
            until("the standby to be noticed", || {
                all_say(poolers, "a login found a standby").then_some(())
            });
        }
        Fate::Freezes => primary.freeze(),
        Fate::LivesOn => {}
    }
    let before = load.good.load(Ordering::Relaxed);
    standby.promote();
    let accepts = Instant::now();
    name.moves();
    if fate == Fate::ComesBackReadOnly {
        assert_eq!(before, load.good.load(Ordering::Relaxed), "a standby wrote");
    }
    accepts
}

/// Clients that write, each number once: those sent later have greater ones.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    number: AtomicU64,
    good: AtomicU64,
    errors: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<u64>>,
    /// When each client last had an answer of the new server.
    back: Mutex<[Option<(Instant, u64)>; WRITERS]>,
    first: Mutex<Vec<(Instant, usize)>>,
}

/// What came of a failover.
#[derive(Debug)]
struct Outcome {
    first: Duration,
    last: Duration,
    errors: usize,
    kinds: Vec<String>,
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load {
    fn number(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    fn write(&self, n: usize, pooler: &Pooler) {
        let target = pooler
            .target("app", "app")
            .patience(Duration::from_secs(60));
        let mut session = None;
        while !self.stop.load(Ordering::Relaxed) {
            let mut client = match session.take().map_or_else(|| Client::login(&target), Ok) {
                Ok(client) => client,
                Err(error) => {
                    self.failed(format!("login: {error}"));
                    continue;
                }
            };
            let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
            let insert = format!(
                "insert into written values ({n}, {number}) returning host(inet_server_addr())"
            );
            match client.value(&insert) {
                Ok(address) => {
                    self.good.fetch_add(1, Ordering::Relaxed);
                    self.acknowledged.lock().expect("not poisoned").push(number);
                    session = Some(client);
                    if address != NEW {
                        continue;
                    }
                    let now = Instant::now();
                    self.back.lock().expect("not poisoned")[n] = Some((now, number));
                    self.first.lock().expect("not poisoned").push((now, n));
                }
                Err(error) => {
                    assert!(!error.timed_out(), "client {n} hangs");
                    self.failed(error.to_string());
                }
            }
        }
    }

    fn failed(&self, error: String) {
        self.errors.lock().expect("not poisoned").push(error);
    }

    fn go_on(&self, writes: u64) {
        let goal = self.good.load(Ordering::Relaxed) + writes;
        until("writes", || {
            (self.good.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    fn all_are_back(&self, accepts: Instant) {
        let all = until_deadline(PATIENCE * 2, &mut || {
            let back = |b: &Option<(Instant, u64)>| b.is_some_and(|(at, _)| at > accepts);
            self.back_count(back).eq(&WRITERS).then_some(())
        });
        assert!(all.is_some(), "not all are back: {:?}", self.some_errors());
    }

    fn back_count(&self, is_back: impl Fn(&Option<(Instant, u64)>) -> bool) -> usize {
        let back = self.back.lock().expect("not poisoned");
        back.iter().filter(|b| is_back(b)).count()
    }

    fn some_errors(&self) -> Vec<String> {
        let mut errors = self.errors.lock().expect("not poisoned").clone();
        errors.sort();
        errors.dedup();
        errors.truncate(6);
        errors
    }

    fn outcome(&self, accepts: Instant) -> Outcome {
        let times = self.first.lock().expect("not poisoned");
        let after = |n: usize| {
            let mine = times.iter().filter(|(at, who)| *who == n && *at > accepts);
            mine.map(|(at, _)| *at - accepts).min().expect("it is back")
        };
        let back: Vec<Duration> = (0..WRITERS).map(after).collect();
        let errors = self.errors.lock().expect("not poisoned").len();
        Outcome {
            first: *back.iter().min().expect("writers"),
            last: *back.iter().max().expect("writers"),
            errors,
            kinds: self.some_errors(),
        }
    }
}

fn rounds(fate: Fate, monitor: bool) {
    rounds_of(1, fate, monitor);
}

fn rounds_of(instances: usize, fate: Fate, monitor: bool) {
    let test = format!("a primary that {fate:?}, {instances} instances");
    for round in 1..=number("FAILOVER_ROUNDS", 1) {
        let Some(mut stage) = Stage::set(&test, instances, monitor) else {
            return;
        };
        let seen = stage.fail_over(fate);
        eprintln!(
            "failover: {instances} instances, {fate:?}, monitor {monitor}, round {round}: first write after {} ms, all {WRITERS} after {} ms, {} errors {:?}",
            seen.first.as_millis(),
            seen.last.as_millis(),
            seen.errors,
            seen.kinds
        );
        let logs: Vec<String> = stage.poolers.iter().map(Pooler::log).collect();
        assert!(seen.last <= BACK_MAX, "{seen:?}\n{}", logs.join("\n"));
    }
}

#[test]
fn a_primary_that_stops() {
    rounds(Fate::Stops, true);
}

#[test]
fn a_primary_that_stops_without_a_monitor() {
    if full() {
        rounds(Fate::Stops, false);
    }
}

#[test]
fn a_primary_that_comes_back_read_only() {
    if full() {
        rounds(Fate::ComesBackReadOnly, true);
        rounds(Fate::ComesBackReadOnly, false);
    }
}

#[test]
fn a_primary_that_freezes() {
    if full() {
        rounds(Fate::Freezes, true);
        rounds(Fate::Freezes, false);
    }
}

/// Whoever reaches the new server first leaves the others their shares of it.
#[test]
fn three_instances_follow_alike() {
    rounds_of(3, Fate::Stops, true);
    if full() {
        rounds_of(3, Fate::ComesBackReadOnly, true);
        rounds_of(3, Fate::Freezes, true);
        rounds_of(3, Fate::LivesOn, true);
    }
}

#[test]
fn a_primary_that_lives_on() {
    if full() {
        rounds(Fate::LivesOn, true);
        rounds(Fate::LivesOn, false);
    }
}

/// The pooler is ready, clients are told in documented words or wait, and nobody
/// has to restart anything.
#[test]
fn a_pooler_that_starts_before_its_database() {
    let mut server = Server::start();
    server.stop("INT");
    let mut settings = Settings::for_server(&server)
        .set("query_wait_timeout", "30")
        .own("monitor_user", "watcher");
    settings.userlist.push(user_line("watcher", PASSWORD));
    let pooler = Pooler::start(settings);
    if pooler.is_pgbouncer() {
        return skip("before its database", "PgBouncer has no probes");
    }
    assert_eq!(get(&pooler, "/readyz").0, 200);
    assert_eq!(get(&pooler, "/livez").0, 200);
    let error = Client::login(&pooler.target("app", "app")).map(|_| ());
    let text = error.expect_err("nobody listens").to_string();
    assert!(text.contains("server login has been failing"), "{text}");
    server.start_again();
    server.sql("postgres", "create role watcher login");
    until("service", || {
        Client::login(&pooler.target("app", "app"))
            .ok()?
            .value("select 1")
            .ok()
    });
    until("the line to be known", || {
        let rows = pooler.console().rows("show budget").expect("a row");
        (rows[0][1] == "known").then_some(())
    });
}

/// A serverless database pauses when nobody is connected: clients that are
/// connected here and ask nothing must not keep it awake.
#[test]
fn nothing_of_ours_keeps_a_server_awake_while_nobody_asks() {
    let server = Server::start_with(&["log_connections = on"]);
    server.sql("postgres", "create role watcher login");
    let mut settings = Settings::for_server(&server)
        .set("server_idle_timeout", "1")
        .own("monitor_user", "watcher")
        .own("monitor_idle_stop", "2s");
    settings.userlist.push(user_line("watcher", PASSWORD));
    let pooler = Pooler::start(settings);
    if pooler.is_pgbouncer() {
        return skip("a server that pauses", "PgBouncer has no monitor session");
    }
    let mut client = Client::login(&pooler.target("app", "app")).expect("login");
    assert_eq!(client.value("select 1").expect("served"), "1");
    let logins = || server.log().matches("connection authorized").count();
    // Our own look is by another user, and closed before it is counted.
    let sessions = || {
        let sql = "select count(*) from pg_stat_activity \
                   where usename in ('app', 'watcher') and backend_type = 'client backend'";
        server.sql("postgres", sql)[0][0].clone()
    };
    until("every session to end", || (sessions() == "0").then_some(()));
    let before = logins();
    let quiet = Duration::from_secs(if full() { 60 } else { 5 });
    let end = Instant::now() + quiet;
    until_deadline(quiet * 2, &mut || (Instant::now() > end).then_some(()));
    assert_eq!(logins(), before, "somebody connected\n{}", server.log());
    // Who asks wakes it.
    assert_eq!(client.value("select 2").expect("served again"), "2");
}
