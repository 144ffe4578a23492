//! The exposition: a fold over one [`Snapshot`], nothing else.
//!
//! It keeps no state between scrapes, so it cannot disagree with the console
//! or the page, which fold the same snapshot. Why the encoder is our own
//! stands in `docs/decisions/0005-metrics-encoder.md`.

mod api;
mod budget;
mod encode;
mod fleet;
mod guards;
mod leases;
mod pools;
mod secrets;
mod settings;
mod traffic;
mod views;
mod watch;

pub use crate::process::Process;
pub use encode::Format;
pub use views::SERIES_MAX;

pub(crate) use encode::{Encoder, Unit};

use encode::Value;
use events::snapshot::{PoolRow, Snapshot, WorkerRow};
use events::{CloseReason, Fault, RefuseReason};
use std::borrow::Cow;
use std::collections::BTreeMap;
use views::Views;

/// The database and user label of that sum.
const OTHER: &str = "other";

/// What the exposition tells beside the snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The version of the binary.
    pub version: &'a str,
    /// Figures of the process.
    pub process: Process,
    /// Log lines dropped because the log could not be written fast enough.
    pub log_lines_dropped: u64,
    /// The settings' own figures, where they come from a file.
    pub settings: Option<&'a crate::settings::Figures>,
    /// What is measured and watched, where it is.
    pub watched: Option<&'a crate::Watched>,
    /// The channel to the other instances, where there is one.
    pub fleet: Option<&'a crate::fleet::Fleet>,
    /// The API's own figures, where there is one.
    pub api: Option<&'a crate::api::Figures>,
}

/// Writes `snapshot` as text in `format`.
pub fn render(snapshot: &Snapshot, facts: &Facts<'_>, format: Format) -> String {
    let mut encoder = Encoder::new(format);
    let pools = Views::new(&snapshot.pools);
    about(&mut encoder, snapshot, facts, pools.pools_folded());
    reasons(&mut encoder, snapshot);
    guards::families(&mut encoder, &snapshot.guards, snapshot.at);
    encoder
        .gauges(
            "plimsoll_statement_capture",
            Unit::None,
            "1 while a person captures statements with their values, else 0.",
        )
        .add(&[], u64::from(snapshot.tapped));
    secrets::families(&mut encoder, &snapshot.secrets);
    if let Some(figures) = facts.settings {
        settings::families(&mut encoder, figures);
    }
    if let Some(figures) = facts.api {
        api::families(&mut encoder, figures);
    }
    if let Some(fleet) = facts.fleet {
        fleet::families(&mut encoder, fleet);
    }
    workers(&mut encoder, &snapshot.workers);
    budget::families(&mut encoder, &snapshot.budgets);
    pools::gauges(&mut encoder, &pools);
    pools::counters(&mut encoder, &pools);
    pools::sizing(&mut encoder, &pools);
    pools::histograms(&mut encoder, &pools);
    leases::families(&mut encoder, snapshot, &pools);
    traffic::families(&mut encoder, snapshot);
    if let Some(watched) = facts.watched {
        watch::families(&mut encoder, watched);
    }
    pools::open_telemetry(&mut encoder, snapshot, &pools);
    process(&mut encoder, &facts.process);
    folded(&mut encoder, &pools);
    encoder.finish()
}

/// A pool's names and its row; the row is owned only where several were summed.
type Pools<'a> = Vec<((&'a str, &'a str), Cow<'a, PoolRow>)>;

/// One row per (database, user), at most `max` of them and then the sum of the
/// rest as `other`; also how many went into that sum. The first rows keep
/// their series: a new pool must not push out an old one.
fn by_name(rows: &[PoolRow], max: usize) -> (Pools<'_>, usize) {
    let mut named: BTreeMap<(&str, &str), Cow<'_, PoolRow>> = BTreeMap::new();
    let mut folded = 0;
    for row in rows {
        let mut name = (row.database.as_str(), row.user.as_str());
        if named.len() >= max && !named.contains_key(&name) {
            folded += 1;
            name = (OTHER, OTHER);
        }
        named
            .entry(name)
            .and_modify(|sum| add(sum.to_mut(), row))
            .or_insert(Cow::Borrowed(row));
    }
    (named.into_iter().collect(), folded)
}

