//! Seconds made of two snapshots.

use super::*;
use events::sample::Times;
use events::snapshot::Totals;
use events::{Histogram, ServerError, WaitExemplar};

const OBJECTIVE: Duration = Duration::from_millis(100);

fn seconds(n: u64) -> Time {
    Time::from_micros(n * 1_000_000)
}

fn row(name: &str, n: u64) -> PoolRow {
    let mut wait = Histogram::new();
    for _ in 0..n {
        wait.record(Duration::from_millis(1));
    }
    PoolRow {
        database: name.into(),
        user: "web".into(),
        size: 20,
        sv_active: n as u32,
        cl_active: 2,
        cl_waiting: 1,
        totals: Totals {
            server_assignments: 10 * n,
            xacts: 9 * n,
            ..Totals::default()
        },
        wait,
        ..PoolRow::default()
    }
}

fn snapshot(at: u64, pools: Vec<PoolRow>) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        version: at,
        at: seconds(at),
        pools,
        ..Snapshot::default()
    })
}

#[test]
fn counters_become_what_came_in_between() {
    let mut fold = Fold::new(OBJECTIVE);
    assert_eq!(fold.next(snapshot(1, vec![row("shop", 3)]), 0), None);
    let mut later = row("shop", 5);
    later.wait.record(Duration::from_millis(400));
    let sample = fold.next(snapshot(2, vec![later]), 7).expect("a second");
    assert_eq!(
        (sample.at_ms, sample.span_ms, sample.version),
        (7, 1_000, 2)
    );
    let pool = sample.pool("shop", "web").expect("its row");
    assert_eq!((pool.arrivals, pool.transactions), (20, 18));
    assert_eq!(
        (pool.used.last, pool.clients.last, pool.waiting.last),
        (5, 3, 1)
    );
    assert_eq!((pool.wait.count, pool.wait.beyond), (3, 1));
    assert!(pool.wait.most_us >= 400_000);
}

#[test]
fn a_counter_that_fell_gives_nothing() {
    let mut fold = Fold::new(OBJECTIVE);
    fold.next(snapshot(1, vec![row("shop", 9)]), 0);
    let sample = fold
        .next(snapshot(2, vec![row("shop", 2)]), 0)
        .expect("a second");
    assert_eq!(sample.pools[0].arrivals, 0);
    assert_eq!(sample.pools[0].wait, Times::default());
}

#[test]
fn beyond_the_busiest_all_are_one() {
    let many = |n: u64| -> Vec<PoolRow> {
        (0..POOLS_MAX + 3)
            .map(|at| row(&format!("db{at:02}"), n * if at < 4 { 1 } else { 5 }))
            .collect()
    };
    let mut fold = Fold::new(OBJECTIVE);
    fold.next(snapshot(1, many(0)), 0);
    let sample = fold.next(snapshot(2, many(1)), 0).expect("a second");
    assert_eq!(sample.pools.len(), POOLS_MAX + 1);
    let rest = sample.pool(OTHER, OTHER).expect("the rest");
    assert_eq!(
        (rest.size, rest.used.last, rest.arrivals, rest.waiting.last),
        (60, 3, 30, 3)
    );
    assert_eq!(rest.used.looks, 1);
    let all: u64 = sample.pools.iter().map(|p| p.arrivals).sum();
    assert_eq!(all, 10 * (4 + 5 * (POOLS_MAX as u64 - 1)));
}

#[test]
fn what_a_server_says_counts_once() {
    let upstream = |commits: u64, asked: u64, at: u64| {
        let mut snapshot = Snapshot {
            at: seconds(at),
            budgets: vec![BudgetRow {
                upstream: "db:5432".into(),
                max_connections: 100,
                others: 7,
                ..BudgetRow::default()
            }],
            ..Snapshot::default()
        };
        snapshot.upstreams.push(UpstreamRow {
            upstream: "db:5432".into(),
            errors: vec![("40P01".into(), commits / 10)],
            last_error: Some(ServerError {
                sqlstate: "57P03".into(),
                at: seconds(2),
                count: 1,
            }),
            probe_last_us: Some(300),
            probe_at: Some(seconds(1)),
            activity: Some(Activity {
                at: seconds(asked),
                commits,
                ..Activity::default()
            }),
            ..UpstreamRow::default()
        });
        Arc::new(snapshot)
    };
    let mut fold = Fold::new(OBJECTIVE);
    fold.next(upstream(100, 1, 1), 0);
    let first = fold.next(upstream(130, 2, 2), 0).expect("a second");
    let server = first.server("db:5432").expect("its row");
    assert_eq!(server.line.others, Some(7));
    assert_eq!(&*server.last_error, "57P03");
    assert_eq!(server.errors, [(Name::from("40P01"), 3)]);
    assert_eq!(server.activity.as_ref().map(|a| a.transactions), Some(30));
    let second = fold.next(upstream(130, 2, 3), 0).expect("a second");
    let server = second.server("db:5432").expect("its row");
    assert_eq!(&*server.last_error, "");
    assert_eq!(
        server.activity.as_ref().map(|a| (a.transactions, a.age_ms)),
        Some((0, 1_000))
    );
    assert_eq!(server.probe_us, Some(300));
    let late = fold.next(upstream(130, 2, 60), 0).expect("a second");
    assert_eq!(late.server("db:5432").and_then(|s| s.probe_us), None);
}

#[test]
fn waits_are_told_once_with_who_held_the_connection() {
    let with = |at: u64| {
        let mut snapshot = Snapshot::clone(&snapshot(at, vec![row("shop", 1)]));
        snapshot.waits.push(WaitExemplar {
            pool: 0,
            application: "web".into(),
            address: "10.0.0.1".into(),
            wait_us: 900_000,
            granted_at: seconds(2),
            granted: true,
            holder: Some("batch".into()),
            held_us: 5_000_000,
            statement: 77,
        });
        Arc::new(snapshot)
    };
    let mut fold = Fold::new(OBJECTIVE);
    fold.next(with(1), 0);
    let told = fold.next(with(2), 0).expect("a second").waits;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&*told[0].holder, &*told[0].database, told[0].statement),
        ("batch", "shop", 77)
    );
    assert_eq!(fold.next(with(3), 0).expect("a second").waits, []);
}
