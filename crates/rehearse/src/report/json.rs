//! For programs: one object on one line. Fields are added and never change their
//! meaning while `schema` is 1.
//!
//! ```text
//!   schema     1
//!   kind       "single" | "compare" | "limit" | "none": it did not come to a run
//!   outcome    "kept" | "broken" | "could_not" | "invalid"
//!   exit_code  0 | 1 | 2 | 3
//!   reason     why there is no judgement, or null
//!   help       what would help then
//!
//!   single     target, began_unix_s, planned_us, lasted_us, ended, thresholds,
//!              result, not_a_result, connections, generator
//!   compare    sides, rounds, thrown_away, tolerate, metrics: see json/compare.rs
//!   limit      end, held_per_s, recommended_per_s, fit, steps: see json/limit.rs
//! ```
//!
//! The figures stand in `result`. Those of an invalid run stand in `not_a_result`
//! and `result` is null, so that no program takes them for what they are not.
//! Times are whole microseconds in fields that end in `_us`; shares are from 0 to 1.

mod compare;
mod limit;

use super::Rehearsal;
use super::units::shown;
use super::words::{cautions, times_us};
use crate::measured::{ClassTally, Connections, Ended, Generator, Run, Second, Tally};
use crate::threshold::{Judged, Measured};
use crate::verdict::{Outcome, Verdict};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Most points of a run over time: more seconds are folded.
const POINTS_MAX: usize = 3_600;

#[derive(Serialize)]
struct Report<'a, T> {
    schema: u32,
    kind: &'static str,
    outcome: &'static str,
    exit_code: u8,
    reason: Option<&'a str>,
    help: &'a [String],
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Single<'a> {
    target: &'a str,
    began_unix_s: u64,
    planned_us: u64,
    lasted_us: u64,
    ended: &'static str,
    thresholds: Vec<Threshold<'a>>,
    result: Option<Figures<'a>>,
    not_a_result: Option<Figures<'a>>,
    connections: Conns<'a>,
    generator: Gen,
}

#[derive(Serialize)]
struct Threshold<'a> {
    text: &'a str,
    /// Null: not judged.
    kept: Option<bool>,
    /// With its unit, for people.
    measured: &'a str,
}

#[derive(Serialize)]
struct Figures<'a> {
    /// Answers per second while the schedule ran; `answered_per_s` counts late ones too.
    goodput_per_s: f64,
    all: Numbers,
    classes: Vec<Class<'a>>,
    cautions: Vec<String>,
    seconds: Vec<Point>,
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Serialize)]
struct Numbers {
    requests: u64,
    answered: u64,
    failed: u64,
    failed_share: f64,
    answered_per_s: f64,
    latency: Option<Times>,
    wait: Option<Times>,
    service: Option<Times>,
    failures: Vec<Kind>,
}

#[derive(Serialize)]
struct Times {
    mean_us: u64,
    p50_us: u64,
    p90_us: u64,
    p95_us: u64,
    p99_us: u64,
    p99_9_us: u64,
    max_us: u64,
}

#[derive(Serialize)]
struct Kind {
    why: String,
    count: u64,
}

#[derive(Serialize)]
struct Point {
    from_s: u64,
    lasts_s: u64,
    due: u64,
    answered: u64,
    failed: u64,
    goodput: u64,
    latency_p50_us: u64,
    latency_p99_us: u64,
    latency_max_us: u64,
    wait_p99_us: u64,
    busy_max: u32,
    queued_max: u32,
}

#[derive(Serialize)]
struct Conns<'a> {
    most: u32,
    opened: u64,
    open_mean_us: u64,
    lost: u64,
    refused: u64,
    refusal: Option<&'a str>,
    refused_from_us: Option<u64>,
    refused_until_us: Option<u64>,
}

#[derive(Serialize)]
struct Gen {
    lag_p50_us: u64,
    lag_p99_us: u64,
    lag_max_us: u64,
    starved_share: Option<f64>,
    cpu_share: Option<f64>,
    /// Where captured requests were played.
    #[serde(skip_serializing_if = "Option::is_none")]
    stand_ins: Option<Stands>,
}

#[derive(Serialize)]
struct Stands {
    played: u64,
    too_short: u64,
    shortest_us: u64,
}

/// The report.
pub(super) fn json(rehearsal: &Rehearsal) -> String {
    match rehearsal {
        Rehearsal::Single { run, verdict } => report(
            "single",
            &verdict.outcome,
            &verdict.help,
            single(run, verdict),
        ),
        Rehearsal::Compare {
            began_unix_s,
            comparison,
        } => {
            let rest = compare::compare(*began_unix_s, comparison);
            report("compare", &comparison.outcome, &[], rest)
        }
        Rehearsal::Limit {
            began_unix_s,
            limit,
        } => {
            let rest = limit::limit(*began_unix_s, limit);
            report("limit", &limit.outcome, &[], rest)
        }
    }
}