fn add(sum: &mut PoolRow, row: &PoolRow) {
    if sum.mode != row.mode {
        sum.mode = "mixed";
    }
    if sum.upstream != row.upstream {
        sum.upstream = "several".into();
    }
    sum.size = sum.size.saturating_add(row.size);
    sum.cl_active += row.cl_active;
    sum.cl_waiting += row.cl_waiting;
    sum.cl_waiting_cancel += row.cl_waiting_cancel;
    sum.cl_active_cancel += row.cl_active_cancel;
    sum.sv_active += row.sv_active;
    sum.sv_being_canceled += row.sv_being_canceled;
    sum.sv_idle += row.sv_idle;
    sum.sv_tested += row.sv_tested;
    sum.sv_login += row.sv_login;
    sum.sv_active_cancel += row.sv_active_cancel;
    sum.maxwait_us = sum.maxwait_us.max(row.maxwait_us);
    sum.totals.add(&row.totals);
    sum.wait.merge(&row.wait);
    sum.hold.merge(&row.hold);
    sum.service.merge(&row.service);
    sum.leaks.add(&row.leaks);
    if let (Some(sum), Some(row)) = (&mut sum.sizing, &row.sizing) {
        for (sum, n) in sum.changes.iter_mut().zip(row.changes) {
            *sum += n;
        }
    } else {
        sum.sizing = sum.sizing.or(row.sizing);
    }
    sum.advice = None;
    sum.paused |= row.paused;
    sum.disabled |= row.disabled;
}

/// What the limit of series cost.
fn folded(e: &mut Encoder, pools: &Views<'_>) {
    let folded = pools.folded();
    e.gauges(
        "plimsoll_series_folded",
        Unit::None,
        "Series beyond the limit of their families, summed as other.",
    )
    .add(&[], folded.iter().map(|(_, n)| n).sum::<u64>());
    let mut family = e.gauges(
        "plimsoll_family_series_folded",
        Unit::None,
        "The same by family; only those above zero.",
    );
    for (name, n) in folded {
        family.add(&[("family", name)], n);
    }
}

fn about(e: &mut Encoder, snapshot: &Snapshot, facts: &Facts<'_>, folded: usize) {
    e.gauges(
        "plimsoll_build_info",
        Unit::None,
        "The running version; always 1.",
    )
    .add(&[("version", facts.version)], 1u64);
    e.gauges(
        "plimsoll_snapshot_version",
        Unit::None,
        "The snapshot that every figure of this scrape comes from.",
    )
    .add(&[], snapshot.version);
    e.gauges(
        "plimsoll_snapshot_monotonic_seconds",
        Unit::Seconds,
        "When that snapshot was taken, on the pooler's own clock.",
    )
    .add(&[], Value::Micros(snapshot.at.as_micros()));
    e.gauges("plimsoll_pools", Unit::None, "Pools that exist.")
        .add(&[], snapshot.pools.len() as u64);
    e.gauges(
        "plimsoll_pools_folded",
        Unit::None,
        "Pools beyond the series limit, summed under database and user other.",
    )
    .add(&[], folded as u64);
    e.counters(
        "plimsoll_clients_accepted",
        Unit::None,
        "Client connections accepted.",
    )
    .add(&[], snapshot.accepts);
    e.counters(
        "plimsoll_client_logins",
        Unit::None,
        "Client logins that succeeded.",
    )
    .add(&[], snapshot.logins);
    e.counters(
        "plimsoll_cancel_requests",
        Unit::None,
        "Cancel requests received.",
    )
    .add(&[], snapshot.cancels);
    let forwards = |at: usize| snapshot.workers.iter().map(|w| w.forwards[at]).sum::<u64>();
    e.counters(
        "plimsoll_cancel_requests_forwarded",
        Unit::None,
        "Cancel requests passed on to other instances, whose client they may be for.",
    )
    .add(&[], forwards(0));
    e.counters(
        "plimsoll_cancel_requests_dropped",
        Unit::None,
        "Cancel requests for nobody here that were not passed on: too many were under way.",
    )
    .add(&[], forwards(1));
    e.counters(
        "plimsoll_log_lines_dropped",
        Unit::None,
        "Log lines dropped because the log was too slow or could not be written.",
    )
    .add(&[], facts.log_lines_dropped);
}

