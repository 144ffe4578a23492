//! Three instances before a managed server, under a load that wants more than the line: rolled one by one, one of them
//! frozen, one cut off from the database. The line holds, no transaction is cut, and nothing lies unused for long.
//!
//! A minute: `E2E_FULL=1 cargo test --profile test-fast -p plimsoll-e2e --test e2e production -- --nocapture --test-threads 1`

use crate::apart::Apart;
use crate::common::{full, skip};
use crate::instances::{StopAtEnd, World};
use crate::kubernetes::Pod;
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::Server;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// As RDS has it: slots that are kept for superusers and for the provider, and no superuser for us.
const RESTRICTED: [&str; 3] = [
    "max_connections = 60",
    "superuser_reserved_connections = 3",
    "rds.rds_superuser_reserved_connections = 2",
];
/// What is left of them; five more are headroom.
const LINE: u64 = 60 - 3 - 2 - 5;
/// Of the applications' own, when three or four monitor sessions are there and two connections are on their way.
const USED: u64 = LINE - 4 - 2;
/// They want twice the line.
const CLIENTS: u64 = 150;
/// How long a share may lie unused.
const UNUSED_MAX: Duration = Duration::from_secs(5);
/// How long the trouble lasts.
const TROUBLE: Duration = Duration::from_secs(15);
const SETTINGS: &str = "[pool]\nsize = 60";

fn left_out(test: &str) -> bool {
    if !full() {
        skip(test, "only with E2E_FULL");
    }
    !full()
}

/// Three instances and their load; `trouble` is what happens to them.
fn under_load(world: &World, mut pods: Vec<Pod>, trouble: impl FnOnce(&mut Vec<Pod>)) {
    for pod in &mut pods {
        pod.wait_until_ready();
        world.join(pod);
    }
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(world);
        scope.spawn(|| world.watch());
        for who in 0..CLIENTS {
            scope.spawn(move || world.application(who));
        }
        world.wait_for_more(1_000);
        // What is frozen keeps what it has: all of the line, a moment after the start.
        world.wait_for_even_shares(pods.len());
        world.expect_use_of(USED);
        trouble(&mut pods);
        world.wait_for_more(1_000);
    });
    world.nothing_was_lost();
}

/// Says what was measured, and holds it against the goals.
fn judge(world: &World, what: &str) {
    let (unused, longest) = world.longest();
    let most = world.connections_most.load(Ordering::Relaxed);
    eprintln!(
        "{what}: {} transactions, 0 cut, the longest {} ms; at most {most} connections of {LINE}; \
         less than {USED} of the applications' for {} ms at most, {} then; {} idle connections closed with 57P01",
        world.committed.load(Ordering::Relaxed),
        longest.as_millis(),
        unused.as_millis(),
        world.least.load(Ordering::Relaxed),
        world.idle_closed.load(Ordering::Relaxed),
    );
    assert!(most <= LINE, "{most} connections, the line is {LINE}");
    assert!(unused <= UNUSED_MAX, "unused for {unused:?}");
}

fn wait_for(span: Duration) {
    let begun = Instant::now();
    until("the time of the trouble", || {
        (begun.elapsed() > span).then_some(())
    });
}

#[test]
fn rolled_one_by_one() {
    if left_out("rolled_one_by_one") {
        return;
    }
    let world = World::new(Server::start_with(&RESTRICTED), "");
    let pods = (0..3).map(|_| world.pod(SETTINGS)).collect();
    under_load(&world, pods, |pods| {
        for _ in 0..3 {
            world.roll(pods, SETTINGS);
            world.wait_for_more(500);
        }
    });
    judge(&world, "nine instances replaced, one by one");
}

#[test]
fn one_is_frozen() {
    if left_out("one_is_frozen") {
        return;
    }
    let world = World::new(Server::start_with(&RESTRICTED), "");
    let pods = (0..3).map(|_| world.pod(SETTINGS)).collect();
    under_load(&world, pods, |pods| {
        pods[0].process.signal("STOP");
        world.withdraw(&pods[0]);
        wait_for(TROUBLE);
        world.wait_for_more(500);
        pods[0].process.signal("CONT");
        world.join(&pods[0]);
        world.wait_for_more(500);
    });
    judge(&world, "one instance frozen for 15 s, and then as before");
}

#[test]
fn one_is_cut_off_from_the_database() {
    if left_out("one_is_cut_off_from_the_database") {
        return;
    }
    let Some(apart) = Apart::new() else {
        return skip(
            "one_is_cut_off_from_the_database",
            "no network namespace: it needs root and iproute2",
        );
    };
    let world = World::new(Server::start_at(&apart.database[0], &RESTRICTED), "");
    let there = &apart.applications[1];
    let mut pods = vec![world.pod_at(there, SETTINGS, |program| apart.command(program))];
    pods.extend((0..2).map(|_| world.pod(SETTINGS)));
    under_load(&world, pods, |pods| {
        apart.cut();
        world.withdraw(&pods[0]);
        wait_for(TROUBLE);
        world.wait_for_more(500);
        apart.mend();
        world.join(&pods[0]);
        world.wait_for_more(500);
    });
    judge(
        &world,
        "one instance cut off from the database for 15 s, and then as before",
    );
}
