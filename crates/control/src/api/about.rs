//! `/v1/status` and the document that describes the API.

use super::call::{Answer, Call, Failure};
use super::table::{Route, Shape, Verb};
use super::{Parts, openapi};
use crate::server::Health;
use config::ApiRole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How this instance is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// The version of Plimsoll.
    pub version: String,
    /// Which instance: its host and process, as `shop-1:4711`.
    pub instance: String,
    /// Instances with this name share a line; empty: it has none.
    pub fleet: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Its loops advance.
    pub live: bool,
    /// Why it is not live.
    pub live_reason: Option<String>,
    /// New clients may come.
    pub ready: bool,
    /// Why it is not ready.
    pub ready_reason: Option<String>,
    /// The role of who asks: "viewer", "operator" or "admin".
    pub role: String,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Whoami {
    /// "viewer", "operator" or "admin".
    pub role: String,
    /// As logs and histories name them.
    pub name: String,
    /// They came without a token.
    pub anonymous: bool,
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/v1/whoami",
        role: ApiRole::Viewer,
        summary: "Who asks, and what they may do.",
        parameters: &[],
        body: None,
        answer: Shape::of::<Whoami>(),
        handle: |_, call| {
            Ok(Answer::json(&Whoami {
                role: call.actor.role.word().to_owned(),
                name: call.actor.name.clone(),
                anonymous: call.actor.anonymous,
            }))
        },
    },
    Route {
        verb: Verb::Get,
        path: "/v1/status",
        role: ApiRole::Viewer,
        summary: "Version, uptime, and whether this instance is live and ready.",
        parameters: &[],
        body: None,
        answer: Shape::of::<InstanceStatus>(),
        handle: status,
    },
    Route {
        verb: Verb::Get,
        path: "/v1/openapi.json",
        role: ApiRole::Viewer,
        summary: "This API as an OpenAPI 3.1 document.",
        parameters: &[],
        body: None,
        answer: Shape::of::<serde_json::Value>(),
        handle: document,
    },
];

fn status(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let told = |health: Health| match health {
        Health::Good => (true, None),
        Health::Bad(reason) => (false, Some(reason)),
    };
    let (live, live_reason) = told(parts.source.live());
    let (ready, ready_reason) = told(parts.source.ready());
    Ok(Answer::json(&InstanceStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: parts.about.instance.clone(),
        fleet: parts.about.fleet.clone(),
        uptime_ms: u64::try_from(parts.about.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        live,
        live_reason,
        ready,
        ready_reason,
        role: call.actor.role.word().to_owned(),
    }))
}

fn document(_: &Parts, _: &Call) -> Result<Answer, Failure> {
    Ok(Answer::media("application/json", openapi::DOCUMENT))
}
