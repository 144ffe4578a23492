//! One application or address takes far more than its usual share while the others ask as before.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::AbusiveSource,
    sure: 82,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Applications,
            "one source takes far more than its share",
            facts::greedy_one,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(NotSee, Usual, "the limit was cut", facts::size_cut),
        clause(
            See,
            Traffic,
            "clients wait or are refused, or statements take longer",
            facts::suffers,
        ),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some(found) = facts::greedy(case) else {
        return Tale::default();
    };
    let who = match found.address.is_empty() {
        true => words::app_name(&found.application),
        false => format!("address {}", found.address),
    };
    let mut subject = words::pool(case);
    let change = case.change(words::RELEASES, &found.application).cloned();
    subject.application = found.application;
    subject.address = found.address;
    Tale {
        subject,
        text: format!(
            "{who} takes far more than its usual share ({}), while the others ask as before.",
            found.figure
        ),
        change,
        next: vec![
            step(
                "Slow it down at its source, or give it a pool of its own with a small limit.",
                "plimsoll playbook abusive_source",
            ),
            step(
                "Do not raise the limit for all: it would take that too.",
                "",
            ),
        ],
    }
}
