//! Sentences that every report says alike.

use super::units::{share, time};
use crate::measured::{Run, Tally};
use crate::threshold::Measured;
use crate::verdict::{Outcome, Verdict};
use hdrhistogram::Histogram;

/// Percentiles that a report tells; the longest comes after them.
pub(super) const PERCENTILES: [(f64, &str); 5] = [
    (50.0, "p50"),
    (90.0, "p90"),
    (95.0, "p95"),
    (99.0, "p99"),
    (99.9, "p99.9"),
];
/// So many times longer latency must be than service, and by so much, before it is worth a sentence.
const APART: f64 = 2.0;
const APART_US: u64 = 1_000;
/// A share of failures below this moves no percentile that is told.
const FAILED_MIN: f64 = 0.0005;

/// The percentiles and the longest, microseconds; `None`: nothing was answered.
pub(super) fn times_us(times: &Histogram<u64>) -> Option<[u64; 6]> {
    if times.is_empty() {
        return None;
    }
    let mut out = [times.max(); 6];
    for (out, (percent, _)) in out.iter_mut().zip(PERCENTILES) {
        *out = times.value_at_quantile(percent / 100.0).min(times.max());
    }
    Some(out)
}

/// One word and a sentence: what it came to.
pub(super) fn headline(verdict: &Verdict) -> (&'static str, String) {
    let (all, broken) = (verdict.thresholds.len(), verdict.broken());
    match &verdict.outcome {
        Outcome::Kept if all == 0 => ("MEASURED", "no threshold was asked for".to_owned()),
        Outcome::Kept => ("KEPT", format!("{all} of {all} thresholds held")),
        Outcome::Broken if broken == 0 => ("BROKEN", "a threshold ended the run".to_owned()),
        Outcome::Broken => (
            "BROKEN",
            format!("{broken} of {all} thresholds did not hold"),
        ),
        Outcome::CouldNot(why) => ("NOT MEASURED TO ITS END", why.clone()),
        Outcome::Invalid(why) => ("INVALID", why.clone()),
    }
}

/// What a reader of the times must know, lest they deceive.
pub(super) fn cautions(run: &Run) -> Vec<String> {
    let omission = omission(&run.all).into_iter();
    omission.chain(survivors(&run.all)).collect()
}

/// A closed loop waits for the reply before it asks again: it never sees the
/// requests that would have waited.
fn omission(tally: &Tally) -> Option<String> {
    let (latency, service) = (times_us(&tally.latency)?[3], times_us(&tally.service)?[3]);
    let apart = latency as f64 >= service as f64 * APART && latency >= service + APART_US;
    apart.then(|| {
        format!(
            "A closed loop would have reported p99 {}; users would have seen {}: \
             they wait from the moment at which they ask.",
            time(service as f64),
            time(latency as f64)
        )
    })
}

/// Requests that failed have no time, and are often the slowest.
fn survivors(tally: &Tally) -> Option<String> {
    let failed = tally.errors() as f64 / tally.requests().max(1) as f64;
    (failed >= FAILED_MIN).then(|| {
        format!(
            "{} of the requests failed and are in none of these times.",
            share(failed)
        )
    })
}
