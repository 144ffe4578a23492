//! So many connections work at once that the server gets slower instead of doing more.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::LimitTooLarge,
    sure: 82,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Usual,
            "statements take longer than usual",
            facts::slower,
        ),
        clause(
            SeeOrOut,
            Activity,
            "more backends run than the server can work on, most of them ours",
            facts::own_crowd,
        ),
        clause(See, Usual, "no more gets done for it", facts::no_more_done),
        clause(
            See,
            Activity,
            "backends wait for processors, disks or internal locks",
            facts::run_queue,
        ),
        clause(
            NotSee,
            Activity,
            "backends wait for locks",
            facts::lock_waits,
        ),
        clause(
            NotSee,
            Activity,
            "others work at the server",
            facts::others_active,
        ),
        clause(
            See,
            Usual,
            "more is asked, by more clients, or more may work at once, than before",
            facts::surge,
        ),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some(pool) = case.pool else {
        return Tale::default();
    };
    Tale {
        subject: words::pool(case),
        text: format!(
            "{:.0} connections of {} work at once (limit {:.0}); each statement takes longer and no \
             more gets done: the server is past what it can work on in parallel.",
            pool.busy(),
            pool.name(),
            pool.size,
        ),
        change: case.change(words::SETTINGS, "").cloned(),
        next: vec![
            step(
                "Lower the limit, or let it find the size itself.",
                "plimsoll size",
            ),
            step(
                "Set pool_size = \"auto\", ask what it would do, let it serve.",
                "plimsoll plan && plimsoll apply",
            ),
            step(
                "Do not raise the limit and do not restart: both make it worse.",
                "",
            ),
        ],
    }
}
