//! The pool's limit is below what its normal demand needs: all is lent, clients wait, and nothing else has changed.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::LimitTooSmall,
    sure: 80,
    early: false,
    clauses: &[
        clause(SeeOrOut, Traffic, "all connections are lent", facts::full),
        clause(SeeOrOut, Traffic, "clients wait", facts::waits),
        clause(
            See,
            Usual,
            "statements take as long as usual",
            facts::service_flat,
        ),
        clause(NotSee, Traffic, "the pool is paused", facts::paused),
        clause(NotSee, Usual, "the limit was cut", facts::size_cut),
        clause(NotSee, Usual, "more is asked than usual", facts::grown),
        clause(
            NotSee,
            Traffic,
            "a good part is held by silent clients",
            facts::silent_many,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            NotSee,
            Activity,
            "backends wait for locks",
            facts::lock_waits,
        ),
        clause(
            NotSee,
            Activity,
            "more backends run than the server can work on",
            facts::too_many,
        ),
        clause(
            More,
            Traffic,
            "demand needs as many connections as there are",
            facts::needs_more,
        ),
        clause(
            NotSee,
            Usual,
            "a connection is kept for longer than usual",
            facts::holds_longer,
        ),
        clause(
            NotSee,
            Probe,
            "the way to the server is long, and was not always",
            facts::way_long,
        ),
        clause(
            NotSee,
            Host,
            "the pooler lacks processor time",
            facts::starved,
        ),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some(pool) = case.pool else {
        return Tale::default();
    };
    let service = match case.pool_usual {
        Some(_) => "while statements take as long as usual",
        None => "while statements are short (nothing calm was recorded to compare with)",
    };
    let needed = facts::needed(case).max(pool.size + 1.0);
    Tale {
        subject: words::pool(case),
        text: format!(
            "All {:.0} connections of {} are lent and {} wait, {service}: its demand needs about {:.0}.",
            pool.size,
            pool.name(),
            words::clients(pool.waiting.mean()),
            needed.ceil(),
        ),
        change: None,
        next: vec![
            step(
                "See what size the last hour would have needed.",
                "plimsoll size",
            ),
            step(
                "Raise the limit in the settings file, ask what it would do, let it serve.",
                "plimsoll plan && plimsoll apply",
            ),
            step("Do not restart the database: it is not slow.", ""),
        ],
    }
}
