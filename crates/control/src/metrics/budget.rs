//! The families that have one row per database server: the load line.

use super::encode::{Encoder, Label, Unit, Value};
use events::snapshot::{BudgetRow, LedgerRow};

/// A family with one figure per server: name, help, how it is read.
type Figure = (&'static str, &'static str, fn(&BudgetRow) -> u32);

const GAUGES: [Figure; 20] = [
    (
        "plimsoll_budget_line_connections",
        "Most connections that this instance may open now.",
        |r| r.line,
    ),
    (
        "plimsoll_budget_used_connections",
        "Connections charged to the line, from the decision to open one until its end of file.",
        |r| r.used,
    ),
    (
        "plimsoll_budget_opening_connections",
        "Of these, being opened.",
        |r| r.opening,
    ),
    (
        "plimsoll_budget_closing_connections",
        "Of these, being closed.",
        |r| r.closing,
    ),
    (
        "plimsoll_budget_stated_connections",
        "The line that the settings state, or the default.",
        |r| r.stated,
    ),
    (
        "plimsoll_budget_max_connections",
        "max_connections of the server.",
        |r| r.max_connections,
    ),
    (
        "plimsoll_budget_superuser_reserved_connections",
        "superuser_reserved_connections of the server.",
        |r| r.superuser_reserved,
    ),
    (
        "plimsoll_budget_reserved_connections",
        "reserved_connections of the server.",
        |r| r.reserved,
    ),
    (
        "plimsoll_budget_provider_reserved_connections",
        "Connections that the provider keeps for itself.",
        |r| r.provider_reserved,
    ),
    (
        "plimsoll_budget_others_connections",
        "Connections of neither this instance nor a peer.",
        |r| r.others,
    ),
    (
        "plimsoll_budget_monitor_connections",
        "Monitor sessions of the fleet.",
        |r| r.monitors,
    ),
    (
        "plimsoll_budget_headroom_connections",
        "Connections left free for whoever logs in.",
        |r| r.headroom,
    ),
    (
        "plimsoll_budget_fleet_line_connections",
        "Connections that the whole fleet may hold.",
        |r| r.fleet_line,
    ),
    (
        "plimsoll_budget_peers",
        "Other instances of the fleet.",
        |r| r.peers,
    ),
    (
        "plimsoll_budget_share_connections",
        "The share of this instance.",
        |r| r.share,
    ),
    (
        "plimsoll_budget_wanted_connections",
        "Connections that this instance lacks beyond its share.",
        |r| r.wants,
    ),
    (
        "plimsoll_budget_peers_share_connections",
        "The shares of the peers.",
        |r| r.peers_share,
    ),
    (
        "plimsoll_budget_peers_held_connections",
        "Connections that the peers hold.",
        |r| r.peers_held,
    ),
    (
        "plimsoll_budget_peers_wanted_connections",
        "Connections that the peers lack beyond their shares.",
        |r| r.peers_want,
    ),
    (
        "plimsoll_budget_strangers",
        "Sessions of the fleet that share the line otherwise than this instance: all must use one way.",
        |r| r.strangers,
    ),
];

/// How well a line is known.
const STATES: [&str; 6] = ["known", "unknown", "asking", "stale", "shrunk", "resting"];

pub(super) fn families(e: &mut Encoder, rows: &[BudgetRow]) {
    if rows.is_empty() {
        return;
    }
    for (name, help, figure) in GAUGES {
        let mut family = e.gauges(name, Unit::None, help);
        for row in rows {
            family.add(&[server(row)], figure(row));
        }
    }
    let mut family = e.gauges(
        "plimsoll_budget_state",
        Unit::None,
        "How well the line is known: 1 for the state that holds.",
    );
    for row in rows {
        for state in STATES {
            let holds = u32::from(row.state == state);
            family.add(&[server(row), ("state", state)], holds);
        }
    }
    let mut family = e.gauges(
        "plimsoll_budget_reading_age_seconds",
        Unit::Seconds,
        "Age of the last reading of the server's figures.",
    );
    for row in rows {
        if let Some(us) = row.reading_age_us {
            family.add(&[server(row)], Value::Micros(us));
        }
    }
    let mut family = e.counters(
        "plimsoll_budget_server_full",
        Unit::None,
        "Connections for which the server had no slot (53300).",
    );
    for row in rows {
        family.add(&[server(row)], row.full);
    }
    let mut family = e.counters(
        "plimsoll_budget_evictions",
        Unit::None,
        "Connections closed so that another pool could open one.",
    );
    for row in rows {
        family.add(&[server(row)], row.evictions);
    }
    ledger(e, rows);
}

/// The states of an instance in a ledger.
const LEDGER_STATES: [&str; 5] = ["joined", "joining", "failing", "away", "forgotten"];

/// Where a ledger shares the line.
fn ledger(e: &mut Encoder, rows: &[BudgetRow]) {
    let each = || {
        rows.iter()
            .filter_map(|row| Some((row, row.ledger.as_ref()?)))
    };
    if each().next().is_none() {
        return;
    }
    let mut family = e.gauges(
        "plimsoll_ledger_state",
        Unit::None,
        "How this instance stands in the ledger: 1 for the state that holds.",
    );
    for (row, ledger) in each() {
        for state in LEDGER_STATES {
            let holds = u32::from(ledger.state == state);
            family.add(&[server(row), ("state", state)], holds);
        }
    }
    let mut family = e.gauges(
        "plimsoll_ledger_keeper",
        Unit::None,
        "1 where this instance allots the line to all.",
    );
    for (row, ledger) in each() {
        family.add(&[server(row)], u32::from(ledger.keeps));
    }
    type Count = (&'static str, &'static str, fn(&LedgerRow) -> u64);
    const COUNTS: [Count; 3] = [
        ("plimsoll_ledger_questions", "Questions to etcd.", |l| {
            l.asked
        }),
        (
            "plimsoll_ledger_failures",
            "Questions to etcd without an answer.",
            |l| l.failed,
        ),
        (
            "plimsoll_ledger_forgotten",
            "How often etcd was not what it had been, as after a backup was restored.",
            |l| l.forgotten,
        ),
    ];
    for (name, help, count) in COUNTS {
        let mut family = e.counters(name, Unit::None, help);
        for (row, ledger) in each() {
            family.add(&[server(row)], count(ledger));
        }
    }
}

fn server(row: &BudgetRow) -> Label<'_> {
    ("upstream", &row.upstream)
}
