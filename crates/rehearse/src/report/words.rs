//! Sentences that every report says alike.

use super::units::{change, percent, rate, share, time};
use crate::compare::{Comparison, FALSE_ALARMS, Metric, ROUNDS_MIN, Row, Says};
use crate::limit::{BEHIND, End, HEADROOM, Limit, Why};
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

/// The same of a comparison.
pub(super) fn compared(comparison: &Comparison) -> (&'static str, String) {
    let broken = comparison.rows.iter().filter(|row| row.broken);
    let broken: Vec<&str> = broken.map(|row| row.metric.label()).collect();
    let tolerated = comparison.tolerate.map(percent);
    match (&comparison.outcome, tolerated) {
        (Outcome::CouldNot(why), _) => ("NOT COMPARED", why.clone()),
        (Outcome::Invalid(why), _) => ("INVALID", why.clone()),
        (Outcome::Broken, tolerated) => (
            "BROKEN",
            format!(
                "B is worse than A by more than {}: {}",
                tolerated.unwrap_or_default(),
                broken.join(", ")
            ),
        ),
        (Outcome::Kept, Some(tolerated)) => (
            "KEPT",
            format!("B is not shown to be worse than A by more than {tolerated}"),
        ),
        (Outcome::Kept, None) => ("COMPARED", told(comparison)),
    }
}

/// Which differences could be told, of all requests.
fn told(comparison: &Comparison) -> String {
    let of = |says: Says, word: &str| {
        let rows = comparison.rows.iter().filter(|row| row.class.is_none());
        let rows = rows.filter(|row| row.says == says);
        let names: Vec<&str> = rows.map(|row| row.metric.label()).collect();
        (!names.is_empty()).then(|| format!("{word} at {}", names.join(", ")))
    };
    let parts = [of(Says::Worse, "worse"), of(Says::Better, "better")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "no difference could be told".to_owned(),
        false => format!("B is {}", parts.join("; ")),
    }
}

/// How a comparison is to be read.
pub(super) fn readings(comparison: &Comparison) -> Vec<String> {
    let mut out = Vec::new();
    if let (Some(tolerate), Some((metric, least))) = (comparison.tolerate, comparison.blind_to())
        && least > tolerate
    {
        out.push(format!(
            "With this noise and so many rounds a difference below {} at {} could stay unseen: \
             more rounds, or longer ones, see more.",
            share(least),
            metric.label()
        ));
    }
    if !comparison.rows.is_empty() {
        out.push(format!(
            "The interval is of 95 %, a paired t interval over the rounds. A word rests on a wider \
             one: the figures that decide blame one of two equal sides at most once in {:.0} \
             comparisons.",
            1.0 / FALSE_ALARMS
        ));
        if comparison.rows.iter().any(|row| leans(row).is_some()) {
            out.push(
                "\"Perhaps\": the interval shown leaves out zero, the wider one does not. Of twenty \
                 figures of two equal sides one looks like that by chance: it is no finding."
                    .to_owned(),
            );
        }
    }
    if !comparison.thrown_away.is_empty() {
        out.push(format!(
            "Rounds that are worth nothing are thrown away; at least {ROUNDS_MIN} must be left."
        ));
    }
    out
}

/// A difference, and the ends of an interval, as they are written.
pub(super) fn difference(row: &Row, value: f64) -> String {
    match row.metric {
        Metric::Errors => change(value).replace('%', "pp"),
        _ => change(value),
    }
}

/// Where the interval for reading leaves zero out and the one that decides does not.
fn leans(row: &Row) -> Option<&'static str> {
    let (more, less) = (row.interval.low > 0.0, row.interval.high < 0.0);
    let better = if row.metric == Metric::Goodput {
        more
    } else {
        less
    };
    match matches!(row.says, Says::Untold { .. }) && (more || less) {
        true => Some(if better { "better" } else { "worse" }),
        false => None,
    }
}

/// What is said of a row.
pub(super) fn said(row: &Row) -> String {
    let word = match row.says {
        Says::Better => "better".to_owned(),
        Says::Worse => "worse".to_owned(),
        Says::Untold { least } => {
            let least = difference(row, least);
            let least = least.trim_start_matches('+');
            // Beside an interval that leaves zero out, "none" would look like a mistake.
            match leans(row) {
                Some(word) => format!("perhaps {word}; not certain"),
                None => format!("none told; {least} would show"),
            }
        }
    };
    match row.broken {
        true => format!("{word}, not tolerated"),
        false => word,
    }
}

/// The same of a search.
pub(super) fn limited(limit: &Limit) -> (&'static str, String) {
    match &limit.outcome {
        Outcome::Kept | Outcome::Broken => ("FOUND", limit.sentence()),
        Outcome::CouldNot(why) => ("NOT FOUND", why.clone()),
        Outcome::Invalid(why) => ("INVALID", format!("{why}. {}", limit.sentence())),
    }
}

/// The figures of a search: name, value, and what it means.
pub(super) fn findings(limit: &Limit) -> Vec<[String; 3]> {
    let mut out = Vec::new();
    let mut tell = |name: &str, value: String, meaning: String| {
        out.push([name.to_owned(), value, meaning]);
    };
    // The one number that a person needs comes first; the others say why it is that.
    if let Some(recommended) = limit.recommended {
        let of = match (&limit.end, limit.fit.is_ok()) {
            (_, true) => {
                "of the knee, or of the highest rate that held if that is lower; a burst of a \
                 quarter more is carried too"
            }
            (
                End::Found {
                    why: Why::Generator(_),
                    ..
                }
                | End::Above(_),
                _,
            ) => "of the highest rate that held: at least this, for the limit lies above",
            _ => "of the highest rate that held; a burst of a quarter more is carried too",
        };
        let meaning = format!("the one to use: {} {of}", percent(HEADROOM));
        tell("recommended", rate(recommended), meaning);
    }
    if let Some(capacity) = limit.capacity {
        let meaning = match capacity.collapses_to {
            None => "not for use: the most that was answered; at this rate a queue only grows"
                .to_owned(),
            Some(to) => format!("beyond it answers fall, down to {}", rate(to)),
        };
        tell("capacity", rate(capacity.per_s), meaning);
    }
    match &limit.fit {
        Ok(fit) => {
            tell(
                "knee",
                rate(fit.knee),
                format!(
                    "not for use: here p99 is twice the {} without load; {} to {} when any one step \
                     is left out",
                    time(fit.unloaded_us),
                    rate(fit.knee_range[0]),
                    rate(fit.knee_range[1])
                ),
            );
            let curve = format!("of the {} steps below capacity", fit.steps);
            tell("curve is off", share(fit.residual), curve);
        }
        Err(why) => tell("no curve", "–".to_owned(), why.to_string()),
    }
    out
}

/// What a reader of the times must know, lest they deceive.
pub(super) fn cautions(run: &Run) -> Vec<String> {
    let omission = omission(&run.all).into_iter();
    let omission = omission.chain(survivors(&run.all));
    omission.chain(behind(run)).collect()
}

/// Where a queue grows to the end, times are as long as the run was.
fn behind(run: &Run) -> Option<String> {
    let offered = run.offered();
    let fell = run.all.due > 0 && run.goodput() < offered * BEHIND;
    fell.then(|| {
        format!(
            "Answers fell behind: {} of {} offered. A queue that grows makes times that grow \
             with the length of the run: compare rates, not these.",
            rate(run.goodput()),
            rate(offered)
        )
    })
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
