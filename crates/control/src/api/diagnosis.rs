//! `/v1/diagnosis` and `/v1/alerts`: what is wrong, and what needs a person.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::measures::measured;
use super::table::{Kind, Parameter, Route, Shape, Verb};
use crate::measure::now_ms;
use config::ApiRole;
use diagnose::Verdict;
use diagnose::alert::Alert;

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/v1/diagnosis",
        role: ApiRole::Viewer,
        summary: "What is wrong, with the figures that say so, and what it is not.",
        parameters: &[Parameter {
            name: "at_ms",
            kind: Kind::Number {
                min: 0,
                max: 4_102_444_800_000,
            },
            meaning: "A moment of the last day, UTC, milliseconds since 1970; else now.",
        }],
        body: None,
        answer: Shape::of::<Verdict>(),
        handle: diagnosis,
    },
    Route {
        verb: Verb::Get,
        path: "/v1/alerts",
        role: ApiRole::Viewer,
        summary: "Alerts that are seen: pending and firing.",
        parameters: &[],
        body: None,
        answer: Shape::of::<Vec<Alert>>(),
        handle: alerts,
    },
];

fn diagnosis(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    if parts.veil.hides() {
        return Ok(Answer::json(&parts.veil.verdict()));
    }
    let at = call.number("at_ms").and_then(|at| i64::try_from(at).ok());
    let verdict = measured(parts)?.look(|record| match at {
        Some(at) => diagnose::diagnose(record, Some(at)),
        None => diagnose::diagnose_now(record, now_ms()),
    });
    Ok(Answer::json(&verdict))
}

fn alerts(parts: &Parts, _: &Call) -> Result<Answer, Failure> {
    let absent = || Failure::absent("lookout", "it ends with the pooler");
    let lookout = parts.lookout.as_ref().ok_or_else(absent)?;
    let seen = match parts.veil.hides() {
        true => Vec::new(),
        false => lookout.alerts(),
    };
    Ok(Answer::json(&seen))
}
