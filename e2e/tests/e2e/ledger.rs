//! A fleet that shares the line by a ledger in a real etcd.

mod by_hand;
mod killed;
mod restricted;

use crate::budget::{
    HEADROOM, Outcome, RESERVED, SLOTS, StopAtEnd, budget, figure, server, settings, stands_in,
};
use crate::common::{full, skip};
use plimsoll_e2e::etcd::Etcd;
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{free_port, signal, until, until_deadline};
use plimsoll_e2e::server::Server;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Slots that the provider keeps for itself.
const PROVIDER: usize = 2;
/// Who sits.
const SEATS: usize = 3;
/// What three instances may hold together, apart from their monitor sessions.
const LINE: usize = SLOTS - RESERVED - PROVIDER - HEADROOM - SEATS;
/// Columns of SHOW BUDGET.
const SHARE: usize = 16;
const LEDGER: usize = 26;

fn started(test: &str) -> Option<Etcd> {
    if stands_in(test) {
        return None;
    }
    Etcd::start().map_err(|why| skip(test, &why)).ok()
}

/// As a provider gives it: slots of its own, and no superuser for us. The monitor's role
/// is that of the guide on managed databases, with the grants that stand there.
fn managed(grants: &str) -> Server {
    let provider = format!("rds.rds_superuser_reserved_connections = {PROVIDER}");
    let server = server(&[&provider], grants);
    let role = "alter role watcher nosuperuser nocreatedb nocreaterole connection limit 20; \
                grant connect on database app to watcher";
    server.sql("postgres", role);
    server
}

/// What the guide grants.
const GRANTS: &str = "pg_read_all_stats";

fn ledger(server: &Server, url: &str) -> Settings {
    settings(server)
        .own("fleet_share", "ledger")
        .own("etcd_endpoints", url)
        .own("drain_timeout", "20s")
}

fn shares<'a>(poolers: impl IntoIterator<Item = &'a Pooler>) -> Vec<usize> {
    let share = |pooler| figure(&budget(pooler), SHARE);
    poolers.into_iter().map(share).collect()
}

/// The ledger's state, as SHOW BUDGET has it; empty before there is a server.
fn state(pooler: &Pooler) -> String {
    let rows = pooler.console().rows("show budget").expect("show budget");
    rows.first()
        .map_or(String::new(), |row| row[LEDGER].clone())
}

/// Each has been asked for something once, so that it knows the server.
fn wake(poolers: &[Pooler]) {
    for pooler in poolers {
        let target = pooler.target("app", "nobody_special");
        let mut client = Client::login(&target).expect("login");
        client.value("select 7").expect("served");
    }
}

/// Monitor sessions at the server.
fn monitors(server: &Server) -> usize {
    let sql = "select count(*) from pg_stat_activity where application_name like 'plimsoll/%'";
    server.sql("postgres", sql)[0][0].parse().expect("a count")
}

#[test]
fn a_share_from_etcd_stands_while_it_is_away() {
    let Some(mut etcd) = started("a_share_from_etcd") else {
        return;
    };
    let server = managed(GRANTS);
    let pooler = Pooler::start(ledger(&server, &etcd.url()));
    let target = pooler.target("app", "nobody_special");
    let mut client = Client::login(&target).expect("login");
    let began = Instant::now();
    client.value("select 7").expect("served");
    eprintln!("the first client was served after {:?}", began.elapsed());
    until("the ledger to be joined", || {
        (state(&pooler) == "joined").then_some(())
    });
    assert_eq!(monitors(&server), 1);
    let log = pooler.log();
    assert!(log.contains("shared by a ledger in etcd"), "{log}");

    etcd.kill();
    until("its absence to be told", || {
        pooler
            .log()
            .contains("the ledger does not answer")
            .then_some(())
    });
    let before = shares([&pooler]);
    assert!(before[0] > 0, "{before:?}");
    client.value("select 7").expect("served without etcd");
    assert!(["failing", "away"].contains(&state(&pooler).as_str()));
    etcd.start_again();
    until("the ledger to be joined again", || {
        (state(&pooler) == "joined").then_some(())
    });
    client.value("select 7").expect("served");
}

/// A way to etcd that can be cut, as a network does it.
struct Way {
    from: SocketAddr,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(url: &str) -> Way {
        Way::at("127.0.0.1", url)
    }

