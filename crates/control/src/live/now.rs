//! The newest second as one [`Live`].

use super::leases::{Statements, lines};
use super::pools::Pools;
use super::{
    ALERTS_MAX, APPLICATIONS_MAX, AlertLine, ApplicationLine, GuardLine, IncidentNow, LEASES_MAX,
    Live, MARKERS_MAX, POOLS_MAX, SERVERS_MAX, Second, ServerLine, Span, name,
};
use diagnose::Verdict;
use diagnose::alert::{Alert, AlertState};
use diagnose::safe;
use events::sample::{Marker, Name, Sample};
use events::snapshot::{BudgetRow, Snapshot};
use events::{ApplicationRow, Guard, Time, UpstreamRow};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// A round trip says how things are for so long.
const PROBE_AGE_MAX: Duration = Duration::from_secs(15);

/// What stands around a second: who we are, and what others made of it.
#[derive(Default)]
pub(crate) struct Around {
    /// Which process, since when, in which state: the other fields are overwritten.
    pub base: Live,
    pub verdict: Verdict,
    pub alerts: Vec<Alert>,
    /// The newest, the newest last.
    pub markers: Vec<Marker>,
    /// Releases by database, user and application.
    pub releases: BTreeMap<(Name, Name, Name), Name>,
    /// Most clients; 0: not known.
    pub clients_limit: u32,
}

impl Around {
    /// The releases that a sample tells.
    pub fn releases(sample: &Sample) -> BTreeMap<(Name, Name, Name), Name> {
        let named = sample.applications.iter().filter(|a| !a.release.is_empty());
        let key = |n: &Name| Name::clone(n);
        named
            .map(|a| {
                let whose = (key(&a.database), key(&a.user), key(&a.name));
                (whose, key(&a.release))
            })
            .collect()
    }
}

/// Folds it. `statements` is asked for those of the oldest leases.
pub(crate) fn now(second: &Second, around: Around, statements: Statements<'_>) -> Live {
    let snapshot = &*second.now;
    let before = second.before.as_deref();
    let pools = Pools::of(second, &around.alerts);
    let mut totals = pools.totals.clone();
    totals.clients_limit = around.clients_limit;
    let refused = |s: &Snapshot| s.refusals.iter().sum::<u64>();
    let more = before.map_or(0, |b| refused(snapshot).saturating_sub(refused(b)));
    totals.refused_per_s = more as f64 / second.span_s();
    let all = Span {
        from: 0,
        most: POOLS_MAX,
    };
    let oldest = snapshot.leases.iter().take(LEASES_MAX);
    let (alerts, alerts_firing) = alert_lines(&around.alerts);
    Live {
        at_ms: second.at_ms,
        past: false,
        snapshot: snapshot.version,
        span_ms: second.span_ms(),
        verdict: cleaned(around.verdict),
        alerts,
        alerts_firing,
        guards: guards(snapshot),
        totals,
        pools: pools.take("trouble", all),
        pools_total: count(snapshot.pools.len()),
        servers: servers(second),
        applications: applications(second, &around.releases),
        leases: lines(snapshot.at, oldest, statements),
        leases_total: count(snapshot.leases.len()),
        markers: markers(around.markers),
        ..around.base
    }
}

/// Those that fire first, the worst first; and how many fire.
pub(super) fn alert_lines(alerts: &[Alert]) -> (Vec<AlertLine>, u32) {
    let fires = |a: &&Alert| a.state == AlertState::Firing;
    let mut all: Vec<&Alert> = alerts.iter().collect();
    all.sort_by_key(|a| (!fires(a), Reverse(a.severity), a.since_ms));
    let line = |a: &&Alert| AlertLine {
        name: a.name.label().to_owned(),
        severity: a.severity.label().to_owned(),
        state: match a.state {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
        .to_owned(),
        since_ms: a.fired_ms.unwrap_or(a.since_ms),
        summary: prose(&a.summary),
        chapter: a.name.label().to_owned(),
    };
    let lines = all.iter().take(ALERTS_MAX).map(line).collect();
    (lines, count(alerts.iter().filter(fires).count()))
}

/// The newest first.
pub(super) fn markers(markers: Vec<Marker>) -> Vec<Marker> {
    let mut newest = markers;
    newest.sort_by_key(|m| Reverse(m.at_ms));
    newest.truncate(MARKERS_MAX);
    newest.into_iter().map(marker).collect()
}

/// A marker that may be shown: releases and notes hold what people typed.
pub(super) fn marker(marker: Marker) -> Marker {
    Marker {
        subject: name(&marker.subject).into(),
        text: prose(&marker.text),
        actor: name(&marker.actor).into(),
        ..marker
    }
}

/// The incident, fit to be shown.
pub(crate) fn incident(id: &str, title: &str, since_ms: i64) -> IncidentNow {
    IncidentNow {
        id: id.to_owned(),
        title: prose(title),
        since_ms,
    }
}

fn prose(text: &str) -> String {
    safe::line(text, safe::LINE_CHARS_MAX)
}

/// A verdict names applications as their clients do.
pub(super) fn cleaned(verdict: Verdict) -> Verdict {
    let Ok(mut value) = serde_json::to_value(&verdict) else {
        return Verdict::default();
    };
    match clean(&mut value) {
        // Nearly always: nothing is hidden in it.
        false => verdict,
        true => serde_json::from_value(value).unwrap_or_default(),
    }
}

/// Cleans each text within. True: there was something to clean.
fn clean(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let clean = diagnose::clean(text);
            let changed = clean != *text;
            *text = clean;
            changed
        }
        Value::Array(all) => all.iter_mut().fold(false, |any, v| clean(v) | any),
        Value::Object(all) => all.values_mut().fold(false, |any, v| clean(v) | any),
        _ => false,
    }
}

