//! What goes into the driver of changes, and what comes out of it.

use super::{Input, Nature, State, Why};
use crate::plan::Plan;
use events::{Guard, GuardMode, Time};
use std::sync::Arc;

/// Where a change comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The settings that the process was started with.
    Boot,
    /// The watched file changed.
    File,
    /// `plimsoll apply`.
    Apply,
    /// RELOAD in the console, or SIGHUP.
    Reload,
    /// SET in the console.
    Set,
    /// `plimsoll rollback`.
    Rollback,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Origin; 6] = [
        Origin::Boot,
        Origin::File,
        Origin::Apply,
        Origin::Reload,
        Origin::Set,
        Origin::Rollback,
    ];

    /// The word in log, journal and history.
    pub fn label(self) -> &'static str {
        match self {
            Origin::Boot => "boot",
            Origin::File => "file",
            Origin::Apply => "apply",
            Origin::Reload => "reload",
            Origin::Set => "set",
            Origin::Rollback => "rollback",
        }
    }

    /// The origin that a word names.
    pub fn from_label(label: &str) -> Option<Origin> {
        Origin::ALL.into_iter().find(|o| o.label() == label)
    }
}

/// A version that shall serve.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its number in the history.
    pub version: u64,
    /// What it says.
    pub plan: Arc<Plan>,
    /// Where it comes from.
    pub origin: Origin,
    /// Skips prediction and staging, and is not taken back by itself.
    pub now: bool,
    /// Goes past the check and the prediction.
    pub forced: bool,
}

/// The version that serves, or served before the open change.
#[derive(Clone, Debug)]
pub struct Current {
    /// Its number in the history.
    pub version: u64,
    /// What it says.
    pub plan: Arc<Plan>,
}

/// A change on its way.
#[derive(Clone, Debug)]
pub struct Open {
    /// The version that shall serve.
    pub proposal: Proposal,
    /// The version before.
    pub from: u64,
    /// What the change is.
    pub nature: Nature,
    /// Where it is.
    pub state: State,
    /// When this state began.
    pub since: Time,
}

/// A change that came to its end.
#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    /// The version that was proposed.
    pub version: u64,
    /// The version before.
    pub from: u64,
    /// How it ended.
    pub state: State,
    /// Why, in a sentence with figures; may be empty.
    pub note: String,
}

/// Why a proposal is not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another change is on its way.
    Busy {
        /// Its version.
        version: u64,
        /// Where it is.
        state: State,
    },
    /// It says what serves already.
    Same,
}

/// What is told of a task.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The version that the task was for.
    pub version: u64,
    /// What came out.
    pub input: Input,
    /// For people: findings, figures, errors; may be empty.
    pub note: String,
}

/// What to do, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write it down, durably, before the next action.
    Record {
        /// The version proposed.
        version: u64,
        /// The version before.
        from: u64,
        /// What the change is.
        nature: Nature,
        /// Where it is now.
        state: State,
        /// Why; may be empty.
        note: String,
    },
    /// Run the check of this version.
    Check(Proposal),
    /// Predict what it does to the traffic.
    Predict {
        /// The version proposed.
        version: u64,
        /// What serves.
        old: Arc<Plan>,
        /// What shall serve.
        new: Arc<Plan>,
    },
    /// Log in at the addresses of this plan.
    Probe {
        /// The version proposed.
        version: u64,
        /// What serves.
        old: Arc<Plan>,
        /// What shall serve.
        new: Arc<Plan>,
    },
    /// Let these settings hold, whole.
    Serve {
        /// The version proposed.
        version: u64,
        /// What shall hold.
        plan: Arc<Plan>,
    },
    /// All of the new values hold from now on; they are watched.
    Serving {
        /// The version.
        version: u64,
    },
    /// A guard came to its decision: it acts, or would have.
    Guard {
        /// Which.
        guard: Guard,
        /// How far it goes.
        mode: GuardMode,
        /// The grounds.
        text: String,
    },
    /// Something to log and to keep.
    Note {
        /// The version proposed.
        version: u64,
        /// A sentence.
        text: String,
    },
    /// The change has ended.
    Ended(Ended),
}

/// Whether the way back of a reason says something against the version itself.
pub(crate) fn convicts(why: Why) -> bool {
    match why {
        Why::Check | Why::Prediction => true,
        Why::NotServed | Why::Hurts | Why::Person => true,
        // A restart takes it; a server that did not answer may answer then.
        Why::RestartOnly | Why::Probe => false,
        Why::Superseded | Why::Withdrawn | Why::Killed => false,
    }
}
