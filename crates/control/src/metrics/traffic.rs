//! The families of what is measured beside pools: applications, addresses, the
//! way to clients and servers, what servers do.
//!
//! Applications and addresses are bounded where they are counted; the rest comes
//! as `other`.

use super::encode::{Encoder, Unit, Value};
use events::snapshot::Snapshot;
use events::{Activity, ApplicationRow, SourceRow, TcpRow, UpstreamRow};

/// A family with one figure per row: name, unit, help, how it is read.
type Figure<R> = (&'static str, Unit, &'static str, fn(&R) -> Value);

pub(super) fn families(e: &mut Encoder, snapshot: &Snapshot) {
    applications(e, &snapshot.applications);
    pins(e, &snapshot.applications);
    sources(e, &snapshot.sources);
    servers(e, &snapshot.upstreams);
    errors(e, &snapshot.upstreams);
    tcp(e, snapshot);
    activity(e, &snapshot.upstreams);
}

/// Only what anybody asked for has a row.
fn pins(e: &mut Encoder, rows: &[ApplicationRow]) {
    let mut family = e.counters(
        "plimsoll_application_pins",
        Unit::None,
        "Statements that asked to keep the connection for session state, and what became of them.",
    );
    for row in rows {
        for (kind, counts) in row.pins.rows() {
            for (result, count) in ["kept", "unkept", "refused"].into_iter().zip(counts) {
                let labels = [
                    ("database", row.database.as_str()),
                    ("user", row.user.as_str()),
                    ("application", &*row.kind),
                    ("state", kind.label()),
                    ("result", result),
                ];
                family.add(&labels, count);
            }
        }
    }
}

fn applications(e: &mut Encoder, rows: &[ApplicationRow]) {
    type Count = fn(&ApplicationRow) -> u32;
    const STATES: [(&str, Count); 4] = [
        ("connected", |a| a.clients),
        ("active", |a| a.active),
        ("waiting", |a| a.waiting),
        ("silent", |a| a.silent),
    ];
    const COUNTERS: [Figure<ApplicationRow>; 4] = [
        (
            "plimsoll_application_logins",
            Unit::None,
            "Logins that succeeded, by application.",
            |a| a.logins.into(),
        ),
        (
            "plimsoll_application_requests",
            Unit::None,
            "Requests for a server connection, by application.",
            |a| a.checkouts.into(),
        ),
        (
            "plimsoll_application_hold_seconds",
            Unit::Seconds,
            "Time that the application held server connections.",
            |a| Value::Micros(a.hold_us),
        ),
        (
            "plimsoll_application_wait_seconds",
            Unit::Seconds,
            "Time that the application waited for server connections.",
            |a| Value::Micros(a.wait_us),
        ),
    ];
    let labels = |a: &ApplicationRow| {
        [
            ("database", a.database.clone()),
            ("user", a.user.clone()),
            ("application", a.kind.to_string()),
        ]
    };
    let mut family = e.gauges(
        "plimsoll_application_clients",
        Unit::None,
        "Clients by application: connected, and of these those that hold a server connection, wait for one, or are silent in a transaction.",
    );
    for row in rows {
        let [database, user, name] = labels(row);
        for (state, figure) in STATES {
            let labels = [
                (database.0, database.1.as_str()),
                (user.0, user.1.as_str()),
                (name.0, name.1.as_str()),
                ("state", state),
            ];
            family.add(&labels, figure(row));
        }
    }
    for (family, unit, help, figure) in COUNTERS {
        let mut family = e.counters(family, unit, help);
        for row in rows {
            let named = labels(row);
            family.add(
                &named.each_ref().map(|(k, v)| (*k, v.as_str())),
                figure(row),
            );
        }
    }
}

fn sources(e: &mut Encoder, rows: &[SourceRow]) {
    const COUNTERS: [Figure<SourceRow>; 3] = [
        (
            "plimsoll_source_accepted",
            Unit::None,
            "Client connections accepted, by address.",
            |s| s.accepts.into(),
        ),
        (
            "plimsoll_source_logins",
            Unit::None,
            "Logins that succeeded, by address.",
            |s| s.logins.into(),
        ),
        (
            "plimsoll_source_login_failures",
            Unit::None,
            "Logins that were refused, by address.",
            |s| s.login_failures.into(),
        ),
    ];
    let mut family = e.gauges(
        "plimsoll_source_clients",
        Unit::None,
        "Client connections by address.",
    );
    for row in rows {
        family.add(&[("address", &row.address)], row.clients);
    }
    for (family, unit, help, figure) in COUNTERS {
        let mut family = e.counters(family, unit, help);
        for row in rows {
            family.add(&[("address", &row.address)], figure(row));
        }
    }
}

