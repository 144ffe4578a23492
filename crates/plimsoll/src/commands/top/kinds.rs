//! What the model takes, what it gives, and what it knows.

use super::deed::{Action, Outcome};
use super::keys::Key;
use control::api::IncidentLine;
use control::live::{Chart, LeaseTable, Live, PoolTable};
use diagnose::alert::Alert;
use std::time::Duration;

/// The screens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// All five answers.
    Overview,
    /// Pools.
    Pools,
    /// Leases.
    Leases,
    /// Servers, lines, guards.
    Budget,
    /// Alerts and incidents.
    Alerts,
}

impl View {
    /// All, in the order of their keys.
    pub const ALL: [View; 5] = [
        View::Overview,
        View::Pools,
        View::Leases,
        View::Budget,
        View::Alerts,
    ];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            View::Overview => "overview",
            View::Pools => "pools",
            View::Leases => "leases",
            View::Budget => "budget",
            View::Alerts => "alerts",
        }
    }

    pub(super) fn index(self) -> usize {
        View::ALL.iter().position(|view| *view == self).unwrap_or(0)
    }
}

/// What lies over a view.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Over {
    /// Nothing.
    #[default]
    Nothing,
    /// The keys.
    Help,
    /// The verdict in full.
    Verdict,
    /// One row in full, by its key.
    Row(String),
    /// A filter is typed; this was it before.
    Filter(String),
    /// A question that only y answers with yes, and the row that was open in full.
    Confirm(Action, Option<String>),
}

/// What the shell should ask for, again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// A moment of the past.
    pub at_ms: Option<i64>,
    /// For which view.
    pub view: View,
    /// Order of its rows.
    pub sort: &'static str,
    /// Part of a name.
    pub filter: String,
    /// Between two looks.
    pub pace: Duration,
}

/// What came of one look.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The second itself.
    pub live: Live,
    /// The view's pools.
    pub pools: Option<PoolTable>,
    /// The view's leases.
    pub leases: Option<LeaseTable>,
    /// Alerts, pending ones too, and incidents.
    pub alerts: Option<(Vec<Alert>, Vec<IncidentLine>)>,
    /// What was before.
    pub chart: Option<Chart>,
    /// Why a table is missing; empty: it is not.
    pub lacks: String,
}

/// What kind of no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nobody is heard.
    Silence,
    /// It answers, and says no.
    Refusal,
}

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// A key.
    Key(Key),
    /// An answer, to the wish of this moment of the past or of now.
    News(Option<i64>, Box<News>),
    /// No answer, and why; the next try is that far away.
    Failed(Trouble, String, Duration),
    /// An action came to an end.
    Done(Action, Result<Outcome, String>),
    /// Time went on, or the terminal has another size.
    Tick,
}

/// What the shell must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Ask this from now on.
    Ask(Wish),
    /// Have it done.
    Do(Action),
    /// Leave.
    Quit,
    /// Go into the background.
    Suspend,
    /// Draw all again.
    Redraw,
}

/// How the pooler answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Link {
    /// It was not heard of yet.
    #[default]
    Waiting,
    /// It answers.
    Up,
    /// It does not.
    Lost {
        /// In which way.
        trouble: Trouble,
        /// Since when, our own clock.
        since_ms: i64,
        /// When it is tried again.
        next_ms: i64,
        /// Why.
        why: String,
    },
}

/// A line at the foot that says what came of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// It went as wished.
    pub good: bool,
    /// What.
    pub text: String,
    /// When.
    pub at_ms: i64,
}

/// What is known of the pooler.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The newest second.
    pub live: Option<Live>,
    /// The pools that were asked for.
    pub pools: Option<PoolTable>,
    /// The leases that were asked for.
    pub leases: Option<LeaseTable>,
    /// Alerts.
    pub alerts: Vec<Alert>,
    /// Incidents.
    pub incidents: Vec<IncidentLine>,
    /// Why a table is missing.
    pub lacks: String,
}

/// How it begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// A moment of the past.
    pub at_ms: Option<i64>,
    /// The first view.
    pub view: View,
    /// Order of rows, where the view has it.
    pub sort: Option<String>,
    /// Part of a name.
    pub filter: String,
    /// Between two looks.
    pub pace: Duration,
}
