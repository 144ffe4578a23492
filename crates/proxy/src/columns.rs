//! Result sets of the console, column for column as PgBouncer's.

pub(crate) mod databases;
pub(crate) mod internal;
pub(crate) mod sessions;
pub(crate) mod stats;

use crate::admin::Figures;
use crate::held::ADMIN_DATABASE;
use config::Plan;
use events::sizing::AdviceRow;
use events::snapshot::Address;
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

pub(crate) fn pools(figures: &Figures, plan: &Plan) -> Vec<u8> {
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
            plan.database(&p.database).and_then(databases::turns),
        ]);
    }
    // The console's own database, as PgBouncer lists it.
    let mut own = vec![text(ADMIN_DATABASE), text(ADMIN_DATABASE)];
    own.push(text(outside_pools(figures)));
    own.extend(std::iter::repeat_n(0, 12).map(text));
    own.extend([text("statement"), None]);
    table.row(&own);
    table.finish("SHOW")
}

/// Clients in no pool: the console's, and those that are logging in.
pub(crate) fn outside_pools(figures: &Figures) -> u32 {
    let s = &figures.snapshot;
    let all: u32 = s.workers.iter().map(|w| w.clients).sum();
    let inside: u32 = s.pools.iter().map(|p| p.cl_active + p.cl_waiting).sum();
    all.saturating_sub(inside)
}

/// SHOW ADVICE: what size would have served each pool in the last hour.
pub(crate) fn advice(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&[
        ("database", TEXT),
        ("user", TEXT),
        ("size", INT4),
        ("sizing", TEXT),
        ("advised_size", INT4),
        ("confidence", TEXT),
        ("seconds", INT8),
        ("leases", INT8),
        ("late_permille", INT4),
        ("advice", TEXT),
    ]);
    for p in &figures.snapshot.pools {
        let advice = p.advice.unwrap_or_default();
        let known = advice.size > 0;
        table.row(&[
            text(&p.database),
            text(&p.user),
            text(p.size),
            text(if p.sizing.is_some() { "auto" } else { "fixed" }),
            known.then(|| advice.size.to_string()),
            text(if known { advice.confidence } else { "unknown" }),
            text(advice.seconds),
            text(advice.leases),
            text(advice.late_permille),
            text(advice_words(p.size, &advice)),
        ]);
    }
    table.finish("SHOW")
}

fn advice_words(size: u32, advice: &AdviceRow) -> String {
    match advice.size {
        0 => "not enough traffic to say".to_owned(),
        n => format!(
            "{n} would have served the last {} min with p99 wait under 5 ms; you have {size}",
            advice.seconds.div_ceil(60)
        ),
    }
}

pub(crate) fn address(address: &Address) -> (Option<String>, Option<String>) {
    match address {
        Address::Tcp(a) => (text(a.ip()), text(a.port())),
        Address::Unix => (text("unix"), text(0)),
    }
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

/// The other instances, to which cancel requests go.
pub(crate) fn peers(plan: &Plan) -> Vec<u8> {
    let mut table = Table::new(&[
        ("peer_id", INT4),
        ("host", TEXT),
        ("port", INT4),
        ("pool_size", INT4),
    ]);
    for peer in &plan.fleet.cancel.peers {
        let host = match &peer.host {
            config::Host::UnixDir(dir) => dir.display().to_string(),
            config::Host::Tcp(name) => name.clone(),
            config::Host::List(_) => String::new(),
        };
        let id = peer.id.map(|id| id.to_string());
        table.row(&[id, text(host), text(peer.port), text(0)]);
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
}
