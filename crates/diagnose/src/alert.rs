//! Alerts: what needs a person, before or when it hurts.
//!
//! [`Alerts`] looks at each second's sample and keeps what it needs of the past
//! itself. One file per rule says when a condition holds; the engine decides
//! when that becomes an alert, and when it is over.
//!
//! ```
//! use diagnose::alert::{AlertName, AlertSettings, AlertState, Alerts, Facts};
//! use events::sample::{Gauge, PoolSample, Sample};
//! let mut alerts = Alerts::new(AlertSettings { grace_ms: 0, ..AlertSettings::default() });
//! let full = Sample {
//!     span_ms: 1_000,
//!     pools: vec![PoolSample {
//!         database: "shop".into(),
//!         size: 5,
//!         used: Gauge::of(5),
//!         waiting: Gauge::of(9),
//!         oldest_wait_us: 4_000_000,
//!         ..PoolSample::default()
//!     }],
//!     ..Sample::default()
//! };
//! let changes: Vec<_> = (0..10)
//!     .flat_map(|second| alerts.look(&full, &Facts::default(), second * 1_000))
//!     .collect();
//! assert_eq!(changes.len(), 1);
//! assert_eq!(changes[0].name, AlertName::PoolExhausted);
//! assert_eq!(changes[0].state, AlertState::Firing);
//! ```

mod budget_squeezed;
mod credential_failing;
mod engine;
mod facts;
mod fleet_split_settings;
mod leak;
mod limit_upstream;
mod maths;
mod past;
mod pool_exhausted;
mod pool_exhaustion_forecast;
mod pool_too_small;
mod server_refusing;
mod settings_changes;
mod soon;
mod wait_objective;

pub use engine::{ALERTS_MAX, AlertChange, Alerts};
pub use facts::{AlertSettings, CertificateFact, Facts, PoolFacts, RolledBack, SettingsSplit};
pub use soon::full_in;

use crate::{Cause, Figure, Step, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How soon a person is needed. The words are PagerDuty's.
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
pub enum Severity {
    /// For the record.
    #[default]
    Info,
    /// Within days.
    Warning,
    /// Today.
    Error,
    /// Now.
    Critical,
}

impl Severity {
    /// The word in JSON, metrics and notices.
    pub const fn label(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

macro_rules! alerts {
    ($($(#[$meta:meta])* $variant:ident $label:literal $severity:ident,)+) => {
        /// Every built-in alert. The labels are also those of the exported
        /// Prometheus rules and of the playbook's sections.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
        pub enum AlertName { $($(#[$meta])* #[serde(rename = $label)] $variant,)+ }

        impl AlertName {
            /// Every alert.
            pub const ALL: &'static [AlertName] = &[$(AlertName::$variant,)+];

            /// The name in notices, metrics and rules.
            pub const fn label(self) -> &'static str {
                match self { $(AlertName::$variant => $label,)+ }
            }

            /// How soon a person is needed.
            pub const fn severity(self) -> Severity {
                match self { $(AlertName::$variant => Severity::$severity,)+ }
            }

            /// The alert with this label.
            pub fn of_label(label: &str) -> Option<AlertName> {
                AlertName::ALL.iter().copied().find(|a| a.label() == label)
            }
        }
    };
}

alerts! {
    /// All connections of a pool are lent and clients wait.
    PoolExhausted "PlimsollPoolExhausted" Critical,
    /// A pool will be full, at the slope of a leak or of growth.
    PoolExhaustionForecast "PlimsollPoolExhaustionForecast" Error,
    /// A pool is below what its demand needs.
    PoolTooSmall "PlimsollPoolTooSmall" Warning,
    /// Others took so many connections of the server that the line fell below what is needed.
    BudgetSqueezed "PlimsollBudgetSqueezed" Error,
    /// Waits are beyond the objective, by burn rates over several windows.
    WaitObjective "PlimsollWaitObjective" Error,
    /// Connections are not given back.
    Leak "PlimsollLeak" Error,
    /// An application's own pool is the bottleneck, although nobody waits here.
    LimitUpstream "PlimsollLimitUpstream" Error,
    /// The settings file says what nobody let serve.
    SettingsDrift "PlimsollSettingsDrift" Warning,
    /// A change of settings was taken back.
    SettingsRolledBack "PlimsollSettingsRolledBack" Warning,
    /// Instances of the fleet serve different settings for longer than a rollout takes.
    FleetSplitSettings "PlimsollFleetSplitSettings" Warning,
    /// The database server refuses connections or is away.
    ServerRefusing "PlimsollServerRefusing" Critical,
    /// A certificate ends soon, or a password is refused.
    CredentialFailing "PlimsollCredentialFailing" Warning,
}

/// Where an alert stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Seen, not yet for long enough.
    #[default]
    Pending,
    /// It needs a person.
    Firing,
    /// It is over.
    Resolved,
}

/// Who looks after an application or a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Owner {
    /// The team.
    pub team: String,
    /// Where it talks.
    pub channel: String,
    /// Whom to call when nobody answers.
    pub escalation: String,
}

/// When it will be too late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Seconds until the first client would be refused or wait beyond the objective.
    pub left_s: f64,
    /// What leads there: connections held more in an hour.
    pub slope_per_hour: f64,
    /// "leak" or "growth".
    pub kind: String,
}

/// One alert about one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Which.
    pub name: AlertName,
    /// The same for as long as it lasts: what notifiers de-duplicate by.
    pub key: String,
    /// Whom it concerns.
    pub subject: Subject,
    /// Where it stands.
    pub state: AlertState,
    /// How soon a person is needed.
    pub severity: Severity,
    /// Since when it is seen, UTC, milliseconds since 1970.
    pub since_ms: i64,
    /// Since when it fires.
    pub fired_ms: Option<i64>,
    /// When it ended.
    pub resolved_ms: Option<i64>,
    /// One sentence for people, with names and values.
    pub summary: String,
    /// What it was decided by.
    pub figures: Vec<Figure>,
    /// The first answer of the diagnosis: cause and sentence; `None`: unknown so far.
    pub cause: Option<(Cause, String)>,
    /// When it will be too late, where that can be said.
    pub forecast: Option<Forecast>,
    /// What to do next.
    pub next: Vec<Step>,
    /// The section of the playbook.
    pub runbook: String,
    /// Who looks after it.
    pub owner: Option<Owner>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_belong_to_us() {
        for alert in AlertName::ALL {
            assert_eq!(AlertName::of_label(alert.label()), Some(*alert));
            assert!(alert.label().starts_with("Plimsoll"));
        }
    }
}
