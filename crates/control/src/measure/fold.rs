//! Two snapshots become one second: counters by difference, histograms by what
//! came in between, rows bounded to the busiest.

mod guarding;
mod rows;

use super::host::Host;
use super::ranks::Ranks;
use events::sample::{
    ApplicationSample, Blocker, Gauge, LineSample, Name, OTHER, PoolSample, Sample, ServerActivity,
    ServerSample, SourceSample, WaitSample,
};
use events::snapshot::{BudgetRow, PoolRow, Snapshot};
use events::{Activity, ApplicationRow, CloseReason, RefuseReason, SourceRow, Time, UpstreamRow};
use rows::{beside, clients, micros, pool, server};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Pools with a row of their own in each second: an hour of them is some 20 MB.
const POOLS_MAX: usize = 32;
/// Applications with a row of their own.
const APPLICATIONS_MAX: usize = 24;
/// Client addresses with a row of their own.
const SOURCES_MAX: usize = 16;
/// Worst waits of a second.
const WAITS_MAX: usize = 4;
/// Names remembered, so that samples share them.
const NAMES_MAX: usize = 8_192;

/// Makes samples of snapshots. It remembers the last one.
pub struct Fold {
    last: Option<Arc<Snapshot>>,
    /// What guards did before the first look: counters begin with the process.
    early: Option<Sample>,
    names: BTreeSet<Name>,
    pools: Ranks<(Name, Name)>,
    applications: Ranks<(Name, Name, Name)>,
    host: Host,
    /// Waits above this are `beyond`, microseconds.
    objective_us: u64,
}

