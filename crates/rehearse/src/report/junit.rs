//! For build servers: JUnit's XML, as Jenkins, GitLab and others read it.
//!
//! The first case is whether there are figures to judge at all: where there are
//! none it is an error, not a failure, and the limits are skipped.

use super::markup::escaped;
use super::{Rehearsal, Style, text};
use crate::compare::Comparison;
use crate::measured::Run;
use crate::report::words::{difference, said};
use crate::verdict::{Outcome, Verdict};
use std::fmt::Write as _;

/// One case.
struct Case {
    class: &'static str,
    name: String,
    end: End,
}

enum End {
    Passed,
    Failed(String),
    Error(String),
    Skipped(String),
}

/// The report.
pub(super) fn junit(rehearsal: &Rehearsal) -> String {
    let (suite, seconds, cases) = match rehearsal {
        Rehearsal::Single { run, verdict } => (
            format!("rehearsal against {}", run.target),
            run.lasted.as_secs_f64(),
            single(run, verdict),
        ),
        Rehearsal::Compare { comparison, .. } => {
            let [a, b] = &comparison.names;
            (format!("{a} beside {b}"), 0.0, compare(comparison))
        }
        Rehearsal::Limit { limit, .. } => (
            format!("limit of {}", limit.target),
            0.0,
            vec![first("a limit was found", &limit.outcome)],
        ),
    };
    let count = |test: fn(&End) -> bool| cases.iter().filter(|case| test(&case.end)).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\"",
        cases.len(),
        count(|end| matches!(end, End::Failed(_))),
        count(|end| matches!(end, End::Error(_))),
        count(|end| matches!(end, End::Skipped(_))),
    );
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"plimsoll rehearse\" {counts}>\n\
         <testsuite name=\"{}\" {counts}>\n",
        escaped(&suite)
    );
    for case in &cases {
        case.write(&mut out);
    }
    let lines = text::text(rehearsal, Style::Plain);
    let lines: Vec<String> = lines.lines().map(escaped).collect();
    let _ = writeln!(
        out,
        "<system-out>{}\n</system-out>\n</testsuite>\n</testsuites>",
        lines.join("\n")
    );
    out
}

/// The report of a rehearsal that did not come to a run.
pub(super) fn could_not(outcome: &Outcome) -> String {
    let counts = "tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" time=\"0\"";
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"plimsoll rehearse\" {counts}>\n\
         <testsuite name=\"rehearsal\" {counts}>\n"
    );
    first("it could run", outcome).write(&mut out);
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

/// Whether there is anything to judge.
fn first(name: &str, outcome: &Outcome) -> Case {
    Case {
        class: "rehearsal",
        name: name.to_owned(),
        end: match outcome.reason() {
            Some(why) => End::Error(why.to_owned()),
            None => End::Passed,
        },
    }
}

fn single(run: &Run, verdict: &Verdict) -> Vec<Case> {
    let mut cases = vec![first("the figures can be judged", &verdict.outcome)];
    let judged = verdict.outcome.reason().is_none();
    cases.extend(verdict.thresholds.iter().map(|one| Case {
        class: "threshold",
        name: one.text.clone(),
        end: match (judged, one.kept) {
            (false, _) => End::Skipped("not judged".to_owned()),
            (true, true) => End::Passed,
            (true, false) => End::Failed(format!("measured {}", one.measured)),
        },
    }));
    if let (crate::measured::Ended::Aborted(text), true) = (&run.ended, judged) {
        cases.push(Case {
            class: "rehearsal",
            name: "it ran to its end".to_owned(),
            end: End::Failed(format!("`{text}` ended it")),
        });
    }
    cases
}

fn compare(comparison: &Comparison) -> Vec<Case> {
    let mut cases = vec![first("the sides can be compared", &comparison.outcome)];
    let gated = comparison.rows.iter().filter(|row| row.gated);
    cases.extend(gated.map(|row| Case {
        class: "comparison",
        name: row.metric.label().to_owned(),
        end: match row.broken {
            false => End::Passed,
            true => End::Failed(format!(
                "{}: B is {} against A ({} to {})",
                said(row),
                difference(row, row.difference),
                difference(row, row.judged.low),
                difference(row, row.judged.high)
            )),
        },
    }));
    cases
}

impl Case {
    fn write(&self, out: &mut String) {
        let _ = write!(
            out,
            "<testcase classname=\"plimsoll.{}\" name=\"{}\"",
            self.class,
            escaped(&self.name)
        );
        let (element, message) = match &self.end {
            End::Passed => {
                out.push_str("/>\n");
                return;
            }
            End::Failed(message) => ("failure", message),
            End::Error(message) => ("error", message),
            End::Skipped(message) => ("skipped", message),
        };
        let _ = writeln!(
            out,
            "><{element} message=\"{}\"/></testcase>",
            escaped(message)
        );
    }
}
