//! The routes of guarded settings. The keeper of the settings answers them.

use super::call::{Answer, Call, Failure};
use super::table::{Body, Kind, Parameter, Route, Shape, Verb};
use super::{Parts, REQUEST_TIME_MAX};
use crate::settings::keeper::{
    Applied, ApplyAsk, Ask, AskError, Command, HistoryLine, Planned, Reply, RollbackAsk, Status,
    VersionText,
};
use config::ApiRole;
use hyper::StatusCode;
use serde::Serialize;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Largest request: the largest settings file, and JSON's quotes.
const SETTINGS_BYTES_MAX: usize = 40 << 20;
/// Versions in one answer.
const HISTORY_MAX: u64 = 10_000;
/// Versions where the caller says nothing.
const HISTORY: u64 = 100;
/// Longest wait for the keeper: it predicts within ten seconds.
const KEEPER_MAX: Duration = Duration::from_secs(REQUEST_TIME_MAX.as_secs() - 5);
/// Where people find their version.
const LISTED: &str = "plimsoll history lists them";

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/v1/settings",
        role: ApiRole::Viewer,
        summary: "Which settings serve, and which change is under way.",
        parameters: &[],
        body: None,
        answer: Shape::of::<Status>(),
        handle: |parts, _| ask(parts, Ask::Status),
    },
    Route {
        verb: Verb::Get,
        path: "/v1/settings/history",
        role: ApiRole::Viewer,
        summary: "The newest versions of the settings, the newest first.",
        parameters: &[Parameter {
            name: "most",
            kind: Kind::Number {
                min: 0,
                max: HISTORY_MAX,
            },
            meaning: "How many; 100 without it.",
        }],
        body: None,
        answer: Shape::of::<Vec<HistoryLine>>(),
        handle: |parts, call| {
            let most = call.number("most").unwrap_or(HISTORY).min(HISTORY_MAX);
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            ask(parts, |reply| Ask::History(most, reply))
        },
    },
    Route {
        verb: Verb::Get,
        path: "/v1/settings/versions/{id}",
        role: ApiRole::Viewer,
        summary: "One version: its texts without secrets, and what happened to it.",
        parameters: &[Parameter {
            name: "id",
            kind: Kind::Number {
                min: 0,
                // The history's numbers are signed.
                max: i64::MAX as u64,
            },
            meaning: "The version's number.",
        }],
        body: None,
        answer: Shape::of::<VersionText>(),
        handle: |parts, call| {
            let id = call.number("id");
            let id = id.ok_or_else(|| Failure::not_found("there is no such version", LISTED))?;
            ask(parts, |reply| Ask::Version(id, reply))
        },
    },
    // Reading settings reads the secrets that they name, and runs their
    // commands: even a plan is for who may change them.
    Route {
        verb: Verb::Post,
        path: "/v1/settings/plan",
        role: ApiRole::Admin,
        summary: "What a change would do; nothing is changed.",
        parameters: &[],
        body: Some(Body::up_to::<ApplyAsk>(SETTINGS_BYTES_MAX)),
        answer: Shape::of::<Planned>(),
        handle: |parts, call| ask_named(parts, call, Ask::Plan),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/settings/apply",
        role: ApiRole::Admin,
        summary: "Begins a change of the settings, through the gate.",
        parameters: &[],
        body: Some(Body::up_to::<ApplyAsk>(SETTINGS_BYTES_MAX)),
        answer: Shape::of::<Applied>(),
        handle: |parts, call| ask_named(parts, call, Ask::Apply),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/settings/rollback",
        role: ApiRole::Admin,
        summary: "Begins the way back to an earlier version.",
        parameters: &[],
        body: Some(Body::of::<RollbackAsk>()),
        answer: Shape::of::<Applied>(),
        handle: |parts, call| {
            let mut question: RollbackAsk = call.json()?;
            question.actor = call.actor.claiming(&question.actor);
            ask(parts, |reply| Ask::Rollback(question, reply))
        },
    },
];

/// A question about new settings, with who asks.
fn ask_named<T: Serialize + Send + 'static>(
    parts: &Parts,
    call: &Call,
    make: impl FnOnce(ApplyAsk, Reply<T>) -> Ask,
) -> Result<Answer, Failure> {
    let mut question: ApplyAsk = call.json()?;
    question.actor = call.actor.claiming(&question.actor);
    ask(parts, |reply| make(question, reply))
}

fn ask<T: Serialize + Send + 'static>(
    parts: &Parts,
    make: impl FnOnce(Reply<T>) -> Ask,
) -> Result<Answer, Failure> {
    Ok(Answer::json(&asked(parts, KEEPER_MAX, make)?))
}

/// What the keeper says within this time.
pub(super) fn asked<T: Send + 'static>(
    parts: &Parts,
    within: Duration,
    make: impl FnOnce(Reply<T>) -> Ask,
) -> Result<T, Failure> {
    let Some(commands) = &parts.settings else {
        let help = "start the pooler with a settings file: plimsoll run FILE";
        return Err(Failure::absent("keeper of settings", help));
    };
    let (tell, told) = sync_channel(1);
    let reply: Reply<T> = Box::new(move |answer| drop(tell.send(answer)));
    if commands.try_send(Command::Ask(make(reply))).is_err() {
        let line = "the keeper of the settings is busy";
        return Err(Failure::new(503, "failed", line, "try again"));
    }
    match told.recv_timeout(within) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure {
            status: status_of(&error),
            error,
        }),
        Err(RecvTimeoutError::Timeout) => {
            let line = "the keeper of the settings has not answered yet";
            let help = "plimsoll status says what it does";
            Err(Failure::new(504, "failed", line, help))
        }
        Err(RecvTimeoutError::Disconnected) => {
            let line = "the pooler is ending";
            Err(Failure::new(503, "failed", line, ""))
        }
    }
}

fn status_of(error: &AskError) -> StatusCode {
    match error.kind.as_str() {
        "busy" | "same" => StatusCode::CONFLICT,
        "unknown_version" => StatusCode::NOT_FOUND,
        "history" => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
