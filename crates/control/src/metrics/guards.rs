//! What Plimsoll may do by itself, what it did, and what it would have done.

use super::encode::{Encoder, Unit, Value};
use events::snapshot::GuardsRow;
use events::{Guard, GuardMode, Time};

const MODES: [GuardMode; 3] = [GuardMode::Off, GuardMode::Observe, GuardMode::Enforce];

pub(super) fn families(e: &mut Encoder, row: &GuardsRow, now: Time) {
    let mut family = e.gauges(
        "plimsoll_guard_mode",
        Unit::None,
        "1 for the mode in which the guard is now, 0 for the others.",
    );
    for guard in Guard::ALL {
        for mode in MODES {
            let labels = [("guard", guard.label()), ("mode", mode.label())];
            family.add(&labels, u64::from(row.mode(guard) == mode));
        }
    }
    let mut family = e.counters(
        "plimsoll_guard_actions",
        Unit::None,
        "What the guard did (done), would have done (would), and of these what proved needless.",
    );
    for guard in Guard::ALL {
        for (result, count) in [
            ("done", row.counts.done(guard)),
            ("would", row.counts.would(guard)),
            ("needless", row.counts.needless(guard)),
        ] {
            family.add(&[("guard", guard.label()), ("result", result)], count);
        }
    }
    let left = row.off.as_ref().map(|off| off.until.since(now));
    e.gauges(
        "plimsoll_guards_off_remaining_seconds",
        Unit::Seconds,
        "How long a person has switched all guards to watching; 0 while they are on.",
    )
    .add(
        &[],
        Value::Micros(left.map_or(0, |t| u64::try_from(t.as_micros()).unwrap_or(u64::MAX))),
    );
}
