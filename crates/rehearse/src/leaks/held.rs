//! What a connection held, and how it was let go.

use super::facts::{Connection, Deed, How, MS, Moment, Record, Request, State};
use super::who::{self, Whose};
use std::collections::BTreeSet;

/// A session that is closed so long after its thread's end was not closed by it.
const ORPHAN: u64 = 100 * MS;

/// How the program let a connection go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closing {
    /// It closed it.
    Program,
    /// Nobody did: the process ended, or the command, or the server had enough of it.
    Nobody,
}

/// A transaction of a connection: its first and last request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transaction {
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// It was still open after the last request of the connection.
    pub(crate) open: bool,
}

pub(crate) fn closing(record: &Record, connection: &Connection) -> Closing {
    let Some(end) = connection.end else {
        return Closing::Nobody;
    };
    let exits = exits(record, connection);
    let orphaned = connection
        .deeds
        .iter()
        .find_map(|(at, deed)| matches!(deed, Deed::Orphaned).then_some(*at));
    let pooled = |(_, deed): &(Moment, Deed)| matches!(deed, Deed::Borrowed(_));
    let pooled = connection.deeds.iter().any(pooled);
    let late = orphaned.is_some_and(|at| !pooled && end.at >= at + ORPHAN);
    match end.how {
        How::Goodbye if end.at < exits && !late => Closing::Program,
        _ => Closing::Nobody,
    }
}

/// When the connection's process began to end by itself.
fn exits(record: &Record, connection: &Connection) -> Moment {
    let process = connection.pid.and_then(|pid| record.processes.get(&pid));
    process.and_then(|p| p.exits).unwrap_or(Moment::MAX)
}

/// When a connection ended, or the command did.
pub(crate) fn ended_at(record: &Record, connection: &Connection) -> Moment {
    connection.end.map_or(record.ended.at, |end| end.at)
}

pub(crate) fn last_moment(request: &Request) -> Moment {
    request.done.unwrap_or(request.at)
}

/// The transactions of a connection, in order. What is asked while the process ends is not
/// the program's doing: finalizers roll back what it forgot.
pub(crate) fn transactions(record: &Record, connection: &Connection) -> Vec<Transaction> {
    let mut found = Vec::new();
    let mut first = None;
    let exits = exits(record, connection);
    let asked = connection.requests.partition_point(|r| r.at < exits);
    let requests = connection.requests.get(..asked).unwrap_or_default();
    for (i, request) in requests.iter().enumerate() {
        let begun = *first.get_or_insert(i);
        if request.after == State::Idle {
            if requests.get(begun).is_some_and(|r| r.after.is_open()) {
                found.push(Transaction {
                    first: begun,
                    last: i,
                    open: false,
                });
            }
            first = None;
        }
    }
    if let Some(first) = first {
        found.push(Transaction {
            first,
            last: requests.len() - 1,
            open: true,
        });
    }
    found
}

/// The last of the program's own requests in a part of a connection's life.
pub(crate) fn last_work(connection: &Connection, from: usize, to: usize) -> Option<&Request> {
    let part = connection.requests.get(from..=to)?;
    part.iter().rev().find(|request| request.does.works)
}

/// The tests in which the program asked something, between two moments.
pub(crate) fn tests_between(
    record: &Record,
    connection: &Connection,
    from: Moment,
    to: Moment,
) -> BTreeSet<Option<Moment>> {
    let within = |r: &&Request| r.at >= from && r.at <= to && r.does.works;
    let requests = connection.requests.iter().filter(within);
    let test = |r: &Request| who::at(record, connection.pid, r.at).map(|w: Whose| w.begun);
    requests.map(test).collect()
}
