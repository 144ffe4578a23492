//! Figures of all workers and pools, put together when somebody asks.

use super::Handle;
use super::measures::Measures;
use crate::held::Held;
use crate::mail::{Mail, Report};
use crate::registry::Place;
use crate::sizing;
use events::snapshot::{PoolRow, Snapshot, Totals};
use relay::PoolKey;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long a snapshot waits for a worker.
const REPORT_MAX: Duration = Duration::from_secs(1);

/// Readings for averages: those at the ends of the last whole period.
#[derive(Default)]
pub(super) struct Period {
    before: BTreeMap<String, Totals>,
    now: BTreeMap<String, Totals>,
    span: Duration,
}

/// A snapshot with what the console adds.
pub(crate) struct Figures {
    pub(crate) snapshot: Snapshot,
    pub(crate) period: Duration,
    pub(crate) held: Held,
    /// The console's own.
    pub(crate) console: Totals,
    before: BTreeMap<String, Totals>,
    /// Totals at the end of the last whole period; none in the first.
    at_period: Option<BTreeMap<String, Totals>>,
}

impl Figures {
    /// Totals by database: now, and what averages compare with.
    pub(crate) fn by_database(&self) -> Vec<(String, Totals, Totals)> {
        let now = totals(&self.snapshot);
        now.into_iter()
            .map(|(name, total)| {
                // Averages are those of the last whole period, as PgBouncer's.
                let end = self.at_period.as_ref().and_then(|p| p.get(&name)).copied();
                let before = self.before.get(&name).copied().unwrap_or_default();
                match end {
                    Some(end) => {
                        let mut shifted = total;
                        shift(&mut shifted, &end, &before);
                        (name, total, shifted)
                    }
                    None => (name, total, before),
                }
            })
            .collect()
    }
}

impl Handle {
    /// Figures of all workers and pools. Waits a short time for each worker;
    /// one that does not answer is left out.
    pub fn snapshot(&self, detail: bool) -> Snapshot {
        let common = &self.inner.common;
        let (to, reports) = channel();
        for mailbox in &common.mailboxes {
            mailbox.post(Mail::Report {
                detail,
                to: to.clone(),
            });
        }
        drop(to);
        let now = common.clock.now();
        let (places, held): (Vec<Place>, Held) = {
            let registry = common.read();
            (registry.places().to_vec(), registry.held.clone())
        };
        let mut snapshot = Snapshot {
            version: self.inner.versions.fetch_add(1, Ordering::Relaxed) + 1,
            at: now,
            closes: vec![0; events::CloseReason::COUNT],
            refusals: vec![0; events::RefuseReason::COUNT],
            guards: self.guards_row(),
            tapped: self.is_tapped(),
            secrets: common.secrets.figures(),
            ..Snapshot::default()
        };
        snapshot.pools = places.iter().map(|p| pool_row(p, now, detail)).collect();
        for pool in &mut snapshot.pools {
            pool.disabled |= held.is_disabled(&pool.database);
        }
        let deadline = Instant::now() + REPORT_MAX;
        let mut found = Vec::new();
        while let Ok(report) =
            reports.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            found.push(report);
        }
        found.sort_by_key(|r| r.worker);
        let (mut measures, mut health) = (Measures::default(), Vec::new());
        for mut report in found {
            for (key, stats) in &mut report.pools {
                health.push((*key, std::mem::take(&mut stats.health)));
            }
            merge(&mut snapshot, report, &mut measures);
        }
        for (key, seen) in &health {
            if let Some(pool) = snapshot.pools.get_mut(key.0 as usize) {
                pool.opened += seen.opened;
            }
        }
        measures.fill(&mut snapshot, &places, &self.upstreams(), &health);
        suspect(&mut snapshot, &places);
        common.read().budgets(now, &mut snapshot);
        snapshot
    }

    pub(crate) fn figures(&self, detail: bool) -> Figures {
        let snapshot = self.snapshot(detail);
        let period = self
            .inner
            .period
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let whole = period.span > Duration::ZERO;
        Figures {
            period: if whole {
                period.span
            } else {
                snapshot.at.since(events::Time::ZERO)
            },
            held: self.inner.common.read().held.clone(),
            console: self.console_totals(),
            before: period.before.clone(),
            at_period: whole.then(|| period.now.clone()),
            snapshot,
        }
    }

    /// Each statement of the console is a transaction and a query, as in PgBouncer; nothing else of it is measured.
    fn console_totals(&self) -> Totals {
        let statements = &self.inner.common.console_statements;
        let statements = statements.load(Ordering::Relaxed);
        Totals {
            xacts: statements,
            queries: statements,
            ..Totals::default()
        }
    }

    /// The end of a period of averages.
    pub(crate) fn next_period(&self, span: Duration) {
        let snapshot = self.snapshot(false);
        let mut period = self
            .inner
            .period
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        period.before = std::mem::take(&mut period.now);
        period.now = totals(&snapshot);
        period.span = span;
        if self.plan().log.stats {
            tracing::info!(
                "{}",
                crate::statistics::line(&period.before, &period.now, span)
            );
        }
    }
}

