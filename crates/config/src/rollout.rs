//! A change of settings on its way: one table of transitions.
//!
//! Facts go in ([`Input`]), one thing to do comes out ([`Task`]). Whoever runs it
//! writes each state down *before* doing the task; after a kill the last state
//! and [`Input::Restarted`] lead on to an end. The invariant: at an end either all
//! of the new version serves or all of the old one.
//!
//! ```text
//!             bad                worse             no login
//!  Checking ──────► Refused ◄────────── Predicting ──► Probing
//!     │ good                                │            │
//!     └── --now, nothing tightens ──┐       │ fine       │ good
//!                                   ▼       ▼            ▼
//!                Reverting ◄─────── Staging 1/n … n/n ◄──┘
//!                    │     hurts,      │ all serve
//!                    │     a person,   ▼
//!                    │     a kill   Watching ──► Applied
//!                    ▼                 │ hurts
//!               RolledBack ◄───────────┘ (by Reverting)
//! ```

mod beside;
mod driver;
mod judge;
mod parts;
pub(crate) mod steps;

pub use beside::{AtStart, Beside, OnChange, at_start, on_change};
pub use driver::Driver;
pub use judge::{Grounds, Judge, JudgeSettings, Judgement};
pub use parts::{Action, Answer, Current, Ended, Open, Origin, Proposal, Refusal};
pub use steps::{STEPS, between, nature};

/// What a change is, as far as its way depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Nature {
    /// Something in it needs a restart.
    pub restart_only: bool,
    /// Something in it is an address, an identity or a database.
    pub identity: bool,
    /// Something in it gives less room: it goes step by step. What only gives
    /// more room acts at once.
    pub tightens: bool,
    /// A person skips prediction and staging, and answers for it.
    pub now: bool,
    /// A person goes past the check and the prediction, not past the rest.
    pub forced: bool,
}

/// Where a change is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The check runs.
    Checking,
    /// The last hour is replayed with the new values.
    Predicting,
    /// A login at the new address, with the new identity.
    Probing,
    /// The new values hold for a share of the traffic.
    Staging {
        /// From 1.
        step: u8,
        /// The last.
        of: u8,
        /// The data plane has said that this step serves.
        serves: bool,
    },
    /// All of it serves; what hurts now is still taken back.
    Watching,
    /// The old values are being put back.
    Reverting(Why),
    /// An end: the new version is the current one.
    Applied,
    /// An end: the old version is the current one again.
    RolledBack(Why),
    /// An end: the new version never served.
    Refused(Why),
}

impl State {
    /// Nothing follows.
    pub fn is_end(self) -> bool {
        matches!(
            self,
            State::Applied | State::RolledBack(_) | State::Refused(_)
        )
    }

    /// All of the new values hold.
    pub fn is_whole(self) -> bool {
        match self {
            State::Staging { step, of, serves } => serves && step == of,
            State::Watching | State::Applied => true,
            _ => false,
        }
    }

    /// The word in log, journal and page.
    pub fn label(self) -> &'static str {
        match self {
            State::Checking => "checking",
            State::Predicting => "predicting",
            State::Probing => "probing",
            State::Staging { .. } => "staging",
            State::Watching => "watching",
            State::Reverting(_) => "reverting",
            State::Applied => "applied",
            State::RolledBack(_) => "rolled_back",
            State::Refused(_) => "refused",
        }
    }
}

/// Why a change did not stay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// The check found errors.
    Check,
    /// It needs a restart.
    RestartOnly,
    /// The prediction was worse than what serves.
    Prediction,
    /// The new address or identity does not answer.
    Probe,
    /// The data plane did not take it.
    NotServed,
    /// Waits, timeouts or errors rose, or throughput fell.
    Hurts,
    /// A person asked for it.
    Person,
    /// Another change, ordered by a person, took its place.
    Superseded,
    /// The settings file says again what served before.
    Withdrawn,
    /// The process ended half-way.
    Killed,
}

