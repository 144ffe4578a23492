//! One second of the pooler, folded for people: what the page and `plimsoll top`
//! show.
//!
//! Both read the same [`Live`], so they cannot disagree. Nothing here asks the
//! database. Every list is bounded, and says how many there are in all.
//!
//! ```text
//!   measure ── a second ──► feed ──► pools, leases (tables that somebody asks for)
//!                            └─ while somebody listens ──► now ──► one text for all
//!   record ──► past (a moment), chart (curves)
//! ```

mod chart;
pub(crate) mod feed;
mod leases;
mod now;
mod past;
mod pools;
mod shape;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use chart::{Asked, chart};
pub use feed::{Feed, Second};
pub(crate) use leases::{LeaseAsk, lease_table};
pub(crate) use now::{Around, incident, now};
pub(crate) use past::{at, past};
pub(crate) use pools::pool_table;
pub use shape::{
    AlertLine, ApplicationLine, Chart, GuardLine, IncidentNow, LeaseLine, LeaseTable, Live,
    PoolLine, PoolTable, ServerLine, Totals,
};

use diagnose::safe;
use std::cmp::Ordering;

/// Pools of one [`Live`].
const POOLS_MAX: usize = 50;
/// Applications.
const APPLICATIONS_MAX: usize = 20;
/// Leases, the oldest.
const LEASES_MAX: usize = 20;
/// Markers, the newest.
const MARKERS_MAX: usize = 30;
/// Alerts.
const ALERTS_MAX: usize = 10;
/// Database servers.
const SERVERS_MAX: usize = 20;

/// Longest name, characters: PostgreSQL's end at 63 bytes, ours may be longer.
const NAME_CHARS: usize = 200;
/// Longest statement.
const STATEMENT_CHARS: usize = 1_000;

/// A page of a table: so many rows from one on, in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub from: usize,
    pub most: usize,
}

/// A name that a client or a person chose, without what a terminal would obey.
fn name(text: &str) -> String {
    safe::line(text, NAME_CHARS)
}

/// The rows of a page. Only these are put into order.
fn page<T>(mut all: Vec<T>, span: Span, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let end = span.from.saturating_add(span.most);
    if end < all.len() {
        all.select_nth_unstable_by(end, &order);
        all.truncate(end);
    }
    all.sort_unstable_by(&order);
    all.drain(..span.from.min(all.len()));
    all
}

/// Whether a text holds another, whatever the case of its letters. The needle is
/// in lower case where it is ASCII.
fn holds(text: &str, needle: &str) -> bool {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let Some(first) = needle.first() else {
        return true;
    };
    let other = first.to_ascii_uppercase();
    let last = (text.len() + 1).saturating_sub(needle.len());
    let starts = text.iter().take(last).enumerate();
    let mut starts = starts.filter(|(_, b)| *b == first || **b == other);
    starts.any(|(at, _)| {
        let part = text.get(at..at + needle.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(needle))
    })
}
