//! A run's verdict, for people and for machines.

use super::facts::{Moment, Record};
pub use super::junit::junit;
use super::rules::{Finding, Kind, Limits, Sure, outgrown, span};
use serde::Serialize;
use std::fmt::Write;

/// Findings that are told in full; the rest is counted.
const TOLD_MAX: usize = 100;

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something fails it.
    Leaks,
    /// Nothing does.
    NoLeaks,
    /// No connection came through.
    Unknown,
}

/// A run and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// How many findings fail the run.
    pub leaks: usize,
    /// How many do not.
    pub notes: usize,
    /// Connections that were logged in.
    pub connections: usize,
    /// Statements and batches.
    pub requests: usize,
    /// Tests that were reported.
    pub tests: usize,
    /// The most connections of one process at once.
    pub most_at_once: u32,
    /// Logins that were refused.
    pub refused: u64,
    /// In which words the last one was.
    pub refusal: String,
    /// Facts that found no room: there may be more than is told here.
    pub dropped: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Judges a record.
    pub fn of(record: &Record, limits: Limits) -> Report {
        let findings = super::rules::findings(record, limits);
        let ready = record.connections.iter().filter(|c| c.ready);
        let peaks = outgrown::peaks(record);
        let leaks = findings.iter().filter(|f| f.fails).count();
        Report {
            verdict: match (leaks, ready.clone().next()) {
                (0, None) => Verdict::Unknown,
                (0, Some(_)) => Verdict::NoLeaks,
                _ => Verdict::Leaks,
            },
            leaks,
            notes: findings.iter().filter(|f| !f.fails).count(),
            connections: ready.clone().count(),
            requests: ready.map(|c| c.requests.len()).sum(),
            tests: record.tests.len(),
            most_at_once: peaks.values().map(|peak| peak.most).max().unwrap_or(0),
            refused: record.refused,
            refusal: record.refusal.clone(),
            dropped: record.dropped,
            findings,
        }
    }

    /// The verdict for people. `clock` writes a moment.
    pub fn text(&self, clock: &dyn Fn(Moment) -> String) -> String {
        if self.verdict == Verdict::Unknown {
            return "leaks: no connection came through, so nothing is known\n".to_owned();
        }
        // What the command printed last may not have ended its line.
        let mut out = String::from(if self.findings.is_empty() { "" } else { "\n" });
        for finding in self.findings.iter().take(TOLD_MAX) {
            tell(&mut out, finding, clock);
            out.push('\n');
        }
        let more = self.findings.len().saturating_sub(TOLD_MAX);
        if more > 0 {
            let _ = writeln!(out, "… and {more} findings more.");
        }
        let verdict = match (self.leaks, self.notes) {
            (0, 0) => "no leaks".to_owned(),
            (0, notes) => format!("no leaks, {}", counted(notes, "note")),
            (leaks, 0) => counted(leaks, "leak"),
            (leaks, notes) => format!("{}, {}", counted(leaks, "leak"), counted(notes, "note")),
        };
        let tests = match self.tests {
            0 => String::new(),
            n => format!(", {}", counted(n, "test")),
        };
        let _ = writeln!(
            out,
            "leaks: {verdict} in {} ({} at once), {}{tests}",
            counted(self.connections, "connection"),
            self.most_at_once,
            counted(self.requests, "request"),
        );
        if self.dropped > 0 {
            let _ = writeln!(
                out,
                "The run was too long to be written down whole: {} facts are missing.",
                self.dropped
            );
        }
        out
    }
}

/// A number and its noun.
fn counted(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

impl Kind {
    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Kind::TransactionLeftOpen => "transaction left open",
            Kind::ConnectionNotReturned => "connection not returned",
            Kind::PoolOutgrown => "pool outgrown",
            Kind::WorkThrownAway => "work thrown away",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Kind::TransactionLeftOpen => {
                "End it on every way out: COMMIT, or ROLLBACK where an error or an early return \
                 leaves the block (a `with`, a `finally`, try-with-resources)."
            }
            Kind::ConnectionNotReturned => {
                "Give it back on every way out, also after an error: a `with` block, `release()` \
                 in a `finally`, try-with-resources; close a thread's connection at its end."
            }
            Kind::PoolOutgrown => {
                "Return connections before taking others, or make the pool larger \
                 (`plimsoll size` says what the server can give)."
            }
            Kind::WorkThrownAway => {
                "If what was written is wanted, COMMIT before closing; if not, say ROLLBACK, so \
                 that a reader knows."
            }
        }
    }
}

pub(super) fn tell(out: &mut String, finding: &Finding, clock: &dyn Fn(Moment) -> String) {
    let class = if finding.fails { "LEAK" } else { "NOTE" };
    let times = match finding.times {
        1 => String::new(),
        n => format!(" ({n} times)"),
    };
    let _ = writeln!(out, "{class}  {}{times}", finding.kind.title());
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {name:<10} {value}");
        }
    };
    row("test", finding.test.as_deref().unwrap_or_default());
    row("tags", &finding.tags);
    row("taken at", finding.place.as_deref().unwrap_or_default());
    row("statement", &finding.statement);
    let whose = match finding.application.as_str() {
        "" => format!("{} in {}", finding.user, finding.database),
        name => format!("{name}, as {} in {}", finding.user, finding.database),
    };
    row("connection", &whose);
    if let Some(pid) = finding.pid {
        row("process", &format!("{pid}  {}", finding.process));
    }
    let since = format!(
        "{} for {}",
        clock(finding.since_us),
        span(finding.lasted_us)
    );
    row("since", &since);
    for line in &finding.printed {
        row("printed", line);
    }
    let sure = match finding.sure {
        Sure::Certain => "",
        Sure::Likely => " (likely)",
    };
    for sentence in &finding.evidence {
        row("seen", &format!("{sentence}{sure}"));
    }
    row("do", finding.kind.advice());
}
