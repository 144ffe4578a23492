//! What workers measured of applications, addresses and servers, put together.

use crate::mail::Measured;
use crate::registry::{Place, UpstreamCell};
use crate::tcp::Seen;
use events::snapshot::Snapshot;
use events::traffic::{
    APPLICATIONS_MAX, ERRORS_MAX, OTHER, SOURCES_MAX, WAITS_MAX, WAITS_PER_POOL_MAX,
};
use events::{ApplicationRow, ServerError, SourceRow, UpstreamId, UpstreamRow, WaitExemplar};
use relay::PoolKey;
use relay::health::{Health, LastError, text_of};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The measurements of all workers.
#[derive(Default)]
pub(super) struct Measures {
    all: Vec<Measured>,
}

impl Measures {
    pub(super) fn add(&mut self, measured: Measured) {
        self.all.push(measured);
    }

    /// Fills the snapshot's rows. `health`: what pools saw of their servers.
    pub(super) fn fill(
        mut self,
        snapshot: &mut Snapshot,
        places: &[Place],
        upstreams: &[Arc<UpstreamCell>],
        health: &[(PoolKey, Health)],
    ) {
        let mut clients = Seen::default();
        let mut tcp: BTreeMap<UpstreamId, Seen> = BTreeMap::new();
        let (mut applications, mut sources, mut waits) = (Vec::new(), Vec::new(), Vec::new());
        for measured in &mut self.all {
            applications.append(&mut measured.applications);
            sources.append(&mut measured.sources);
            waits.append(&mut measured.waits);
            clients.merge(&measured.clients_tcp);
            for (id, seen) in &measured.servers_tcp {
                tcp.entry(*id).or_default().merge(seen);
            }
        }
        snapshot.applications = top_applications(applications);
        snapshot.sources = top_sources(sources);
        snapshot.waits = worst(waits);
        snapshot.clients_tcp = clients.row();
        snapshot.upstreams = upstreams
            .iter()
            .map(|cell| {
                let here = |key: PoolKey| {
                    let place = places.get(key.0 as usize);
                    place.is_some_and(|place| place.upstream.id == cell.id)
                };
                let health = health.iter().filter(|(key, _)| here(*key));
                let mut row = healthy(health.map(|(_, health)| health));
                row.upstream = cell.endpoint().label();
                row.tcp = tcp.remove(&cell.id).unwrap_or_default().row();
                self.watched(&mut row, &here);
                row
            })
            .collect();
    }

    /// What the monitor session saw; who of the active backends is none of ours.
    fn watched(&self, row: &mut UpstreamRow, here: &dyn Fn(PoolKey) -> bool) {
        let mut watched = self.all.iter().flat_map(|m| &m.watched);
        let Some((_, watched)) = watched.rfind(|(key, _)| here(*key)) else {
            return;
        };
        row.probe = watched.probe.clone();
        row.probe_last_us = watched.probe_last_us;
        row.probe_at = watched.probe_at;
        row.activity = watched.activity.clone();
        if let Some(activity) = &mut row.activity {
            let pids = self.all.iter().flat_map(|m| &m.pids);
            let ours: BTreeSet<u32> = pids.filter(|(k, _)| here(*k)).map(|(_, p)| *p).collect();
            let strangers = watched.active_pids.iter().filter(|pid| !ours.contains(pid));
            activity.others_active = strangers.count() as u32;
        }
    }
}

/// Rows of one key are one row; the largest stand alone, the rest together.
fn top<T, K: Ord>(
    rows: Vec<T>,
    max: usize,
    key: impl Fn(&T) -> K,
    weight: impl Fn(&T) -> u64,
    add: impl Fn(&mut T, &T),
    is_others: impl Fn(&T) -> bool,
) -> (Vec<T>, Option<T>) {
    let mut by_key: BTreeMap<K, T> = BTreeMap::new();
    let mut others: Option<T> = None;
    let mut fold = |row: T| match &mut others {
        Some(others) => add(others, &row),
        None => others = Some(row),
    };
    for row in rows {
        match is_others(&row) {
            true => fold(row),
            false => match by_key.get_mut(&key(&row)) {
                Some(known) => add(known, &row),
                None => drop(by_key.insert(key(&row), row)),
            },
        }
    }
    let mut rows: Vec<T> = by_key.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(weight(row)));
    if rows.len() > max {
        rows.split_off(max).into_iter().for_each(fold);
    }
    (rows, others)
}

fn top_applications(rows: Vec<ApplicationRow>) -> Vec<ApplicationRow> {
    let (mut rows, others) = top(
        rows,
        APPLICATIONS_MAX,
        |r| (r.database.clone(), r.user.clone(), Arc::clone(&r.kind)),
        |r| r.checkouts + u64::from(r.clients),
        |sum, r| {
            sum.clients += r.clients;
            sum.active += r.active;
            sum.waiting += r.waiting;
            sum.silent += r.silent;
            sum.logins += r.logins;
            sum.checkouts += r.checkouts;
            sum.hold_us += r.hold_us;
            sum.wait_us += r.wait_us;
            sum.pins.add(&r.pins);
            sum.oldest_hold_us = sum.oldest_hold_us.max(r.oldest_hold_us);
        },
        |r| r.database.is_empty() && &*r.kind == OTHER,
    );
    let others = others.map(|sum| ApplicationRow {
        database: String::new(),
        user: String::new(),
        kind: OTHER.into(),
        ..sum
    });
    rows.extend(others.filter(|row| row.logins + row.checkouts + u64::from(row.clients) > 0));
    rows
}

