//! The server cannot be reached, restarts, has moved, or became a standby.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::DatabaseDown,
    sure: 92,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Errors,
            "the server refuses or ends connections, or takes no writes",
            facts::down,
        ),
        clause(NotSee, Traffic, "the pool is paused", facts::paused),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let name = facts::server_name(case);
    let last = case
        .server
        .map_or(String::new(), |s| s.last_error.to_string());
    let code = match last.is_empty() {
        true => String::new(),
        false => format!(" (last SQLSTATE {last})"),
    };
    let fact = facts::down(case);
    let seen = fact.figure.map_or(String::new(), |f| f.to_string());
    let what = if facts::turned(case) || last == "25006" {
        "became a standby and takes no writes"
    } else if facts::restarted(case) {
        "was restarted"
    } else {
        "cannot be reached, restarts or has moved"
    };
    Tale {
        subject: words::server(case),
        text: format!("The server {name} {what}{code}: {seen}."),
        change: case.change(words::SERVERS, "").cloned(),
        next: vec![
            step(
                "Ask the server's log or the provider's page; look who is primary.",
                "plimsoll playbook database_down",
            ),
            step(
                "If it moved: its name is followed by itself; where the address stands in the settings, change it there.",
                "plimsoll plan && plimsoll apply",
            ),
            step(
                "Do not restart the pooler or the applications: they reconnect by themselves.",
                "",
            ),
        ],
    }
}
