//! What a person does: cancel, reclaim and kill for one client, pause and resume
//! for databases. Each is logged and marked, with who did it and why.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Body, Handler, Kind, Parameter, Route, Shape, Verb};
use crate::measure::{Measures, now_ms};
use config::ApiRole;
use diagnose::safe;
use events::sample::{Marker, MarkerKind, Name};
use events::tap::{Limits, Over, Reason, Refused};
use events::{Acted, ClientAct, LeaseStatement, Whose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest reason, characters.
const REASON_CHARS: usize = 200;
/// Longest name of a client: 16 digits and `0x`.
const CLIENT_BYTES: usize = 18;

/// What the data plane does for a person. The calls return within seconds.
pub trait Hands: Send + Sync {
    /// Does something to the client with this id.
    fn act(&self, client: u64, act: ClientAct) -> Acted;
    /// The last statements of these clients' leases, as far as the settings show
    /// them; those that do not come at once are left out.
    fn statements(&self, clients: &[u64]) -> Vec<LeaseStatement>;
    /// The text of the traffic's shape: windows that began at this moment of the
    /// pooler's clock or later, microseconds.
    fn shape(&self, since_us: u64) -> String {
        let _ = since_us;
        events::shape::Shape::default().to_text()
    }
    /// Listens to what clients send, with every value in it.
    ///
    /// # Errors
    /// Why nobody may.
    fn tap(&self, limits: Limits) -> Result<Box<dyn Tapped>, Refused> {
        let _ = limits;
        Err(Refused::Absent)
    }
    /// Ends that. `false`: nobody listens.
    fn stop_tap(&self) -> bool {
        false
    }
    /// Lends no connection of this database (of all) until `resume`.
    ///
    /// # Errors
    /// There is no such database.
    fn pause(&self, database: Option<&str>) -> Result<(), String>;
    /// Lends again.
    ///
    /// # Errors
    /// There is no such database.
    fn resume(&self, database: Option<&str>) -> Result<(), String>;
}

/// A capture of statements, as the data plane gives it.
pub trait Tapped: Send {
    /// Records ([`events::tap`]) that came, so long after the last call; empty: none.
    /// `None`: it is over, and that was told.
    fn next(&mut self, pause: Duration) -> Option<Vec<u8>>;
    /// Ends it where its time is over or somebody wants its end.
    fn look(&mut self);
    /// A sign of life.
    fn alive(&self) -> Vec<u8>;
    /// What came of it: why it ended, or this reason.
    fn over(&self, reason: Reason) -> Over;
}

/// Why, and who says so.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActAsk {
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who asks.
    #[serde(default)]
    pub actor: String,
}

/// Which database, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolsAsk {
    /// The database as clients know it; empty: all.
    pub database: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who asks.
    #[serde(default)]
    pub actor: String,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ActionDone {
    /// It was done.
    pub done: bool,
    /// One sentence: what happened.
    pub text: String,
}

const CLIENT: &[Parameter] = &[Parameter {
    name: "client",
    kind: Kind::Text { max: CLIENT_BYTES },
    meaning: "The client's id, in hexadecimal, as `/v1/leases` tells it.",
}];

const fn of_client(path: &'static str, summary: &'static str, handle: Handler) -> Route {
    Route {
        verb: Verb::Post,
        path,
        role: ApiRole::Operator,
        summary,
        parameters: CLIENT,
        body: Some(Body::of::<ActAsk>()),
        answer: Shape::of::<ActionDone>(),
        handle,
    }
}

const fn of_pools(path: &'static str, summary: &'static str, handle: Handler) -> Route {
    Route {
        parameters: &[],
        body: Some(Body::of::<PoolsAsk>()),
        ..of_client(path, summary, handle)
    }
}

pub(super) const ROUTES: &[Route] = &[
    of_client(
        "/v1/leases/{client}/cancel",
        "Cancels the client's running statement, or ends its wait for a connection.",
        |parts, call| act(parts, call, ClientAct::Cancel),
    ),
    of_client(
        "/v1/leases/{client}/reclaim",
        "Takes the client's connection back; the client is closed with FATAL 25P03.",
        |parts, call| act(parts, call, ClientAct::Reclaim),
    ),
    of_client(
        "/v1/clients/{client}/kill",
        "Closes the client.",
        |parts, call| act(parts, call, ClientAct::Kill),
    ),
    of_pools(
        "/v1/pools/pause",
        "Lends no connection of a database, or of all, until it is resumed.",
        |parts, call| hold(parts, call, true),
    ),
    of_pools(
        "/v1/pools/resume",
        "Lends connections of a database, or of all, again.",
        |parts, call| hold(parts, call, false),
    ),
];

