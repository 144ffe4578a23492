//! An application's own pool is the bottleneck: nobody waits here, but all of its connections are busy all the time.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::UpstreamPoolTooSmall,
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
            "all connections of one application are busy",
            facts::all_busy,
        ),
        clause(
            NotSee,
            Usual,
            "statements take longer than usual",
            facts::slower,
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
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some(app) = facts::busy_app(case) else {
        return Tale::default();
    };
    let name = words::app_name(&app.now.name);
    Tale {
        subject: words::application(case, &app),
        text: format!(
            "Nobody waits here, but all {:.0} connections of {name} are busy {:.0} % of the time: its \
             own pool is the limit, and its requests wait inside the application.",
            app.now.clients.mean(),
            (facts::utilisation(&app) * 100.0).min(100.0),
        ),
        change: case.change(words::RELEASES, &app.now.name).cloned(),
        next: vec![
            step(
                "Raise the pool inside the application; here is room.",
                "plimsoll playbook upstream_pool_too_small",
            ),
            step("Do not raise the limit here: nobody waits here.", ""),
        ],
    }
}