fn servers(e: &mut Encoder, rows: &[UpstreamRow]) {
    const COUNTERS: [Figure<UpstreamRow>; 5] = [
        (
            "plimsoll_server_connections_opened",
            Unit::None,
            "Connections to the database server that came up.",
            |u| u.opened.into(),
        ),
        (
            "plimsoll_server_connect_failures",
            Unit::None,
            "Connections to the database server that did not come up.",
            |u| u.connect_failed.into(),
        ),
        (
            "plimsoll_server_login_failures",
            Unit::None,
            "Logins that the database server refused.",
            |u| u.login_failed.into(),
        ),
        (
            "plimsoll_server_full",
            Unit::None,
            "Connections for which the database server had no slot (53300).",
            |u| u.full.into(),
        ),
        (
            "plimsoll_server_connections_ended",
            Unit::None,
            "Connections that the database server ended.",
            |u| u.ended_by_server.into(),
        ),
    ];
    for (family, unit, help, figure) in COUNTERS {
        let mut family = e.counters(family, unit, help);
        for row in rows {
            family.add(&[("server", &row.upstream)], figure(row));
        }
    }
    let mut family = e.histograms(
        "plimsoll_server_probe_seconds",
        "Round trip of a trivial query on the monitor session.",
    );
    for row in rows.iter().filter(|row| row.probe.count() > 0) {
        family.add(&[("server", &row.upstream)], &row.probe);
    }
}

fn errors(e: &mut Encoder, rows: &[UpstreamRow]) {
    let mut family = e.counters(
        "plimsoll_server_errors",
        Unit::None,
        "Errors that clients got from the database server, by SQLSTATE.",
    );
    for row in rows {
        for (code, count) in &row.errors {
            family.add(&[("server", &row.upstream), ("sqlstate", code)], *count);
        }
    }
}

fn tcp(e: &mut Encoder, snapshot: &Snapshot) {
    let clients = ("client", "", &snapshot.clients_tcp);
    let servers = snapshot.upstreams.iter();
    let servers = servers.map(|u| ("server", u.upstream.as_str(), &u.tcp));
    // Unix sockets tell nothing.
    let rows: Vec<(&str, &str, &TcpRow)> = std::iter::once(clients)
        .chain(servers)
        .filter(|(_, _, row)| row.sockets > 0)
        .collect();
    let mut family = e.gauges(
        "plimsoll_tcp_round_trip_seconds",
        Unit::Seconds,
        "Smoothed round-trip time of the TCP sockets looked at in the last second.",
    );
    for (side, server, row) in &rows {
        for (which, us) in [
            ("min", row.rtt_us_min),
            ("median", row.rtt_us_p50),
            ("max", row.rtt_us_max),
        ] {
            let labels = [("side", *side), ("server", *server), ("which", which)];
            family.add(&labels, Value::Micros(us));
        }
    }
    let mut family = e.counters(
        "plimsoll_tcp_retransmits",
        Unit::None,
        "TCP segments sent again, as far as they were seen.",
    );
    for (side, server, row) in &rows {
        family.add(&[("side", *side), ("server", *server)], row.retransmits);
    }
}

fn activity(e: &mut Encoder, rows: &[UpstreamRow]) {
    const GAUGES: [Figure<Activity>; 6] = [
        (
            "plimsoll_server_active_backends",
            Unit::None,
            "Client backends that run a statement.",
            |a| a.active.into(),
        ),
        (
            "plimsoll_server_idle_in_transaction_backends",
            Unit::None,
            "Client backends that wait for their client inside a transaction.",
            |a| a.idle_in_transaction.into(),
        ),
        (
            "plimsoll_server_blocked_backends",
            Unit::None,
            "Client backends that wait for a lock.",
            |a| a.blocked.into(),
        ),
        (
            "plimsoll_server_other_active_backends",
            Unit::None,
            "Of the active ones, those of nobody in this fleet.",
            |a| a.others_active.into(),
        ),
        (
            "plimsoll_server_longest_transaction_seconds",
            Unit::Seconds,
            "Age of the oldest transaction of a client backend.",
            |a| Value::Micros(a.longest_xact_ms.saturating_mul(1_000)),
        ),
        (
            "plimsoll_server_in_recovery",
            Unit::None,
            "1 while the database server is a standby.",
            |a| u32::from(a.in_recovery).into(),
        ),
    ];
    // Without the grant these would be figures of the monitor's own role.
    let seen: Vec<(&str, &Activity)> = rows
        .iter()
        .filter_map(|u| Some((u.upstream.as_str(), u.activity.as_ref()?)))
        .filter(|(_, activity)| activity.permitted)
        .collect();
    for (family, unit, help, figure) in GAUGES {
        let mut family = e.gauges(family, unit, help);
        for (server, activity) in &seen {
            family.add(&[("server", *server)], figure(activity));
        }
    }
    let mut family = e.gauges(
        "plimsoll_server_waiting_backends",
        Unit::None,
        "Active client backends by what they wait for; cpu for nothing that the server knows.",
    );
    for (server, activity) in &seen {
        for (kind, n) in &activity.waiting {
            family.add(&[("server", *server), ("wait_event_type", kind)], *n);
        }
    }
}
