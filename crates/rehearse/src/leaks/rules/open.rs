//! Transactions that nobody ended.

use super::{Finding, Kind, Sure, about, span};
use crate::leaks::facts::{Connection, Deed, Moment, Record, Request, State};
use crate::leaks::held::{self, Closing, Transaction};
use crate::leaks::who::{self, Whose};

/// A program that failed was in the middle of its work, if it had asked something this shortly
/// before; microseconds.
const CUT_OFF: u64 = 1_000_000;
/// Without tests to compare with, a transaction that was silent for this long was forgotten.
const SILENT: u64 = 1_000_000;
/// A report may be so much later than the statement that it precedes.
const TAKEN: u64 = 5_000;

/// The transactions of a connection that were left open.
pub(super) fn judge(record: &Record, connection: &Connection) -> Vec<Finding> {
    let mut found = Vec::new();
    for transaction in held::transactions(record, connection) {
        found.extend(begun_again(record, connection, transaction));
        if transaction.open {
            found.extend(left_open(record, connection, transaction));
        }
    }
    found
}

/// What a transaction did, as the rules see it.
struct Seen<'a> {
    first: &'a Request,
    /// The last statement of the test that began it.
    statement: Option<&'a Request>,
    last: Moment,
    test: Option<Whose>,
    wrote: bool,
    /// Its last request was never answered: the server was still at it.
    at_work: bool,
}

fn look<'a>(record: &Record, connection: &'a Connection, t: Transaction) -> Option<Seen<'a>> {
    let part = connection.requests.get(t.first..=t.last)?;
    let first = part.first()?;
    let test = who::at(record, connection.pid, first.at);
    let end = test.as_ref().and_then(|w| w.ended).unwrap_or(Moment::MAX);
    let of_test = part.partition_point(|r| r.at <= end).max(1) - 1;
    let statement = held::last_work(connection, t.first, t.first + of_test);
    let last = part.last().map_or(first.at, held::last_moment);
    Some(Seen {
        statement: statement.or(Some(first)),
        last,
        at_work: part.last().is_some_and(|r| r.done.is_none()),
        wrote: part.iter().any(|r| r.does.writes),
        test,
        first,
    })
}

/// A driver that begins a transaction by itself, before every statement: there an open one may
/// only have read, and closing it is as good as ending it. Where the program worked outside
/// transactions, too, it began this one itself.
fn begins_by_itself(record: &Record, connection: &Connection) -> bool {
    let process = connection.pid.and_then(|pid| record.processes.get(&pid));
    let alone = |r: &Request| {
        r.does.works && !r.does.begins && r.before == State::Idle && r.after == State::Idle
    };
    !process.is_some_and(|p| is_node(&p.command)) && !connection.requests.iter().any(alone)
}

fn is_node(command: &str) -> bool {
    let program = command.split(' ').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    matches!(name, "node" | "nodejs" | "bun")
}

fn left_open(record: &Record, connection: &Connection, t: Transaction) -> Option<Finding> {
    let seen = look(record, connection, t)?;
    let closed = held::ended_at(record, connection);
    let mut finding = about(
        record,
        connection,
        Kind::TransactionLeftOpen,
        seen.first.at,
        seen.statement,
    );
    finding.place = taken_at(connection, &seen);
    let silent = closed.saturating_sub(seen.last);
    let over = seen.test.as_ref().and_then(|w| w.ended);
    let left = match over {
        Some(over) => over < closed,
        None => silent >= SILENT,
    };
    if held::closing(record, connection) == Closing::Nobody {
        if cut_off(record, &seen, closed) {
            return None;
        }
        finding.evidence.push(format!(
            "The transaction was begun and neither committed nor rolled back; it was silent for \
             {} until {}.",
            span(silent),
            ended_by(record, connection)
        ));
        return Some(finding);
    }
    // The program closed the connection. A failed transaction is over then, and so is one that
    // only read, as drivers begin them unasked.
    let state = connection.requests.get(t.last).map(|r| r.after);
    let implicit = begins_by_itself(record, connection);
    if state == Some(State::Failed) || (implicit && !seen.wrote) {
        return None;
    }
    finding.sure = Sure::Likely;
    if left {
        finding.evidence.push(format!(
            "The transaction was silent for {} and ended only when its connection was closed: \
             nothing that it wrote was kept.",
            span(silent)
        ));
    } else if seen.wrote {
        finding.kind = Kind::WorkThrownAway;
        finding.fails = false;
        finding.evidence.push(
            "The connection was closed in the middle of a transaction that had written something: \
             the server rolled it back."
                .to_owned(),
        );
    } else {
        return None;
    }
    Some(finding)
}