impl Why {
    /// Every reason.
    pub const ALL: [Why; 10] = [
        Why::Check,
        Why::RestartOnly,
        Why::Prediction,
        Why::Probe,
        Why::NotServed,
        Why::Hurts,
        Why::Person,
        Why::Superseded,
        Why::Withdrawn,
        Why::Killed,
    ];

    /// It speaks against the version itself, so that a restart does not try it again.
    pub fn convicts(self) -> bool {
        parts::convicts(self)
    }

    /// The reason that a label names.
    pub fn from_label(label: &str) -> Option<Why> {
        Why::ALL.into_iter().find(|why| why.label() == label)
    }

    /// The label in log, metric, journal and page.
    pub fn label(self) -> &'static str {
        match self {
            Why::Check => "check",
            Why::RestartOnly => "restart_only",
            Why::Prediction => "prediction",
            Why::Probe => "probe",
            Why::NotServed => "not_served",
            Why::Hurts => "hurts",
            Why::Person => "person",
            Why::Superseded => "superseded",
            Why::Withdrawn => "withdrawn",
            Why::Killed => "killed",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The check's verdict.
    Checked(bool),
    /// The prediction's.
    Predicted(Verdict),
    /// The probe's.
    Probed(bool),
    /// All workers serve what was asked for last.
    Serves,
    /// They do not.
    ServeFailed,
    /// What the traffic says of the values that serve.
    Judged(Verdict),
    /// Watched long enough.
    WatchEnded,
    /// A person wants the old version back.
    RollbackAsked,
    /// The settings file says again what served before.
    Withdrawn,
    /// A person's next change begins where this one began.
    Superseded,
    /// The process began anew, with the state that was written down last.
    Restarted,
}

/// Better or worse than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No worse.
    Fine,
    /// Worse than before the change.
    Worse,
    /// Too little data, or a censored record: keep, and warn.
    Unknown,
}

/// What to do next, once the state is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Run the check; answer [`Input::Checked`].
    Check,
    /// Replay the record; answer [`Input::Predicted`].
    Predict,
    /// Log in; answer [`Input::Probed`].
    Probe,
    /// Let the new values hold for `step` of `of` parts; answer [`Input::Serves`].
    Serve {
        /// From 1.
        step: u8,
        /// The last: all of it.
        of: u8,
    },
    /// Watch; answer [`Input::Judged`].
    Judge,
    /// Watch for the last time; answer [`Input::Judged`] or [`Input::WatchEnded`].
    Watch,
    /// Let the old values hold; answer [`Input::Serves`].
    ServeOld,
    /// Nothing more.
    Rest,
}

/// An input that the state does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Illegal {
    /// The state, which stays.
    pub state: State,
    /// What came.
    pub input: Input,
}

impl std::fmt::Display for Illegal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} while {}", self.input, self.state.label())
    }
}

impl std::error::Error for Illegal {}

/// How a change begins.
pub const fn begin() -> (State, Task) {
    (State::Checking, Task::Check)
}