/// Makes `total − result` equal `end − before`.
fn shift(total: &mut Totals, end: &Totals, before: &Totals) {
    macro_rules! each {
        ($($field:ident)*) => {
            $(total.$field = total.$field.saturating_sub(end.$field.saturating_sub(before.$field));)*
        };
    }
    each!(server_assignments xacts queries bytes_received bytes_sent xact_us query_us wait_us
          client_parses server_parses binds client_logins);
}

fn totals(snapshot: &Snapshot) -> BTreeMap<String, Totals> {
    let mut by_name: BTreeMap<String, Totals> = BTreeMap::new();
    for pool in &snapshot.pools {
        by_name
            .entry(pool.database.clone())
            .or_default()
            .add(&pool.totals);
    }
    by_name
}

fn pool_row(place: &Place, now: events::Time, detail: bool) -> PoolRow {
    let upstream = place.upstream.lock();
    let f = upstream.figures(place.pool, now);
    let sizing = upstream.sizing(place.pool).map(sizing::sizing_row);
    let record = match detail {
        true => upstream.record(place.pool).cloned(),
        false => None,
    };
    let line = upstream.line();
    let mut row = PoolRow {
        sizing,
        database: place.info.database.to_string(),
        user: place.info.user.to_string(),
        mode: place.info.mode.label(),
        upstream: place.info.address.to_string(),
        size: f.size,
        idle_min: upstream.idle_min(place.pool),
        cl_waiting: f.waiting,
        sv_active: f.lent,
        sv_idle: f.idle + f.moving,
        sv_login: f.opening,
        maxwait_us: u64::try_from(f.oldest_wait.as_micros()).unwrap_or(u64::MAX),
        wait: upstream.waits(place.pool).cloned().unwrap_or_default(),
        hold: upstream.holds(place.pool).cloned().unwrap_or_default(),
        create: upstream.creates(place.pool).cloned().unwrap_or_default(),
        leaks: upstream.leaks(place.pool).unwrap_or_default(),
        shed: upstream.shed(place.pool).to_vec(),
        paused: f.paused,
        disabled: f.disabled,
        ..PoolRow::default()
    };
    drop(upstream);
    row.advice = record.map(|record| sizing::advice_row(&record, row.size, line));
    row
}

fn merge(snapshot: &mut Snapshot, report: Report, measures: &mut Measures) {
    measures.add(report.measured);
    let row = |snapshot: &mut Snapshot, key: PoolKey, f: &mut dyn FnMut(&mut PoolRow)| {
        if let Some(pool) = snapshot.pools.get_mut(key.0 as usize) {
            f(pool);
        }
    };
    for (key, stats) in &report.pools {
        row(snapshot, *key, &mut |pool| {
            pool.totals.add(&stats.totals);
            pool.service.merge(&stats.service);
            pool.refused += stats.refused;
        });
    }
    for (key, counts) in &report.counts {
        row(snapshot, *key, &mut |pool| {
            pool.cl_active += counts.active;
            let special = counts.being_cancelled + counts.tested;
            pool.sv_being_canceled += counts.being_cancelled;
            pool.sv_tested += counts.tested;
            // The pool counts these as lent.
            pool.sv_active = pool.sv_active.saturating_sub(special);
        });
    }
    for (sum, n) in snapshot.closes.iter_mut().zip(report.stats.closes) {
        *sum += n;
    }
    for (sum, n) in snapshot.refusals.iter_mut().zip(report.stats.refusals) {
        *sum += n;
    }
    snapshot.logins += report.stats.logins;
    snapshot.accepts += report.stats.accepts;
    snapshot.cancels += report.stats.cancels;
    snapshot.workers.push(report.row);
    snapshot.clients.extend(report.clients);
    snapshot.servers.extend(report.servers);
    snapshot.leases.extend(report.leases);
}

/// Adds what the pools suspect of leases, the oldest lease first.
fn suspect(snapshot: &mut Snapshot, places: &[Place]) {
    for lease in &mut snapshot.leases {
        let pool = snapshot.pools.get(lease.pool as usize);
        if pool.is_some_and(|pool| pool.leaks.suspects > 0)
            && let Some(place) = places.get(lease.pool as usize)
        {
            lease.suspicion = place.upstream.lock().suspicion(place.pool, lease.conn);
        }
    }
    snapshot.leases.sort_by_key(|lease| lease.since);
}
