//! `/v1/demo`: the buttons of a demonstration. The routes are there only where
//! there is somebody to press them for; no serving pooler has them.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Body, Route, Shape, Verb};
use config::ApiRole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes outages on purpose, and undoes them.
pub trait Director: Send + Sync {
    /// What is offered, what runs, what happened.
    fn state(&self) -> DemoState;
    /// Begins an outage.
    ///
    /// # Errors
    /// There is none of this number, or another one runs.
    fn start(&self, number: &str, guarded: bool) -> Result<(), String>;
    /// Ends the one that runs, and undoes it.
    fn stop(&self);
}

/// What is offered, what runs, what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DemoState {
    /// The outages.
    pub outages: Vec<DemoOutage>,
    /// What runs; empty: nothing.
    pub running: String,
    /// Its guards act.
    pub guarded: bool,
    /// Until it is undone by itself, seconds.
    pub left_s: u64,
    /// What happened until now, or in the last one: question and answer.
    pub told: Vec<(String, String)>,
    /// The demonstration's own token, which is no secret.
    pub token: String,
}

/// An outage that is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DemoOutage {
    /// The report's number.
    pub number: String,
    /// A few words.
    pub title: String,
    /// What is done.
    pub done: String,
    /// What is otherwise where the guards only watch.
    pub unguarded: String,
}

/// Which outage, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoAsk {
    /// The report's number; empty: stop.
    pub number: String,
    /// The guards act; else they only watch.
    #[serde(default)]
    pub guarded: bool,
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/v1/demo",
        role: ApiRole::Viewer,
        summary: "The outages of the demonstration, and what happened.",
        parameters: &[],
        body: None,
        answer: Shape::of::<DemoState>(),
        handle: |parts, _| Ok(Answer::json(&director(parts)?.state())),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/demo",
        role: ApiRole::Operator,
        summary: "Begins an outage, or ends the one that runs.",
        parameters: &[],
        body: Some(Body::of::<DemoAsk>()),
        answer: Shape::of::<DemoState>(),
        handle: press,
    },
];

fn director(parts: &Parts) -> Result<&dyn Director, Failure> {
    let absent = || Failure::absent("demonstration", "plimsoll demo has one");
    parts.director.as_deref().ok_or_else(absent)
}

fn press(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let director = director(parts)?;
    let ask: DemoAsk = call.json()?;
    match ask.number.as_str() {
        "" => director.stop(),
        number => director
            .start(number, ask.guarded)
            .map_err(|line| Failure::bad_request(&line, "GET /v1/demo says what runs"))?,
    }
    Ok(Answer::json(&director.state()))
}
