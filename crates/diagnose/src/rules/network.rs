//! The way to the server, or to clients, is slow or loses data.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::Network,
    sure: 80,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Probe,
            "the way is slow: round trips, segments sent again, or the probe while the server is idle",
            facts::way_slow,
        ),
        clause(
            NotSee,
            Host,
            "the pooler lacks processor time",
            facts::starved,
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
            "backends wait for processors, disks or internal locks",
            facts::run_queue,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            NotSee,
            Usual,
            "far more is done than usual",
            facts::more_done,
        ),
        clause(
            NotSee,
            Probe,
            "some seconds are as quick as ever while the probe is slow",
            facts::quick_seconds,
        ),
        clause(
            More,
            Probe,
            "service times and probe rose by the same",
            facts::in_step,
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
    let fact = facts::way_slow(case);
    let seen = fact.figure.map_or(String::new(), |f| f.to_string());
    let clients = facts::client_tcp(case).holds == Some(true);
    let (to, subject) = match clients {
        true => ("clients".to_owned(), words::pool(case)),
        false => (facts::server_name(case), words::server(case)),
    };
    let behind = match case.server.is_some_and(|s| s.intermediary) && !clients {
        true => " It is reached through something in between, so TCP figures end there.",
        false => "",
    };
    Tale {
        subject,
        text: format!(
            "The way to {to} is slow or loses data: {seen}, while the server itself has little to do.{behind}"
        ),
        change: None,
        next: vec![
            step(
                "Measure the way from this machine, and from the proxy in between if there is one.",
                "plimsoll playbook network",
            ),
            step(
                "Do not restart the database and do not raise the limit: the server is idle.",
                "",
            ),
        ],
    }
}