pub(super) fn hands(parts: &Parts) -> Result<&dyn Hands, Failure> {
    let absent = || Failure::absent("data plane to act on", "it ends with the pooler");
    parts.hands.as_deref().ok_or_else(absent)
}

/// The client that the path names.
fn client(call: &Call) -> Result<u64, Failure> {
    let text = call.text("client").unwrap_or_default();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let id = u64::from_str_radix(digits, 16).ok().filter(|_| hex);
    let help = "GET /v1/leases tells the ids of clients, in hexadecimal";
    id.ok_or_else(|| Failure::bad_request("this is no id of a client", help))
}

fn act(parts: &Parts, call: &Call, act: ClientAct) -> Result<Answer, Failure> {
    let (id, ask) = (client(call)?, call.json::<ActAsk>()?);
    let acted = hands(parts)?.act(id, act);
    let (done, text) = told(id, act, &acted);
    if let Acted::Done(whose) = &acted {
        let subject = match whose.application.is_empty() {
            false => whose.application.clone(),
            true => format!("{}/{}", whose.database, whose.user),
        };
        let who = call.actor.claiming(&ask.actor);
        note(parts, act.label(), &subject, &text, &ask.reason, &who);
    }
    Ok(Answer::json(&ActionDone { done, text }))
}

/// What happened, in one sentence.
fn told(id: u64, act: ClientAct, acted: &Acted) -> (bool, String) {
    let named = |whose: &Whose| {
        let mut name = format!(
            "client {id:x} ({}/{}",
            safe::name(&whose.database),
            safe::name(&whose.user)
        );
        if !whose.application.is_empty() {
            name.push_str(&format!(", {}", safe::name(&whose.application)));
        }
        name.push(')');
        name
    };
    let held = |whose: &Whose| match whose.held {
        Some(held) => format!("after {} s", held.as_secs()),
        None => "which held none".to_owned(),
    };
    match acted {
        Acted::Gone => (false, format!("client {id:x} is not there any more")),
        Acted::Nothing(whose) => {
            let what = match act {
                ClientAct::Cancel => "runs no statement",
                _ => "holds no connection",
            };
            (false, format!("{} {what}", named(whose)))
        }
        Acted::Done(whose) => {
            let name = named(whose);
            let text = match act {
                ClientAct::Cancel => format!("the statement of {name} was cancelled"),
                ClientAct::Reclaim => {
                    format!("the connection of {name} was taken back {}", held(whose))
                }
                ClientAct::Kill => format!("{name} was closed"),
            };
            (true, text)
        }
    }
}

fn hold(parts: &Parts, call: &Call, pause: bool) -> Result<Answer, Failure> {
    let ask: PoolsAsk = call.json()?;
    let hands = hands(parts)?;
    let database = Some(ask.database.as_str()).filter(|name| !name.is_empty());
    let held = match pause {
        true => hands.pause(database),
        false => hands.resume(database),
    };
    let unknown = |line: String| {
        let line = safe::line(&line, safe::LINE_CHARS_MAX);
        Failure::not_found(line, "GET /v1/pools lists the databases")
    };
    held.map_err(unknown)?;
    let which = match database {
        Some(name) => format!("database {}", safe::name(name)),
        None => "all databases".to_owned(),
    };
    let (word, text) = match pause {
        true => (
            "pause",
            format!("{which}: no connection is lent until it is resumed"),
        ),
        false => ("resume", format!("{which}: connections are lent again")),
    };
    let who = call.actor.claiming(&ask.actor);
    note(parts, word, &ask.database, &text, &ask.reason, &who);
    Ok(Answer::json(&ActionDone { done: true, text }))
}

/// One line of the log, and one line across every chart.
fn note(parts: &Parts, act: &str, subject: &str, text: &str, reason: &str, actor: &str) {
    let reason = safe::line(reason.trim(), REASON_CHARS);
    tracing::warn!(action = act, actor, reason, "a person did it: {text}");
    let text = match reason.is_empty() {
        true => text.to_owned(),
        false => format!("{text}: {reason}"),
    };
    mark(parts.measures.as_ref(), subject, text, actor);
}

/// One line across every chart, and among what changed.
pub(super) fn mark(measures: Option<&Measures>, subject: &str, text: String, actor: &str) {
    let Some(measures) = measures else {
        return;
    };
    measures.mark(Marker {
        at_ms: now_ms(),
        kind: MarkerKind::Action,
        subject: Name::from(safe::name(subject)),
        text,
        actor: Name::from(actor),
    });
}
