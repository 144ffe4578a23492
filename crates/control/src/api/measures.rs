//! What was measured: `/v1/series`, `/v1/markers`, `/v1/bundle`, and releases,
//! which people and their deployments mark.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Body, Kind, Parameter, Route, Shape, Verb};
use crate::bundle::Bundle;
use crate::measure::{Measures, now_ms};
use config::ApiRole;
use events::sample::{Marker, MarkerKind, Name, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of an application or a version.
const NAME_BYTES: usize = 200;
/// Samples in one answer.
const SAMPLES_MAX: usize = 3_600;
/// The span of a bundle or a series where nothing is said: a quarter of an hour.
const SPAN_MS: i64 = 15 * 60_000;
/// A release may be marked for an hour ahead or a day after.
const AHEAD_MS: i64 = 3_600_000;
const BEHIND_MS: i64 = 24 * 3_600_000;
/// Largest moment that is taken: the year 2100.
const MOMENT_MAX: u64 = 4_102_444_800_000;

/// A release of an application.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAsk {
    /// The application, as its connections name it.
    pub application: String,
    /// Its version.
    pub version: String,
    /// When it went out, UTC, milliseconds since 1970; else now.
    #[serde(default)]
    pub at_ms: Option<i64>,
    /// Who released it.
    #[serde(default)]
    pub actor: String,
}

/// Samples of some time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SeriesAnswer {
    /// The instance that measured.
    pub instance: String,
    /// Samples, oldest first; at most 3,600, the newest.
    pub samples: Vec<Sample>,
    /// What changed within.
    pub markers: Vec<Marker>,
}

const FROM: Parameter = Parameter {
    name: "from_ms",
    kind: Kind::Number {
        min: 0,
        max: MOMENT_MAX,
    },
    meaning: "The begin, UTC, milliseconds since 1970; else a quarter of an hour before the end.",
};
const UNTIL: Parameter = Parameter {
    name: "until_ms",
    kind: Kind::Number {
        min: 0,
        max: MOMENT_MAX,
    },
    meaning: "The end, UTC, milliseconds since 1970; else now.",
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/v1/series",
        role: ApiRole::Viewer,
        summary: "What was measured, second by second for an hour, minute by minute for a day.",
        parameters: &[
            FROM,
            UNTIL,
            Parameter {
                name: "step",
                kind: Kind::Word(&["second", "minute"]),
                meaning: "Seconds, or minutes; else seconds.",
            },
        ],
        body: None,
        answer: Shape::of::<SeriesAnswer>(),
        handle: series,
    },
    Route {
        verb: Verb::Get,
        path: "/v1/markers",
        role: ApiRole::Viewer,
        summary: "What changed: settings, releases, guards, secrets, servers.",
        parameters: &[FROM, UNTIL],
        body: None,
        answer: Shape::of::<Vec<Marker>>(),
        handle: markers,
    },
    Route {
        verb: Verb::Post,
        path: "/v1/releases",
        role: ApiRole::Operator,
        summary: "Marks a release of an application.",
        parameters: &[],
        body: Some(Body::of::<ReleaseAsk>()),
        answer: Shape::of::<Marker>(),
        handle: release,
    },
    Route {
        verb: Verb::Get,
        path: "/v1/bundle",
        role: ApiRole::Viewer,
        summary: "What a diagnosis reads, as one file: figures, markers, names; no statement, no secret.",
        parameters: &[FROM, UNTIL],
        body: None,
        answer: Shape::Media("application/gzip"),
        handle: bundle,
    },
];

pub(super) fn measured(parts: &Parts) -> Result<&Measures, Failure> {
    let absent = || Failure::absent("measurement", "it ends with the pooler");
    parts.measures.as_ref().ok_or_else(absent)
}

pub(super) fn moment(call: &Call, name: &str) -> Option<i64> {
    call.number(name).and_then(|n| i64::try_from(n).ok())
}

