//! Drives changes through the table, one at a time: proposals, answers and
//! snapshots go in, [`Action`]s come out.
//!
//! The shell does the actions in their order. A [`Action::Record`] must be on
//! disk before the next one is done: a process that ends between the two finds
//! in its journal what it was about to do, and [`Driver::resume`] goes on from
//! there. The invariant: once nothing is open, all of [`Driver::current`] serves.

mod judging;

use super::parts::{Action, Answer, Current, Ended, Open, Proposal, Refusal};
use super::{
    Grounds, Input, Judge, JudgeSettings, Nature, Origin, State, Task, Verdict, Why, begin,
    between, nature, next,
};
use crate::change::with_key;
use crate::diff::diff;
use crate::plan::Plan;
use events::snapshot::Snapshot;
use events::{GuardMode, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks while a change is judged.
const LOOK: Duration = Duration::from_millis(100);
/// While the whole is watched, after its first seconds.
const LOOK_WATCHING: Duration = Duration::from_secs(1);
/// While nothing is open: for the comparison with before.
const LOOK_IDLE: Duration = Duration::from_secs(10);
/// Between two tries of a way back that nobody waits for.
const LOOK_OWING: Duration = Duration::from_secs(1);
/// A prediction or a probe that has not answered for so long never will.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// How far back "before" reaches, at least.
const BEFORE: Duration = Duration::from_secs(30);
/// Settings of the console that are kept until the file is read again.
const OVERLAYS_MAX: usize = 200;

/// One change at a time, from a proposal to its end.
#[derive(Debug)]
pub struct Driver {
    settings: JudgeSettings,
    current: Current,
    open: Option<Open>,
    judge: Option<Judge>,
    /// A guard that only watches, or a person's order: it has spoken already.
    spoken: bool,
    overlays: Vec<(String, String)>,
    /// Those from before a version that is about to serve: over once it does.
    parked: Vec<(String, String)>,
    /// A change that gave way, whose steps may still serve: the old values are
    /// tried until they do.
    owes: Option<u64>,
    older: Option<Arc<Snapshot>>,
    middle: Option<Arc<Snapshot>>,
    latest: Option<Arc<Snapshot>>,
    actions: VecDeque<Action>,
}

impl Driver {
    /// With a version that serves already.
    pub fn new(current: Current, settings: JudgeSettings) -> Driver {
        Driver {
            settings,
            current,
            open: None,
            judge: None,
            spoken: false,
            overlays: Vec::new(),
            parked: Vec::new(),
            owes: None,
            older: None,
            middle: None,
            latest: None,
            actions: VecDeque::new(),
        }
    }

    /// The version that serves; while a change is open, the one before it.
    pub fn current(&self) -> &Current {
        &self.current
    }

    /// The change on its way.
    pub fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How long until the next look is wanted.
    pub fn look_after(&self, now: Time) -> Duration {
        match &self.open {
            None if self.owes.is_some() => LOOK_OWING,
            None => LOOK_IDLE,
            Some(open) => match open.state {
                State::Watching if spent(open.since, now) > self.settings.step_max => LOOK_WATCHING,
                _ => LOOK,
            },
        }
    }

    /// Begins a change. The shell has looked just before, and the version is in
    /// the history. A person's order, and what only gives more room, take the
    /// place of an open change.
    ///
    /// # Errors
    /// Why it is not begun; nothing has changed then.
    pub fn propose(&mut self, now: Time, proposal: Proposal) -> Result<Nature, Refusal> {
        if let Some(refusal) = self.refusal(&proposal.plan, proposal.now) {
            return Err(refusal);
        }
        let nature = self.nature(&proposal);
        if self.open.is_some() {
            self.supersede(now);
        }
        if proposal.origin == Origin::Rollback {
            self.convict(proposal.version);
        }
        let (state, task) = begin();
        self.judge = None;
        self.spoken = false;
        self.open = Some(Open {
            from: self.current.version,
            proposal,
            nature,
            state,
            since: now,
        });
        self.entered(task, String::new());
        Ok(nature)
    }

    /// Why a proposal of this plan would not be begun.
    pub fn refusal(&self, plan: &Plan, now: bool) -> Option<Refusal> {
        let changes = diff(self.base(), plan);
        match &self.open {
            Some(open) if open.state.is_whole() && changes.is_empty() => Some(Refusal::Same),
            Some(open) if open.state.is_whole() => None,
            Some(open) if !now && nature(&changes, now, false).tightens => Some(Refusal::Busy {
                version: open.proposal.version,
                state: open.state,
            }),
            None if changes.is_empty() => Some(Refusal::Same),
            _ => None,
        }
    }

    /// What a next change would begin from: an open one that serves whole is
    /// kept, the steps of another are not.
    fn base(&self) -> &Plan {
        match &self.open {
            Some(open) if open.state.is_whole() => &open.proposal.plan,
            _ => &self.current.plan,
        }
    }

    fn nature(&self, proposal: &Proposal) -> Nature {
        let changes = diff(self.base(), &proposal.plan);
        // Without the guard nothing is staged: it would be taken back by nobody.
        let guarded = self.guard_mode() == GuardMode::Enforce;
        nature(&changes, proposal.now || !guarded, proposal.forced)
    }

    /// The open change gives way: one that serves whole stays, of another the
    /// old values serve first, since what follows may yet be refused.
    fn supersede(&mut self, now: Time) {
        let Some(open) = &self.open else { return };
        let begun = matches!(open.state, State::Staging { .. } | State::Reverting(_));
        if begun && !open.state.is_whole() {
            self.owes = Some(open.proposal.version);
            self.serve_owed();
        }
        self.step(now, Input::Superseded, String::new());
    }

    /// Lets the old values serve in place of what a change that gave way left.
    fn serve_owed(&mut self) {
        if let Some(version) = self.owes {
            let plan = self.overlaid((*self.current.plan).clone());
            self.actions.push_back(Action::Serve { version, plan });
        }
    }

    /// A person takes back what serves: a restart must not try it again, and
    /// that is known before anything is done.
    fn convict(&mut self, by: u64) {
        let version = self.current.version;
        self.actions.push_back(Action::Record {
            version,
            from: version,
            nature: Nature::default(),
            state: State::RolledBack(Why::Person),
            note: format!("version {by} takes its place"),
        });
    }

    /// After a new start: the change that the journal left open. What serves is
    /// [`Driver::current`].
    pub fn resume(&mut self, now: Time, proposal: Proposal, nature: Nature, state: State) {
        self.open = Some(Open {
            from: self.current.version,
            proposal,
            nature,
            state,
            since: now,
        });
        self.step(now, Input::Restarted, "the process began anew".to_owned());
    }

    /// What came of an action. Late answers of an ended change are dropped.
    pub fn answer(&mut self, now: Time, answer: Answer) {
        let open = self.open.as_ref();
        if open.is_some_and(|o| o.proposal.version == answer.version) {
            if answer.input == Input::Serves {
                // Whatever was left behind is replaced.
                self.owes = None;
            }
            self.step(now, answer.input, answer.note);
        } else if self.owes == Some(answer.version) && answer.input == Input::Serves {
            self.owes = None;
        }
    }

    /// A person wants the open change back. True: there is one.
    pub fn rollback(&mut self, now: Time, note: &str) -> bool {
        let open = self.open.is_some();
        if open {
            self.step(now, Input::RollbackAsked, note.to_owned());
        }
        open
    }

    /// What the console SET and still holds.
    pub fn overlays(&self) -> &[(String, String)] {
        &self.overlays
    }

    /// The settings file says again what served before the open change, which
    /// came from there.
    pub fn withdraw(&mut self, now: Time, note: &str) {
        let from_file = |o: &Open| matches!(o.proposal.origin, Origin::File | Origin::Boot);
        if self.open.as_ref().is_some_and(from_file) {
            self.step(now, Input::Withdrawn, note.to_owned());
        }
    }

    /// A change that hurts would be taken back by itself.
    pub fn is_guarded(&self) -> bool {
        self.guard_mode() == GuardMode::Enforce
    }

    /// The console has SET a key: it holds until a version begins to serve that
    /// was read from a file, also through the steps of an open change.
    pub fn overlay(&mut self, key: &str, value: &str) {
        put(&mut self.overlays, key, value);
    }

    /// The file was read again: what the console SET is over.
    pub fn clear_overlays(&mut self) {
        self.overlays.clear();
    }

    /// Secrets were read anew: what serves and what shall serve have new ones.
    pub fn refresh(&mut self, with: impl Fn(&Plan) -> Plan) {
        self.current.plan = Arc::new(with(&self.current.plan));
        if let Some(open) = &mut self.open {
            open.proposal.plan = Arc::new(with(&open.proposal.plan));
        }
    }

    /// What never answers holds nothing up: a way back is tried again, a
    /// prediction is unknown, a probe has failed.
    fn wait_no_longer(&mut self, now: Time) {
        let state = self.open.as_ref().map(|o| (o.state, o.since));
        if !matches!(
            state,
            Some((State::Staging { .. } | State::Reverting(_), _))
        ) {
            self.serve_owed();
        }
        let input = match state {
            Some((State::Predicting, since)) if spent(since, now) > ANSWER_MAX => {
                Input::Predicted(Verdict::Unknown)
            }
            Some((State::Probing, since)) if spent(since, now) > ANSWER_MAX => Input::Probed(false),
            _ => return,
        };
        let note = format!("no answer came in {} s", ANSWER_MAX.as_secs());
        self.step(now, input, note);
    }

    fn step(&mut self, now: Time, input: Input, note: String) {
        let Some(open) = &mut self.open else { return };
        // An answer that came too late, such as a probe's after a rollback, is illegal here.
        let Ok((state, task)) = next(open.nature, open.state, input) else {
            return;
        };
        let same = state == open.state;
        let staged = |s| matches!(s, State::Staging { .. });
        match state {
            // It was read from a file, and is about to serve.
            State::Staging { serves: false, .. } if !staged(open.state) => {
                self.parked = std::mem::take(&mut self.overlays);
            }
            State::Staging { .. } => self.parked.clear(),
            // It never did.
            _ => {
                let since = std::mem::take(&mut self.overlays);
                self.overlays = std::mem::take(&mut self.parked);
                for (key, value) in since {
                    put(&mut self.overlays, &key, &value);
                }
            }
        }
        if !same {
            open.state = state;
            open.since = now;
        }
        match (same, task) {
            (true, Task::Watch | Task::Judge) => {}
            _ => self.entered(task, note),
        }
    }

    /// Records the state that was entered, and asks for its task.
    fn entered(&mut self, task: Task, note: String) {
        let Some(open) = &self.open else { return };
        let (version, state) = (open.proposal.version, open.state);
        self.actions.push_back(Action::Record {
            version,
            from: open.from,
            nature: open.nature,
            state,
            note: note.clone(),
        });
        let old = Arc::clone(&self.current.plan);
        let new = Arc::clone(&open.proposal.plan);
        match task {
            Task::Check => self.actions.push_back(Action::Check(open.proposal.clone())),
            Task::Predict => {
                let action = Action::Predict { version, old, new };
                self.actions.push_back(action);
            }
            Task::Probe => self.actions.push_back(Action::Probe { version, old, new }),
            Task::Serve { step, of } => {
                let plan = self.overlaid(between(&old, &new, step, of));
                self.actions.push_back(Action::Serve { version, plan });
            }
            Task::ServeOld => {
                self.judge = None;
                let plan = self.overlaid((*old).clone());
                self.actions.push_back(Action::Serve { version, plan });
            }
            Task::Judge => self.begin_to_judge(state),
            Task::Watch => {}
            Task::Rest => self.end(state, note),
        }
    }

    fn end(&mut self, state: State, note: String) {
        let Some(open) = self.open.take() else { return };
        self.judge = None;
        let version = open.proposal.version;
        if state == State::Applied {
            self.current = Current {
                version,
                plan: open.proposal.plan,
            };
        }
        // What comes next is compared with how it is now.
        (self.older, self.middle) = (None, self.latest.clone());
        self.actions.push_back(Action::Ended(Ended {
            version,
            from: open.from,
            state,
            note,
        }));
    }

    fn overlaid(&self, mut plan: Plan) -> Arc<Plan> {
        for (key, value) in &self.overlays {
            // It was good when it was SET; where it no longer fits, the file's value holds.
            if let Ok((with, _)) = with_key(&plan, key, value) {
                plan = with;
            }
        }
        Arc::new(plan)
    }
}

fn put(overlays: &mut Vec<(String, String)>, key: &str, value: &str) {
    overlays.retain(|(known, _)| known != key);
    if overlays.len() < OVERLAYS_MAX {
        overlays.push((key.to_owned(), value.to_owned()));
    }
}

fn spent(from: Time, to: Time) -> Duration {
    Duration::from_micros(to.as_micros().saturating_sub(from.as_micros()))
}

fn sentences(grounds: &[Grounds]) -> String {
    /// What a person reads at once.
    const SHOWN: usize = 3;
    let mut text: Vec<String> = grounds.iter().take(SHOWN).map(Grounds::to_string).collect();
    if grounds.len() > SHOWN {
        text.push(format!("and {} more", grounds.len() - SHOWN));
    }
    text.join("; ")
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
