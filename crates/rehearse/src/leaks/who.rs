//! Which test it was.

use super::facts::{Moment, Pid, Record, Test};
use super::lines;

/// Tests that began before a moment and are looked at.
const LOOK_BACK: usize = 500;

/// A test, and what is known of its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Whose {
    /// Its name, or the names of those that ran at the same time.
    pub(crate) name: String,
    /// When it began: tells it from another run of the same.
    pub(crate) begun: Moment,
    /// When it ended. `None`: its process ended first.
    pub(crate) ended: Option<Moment>,
    /// The process reported it itself; else it ran in another one, or was printed.
    pub(crate) own: bool,
}

/// The test during which something happened in a process.
pub(crate) fn at(record: &Record, pid: Option<Pid>, at: Moment) -> Option<Whose> {
    let own = |test: &&Test| Some(test.pid) == pid;
    if reports(record, pid) {
        return chosen(&covering(record, at, own), true);
    }
    let running = covering(record, at, |_| true);
    if !running.is_empty() {
        // A server beside the tests: whoever ran alone must have asked it.
        return chosen(&running, false);
    }
    if !record.tests.is_empty() {
        return None;
    }
    let (name, begun) = lines::test_at(record, at)?;
    Some(Whose {
        name,
        begun,
        // Until the next one is announced, and the last until the command's end.
        ended: lines::next_test(record, begun).or(Some(record.ended.at)),
        own: false,
    })
}

fn covering(record: &Record, at: Moment, wanted: impl Fn(&&Test) -> bool) -> Vec<&Test> {
    let end = record.tests.partition_point(|test| test.begun <= at);
    let begun = record.tests.get(..end).unwrap_or_default();
    let latest = begun.iter().rev().take(LOOK_BACK).filter(wanted);
    latest
        .filter(|test| test.ended.is_none_or(|ended| ended >= at))
        .collect()
}

/// The innermost of the tests that ran; several, where none is within another.
fn chosen(running: &[&Test], own: bool) -> Option<Whose> {
    let inner = running.first()?;
    let end = |test: &Test| test.ended.unwrap_or(Moment::MAX);
    let beside = running.iter().skip(1).filter(|t| end(t) < end(inner));
    let mut names: Vec<&str> = vec![&inner.name];
    names.extend(beside.map(|t| t.name.as_str()).take(2));
    names.dedup();
    Some(Whose {
        name: names.join(" or "),
        begun: inner.begun,
        ended: inner.ended,
        own,
    })
}

/// The process reports its tests.
pub(crate) fn reports(record: &Record, pid: Option<Pid>) -> bool {
    pid.is_some_and(|pid| record.testers.contains(&pid))
}
