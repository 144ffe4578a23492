//! The server lacks processor time or disk throughput: everything there is slow, a trivial query too.

use crate::Cause;
use crate::facts;
use crate::measurements::Measurement::*;
use crate::rule::{Rule, Tale, Want::*, clause, step};
use crate::rules::words;
use crate::view::Case;

/// The rule.
pub(crate) const RULE: Rule = Rule {
    cause: Cause::ServerSaturated,
    sure: 80,
    early: false,
    clauses: &[
        clause(
            SeeOrOut,
            Usual,
            "statements take longer than usual",
            facts::slower_there,
        ),
        clause(
            See,
            Activity,
            "backends wait for processors or disks, or the machine is full",
            facts::saturation,
        ),
        clause(
            SeeOrOut,
            Probe,
            "a trivial query takes longer than usual, or many run",
            facts::all_slow,
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
            "more backends run than the server can work on, most of them ours",
            facts::too_many,
        ),
        clause(
            NotSee,
            Activity,
            "nobody sees the server, and far more of ours work there than usual",
            facts::own_crowd_unseen,
        ),
        clause(
            NotSee,
            Host,
            "the pooler lacks processor time",
            facts::starved_alone,
        ),
        clause(
            NotSee,
            Usual,
            "more is asked than usual, and more gets done",
            facts::loaded,
        ),
        clause(NotSee, Errors, "the server cannot be reached", facts::down),
        clause(
            More,
            Activity,
            "others work at the server",
            facts::others_active,
        ),
        clause(More, Host, "the machine is busy", facts::machine_busy),
    ],
    tell,
};

fn tell(case: &Case) -> Tale {
    let others = facts::others_active(case);
    let by = match others.holds {
        Some(true) => " Others than this fleet work there more than usual.",
        _ => "",
    };
    let shift = facts::shift_of(case);
    let times = shift.map_or(String::new(), |s| {
        format!(
            ": {} where {} is usual",
            words::span(s.now_us),
            words::span(s.usual_us)
        )
    });
    Tale {
        subject: words::server(case),
        text: format!(
            "The server {} is out of processor time or disk throughput; all statements are slow{times}.{by}",
            facts::server_name(case),
        ),
        change: None,
        next: vec![
            step(
                "See what runs there, by wait event.",
                "SELECT wait_event_type, application_name, count(*) FROM pg_stat_activity WHERE state = 'active' GROUP BY 1, 2 ORDER BY 3 DESC",
            ),
            step(
                "End or move what is not urgent: batches, reports, maintenance.",
                "plimsoll playbook server_saturated",
            ),
            step(
                "Do not raise the limit, and do not restart: cold caches make it slower.",
                "",
            ),
        ],
    }
}
