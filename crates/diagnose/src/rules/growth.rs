//! Traffic has outgrown the limit: more is asked, by the same kind of clients, and each asks for as long as before.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::Growth,
    sure: 80,
    early: false,
    clauses: &[
        clause(SeeOrOut, Usual, "more is asked than usual", facts::grown),
        clause(SeeOrOut, Traffic, "clients wait", facts::waits),
        clause(See, Traffic, "all connections are lent", facts::full),
        clause(
            See,
            Usual,
            "statements take as long as usual",
            facts::service_flat,
        ),
        clause(
            NotSee,
            Applications,
            "one source takes far more than its share",
            facts::greedy_one,
        ),
        clause(
            NotSee,
            Traffic,
            "a good part is held by silent clients",
            facts::silent_many,
        ),
        clause(NotSee, Usual, "the limit was cut", facts::size_cut),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            NotSee,
            Activity,
            "backends wait for locks",
            facts::lock_waits,
        ),
        clause(
            NotSee,
            Usual,
            "a connection is kept for longer than usual, and demand has not more than doubled",
            facts::holds_explain,
        ),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let (Some(pool), Some((now, was))) = (case.pool, facts::demands(case)) else {
        return Tale::default();
    };
    Tale {
        subject: words::pool(case),
        text: format!(
            "{} is asked {} times a second where {} are usual, while statements take as long as \
             before: traffic has outgrown its limit of {:.0}.",
            pool.name(),
            words::number(now),
            words::number(was),
            pool.size,
        ),
        change: None,
        next: vec![
            step("See what size this traffic needs.", "plimsoll size"),
            step(
                "Raise the limit, ask what it would do, let it serve.",
                "plimsoll plan && plimsoll apply",
            ),
            step("Do not restart the database: it is not slow.", ""),
        ],
    }
}