    /// It begins at another address of this machine.
    fn at(host: &str, url: &str) -> Way {
        let to = url.trim_start_matches("http://").to_owned();
        let listener = loop {
            if let Ok(listener) = TcpListener::bind((host, free_port())) {
                break listener;
            }
        };
        let way = Way {
            from: listener.local_addr().expect("its address"),
            cut: Arc::default(),
            open: Arc::default(),
        };
        let (cut, open) = (Arc::clone(&way.cut), Arc::clone(&way.open));
        // It ends with the process.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&to) else {
                    continue;
                };
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let both = [near, far];
                for (from, into) in [(0, 1), (1, 0)] {
                    let (from, into) = (&both[from], &both[into]);
                    let clone = |stream: &TcpStream| stream.try_clone().expect("a stream");
                    let (mut from, mut into) = (clone(from), clone(into));
                    std::thread::spawn(move || copy(&mut from, &mut into));
                }
                open.lock().expect("streams").extend(both);
            }
        });
        way
    }

    fn url(&self) -> String {
        format!("http://{}", self.from)
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("streams").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

fn copy(from: &mut TcpStream, into: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if into.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = into.shutdown(Shutdown::Both);
}

/// Waits until the whole line is given out, and says how long that took.
fn all_shared(what: &str, slack: usize, poolers: &[&Pooler]) -> Duration {
    let began = Instant::now();
    let taken = until_deadline(Duration::from_secs(30), &mut || {
        let shares = shares(poolers.iter().copied());
        (shares.iter().sum::<usize>() + slack >= LINE).then(|| began.elapsed())
    });
    let Some(taken) = taken else {
        let shares = shares(poolers.iter().copied());
        panic!("{what}: of {LINE} only {shares:?} are shared out");
    };
    eprintln!("{what}: all is shared out after {taken:?}");
    taken
}

/// Three instances under load, each taken out and replaced, then etcd killed, an
/// instance frozen, and one cut from etcd.
#[test]
fn three_instances_by_a_ledger_through_all_that_happens() {
    let test = "three_instances_by_a_ledger";
    if !full() {
        return skip(test, "only with E2E_FULL");
    }
    let Some(mut etcd) = started(test) else {
        return;
    };
    let server = managed(GRANTS);
    let ways: Vec<Way> = (0..3).map(|_| Way::to(&etcd.url())).collect();
    let start = |i: usize| Pooler::start(ledger(&server, &ways[i].url()));
    let mut poolers: Vec<Pooler> = (0..3).map(start).collect();
    wake(&poolers);
    let outcome = Outcome::default();
    let most = AtomicUsize::new(0);
    let targets = Mutex::new(targets(&poolers));
    let ready: Vec<AtomicBool> = (0..3).map(|_| AtomicBool::new(true)).collect();
    let sessions: Vec<AtomicUsize> = (0..3).map(|_| AtomicUsize::new(0)).collect();
    let load = Load {
        targets,
        ready,
        sessions,
        outcome: &outcome,
    };
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for number in 0..180 {
            let load = &load;
            scope.spawn(move || load.client(number));
        }
        scope.spawn(|| watch(&outcome, &server, &most));
        all_shared("from the start", 3, &poolers.iter().collect::<Vec<_>>());
        assert_eq!(monitors(&server), SEATS);
        roll(&load, &mut poolers, &start);

        etcd.kill();
        let before = shares(&poolers);
        until("all to tell that etcd is away", || {
            let told = |p: &Pooler| p.log().contains("the ledger does not answer");
            poolers.iter().all(told).then_some(())
        });
        let served = outcome.good.load(Ordering::Relaxed);
        until("load without etcd", || {
            (outcome.good.load(Ordering::Relaxed) > served + 2000).then_some(())
        });
        let without = shares(&poolers);
        for (before, now) in before.iter().zip(&without) {
            assert!(now <= before, "{without:?} without etcd, {before:?} before");
        }
        eprintln!("shares before and without etcd: {before:?}, {without:?}");
        etcd.start_again();
        all_shared("etcd is back", 3, &poolers.iter().collect::<Vec<_>>());

        // Its clients stand still with it, and others must not have its share.
        load.ready[0].store(false, Ordering::SeqCst);
        signal(poolers[0].pid(), "STOP");
        let began = Instant::now();
        until("the frozen one's leases to have ended", || {
            (began.elapsed() > Duration::from_secs(9)).then_some(())
        });
        signal(poolers[0].pid(), "CONT");
        load.ready[0].store(true, Ordering::SeqCst);
        all_shared(
            "the frozen one is back",
            3,
            &poolers.iter().collect::<Vec<_>>(),
        );

        ways[1].cut();
        until("the one that is cut off to know", || {
            (state(&poolers[1]) == "away").then_some(())
        });
        let began = Instant::now();
        until("a while of that", || {
            (began.elapsed() > Duration::from_secs(8)).then_some(())
        });
        let cut = shares([&poolers[1]])[0];
        eprintln!("the one that is cut off holds {cut}");
        assert!(cut > 0);
        ways[1].mend();
        until("it to be back", || {
            (state(&poolers[1]) == "joined").then_some(())
        });
        all_shared(
            "the one cut off is back",
            3,
            &poolers.iter().collect::<Vec<_>>(),
        );
    });
    outcome.none_failed();
    let most = most.into_inner();
    let served = outcome.good.load(Ordering::Relaxed);
    let all = outcome.most.load(Ordering::Relaxed);
    eprintln!(
        "most at the server {most}, with monitor sessions {all}, served {served}, none failed"
    );
    // Two instances have two monitor sessions, so the line is longer by one. The third that
    // sits down takes a slot of the headroom, until the line has followed.
    let two = LINE + 1;
    assert!(most <= two, "{most} connections, the line of two is {two}");
    assert!(all <= LINE + SEATS + 1, "{all} with monitor sessions");
}

