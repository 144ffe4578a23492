//! A search for programs.

use crate::limit::{End, Limit as Found, Step as Tried, Why};
use serde::Serialize;

/// `limit`: began_unix_s, target, end, held_per_s, failed_per_s, recommended_per_s,
/// capacity_per_s, collapses_to_per_s, sentence, fit, no_fit, steps.
#[derive(Serialize)]
pub(super) struct Limit<'a> {
    began_unix_s: u64,
    target: &'a str,
    end: &'static str,
    held_per_s: Option<f64>,
    failed_per_s: Option<f64>,
    recommended_per_s: Option<f64>,
    capacity_per_s: Option<f64>,
    collapses_to_per_s: Option<f64>,
    sentence: String,
    fit: Option<Fit>,
    no_fit: Option<String>,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Fit {
    knee_per_s: f64,
    knee_least_per_s: f64,
    knee_most_per_s: f64,
    unloaded_p99_us: u64,
    residual: f64,
    steps: usize,
}

/// Its times are null where the generator lagged: they are its own.
#[derive(Serialize)]
struct Step {
    rate_per_s: f64,
    offered_per_s: f64,
    goodput_per_s: f64,
    failed_share: f64,
    latency_p50_us: Option<u64>,
    latency_p99_us: Option<u64>,
    wait_p99_us: Option<u64>,
    failed: Option<&'static str>,
    why: Option<String>,
}

pub(super) fn limit(began_unix_s: u64, limit: &Found) -> Limit<'_> {
    let (end, held, failed) = match &limit.end {
        End::Found { held, failed, why } => match why {
            Why::Generator(_) => ("generator", Some(*held), Some(*failed)),
            _ => ("found", Some(*held), Some(*failed)),
        },
        End::Above(held) => ("above", Some(*held), None),
        End::Below(failed, _) => ("below", None, Some(*failed)),
        End::Open => ("open", None, None),
    };
    let fit = limit.fit.as_ref().ok().map(|fit| Fit {
        knee_per_s: fit.knee,
        knee_least_per_s: fit.knee_range[0],
        knee_most_per_s: fit.knee_range[1],
        unloaded_p99_us: fit.unloaded_us.round() as u64,
        residual: fit.residual,
        steps: fit.steps,
    });
    Limit {
        began_unix_s,
        target: &limit.target,
        end,
        held_per_s: held,
        failed_per_s: failed,
        recommended_per_s: limit.recommended,
        capacity_per_s: limit.capacity.map(|one| one.per_s),
        collapses_to_per_s: limit.capacity.and_then(|one| one.collapses_to),
        sentence: limit.sentence(),
        fit,
        no_fit: limit.fit.as_ref().err().map(ToString::to_string),
        steps: limit
            .steps
            .iter()
            .map(|(tried, why)| step(tried, why.as_ref()))
            .collect(),
    }
}

fn step(step: &Tried, why: Option<&Why>) -> Step {
    let own = matches!(why, Some(Why::Generator(_)));
    let us = |us: f64| (!own).then_some(us.round() as u64);
    Step {
        rate_per_s: step.rate,
        offered_per_s: step.offered,
        goodput_per_s: step.goodput,
        failed_share: step.errors,
        latency_p50_us: us(step.p50_us),
        latency_p99_us: us(step.p99_us),
        wait_p99_us: us(step.wait_p99_us),
        failed: why.map(|why| match why {
            Why::Behind => "behind",
            Why::Errors => "errors",
            Why::Threshold(_) => "threshold",
            Why::Generator(_) => "generator",
        }),
        why: why.map(Why::say),
    }
}
