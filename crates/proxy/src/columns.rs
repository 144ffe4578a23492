//! Result sets of the console, column for column as PgBouncer's.

use crate::admin::Figures;
use config::Plan;
use events::Time;
use events::snapshot::{Address, ClientRow, ServerRow, Totals};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::back::{self, ErrorReport};

/// OIDs of the types that PgBouncer gives its columns.
pub(crate) const TEXT: i32 = 25;
pub(crate) const INT4: i32 = 23;
pub(crate) const INT8: i32 = 20;
const NUMERIC: i32 = 1700;

/// A result set under way.
pub(crate) struct Table {
    out: Vec<u8>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, i32)]) -> Table {
        let mut out = Vec::new();
        back::row_description(&mut out, columns);
        Table { out }
    }

    pub(crate) fn row(&mut self, values: &[Option<String>]) {
        let values: Vec<Option<&[u8]>> = values
            .iter()
            .map(|v| v.as_ref().map(String::as_bytes))
            .collect();
        back::data_row(&mut self.out, &values);
    }

    pub(crate) fn finish(mut self, tag: &str) -> Vec<u8> {
        back::command_complete(&mut self.out, tag);
        self.out
    }
}

/// An error as the console gives it.
pub(crate) fn error(out: &mut Vec<u8>, code: &str, message: &str) {
    error_with(out, (code, message), None, None);
}

pub(crate) fn error_with(
    out: &mut Vec<u8>,
    (code, message): (&str, &str),
    detail: Option<&str>,
    hint: Option<&str>,
) {
    back::error(
        out,
        &ErrorReport {
            severity: "ERROR",
            code,
            message,
            detail,
            hint,
        },
    );
}

pub(crate) fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

pub(crate) fn pools(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&[
        ("database", TEXT),
        ("user", TEXT),
        ("cl_active", INT4),
        ("cl_waiting", INT4),
        ("cl_active_cancel_req", INT4),
        ("cl_waiting_cancel_req", INT4),
        ("sv_active", INT4),
        ("sv_active_cancel", INT4),
        ("sv_being_canceled", INT4),
        ("sv_idle", INT4),
        ("sv_used", INT4),
        ("sv_tested", INT4),
        ("sv_login", INT4),
        ("maxwait", INT4),
        ("maxwait_us", INT4),
        ("pool_mode", TEXT),
        ("load_balance_hosts", TEXT),
    ]);
    for p in &figures.snapshot.pools {
        table.row(&[
            text(&p.database),
            text(&p.user),
            text(p.cl_active),
            text(p.cl_waiting),
            text(p.cl_active_cancel),
            text(p.cl_waiting_cancel),
            text(p.sv_active),
            text(p.sv_active_cancel),
            text(p.sv_being_canceled),
            text(p.sv_idle),
            text(0),
            text(p.sv_tested),
            text(p.sv_login),
            text(p.maxwait_us / 1_000_000),
            text(p.maxwait_us % 1_000_000),
            text(p.mode),
            None,
        ]);
    }
    table.finish("SHOW")
}

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

pub(crate) fn stats(figures: &Figures) -> Vec<u8> {
    let names = columns(true);
    let mut table = Table::new(&shown(&names));
    for (database, now, before) in figures.by_database() {
        let mut row = vec![text(database)];
        row.extend(COUNTERS.iter().map(|(_, read)| text(read(&now))));
        row.extend((0..COUNTERS.len()).map(|i| text(average(i, &now, &before, figures.period))));
        table.row(&row);
    }
    table.finish("SHOW")
}

/// SHOW STATS_TOTALS and SHOW STATS_AVERAGES.
pub(crate) fn stats_part(figures: &Figures, averages: bool) -> Vec<u8> {
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
    table.finish("SHOW")
}