fn report(kind: &'static str, outcome: &Outcome, help: &[String], rest: impl Serialize) -> String {
    let report = Report {
        schema: 1,
        kind,
        outcome: outcome.label(),
        exit_code: outcome.exit_code(),
        reason: outcome.reason(),
        help,
        rest,
    };
    // Strings, numbers and lists: writing them to memory cannot fail.
    let mut text = serde_json::to_string(&report).unwrap_or_default();
    text.push('\n');
    text
}

/// The object of a rehearsal that did not come to a run.
pub(super) fn could_not(outcome: &Outcome) -> String {
    #[derive(Serialize)]
    struct Nothing {}
    report("none", outcome, &[], Nothing {})
}

fn single<'a>(run: &'a Run, verdict: &'a Verdict) -> Single<'a> {
    let invalid = matches!(verdict.outcome, Outcome::Invalid(_));
    let judged = verdict.thresholds.iter();
    let threshold = |one: &'a Judged| Threshold {
        text: &one.text,
        kept: (!invalid).then_some(one.kept),
        measured: if invalid { "" } else { &one.measured },
    };
    let figures = Some(figures(run));
    let (result, not_a_result) = match invalid {
        false => (figures, None),
        true => (None, figures),
    };
    Single {
        target: &run.target,
        began_unix_s: run.began_unix_s,
        planned_us: run.planned.as_micros() as u64,
        lasted_us: run.lasted.as_micros() as u64,
        ended: match run.ended {
            Ended::Whole => "whole",
            Ended::Interrupted => "interrupted",
            Ended::NoConnection(_) => "no_connection",
            Ended::Aborted(_) => "aborted",
        },
        thresholds: judged.map(threshold).collect(),
        result,
        not_a_result,
        connections: connections(&run.connections),
        generator: generator(&run.generator),
    }
}

fn figures(run: &Run) -> Figures<'_> {
    let class = |class: &'_ ClassTally| numbers(&class.tally);
    Figures {
        goodput_per_s: run.goodput(),
        all: numbers(&run.all),
        classes: run
            .classes
            .iter()
            .map(|one| Class {
                name: &one.name,
                numbers: class(one),
            })
            .collect(),
        cautions: cautions(run),
        seconds: super::folded::fold(&run.seconds, POINTS_MAX)
            .into_iter()
            .map(|(from_s, lasts_s, second)| point(from_s, lasts_s, second))
            .collect(),
    }
}

fn numbers(tally: &Tally) -> Numbers {
    let failures = tally.failed.iter().map(|(why, count)| Kind {
        why: shown(&why.to_string()),
        count: *count,
    });
    Numbers {
        requests: tally.due,
        answered: tally.answered,
        failed: tally.errors(),
        failed_share: tally.errors() as f64 / tally.due.max(1) as f64,
        answered_per_s: tally.rate(),
        latency: times(&tally.latency),
        wait: times(&tally.wait),
        service: times(&tally.service),
        failures: failures.collect(),
    }
}

fn times(times: &Histogram<u64>) -> Option<Times> {
    let [p50_us, p90_us, p95_us, p99_us, p99_9_us, max_us] = times_us(times)?;
    Some(Times {
        mean_us: times.mean().round() as u64,
        p50_us,
        p90_us,
        p95_us,
        p99_us,
        p99_9_us,
        max_us,
    })
}

fn point(from_s: u64, lasts_s: u64, second: Second) -> Point {
    Point {
        from_s,
        lasts_s,
        due: second.due,
        answered: second.answered,
        failed: second.failed,
        goodput: second.goodput,
        latency_p50_us: second.latency_p50_us,
        latency_p99_us: second.latency_p99_us,
        latency_max_us: second.latency_max_us,
        wait_p99_us: second.wait_p99_us,
        busy_max: second.busy_max,
        queued_max: second.queued_max,
    }
}

fn connections(connections: &Connections) -> Conns<'_> {
    let (from, until) = connections.refused_between.unzip();
    Conns {
        most: connections.most,
        opened: connections.opened,
        open_mean_us: connections.open_mean_us,
        lost: connections.lost,
        refused: connections.refused,
        refusal: connections.refusal.as_deref(),
        refused_from_us: from.map(|at| at.as_micros() as u64),
        refused_until_us: until.map(|at| at.as_micros() as u64),
    }
}

fn generator(generator: &Generator) -> Gen {
    Gen {
        lag_p50_us: generator.lag.value_at_quantile(0.5),
        lag_p99_us: generator.lag_p99_us(),
        lag_max_us: generator.lag.max(),
        starved_share: generator.starved,
        cpu_share: generator.cpu,
        stand_ins: generator.stand_ins.map(|s| Stands {
            played: s.played,
            too_short: s.too_short,
            shortest_us: s.shortest_us,
        }),
    }
}
