//! What the driver wants done, done in its order.

use super::{AskError, Command, Content, Keeper, RETRY};
use crate::settings::content::short;
use crate::settings::gate;
use crate::settings::store::{ChangeRow, NewVersion, now_ms, state_words};
use config::rollout::{Action, Answer, Ended, Input, Origin, Proposal, State, Verdict};
use config::{Plan, SettingsSource};
use events::{Guard, GuardMode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// States that wait for room on the disk.
const UNWRITTEN_MAX: usize = 1_000;

/// How a change is asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner {
    /// Skips prediction and staging.
    pub now: bool,
    /// Goes past the check and the prediction.
    pub forced: bool,
    /// It is not in the settings file.
    pub temporary: bool,
}

impl Keeper {
    /// Does everything that the driver asks for, until it waits for something.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.driver.poll_action() {
            match action {
                Action::Record {
                    version,
                    from,
                    nature,
                    state,
                    note,
                } => {
                    let (word, detail) = state_words(state);
                    tracing::info!(version, state = word, detail, note, "change of settings");
                    let change = ChangeRow {
                        version,
                        from,
                        nature,
                        state,
                        note,
                        began_ms: now_ms(),
                        at_ms: now_ms(),
                    };
                    self.enter(change);
                }
                Action::Check(proposal) => self.check(&proposal),
                Action::Predict { version, old, new } => self.apart(version, move |data| {
                    let prediction = data.predict(&old, &new);
                    (Input::Predicted(prediction.verdict), prediction.text)
                }),
                Action::Probe { version, old, new } => {
                    self.apart(version, move |data| match data.probe(&old, &new) {
                        Ok(note) => (Input::Probed(true), note),
                        Err(note) => (Input::Probed(false), note),
                    });
                }
                Action::Serve { version, plan } => self.serve(version, &plan),
                Action::Serving { version } => self.serving(version),
                Action::Guard { guard, mode, text } => self.guard(guard, mode, &text),
                Action::Note { version, text } => {
                    tracing::warn!(version, "{text}");
                    self.write_note(version, "note", &text);
                }
                Action::Ended(ended) => self.ended(&ended),
            }
        }
    }

    /// Writes a state down. What cannot be written now is written later, in its
    /// order: a new process must not go on from a state that was left long ago.
    pub(super) fn enter(&mut self, change: ChangeRow) {
        if self.unwritten.len() < UNWRITTEN_MAX {
            self.unwritten.push_back(change);
        }
        self.write_down();
    }

    /// What was not written down yet. It is said once.
    pub(super) fn write_down(&mut self) {
        while let Some(change) = self.unwritten.front() {
            let (version, state) = (change.version, change.state);
            let written =
                self.store
                    .enter(version, change.from, change.nature, state, &change.note);
            match written {
                Ok(()) => {}
                Err(error) if error.is_lasting() => {
                    tracing::error!(%error, version, "a state of a change is never written down");
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.unwritten_said, true) {
                        tracing::error!(%error, version, "a state of a change is not written down yet");
                    }
                    return;
                }
            }
            self.unwritten.pop_front();
        }
        self.unwritten_said = false;
    }

    fn answer(&mut self, version: u64, input: Input, note: String) {
        let at = self.now();
        let answer = Answer {
            version,
            input,
            note,
        };
        self.driver.answer(at, answer);
    }

    fn check(&mut self, proposal: &Proposal) {
        let snapshot = self.data.snapshot();
        let findings = match self.proposed.get(&proposal.version) {
            Some(content) => gate::check(content, Some(&self.current), Some(&snapshot)),
            None => gate::Findings::default(),
        };
        for text in &findings.others {
            tracing::info!(version = proposal.version, finding = text, "check");
        }
        let (good, note) = (findings.good(), findings.note());
        self.answer(proposal.version, Input::Checked(good), note);
    }

    /// Runs a task on a thread of its own; its answer comes as a command.
    fn apart(
        &mut self,
        version: u64,
        task: impl FnOnce(&dyn super::DataPlane) -> (Input, String) + Send + 'static,
    ) {
        let (data, me) = (Arc::clone(&self.data), self.me.clone());
        let failed = match self.driver.open().map(|o| o.state) {
            Some(State::Probing) => Input::Probed(false),
            _ => Input::Predicted(Verdict::Unknown),
        };
        let run = move || {
            let worked = catch_unwind(AssertUnwindSafe(|| task(&*data)));
            // A panic of ours must not leave the change open.
            let (input, note) = worked.unwrap_or_else(|_| (failed, "it panicked".to_owned()));
            let answer = Answer {
                version,
                input,
                note,
            };
            // Where the keeper has ended, the next process asks again.
            let _ = me.send(Command::Told(answer));
        };
        let named = std::thread::Builder::new().name("settings-task".into());
        if let Err(error) = named.spawn(run) {
            let note = format!("the system gives no thread: {error}");
            self.answer(version, failed, note);
        }
    }

    /// Who brought a version; empty where the history does not tell.
    fn whose(&self, version: u64) -> String {
        match self.store.version(version) {
            Ok(Some(row)) if row.origin == Origin::File => self.place().to_owned(),
            Ok(Some(row)) => row.actor,
            _ => String::new(),
        }
    }

    fn serve(&mut self, version: u64, plan: &Plan) {
        // A rotation may have come since the plan was read.
        let mut plan = plan.clone();
        let before = self.data.plan();
        config::renew(&mut plan, &before, &*self.options.secrets);
        let changes = config::diff(&before, &plan);
        let (input, note) = match self.data.adopt(plan) {
            Ok(notes) => {
                self.notes.clone_from(&notes);
                (Input::Serves, notes.join("; "))
            }
            Err(error) => (Input::ServeFailed, error),
        };
        let open = self.driver.open();
        let back = open.is_some_and(|o| matches!(o.state, State::Reverting(_)));
        if input == Input::Serves {
            let by = if back {
                String::new()
            } else {
                self.whose(version)
            };
            self.figures.serves(version, &changes, &by, back);
        }
        if back && input == Input::ServeFailed {
            tracing::error!(
                error = note,
                "the old settings do not serve yet; tried again"
            );
            let answer = Answer {
                version,
                input,
                note,
            };
            self.retry = Some((Instant::now() + RETRY, answer));
            return;
        }
        self.answer(version, input, note);
    }

    /// All of the new values hold.
    fn serving(&mut self, version: u64) {
        self.write_note(version, "serves", "");
        if let Some(text) = self.to_write.remove(&version) {
            self.write_file(version, &text);
        }
        // What the gate let through is what readiness asks for.
        self.unproven = false;
        self.hold_back(None);
        let kept = std::mem::take(&mut self.kept);
        let notes = [kept, std::mem::take(&mut self.notes)].concat();
        self.tell_waiters(version, &Ok(notes.clone()));
        // Who asked for it is told by whoever began it.
        self.notes = notes;
    }

    fn tell_waiters(&mut self, version: u64, answer: &Result<Vec<String>, Vec<String>>) {
        self.waiters.retain(|waiter| {
            if waiter.version == version {
                let _ = waiter.reply.send(answer.clone());
            }
            waiter.version != version
        });
    }

    /// One line, with its undo.
    fn guard(&mut self, guard: Guard, mode: GuardMode, text: &str) {
        self.data.note_decision(guard, mode);
        let version = self.driver.open().map_or(0, |o| o.proposal.version);
        match mode {
            GuardMode::Enforce => tracing::warn!(
                guard = guard.label(),
                version,
                grounds = text,
                undo = format!("plimsoll rollback {version} --reason WHY"),
                "the change hurts: the settings before it serve again"
            ),
            _ => tracing::warn!(
                guard = guard.label(),
                version,
                grounds = text,
                undo = "plimsoll rollback",
                "the change hurts; the guard only watches, so it stays"
            ),
        }
    }

    fn ended(&mut self, ended: &Ended) {
        self.figures.ended(ended.state);
        let proposed = self.proposed.remove(&ended.version);
        self.to_write.remove(&ended.version);
        let replaced = self.replaced.take_if(|r| r.version == ended.version);
        if ended.state == State::Applied {
            tracing::info!(version = ended.version, "settings applied");
            if let Some(content) = proposed {
                self.current = content;
            }
            self.watch.set_paths(self.watched());
        } else {
            if let Some(replaced) = replaced {
                self.write_back(replaced);
            }
            let (word, detail) = state_words(ended.state);
            let word = word.replace('_', " ");
            let serves = ended.from;
            tracing::warn!(
                version = ended.version,
                serves,
                why = detail,
                note = ended.note,
                "settings {word}"
            );
            let mut lines = vec![format!("{word} ({detail}): version {serves} serves")];
            lines.extend((!ended.note.is_empty()).then(|| ended.note.clone()));
            self.tell_waiters(ended.version, &Err(lines));
        }
        self.compare_file();
        if std::mem::take(&mut self.file_waits) {
            self.file_changed();
        }
    }

    pub(super) fn write_note(&mut self, version: u64, what: &str, text: &str) {
        if let Err(error) = self.store.note(version, what, text) {
            tracing::error!(%error, version, "an event was not written down");
        }
    }

    pub(super) fn hold_back(&mut self, reason: Option<String>) {
        if self.held_back != reason {
            self.held_back.clone_from(&reason);
            self.data.hold_back(reason);
        }
    }

    /// Where changes come from, with `auto` resolved.
    pub(super) fn source(&self) -> SettingsSource {
        match self
            .current
            .plan
            .keeping
            .source
            .is_deploy(self.options.container)
        {
            true => SettingsSource::Deploy,
            false => SettingsSource::Store,
        }
    }

    /// Begins a change to `content`, which becomes a version. Returns its number.
    pub(super) fn propose(
        &mut self,
        content: Content,
        origin: Origin,
        (actor, reason): (&str, &str),
        manner: Manner,
    ) -> Result<u64, AskError> {
        self.look();
        self.act();
        let plan = Arc::new(content.plan.clone());
        if let Some(refusal) = self.driver.refusal(&plan, manner.now) {
            return Err(AskError::of_refusal(refusal));
        }
        let new = NewVersion {
            hash: &content.hash,
            origin,
            actor,
            reason,
            temporary: manner.temporary,
            files: &content.files,
            above: self.numbered,
        };
        let version = match self.store.add_version(&new) {
            Ok(version) => version,
            // A person in an emergency is faster than a full disk.
            // And where nothing is guarded, RELOAD does what PgBouncer's does.
            Err(error) if manner.now || !self.driver.is_guarded() => {
                tracing::error!(%error, "the history is not written; the change is made all the same");
                self.numbered.max(self.store.last().unwrap_or(0)) + 1
            }
            Err(error) => return Err(AskError::of_store(&error)),
        };
        self.numbered = version;
        let hash = short(&content.hash).to_owned();
        let origin_word = origin.label();
        tracing::info!(
            version,
            hash,
            origin = origin_word,
            actor,
            reason,
            "new settings"
        );
        // The change that gives way ends before this one begins.
        let at = self.now();
        let proposal = Proposal {
            version,
            plan,
            origin,
            now: manner.now,
            forced: manner.forced,
        };
        self.proposed.insert(version, content);
        if let Err(refusal) = self.driver.propose(at, proposal) {
            self.proposed.remove(&version);
            return Err(AskError::of_refusal(refusal));
        }
        self.act();
        Ok(version)
    }
}