fn top_sources(rows: Vec<SourceRow>) -> Vec<SourceRow> {
    let (mut rows, others) = top(
        rows,
        SOURCES_MAX,
        |r| r.address.clone(),
        |r| r.accepts + u64::from(r.clients),
        |sum, r| {
            sum.clients += r.clients;
            sum.accepts += r.accepts;
            sum.logins += r.logins;
            sum.login_failures += r.login_failures;
        },
        |r| r.address == OTHER,
    );
    let others = others.map(|sum| SourceRow {
        address: OTHER.into(),
        ..sum
    });
    rows.extend(others.filter(|row| row.accepts + u64::from(row.clients) > 0));
    rows
}

/// The longest waits, within the bounds.
fn worst(mut waits: Vec<WaitExemplar>) -> Vec<WaitExemplar> {
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.wait_us));
    let mut of: BTreeMap<u32, usize> = BTreeMap::new();
    waits.retain(|wait| {
        let n = of.entry(wait.pool).or_default();
        *n += 1;
        *n <= WAITS_PER_POOL_MAX
    });
    waits.truncate(WAITS_MAX);
    waits
}

/// One server's row from what its pools saw.
fn healthy<'a>(all: impl Iterator<Item = &'a Health>) -> UpstreamRow {
    let mut row = UpstreamRow::default();
    let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last: Option<LastError> = None;
    for health in all {
        row.local |= health.near;
        row.opened += health.opened;
        row.connect_failed += health.connect_failed;
        row.login_failed += health.login_failed;
        row.full += health.full;
        row.ended_by_server += health.ended_by_server;
        last = later(last, health.last_error);
        for (code, n) in health.errors.iter() {
            *errors.entry(code).or_default() += n;
        }
    }
    row.last_error = last.map(|last| ServerError {
        sqlstate: text_of(&last.code).to_owned(),
        at: last.at,
        count: last.count,
    });
    let others = errors.remove(OTHER).unwrap_or(0);
    let mut errors: Vec<(&str, u64)> = errors.into_iter().collect();
    errors.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let rest = errors.split_off(errors.len().min(ERRORS_MAX));
    let others = others + rest.iter().map(|(_, n)| n).sum::<u64>();
    row.errors = errors.into_iter().map(|(c, n)| (c.to_owned(), n)).collect();
    if others > 0 {
        row.errors.push((OTHER.to_owned(), others));
    }
    row
}

/// The later of two; of one code their counts add up.
fn later(a: Option<LastError>, b: Option<LastError>) -> Option<LastError> {
    let (Some(x), Some(y)) = (a, b) else {
        return a.or(b);
    };
    let count = match x.code == y.code {
        true => x.count + y.count,
        false if x.at >= y.at => x.count,
        false => y.count,
    };
    let last = if x.at >= y.at { x } else { y };
    Some(LastError { count, ..last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Time;

    fn application(database: &str, kind: &str, checkouts: u64) -> ApplicationRow {
        ApplicationRow {
            database: database.into(),
            kind: kind.into(),
            clients: 1,
            checkouts,
            ..ApplicationRow::default()
        }
    }

    #[test]
    fn workers_rows_are_one_row_and_the_small_are_the_others() {
        let mut rows = vec![
            application("", OTHER, 5),
            application("d", "shop", 30),
            application("", OTHER, 6),
            application("d", "shop", 40),
            // A name like any other.
            application("d", OTHER, 1_000),
        ];
        rows.extend((0..100).map(|n| application("e", &format!("a{n}"), 2)));
        let total: u64 = rows.iter().map(|r| r.checkouts).sum();
        let rows = top_applications(rows);
        assert_eq!(rows.len(), APPLICATIONS_MAX + 1);
        let told = |i: usize| (rows[i].database.as_str(), &*rows[i].kind, rows[i].checkouts);
        assert_eq!(told(0), ("d", OTHER, 1_000));
        assert_eq!(told(1), ("d", "shop", 70));
        assert_eq!(rows[1].clients, 2);
        let rest = 11 + 2 * (102 - APPLICATIONS_MAX as u64);
        assert_eq!(told(APPLICATIONS_MAX), ("", OTHER, rest));
        assert_eq!(rows.iter().map(|r| r.checkouts).sum::<u64>(), total);
        assert!(top_applications(vec![application("d", "a", 0)]).len() == 1);
        assert!(top_applications(Vec::new()).is_empty());
    }

    #[test]
    fn addresses_too() {
        let row = |address: String, accepts| SourceRow {
            address,
            accepts,
            ..SourceRow::default()
        };
        let rows = (0..200).map(|n| row(format!("10.0.0.{n}"), 1 + u64::from(n == 77)));
        let rows = top_sources(rows.chain([row(OTHER.into(), 9)]).collect());
        assert_eq!(rows.len(), SOURCES_MAX + 1);
        assert_eq!(rows[0], row("10.0.0.77".into(), 2));
        assert_eq!(rows[SOURCES_MAX], row(OTHER.into(), 9 + 168));
        // Nobody has come from elsewhere: there is no such row.
        assert!(top_sources(vec![row(OTHER.into(), 0)]).is_empty());
    }

    #[test]
    fn the_last_error_is_the_latest_of_all_pools() {
        let error = |code: &[u8; 5], at, count| {
            Some(LastError {
                code: *code,
                at: Time::from_micros(at),
                count,
            })
        };
        let (old, new) = (error(b"28P01", 1, 3), error(b"57P01", 2, 4));
        assert_eq!(later(None, None), None);
        assert_eq!(later(old, None), old);
        assert_eq!(later(old, new), new);
        assert_eq!(later(new, old), new);
        assert_eq!(later(old, error(b"28P01", 5, 2)), error(b"28P01", 5, 5));
    }
}
