//! The keeper of the settings as the shell has it, with a model journal, disk
//! and data plane in place of SQLite, files and sockets.
//!
//! What it decides by itself is in `config::rollout`; what is left here is the
//! order of things, which must be that of `control::settings::keeper`.

mod asks;
mod files;
mod start;

use super::check::Asked;
use super::disk::Content;
use super::journal::{Change, NotWritten};
use super::plane::Refuses;
use super::world::{Fault, Step, World};
use config::Plan;
use config::rollout::{
    Action, Answer, Current, Driver, Ended, Input, JudgeSettings, Nature, Origin, Proposal, State,
    Verdict, Why,
};
use events::{Guard, GuardMode, Time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// After a failed way back, before it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at the files.
const POLL: Duration = Duration::from_secs(1);
/// Restores of the settings file, at most, in [`RESTORES_IN`].
const RESTORES_MAX: usize = 3;
const RESTORES_IN: Duration = Duration::from_secs(600);

/// States that wait for room on the disk.
const UNWRITTEN_MAX: usize = 1_000;

/// How a change is asked for.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Manner {
    pub now: bool,
    pub forced: bool,
}

/// Why a change is not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum No {
    Mistakes,
    Busy,
    Same,
    History,
    Unknown,
}

/// The process's own state.
#[derive(Debug)]
pub(super) struct Keeper {
    pub driver: Driver,
    current: Content,
    proposed: BTreeMap<u64, Content>,
    to_write: BTreeMap<u64, Vec<u8>>,
    /// What the watch reported last.
    seen: Option<Vec<u8>>,
    pub next_poll: Time,
    pub next_look: Time,
    drift: bool,
    pub file_waits: bool,
    restores: Vec<Time>,
    pub retry: Option<(Time, Answer)>,
    /// The highest number that this process gave: none is given twice.
    numbered: u64,
    /// States that the disk had no room for, in their order.
    unwritten: VecDeque<(u64, Change)>,
    /// Answers of tasks that run apart.
    pub tasks: Vec<(Time, Answer)>,
}

impl Keeper {
    /// Starts a process. `None`: there is nothing that can serve.
    pub fn boot(w: &mut World) -> Step<Option<Keeper>> {
        let seen = w.disk.file.clone();
        let file = w.disk.read();
        let Some((version, serves, gate)) = start::prepare(w, file)? else {
            w.hit("boot: nothing can serve");
            return Ok(None);
        };
        let plan = Arc::new(serves.plan.clone());
        w.start(Arc::clone(&plan));
        let asked = Asked {
            plan: Arc::clone(&plan),
            hash: serves.hash,
            origin: Origin::Boot,
            now: false,
        };
        w.check.booted(version, asked);
        w.check.current_was_whole(Some(version));
        let settings = JudgeSettings {
            watch: serves.plan.keeping.watch,
            ..JudgeSettings::default()
        };
        let mut keeper = Keeper {
            driver: Driver::new(Current { version, plan }, settings),
            current: serves,
            proposed: BTreeMap::new(),
            to_write: BTreeMap::new(),
            seen,
            next_poll: w.now.after(POLL),
            next_look: w.now,
            drift: false,
            file_waits: false,
            restores: Vec::new(),
            retry: None,
            numbered: version,
            unwritten: VecDeque::new(),
            tasks: Vec::new(),
        };
        keeper.resume(w)?;
        if let Some(file) = gate {
            keeper.gate_the_file(w, file, Origin::Boot)?;
        }
        keeper.until_next(w);
        Ok(Some(keeper))
    }

    fn resume(&mut self, w: &mut World) -> Step {
        let current = self.driver.current().version;
        let mut left = w.journal.opens();
        // The newest that stands on what serves; the others have lost their ground.
        let at = left.iter().position(|(_, change)| change.from == current);
        let taken = at.map(|at| left.remove(at));
        for (version, change) in left {
            w.hit("boot: changes closed that stand on nothing");
            let back = State::RolledBack(Why::Killed);
            self.enter(w, version, change.from, change.nature, back)?;
        }
        let Some((version, change)) = taken else {
            return Ok(());
        };
        let row = w.journal.versions.get(&version).cloned();
        let content = row.as_ref().and_then(|row| self.stored(w, &row.text).ok());
        let Some((row, mut content)) = row.zip(content) else {
            let back = State::RolledBack(Why::Killed);
            w.hit("boot: texts cannot be read any more");
            return self.enter(w, version, change.from, change.nature, back);
        };
        // What only a restart changes has changed by now, or never will.
        config::take_fixed(&self.current.plan, &mut content.plan);
        w.hit(match change.state {
            State::Staging { .. } => "boot: taken up while staging",
            State::Watching => "boot: taken up while watching",
            State::Reverting(_) => "boot: taken up while reverting",
            _ => "boot: taken up before it served",
        });
        let proposal = Proposal {
            version,
            plan: Arc::new(content.plan.clone()),
            origin: row.origin,
            now: change.nature.now,
            forced: change.nature.forced,
        };
        let now = w.check.asked.get(&version).is_some_and(|a| a.now);
        let asked = Asked {
            plan: Arc::clone(&proposal.plan),
            hash: content.hash,
            origin: row.origin,
            now,
        };
        w.check.resumed(version, change.nature, change.state, asked);
        self.proposed.insert(version, content);
        self.look(w);
        if w.fault == Some(Fault::ResumedAsApplied) {
            let state = State::Watching;
            self.driver.resume(w.now, proposal, change.nature, state);
        } else {
            self.driver
                .resume(w.now, proposal, change.nature, change.state);
        }
        self.act(w)
    }