fn targets(poolers: &[Pooler]) -> Vec<Target> {
    let target = |pooler: &Pooler| pooler.target("app", "nobody_special");
    poolers.iter().map(target).collect()
}

/// Clients behind a load balancer, for instances that are replaced by others on other ports.
struct Load<'a> {
    targets: Mutex<Vec<Target>>,
    ready: Vec<AtomicBool>,
    sessions: Vec<AtomicUsize>,
    outcome: &'a Outcome,
}

impl Load<'_> {
    fn client(&self, number: usize) {
        while self.outcome.running() {
            // Each has its instance, and the next one while that is not ready.
            let ready = |at: &usize| self.ready[*at].load(Ordering::SeqCst);
            let all = self.ready.len();
            let found = (0..all).map(|step| (number + step) % all).find(ready);
            let at = found.unwrap_or(number % all);
            self.sessions[at].fetch_add(1, Ordering::SeqCst);
            if self.ready[at].load(Ordering::SeqCst) {
                let target = self.targets.lock().expect("targets")[at].clone();
                if let Err(error) = self.session(&target) {
                    self.outcome.failed(format!("instance {at}: {error}"));
                }
            }
            self.sessions[at].fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn session(&self, target: &Target) -> Result<(), plimsoll_e2e::raw::Error> {
        let mut client = Client::login(target)?;
        for _ in 0..10 {
            client.value("select pg_sleep(0.02), 7")?;
            self.outcome.good.fetch_add(1, Ordering::Relaxed);
        }
        client.terminate();
        Ok(())
    }
}

/// Each instance in turn: out of the balance, ended, replaced.
fn roll(load: &Load<'_>, poolers: &mut [Pooler], start: &dyn Fn(usize) -> Pooler) {
    for at in 0..poolers.len() {
        load.ready[at].store(false, Ordering::SeqCst);
        until("its sessions to end", || {
            (load.sessions[at].load(Ordering::SeqCst) == 0).then_some(())
        });
        poolers[at].signal("TERM");
        poolers[at].wait();
        let left: Vec<&Pooler> = others(poolers, at);
        let taken = all_shared(&format!("{at} has gone"), 3, &left);
        assert!(taken <= Duration::from_secs(5), "unused for {taken:?}");
        poolers[at] = start(at);
        load.targets.lock().expect("targets")[at] = targets(&poolers[at..=at]).remove(0);
        load.ready[at].store(true, Ordering::SeqCst);
        let began = Instant::now();
        until("the new one to have a share", || {
            let rows = poolers[at].console().rows("show budget").expect("budget");
            let share = rows.first().map_or(0, |row| figure(row, SHARE));
            (share > 20).then_some(())
        });
        eprintln!("the new one has its share after {:?}", began.elapsed());
    }
}

fn others(poolers: &[Pooler], at: usize) -> Vec<&Pooler> {
    let each = poolers.iter().enumerate();
    each.filter(|(i, _)| *i != at).map(|(_, p)| p).collect()
}

/// The most connections of the clients' role that the server has shown.
fn watch(outcome: &Outcome, server: &Server, most: &AtomicUsize) {
    let target = server.unix_target("postgres", "postgres");
    let mut client = Client::login(&target).expect("login");
    let sql = "select count(*) filter (where usename = 'nobody_special'), count(*) \
               from pg_stat_activity where usename in ('nobody_special', 'watcher')";
    while outcome.running() {
        let row = client.rows(sql).expect("the activity view").remove(0);
        most.fetch_max(figure(&row, 0), Ordering::Relaxed);
        let all = figure(&row, 1);
        outcome.most.fetch_max(all, Ordering::Relaxed);
    }
}

/// One by the view and one by a ledger: both say so, and the line holds.
#[test]
fn a_fleet_that_shares_by_two_ways_says_so() {
    let Some(etcd) = started("a_fleet_that_shares_by_two_ways") else {
        return;
    };
    let server = managed(GRANTS);
    let by_view = Pooler::start(settings(&server));
    let outcome = Outcome::default();
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        scope.spawn(|| watch(&outcome, &server, &most));
        wake(std::slice::from_ref(&by_view));
        let by_ledger = Pooler::start(ledger(&server, &etcd.url()));
        for _ in 0..60 {
            let (outcome, target) = (&outcome, by_view.target("app", "nobody_special"));
            scope.spawn(move || outcome.ask(&target));
        }
        // The one by the view has all of the line; what it leaves is the other's.
        let target = by_ledger.target("app", "nobody_special");
        let _asks = scope.spawn(move || drop(Client::login(&target)));
        until("both to say so", || {
            let told = |p: &Pooler| p.log().contains("a part of this fleet shares the line");
            (told(&by_view) && told(&by_ledger)).then_some(())
        });
    });
    let most = most.into_inner();
    assert!(most <= LINE + SEATS, "{most} connections");
}

