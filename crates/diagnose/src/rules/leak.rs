//! Connections are borrowed and not given back: silent leases add up.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::Leak,
    sure: 84,
    early: true,
    clauses: &[
        clause(
            SeeOrOut,
            Traffic,
            "more leases are silent than were",
            facts::silent_more,
        ),
        clause(
            NotSee,
            ClientTcp,
            "the way to clients is slow",
            facts::client_tcp,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            More,
            Traffic,
            "they are a good part of the pool",
            facts::silent_many,
        ),
        clause(More, Traffic, "clients wait", facts::waits),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some(pool) = case.pool else {
        return Tale::default();
    };
    let app = facts::silent_app(case);
    let name = app.map_or(String::new(), |a| a.now.name.to_string());
    let release = app.map_or(String::new(), |a| a.now.release.to_string());
    let by = match release.is_empty() {
        true => words::app_name(&name),
        false => format!("{} (release {release})", words::app_name(&name)),
    };
    let text = format!(
        "{:.0} of {:.0} connections of {} are held by clients that are silent inside a transaction, \
         most of them of {by}, the oldest for {}: they are not given back.",
        pool.silent.last,
        pool.size,
        pool.name(),
        words::span(pool.oldest_hold_us),
    );
    let mut subject = match &app {
        Some(app) => words::application(case, app),
        None => words::pool(case),
    };
    subject.release = release;
    Tale {
        subject,
        text,
        change: case.change(words::RELEASES, &name).cloned(),
        next: vec![
            step(
                "See in the console who holds them: the statement that came last leads to the code.",
                "SHOW LEASES",
            ),
            step(
                "Take back the release of the application, or restart its processes one by one.",
                "plimsoll playbook leak",
            ),
            step(
                "Do not raise the limit: a leak fills any limit. Do not restart the database.",
                "",
            ),
        ],
    }
}
