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
            "statements take as long as usual, or longer only because the server does more than usual",
            facts::service_flat_or_loaded,
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
    let asked = format!(
        "{} is asked {} times a second where {} are usual",
        pool.name(),
        words::number(now),
        words::number(was),
    );
    if facts::loaded(case).holds == Some(true) {
        return outgrown_server(case, asked);
    }
    Tale {
        subject: words::pool(case),
        text: format!(
            "{asked}, while statements take as long as before: traffic has outgrown its limit of {:.0}.",
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

/// The server does more than ever, and that is not enough: a larger limit does not help.
fn outgrown_server(case: &Case, asked: String) -> Tale {
    Tale {
        subject: words::pool(case),
        text: format!(
            "{asked}; the server does more than usual and has no more to give: traffic has outgrown it, \
             and what does not fit waits here.",
        ),
        change: None,
        next: vec![
            step(
                "See who asks for more, and whether it has to be now.",
                "plimsoll top",
            ),
            step(
                "Give the server more processors or faster disks, or take the costliest statements from it.",
                "plimsoll playbook growth",
            ),
            step(
                "Do not raise the limit: more at once would only be slower.",
                "",
            ),
        ],
    }
}