/// The table: all transitions of a change.
///
/// # Errors
/// The input does not belong to the state; the state stays.
pub fn next(nature: Nature, state: State, input: Input) -> Result<(State, Task), Illegal> {
    use Input as I;
    use State as S;
    Ok(match (state, input) {
        (_, I::Restarted) => restarted(nature, state),
        (S::Checking, I::Checked(_)) if nature.restart_only => end(S::Refused(Why::RestartOnly)),
        (S::Checking, I::Checked(false)) if !nature.now && !nature.forced => {
            end(S::Refused(Why::Check))
        }
        (S::Checking, I::Checked(_)) => checked(nature),
        (S::Predicting, I::Predicted(Verdict::Worse)) if !nature.forced => {
            end(S::Refused(Why::Prediction))
        }
        (S::Predicting, I::Predicted(_)) => predicted(nature),
        (S::Probing, I::Probed(false)) => end(S::Refused(Why::Probe)),
        // There is no half of an address: it switches at the first step.
        (S::Probing, I::Probed(true)) => stage(1, parts(nature)),
        (S::Checking | S::Predicting | S::Probing, I::RollbackAsked | I::Withdrawn) => {
            end(S::Refused(whose(input)))
        }
        (S::Checking | S::Predicting | S::Probing, I::Superseded) => {
            end(S::Refused(Why::Superseded))
        }
        // All of it serves: the next change begins where this one ended.
        (S::Watching, I::Superseded) => end(S::Applied),
        (
            S::Staging {
                step,
                of,
                serves: true,
            },
            I::Superseded,
        ) if step == of => end(S::Applied),
        // Whoever supersedes it lets the old values serve first.
        (S::Staging { .. }, I::Superseded) => end(S::RolledBack(Why::Superseded)),
        // What spoke against it still does.
        (S::Reverting(why), I::Superseded) => end(S::RolledBack(why)),

        (S::Staging { step, of, .. }, I::Serves) => {
            let serves = true;
            (S::Staging { step, of, serves }, Task::Judge)
        }
        (S::Staging { .. }, I::ServeFailed) => revert(Why::NotServed),
        (S::Staging { serves: true, .. }, I::Judged(Verdict::Worse)) if !nature.now => {
            revert(Why::Hurts)
        }
        (
            S::Staging {
                step,
                of,
                serves: true,
            },
            I::Judged(_),
        ) if step < of => stage(step + 1, of),
        (S::Staging { serves: true, .. }, I::Judged(_)) => (S::Watching, Task::Watch),
        (S::Staging { .. } | S::Watching, I::RollbackAsked | I::Withdrawn) => revert(whose(input)),

        (S::Watching, I::Judged(Verdict::Worse)) if !nature.now => revert(Why::Hurts),
        (S::Watching, I::Judged(_)) => (S::Watching, Task::Watch),
        (S::Watching, I::WatchEnded) => end(S::Applied),

        (S::Reverting(why), I::Serves) => end(S::RolledBack(why)),
        // There is nothing else to go to: again, until it serves.
        (S::Reverting(why), I::ServeFailed) => (S::Reverting(why), Task::ServeOld),
        (S::Reverting(why), I::RollbackAsked | I::Withdrawn | I::Judged(_)) => {
            (S::Reverting(why), Task::ServeOld)
        }
        _ => return Err(Illegal { state, input }),
    })
}

/// Whose wish a way back is.
fn whose(input: Input) -> Why {
    match input {
        Input::Withdrawn => Why::Withdrawn,
        _ => Why::Person,
    }
}

fn checked(nature: Nature) -> (State, Task) {
    match nature {
        Nature { now: true, .. } => stage(1, 1),
        Nature { tightens: true, .. } => (State::Predicting, Task::Predict),
        _ => predicted(nature),
    }
}

fn predicted(nature: Nature) -> (State, Task) {
    match nature.identity {
        true => (State::Probing, Task::Probe),
        false => stage(1, parts(nature)),
    }
}

/// More room helps at once, or not at all.
fn parts(nature: Nature) -> u8 {
    if nature.tightens { STEPS } else { 1 }
}

fn stage(step: u8, of: u8) -> (State, Task) {
    let serves = false;
    (
        State::Staging { step, of, serves },
        Task::Serve { step, of },
    )
}

fn revert(why: Why) -> (State, Task) {
    (State::Reverting(why), Task::ServeOld)
}

fn end(state: State) -> (State, Task) {
    (state, Task::Rest)
}

/// What a new process does with the state that the old one left.
fn restarted(nature: Nature, state: State) -> (State, Task) {
    match state {
        State::Checking | State::Predicting | State::Probing => begin(),
        // It never proved itself: the old version serves. A person's own order
        // stands, and so does more room: it may be what ended an outage.
        State::Staging { .. } if nature.now || !nature.tightens => stage(1, 1),
        State::Staging { .. } => revert(Why::Killed),
        State::Watching => stage(1, 1),
        State::Reverting(why) => revert(why),
        State::Applied | State::RolledBack(_) | State::Refused(_) => end(state),
    }
}

#[cfg(test)]
mod tests;
