//! The families that have one row per pool: ours, and OpenTelemetry's names for the same facts.

use super::encode::{Encoder, Label, Unit, Value};
use super::views::{OF_HISTOGRAM, Views};
use events::snapshot::{PoolRow, Snapshot};
use events::{Histogram, RefuseReason, SizeReason};

/// A family with one figure per pool: name, unit, help, how it is read.
type Figure = (&'static str, Unit, &'static str, fn(&PoolRow) -> Value);

const GAUGES: [Figure; 4] = [
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

pub(super) fn gauges(e: &mut Encoder, views: &Views<'_>) {
    let pools = views.fit("plimsoll_pool_info", 1);
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
    states(e, views);
    for (family, unit, help, figure) in GAUGES {
        let pools = views.fit(family, 1);
        let mut family = e.gauges(family, unit, help);
        for (name, row) in pools {
            family.add(&pool_labels(*name), figure(row));
        }
    }
}

/// Clients and server connections by state.
fn states(e: &mut Encoder, views: &Views<'_>) {
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
        let pools = views.fit(family, states.len());
        let mut family = e.gauges(family, Unit::None, help);
        for (name, row) in pools {
            let [database, user] = pool_labels(*name);
            for (state, figure) in states {
                family.add(&[database, user, ("state", state)], figure(row));
            }
        }
    }
}

const COUNTERS: [Figure; 11] = [
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

pub(super) fn counters(e: &mut Encoder, views: &Views<'_>) {
    for (family, unit, help, figure) in COUNTERS {
        let pools = views.fit(family, 1);
        let mut family = e.counters(family, unit, help);
        for (name, row) in pools {
            family.add(&pool_labels(*name), figure(row));
        }
    }
}

/// Changes of automatic sizes; pools of a fixed size have no series.
pub(super) fn sizing(e: &mut Encoder, views: &Views<'_>) {
    let pools = views.fit("plimsoll_pool_size_changes", SizeReason::COUNT);
    let mut family = e.counters(
        "plimsoll_pool_size_changes",
        Unit::None,
        "Changes of an automatic size, made or (guard auto_size in observe) only proposed, by reason.",
    );
    for (name, row) in pools {
        let Some(sizing) = &row.sizing else { continue };
        let [database, user] = pool_labels(*name);
        for (reason, changes) in SizeReason::ALL.iter().zip(sizing.changes) {
            family.add(&[database, user, ("reason", reason.label())], changes);
        }
    }
}

pub(super) fn histograms(e: &mut Encoder, views: &Views<'_>) {
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
        let pools = views.fit(family, OF_HISTOGRAM);
        let mut family = e.histograms(family, help);
        for (name, row) in pools {
            family.add(&pool_labels(*name), figure(row));
        }
    }
}

/// OpenTelemetry's name of a pool. It joins two names that may hold a slash:
/// database and user keep the series apart.
const POOL: &str = "db_client_connection_pool_name";

fn name((database, user): (&str, &str)) -> String {
    format!("{database}/{user}")
}

/// The same facts under OpenTelemetry's names for database client pools, for
/// dashboards that already know them. What is not measured is left out.
pub(super) fn open_telemetry(e: &mut Encoder, snapshot: &Snapshot, views: &Views<'_>) {
    const STATE: &str = "db_client_connection_state";
    const COUNT: &str = "db_client_connection_count";
    let pools = views.fit(COUNT, 2);
    let mut family = e.gauges(COUNT, Unit::None, "Server connections, by state.");
    for (pool, row) in pools {
        let ([database, user], name) = (pool_labels(*pool), name(*pool));
        let used = row.sv_active + row.sv_being_canceled + row.sv_tested;
        let labels = |state| [(POOL, name.as_str()), (STATE, state), database, user];
        family.add(&labels("idle"), row.sv_idle);
        family.add(&labels("used"), used);
    }
    const GAUGES: [Figure; 4] = [
        (
            "db_client_connection_max",
            Unit::None,
            "Most server connections that the pool may hold.",
            |p| p.size.into(),
        ),
        (
            "db_client_connection_idle_max",
            Unit::None,
            "Most server connections that may be open and idle: the pool's size.",
            |p| p.size.into(),
        ),
        (
            "db_client_connection_idle_min",
            Unit::None,
            "Server connections that are kept open even when idle.",
            |p| p.idle_min.into(),
        ),
        (
            "db_client_connection_pending_requests",
            Unit::None,
            "Clients that wait for a server connection.",
            |p| p.cl_waiting.into(),
        ),
    ];
    for (family, unit, help, figure) in GAUGES {
        let pools = views.fit(family, 1);
        let mut family = e.gauges(family, unit, help);
        for (pool, row) in pools {
            let ([database, user], name) = (pool_labels(*pool), name(*pool));
            family.add(&[(POOL, &name), database, user], figure(row));
        }
    }
    e.counters(
        "db_client_connection_timeouts",
        Unit::None,
        "Clients that waited for a connection beyond their deadline, in all pools.",
    )
    .add(&[], snapshot.refused(RefuseReason::WaitTimeout));
    open_telemetry_times(e, views);
}

/// Their histograms.
fn open_telemetry_times(e: &mut Encoder, views: &Views<'_>) {
    type Times = (&'static str, &'static str, fn(&PoolRow) -> &Histogram);
    const TIMES: [Times; 3] = [
        (
            "db_client_connection_create_time_seconds",
            "Time to open a server connection, with its login.",
            |p| &p.create,
        ),
        (
            "db_client_connection_wait_time_seconds",
            "Time to obtain a connection from the pool.",
            |p| &p.wait,
        ),
        (
            "db_client_connection_use_time_seconds",
            "Time from borrowing a connection to returning it.",
            |p| &p.hold,
        ),
    ];
    for (family, help, figure) in TIMES {
        let pools = views.fit(family, OF_HISTOGRAM);
        let mut family = e.histograms(family, help);
        for (pool, row) in pools {
            let ([database, user], name) = (pool_labels(*pool), name(*pool));
            family.add(&[(POOL, &name), database, user], figure(row));
        }
    }
}

fn pool_labels<'a>((database, user): (&'a str, &'a str)) -> [Label<'a>; 2] {
    [("database", database), ("user", user)]
}
