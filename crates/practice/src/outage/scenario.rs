//! What is put on the stage, checked.

use super::written::Written;
use diagnose::Cause;
use rehearse::schedule::{Arrivals, Phase, Schedule};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Largest scenario, bytes.
pub const FILE_MAX: usize = 256 << 10;
/// Most services, steps, requests or gates of one scenario.
pub const LIST_MAX: usize = 64;
/// Longest run.
pub const LASTS_MAX: Duration = Duration::from_secs(3_600);
/// Most requests a second: each takes a thread of the crowd.
pub const RATE_MAX: f64 = 1_000.0;
/// Most users.
pub const USERS_MAX: u32 = 100_000;
/// Longest time until a user gives up.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Most attempts after the first.
pub const RETRIES_MAX: u32 = 5;

/// An outage that can be put on the stage as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// What happens, in a line.
    pub title: String,
    /// The number of the report that it is drawn from.
    pub report: Option<String>,
    /// Where the fault is.
    pub fault: Fault,
    /// Which diagnoses are right.
    pub causes: Vec<Cause>,
    /// What the report says of it.
    pub reported: Option<String>,
    /// The database server.
    pub database: Database,
    /// Templates of the poolers' settings, by the pooler's name.
    pub poolers: BTreeMap<String, String>,
    /// Programs that serve the users; at least one. Users talk to the first.
    pub services: Vec<Service>,
    /// Who comes.
    pub load: Load,
    /// What holds while all is well.
    pub steady: Steady,
    /// What is done, ascending in time.
    pub method: Vec<Step>,
    /// What people did.
    pub person: Person,
    /// Until then all must be well.
    pub calm: Duration,
    /// The whole run.
    pub lasts: Duration,
    /// The same fault where it could have been stopped.
    pub gates: Vec<Gate>,
}

/// Where a fault is: Plimsoll cannot mend what is in the application, but name it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// In the application's own pool or code.
    Application,
    /// In the pooler's settings, or where it can act.
    Pooler,
}

/// How the application reaches the database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Column {
    /// By its own pool alone.
    Own,
    /// Through this pooler.
    Pooler(String),
}

/// The database server of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Database {
    /// `max_connections`.
    pub max_connections: u32,
    /// So many cores are its own.
    pub cores: Option<u32>,
    /// Lines for `postgresql.conf`.
    pub settings: Vec<String>,
    /// A file of SQL, run in the application's database as its owner.
    pub schema: Option<String>,
}

/// A program of the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its name in steps.
    pub name: String,
    /// A directory; it runs in a copy.
    pub files: String,
    /// The command, with `{python}`, `{node}` and `{port}` in it.
    pub command: Vec<String>,
    /// A path that answers 2xx as soon as it serves.
    pub ready: String,
    /// More for its environment.
    pub env: BTreeMap<String, String>,
}

/// Who comes, how often, for what.
#[derive(Clone, PartialEq, Debug)]
pub struct Load {
    /// How many users there are.
    pub users: u32,
    /// Rates, one after the other, over the whole run.
    pub phases: Vec<Phase>,
    /// A user gives up after this.
    pub timeout: Duration,
    /// And tries so often again.
    pub retries: u32,
    /// Decides who comes when.
    pub seed: u64,
    /// What they ask for; at least one.
    pub requests: Vec<Request>,
}

/// Something that users ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Its name in reports.
    pub name: String,
    /// How often, beside the others.
    pub weight: u32,
    /// GET, POST ...
    pub method: String,
    /// The path, with `{user}` and `{n}` in it.
    pub path: String,
}

/// The steady-state hypothesis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Steady {
    /// Share of requests that are served.
    pub served: f64,
    /// Their 99th percentile.
    pub p99: Duration,
}

/// Something that is done in a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// In the method: since the begin. In a repair: since the cause was known.
    pub at: Duration,
    /// In words.
    pub does: String,
    /// What.
    pub action: Action,
    /// In these columns only.
    pub columns: Option<Vec<Column>>,
}

/// What can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Files are written over those of a service, or over the pooler's settings.
    Copy {
        /// A directory, all below it, or a file.
        from: String,
        /// Whose files they replace.
        to: Place,
        /// These of them only; empty: all.
        only: Vec<String>,
    },
    /// A service, or the pooler, ends and starts again.
    Restart(Place),
    /// The pooler is told to read its settings again, as by an operator.
    Reload,
    /// A command, in the directory of a service or of the pooler's settings.
    Run {
        /// Whose.
        within: Place,
        /// The command.
        command: Vec<String>,
    },
    /// Plimsoll is told of a release, as a deployment does; other columns have nobody to tell.
    MarkRelease {
        /// The application.
        app: String,
        /// The version.
        version: String,
    },
}

