//! The line of each server: its monitor session's place, its rows, its log lines.

use crate::columns::{INT4, INT8, TEXT, Table, text};
use crate::compile;
use crate::registry::{Place, Registry, UpstreamCell};
use config::{Database, Host};
use events::snapshot::{BudgetRow, CROWDED, Snapshot, VIEW_ROWS_MAX};
use events::{CloseReason, PoolId, Time, UpstreamId};
use pool::{BudgetFigures, BudgetState};
use relay::{PoolInfo, PoolKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

impl Registry {
    pub(crate) fn add_place(
        &mut self,
        upstream: Arc<UpstreamCell>,
        pool: PoolId,
        info: &Arc<PoolInfo>,
        monitor: bool,
    ) {
        self.by_pool.insert((upstream.id, pool.0), info.key);
        if self.held.is_paused(&info.database) {
            // Nothing of it is open yet, so no time is needed.
            upstream.lock().pause(Time::ZERO, pool);
        }
        self.places.push(Place {
            upstream,
            pool,
            info: Arc::clone(info),
            clients: Arc::default(),
            monitor,
            taken: None,
        });
    }

    /// Describes a pool anew.
    pub(crate) fn describe(&mut self, key: PoolKey, info: Arc<PoolInfo>) {
        if let Some(place) = self.places.get_mut(key.0 as usize) {
            place.info = info;
        }
    }

    /// Gives a server its monitor session, if the settings want one and it has
    /// none. Servers behind several host names have none: one of them would be
    /// read, and all of them used.
    pub(crate) fn watch(&mut self, upstream: &Arc<UpstreamCell>, name: &str, database: &Database) {
        let several = matches!(upstream.endpoint().host, Host::List(_));
        let known = upstream.lock().monitor_pool().is_some();
        let plan = Arc::clone(&self.plan);
        let instance = self.instance_at(upstream.id);
        let Some(settings) = compile::budget_settings(&plan, instance) else {
            return;
        };
        if known || several {
            return;
        }
        let key = PoolKey(self.places().len() as u32);
        if let Some(info) = compile::monitor_info(&plan, key, upstream, name, database) {
            let ledger = crate::ledger::settings(&plan, &upstream.endpoint(), instance);
            let mut pools = upstream.lock();
            let pool = pools.add_monitor(Time::FAR, settings);
            if let Some(ledger) = ledger {
                pools.share_by_ledger(Time::ZERO, &ledger);
            }
            drop(pools);
            self.add_place(Arc::clone(upstream), pool, &Arc::new(info), true);
        }
    }

    /// Two entries for one server are two members of its fleet.
    pub(crate) fn instance_at(&self, upstream: UpstreamId) -> u32 {
        self.instance ^ u32::from(upstream.0).wrapping_mul(0x9e37_79b9)
    }

    /// After a change of settings: monitors begin, end, or go on otherwise.
    pub(crate) fn watch_anew(&mut self, now: Time) -> Vec<Arc<PoolInfo>> {
        let mut changed = Vec::new();
        for upstream in self.upstreams().to_vec() {
            let here = |p: &&Place| p.upstream.id == upstream.id;
            let served = self.places().iter().filter(here).find(|p| !p.monitor);
            let Some(name) = served.map(|p| p.info.database.to_string()) else {
                continue;
            };
            let Some(database) = self.database(&name).cloned() else {
                continue;
            };
            let monitor = self.places().iter().filter(here).find(|p| p.monitor);
            let Some(place) = monitor.cloned() else {
                self.watch(&upstream, &name, &database);
                continue;
            };
            let plan = Arc::clone(&self.plan);
            let key = place.info.key;
            let settings = compile::budget_settings(&plan, self.instance_at(upstream.id));
            let info = compile::monitor_info(&plan, key, &upstream, &name, &database);
            let mut pools = upstream.lock();
            pools.configure_monitor(now, settings);
            let Some(info) = info else { continue };
            if compile::identity_differs(&place.info, &info) || place.info.user != info.user {
                pools.reconnect(now, place.pool, CloseReason::SettingsChanged);
            }
            drop(pools);
            let info = Arc::new(info);
            self.describe(key, Arc::clone(&info));
            changed.push(info);
        }
        changed
    }

    /// One row per server; pools without a row of their own have none.
    pub(crate) fn budgets(&self, now: Time, snapshot: &mut Snapshot) {
        crate::folding::fold(self.places(), snapshot);
        snapshot.budgets = self.upstreams().iter().map(|u| row(u, now)).collect();
    }
}

fn row(upstream: &UpstreamCell, now: Time) -> BudgetRow {
    let (f, fleet, peers_rejected, peers_at, ledger) = {
        let pools = upstream.lock();
        let fleet = pools.budget_settings().map(|s| s.fleet.to_string());
        let (rejected, at) = (pools.peers_rejected(), pools.peers_at().to_vec());
        (
            pools.budget(),
            fleet,
            rejected,
            at,
            pools.ledger_figures(now),
        )
    };
    let ledger = ledger.map(|figures| upstream.ledger().row(figures));
    let age = |at: Time| u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX);
    BudgetRow {
        upstream: upstream.endpoint().label(),
        state: f.state.label(),
        line: f.line,
        used: f.charged,
        opening: f.opening,
        closing: f.closing,
        stated: f.stated,
        max_connections: f.parts.max_connections,
        superuser_reserved: f.parts.superuser_reserved,
        reserved: f.parts.reserved,
        provider_reserved: f.parts.provider_reserved,
        others: f.parts.others,
        monitors: f.parts.monitors,
        headroom: f.parts.headroom,
        fleet_line: f.parts.line,
        fleet: fleet.unwrap_or_default(),
        peers: f.peers,
        share: f.claim,
        published: f.published,
        wants: f.wants,
        peers_share: f.peers_claim,
        peers_held: f.peers_held,
        peers_want: f.peers_want,
        ledger,
        strangers: f.strangers,
        peers_rejected,
        peers_at,
        reading_age_us: f.read_at.map(age),
        full: f.full,
        evictions: f.evictions,
        largest_pool: f.largest_pool,
    }
}

