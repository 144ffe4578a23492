//! A change of settings cut what was enough before: its scope, its moment and the figure that it governs fit.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::SettingsChange,
    sure: 86,
    early: false,
    clauses: &[clause(
        SeeOrOut,
        Changes,
        "a setting that governs what suffers was changed",
        facts::setting_cut,
    )],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some(cut) = facts::cut(case) else {
        return Tale::default();
    };
    let mut subject = words::pool(case);
    subject.setting = cut.setting.clone();
    let text = match &cut.change {
        Some(change) => format!(
            "A change of settings brought it ({}): {}.",
            change.text, cut.figure
        ),
        None => format!("A setting changed before it began: {}.", cut.figure),
    };
    Tale {
        subject,
        text,
        change: cut.change,
        next: vec![
            step(
                "See which version serves and what it changed.",
                "plimsoll history",
            ),
            step("Go back to the version before.", "plimsoll rollback"),
            step(
                "Do not restart the database and do not change anything else before.",
                "",
            ),
        ],
    }
}
