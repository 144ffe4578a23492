//! A rolling update as a Deployment plays it (maxUnavailable 0, maxSurge 1), under load: settings that fail the check
//! take nobody's place, and the next good ones cut no transaction.

use super::{Pod, probe};
use crate::common::{full, skip};
use crate::instances::{StopAtEnd, World};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::Server;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Of the server: 100 slots, 3 of them for superusers; 5 are headroom.
const SLOTS: u64 = 100 - 3 - 5;

/// A pod whose settings fail the check: never ready, while the others serve.
fn is_held_back(world: &World, old: &[Pod]) {
    let bad = world.pod("[pool]\nsize = 20\nmin = 30");
    let reason = until("an answer to the probe", || probe(bad.metrics, "/readyz"));
    assert_eq!(reason.0, 503, "{}", bad.said());
    assert!(reason.1.contains("min-above-max"), "{}", reason.1);
    for _ in 0..20 {
        world.wait_for_more(50);
        assert!(!bad.is_ready(), "{}", bad.said());
        assert!(old.iter().all(Pod::is_ready));
    }
    // The liveness probe leaves it alone: a restart would mend nothing.
    assert_eq!(
        probe(bad.metrics, "/livez").map(|(code, _)| code),
        Some(200)
    );
    world.end(bad);
    // Text that is no settings at all: the container ends, and is started again and again.
    let mut worse = world.pod("[pool]\nszie = 20");
    let end = worse.process.wait("its end");
    assert_ne!(end.code(), Some(0));
    assert!(
        worse.said().contains("did you mean `size`"),
        "{}",
        worse.said()
    );
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
    let world = World::new(Server::start(), "pg_read_all_stats");
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
            is_held_back(&world, &pods);
            world.roll(&mut pods, &format!("[pool]\nsize = {}", 21 + round));
            world.wait_for_more(500);
        }
    });
    world.nothing_was_lost();
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    assert!(count(&world.idle_closed) > 0, "idle connections are closed");
    assert!(count(&world.connections_most) <= SLOTS);
    eprintln!(
        "{} pods replaced under {clients} clients in {:?}: {} transactions, the longest {} ms, 0 cut, \
         {} idle connections closed with 57P01, at most {} server connections of {SLOTS}",
        3 * rounds,
        begun.elapsed(),
        count(&world.committed),
        world.longest().1.as_millis(),
        count(&world.idle_closed),
        count(&world.connections_most),
    );
}