/// A backup is restored: it is told, and nothing grows before all have written anew.
#[test]
fn a_restored_etcd_is_noticed() {
    let test = "a_restored_etcd_is_noticed";
    if !full() {
        return skip(test, "only with E2E_FULL");
    }
    let Some(mut etcd) = started(test) else {
        return;
    };
    let server = managed(GRANTS);
    let poolers: Vec<Pooler> = (0..2)
        .map(|_| Pooler::start(ledger(&server, &etcd.url())))
        .collect();
    wake(&poolers[..1]);
    if let Err(why) = etcd.backup() {
        return skip(test, &why);
    }
    wake(&poolers);
    let outcome = Outcome::default();
    let most = AtomicUsize::new(0);
    let target = targets(&poolers);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for number in 0..100 {
            let (outcome, target) = (&outcome, &target[number % 2]);
            scope.spawn(move || outcome.ask(target));
        }
        scope.spawn(|| watch(&outcome, &server, &most));
        let both: Vec<&Pooler> = poolers.iter().collect();
        all_shared("before", 4, &both);
        let before = shares(both.clone());
        etcd.restore().expect("etcdctl was there");
        until("both to notice", || {
            let told = |p: &Pooler| p.log().contains("etcd is not what it was");
            poolers.iter().all(told).then_some(())
        });
        let noticed = shares(both.clone());
        for (before, now) in before.iter().zip(&noticed) {
            assert!(now <= before, "{noticed:?} after, {before:?} before");
        }
        until("both to be joined again", || {
            let joined = |p: &Pooler| state(p) == "joined";
            poolers.iter().all(joined).then_some(())
        });
        all_shared("after the restoration", 4, &both);
    });
    outcome.none_failed();
    let most = most.into_inner();
    eprintln!("line {}, most at the server {most}", LINE + 1);
    assert!(most <= LINE + 1, "{most} connections");
}