    /// Does everything that the driver asks for, until it waits for something.
    pub fn act(&mut self, w: &mut World) -> Step {
        let mut actions = 0;
        while let Some(action) = self.driver.poll_action() {
            actions += 1;
            if actions > 10 * super::check::ACTIONS_MAX {
                w.check.fail("the driver never rests");
                return Ok(());
            }
            match action {
                Action::Record {
                    version,
                    from,
                    nature,
                    state,
                    ..
                } => {
                    if w.fault == Some(Fault::ServesBeforeRecording)
                        && let Some(Action::Serve { version, plan }) = self.driver.poll_action()
                    {
                        self.serve(w, version, &plan)?;
                    }
                    self.enter(w, version, from, nature, state)?;
                }
                Action::Check(proposal) => self.check(w, &proposal),
                Action::Predict { version, new, .. } => self.predict(w, version, &new),
                Action::Probe { version, .. } => {
                    let good = !w.rng.permille(200);
                    self.apart(w, version, Input::Probed(good));
                }
                Action::Serve { version, plan } => {
                    let other = self
                        .driver
                        .open()
                        .is_none_or(|o| o.proposal.version != version);
                    if other && w.fault == Some(Fault::ForgetsTheWayBack) {
                        continue;
                    }
                    self.serve(w, version, &plan)?;
                }
                Action::Serving { .. } => w.hit("versions that served wholly"),
                Action::Guard { mode, .. } => w.hit(match mode {
                    GuardMode::Enforce => "guard: taken back",
                    _ => "guard: it hurts and stays",
                }),
                Action::Note { .. } => {}
                Action::Ended(ended) => self.ended(w, &ended)?,
            }
        }
        w.check.rests(&w.plane, actions);
        Ok(())
    }

    /// Writes a state down. What cannot be written is not known to the next process.
    fn enter(
        &mut self,
        w: &mut World,
        version: u64,
        from: u64,
        nature: Nature,
        state: State,
    ) -> Step {
        w.check.recorded(version, nature, state, &w.plane);
        w.reached(state);
        w.point()?;
        let change = Change {
            from,
            nature,
            state,
        };
        if self.unwritten.len() < UNWRITTEN_MAX {
            self.unwritten.push_back((version, change));
        }
        self.write_down(w);
        if !self.unwritten.is_empty() {
            w.hit("journal: states that had to wait");
        }
        if w.fault == Some(Fault::CurrentTooEarly) && matches!(state, State::Staging { .. }) {
            w.journal.current = Some(version);
            w.check.current_was_whole(Some(version));
        }
        w.point()
    }

    /// In their order: a later state must not stand without an earlier one.
    fn write_down(&mut self, w: &mut World) {
        while let Some((version, change)) = self.unwritten.front().copied() {
            match w.journal.enter(version, change) {
                Ok(()) => w.check.written(version, change.state, w.journal.current),
                Err(NotWritten::Full) => return,
                // Its version never was: nothing of it can be.
                Err(NotWritten::Unknown) => {}
            }
            self.unwritten.pop_front();
        }
    }

    fn answer(&mut self, w: &World, version: u64, input: Input) {
        let note = String::new();
        let answer = Answer {
            version,
            input,
            note,
        };
        self.driver.answer(w.now, answer);
    }

    fn check(&mut self, w: &mut World, proposal: &Proposal) {
        let hash = self.proposed.get(&proposal.version).map_or(0, |c| c.hash);
        self.answer(
            w,
            proposal.version,
            Input::Checked(!hash.is_multiple_of(10)),
        );
    }