fn reasons(e: &mut Encoder, snapshot: &Snapshot) {
    let mut family = e.counters(
        "plimsoll_connections_closed",
        Unit::None,
        "Client and server connections closed, by reason.",
    );
    for reason in CloseReason::ALL {
        family.add(
            &[("reason", reason.label()), ("fault", fault(reason.fault()))],
            snapshot.closed(*reason),
        );
    }
    let mut family = e.counters(
        "plimsoll_requests_refused",
        Unit::None,
        "Logins and requests for a connection refused, by reason.",
    );
    for reason in RefuseReason::ALL {
        family.add(
            &[("reason", reason.label()), ("fault", fault(reason.fault()))],
            snapshot.refused(*reason),
        );
    }
}

fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Client => "client",
        Fault::Server => "server",
        Fault::Operator => "operator",
        Fault::Ours => "ours",
    }
}

fn workers(e: &mut Encoder, rows: &[WorkerRow]) {
    type Figure = (&'static str, &'static str, fn(&WorkerRow) -> u64);
    const GAUGES: [Figure; 2] = [
        (
            "plimsoll_worker_clients",
            "Client connections that the worker serves.",
            |w| w.clients.into(),
        ),
        (
            "plimsoll_worker_servers",
            "Server connections that live at the worker.",
            |w| w.servers.into(),
        ),
    ];
    const COUNTERS: [Figure; 3] = [
        (
            "plimsoll_worker_turns",
            "Turns of the worker's event loop.",
            |w| w.turns,
        ),
        (
            "plimsoll_worker_panics",
            "Panics contained by the worker.",
            |w| w.panics,
        ),
        (
            "plimsoll_worker_handovers",
            "Server connections handed to another worker.",
            |w| w.handovers,
        ),
    ];
    let names: Vec<String> = (0..rows.len()).map(|i| i.to_string()).collect();
    for (name, help, figure) in GAUGES {
        let mut family = e.gauges(name, Unit::None, help);
        for (worker, row) in names.iter().zip(rows) {
            family.add(&[("worker", worker)], figure(row));
        }
    }
    for (name, help, figure) in COUNTERS {
        let mut family = e.counters(name, Unit::None, help);
        for (worker, row) in names.iter().zip(rows) {
            family.add(&[("worker", worker)], figure(row));
        }
    }
}

fn process(e: &mut Encoder, process: &Process) {
    if let Some(us) = process.cpu_us {
        e.counters(
            "process_cpu_seconds",
            Unit::Seconds,
            "User and system CPU time of the process.",
        )
        .add(&[], Value::Micros(us));
    }
    type Figure = (&'static str, Unit, &'static str, Option<Value>);
    let gauges: [Figure; 5] = [
        (
            "process_resident_memory_bytes",
            Unit::Bytes,
            "Resident memory.",
            process.resident_bytes.map(Value::Count),
        ),
        (
            "process_open_fds",
            Unit::None,
            "Open file descriptors.",
            process.open_fds.map(Value::Count),
        ),
        (
            "process_max_fds",
            Unit::None,
            "Limit of open file descriptors.",
            process.max_fds.map(Value::Count),
        ),
        (
            "process_threads",
            Unit::None,
            "Threads.",
            process.threads.map(Value::Count),
        ),
        (
            "process_start_time_seconds",
            Unit::Seconds,
            "Start of the process since the Unix epoch.",
            process.start_us.map(Value::Micros),
        ),
    ];
    for (name, unit, help, value) in gauges {
        if let Some(value) = value {
            e.gauges(name, unit, help).add(&[], value);
        }
    }
}

#[cfg(test)]
mod tests;
