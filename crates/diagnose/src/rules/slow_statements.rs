//! Statements take longer at the server, and neither locks, nor the whole server, nor the way to it explain that.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::SlowStatements,
    sure: 78,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Usual,
            "statements take longer than usual",
            facts::slower,
        ),
        clause(
            See,
            Activity,
            "backends that work do not wait for locks",
            facts::no_lock_waits,
        ),
        clause(
            NotSee,
            Activity,
            "most wait for disks, and read no more than they did",
            facts::disk_waits,
        ),
        clause(
            NotSee,
            Usual,
            "one application's few long statements, and nobody waits for them",
            facts::only_a_batch,
        ),
        clause(
            More,
            Activity,
            "a transaction reads far more than usual",
            facts::reads_more,
        ),
        clause(
            NotSee,
            Errors,
            "statements end for locks",
            facts::lock_errors,
        ),
        clause(
            See,
            Probe,
            "a trivial query takes as long as usual",
            facts::probe_flat,
        ),
        clause(
            NotSee,
            Activity,
            "lent connections wait for messages under way",
            facts::on_the_way,
        ),
        clause(
            NotSee,
            Usual,
            "more is asked than usual, and more gets done",
            facts::loaded,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            NotSee,
            Host,
            "the pooler lacks processor time",
            facts::starved,
        ),
        clause(
            NotSee,
            ServerTcp,
            "the way to the server is slow",
            facts::server_tcp,
        ),
        clause(
            NotSee,
            Activity,
            "more backends run than the server can work on, most of them ours",
            facts::too_many,
        ),
        clause(
            More,
            Activity,
            "lent connections work at the server",
            facts::at_server,
        ),
        clause(
            NotSee,
            Activity,
            "all applications got slower alike while processors are short",
            facts::alike,
        ),
        clause(
            NotSee,
            Activity,
            "nothing ends, and nobody sees who waits for a lock",
            facts::stuck_unseen,
        ),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let Some((pool, shift)) = case.pool.zip(facts::shift_of(case)) else {
        return Tale::default();
    };
    let app = facts::slow_app(case);
    let name = app.map_or(String::new(), |a| a.now.name.to_string());
    let of = match name.is_empty() {
        true => String::new(),
        false => format!(", most of all those of {name}"),
    };
    let mut subject = words::pool(case);
    subject.application = name.clone();
    Tale {
        subject,
        text: format!(
            "Statements of {} take {} where {} is usual{of}; a trivial query is as fast as before: \
             some statements got slower, not the server.",
            pool.name(),
            words::span(shift.now_us),
            words::span(shift.usual_us),
        ),
        change: case.change(words::RELEASES, &name).cloned(),
        next: vec![
            step(
                "See which statements run for long.",
                "SELECT pid, now() - query_start AS runs, application_name FROM pg_stat_activity WHERE state = 'active' ORDER BY query_start",
            ),
            step(
                "Look for a changed plan, a lost index, missing statistics.",
                "ANALYZE",
            ),
            step(
                "Do not raise the limit first: more of them at once are slower.",
                "",
            ),
        ],
    }
}