/// Whose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A service's.
    Service(String),
    /// The pooler's.
    Pooler,
}

/// What people did in the report, and how much their time is compressed.
#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    /// Minutes of a person's time in a second of the run.
    pub minutes_per_second: f64,
    /// Minutes from the alarm until the cause was known; `None`: nobody found it.
    pub cause_min: Option<f64>,
    /// What was suspected before.
    pub suspected: Vec<String>,
    /// What they did then; `at` counts in seconds of the run from the cause on.
    pub repair: Vec<Step>,
}

/// A check that could have stopped the change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// The command over the broken version: it must find something (exit code 1).
    pub command: Vec<String>,
    /// The command over the mended version: it must find nothing (exit code 0).
    pub mended: Vec<String>,
    /// The directory in which it runs.
    pub within: Option<String>,
    /// And for the mended version, where that is another.
    pub mended_within: Option<String>,
}

/// Why a file is no scenario: one line for each mistake, or several with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// What is wrong.
    pub lines: Vec<String>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ScenarioError {}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        if text.len() > FILE_MAX {
            let lines = vec![format!("a scenario is at most {} KiB", FILE_MAX >> 10)];
            return Err(ScenarioError { lines });
        }
        Written::read(text)?.checked()
    }

    /// The moments at which users come, ascending.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self.load.phases.clone(), Arrivals::Poisson, self.load.seed)
    }

    /// When the first step of the method is due in this column; the end of the calm where there is none.
    pub fn blow(&self, column: &Column) -> Duration {
        let steps = self.method.iter().filter(|step| step.is_for(column));
        let first = steps.map(|step| step.at).min();
        let surge = self.load.phases.first().map(|phase| phase.lasts);
        let surges = surge.filter(|_| self.load.phases.len() > 1);
        [first, surges]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.calm)
    }

    /// Whether the row has this column: its settings are there, and so is its fault.
    pub fn has(&self, column: &Column) -> bool {
        match column {
            Column::Own => {
                // Where the fault is the pooler's, there is none without it, unless the scenario
                // says what is the same in the application's own settings.
                let steps = self.method.iter().chain(&self.person.repair);
                let named = |step: &Step| (step.columns.iter().flatten()).any(|of| of == column);
                self.fault == Fault::Application || steps.into_iter().any(named)
            }
            Column::Pooler(name) => self.poolers.contains_key(name),
        }
    }
}

impl Column {
    /// The pooler of this project.
    pub const PLIMSOLL: &'static str = "plimsoll";
    /// The one that most people run today.
    pub const PGBOUNCER: &'static str = "pgbouncer";

    /// Whether Plimsoll serves here: it says what it sees, and people act on that.
    pub fn is_plimsoll(&self) -> bool {
        matches!(self, Column::Pooler(name) if name == Column::PLIMSOLL)
    }

    /// As in files.
    pub fn label(&self) -> &str {
        match self {
            Column::Own => "own",
            Column::Pooler(name) => name,
        }
    }

    /// As in tables.
    pub fn title(&self) -> &str {
        match self {
            Column::Own => "own pool only",
            Column::Pooler(name) if name == Column::PLIMSOLL => "Plimsoll",
            Column::Pooler(name) if name == Column::PGBOUNCER => "PgBouncer",
            Column::Pooler(name) => name,
        }
    }
}

impl From<String> for Column {
    fn from(name: String) -> Column {
        match name.as_str() {
            "own" => Column::Own,
            _ => Column::Pooler(name),
        }
    }
}

impl From<Column> for String {
    fn from(column: Column) -> String {
        column.label().to_owned()
    }
}

impl Step {
    /// Whether it is done in this column.
    pub fn is_for(&self, column: &Column) -> bool {
        let named = (self.columns.as_ref()).is_none_or(|columns| columns.contains(column));
        let possible = match &self.action {
            Action::Reload
            | Action::Restart(Place::Pooler)
            | Action::Run {
                within: Place::Pooler,
                ..
            }
            | Action::Copy {
                to: Place::Pooler, ..
            } => *column != Column::Own,
            Action::MarkRelease { .. } => column.is_plimsoll(),
            _ => true,
        };
        named && possible
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Service(name) => f.write_str(name),
            Place::Pooler => f.write_str("the pooler"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Copy { from, to, .. } => write!(f, "{from} is written over {to}"),
            Action::Restart(place) => write!(f, "restart {place}"),
            Action::Reload => f.write_str("reload the pooler's settings"),
            Action::Run { command, .. } => f.write_str(&command.join(" ")),
            Action::MarkRelease { app, version } => write!(f, "mark release {app} {version}"),
        }
    }
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
pub(super) mod tests;