impl Fold {
    /// Waits above `objective` are counted apart.
    pub fn new(objective: Duration) -> Fold {
        Fold {
            last: None,
            early: None,
            names: BTreeSet::new(),
            pools: Ranks::new(POOLS_MAX),
            applications: Ranks::new(APPLICATIONS_MAX),
            host: Host::default(),
            objective_us: u64::try_from(objective.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Waits above `objective` are counted apart from now on.
    pub fn count_beyond(&mut self, objective: Duration) {
        self.objective_us = u64::try_from(objective.as_micros()).unwrap_or(u64::MAX);
    }

    /// What happened since the last call; `None` at the first. `at_ms` is UTC.
    pub fn next(&mut self, now: Arc<Snapshot>, at_ms: i64) -> Option<Sample> {
        let before = self.last.replace(Arc::clone(&now));
        let host = self.host.read(&now);
        let Some(before) = before else {
            let nothing = Snapshot::default();
            self.early = Some(Sample {
                guards: self.guards(&nothing, &now),
                guarded: self.guarded(&nothing, &now),
                ..Sample::default()
            });
            return None;
        };
        let span_ms = u32::try_from(now.at.since(before.at).as_millis()).unwrap_or(u32::MAX);
        let pools = self.pool_rows(&before, &now);
        let second = Sample {
            at_ms,
            span_ms,
            version: now.version,
            clients: clients(&before, &now, &pools),
            servers: self.servers(&before, &now),
            applications: self.application_rows(&before, &now),
            sources: self.sources(&before, &now),
            closes: self.differences(&before.closes, &now.closes, |at| {
                CloseReason::ALL.get(at).map(|r| r.label())
            }),
            refusals: self.differences(&before.refusals, &now.refusals, |at| {
                RefuseReason::ALL.get(at).map(|r| r.label())
            }),
            waits: self.waits(&before, &now),
            guards: self.guards(&before, &now),
            guarded: self.guarded(&before, &now),
            host,
            pools: self.busiest_pools(pools),
        };
        Some(match self.early.take() {
            Some(mut early) => {
                early.merge(&second);
                early
            }
            None => second,
        })
    }

    fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.names.get(text) {
            return Name::clone(name);
        }
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        let name = Name::from(text);
        self.names.insert(Name::clone(&name));
        name
    }

    fn differences(
        &mut self,
        before: &[u64],
        now: &[u64],
        label: impl Fn(usize) -> Option<&'static str>,
    ) -> Vec<(Name, u32)> {
        let mut rows = Vec::new();
        for (at, n) in now.iter().enumerate() {
            let more = n.saturating_sub(before.get(at).copied().unwrap_or(0));
            if let Some(label) = label(at).filter(|_| more > 0) {
                rows.push((self.name(label), u32::try_from(more).unwrap_or(u32::MAX)));
            }
        }
        rows
    }

    fn pool_rows(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<PoolSample> {
        let earlier: BTreeMap<(&str, &str), &PoolRow> =
            before.pools.iter().map(|p| (pool_name(p), p)).collect();
        let mut oldest: BTreeMap<u32, Time> = BTreeMap::new();
        for lease in &now.leases {
            let first = oldest.entry(lease.pool).or_insert(lease.since);
            *first = (*first).min(lease.since);
        }
        let none = PoolRow::default();
        let mut rows = Vec::with_capacity(now.pools.len());
        for (at, row) in now.pools.iter().enumerate() {
            let earlier = earlier.get(&pool_name(row)).copied().unwrap_or(&none);
            let mut sample = pool(earlier, row, self.objective_us);
            sample.database = self.name(&row.database);
            sample.user = self.name(&row.user);
            sample.upstream = self.name(&row.upstream);
            let since = u32::try_from(at).ok().and_then(|at| oldest.get(&at));
            sample.oldest_hold_us = since.map_or(0, |since| micros(now.at, *since));
            rows.push(sample);
        }
        rows
    }

    /// Those that stay in view, and the sum of the others.
    fn busiest_pools(&mut self, rows: Vec<PoolSample>) -> Vec<PoolSample> {
        let key = |p: &PoolSample| (Name::clone(&p.database), Name::clone(&p.user));
        let scores = rows.iter().map(|p| {
            let held = u64::from(p.used.last) + 100 * u64::from(p.waiting.last);
            (key(p), held + p.arrivals)
        });
        self.pools.rank(scores);
        let mut kept = Vec::new();
        let mut rest: Option<PoolSample> = None;
        for row in rows {
            match self.pools.holds(&key(&row)) {
                true => kept.push(row),
                false => match &mut rest {
                    Some(rest) => beside(rest, &row),
                    None => {
                        let mut row = row;
                        (row.database, row.user) = (self.name(OTHER), self.name(OTHER));
                        rest = Some(row);
                    }
                },
            }
        }
        kept.extend(rest);
        kept
    }

    fn application_rows(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<ApplicationSample> {
        type Key<'a> = (&'a str, &'a str, &'a str);
        fn key(a: &ApplicationRow) -> Key<'_> {
            (&a.database, &a.user, &a.kind)
        }
        let earlier: BTreeMap<Key<'_>, &ApplicationRow> =
            before.applications.iter().map(|a| (key(a), a)).collect();
        let none = ApplicationRow::default();
        let mut rows = Vec::with_capacity(now.applications.len());
        for row in &now.applications {
            let earlier = earlier.get(&key(row)).copied().unwrap_or(&none);
            rows.push(ApplicationSample {
                database: self.name(&row.database),
                user: self.name(&row.user),
                name: self.name(&row.kind),
                clients: Gauge::of(row.clients),
                used: Gauge::of(row.active),
                waiting: Gauge::of(row.waiting),
                silent: Gauge::of(row.silent),
                logins: row.logins.saturating_sub(earlier.logins),
                arrivals: row.checkouts.saturating_sub(earlier.checkouts),
                hold_us: row.hold_us.saturating_sub(earlier.hold_us),
                wait_us: row.wait_us.saturating_sub(earlier.wait_us),
                oldest_hold_us: row.oldest_hold_us,
                ..ApplicationSample::default()
            });
        }
        self.releases(now, &mut rows);
        self.busiest_applications(rows)
    }

    /// The release that the newest lease of each application names, and what most
    /// of its silent leases said last.
    fn releases(&mut self, now: &Snapshot, rows: &mut [ApplicationSample]) {
        for lease in now.leases.iter().filter(|l| !l.release.is_empty()) {
            let release = self.name(&lease.release);
            let theirs = |a: &&mut ApplicationSample| {
                *a.name == *lease.kind && *a.database == *lease.database
            };
            // The leases stand with the oldest first, so the newest has the last word.
            for row in rows.iter_mut().filter(theirs) {
                row.release = Name::clone(&release);
            }
        }
    }

    fn busiest_applications(&mut self, rows: Vec<ApplicationSample>) -> Vec<ApplicationSample> {
        let key = |a: &ApplicationSample| {
            let (database, user) = (Name::clone(&a.database), Name::clone(&a.user));
            (database, user, Name::clone(&a.name))
        };
        let scores = rows.iter().map(|a| {
            let held = u64::from(a.used.last) + 100 * u64::from(a.waiting.last);
            (key(a), held + a.arrivals + u64::from(a.clients.last))
        });
        self.applications.rank(scores);
        let mut kept = Vec::new();
        let mut rest: Option<ApplicationSample> = None;
        for row in rows {
            if self.applications.holds(&key(&row)) {
                kept.push(row);
                continue;
            }
            let sum = rest.get_or_insert_with(|| ApplicationSample {
                name: self.name(OTHER),
                ..ApplicationSample::default()
            });
            for (sum, row) in [
                (&mut sum.clients, row.clients),
                (&mut sum.used, row.used),
                (&mut sum.waiting, row.waiting),
                (&mut sum.silent, row.silent),
            ] {
                *sum = Gauge::of(sum.last.saturating_add(row.last));
            }
            sum.logins += row.logins;
            sum.arrivals += row.arrivals;
            sum.hold_us += row.hold_us;
            sum.wait_us += row.wait_us;
            sum.oldest_hold_us = sum.oldest_hold_us.max(row.oldest_hold_us);
        }
        kept.extend(rest);
        kept
    }

    /// The snapshot has them by size already.
    fn sources(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<SourceSample> {
        let earlier: BTreeMap<&str, &SourceRow> =
            before.sources.iter().map(|s| (&*s.address, s)).collect();
        let none = SourceRow::default();
        let mut rows: Vec<SourceSample> = Vec::new();
        for (at, row) in now.sources.iter().enumerate() {
            let earlier = earlier.get(&*row.address).copied().unwrap_or(&none);
            let own = at < SOURCES_MAX && row.address != OTHER;
            let name = if own { row.address.as_str() } else { OTHER };
            let sample = SourceSample {
                address: self.name(name),
                clients: row.clients,
                accepts: row.accepts.saturating_sub(earlier.accepts),
                logins: row.logins.saturating_sub(earlier.logins),
                login_failures: row.login_failures.saturating_sub(earlier.login_failures),
            };
            match rows.last_mut().filter(|sum| *sum.address == *OTHER) {
                Some(sum) => {
                    sum.clients += sample.clients;
                    sum.accepts += sample.accepts;
                    sum.logins += sample.logins;
                    sum.login_failures += sample.login_failures;
                }
                None => rows.push(sample),
            }
        }
        rows
    }

    fn servers(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<ServerSample> {
        let earlier: BTreeMap<&str, &UpstreamRow> =
            before.upstreams.iter().map(|u| (&*u.upstream, u)).collect();
        let none = UpstreamRow::default();
        let mut rows = Vec::with_capacity(now.budgets.len());
        for budget in &now.budgets {
            let row = now.upstreams.iter().find(|u| u.upstream == budget.upstream);
            let earlier = earlier.get(&*budget.upstream).copied().unwrap_or(&none);
            let mut sample = server(earlier, row.unwrap_or(&none), now.at);
            sample.upstream = self.name(&budget.upstream);
            sample.line = self.line(budget);
            let waits = |p: &PoolRow| p.upstream == budget.upstream && p.cl_waiting > 0;
            if budget.used >= budget.line && now.pools.iter().any(waits) {
                let span = now.at.since(before.at).as_millis();
                sample.line.held_ms = u32::try_from(span).unwrap_or(u32::MAX);
            }
            if let Some(row) = row {
                let seen = |code: &str| {
                    let found = earlier.errors.iter().find(|(c, _)| c == code);
                    found.map_or(0, |(_, n)| *n)
                };
                let more = |(code, n): &(String, u64)| (code.clone(), n.saturating_sub(seen(code)));
                let more = row.errors.iter().map(more).filter(|(_, n)| *n > 0);
                let more: Vec<_> = more.collect();
                sample.errors = more.iter().map(|(c, n)| (self.name(c), *n)).collect();
                let fresh = row.last_error.as_ref();
                let fresh = fresh
                    .filter(|e| e.at > before.at)
                    .map(|e| self.name(&e.sqlstate));
                sample.last_error = fresh.unwrap_or_default();
                let activity = row.activity.as_ref();
                sample.activity =
                    activity.map(|a| self.activity(earlier.activity.as_ref(), a, now.at));
            }
            rows.push(sample);
        }
        rows
    }

    fn line(&mut self, budget: &BudgetRow) -> LineSample {
        LineSample {
            state: self.name(budget.state),
            line: budget.line,
            used: budget.used,
            used_most: budget.used,
            held_ms: 0,
            max_connections: budget.max_connections,
            reserved: budget.superuser_reserved + budget.reserved + budget.provider_reserved,
            others: (budget.max_connections > 0).then_some(budget.others),
            peers_held: budget.peers_held,
            peers: budget.peers,
            wants: budget.wants,
        }
    }

    /// Counters are told once for each reading: the seconds between two hold none.
    fn activity(&mut self, before: Option<&Activity>, now: &Activity, at: Time) -> ServerActivity {
        let since =
            |f: fn(&Activity) -> u64| before.map_or(0, |before| f(now).saturating_sub(f(before)));
        ServerActivity {
            age_ms: micros(at, now.at) / 1_000,
            permitted: now.permitted,
            active: now.active,
            idle_in_transaction: now.idle_in_transaction,
            waits: now
                .waiting
                .iter()
                .map(|(kind, n)| (self.name(kind), *n))
                .collect(),
            others_active: now.others_active,
            blocked: now.blocked,
            blocker: now.oldest_blocker.as_ref().map(|b| Blocker {
                pid: b.pid,
                application: self.name(&b.application),
                state: self.name(&b.state),
                transaction_ms: b.xact_age_ms,
                blocked: b.blocked,
            }),
            longest_transaction_ms: now.longest_xact_ms,
            in_recovery: now.in_recovery,
            started_at: now.started_at_unix,
            transactions: since(|a| a.commits + a.rollbacks),
            blocks_read: since(|a| a.blks_read),
            blocks_hit: since(|a| a.blks_hit),
            deadlocks: since(|a| a.deadlocks),
            temp_bytes: since(|a| a.temp_bytes),
        }
    }

    /// Those that ended within the span.
    fn waits(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<WaitSample> {
        let fresh = now.waits.iter().filter(|w| w.granted_at > before.at);
        let mut rows = Vec::new();
        for wait in fresh.take(WAITS_MAX) {
            let pool = now.pools.get(wait.pool as usize);
            rows.push(WaitSample {
                database: self.name(pool.map_or("", |p| &p.database)),
                user: self.name(pool.map_or("", |p| &p.user)),
                application: self.name(&wait.application),
                address: self.name(&wait.address),
                wait_us: wait.wait_us,
                refused: !wait.granted,
                holder: self.name(wait.holder.as_deref().unwrap_or_default()),
                held_us: wait.held_us,
                statement: wait.statement,
            });
        }
        rows
    }
}

fn pool_name(row: &PoolRow) -> (&str, &str) {
    (&row.database, &row.user)
}

#[cfg(test)]
mod tests;
