//! Clients connect and log in again and again, for little work each.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::ConnectionStorm,
    sure: 80,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Traffic,
            "far more connections come than usual",
            facts::storm,
        ),
        clause(See, Traffic, "each does little", facts::short_lived),
        clause(
            NotSee,
            Traffic,
            "most of those that come stay",
            facts::newcomers_stay,
        ),
        clause(More, Traffic, "clients wait", facts::waits),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let now = &case.view.now;
    let accepts = now.per_s(now.clients.accepts.max(now.clients.logins));
    Tale {
        subject: words::stormer(case),
        text: format!(
            "{} connections a second come in, each for a few transactions: clients connect again and \
             again instead of keeping connections.",
            words::number(accepts),
        ),
        change: None,
        next: vec![
            step(
                "Let the application keep its connections (a pool, persistent connections), or pause between tries.",
                "plimsoll playbook connection_storm",
            ),
            step(
                "Do not raise max_client_conn: the logins cost, not the connections.",
                "",
            ),
        ],
    }
}
