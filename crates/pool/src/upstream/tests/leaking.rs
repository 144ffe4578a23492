//! Leases that look forgotten, as the pool's callers see them.

use super::{A, Stage, client, plain};
use crate::{LeaseClass, PoolSettings, SilentLease};
use events::{Guard, GuardMode, Guards, Time, WorkerId};
use std::sync::Arc;

fn with_mode(size: u32, mode: GuardMode) -> PoolSettings {
    let mut guards = Guards::default();
    guards.set(Guard::Reclaim, mode);
    PoolSettings {
        guards,
        ..plain(size)
    }
}

/// The connections `s{n}`, lent to the clients that [`Stage::busy`] made, have
/// been silent since then.
fn silent(stage: &mut Stage, lent: &[u32], since_ms: u64) {
    let class = Arc::new(LeaseClass {
        user: "u".into(),
        kind: "shop".into(),
        statement: 7,
        release: None,
    });
    let leases = lent
        .iter()
        .enumerate()
        .map(|(i, n)| SilentLease {
            conn: stage.conn(*n),
            client: client(0, 2000 + i as u32),
            slot: *n,
            silent_since: Time::from_micros(since_ms * 1000),
            class: Arc::clone(&class),
        })
        .collect();
    stage.up.silent(stage.now, WorkerId(0), A, leases);
}

/// Who holds which connection is found in the pool: `busy` lends them in any order.
fn holders(stage: &Stage) -> Vec<u32> {
    let mut rows: Vec<_> = stage
        .up
        .conns()
        .filter_map(|row| Some((row.lease?.client.slot, row.conn.slot)))
        .collect();
    rows.sort_unstable();
    rows.into_iter().map(|(_, conn)| conn).collect()
}

#[test]
fn a_leak_is_taken_back_while_others_wait_and_no_more_than_wait() {
    let mut s = Stage::new(10, &[with_mode(6, GuardMode::Enforce)]);
    s.busy(A, 0, 6);
    let lent = holders(&s);
    s.at(1000);
    assert_eq!(s.ask_as(A, "u\0other", 0, 1), "queued");
    assert_eq!(s.ask_as(A, "u\0other", 0, 2), "queued");
    s.at(4000);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says(), "", "not yet beyond anything");
    s.at(5500);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says().matches("reclaim").count(), 2, "two wait, two go");
    s.at(6500);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says(), "", "those two are under way");
    let figures = s.up.leaks(A).unwrap();
    assert_eq!((figures.silent, figures.suspects), (6, 6));
    let first = s.conn(lent[0]);
    s.up.reclaimed(A, first, client(0, 2000), true, true);
    let figures = s.up.leaks(A).unwrap();
    assert_eq!((figures.reclaimed, figures.suspects), ([1, 0], 5));
    assert_eq!(figures.applications, [("shop".into(), 1, 0)]);
}

/// A pool may ask for far more than it can have: three of its three are a pattern.
#[test]
fn a_quarter_is_one_of_what_the_pool_can_have() {
    let mut s = Stage::new(3, &[with_mode(50, GuardMode::Enforce)]);
    s.busy(A, 0, 3);
    let lent = holders(&s);
    s.at(1000);
    assert_eq!(s.ask_as(A, "u\0other", 0, 1), "queued");
    s.at(7000);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says().matches("reclaim").count(), 1);
}

#[test]
fn a_guard_that_watches_names_each_suspect_once() {
    let mut s = Stage::new(10, &[with_mode(6, GuardMode::Observe)]);
    s.busy(A, 0, 6);
    let lent = holders(&s);
    s.at(1000);
    for slot in 0..20 {
        assert_eq!(s.ask_as(A, "u\0other", 0, slot), "queued");
    }
    s.at(7000);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says().matches("suspect").count(), 6);
    for (i, n) in lent.iter().enumerate() {
        let conn = s.conn(*n);
        s.up.reclaimed(A, conn, client(0, 2000 + i as u32), false, true);
    }
    s.at(8000);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says(), "");
    let figures = s.up.leaks(A).unwrap();
    assert_eq!((figures.observed, figures.reclaimed), ([6, 0], [0, 0]));
    assert_eq!(figures.suspects, 6);
    assert!(s.up.suspicion(A, s.conn(lent[0])).is_some());
}

#[test]
fn without_the_guard_nothing_is_looked_at() {
    let mut s = Stage::new(10, &[with_mode(6, GuardMode::Off)]);
    s.busy(A, 0, 6);
    let lent = holders(&s);
    s.at(1000);
    assert_eq!(s.ask_as(A, "u\0other", 0, 1), "queued");
    s.at(60_000);
    silent(&mut s, &lent, 1);
    assert_eq!(s.says(), "");
    assert_eq!(s.up.leaks(A).unwrap().suspects, 0);
}

#[test]
fn a_lease_that_has_ended_is_nobodys_suspect() {
    let mut s = Stage::new(10, &[with_mode(6, GuardMode::Enforce)]);
    s.busy(A, 0, 6);
    let lent = holders(&s);
    s.at(7000);
    for n in &lent {
        assert_eq!(s.back(*n), "kept");
    }
    silent(&mut s, &lent, 1);
    assert_eq!(s.says(), "");
    assert_eq!(s.up.leaks(A).unwrap().silent, 0);
}
