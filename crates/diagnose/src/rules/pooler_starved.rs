//! Plimsoll's own machine, or its quota, leaves it too little processor time.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::PoolerStarved,
    sure: 82,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Host,
            "the pooler is held back by its quota, or uses up its cores, or its loops stand still",
            facts::starved,
        ),
        clause(
            NotSee,
            Activity,
            "others work at the server",
            facts::others_active,
        ),
        clause(
            More,
            Usual,
            "statements take longer than usual",
            facts::slower,
        ),
        clause(
            More,
            Activity,
            "lent connections wait for messages under way",
            facts::on_the_way,
        ),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let fact = facts::starved(case);
    let seen = fact.figure.map_or(String::new(), |f| f.to_string());
    Tale {
        subject: crate::Subject::default(),
        text: format!("The pooler itself lacks processor time: {seen}."),
        change: None,
        next: vec![
            step(
                "Give it more: a larger quota, more workers, or a machine with less beside it.",
                "plimsoll playbook pooler_starved",
            ),
            step("Do not restart the database: it is not slow.", ""),
        ],
    }
}
