//! Connections that were neither returned nor closed.

use super::outgrown::group;
use super::{Finding, Kind, Sure, about, span};
use crate::leaks::facts::{Connection, Deed, How, MS, Moment, Record, Request};
use crate::leaks::held::{self, Closing};
use crate::leaks::who::{self, Whose};
use std::collections::BTreeSet;

/// Without tests to compare with: a pool that has an idle connection for this long does not
/// open another one.
const IDLE: u64 = 50 * MS;
/// A program that was ended from outside was in the middle of its work, if it had asked
/// something this shortly before.
const CUT_OFF: u64 = 1_000 * MS;

/// Whether a connection was leaked, outside a transaction.
pub(super) fn judge(record: &Record, at: usize) -> Option<Finding> {
    let connection = record.connections.get(at)?;
    let last = connection.requests.iter().rev().find(|r| r.does.works)?;
    let at_work = connection.requests.last().is_some_and(|r| r.done.is_none());
    let listens = connection.requests.iter().any(|r| r.does.listens);
    if at_work || listens || cut_off(record, connection, last) {
        return None;
    }
    let own = |(_, deed): &&(Moment, Deed)| !matches!(deed, Deed::Orphaned);
    let orphan = connection.deeds.iter().any(|(_, d)| *d == Deed::Orphaned);
    match connection.deeds.iter().rev().find(own) {
        Some((_, Deed::Returned)) => None,
        Some((when, Deed::Collected)) => collected(record, connection, *when, last),
        Some((when, Deed::Borrowed(place))) => borrowed(record, connection, *when, place, last),
        Some((_, Deed::Opened(_))) if orphan => orphaned(record, connection, last),
        Some((_, Deed::Opened(place))) if who::reports(record, connection.pid) => {
            opened(record, connection, place, last)
        }
        _ => by_its_traffic(record, at, last),
    }
}

fn cut_off(record: &Record, connection: &Connection, last: &Request) -> bool {
    let closed = held::ended_at(record, connection);
    let shortly = closed.saturating_sub(held::last_moment(last)) < CUT_OFF;
    let inside = who::at(record, connection.pid, last.at).is_some_and(|w| w.ended.is_none());
    shortly && (inside || record.ended.cut)
}

fn finding(
    record: &Record,
    connection: &Connection,
    at: Moment,
    last: &Request,
    place: &str,
) -> Finding {
    let mut finding = about(
        record,
        connection,
        Kind::ConnectionNotReturned,
        at,
        Some(last),
    );
    finding.place = (!place.is_empty()).then(|| place.to_owned());
    finding
}

/// The program's own pool said that it is out, and never that it came back.
fn borrowed(
    record: &Record,
    connection: &Connection,
    when: Moment,
    place: &str,
    last: &Request,
) -> Option<Finding> {
    let dropped = held::closing(record, connection) == Closing::Program;
    // What was asked before belongs to whoever had it before.
    let last = Some(last).filter(|r| r.at + MS >= when);
    let closed = held::ended_at(record, connection);
    let tests = held::tests_between(record, connection, when, closed);
    let mut finding = about(record, connection, Kind::ConnectionNotReturned, when, last);
    finding.place = (!place.is_empty()).then(|| place.to_owned());
    if dropped {
        finding.evidence.push(
            "It was borrowed from the program's own pool and closed without being given back: the \
             pool still counts it, and has one place less."
                .to_owned(),
        );
        return Some(finding);
    }
    finding.evidence.push(format!(
        "It was borrowed from the program's own pool and not returned for {}, until {}.",
        span(closed.saturating_sub(when)),
        until(connection)
    ));
    if tests.len() > 1 {
        finding.fails = false;
        finding.evidence.push(format!(
            "{} tests used it: it may be held on purpose, and was only not returned at the end.",
            tests.len()
        ));
    }
    Some(finding)
}

fn until(connection: &Connection) -> &'static str {
    match connection.end {
        None => "the command had ended",
        Some(_) => "its process ended",
    }
}

/// Returned, but by the garbage collector and after its test.
fn collected(
    record: &Record,
    connection: &Connection,
    when: Moment,
    last: &Request,
) -> Option<Finding> {
    let taken = connection
        .deeds
        .iter()
        .rev()
        .find_map(|(at, deed)| match deed {
            Deed::Borrowed(place) => Some((*at, place)),
            _ => None,
        });
    let (at, place) = taken?;
    let test = who::at(record, connection.pid, at)?;
    if test.ended.is_none_or(|ended| when <= ended) {
        return None;
    }
    let mut finding = finding(record, connection, at, last, place);
    finding.lasted_us = when.saturating_sub(at);
    finding.evidence.push(
        "It was borrowed and not returned: the garbage collector found it after the test's end."
            .to_owned(),
    );
    Some(finding)
}

