//! What is a leak, and what is not.
//!
//! A finding that fails a run is one of which nothing in the record says that it is
//! usual: pools that keep idle connections, threads with one each, fixtures that hold
//! one on purpose and close it. Where the record leaves it open, nothing is said, or
//! it is said as a note, which fails nothing.

mod lent;
mod open;
pub(super) mod outgrown;

use super::facts::{Connection, Moment, Pid, Record, Request};
use super::who::{self, Whose};
use super::{held, lines};
use serde::Serialize;

/// What was leaked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A transaction that nobody ended.
    TransactionLeftOpen,
    /// A connection that was borrowed or opened, and neither returned nor closed.
    ConnectionNotReturned,
    /// More connections than the pool will have.
    PoolOutgrown,
    /// A transaction that ended with its connection: what it wrote is lost.
    WorkThrownAway,
}

/// How sure it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// It was seen.
    Certain,
    /// It follows from what was seen, if the program is built as most are.
    Likely,
}

/// Something found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// It fails the run; else it is a note.
    pub fails: bool,
    /// How sure it is.
    pub sure: Sure,
    /// How often the same was seen.
    pub times: u32,
    /// The test, if one was running.
    pub test: Option<String>,
    /// Tags of the statement, as `route=/orders`.
    pub tags: String,
    /// The place in the program's code where the connection was taken.
    pub place: Option<String>,
    /// The last statement, without its literals.
    pub statement: String,
    /// application_name.
    pub application: String,
    /// Whose connection.
    pub user: String,
    /// Where to.
    pub database: String,
    /// The process.
    pub pid: Option<Pid>,
    /// Its command line.
    pub process: String,
    /// When it began, microseconds since 1970.
    pub since_us: Moment,
    /// How long it lasted, microseconds.
    pub lasted_us: u64,
    /// What was seen, in sentences.
    pub evidence: Vec<String>,
    /// What the command had printed last, where no test is known.
    pub printed: Vec<String>,
}

/// What a run is held to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Connections that the pool will have for one process.
    pub pool: Option<u32>,
}

/// What a record shows, the earliest first, those that fail before notes.
pub fn findings(record: &Record, limits: Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, connection) in record.connections.iter().enumerate() {
        if !connection.ready {
            continue;
        }
        let open = open::judge(record, connection);
        let is_open = !open.is_empty();
        found.extend(open);
        if !is_open {
            found.extend(lent::judge(record, at));
        }
    }
    found.extend(outgrown::judge(record, limits));
    found.sort_by_key(|f| (!f.fails, f.since_us));
    merge(found)
}

/// The same of the same test and code is told once.
fn merge(found: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in found {
        let same = |f: &&mut Finding| {
            (f.kind, f.fails, &f.test, &f.place, &f.statement, &f.tags)
                == (
                    finding.kind,
                    finding.fails,
                    &finding.test,
                    &finding.place,
                    &finding.statement,
                    &finding.tags,
                )
        };
        match merged.iter_mut().find(same) {
            Some(known) => known.times += 1,
            None => merged.push(finding),
        }
    }
    merged
}

/// A finding about one connection. `at` is when the program did what it is about,
/// `request` what it asked last there.
fn about(
    record: &Record,
    connection: &Connection,
    kind: Kind,
    at: Moment,
    request: Option<&Request>,
) -> Finding {
    let whose: Option<Whose> = who::at(record, connection.pid, at);
    let text = request.map(|r| record.text(r).clone()).unwrap_or_default();
    let process = connection.pid.and_then(|pid| record.processes.get(&pid));
    let told = whose.as_ref().is_some_and(|w| w.own);
    Finding {
        kind,
        fails: true,
        sure: Sure::Certain,
        times: 1,
        test: whose.map(|w| w.name),
        tags: text.tags,
        place: None,
        statement: text.statement,
        application: connection.application.clone(),
        user: connection.user.clone(),
        database: connection.database.clone(),
        pid: connection.pid,
        process: process.map(|p| p.command.clone()).unwrap_or_default(),
        since_us: at,
        lasted_us: held::ended_at(record, connection).saturating_sub(at),
        evidence: Vec::new(),
        printed: match told {
            true => Vec::new(),
            false => lines::printed(record, at),
        },
    }
}

/// A length of time for people.
pub(crate) fn span(us: u64) -> String {
    match us {
        0..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{} min", us / 60_000_000),
    }
}