fn guards(snapshot: &Snapshot) -> Vec<GuardLine> {
    let line = |guard: Guard| GuardLine {
        name: guard.label().to_owned(),
        mode: snapshot.guards.mode(guard).label().to_owned(),
        acted: snapshot.guards.counts.done(guard),
        would_have: snapshot.guards.counts.would(guard),
    };
    Guard::ALL.into_iter().map(line).collect()
}

fn applications(
    second: &Second,
    releases: &BTreeMap<(Name, Name, Name), Name>,
) -> Vec<ApplicationLine> {
    let mut rows: Vec<&ApplicationRow> = second.now.applications.iter().collect();
    rows.sort_by_key(|a| Reverse((a.waiting, a.active, a.silent, a.clients)));
    rows.truncate(APPLICATIONS_MAX);
    let same = |a: &ApplicationRow, b: &ApplicationRow| {
        a.database == b.database && a.user == b.user && a.kind == b.kind
    };
    let before = second.before.as_deref();
    rows.into_iter()
        .map(|row| {
            let earlier = before.and_then(|b| b.applications.iter().find(|a| same(a, row)));
            let more = earlier.map_or(0, |e| row.checkouts.saturating_sub(e.checkouts));
            let whose = (
                Name::from(&*row.database),
                Name::from(&*row.user),
                Name::clone(&row.kind),
            );
            ApplicationLine {
                name: name(&row.kind),
                release: releases.get(&whose).map(|r| name(r)).unwrap_or_default(),
                database: name(&row.database),
                user: name(&row.user),
                clients: row.clients,
                used: row.active,
                waiting: row.waiting,
                silent: row.silent,
                arrivals_per_s: more as f64 / second.span_s(),
                oldest_hold_us: row.oldest_hold_us,
            }
        })
        .collect()
}

/// Those whose line is nearest first.
fn servers(second: &Second) -> Vec<ServerLine> {
    let snapshot = &*second.now;
    let mut budgets: Vec<&BudgetRow> = snapshot.budgets.iter().collect();
    budgets.sort_by_key(|b| (b.line.saturating_sub(b.used), Reverse(b.used)));
    budgets.truncate(SERVERS_MAX);
    let find = |all: &'_ [UpstreamRow], label: &str| all.iter().position(|u| u.upstream == label);
    budgets
        .into_iter()
        .map(|budget| {
            let row = find(&snapshot.upstreams, &budget.upstream);
            let row = row.and_then(|at| snapshot.upstreams.get(at));
            let earlier = second.before.as_deref().and_then(|b| {
                let at = find(&b.upstreams, &budget.upstream)?;
                b.upstreams.get(at)
            });
            server(budget, row, earlier, second)
        })
        .collect()
}

fn server(
    budget: &BudgetRow,
    row: Option<&UpstreamRow>,
    earlier: Option<&UpstreamRow>,
    second: &Second,
) -> ServerLine {
    let failed = |u: &UpstreamRow| u.connect_failed + u.login_failed + u.full;
    let more = row
        .zip(earlier)
        .map_or(0, |(row, e)| failed(row).saturating_sub(failed(e)));
    let activity = row.and_then(|u| u.activity.as_ref());
    let activity = activity.filter(|a| a.permitted);
    let fresh = |sent: Time| second.now.at.since(sent) <= PROBE_AGE_MAX;
    let probed = row.filter(|u| u.probe_at.is_some_and(fresh));
    let read = budget.max_connections > 0;
    ServerLine {
        server: name(&budget.upstream),
        state: budget.state.to_owned(),
        line: budget.line,
        used: budget.used,
        max_connections: budget.max_connections,
        reserved: budget.superuser_reserved + budget.reserved + budget.provider_reserved,
        others: read.then_some(budget.others),
        headroom: budget.headroom,
        peers: budget.peers,
        peers_held: budget.peers_held,
        probe_us: probed.and_then(|u| u.probe_last_us),
        rtt_us: row.filter(|u| u.tcp.sockets > 0).map(|u| u.tcp.rtt_us_p50),
        active: activity.map(|a| a.active),
        blocked: activity.map(|a| a.blocked),
        failed_per_s: more as f64 / second.span_s(),
        last_error: row
            .and_then(|u| u.last_error.as_ref())
            .map(|e| name(&e.sqlstate))
            .unwrap_or_default(),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
