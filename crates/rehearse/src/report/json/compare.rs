//! A comparison for programs.

use crate::compare::{Comparison, Interval, Row, Says};
use serde::Serialize;

/// `compare`: began_unix_s, sides, rounds, thrown_away, tolerate, metrics.
#[derive(Serialize)]
pub(super) struct Compare<'a> {
    began_unix_s: u64,
    sides: &'a [String; 2],
    rounds: usize,
    thrown_away: Vec<Thrown<'a>>,
    tolerate: Option<f64>,
    metrics: Vec<Metric<'a>>,
}

#[derive(Serialize)]
struct Thrown<'a> {
    round: usize,
    why: &'a str,
}

/// Times in microseconds, rates per second; differences of B against A are relative
/// (0.1: a tenth more), those of `failed` in shares.
#[derive(Serialize)]
struct Metric<'a> {
    class: Option<&'a str>,
    metric: &'static str,
    gated: bool,
    rounds: usize,
    a: f64,
    b: f64,
    difference: f64,
    interval_95: [f64; 2],
    interval_judged: [f64; 2],
    says: &'static str,
    least_told: Option<f64>,
    broken: bool,
}

pub(super) fn compare(began_unix_s: u64, comparison: &Comparison) -> Compare<'_> {
    let thrown = comparison.thrown_away.iter();
    Compare {
        began_unix_s,
        sides: &comparison.names,
        rounds: comparison.rounds,
        thrown_away: thrown
            .map(|(round, why)| Thrown { round: *round, why })
            .collect(),
        tolerate: comparison.tolerate,
        metrics: comparison.rows.iter().map(metric).collect(),
    }
}

fn metric(row: &Row) -> Metric<'_> {
    let ends = |interval: Interval| [interval.low, interval.high];
    Metric {
        class: row.class.as_deref(),
        metric: row.metric.label(),
        gated: row.gated,
        rounds: row.rounds,
        a: row.medians[0],
        b: row.medians[1],
        difference: row.difference,
        interval_95: ends(row.interval),
        interval_judged: ends(row.judged),
        says: match row.says {
            Says::Better => "better",
            Says::Worse => "worse",
            Says::Untold { .. } => "untold",
        },
        least_told: match row.says {
            Says::Untold { least } => Some(least),
            Says::Better | Says::Worse => None,
        },
        broken: row.broken,
    }
}
