//! What a diagnosis says.

use crate::{Cause, Figure};
use events::sample::Marker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients fare.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody waits or fails beyond what is usual.
    #[default]
    Calm,
    /// Nobody suffers yet, but something is on its way.
    Strained,
    /// Clients wait, are refused or fail.
    Hurt,
    /// Too little was measured to say.
    Unknown,
}

/// Whom a finding concerns; what is empty is not known or not meant.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(default)]
pub struct Subject {
    /// The database as clients know it.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// The application.
    pub application: String,
    /// Its release.
    pub release: String,
    /// The label of the database server.
    pub server: String,
    /// A client address.
    pub address: String,
    /// A setting.
    pub setting: String,
}

/// What is wrong, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Verdict {
    /// The moment, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// The snapshot of the newest sample that was read.
    pub snapshot: u64,
    /// How clients fare.
    pub state: State,
    /// When it began to hurt, where that is seen.
    pub onset_ms: Option<i64>,
    /// One sentence for people.
    pub summary: String,
    /// What clients feel: the symptoms, measured.
    pub symptoms: Vec<Figure>,
    /// Causes that the figures support, the most likely first. Empty while it
    /// hurts means: unknown.
    pub findings: Vec<Finding>,
    /// Causes that a figure contradicts.
    pub ruled_out: Vec<Rejection>,
    /// Causes that can be neither supported nor ruled out, and what lacks.
    pub unknown: Vec<Unknown>,
}

impl Verdict {
    /// The first answer; `None`: nothing is wrong, or the cause is unknown.
    pub fn cause(&self) -> Option<Cause> {
        self.findings.first().map(|f| f.cause)
    }
}

/// A cause that the figures support.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// How sure, in percent.
    pub sure: u8,
    /// Whom it concerns.
    pub subject: Subject,
    /// One sentence for people, with names and values.
    pub text: String,
    /// What supports it.
    pub figures: Vec<Figure>,
    /// The change that brought it, where scope and onset match.
    pub change: Option<Marker>,
    /// What to do next.
    pub next: Vec<Step>,
}

/// One step: what to do, and the command that does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What, in words.
    pub text: String,
    /// The command to type; empty where there is none.
    pub command: String,
}

/// A cause that it is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    /// The cause.
    pub cause: Cause,
    /// One sentence for people.
    pub text: String,
    /// The figure that contradicts it.
    pub figure: Figure,
}

/// A cause of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unknown {
    /// The cause.
    pub cause: Cause,
    /// What was not measured, and the grant or setting that would let it be.
    pub lacks: String,
}
