//! The check that every version passes before it serves.

use super::content::Content;
use check::{Files, Options, Report, Severity};
use config::rollout::Verdict;
use events::snapshot::Snapshot;

/// Versions hold placeholders where secrets stand, which this rule would take for secrets.
const NOT_HERE: [&str; 1] = ["secret-in-file"];
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
