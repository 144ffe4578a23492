//! An application's own pool is drained by a leak: its connections stay open, and fewer and fewer ever ask.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::UpstreamLeak,
    sure: 72,
    early: true,
    clauses: &[
        clause(
            SeeOrOut,
            Traffic,
            "there is room here and nobody waits",
            facts::room,
        ),
        clause(
            SeeOrOut,
            Applications,
            "an application keeps its connections and asks less and less",
            facts::drained,
        ),
        clause(
            NotSee,
            Usual,
            "statements take longer than usual",
            facts::slower,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(NotSee, Errors, "logins are refused", facts::logins_refused),
        clause(
            NotSee,
            Activity,
            "backends wait for locks",
            facts::lock_waits,
        ),
        clause(
            NotSee,
            Probe,
            "a trivial query takes longer than usual",
            facts::probe_slow,
        ),
        clause(
            NotSee,
            ClientTcp,
            "the way to clients is slow",
            facts::client_tcp,
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
    let found = facts::drained_app(case);
    let Some(app) = found.map(|f| f.0).or_else(|| facts::all_silent(case)) else {
        return Tale::default();
    };
    let name = words::app_name(&app.now.name);
    let text = match found {
        Some((_, asks, was)) => format!(
            "Nobody waits here. {name} holds {:.0} connections open but asks {} times a second where \
             {} are usual: its own pool is drained by connections that it does not give back.",
            app.now.clients.last,
            words::number(asks),
            words::number(was),
        ),
        None => format!(
            "Nobody waits here, but all {:.0} connections of {name} sit in a transaction, silent: it \
             does not give them back to its own pool.",
            app.now.clients.last,
        ),
    };
    Tale {
        subject: words::application(case, &app),
        text,
        change: case.change(words::RELEASES, &app.now.name).cloned(),
        next: vec![
            step(
                "Restart the application's processes one by one, or take back its newest release.",
                "plimsoll playbook upstream_leak",
            ),
            step(
                "Look for a path that borrows a connection and does not give it back.",
                "",
            ),
            step(
                "Do not raise the limit here and do not restart the database.",
                "",
            ),
        ],
    }
}