/// SHOW BUDGET.
pub(crate) fn table(snapshot: &Snapshot) -> Vec<u8> {
    type Figure = (&'static str, fn(&BudgetRow) -> u32);
    const FIGURES: [Figure; 20] = [
        ("line", |r| r.line),
        ("used", |r| r.used),
        ("opening", |r| r.opening),
        ("closing", |r| r.closing),
        ("stated", |r| r.stated),
        ("max_connections", |r| r.max_connections),
        ("superuser_reserved", |r| r.superuser_reserved),
        ("reserved", |r| r.reserved),
        ("provider_reserved", |r| r.provider_reserved),
        ("others", |r| r.others),
        ("monitors", |r| r.monitors),
        ("headroom", |r| r.headroom),
        ("fleet_line", |r| r.fleet_line),
        ("peers", |r| r.peers),
        ("share", |r| r.share),
        ("published", |r| r.published),
        ("wants", |r| r.wants),
        ("peers_share", |r| r.peers_share),
        ("peers_held", |r| r.peers_held),
        ("peers_want", |r| r.peers_want),
    ];
    let mut columns = vec![("server", TEXT), ("state", TEXT)];
    columns.extend(FIGURES.iter().map(|(name, _)| (*name, INT4)));
    columns.extend([("fleet", TEXT), ("reading_age_ms", INT8), ("full", INT8)]);
    columns.extend([("evictions", INT8), ("ledger", TEXT), ("unknown", TEXT)]);
    let mut table = Table::new(&columns);
    for r in &snapshot.budgets {
        let mut values = vec![text(&r.upstream), text(r.state)];
        values.extend(FIGURES.iter().map(|(_, figure)| text(figure(r))));
        values.push((!r.fleet.is_empty()).then(|| r.fleet.clone()));
        values.push(r.reading_age_us.map(|us| (us / 1000).to_string()));
        values.extend([text(r.full), text(r.evictions)]);
        values.push(r.ledger.as_ref().map(|ledger| ledger.state.to_owned()));
        values.push(snapshot.unknown(r).map(str::to_owned));
        table.row(&values);
    }
    table.finish("SHOW")
}

/// How often the lines are looked at for the log.
const LOOK: Duration = Duration::from_secs(1);

/// A pool with at least this size has no size of its own: what the server has
/// bounds it, and nobody made a mistake.
const NO_SIZE: u32 = 100_000;

/// What the log has told of each server's line.
#[derive(Default)]
pub(crate) struct BudgetLog {
    told: BTreeMap<UpstreamId, (BudgetState, bool)>,
    /// Sessions that share otherwise, as the log has it.
    strangers: BTreeMap<UpstreamId, u32>,
    /// Servers whose view shows more instances than are read.
    crowded: BTreeSet<UpstreamId>,
    next: Time,
}

impl BudgetLog {
    /// Tells what is new: a state, or settings that ask for more than there is.
    pub(crate) fn look(&mut self, now: Time, cells: &[Arc<UpstreamCell>]) {
        if now < self.next {
            return;
        }
        self.next = now.after(LOOK);
        for cell in cells {
            let figures = cell.lock().budget();
            let clipped = clipped(&figures);
            let before = self
                .told
                .insert(cell.id, (figures.state, clipped.is_some()));
            let server = cell.endpoint().label();
            let strangers = self.strangers.insert(cell.id, figures.strangers);
            tell_strangers(&server, strangers.unwrap_or(0), figures.strangers);
            if before.map(|(state, _)| state) != Some(figures.state) {
                tell_state(&server, &figures);
            }
            if let Some(asked) = clipped
                && !before.is_some_and(|(_, told)| told)
            {
                tell_clipped(&server, asked, &figures);
            }
            if (figures.peers as usize) + 1 < VIEW_ROWS_MAX {
                self.crowded.remove(&cell.id);
            } else if self.crowded.insert(cell.id) {
                tracing::warn!(server, peers = figures.peers, "{CROWDED}");
            }
        }
    }
}

/// What the settings ask for, where that is more than there is.
fn clipped(f: &BudgetFigures) -> Option<u32> {
    let there_is = match f.parts.max_connections {
        0 => f.stated,
        _ => f.parts.line,
    };
    let largest = match f.largest_pool {
        NO_SIZE.. => 0,
        size => size,
    };
    let asked = largest.max(f.minimums);
    (asked > there_is).then_some(asked)
}

/// All of a fleet must share by one way.
fn tell_strangers(server: &str, before: u32, now: u32) {
    match (before, now) {
        (0, 1..) => tracing::error!(
            server,
            sessions = now,
            "a part of this fleet shares the line by the view and a part by a ledger, or by another one: \
             nobody knows all that is open, so the view's part does not grow; \
             let all of them use the same fleet.share, etcd and name of the server"
        ),
        (1.., 0) => tracing::info!(server, "all of this fleet share the line by one way again"),
        _ => {}
    }
}

fn tell_clipped(server: &str, asked: u32, f: &BudgetFigures) {
    let p = &f.parts;
    tracing::warn!(
        server,
        asked,
        line = if p.max_connections == 0 {
            f.line
        } else {
            p.line
        },
        max_connections = p.max_connections,
        reserved = p.superuser_reserved + p.reserved + p.provider_reserved,
        others = p.others,
        headroom = p.headroom,
        "the settings ask for more connections than the server can give: they are clipped at the line"
    );
}

fn tell_state(server: &str, f: &BudgetFigures) {
    let p = &f.parts;
    match f.state {
        BudgetState::Asking => {}
        // The reader of the settings has said so already.
        BudgetState::Unknown if !f.monitored => {}
        BudgetState::Known => tracing::info!(
            server,
            line = f.line,
            max_connections = p.max_connections,
            reserved = p.superuser_reserved + p.reserved + p.provider_reserved,
            others = p.others,
            headroom = p.headroom,
            peers = f.peers,
            "the line is known"
        ),
        BudgetState::Unknown => tracing::warn!(
            server,
            line = f.line,
            "line unknown: the stated line holds (monitor_user reads the server's own)"
        ),
        BudgetState::Stale if f.by_ledger => tracing::warn!(
            server,
            line = f.line,
            "the ledger gives no news: this share holds and does not grow"
        ),
        BudgetState::Stale => tracing::warn!(
            server,
            line = f.line,
            "line unknown: the monitor session gives no figures; the last line holds and does not grow"
        ),
        BudgetState::Shrunk => tracing::warn!(
            server,
            line = f.line,
            used = f.charged,
            refused_by_server = f.full,
            "the line fell: connections are closed as they come back, none are opened above it"
        ),
        BudgetState::Resting => tracing::info!(
            server,
            "no clients: the monitor session is closed until the next one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Activity;
    use events::traffic::UpstreamRow;

    #[test]
    fn what_is_unknown_is_said_in_words() {
        let row = |fleet: &str, read: bool| BudgetRow {
            upstream: "db:5432".into(),
            fleet: fleet.into(),
            reading_age_us: read.then_some(1),
            ..BudgetRow::default()
        };
        let seen = |permitted: Option<bool>| Snapshot {
            upstreams: vec![UpstreamRow {
                upstream: "db:5432".into(),
                activity: permitted.map(|permitted| Activity {
                    permitted,
                    ..Activity::default()
                }),
                ..UpstreamRow::default()
            }],
            ..Snapshot::default()
        };
        let table = [
            (row("", false), seen(None), Some("monitor_user")),
            (row("eu", false), seen(None), Some("no reading yet")),
            (row("eu", true), seen(None), Some("not read yet")),
            (
                row("eu", true),
                seen(Some(false)),
                Some("GRANT pg_read_all_stats"),
            ),
            (row("eu", true), seen(Some(true)), None),
            (
                BudgetRow {
                    peers: 255,
                    ..row("eu", true)
                },
                seen(Some(true)),
                Some("through a store"),
            ),
        ];
        for (row, snapshot, expected) in table {
            let said = snapshot.unknown(&row);
            match expected {
                Some(words) => assert!(said.is_some_and(|s| s.contains(words)), "{said:?}"),
                None => assert_eq!(said, None),
            }
        }
    }
}