pub(crate) fn totals(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&[("name", TEXT), ("value", NUMERIC)]);
    let (mut now, mut before) = (Totals::default(), Totals::default());
    for (_, n, b) in figures.by_database() {
        now.add(&n);
        before.add(&b);
    }
    for (name, read) in COUNTERS {
        table.row(&[text(format!("total_{name}")), text(read(&now))]);
    }
    for (i, name) in columns(true).iter().skip(13).enumerate() {
        table.row(&[text(name), text(average(i, &now, &before, figures.period))]);
    }
    table.finish("SHOW")
}

/// Columns that SHOW CLIENTS and SHOW SERVERS share.
const PEERS: [(&str, i32); 21] = [
    ("type", TEXT),
    ("user", TEXT),
    ("database", TEXT),
    ("replication", TEXT),
    ("state", TEXT),
    ("addr", TEXT),
    ("port", INT4),
    ("local_addr", TEXT),
    ("local_port", INT4),
    ("connect_time", TEXT),
    ("request_time", TEXT),
    ("wait", INT4),
    ("wait_us", INT4),
    ("close_needed", INT4),
    ("ptr", TEXT),
    ("link", TEXT),
    ("remote_pid", INT4),
    ("tls", TEXT),
    ("application_name", TEXT),
    ("prepared_statements", INT4),
    ("id", INT8),
];

pub(crate) fn address(address: &Address) -> (Option<String>, Option<String>) {
    match address {
        Address::Tcp(a) => (text(a.ip()), text(a.port())),
        Address::Unix => (text("unix"), text(0)),
    }
}

fn pointer(id: u64) -> Option<String> {
    Some(if id == 0 {
        String::new()
    } else {
        format!("0x{id:x}")
    })
}

/// UTC, as PgBouncer prints it.
fn wall(figures: &Figures, at: Time) -> Option<String> {
    let ago = figures.snapshot.at.since(at);
    let when = SystemTime::now()
        .checked_sub(ago)?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(utc(when.as_secs()))
}

/// Seconds since 1970 as a date and time (the civil calendar's arithmetic).
pub(crate) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

pub(crate) fn clients(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&PEERS);
    for c in &figures.snapshot.clients {
        table.row(&client(figures, c));
    }
    table.finish("SHOW")
}

fn client(figures: &Figures, c: &ClientRow) -> Vec<Option<String>> {
    let ((addr, port), (local, local_port)) = (address(&c.addr), address(&c.local_addr));
    vec![
        text("C"),
        text(&c.user),
        text(&c.database),
        text(if c.replication { "yes" } else { "none" }),
        text(c.state),
        addr,
        port,
        local,
        local_port,
        wall(figures, c.connected_at),
        wall(figures, c.request_at),
        text(c.wait_us / 1_000_000),
        text(c.wait_us % 1_000_000),
        text(0),
        pointer(c.id),
        pointer(c.link),
        text(0),
        text(&c.tls),
        text(&c.application_name),
        text(c.prepared_statements),
        text(c.id),
    ]
}

pub(crate) fn servers(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&PEERS);
    for s in &figures.snapshot.servers {
        table.row(&server(figures, s));
    }
    table.finish("SHOW")
}

fn server(figures: &Figures, s: &ServerRow) -> Vec<Option<String>> {
    let ((addr, port), (local, local_port)) = (address(&s.addr), address(&s.local_addr));
    vec![
        text("S"),
        text(&s.user),
        text(&s.database),
        text("none"),
        text(s.state),
        addr,
        port,
        local,
        local_port,
        wall(figures, s.connected_at),
        wall(figures, s.request_at),
        text(0),
        text(0),
        text(u8::from(s.close_needed)),
        pointer(s.id),
        pointer(s.link),
        text(s.remote_pid),
        text(&s.tls),
        text(&s.application_name),
        text(s.prepared_statements),
        text(s.id),
    ]
}

