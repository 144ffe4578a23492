//! Statements wait for locks that other transactions hold.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::Locks,
    sure: 88,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Activity,
            "backends wait for locks",
            facts::lock_evidence,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            More,
            Usual,
            "statements take longer than usual",
            facts::slower,
        ),
        clause(More, Usual, "less gets done", facts::fewer_done),
        clause(More, Errors, "statements end for locks", facts::lock_errors),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let blocker = facts::blocker(case);
    let text = match blocker {
        Some(b) => format!(
            "Statements at {} wait for locks: process {} of {} ({}, in its transaction for {}) holds \
             up {}.",
            facts::server_name(case),
            b.pid,
            words::app_name(&b.application),
            b.state,
            words::span(b.transaction_ms as f64 * 1e3),
            b.blocked.max(1),
        ),
        None => format!("Statements at {} wait for locks.", facts::server_name(case)),
    };
    let kill = blocker.map_or(String::new(), |b| {
        format!("SELECT pg_terminate_backend({})", b.pid)
    });
    let mut subject = words::server(case);
    subject.application = blocker.map_or(String::new(), |b| b.application.to_string());
    Tale {
        subject,
        text,
        change: None,
        next: vec![
            step(
                "See who waits for whom.",
                "SELECT pid, pg_blocking_pids(pid), application_name, state FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0",
            ),
            step(
                "End the transaction that blocks, once its owner agrees.",
                kill,
            ),
            step(
                "Do not raise the limit: more would wait for the same lock.",
                "",
            ),
        ],
    }
}
