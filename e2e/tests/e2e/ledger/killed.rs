//! An instance is killed under load; it has an address of its own, so the server tells
//! whether it lives.

use super::*;
use crate::apart::Apart;
use crate::instances::World;
use crate::kubernetes::Pod;

/// Of the server, as a provider has it.
const SLOTS: [&str; 3] = [
    "max_connections = 60",
    "superuser_reserved_connections = 3",
    "rds.rds_superuser_reserved_connections = 2",
];
/// What is left of them, less the headroom: monitor sessions are a part of it.
const ALL: usize = 60 - 3 - 2 - HEADROOM;
/// An instance's lease.
const LEASE: Duration = Duration::from_secs(6);
/// And what is needed to see that it has ended, to read the server, and to share out.
const MORE: Duration = Duration::from_secs(5);

/// A client that asks until the load is over, or its instance is gone.
fn ask(pod: &Target, outcome: &Outcome, gone: &AtomicBool) {
    while outcome.running() {
        let served = Client::login(pod).and_then(|mut client| {
            while outcome.running() {
                client.value("select pg_sleep(0.01), 7")?;
                outcome.good.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        match served {
            Err(_) if gone.load(Ordering::SeqCst) => return,
            Err(error) => return outcome.failed(error),
            Ok(()) => {}
        }
    }
}

/// Connections of applications at the server, of those that live, and the most of all.
fn count(world: &World, watch: &mut Client, apart: &str, outcome: &Outcome) -> usize {
    let sql = format!(
        "select count(*) filter (where usename = 'app' and client_addr <> '{apart}'), count(*) \
         from pg_stat_activity where usename in ('app', 'watcher') and client_addr is not null"
    );
    let row = watch.rows(&sql).expect("counts").remove(0);
    let most = outcome.most.fetch_max(figure(&row, 1), Ordering::Relaxed);
    let now = figure(&row, 1);
    assert!(
        now <= ALL,
        "{now} of {ALL}, {most} before: {}",
        world.server.log()
    );
    figure(&row, 0)
}

#[test]
fn a_killed_instances_share_is_free_soon_after_its_lease() {
    let test = "a_killed_instances_share";
    if !full() {
        return skip(test, "only with E2E_FULL");
    }
    let Some(etcd) = started(test) else {
        return;
    };
    let Some(apart) = Apart::new() else {
        return skip(test, "no network namespace: it needs root and iproute2");
    };
    let world = World::new(Server::start_at(&apart.database[0], &SLOTS), GRANTS);
    let way = Way::at(&apart.database[0], &etcd.url());
    let settings = format!(
        "[pool]\nsize = 60\n[fleet]\nshare = \"ledger\"\n[etcd]\nendpoints = [\"{}\"]",
        way.url()
    );
    let there = &apart.applications[1];
    let mut pods = vec![world.pod_at(there, &settings, |program| apart.command(program))];
    pods.extend((0..2).map(|_| world.pod(&settings)));
    pods.iter_mut().for_each(Pod::wait_until_ready);
    let targets: Vec<Target> = pods
        .iter()
        .map(|pod| Target::tcp(&pod.host, pod.port, "app", "app"))
        .collect();
    for target in &targets {
        let mut client = Client::login(target).expect("login");
        client.value("select 7").expect("served");
    }
    until("all three to sit", || {
        (monitors(&world.server) == SEATS).then_some(())
    });
    let outcome = Outcome::default();
    let flags: Vec<AtomicBool> = (0..3).map(|_| AtomicBool::new(false)).collect();
    let mut watch = Client::login(&world.server.unix_target("postgres", "postgres")).expect("in");
    let mut count = || count(&world, &mut watch, &apart.database[1], &outcome);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for number in 0..120 {
            let (target, gone) = (&targets[number % 3], &flags[number % 3]);
            let outcome = &outcome;
            scope.spawn(move || ask(target, outcome, gone));
        }
        until("the two others to have two thirds", || {
            (count() >= (ALL - SEATS) * 2 / 3 - 3).then_some(())
        });
        let before = count();
        flags[0].store(true, Ordering::SeqCst);
        pods[0].process.signal("KILL");
        let killed = Instant::now();
        pods[0].process.wait("its end");
        let taken = until_deadline(Duration::from_secs(30), &mut || {
            // Two of them sit now. A connection or two may be on their way.
            (count() >= ALL - 2 - 2).then(|| killed.elapsed())
        });
        let taken = taken.expect("its share to be taken");
        eprintln!(
            "the others had {before} connections, and all of the line {taken:?} after the kill; \
             at most {} of {ALL} with monitor sessions",
            outcome.most.load(Ordering::Relaxed)
        );
        assert!(taken <= LEASE + MORE, "unused for {taken:?}");
        let log: String = pods[1..].iter().map(Pod::said).collect();
        assert!(log.contains("an instance is gone without a word"), "{log}");
        assert!(
            log.contains("the server shows its connections no more"),
            "{log}"
        );
        // And it stays so.
        let served = outcome.good.load(Ordering::Relaxed);
        until("load", || {
            count();
            (outcome.good.load(Ordering::Relaxed) > served + 2000).then_some(())
        });
    });
    outcome.none_failed();
}
