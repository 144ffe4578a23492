//! `/v1/notifiers`: who is told of alerts, how that goes, and a test message.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Body, Route, Shape, Verb};
use crate::notify::Notify;
use config::ApiRole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one notifier did since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NotifierLine {
    /// Its name in the settings.
    pub name: String,
    /// Messages that were taken.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Alerts given up.
    pub dropped: u64,
    /// Alerts that wait.
    pub queued: u64,
    /// Why the last attempt failed; empty: it did not.
    pub last_error: String,
}

/// Which notifier is to send a test message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTestAsk {
    /// Its name in the settings; empty: every one.
    #[serde(default)]
    pub name: String,
}

/// What came of one test message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NotifyTested {
    /// The notifier.
    pub name: String,
    /// Why it failed; `None`: it was taken.
    pub error: Option<String>,
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/v1/notifiers",
        role: ApiRole::Viewer,
        summary: "Who is told of alerts, and how that goes.",
        parameters: &[],
        body: None,
        answer: Shape::of::<Vec<NotifierLine>>(),
        handle: list,
    },
    Route {
        verb: Verb::Post,
        path: "/v1/notifiers/test",
        role: ApiRole::Operator,
        summary: "Sends a test message and waits for what comes of it.",
        parameters: &[],
        body: Some(Body::of::<NotifyTestAsk>()),
        answer: Shape::of::<Vec<NotifyTested>>(),
        handle: test,
    },
];

/// Test messages of one request.
const TESTS_MAX: usize = 3;

fn notify(parts: &Parts) -> Result<&Notify, Failure> {
    let absent = || Failure::absent("notifier", "name one in [notify.NAME] of the settings file");
    parts.notify.as_deref().ok_or_else(absent)
}

fn list(parts: &Parts, _: &Call) -> Result<Answer, Failure> {
    let figures = notify(parts)?.figures().into_iter();
    let lines: Vec<NotifierLine> = figures
        .map(|f| NotifierLine {
            name: f.name,
            sent: f.sent,
            failed: f.failed,
            dropped: f.dropped,
            queued: f.queued as u64,
            last_error: f.last_error,
        })
        .collect();
    Ok(Answer::json(&lines))
}

fn test(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let ask: NotifyTestAsk = call.json()?;
    let notify = notify(parts)?;
    let names = notify.names();
    let wanted: Vec<String> = match ask.name.is_empty() {
        true => names.into_iter().take(TESTS_MAX).collect(),
        false if names.contains(&ask.name) => vec![ask.name],
        false => {
            let help = "GET /v1/notifiers names those of the settings";
            return Err(Failure::not_found(
                "there is no notifier of this name",
                help,
            ));
        }
    };
    let tested = wanted.into_iter().map(|name| NotifyTested {
        error: notify.test(&name).err().map(|fault| fault.to_string()),
        name,
    });
    Ok(Answer::json(&tested.collect::<Vec<_>>()))
}
