//! The exposition: a fold over one [`Snapshot`], nothing else.
//!
//! It keeps no state between scrapes, so it cannot disagree with the console
//! or the page, which fold the same snapshot. Why the encoder is our own
//! stands in `docs/decisions/0005-metrics-encoder.md`.

mod encode;

pub use crate::process::Process;
pub use encode::Format;

use encode::{Encoder, Label, Unit, Value};
use events::snapshot::{PoolRow, Snapshot, WorkerRow};
use events::{CloseReason, Fault, Histogram, RefuseReason};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Pools that have series of their own; the rest are summed as `other`.
/// A monitoring server must survive whatever names clients choose.
pub const POOLS_MAX: usize = 2_000;
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
}

/// Writes `snapshot` as text in `format`.
pub fn render(snapshot: &Snapshot, facts: &Facts<'_>, format: Format) -> String {
    let mut encoder = Encoder::new(format);
    let (pools, folded) = by_name(&snapshot.pools, POOLS_MAX);
    about(&mut encoder, snapshot, facts, folded);
    reasons(&mut encoder, snapshot);
    workers(&mut encoder, &snapshot.workers);
    pool_gauges(&mut encoder, &pools);
    pool_counters(&mut encoder, &pools);
    pool_histograms(&mut encoder, &pools);
    open_telemetry(&mut encoder, snapshot, &pools);
    process(&mut encoder, &facts.process);
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
    sum.paused |= row.paused;
    sum.disabled |= row.disabled;
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

fn pool_labels<'a>((database, user): (&'a str, &'a str)) -> [Label<'a>; 2] {
    [("database", database), ("user", user)]
}

