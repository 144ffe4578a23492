//! The families about leases: how old, how many silent, what was taken back.
//!
//! Applications are named by clients, so only those with most leases or most
//! reclaims have series of their own; the rest are summed as `other`.

use super::OTHER;
use super::encode::{Encoder, Unit};
use super::views::Views;
use events::snapshot::Snapshot;
use events::{GuardMode, LeaseRow, ReclaimReason, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// Applications with series of their own.
const APPLICATIONS_MAX: usize = 20;

/// Ages that are told apart: the label, and the time.
const AGES: [(&str, Duration); 5] = [
    ("1s", Duration::from_secs(1)),
    ("10s", Duration::from_secs(10)),
    ("1min", Duration::from_secs(60)),
    ("10min", Duration::from_secs(600)),
    ("1h", Duration::from_secs(3600)),
];

/// What a lease may be beside held: the label, and the test.
type Condition = (&'static str, fn(&LeaseRow) -> bool);
const CONDITIONS: [Condition; 3] = [
    ("silent", |l| l.silent_since.is_some()),
    ("exempt", |l| l.exempt.is_some()),
    ("suspect", |l| l.suspicion.is_some()),
];

type Name<'a> = (&'a str, &'a str);

pub(super) fn families(e: &mut Encoder, snapshot: &Snapshot, views: &Views<'_>) {
    // Both families of pools here have up to six series for each.
    let pools = views.fit("plimsoll_pool_leases", CONDITIONS.len());
    views.fit("plimsoll_pool_leases_older", AGES.len());
    let mut by_pool: BTreeMap<Name<'_>, Vec<&LeaseRow>> =
        pools.iter().map(|(name, _)| (*name, Vec::new())).collect();
    for lease in &snapshot.leases {
        let Some(row) = snapshot.pools.get(lease.pool as usize) else {
            continue;
        };
        let name = Views::name_in(pools, (row.database.as_str(), row.user.as_str()));
        by_pool.entry(name).or_default().push(lease);
    }
    of_pools(e, snapshot.at, &by_pool);
    reclaims(e, views);
    applications(e, snapshot);
}

fn of_pools(e: &mut Encoder, now: Time, by_pool: &BTreeMap<Name<'_>, Vec<&LeaseRow>>) {
    let mut family = e.gauges(
        "plimsoll_pool_leases",
        Unit::None,
        "Leases of the pool: silent in a transaction, exempt from reclaim, suspected.",
    );
    for ((database, user), leases) in by_pool {
        for (condition, is) in CONDITIONS {
            let count = leases.iter().filter(|lease| is(lease)).count();
            let labels = [
                ("database", *database),
                ("user", *user),
                ("condition", condition),
            ];
            family.add(&labels, count as u64);
        }
    }
    let mut family = e.gauges(
        "plimsoll_pool_leases_older",
        Unit::None,
        "Leases of the pool that have lasted for longer than this.",
    );
    for ((database, user), leases) in by_pool {
        for (age, span) in AGES {
            let older = |lease: &&&LeaseRow| now.since(lease.since) > span;
            let labels = [("database", *database), ("user", *user), ("than", age)];
            family.add(&labels, leases.iter().filter(older).count() as u64);
        }
    }
}

fn reclaims(e: &mut Encoder, views: &Views<'_>) {
    let pools = views.fit("plimsoll_pool_reclaims", 2 * ReclaimReason::COUNT);
    let mut family = e.counters(
        "plimsoll_pool_reclaims",
        Unit::None,
        "Leases taken back (enforce), or that would have been (observe), by reason.",
    );
    for ((database, user), row) in pools {
        for (mode, counts) in [
            (GuardMode::Enforce, row.leaks.reclaimed),
            (GuardMode::Observe, row.leaks.observed),
        ] {
            for (reason, count) in ReclaimReason::ALL.iter().zip(counts) {
                let labels = [
                    ("database", *database),
                    ("user", *user),
                    ("reason", reason.label()),
                    ("mode", mode.label()),
                ];
                family.add(&labels, count);
            }
        }
    }
    let pools = views.fit("plimsoll_pool_suspicions_retracted", 1);
    let mut family = e.counters(
        "plimsoll_pool_suspicions_retracted",
        Unit::None,
        "Suspected leases whose clients spoke again or left.",
    );
    for ((database, user), row) in pools {
        let labels = [("database", *database), ("user", *user)];
        family.add(&labels, row.leaks.retracted);
    }
}

/// Figures of one application.
#[derive(Clone, Copy, Default)]
struct Application {
    held: u64,
    silent: u64,
    suspect: u64,
    reclaimed: u64,
    observed: u64,
}

fn applications(e: &mut Encoder, snapshot: &Snapshot) {
    let mut all: BTreeMap<&str, Application> = BTreeMap::new();
    for lease in &snapshot.leases {
        let sum = all.entry(&lease.kind).or_default();
        sum.held += 1;
        sum.silent += u64::from(lease.silent_since.is_some());
        sum.suspect += u64::from(lease.suspicion.is_some());
    }
    for row in &snapshot.pools {
        for (name, reclaimed, observed) in &row.leaks.applications {
            let sum = all.entry(name).or_default();
            sum.reclaimed += reclaimed;
            sum.observed += observed;
        }
    }
    let all = top(all);
    let mut family = e.gauges(
        "plimsoll_application_leases",
        Unit::None,
        "Leases by application: all, silent in a transaction, suspected.",
    );
    for (name, sum) in &all {
        for (condition, count) in [
            ("held", sum.held),
            ("silent", sum.silent),
            ("suspect", sum.suspect),
        ] {
            family.add(&[("application", name), ("condition", condition)], count);
        }
    }
    let mut family = e.counters(
        "plimsoll_application_reclaims",
        Unit::None,
        "Leases taken back (enforce), or that would have been (observe), by application.",
    );
    for (name, sum) in &all {
        for (mode, count) in [
            (GuardMode::Enforce, sum.reclaimed),
            (GuardMode::Observe, sum.observed),
        ] {
            family.add(&[("application", name), ("mode", mode.label())], count);
        }
    }
}

/// The applications that matter most; the rest as one.
fn top(all: BTreeMap<&str, Application>) -> Vec<(&str, Application)> {
    let mut rows: Vec<_> = all.into_iter().collect();
    rows.sort_by_key(|(name, a)| (std::cmp::Reverse((a.reclaimed + a.observed, a.held)), *name));
    let rest = rows.split_off(rows.len().min(APPLICATIONS_MAX));
    if !rest.is_empty() {
        let at = rows.iter().position(|(name, _)| *name == OTHER);
        let at = at.unwrap_or_else(|| {
            rows.push((OTHER, Application::default()));
            rows.len() - 1
        });
        if let Some((_, sum)) = rows.get_mut(at) {
            for (_, a) in rest {
                sum.held += a.held;
                sum.silent += a.silent;
                sum.suspect += a.suspect;
                sum.reclaimed += a.reclaimed;
                sum.observed += a.observed;
            }
        }
    }
    rows.sort_by_key(|(name, _)| *name);
    rows
}
