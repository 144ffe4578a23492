//! The check that every version passes before it serves.

use super::content::Content;
use check::{Files, Options, Report, Severity};
use config::rollout::Verdict;
use events::snapshot::Snapshot;

/// Versions hold placeholders where secrets stand, which this rule would take for secrets.
const NOT_HERE: [&str; 1] = ["secret-in-file"];
/// A line raised by so much where nothing reads the server's limit is a guess.
const LINE_FACTOR: u32 = 3;
/// Findings that are kept with a version.
const SHOWN: usize = 8;

/// What the check says of a version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// Errors that the version before does not have: they refuse a change.
    pub new_errors: Vec<String>,
    /// All other open findings.
    pub others: Vec<String>,
}

impl Findings {
    /// Nothing refuses it.
    pub fn good(&self) -> bool {
        self.new_errors.is_empty()
    }

    /// The errors in one line.
    pub fn note(&self) -> String {
        self.new_errors.join("; ")
    }
}

/// Checks `new` against what serves and what is known of the servers. An error
/// that serves already refuses nothing: the change may be the way out of it.
pub fn check(new: &Content, before: Option<&Content>, snapshot: Option<&Snapshot>) -> Findings {
    let mut options = Options::default();
    // One server, and its limit is known: what the sum of the pools is held against.
    if let Some([budget]) = snapshot.map(|s| s.budgets.as_slice())
        && budget.max_connections > 0
    {
        options.max_connections = Some(u64::from(budget.max_connections));
        options.others = u64::from(budget.others);
    }
    let old = before.map(|content| report(content, &options));
    if let Some(old) = &old {
        options.before = Some(old.facts().clone());
    }
    let report = report(new, &options);
    let known: Vec<(&str, &str)> = old
        .iter()
        .flat_map(Report::open)
        .map(|f| (f.rule.id, f.message.as_str()))
        .collect();
    let mut findings = Findings::default();
    findings
        .new_errors
        .extend(line_beyond(new, before, snapshot));
    for finding in report.open() {
        if NOT_HERE.contains(&finding.rule.id) {
            continue;
        }
        let text = format!("{} [{}]", finding.message, finding.rule.id);
        let is_known = known.contains(&(finding.rule.id, finding.message.as_str()));
        let list = match finding.severity == Severity::Error && !is_known {
            true => &mut findings.new_errors,
            false => &mut findings.others,
        };
        if list.len() < SHOWN {
            list.push(text);
        }
    }
    findings
}

/// The line is the one number that stands between the pools and the server. As
/// in report 002, one that is far above what the server has is no limit.
fn line_beyond(
    new: &Content,
    before: Option<&Content>,
    snapshot: Option<&Snapshot>,
) -> Option<String> {
    let (line, was) = (new.plan.line, before?.plan.line);
    if line <= was {
        return None;
    }
    let budgets = snapshot.map_or(&[][..], |s| &s.budgets);
    let room = |b: &events::snapshot::BudgetRow| {
        b.max_connections
            .saturating_sub(b.superuser_reserved + b.reserved)
    };
    let least = budgets
        .iter()
        .filter(|b| b.max_connections > 0)
        .map(room)
        .min();
    match least {
        Some(room) if line > room && was <= room => Some(format!(
            "the line is raised from {was} to {line}; the server has {room} for ordinary users [line-beyond-server]"
        )),
        // Nobody reads the server: a factor is all that can be judged.
        None if u64::from(line) >= u64::from(LINE_FACTOR) * u64::from(was) => Some(format!(
            "the line is raised from {was} to {line}, and nothing reads what the server has: name a monitor_user, or go in smaller steps [line-beyond-server]"
        )),
        _ => None,
    }
}

fn report(content: &Content, options: &Options) -> Report {
    let mut files = Files::default();
    for (path, text) in &content.files {
        files.add(path.clone(), text.clone());
    }
    check::check(&files, options)
}

/// What a prediction came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Prediction {
    /// Fine, worse or unknown.
    pub verdict: Verdict,
    /// With figures; or why it is unknown.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secrets;
    use config::Overrides;
    use events::snapshot::BudgetRow;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn content(line: u32) -> Content {
        let text = format!("[server]\nline = {line}\n[database.app]\nhost = \"db\"\n");
        let given = [(PathBuf::from("/p.toml"), text)];
        let secrets: Secrets = Arc::new(config::Memory::default());
        let path = given[0].0.clone();
        let read = Content::of(&path, &given, &Overrides::default(), &secrets);
        read.unwrap_or_else(|e| panic!("{}", e.render()))
    }

    #[test]
    fn a_line_far_above_the_server_is_no_limit() {
        let known = Snapshot {
            budgets: vec![BudgetRow {
                max_connections: 100,
                superuser_reserved: 3,
                ..BudgetRow::default()
            }],
            ..Snapshot::default()
        };
        let nothing = Snapshot::default();
        let table = [
            (60, 90, &known, None),
            (60, 98, &known, Some("the server has 97")),
            // It was beyond already: the change may be the way back.
            (500, 400, &known, None),
            (60, 170, &nothing, None),
            (60, 180, &nothing, Some("name a monitor_user")),
        ];
        for (was, is, snapshot, expected) in table {
            let findings = check(&content(is), Some(&content(was)), Some(snapshot));
            let found = findings
                .new_errors
                .iter()
                .any(|e| e.contains("[line-beyond-server]"));
            assert_eq!(found, expected.is_some(), "{was} to {is}: {findings:?}");
            if let Some(expected) = expected {
                assert!(findings.note().contains(expected), "{}", findings.note());
            }
        }
    }
}
