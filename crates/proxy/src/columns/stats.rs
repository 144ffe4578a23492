//! SHOW STATS and its parts: totals, and averages over the last period.

use super::{NUMERIC, TEXT, Table, text};
use crate::admin::Figures;
use crate::held::ADMIN_DATABASE;
use events::snapshot::Totals;
use std::time::Duration;

/// A counter's name and how it is read.
type Counter = (&'static str, fn(&Totals) -> u64);

/// The counters in PgBouncer's order.
const COUNTERS: [Counter; 12] = [
    ("server_assignment_count", |t| t.server_assignments),
    ("xact_count", |t| t.xacts),
    ("query_count", |t| t.queries),
    ("received", |t| t.bytes_received),
    ("sent", |t| t.bytes_sent),
    ("xact_time", |t| t.xact_us),
    ("query_time", |t| t.query_us),
    ("wait_time", |t| t.wait_us),
    ("client_parse_count", |t| t.client_parses),
    ("server_parse_count", |t| t.server_parses),
    ("bind_count", |t| t.binds),
    ("client_login_count", |t| t.client_logins),
];

/// Counters that PgBouncer averages per query or transaction, not per second.
fn average(index: usize, now: &Totals, before: &Totals, span: Duration) -> u64 {
    let (_, read) = COUNTERS[index];
    let change = read(now).saturating_sub(read(before));
    let per = match COUNTERS[index].0 {
        "xact_time" => now.xacts.saturating_sub(before.xacts),
        "query_time" => now.queries.saturating_sub(before.queries),
        _ => {
            let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
            return change.saturating_mul(1_000_000) / micros;
        }
    };
    change.checked_div(per).unwrap_or(0)
}

fn columns(prefix: bool) -> Vec<String> {
    let avg = |name: &str| match name {
        "received" => "avg_recv".to_owned(),
        other => format!("avg_{other}"),
    };
    let mut names = vec!["database".to_owned()];
    if prefix {
        names.extend(COUNTERS.iter().map(|(n, _)| format!("total_{n}")));
        names.extend(COUNTERS.iter().map(|(n, _)| avg(n)));
    }
    names
}

fn shown(names: &[String]) -> Vec<(&str, i32)> {
    names
        .iter()
        .enumerate()
        .map(|(i, n)| (n.as_str(), if i == 0 { TEXT } else { NUMERIC }))
        .collect()
}

pub(crate) fn all(figures: &Figures) -> Vec<u8> {
    let names = columns(true);
    let mut table = Table::new(&shown(&names));
    for (database, now, before) in figures.by_database() {
        let mut row = vec![text(database)];
        row.extend(COUNTERS.iter().map(|(_, read)| text(read(&now))));
        row.extend((0..COUNTERS.len()).map(|i| text(average(i, &now, &before, figures.period))));
        table.row(&row);
    }
    table.row(&own_row(figures, true, true));
    table.finish("SHOW")
}

/// SHOW STATS_TOTALS and SHOW STATS_AVERAGES.
pub(crate) fn part(figures: &Figures, averages: bool) -> Vec<u8> {
    let names: Vec<String> = std::iter::once("database".to_owned())
        .chain(COUNTERS.iter().enumerate().map(|(i, (name, _))| {
            match (*name, averages && i >= 8) {
                ("received", _) => "bytes_received".to_owned(),
                ("sent", _) => "bytes_sent".to_owned(),
                (name, true) => format!("avg_{name}"),
                (name, false) => name.to_owned(),
            }
        }))
        .collect();
    let mut table = Table::new(&shown(&names));
    for (database, now, before) in figures.by_database() {
        let mut row = vec![text(database)];
        row.extend((0..COUNTERS.len()).map(|i| {
            if averages {
                text(average(i, &now, &before, figures.period))
            } else {
                text(COUNTERS[i].1(&now))
            }
        }));
        table.row(&row);
    }
    table.row(&own_row(figures, !averages, averages));
    table.finish("SHOW")
}

/// The name of a counter in SHOW TOTALS, where some have older names.
fn total_name(name: &str) -> &str {
    match name {
        "received" => "client_bytes",
        "sent" => "server_bytes",
        "client_parse_count" => "ps_client_parse_count",
        "server_parse_count" => "ps_server_parse_count",
        "bind_count" => "ps_bind_count",
        other => other,
    }
}

/// The row of the console's own database: its statements are counted, and have no averages.
fn own_row(figures: &Figures, counts: bool, averages: bool) -> Vec<Option<String>> {
    let mut row = vec![text(ADMIN_DATABASE)];
    if counts {
        row.extend(
            COUNTERS
                .iter()
                .map(|(_, read)| text(read(&figures.console))),
        );
    }
    if averages {
        row.extend(COUNTERS.iter().map(|_| text(0)));
    }
    row
}

pub(crate) fn totals(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&[("name", TEXT), ("value", NUMERIC)]);
    let (mut now, mut before) = (figures.console, figures.console);
    for (_, n, b) in figures.by_database() {
        now.add(&n);
        before.add(&b);
    }
    for (name, read) in COUNTERS {
        let name = format!("total_{}", total_name(name));
        table.row(&[text(name), text(read(&now))]);
    }
    for (i, (name, _)) in COUNTERS.iter().enumerate() {
        let value = average(i, &now, &before, figures.period);
        let name = format!("avg_{}", total_name(name));
        table.row(&[text(name), text(value)]);
    }
    table.finish("SHOW")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_per_second_or_per_query() {
        let before = Totals::default();
        let now = Totals {
            queries: 10,
            query_us: 500,
            xacts: 5,
            xact_us: 1000,
            ..Totals::default()
        };
        let span = Duration::from_secs(5);
        let by_name = |name: &str| {
            let i = COUNTERS
                .iter()
                .position(|(n, _)| *n == name)
                .expect("a known counter");
            average(i, &now, &before, span)
        };
        assert_eq!(by_name("query_count"), 2);
        assert_eq!(by_name("query_time"), 50);
        assert_eq!(by_name("xact_time"), 200);
    }
}
