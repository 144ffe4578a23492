//! What changed, and when: the lines across every chart.

use super::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One change or event worth a line across every chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Marker {
    /// UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// What kind of change.
    pub kind: MarkerKind,
    /// What it concerns: an application, a `database/user`, a server, a setting;
    /// empty for all.
    pub subject: Name,
    /// One line for people: what changed from what to what. No secret.
    pub text: String,
    /// Who did it, where that is known.
    pub actor: Name,
}

/// The kinds of changes.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MarkerKind {
    /// Settings of the pooler changed.
    Settings,
    /// A change of settings was taken back.
    RolledBack,
    /// A settings file says what nobody let serve.
    Drift,
    /// An application was released.
    Release,
    /// The pooler started.
    Started,
    /// A guard acted, or would have.
    Guard,
    /// A secret or a certificate was rotated, or refused.
    Secret,
    /// A database server restarted, moved, or changed its role.
    Server,
    /// The server's own settings or its line changed.
    Line,
    /// A person did something: pause, kill, reclaim, restart.
    Action,
    /// An alert began or ended.
    Alert,
    /// Any other.
    #[default]
    #[serde(other)]
    Other,
}

impl MarkerKind {
    /// Every kind.
    pub const ALL: [MarkerKind; 12] = [
        MarkerKind::Settings,
        MarkerKind::RolledBack,
        MarkerKind::Drift,
        MarkerKind::Release,
        MarkerKind::Started,
        MarkerKind::Guard,
        MarkerKind::Secret,
        MarkerKind::Server,
        MarkerKind::Line,
        MarkerKind::Action,
        MarkerKind::Alert,
        MarkerKind::Other,
    ];

    /// The kind with this word; [`MarkerKind::Other`] for one that is not known.
    pub fn of_label(label: &str) -> MarkerKind {
        let found = MarkerKind::ALL.into_iter().find(|k| k.label() == label);
        found.unwrap_or_default()
    }

    /// The word in reports and on pages.
    pub const fn label(self) -> &'static str {
        match self {
            MarkerKind::Settings => "settings",
            MarkerKind::RolledBack => "rolled_back",
            MarkerKind::Drift => "drift",
            MarkerKind::Release => "release",
            MarkerKind::Started => "started",
            MarkerKind::Guard => "guard",
            MarkerKind::Secret => "secret",
            MarkerKind::Server => "server",
            MarkerKind::Line => "line",
            MarkerKind::Action => "action",
            MarkerKind::Alert => "alert",
            MarkerKind::Other => "other",
        }
    }
}
