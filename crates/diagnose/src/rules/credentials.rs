//! The server, or Plimsoll, refuses passwords or certificates.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::Credentials,
    sure: 90,
    early: false,
    clauses: &[clause(
        SeeOrOut,
        Errors,
        "logins are refused",
        facts::logins_refused,
    )],
    tell,
};

fn tell(case: &Case) -> Tale {
    let ours = case.server.is_some_and(|s| s.login_failed > 0.0);
    let name = facts::server_name(case);
    let text = match ours {
        true => format!(
            "The server {name} refuses the login of the pooler (SQLSTATE {}).",
            case.server.map_or("", |s| &s.last_error),
        ),
        false => format!(
            "Clients are refused for their credentials, {} in a second.",
            words::number(case.view.now.per_s(case.view.now.clients.login_failures)),
        ),
    };
    Tale {
        subject: if ours {
            words::server(case)
        } else {
            words::failing(case)
        },
        text,
        change: case.change(words::SECRETS, "").cloned(),
        next: vec![
            step(
                "Compare the secret with the server's; it is read again when its file changes.",
                "plimsoll status",
            ),
            step(
                "Do not restart: it would refuse the connections that still work.",
                "",
            ),
        ],
    }
}
