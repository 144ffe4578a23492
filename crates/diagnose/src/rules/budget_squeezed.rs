//! Others took the server's connections, so that fewer are left than the pool may have.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::BudgetSqueezed,
    sure: 86,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Line,
            "the server has no slot for us, or others took ours",
            facts::squeezed,
        ),
        clause(
            NotSee,
            Traffic,
            "all connections are lent",
            facts::full_unsqueezed,
        ),
        clause(More, Line, "the line is used up", facts::at_the_line),
        clause(More, Traffic, "clients wait", facts::waits),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let name = facts::server_name(case);
    let others = case.server.and_then(|s| s.others);
    let who = others.map_or(String::new(), |n| format!(" Others hold {n:.0} of them."));
    Tale {
        subject: words::server(case),
        text: format!(
            "The server {name} has no connection left for what the pools may open: {:.0} are left.{who}",
            case.server.map_or(0.0, |s| s.line),
        ),
        change: None,
        next: vec![
            step(
                "See who holds the others.",
                "SELECT usename, application_name, client_addr, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC",
            ),
            step(
                "Let them give some back, or let them come through the pooler.",
                "plimsoll playbook budget_squeezed",
            ),
            step(
                "Do not raise max_connections first: it needs a restart, and more backends are slower.",
                "",
            ),
        ],
    }
}