/// Its thread ended and left it open.
fn orphaned(record: &Record, connection: &Connection, last: &Request) -> Option<Finding> {
    if held::closing(record, connection) == Closing::Program {
        return None;
    }
    let place = connection.deeds.iter().find_map(|(_, deed)| match deed {
        Deed::Opened(place) | Deed::Borrowed(place) => Some(place.as_str()),
        _ => None,
    });
    let place = place.unwrap_or_default();
    let mut finding = finding(record, connection, connection.opened, last, place);
    finding.evidence.push(format!(
        "The thread that opened it ended without closing it; it stayed open for {}.",
        span(finding.lasted_us)
    ));
    Some(finding)
}

/// Opened outside a pool, within a test, and not closed.
fn opened(
    record: &Record,
    connection: &Connection,
    place: &str,
    last: &Request,
) -> Option<Finding> {
    if held::closing(record, connection) == Closing::Program {
        return None;
    }
    // One that the program opens before its tests is the program's own.
    let test = who::at(record, connection.pid, connection.opened)?;
    let closed = held::ended_at(record, connection);
    let tests = held::tests_between(record, connection, 0, closed);
    if tests.len() > 1 || test.ended.is_none() {
        return None;
    }
    let mut finding = finding(record, connection, connection.opened, last, place);
    finding.evidence.push(format!(
        "It was opened in this test, used by no other, and still open when the process ended, {} \
         later.",
        span(closed.saturating_sub(test.ended.unwrap_or(closed)))
    ));
    Some(finding)
}

/// What can be told from the traffic alone: a program that has an idle connection uses it, and
/// one that closes its connections closes all of them.
fn by_its_traffic(record: &Record, at: usize, last: &Request) -> Option<Finding> {
    let connection = record.connections.get(at)?;
    if held::closing(record, connection) == Closing::Program {
        return None;
    }
    let silent = held::last_moment(last);
    let test = who::at(record, connection.pid, last.at);
    let later = |moment: Moment| is_later(test.as_ref(), silent, moment);
    let others = record.connections.iter().enumerate();
    let others = others.filter(|(i, c)| *i != at && c.ready && is_alike(connection, c));
    let others: Vec<&Connection> = others.map(|(_, c)| c).collect();
    let went_on = |c: &&&Connection| c.requests.iter().any(|r| r.does.works && later(r.at));
    let closes = others.iter().filter(|c| says_goodbye(record, c)).count();
    let opened = others.iter().filter(|c| later(c.opened)).filter(went_on);
    let (opened, alike) = opened.fold((0, false), |(n, alike), c| {
        (n + 1, alike || shares_work(connection, c))
    });
    let reopens = opened > 0 && (alike || closes > 0);
    let shut_down = was_shut_down(record, &others, silent);
    if !reopens && !shut_down {
        return None;
    }
    let mut finding = finding(record, connection, last.at, last, "");
    finding.sure = Sure::Likely;
    let silent = span(held::ended_at(record, connection).saturating_sub(silent));
    finding.evidence.push(match reopens {
        true => format!(
            "It was never used again, for {silent}, and never closed, while the same process \
             opened {opened} more instead of using it."
        ),
        false => format!(
            "It was never used again, for {silent}; at the end the program closed its other \
             connections, and not this one."
        ),
    });
    Some(finding)
}

/// The program could have used one in place of the other. A thread may keep one for itself.
fn is_alike(one: &Connection, other: &Connection) -> bool {
    let unknown = one.thread.is_empty() || other.thread.is_empty();
    group(one) == group(other) && (unknown || one.thread == other.thread)
}

/// A moment that belongs to what came after: another test, or after a pause.
fn is_later(test: Option<&Whose>, silent: Moment, moment: Moment) -> bool {
    match test.and_then(|w| w.ended) {
        Some(ended) => moment > ended,
        None => moment >= silent + IDLE,
    }
}

fn says_goodbye(record: &Record, connection: &Connection) -> bool {
    let goodbye = connection.end.is_some_and(|end| end.how == How::Goodbye);
    goodbye && held::closing(record, connection) == Closing::Program
}

/// They were asked the same.
fn shares_work(one: &Connection, other: &Connection) -> bool {
    let work = |c: &Connection| -> BTreeSet<u32> {
        let own = c.requests.iter().filter(|r| r.does.works);
        own.map(|r| r.text).collect()
    };
    !work(one).is_disjoint(&work(other))
}

/// After the last request of all, the others were closed.
fn was_shut_down(record: &Record, others: &[&Connection], silent: Moment) -> bool {
    let asked = others.iter().flat_map(|c| c.requests.iter());
    let last = asked.filter(|r| r.does.works).map(held::last_moment);
    let last = last.max().unwrap_or(0).max(silent);
    let mut closed = others.iter().filter(|c| says_goodbye(record, c));
    closed.any(|c| c.end.is_some_and(|end| end.at >= last))
}
