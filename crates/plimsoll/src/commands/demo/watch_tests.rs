//! Leaks, as snapshots tell of them.

use super::*;
use events::snapshot::{Address, BudgetRow};
use events::{ConnId, LeaseState, ReclaimReason, Suspicion};

/// A group of silent leases, for tests of what is shown of it.
pub fn standing(who: &str, statement: &str, n: u32, ms: u64, sure: Option<u8>) -> Standing {
    Standing {
        who: who.to_owned(),
        statement: statement.to_owned(),
        leases: n,
        silent: Duration::from_millis(ms),
        sure,
        kind: who.into(),
    }
}

/// On a line of ten one leak stands and another was taken back.
pub fn watched(standing: Standing, last: TakenBack) -> Watch {
    Watch {
        named: u64::from(standing.leases) + last.leases,
        taken_back: last.leases,
        standing: Some(standing),
        last: Some(last),
        line_most: 10,
        ..Watch::default()
    }
}

const STATEMENT: &str = "insert into redeemed (code) values (?)";

fn at(ms: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(ms))
}

fn lease(kind: &str, silent_since: Option<Time>, sure: Option<u8>) -> LeaseRow {
    LeaseRow {
        client: 1,
        server: 1,
        pool: 0,
        conn: ConnId {
            slot: 0,
            generation: 0,
        },
        remote_pid: 1,
        addr: Address::Unix,
        user: "demo".to_owned(),
        database: "shop".to_owned(),
        application: format!("{kind}/2.4.1"),
        kind: kind.into(),
        release: "2.4.1".to_owned(),
        since: Time::ZERO,
        state: LeaseState::Idle,
        silent_since,
        statement: STATEMENT.replacen(' ', "\n", 1),
        tags: String::new(),
        exempt: None,
        suspicion: sure.map(|sure| Suspicion {
            reason: ReclaimReason::Pattern,
            sure,
            leases: 2,
            bound: Duration::from_secs(2),
            learned: true,
            with_release: false,
        }),
    }
}

/// One pool on a line of ten, in which so many were taken back from `coupons`.
fn snapshot(ms: u64, leases: Vec<LeaseRow>, taken_back: u64) -> Snapshot {
    let mut pool = PoolRow::default();
    pool.leaks.suspects = leases.iter().filter(|l| l.suspicion.is_some()).count() as u32;
    pool.leaks.reclaimed[ReclaimReason::Pattern as usize] = taken_back;
    if taken_back > 0 {
        pool.leaks.applications = vec![("coupons".into(), taken_back, 0)];
    }
    Snapshot {
        at: at(ms),
        pools: vec![pool],
        budgets: vec![BudgetRow {
            line: 11,
            fleet_line: 10,
            ..BudgetRow::default()
        }],
        leases,
        ..Snapshot::default()
    }
}

#[test]
fn a_leak_is_seen_named_and_taken_back() {
    let mut watch = Watch::default();
    let two = |since, sure| vec![lease("coupons", Some(since), sure); 2];
    assert!(watch.see(&snapshot(0, Vec::new(), 0)).is_empty());
    // Silent for too short a time, or at work, or allowed to: not shown.
    let mut exempt = lease("psql", Some(at(0)), None);
    exempt.exempt = Some(events::ExemptReason::ALL[0]);
    let others = vec![
        lease("web", Some(at(1_500)), None),
        lease("web", None, None),
        exempt,
    ];
    watch.see(&snapshot(2_000, others, 0));
    assert_eq!(watch.standing, None);

    assert!(
        watch
            .see(&snapshot(3_000, two(at(1_900), None), 0))
            .is_empty()
    );
    let found = watch
        .standing
        .clone()
        .unwrap_or_else(|| panic!("two are silent"));
    assert_eq!(
        found.text(),
        "2 of coupons/2.4.1 silent in a transaction for 1.1 s; no suspicion: \
         insert into redeemed (code) values (?)"
    );
    let told = watch.see(&snapshot(4_000, two(at(1_900), Some(75)), 0));
    assert_eq!(
        told,
        [
            "2 of coupons/2.4.1 silent in a transaction for 2.1 s; suspicion 75 %: \
          insert into redeemed (code) values (?)"
        ]
    );
    assert_eq!((watch.named, watch.taken_back), (2, 0));
    // Told once.
    assert!(
        watch
            .see(&snapshot(4_250, two(at(1_900), Some(75)), 0))
            .is_empty()
    );

    let one = vec![lease("coupons", Some(at(1_900)), Some(75))];
    let told = watch.see(&snapshot(4_500, one, 1));
    assert_eq!(
        told,
        ["1 taken back from coupons/2.4.1, silent for 2.4 s: \
          insert into redeemed (code) values (?)"]
    );
    watch.see(&snapshot(5_500, Vec::new(), 2));
    assert_eq!((watch.named, watch.taken_back, watch.line_most), (2, 2, 10));
    let last = watch
        .last
        .clone()
        .unwrap_or_else(|| panic!("two were taken back"));
    assert_eq!((last.leases, last.at), (2, at(5_500)));

    // The next one is another event.
    watch.see(&snapshot(20_000, two(at(18_000), Some(75)), 2));
    watch.see(&snapshot(20_250, Vec::new(), 4));
    assert_eq!(watch.last.map(|last| last.leases), Some(2));
}

#[test]
fn waits_are_told_apart_by_whether_a_leak_stood() {
    let mut watch = Watch::default();
    let mut waits = Histogram::new();
    let mut see = |ms, leases, wait| {
        waits.record(Duration::from_millis(wait));
        let mut snapshot = snapshot(ms, leases, 0);
        snapshot.pools[0].wait = waits.clone();
        watch.see(&snapshot);
        (watch.waits_with.count(), watch.waits_without.count())
    };
    assert_eq!(see(1_000, Vec::new(), 1), (0, 1));
    let leak = vec![lease("coupons", Some(at(500)), None)];
    assert_eq!(see(2_000, leak, 700), (1, 1));
    // Who waited for its end gets its connection just after it.
    assert_eq!(see(2_900, Vec::new(), 900), (2, 1));
    assert_eq!(see(3_500, Vec::new(), 1), (2, 2));
}

#[test]
fn what_was_taken_back_unseen_has_at_least_its_application() {
    let mut watch = Watch::default();
    let told = watch.see(&snapshot(1_000, Vec::new(), 3));
    assert_eq!(told, ["3 taken back from coupons, silent for 0.0 s: "]);
    // Their end is known by now, their beginning counted.
    assert_eq!((watch.named, watch.taken_back), (3, 3));
}
