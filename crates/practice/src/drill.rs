//! Drills: an outage to practise on, from the pager to the debrief.
//!
//! ```text
//!   table ─► Drill ─► Session ◄── Command (a line that was typed), Felt (what clients feel)
//!                        │
//!                        └─► Answer: words, or a Deed for the shell ... ─► Debrief
//! ```
//!
//! The shell starts a sandbox, strikes with the drill's [`Fault`], and tells the
//! session each second how clients fare. The session decides what a guess is
//! worth and when it is over; it is over when the cause is named and clients are
//! well again, not before.

mod choose;
mod command;
mod deed;
mod felt;
mod session;
mod table;

mod debrief;
mod telling;

pub use choose::{choose, list};
pub use command::{Command, HELP, parse};
pub use debrief::{ActionTaken, Debrief, Ending, HintTaken, Hypothesis, PathTold};
pub use deed::{Deed, Fault};
pub use felt::{Effect, Felt};
pub use session::{Answer, Now, Session};
pub use telling::text;

use diagnose::Cause;
use serde::Serialize;

/// How hard a drill is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The figures say it at the first look.
    Easy,
    /// Something else looks like it.
    Medium,
    /// The first two ideas are usually wrong.
    Hard,
}

impl Level {
    /// The word on the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Level::Easy => "easy",
            Level::Medium => "medium",
            Level::Hard => "hard",
        }
    }
}

/// A path that misleads, and why it looks right.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Suspicions that lead there.
    pub causes: &'static [Cause],
    /// First words of actions that lead there.
    pub actions: &'static [&'static str],
    /// What people think or do.
    pub what: &'static str,
    /// Why it looks right, and what shows that it is not.
    pub why: &'static str,
}

/// One outage to practise on.
#[derive(Clone, Copy, Debug)]
pub struct Drill {
    /// Its name on the command line; it says nothing of the cause.
    pub name: &'static str,
    /// The number of the report that it is drawn from.
    pub report: &'static str,
    /// Whether it is that outage; else it only looks like it.
    pub itself: bool,
    /// Whose outage it is.
    pub title: &'static str,
    /// How hard.
    pub level: Level,
    /// What is done to the sandbox.
    pub fault: Fault,
    /// What the pager says.
    pub pager: &'static str,
    /// What people say in the channel. Guesses, no figures.
    pub channel: &'static [&'static str],
    /// Answers that are right.
    pub causes: &'static [Cause],
    /// Answers that name a part of it, and what they lack.
    pub near: &'static [(Cause, &'static str)],
    /// Hints, the weakest first. After the last the diagnosis itself is shown.
    pub hints: &'static [&'static str],
    /// What was done, told at the end.
    pub done: &'static str,
    /// What mends it, told at the end.
    pub cure: &'static str,
    /// What misleads.
    pub paths: &'static [Path],
    /// What the report's people did, and when.
    pub story: &'static [(&'static str, &'static str)],
    /// In the report, minutes to the cause; `None`: it does not say.
    pub minutes_to_cause: Option<u32>,
}

/// Every drill.
pub fn all() -> &'static [Drill] {
    table::DRILLS
}

/// The drill of this name, or the outage of this report's number.
pub fn named(name: &str) -> Option<&'static Drill> {
    let name = name.trim();
    let by_name = all().iter().find(|d| d.name.eq_ignore_ascii_case(name));
    by_name.or_else(|| all().iter().find(|d| d.itself && d.report == name))
}