/// The process ended in the middle of a test, or a failed program in the middle of its work.
fn cut_off(record: &Record, seen: &Seen<'_>, closed: Moment) -> bool {
    if seen.at_work {
        return true;
    }
    let shortly = closed.saturating_sub(seen.last) < CUT_OFF;
    match &seen.test {
        Some(test) if test.own => test.ended.is_none() && (shortly || !record.ended.cut),
        _ => (record.ended.failed || record.ended.cut) && shortly,
    }
}

fn ended_by(record: &Record, connection: &Connection) -> &'static str {
    let exits = connection.pid.and_then(|pid| record.processes.get(&pid));
    match connection.end {
        None => "the command had ended",
        Some(_) if exits.is_some_and(|p| p.exits.is_some()) => "its process ended",
        Some(_) => "its connection was lost",
    }
}

/// The place in the code where the connection was taken for this transaction.
fn taken_at(connection: &Connection, seen: &Seen<'_>) -> Option<String> {
    let begun = seen.test.as_ref().map_or(0, |w| w.begun);
    let taken = |(_, deed): &&(Moment, Deed)| matches!(deed, Deed::Borrowed(_) | Deed::Opened(_));
    let at = seen.first.at;
    let before = connection.deeds.iter().rev().filter(taken);
    let mut before = before.filter(|(when, _)| *when <= at);
    // A report may be a moment later than the statement that it precedes.
    let after = connection.deeds.iter().filter(taken);
    let mut after = after.filter(|(when, _)| *when > at && *when <= at + TAKEN);
    let (when, deed) = before.next().or_else(|| after.next())?;
    match deed {
        Deed::Borrowed(place) => Some(place.clone()),
        // One that was open before the test says nothing about it.
        Deed::Opened(place) if *when >= begun => Some(place.clone()),
        _ => None,
    }
    .filter(|place| !place.is_empty())
}

/// BEGIN inside a transaction: whoever began it has forgotten it.
fn begun_again(record: &Record, connection: &Connection, t: Transaction) -> Option<Finding> {
    let seen = look(record, connection, t)?;
    let rest = connection.requests.get(t.first + 1..=t.last)?;
    let again = rest
        .iter()
        .find(|r| r.does.begins && r.before == State::Transaction)?;
    let end = seen.test.as_ref().and_then(|w| w.ended).unwrap_or(again.at);
    let before = rest.iter().take_while(|r| r.at < again.at && r.at <= end);
    let statement = before.filter(|r| r.does.works).last().or(seen.statement);
    let mut finding = about(
        record,
        connection,
        Kind::TransactionLeftOpen,
        seen.first.at,
        statement,
    );
    finding.place = taken_at(connection, &seen);
    finding.lasted_us = again.at.saturating_sub(seen.first.at);
    let by = who::at(record, connection.pid, again.at).filter(|w| Some(w) != seen.test.as_ref());
    let by = by.map_or(String::new(), |w| format!(", by {}", w.name));
    finding.evidence.push(format!(
        "The transaction was still open when another BEGIN came on the same connection{by}: both \
         are one transaction now, and the first COMMIT or ROLLBACK ends both."
    ));
    Some(finding)
}