pub(crate) fn databases(figures: &Figures, plan: &Plan) -> Vec<u8> {
    let mut table = Table::new(&[
        ("name", TEXT),
        ("host", TEXT),
        ("port", INT4),
        ("database", TEXT),
        ("force_user", TEXT),
        ("pool_size", INT4),
        ("min_pool_size", INT4),
        ("reserve_pool_size", INT4),
        ("server_lifetime", INT4),
        ("pool_mode", TEXT),
        ("load_balance_hosts", TEXT),
        ("max_connections", INT4),
        ("current_connections", INT4),
        ("max_client_connections", INT4),
        ("current_client_connections", INT4),
        ("paused", INT4),
        ("disabled", INT4),
    ]);
    for d in &plan.databases {
        let of = || {
            figures
                .snapshot
                .pools
                .iter()
                .filter(|p| p.database == d.name)
        };
        let servers: u32 = of()
            .map(|p| p.sv_active + p.sv_idle + p.sv_login + p.sv_tested)
            .sum();
        let clients: u32 = of().map(|p| p.cl_active + p.cl_waiting).sum();
        table.row(&[
            text(&d.name),
            text(&d.host),
            text(d.port),
            text(d.dbname.as_deref().unwrap_or(&d.name)),
            d.user.clone(),
            text(d.pool_size.unwrap_or(plan.default_pool_size)),
            text(d.min_pool_size.unwrap_or(plan.min_pool_size)),
            text(d.reserve_pool_size.unwrap_or(plan.reserve_pool_size)),
            text(
                d.server_lifetime
                    .unwrap_or(plan.server_lifetime)
                    .map_or(0, |l| l.as_secs()),
            ),
            d.pool_mode.map(|m| format!("{m:?}").to_ascii_lowercase()),
            None,
            text(
                d.max_db_connections
                    .or(plan.max_db_connections)
                    .unwrap_or(plan.line),
            ),
            text(servers),
            text(
                d.max_db_client_connections
                    .or(plan.max_db_client_connections)
                    .unwrap_or(plan.max_client_conn),
            ),
            text(clients),
            text(u8::from(of().any(|p| p.paused))),
            text(u8::from(figures.disabled.contains(&d.name))),
        ]);
    }
    table.finish("SHOW")
}

pub(crate) fn settings(plan: &Plan) -> Vec<u8> {
    let mut table = Table::new(&[
        ("key", TEXT),
        ("value", TEXT),
        ("default", TEXT),
        ("changeable", TEXT),
    ]);
    for s in &plan.shown {
        table.row(&[
            text(&s.key),
            text(&s.value),
            text(&s.default),
            text(if s.changeable { "yes" } else { "no" }),
        ]);
    }
    table.finish("SHOW")
}

pub(crate) fn lists(figures: &Figures, plan: &Plan) -> Vec<u8> {
    let s = &figures.snapshot;
    let idle: u32 = s.pools.iter().map(|p| p.sv_idle).sum();
    let used: u32 = s
        .pools
        .iter()
        .map(|p| p.sv_active + p.sv_tested + p.sv_being_canceled)
        .sum();
    let clients: u32 = s.workers.iter().map(|w| w.clients).sum();
    let login = s.clients.iter().filter(|c| c.state == "login").count();
    let rows: [(&str, usize); 14] = [
        ("databases", plan.databases.len()),
        ("users", plan.users.len()),
        ("peers", 0),
        ("pools", s.pools.len()),
        ("peer_pools", 0),
        ("free_clients", 0),
        ("used_clients", clients as usize),
        ("login_clients", login),
        ("free_servers", idle as usize),
        ("used_servers", used as usize),
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ];
    let mut table = Table::new(&[("list", TEXT), ("items", INT4)]);
    for (name, items) in rows {
        table.row(&[text(name), text(items)]);
    }
    table.finish("SHOW")
}

/// A result of one text cell.
pub(crate) fn cell(column: &str, value: &str) -> Vec<u8> {
    let mut table = Table::new(&[(column, TEXT)]);
    table.row(&[text(value)]);
    table.finish("SHOW")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_735_689_599), "2024-12-31 23:59:59 UTC");
    }

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