fn pool_gauges(e: &mut Encoder, pools: &Pools<'_>) {
    let mut family = e.gauges(
        "plimsoll_pool_info",
        Unit::None,
        "How the pool is set; always 1.",
    );
    for (name, row) in pools {
        let [database, user] = pool_labels(*name);
        family.add(
            &[
                database,
                user,
                ("mode", row.mode),
                ("upstream", &row.upstream),
            ],
            1u64,
        );
    }
    type States = [(&'static str, fn(&PoolRow) -> u32)];
    const CLIENTS: &States = &[
        ("active", |p| p.cl_active),
        ("waiting", |p| p.cl_waiting),
        ("active_cancel", |p| p.cl_active_cancel),
        ("waiting_cancel", |p| p.cl_waiting_cancel),
    ];
    const SERVERS: &States = &[
        ("active", |p| p.sv_active),
        ("idle", |p| p.sv_idle),
        ("tested", |p| p.sv_tested),
        ("login", |p| p.sv_login),
        ("being_canceled", |p| p.sv_being_canceled),
        ("active_cancel", |p| p.sv_active_cancel),
    ];
    for (family, help, states) in [
        (
            "plimsoll_pool_clients",
            "Clients of the pool, by the state names of SHOW POOLS.",
            CLIENTS,
        ),
        (
            "plimsoll_pool_servers",
            "Server connections of the pool, by the state names of SHOW POOLS.",
            SERVERS,
        ),
    ] {
        let mut family = e.gauges(family, Unit::None, help);
        for (name, row) in pools {
            let [database, user] = pool_labels(*name);
            for (state, figure) in states {
                family.add(&[database, user, ("state", state)], figure(row));
            }
        }
    }
    type Figure = (&'static str, Unit, &'static str, fn(&PoolRow) -> Value);
    const FIGURES: [Figure; 4] = [
        (
            "plimsoll_pool_size",
            Unit::None,
            "Most server connections that the pool may hold.",
            |p| p.size.into(),
        ),
        (
            "plimsoll_pool_oldest_wait_seconds",
            Unit::Seconds,
            "How long the oldest waiting client has waited.",
            |p| Value::Micros(p.maxwait_us),
        ),
        (
            "plimsoll_pool_paused",
            Unit::None,
            "1 while an administrator has paused the pool.",
            |p| u32::from(p.paused).into(),
        ),
        (
            "plimsoll_pool_disabled",
            Unit::None,
            "1 while an administrator has disabled the pool.",
            |p| u32::from(p.disabled).into(),
        ),
    ];
    for (family, unit, help, figure) in FIGURES {
        let mut family = e.gauges(family, unit, help);
        for (name, row) in pools {
            family.add(&pool_labels(*name), figure(row));
        }
    }
}

fn pool_counters(e: &mut Encoder, pools: &Pools<'_>) {
    type Figure = (&'static str, Unit, &'static str, fn(&PoolRow) -> Value);
    const FIGURES: [Figure; 11] = [
        (
            "plimsoll_pool_assignments",
            Unit::None,
            "Server connections lent.",
            |p| p.totals.server_assignments.into(),
        ),
        (
            "plimsoll_pool_transactions",
            Unit::None,
            "Transactions finished.",
            |p| p.totals.xacts.into(),
        ),
        (
            "plimsoll_pool_queries",
            Unit::None,
            "Queries finished: simple queries and Sync batches.",
            |p| p.totals.queries.into(),
        ),
        (
            "plimsoll_pool_received_bytes",
            Unit::Bytes,
            "Bytes received from clients.",
            |p| p.totals.bytes_received.into(),
        ),
        (
            "plimsoll_pool_sent_bytes",
            Unit::Bytes,
            "Bytes sent to clients.",
            |p| p.totals.bytes_sent.into(),
        ),
        (
            "plimsoll_pool_transaction_time_seconds",
            Unit::Seconds,
            "Time spent in transactions.",
            |p| Value::Micros(p.totals.xact_us),
        ),
        (
            "plimsoll_pool_query_time_seconds",
            Unit::Seconds,
            "Time spent in queries.",
            |p| Value::Micros(p.totals.query_us),
        ),
        (
            "plimsoll_pool_client_parses",
            Unit::None,
            "Parse messages from clients.",
            |p| p.totals.client_parses.into(),
        ),
        (
            "plimsoll_pool_server_parses",
            Unit::None,
            "Parse messages sent to servers.",
            |p| p.totals.server_parses.into(),
        ),
        (
            "plimsoll_pool_binds",
            Unit::None,
            "Bind messages from clients.",
            |p| p.totals.binds.into(),
        ),
        (
            "plimsoll_pool_client_logins",
            Unit::None,
            "Client logins to the pool.",
            |p| p.totals.client_logins.into(),
        ),
    ];
    for (family, unit, help, figure) in FIGURES {
        let mut family = e.counters(family, unit, help);
        for (name, row) in pools {
            family.add(&pool_labels(*name), figure(row));
        }
    }
}

fn pool_histograms(e: &mut Encoder, pools: &Pools<'_>) {
    type Figure = (&'static str, &'static str, fn(&PoolRow) -> &Histogram);
    const FIGURES: [Figure; 3] = [
        (
            "plimsoll_pool_wait_seconds",
            "From the request for a server connection to its grant.",
            |p| &p.wait,
        ),
        (
            "plimsoll_pool_hold_seconds",
            "From the grant of a server connection to its return.",
            |p| &p.hold,
        ),
        (
            "plimsoll_pool_service_seconds",
            "From a query to its ReadyForQuery.",
            |p| &p.service,
        ),
    ];
    for (family, help, figure) in FIGURES {
        let mut family = e.histograms(family, help);
        for (name, row) in pools {
            family.add(&pool_labels(*name), figure(row));
        }
    }
}

/// The same facts under OpenTelemetry's names for database client pools, for
/// dashboards that already know them. What is not measured is left out.
fn open_telemetry(e: &mut Encoder, snapshot: &Snapshot, pools: &Pools<'_>) {
    const POOL: &str = "db_client_connection_pool_name";
    const STATE: &str = "db_client_connection_state";
    // The pool's name joins two names that may hold a slash: database and user keep the series apart.
    let names: Vec<String> = pools
        .iter()
        .map(|((database, user), _)| format!("{database}/{user}"))
        .collect();
    let labels = |i: usize| {
        let [database, user] = pool_labels(pools[i].0);
        [(POOL, names[i].as_str()), database, user]
    };

    let mut family = e.gauges(
        "db_client_connection_count",
        Unit::None,
        "Server connections, by state.",
    );
    for (i, (_, row)) in pools.iter().enumerate() {
        let [pool, database, user] = labels(i);
        let used = row.sv_active + row.sv_being_canceled + row.sv_tested;
        family.add(&[pool, (STATE, "idle"), database, user], row.sv_idle);
        family.add(&[pool, (STATE, "used"), database, user], used);
    }
    let mut family = e.gauges(
        "db_client_connection_max",
        Unit::None,
        "Most server connections that the pool may hold.",
    );
    for (i, (_, row)) in pools.iter().enumerate() {
        family.add(&labels(i), row.size);
    }
    let mut family = e.gauges(
        "db_client_connection_pending_requests",
        Unit::None,
        "Clients that wait for a server connection.",
    );
    for (i, (_, row)) in pools.iter().enumerate() {
        family.add(&labels(i), row.cl_waiting);
    }
    e.counters(
        "db_client_connection_timeouts",
        Unit::None,
        "Clients that waited for a connection beyond their deadline, in all pools.",
    )
    .add(&[], snapshot.refused(RefuseReason::WaitTimeout));
    let mut family = e.histograms(
        "db_client_connection_wait_time_seconds",
        "Time to obtain a connection from the pool.",
    );
    for (i, (_, row)) in pools.iter().enumerate() {
        family.add(&labels(i), &row.wait);
    }
    let mut family = e.histograms(
        "db_client_connection_use_time_seconds",
        "Time from borrowing a connection to returning it.",
    );
    for (i, (_, row)) in pools.iter().enumerate() {
        family.add(&labels(i), &row.hold);
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
