//! Who holds connections: rows of a snapshot, with statements for those shown.

use super::{LeaseLine, LeaseTable, STATEMENT_CHARS, Second, Span, holds, name, page};
use diagnose::safe;
use events::snapshot::Address;
use events::{LeaseRow, LeaseStatement, Time};
use std::collections::BTreeMap;

/// Tells the last statements of the leases of these clients.
pub(crate) type Statements<'a> = &'a dyn Fn(&[u64]) -> Vec<LeaseStatement>;

/// What is asked of the table of leases.
pub(crate) struct LeaseAsk<'a> {
    pub sort: &'a str,
    pub filter: &'a str,
    pub span: Span,
}

/// A page of the table. Statements are asked for only where they are shown.
pub(crate) fn lease_table(
    second: &Second,
    ask: &LeaseAsk<'_>,
    statements: Statements<'_>,
) -> LeaseTable {
    let filter = ask.filter.to_ascii_lowercase();
    let all = &second.now.leases;
    let fits: Vec<usize> = match filter.is_empty() {
        true => (0..all.len()).collect(),
        false => {
            let rows = all.iter().enumerate();
            let fits = rows.filter(|(_, row)| fits(row, &filter));
            fits.map(|(at, _)| at).collect()
        }
    };
    let total = u32::try_from(fits.len()).unwrap_or(u32::MAX);
    let shown = in_order(all, fits, ask);
    let rows = shown.into_iter().filter_map(|at| all.get(at));
    LeaseTable {
        at_ms: second.at_ms,
        total,
        rows: lines(second.now.at, rows, statements),
    }
}

/// The places of a page's rows. They stand with the oldest first: what is alike
/// stays so.
fn in_order(all: &[LeaseRow], places: Vec<usize>, ask: &LeaseAsk<'_>) -> Vec<usize> {
    let row = |at: usize| all.get(at);
    match ask.sort {
        // Who is not silent comes last.
        "silent" => {
            let since = |at: usize| row(at).and_then(|row| row.silent_since);
            let keyed = places.into_iter().map(|at| (since(at), at));
            let keyed = keyed.map(|(since, at)| (since.is_none(), since, at));
            let shown = page(keyed.collect(), ask.span, Ord::cmp);
            shown.into_iter().map(|(.., at)| at).collect()
        }
        "application" | "database" | "state" => {
            let names = |at: usize| row(at).map(|row| names(ask.sort, row));
            let order = |a: &usize, b: &usize| names(*a).cmp(&names(*b)).then_with(|| a.cmp(b));
            page(places, ask.span, order)
        }
        _ => {
            let shown = places.into_iter().skip(ask.span.from);
            shown.take(ask.span.most).collect()
        }
    }
}

/// What the orders by name go by.
fn names<'a>(sort: &str, row: &'a LeaseRow) -> (&'a str, &'a str) {
    match sort {
        "application" => (&row.application, &row.release),
        "database" => (&row.database, &row.user),
        _ => (row.state.label(), ""),
    }
}

/// Lines of these rows, each with its statement.
pub(super) fn lines<'a>(
    now: Time,
    rows: impl Iterator<Item = &'a LeaseRow>,
    statements: Statements<'_>,
) -> Vec<LeaseLine> {
    let rows: Vec<&LeaseRow> = rows.collect();
    let clients: Vec<u64> = rows.iter().map(|row| row.client).collect();
    let told = match clients.is_empty() {
        true => Vec::new(),
        false => statements(&clients),
    };
    // A client may have ended this lease meanwhile, and have another one.
    let told: BTreeMap<(u64, Time), String> = told
        .into_iter()
        .map(|s| ((s.client, s.since), s.statement))
        .collect();
    rows.into_iter()
        .map(|row| {
            let statement = told.get(&(row.client, row.since));
            line(now, row, statement.map_or("", String::as_str))
        })
        .collect()
}

fn line(now: Time, row: &LeaseRow, statement: &str) -> LeaseLine {
    LeaseLine {
        client: format!("{:x}", row.client),
        database: name(&row.database),
        user: name(&row.user),
        application: name(&row.application),
        release: name(&row.release),
        route: name(&route(&row.tags)),
        address: address(&row.addr),
        state: row.state.label().to_owned(),
        held_us: micros(now, row.since),
        silent_us: row.silent_since.map(|since| micros(now, since)),
        statement: safe::line(statement, STATEMENT_CHARS),
        tags: safe::line(&row.tags, STATEMENT_CHARS),
        remote_pid: row.remote_pid,
        exempt: row.exempt.map(|e| e.to_string()).unwrap_or_default(),
        suspicion: row
            .suspicion
            .map(|s| s.reason.to_string())
            .unwrap_or_default(),
        sure: row.suspicion.map_or(0, |s| s.sure),
    }
}

/// Where in the application it comes from: what tags say, the most telling first.
fn route(tags: &str) -> String {
    let value = |key: &str| {
        let mut parts = tags.split(',');
        parts.find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
    };
    let controller = || match (value("controller"), value("action")) {
        (Some(controller), Some(action)) => Some(format!("{controller}#{action}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    let owned = |key: &str| value(key).map(str::to_owned);
    let route = owned("route").or_else(controller);
    let route = route.or_else(|| owned("job")).or_else(|| owned("function"));
    route.unwrap_or_default()
}

fn address(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix => "unix".to_owned(),
    }
}

fn micros(now: Time, since: Time) -> u64 {
    u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX)
}

fn fits(row: &LeaseRow, filter: &str) -> bool {
    let texts = [
        row.application.as_str(),
        &row.database,
        &row.user,
        &row.release,
        &row.tags,
        row.state.label(),
    ];
    texts.iter().any(|text| holds(text, filter))
        || holds(&address(&row.addr), filter)
        || format!("{:x}", row.client) == filter.trim_start_matches("0x")
}
