//! How long a client that joins a queue will wait, from what its flow just saw.
//!
//! Two views, and the kinder one counts. *Measured*: connections came to the
//! flow's waiters at this rate while it waited. *Possible*: the flow's share of
//! the connections, each held as long as its clients held theirs of late, gives
//! that rate (Little's law: rate = connections ÷ time held). The measured rate
//! lags behind when another flow stops waiting; the possible one sees that at
//! once. So nobody is sent away because of what is over already.
//!
//! Without enough evidence there is no prediction, and nobody is sent away.

use std::time::Duration;

/// Grants to waiters of the flow, and returns by its clients, below which there
/// is no prediction. A flow that is served more seldom than that in two windows
/// does batch work, and is left alone.
pub(crate) const EVIDENCE_MIN: u32 = 32;
/// Time over which the grants were seen, at least.
pub(crate) const SPAN_MIN: Duration = Duration::from_secs(1);
/// Time after which a window ends, with however many grants.
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(60);
/// A wait is hopeless when it is predicted to be longer than the deadline by a
/// quarter of it: predictions are not exact, and who comes a little late may
/// still find that others gave up before.
const MARGIN_DIVISOR: u32 = 4;

/// What is known when a client is about to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Evidence {
    /// Waiters of its flow that came before it.
    pub ahead: u32,
    /// Grants to waiters of the flow…
    pub grants: u32,
    /// …seen in this time, in which the flow never stopped waiting.
    pub span: Duration,
    /// Returns by the flow's clients that the mean rests on.
    pub returns: u32,
    /// How long they held a connection, on average over the last few.
    pub hold: Duration,
    /// Connections that fairness gives to the flow.
    pub share: u32,
}

/// The predicted wait; `None`: too little is known.
pub(crate) fn wait(e: &Evidence) -> Option<Duration> {
    if e.grants < EVIDENCE_MIN || e.returns < EVIDENCE_MIN || e.span < SPAN_MIN || e.share == 0 {
        return None;
    }
    let turns = e.ahead.saturating_add(1);
    let measured = e.span.saturating_mul(turns) / e.grants;
    let possible = e.hold.saturating_mul(turns) / e.share;
    Some(measured.min(possible))
}

/// Whether a client with this deadline would wait in vain.
pub(crate) fn hopeless(predicted: Duration, deadline: Duration) -> bool {
    predicted > deadline.saturating_add(deadline / MARGIN_DIVISOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// 100 grants in 2 s of connections held for 200 ms, share 10: 50 a second in both views.
    const STEADY: Evidence = Evidence {
        ahead: 0,
        grants: 100,
        span: ms(2_000),
        returns: 100,
        hold: ms(200),
        share: 10,
    };

    #[test]
    fn the_kinder_of_two_views_counts_and_thin_evidence_for_nothing() {
        let e = |change: fn(&mut Evidence)| {
            let mut e = STEADY;
            change(&mut e);
            e
        };
        let table = [
            ("next in line", STEADY, Some(ms(20))),
            ("behind 49", e(|e| e.ahead = 49), Some(ms(1_000))),
            ("behind 2,999", e(|e| e.ahead = 2_999), Some(ms(60_000))),
            (
                "others stopped waiting: twice the share",
                e(|e| (e.ahead, e.share) = (99, 20)),
                Some(ms(1_000)),
            ),
            (
                "transactions became short a moment ago",
                e(|e| (e.ahead, e.hold) = (99, ms(20))),
                Some(ms(200)),
            ),
            (
                "grants come faster than the mean time held explains",
                e(|e| (e.ahead, e.hold) = (99, ms(9_000))),
                Some(ms(2_000)),
            ),
            ("few grants", e(|e| e.grants = 31), None),
            ("enough grants", e(|e| e.grants = 32), Some(ms(20))),
            ("few returns", e(|e| e.returns = 31), None),
            ("too short a time", e(|e| e.span = ms(999)), None),
            ("nothing moves", e(|e| e.grants = 0), None),
            ("no connection at all", e(|e| e.share = 0), None),
            (
                "a batch system: two a minute",
                e(|e| (e.grants, e.span) = (4, ms(120_000))),
                None,
            ),
            (
                "as many as can be",
                e(|e| e.ahead = u32::MAX),
                Some(ms(20) * u32::MAX),
            ),
        ];
        for (what, evidence, expected) in table {
            assert_eq!(wait(&evidence), expected, "{what}");
        }
    }

    #[test]
    fn only_what_is_late_by_a_quarter_of_its_deadline_is_hopeless() {
        let table = [
            (ms(30_000), ms(30_000), false),
            (ms(37_500), ms(30_000), false),
            (ms(37_501), ms(30_000), true),
            (ms(100), ms(300_000), false),
            (ms(2), ms(1), true),
            (Duration::MAX, Duration::MAX, false),
        ];
        for (predicted, deadline, expected) in table {
            assert_eq!(
                hopeless(predicted, deadline),
                expected,
                "{predicted:?} against {deadline:?}"
            );
        }
    }

    #[test]
    fn more_connections_and_fewer_ahead_never_lengthen_the_prediction() {
        for ahead in [0, 1, 7, 500, 100_000] {
            for share in 1..64 {
                let at = |ahead, share| {
                    wait(&Evidence {
                        ahead,
                        share,
                        ..STEADY
                    })
                };
                assert!(at(ahead, share + 1) <= at(ahead, share));
                assert!(at(ahead, share) <= at(ahead + 1, share));
            }
        }
    }
}