    fn predict(&mut self, w: &mut World, version: u64, new: &Plan) {
        let verdict = match w.rng.below(10) {
            0 => Verdict::Unknown,
            1 => Verdict::Fine,
            _ if w.plane.lacks(new) => Verdict::Worse,
            _ => Verdict::Fine,
        };
        self.apart(w, version, Input::Predicted(verdict));
    }

    fn apart(&mut self, w: &mut World, version: u64, input: Input) {
        if w.rng.permille(w.weather.loses) {
            return w.hit("answers lost");
        }
        let note = String::new();
        let answer = Answer {
            version,
            input,
            note,
        };
        let due = w.now.after(Duration::from_millis(w.rng.below(9_000)));
        self.tasks.push((due, answer));
    }

    fn serve(&mut self, w: &mut World, version: u64, plan: &Plan) -> Step {
        let mut plan = plan.clone();
        if w.fault != Some(Fault::OldSecrets) {
            w.disk.renew(&mut plan, &w.plane.plan);
        }
        if w.fault == Some(Fault::SkipsSteps)
            && let Some(open) = self.driver.open()
            && matches!(open.state, State::Staging { .. })
        {
            plan = (*open.proposal.plan).clone();
        }
        let input = match w.adopt(plan)? {
            Ok(()) => Input::Serves,
            Err(Refuses::Restart) => {
                w.check.fail(format!(
                    "version {version} needs a restart and was not refused for it"
                ));
                Input::ServeFailed
            }
            Err(Refuses::Once) => Input::ServeFailed,
        };
        let open = self.driver.open();
        let back = open.is_some_and(|o| matches!(o.state, State::Reverting(_)));
        if back && input == Input::ServeFailed {
            w.hit("ways back that failed at first");
            if w.fault == Some(Fault::NoSecondTry) {
                return Ok(());
            }
            let note = String::new();
            let answer = Answer {
                version,
                input,
                note,
            };
            self.retry = Some((w.now.after(RETRY), answer));
            return Ok(());
        }
        self.answer(w, version, input);
        Ok(())
    }

    fn ended(&mut self, w: &mut World, ended: &Ended) -> Step {
        let proposed = self.proposed.remove(&ended.version);
        let text = self.to_write.remove(&ended.version);
        if ended.state == State::Applied {
            if let Some(content) = proposed {
                self.current = content;
            }
            if let Some(text) = text {
                self.write_file(w, text);
            }
        }
        self.compare_file(w);
        if std::mem::take(&mut self.file_waits) {
            self.file_changed(w)?;
        }
        Ok(())
    }

    fn write_file(&mut self, w: &mut World, text: Vec<u8>) {
        w.hit("files written");
        w.disk.file = Some(text);
        self.seen.clone_from(&w.disk.file);
    }

    fn is_deploy(&self, w: &World) -> bool {
        self.current.plan.keeping.source.is_deploy(w.container)
    }

    /// The guard's mode by what serves, and by the one switch.
    fn drift_guard(&self, w: &World) -> GuardMode {
        let set = self.current.plan.guards;
        let holds = if w.plane.off { set.observing() } else { set };
        holds.mode(Guard::Drift)
    }

    /// Looks at the traffic.
    fn look(&mut self, w: &mut World) {
        let snapshot = w.plane.snapshot(w.now);
        self.driver.look(&snapshot);
        self.next_look = w.now.after(self.driver.look_after(w.now));
    }

    /// When something is due next.
    pub fn next(&self) -> Time {
        let tasks = self.tasks.iter().map(|(due, _)| *due).min();
        let retry = self.retry.as_ref().map(|(due, _)| *due);
        let first = self.next_look.min(self.next_poll);
        first
            .min(tasks.unwrap_or(Time::FAR))
            .min(retry.unwrap_or(Time::FAR))
    }

    /// What is due by the clock.
    pub fn tick(&mut self, w: &mut World) -> Step {
        while let Some(at) = self.tasks.iter().position(|(due, _)| *due <= w.now) {
            let (_, answer) = self.tasks.remove(at);
            self.driver.answer(w.now, answer);
            self.act(w)?;
        }
        let now = w.now;
        if let Some((_, answer)) = self.retry.take_if(|(due, _)| *due <= now) {
            self.driver.answer(w.now, answer);
            self.act(w)?;
        }
        if self.next_look <= w.now {
            w.point()?;
            self.look(w);
            self.act(w)?;
        }
        if self.next_poll <= w.now {
            self.write_down(w);
            self.poll_files(w)?;
        }
        self.until_next(w);
        Ok(())
    }

    /// A change that was begun or ended wants another pace.
    pub fn until_next(&mut self, w: &World) {
        let wanted = w.now.after(self.driver.look_after(w.now));
        self.next_look = self.next_look.min(wanted);
    }
}