/// The span that is asked for.
fn span(call: &Call) -> Result<(i64, i64), Failure> {
    let until = moment(call, "until_ms").unwrap_or_else(now_ms);
    let from = moment(call, "from_ms").unwrap_or(until - SPAN_MS);
    match from <= until {
        true => Ok((from, until)),
        false => Err(Failure::bad_request("from_ms lies after until_ms", "")),
    }
}

fn series(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let (from, until) = span(call)?;
    let minutes = call.text("step") == Some("minute");
    let answer = measured(parts)?.look(|record| {
        let all = match minutes {
            true => &record.minutes,
            false => &record.seconds,
        };
        let within = |at: i64| (from..=until).contains(&at);
        let newest = all
            .iter()
            .rev()
            .filter(|s| within(s.at_ms))
            .take(SAMPLES_MAX);
        let mut samples: Vec<Sample> = newest.cloned().collect();
        samples.reverse();
        let markers = record.markers.iter().filter(|m| within(m.at_ms));
        SeriesAnswer {
            instance: record.instance.to_string(),
            samples,
            markers: markers.cloned().collect(),
        }
    });
    Ok(Answer::json(&answer))
}

fn markers(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let until = moment(call, "until_ms").unwrap_or(i64::MAX);
    let from = moment(call, "from_ms").unwrap_or(0);
    let found: Vec<Marker> = measured(parts)?.look(|record| {
        let within = |m: &&Marker| (from..=until).contains(&m.at_ms);
        record.markers.iter().filter(within).cloned().collect()
    });
    Ok(Answer::json(&found))
}

fn release(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let ask: ReleaseAsk = call.json()?;
    let measures = measured(parts)?;
    let now = now_ms();
    let at_ms = ask.at_ms.unwrap_or(now);
    if !(now - BEHIND_MS..=now + AHEAD_MS).contains(&at_ms) {
        let help = "name a moment of the last day, or none";
        return Err(Failure::bad_request(
            "the release lies too far from now",
            help,
        ));
    }
    let marker = Marker {
        at_ms,
        kind: MarkerKind::Release,
        subject: name("application", &ask.application)?,
        text: format!(
            "{} {}",
            name("application", &ask.application)?,
            name("version", &ask.version)?
        ),
        actor: Name::from(call.actor.claiming(&ask.actor)),
    };
    tracing::info!(
        release = marker.text,
        actor = &*marker.actor,
        "a release was marked"
    );
    measures.mark(marker.clone());
    Ok(Answer::json(&marker))
}

fn name(what: &str, text: &str) -> Result<Name, Failure> {
    let text = text.trim();
    let good = !text.is_empty() && text.len() <= NAME_BYTES && !text.chars().any(char::is_control);
    match good {
        true => Ok(Name::from(text)),
        false => Err(Failure::bad_request(
            &format!("{what}: write 1 to {NAME_BYTES} bytes on one line"),
            "plimsoll mark release APPLICATION VERSION",
        )),
    }
}

fn bundle(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let (from, until) = span(call)?;
    let measures = measured(parts)?;
    let mut record = measures.record(from, until);
    // What is usual is told by minutes of before, and changes by the hour before.
    measures.look(|all| {
        record.minutes = all
            .minutes
            .iter()
            .filter(|m| m.at_ms <= until)
            .cloned()
            .collect();
        let before = from.saturating_sub(3_600_000);
        let within = |m: &&Marker| (before..=until).contains(&m.at_ms);
        record.markers = all.markers.iter().filter(within).cloned().collect();
    });
    let mut bundle = Bundle::new(record, now_ms());
    if let Some(lookout) = &parts.lookout
        && !parts.veil.hides()
    {
        bundle.verdict = lookout.newest();
        bundle.alerts = lookout.alerts();
    }
    match bundle.to_bytes() {
        Ok(bytes) => Ok(Answer::media("application/gzip", bytes)),
        Err(error) => Err(Failure::new(500, "failed", error.to_string(), "")),
    }
}
