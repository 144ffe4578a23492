//! The driver looks: what is remembered, who judges, and what a verdict does.

use super::super::{Input, Judge, Judgement, State, Verdict};
use super::{Action, BEFORE, Driver, sentences, spent};
use events::snapshot::Snapshot;
use events::{Guard, GuardMode, Time};
use std::sync::Arc;

impl Driver {
    /// The newest figures.
    pub fn look(&mut self, snapshot: &Arc<Snapshot>) {
        let now = snapshot.at;
        self.remember(snapshot);
        self.wait_no_longer(now);
        let Some(open) = &self.open else {
            return;
        };
        let (state, since, by_person) = (open.state, open.since, open.nature.now);
        let serves = matches!(state, State::Staging { serves: true, .. });
        if !serves && state != State::Watching {
            return;
        }
        let judgement = match &mut self.judge {
            Some(judge) => judge.look(snapshot),
            None => Judgement::default(),
        };
        let note = sentences(&judgement.grounds);
        match judgement.verdict {
            Some(Verdict::Worse) => self.worse(now, note, by_person),
            Some(verdict) if serves => self.step(now, Input::Judged(verdict), note),
            _ => {}
        }
        // A step that nobody judges (its guard has spoken) goes on by time.
        if serves && self.judge.is_none() && spent(since, now) >= self.settings.step_min {
            self.step(now, Input::Judged(Verdict::Unknown), String::new());
        }
        let watching = self.open.as_ref().filter(|o| o.state == State::Watching);
        if watching.is_some_and(|o| spent(o.since, now) >= self.settings.watch) {
            self.step(now, Input::WatchEnded, String::new());
        }
    }

    fn worse(&mut self, now: Time, note: String, by_person: bool) {
        let mode = self.guard_mode();
        let version = self.open.as_ref().map_or(0, |o| o.proposal.version);
        if mode == GuardMode::Enforce && !by_person {
            self.actions.push_back(Action::Guard {
                guard: Guard::AutoRevert,
                mode,
                text: note.clone(),
            });
            return self.step(now, Input::Judged(Verdict::Worse), note);
        }
        // Said once; then the change goes its way.
        self.judge = None;
        if std::mem::replace(&mut self.spoken, true) {
            return;
        }
        if mode == GuardMode::Observe {
            self.actions.push_back(Action::Guard {
                guard: Guard::AutoRevert,
                mode,
                text: note.clone(),
            });
        }
        let text = format!("it hurts, and stays: {note}");
        self.actions.push_back(Action::Note { version, text });
    }

    /// The guard's mode in what served before: a change cannot switch off its own
    /// judge. The one switch can.
    pub(super) fn guard_mode(&self) -> GuardMode {
        let set = self.current.plan.guards;
        let off = self.latest.as_ref().is_some_and(|s| s.guards.off.is_some());
        let holds = if off { set.observing() } else { set };
        holds.mode(Guard::AutoRevert)
    }

    fn remember(&mut self, snapshot: &Arc<Snapshot>) {
        self.latest = Some(Arc::clone(snapshot));
        // While a change serves, "before" stays what it was.
        if self.judge.is_some() {
            return;
        }
        let stale = |s: &Arc<Snapshot>| spent(s.at, snapshot.at) >= BEFORE;
        if self.middle.as_ref().is_none_or(stale) {
            self.older = self.middle.replace(Arc::clone(snapshot));
        }
    }

    pub(super) fn begin_to_judge(&mut self, state: State) {
        let Some(open) = &self.open else { return };
        let version = open.proposal.version;
        if matches!(state, State::Staging { step, of, .. } if step == of) {
            self.actions.push_back(Action::Serving { version });
        }
        let before = self.older.as_ref().or(self.middle.as_ref());
        if let (None, Some(before), Some(latest)) = (&self.judge, before, &self.latest)
            && self.guard_mode() != GuardMode::Off
            && !self.spoken
        {
            self.judge = Some(Judge::new(self.settings, before, latest));
        }
        if let Some(judge) = &mut self.judge {
            judge.begin_step(open.since);
        }
    }
}
