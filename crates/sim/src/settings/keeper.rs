//! The keeper of the settings as the shell has it, with a model journal, disk
//! and data plane in place of SQLite, files and sockets.
//!
//! What it decides by itself is in `config::rollout`; what is left here is the
//! order of things, which must be that of `control::settings::keeper`.

use super::check::Asked;
use super::disk::Content;
use super::journal::{Change, NotWritten, Version};
use super::plane::Refuses;
use super::world::{Fault, Step, World};
use config::Plan;
use config::rollout::{
    Action, Answer, AtStart, Beside, Current, Driver, Ended, Input, JudgeSettings, Nature,
    OnChange, Origin, Proposal, Refusal, State, Verdict, Why, at_start, on_change,
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
        let Some((version, serves, gate)) = prepare(w, file)? else {
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
        self.answer(w, proposal.version, Input::Checked(hash % 10 > 0));
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

    /// Begins a change, which becomes a version.
    fn propose(
        &mut self,
        w: &mut World,
        content: Content,
        origin: Origin,
        manner: Manner,
    ) -> Step<Result<u64, No>> {
        self.look(w);
        self.act(w)?;
        let plan = Arc::new(content.plan.clone());
        let before = self.shown(w);
        if let Some(refusal) = self.driver.refusal(&plan, manner.now) {
            w.unchanged(&before, &self.shown(w));
            w.hit(match refusal {
                Refusal::Same => "refused: the same",
                Refusal::Busy { .. } => "refused: busy",
            });
            return Ok(Err(match refusal {
                Refusal::Same => No::Same,
                Refusal::Busy { .. } => No::Busy,
            }));
        }
        w.point()?;
        let row = Version {
            hash: content.hash,
            origin,
            text: content.text.clone(),
        };
        let version = match w.journal.add(row, self.numbered) {
            Ok(version) => version,
            Err(_) if manner.now => {
                w.hit("journal: orders without a version");
                self.numbered.max(w.journal.last()) + 1
            }
            Err(_) => {
                w.unchanged(&before, &self.shown(w));
                w.hit("refused: no history");
                return Ok(Err(No::History));
            }
        };
        self.numbered = version;
        w.point()?;
        let asked = Asked {
            plan: Arc::clone(&plan),
            hash: content.hash,
            origin,
            now: manner.now,
        };
        w.check.asks(version, asked, self.drift_guard(w));
        let proposal = Proposal {
            version,
            plan,
            origin,
            now: manner.now && w.fault != Some(Fault::OrdersTakenBack),
            forced: manner.forced,
        };
        self.proposed.insert(version, content);
        if self.driver.propose(w.now, proposal).is_err() {
            self.proposed.remove(&version);
            w.check.fail("what was not refused before is refused");
            return Ok(Err(No::Busy));
        }
        w.hit("changes begun");
        self.act(w)?;
        Ok(Ok(version))
    }

    /// What a refused proposal must not change.
    fn shown(&self, w: &World) -> String {
        let open = self.driver.open().map(|o| (o.proposal.version, o.state));
        let current = self.driver.current().version;
        format!("{current} {open:?} {} {:p}", w.journal.writes, w.plane.plan)
    }

    /// The settings that a person means.
    fn content(&mut self, w: &mut World, text: Option<&[u8]>) -> Option<Content> {
        w.stats.reloads += 1;
        let read = match text {
            Some(text) => w.disk.content(text).ok(),
            None => w.disk.read(),
        };
        w.read(read.is_some());
        let mut content = read?;
        self.fix(&mut content.plan);
        Some(content)
    }

    fn fix(&self, plan: &mut Plan) {
        config::keep_fixed(&self.current.plan, plan);
    }

    /// `plimsoll apply`.
    pub fn apply(&mut self, w: &mut World, text: Option<&[u8]>, manner: Manner) -> Step {
        let Some(content) = self.content(w, text) else {
            return Ok(());
        };
        if let Ok(version) = self.propose(w, content, Origin::Apply, manner)?
            && let Some(text) = text
            && !self.is_deploy(w)
        {
            self.write_when_applied(w, version, text.to_vec());
        }
        Ok(())
    }

    fn write_when_applied(&mut self, w: &mut World, version: u64, text: Vec<u8>) {
        if self.driver.current().version == version {
            return self.write_file(w, text);
        }
        if self.proposed.contains_key(&version) {
            self.to_write.insert(version, text);
        }
    }

    /// `plimsoll rollback`.
    pub fn rollback(&mut self, w: &mut World, asked: Option<u64>) -> Step<Result<(), No>> {
        w.stats.reloads += 1;
        let current = self.driver.current().version;
        let open = self.driver.open().map(|o| o.proposal.version);
        if let Some(open) = open
            && asked.is_none_or(|v| v == open || v == current)
        {
            w.hit("rollbacks of an open change");
            self.driver.rollback(w.now, "asked");
            self.act(w)?;
            return Ok(Ok(()));
        }
        let target = asked.filter(|v| *v != current);
        let Some(target) = target.or_else(|| w.journal.before(current)) else {
            return Ok(Err(No::Unknown));
        };
        let Some(row) = w.journal.versions.get(&target).cloned() else {
            return Ok(Err(No::Unknown));
        };
        let content = match self.stored(w, &row.text) {
            Ok(content) => content,
            Err(no) => return Ok(Err(no)),
        };
        let manner = Manner {
            now: true,
            ..Manner::default()
        };
        let version = match self.propose(w, content, Origin::Rollback, manner)? {
            Ok(version) => version,
            Err(no) => return Ok(Err(no)),
        };
        w.hit("rollbacks to a version");
        if !self.is_deploy(w) && !row.text.contains(config::MASKED) {
            self.write_when_applied(w, version, row.text.into_bytes());
        }
        Ok(Ok(()))
    }

    /// A version of the history, with the secrets of today.
    fn stored(&self, w: &World, text: &str) -> Result<Content, No> {
        let read = w.disk.content(text.as_bytes());
        let mut content = read.map_err(|_| No::Mistakes)?;
        if !config::with_secrets_of(&mut content.plan, &self.current.plan).is_empty() {
            return Err(No::Mistakes);
        }
        self.fix(&mut content.plan);
        Ok(content)
    }

    /// RELOAD in the console.
    pub fn reload(&mut self, w: &mut World) -> Step {
        let Some(content) = self.content(w, None) else {
            return Ok(());
        };
        if content.hash == self.current.hash && self.driver.open().is_none() {
            w.hit("reloads of the same version");
            let kept = w.check.take_overlays();
            if w.adopt(content.plan.clone())?.is_ok() {
                self.driver.clear_overlays();
                self.driver.refresh(|_| content.plan.clone());
                self.current = content;
            } else {
                w.check.put_overlays(kept);
            }
            return Ok(());
        }
        self.propose(w, content, Origin::Reload, Manner::default())?
            .ok();
        Ok(())
    }

    /// SET in the console: it serves first, then the keeper is told.
    pub fn set(&mut self, w: &mut World, key: &str, value: &str) -> Step {
        let Ok((plan, _)) = config::with_key(&w.plane.plan, key, value) else {
            return Ok(());
        };
        let before = w.check.take_overlays();
        w.check.put_overlays(before.clone());
        w.check.overlay(key, value);
        if w.adopt(plan)?.is_err() {
            w.check.put_overlays(before);
            return Ok(());
        }
        w.hit("SETs");
        if w.fault != Some(Fault::ForgetsSet) {
            self.driver.overlay(key, value);
        }
        w.point()?;
        let row = Version {
            hash: self.current.hash,
            origin: Origin::Set,
            text: self.current.text.clone(),
        };
        if let Ok(version) = w.journal.add(row, self.numbered) {
            self.numbered = version;
        }
        w.point()
    }

    /// Looks at the files.
    pub fn poll_files(&mut self, w: &mut World) -> Step {
        self.next_poll = w.now.after(POLL);
        if self.seen == w.disk.file {
            return Ok(());
        }
        self.seen.clone_from(&w.disk.file);
        if self.drift_guard(w) == GuardMode::Off {
            return Ok(());
        }
        if w.disk.file.is_none() {
            w.hit("files vanished");
            self.drift = true;
            return Ok(());
        }
        self.file_changed(w)
    }

    fn file_changed(&mut self, w: &mut World) -> Step {
        w.stats.reloads += 1;
        let read = w.disk.read();
        w.read(read.is_some());
        let Some(mut content) = read else {
            self.drift = true;
            return Ok(());
        };
        let same = content.hash == self.current.hash;
        let underway = self.proposed.values().any(|c| c.hash == content.hash);
        self.fix(&mut content.plan);
        let deploy = self.is_deploy(w);
        match on_change(self.drift_guard(w), same, underway, deploy) {
            OnChange::Back => self.back_again(w, content)?,
            OnChange::Underway => self.drift = false,
            OnChange::Ignored => {}
            OnChange::Told => self.drift = true,
            OnChange::Gate => self.gate_the_file(w, content, Origin::File)?,
            OnChange::Held => {
                w.hit("files held");
                self.drift = true;
                self.restore(w);
            }
        }
        Ok(())
    }

    fn back_again(&mut self, w: &mut World, content: Content) -> Step {
        self.drift = false;
        if content.plan != self.current.plan && self.driver.open().is_none() {
            w.hit("files back with other secrets");
            let kept = w.check.take_overlays();
            if w.adopt(content.plan.clone())?.is_ok() {
                self.driver.clear_overlays();
                self.driver.refresh(|_| content.plan.clone());
                self.current = content;
            } else {
                w.check.put_overlays(kept);
            }
        }
        Ok(())
    }

    fn gate_the_file(&mut self, w: &mut World, content: Content, origin: Origin) -> Step {
        if w.fault != Some(Fault::TriesAgain) && w.journal.rejected(content.hash).is_some() {
            w.hit("files turned down before");
            self.drift = true;
            return Ok(());
        }
        match self.propose(w, content, origin, Manner::default())? {
            Err(No::Busy) => self.file_waits = true,
            Err(No::Same) | Ok(_) => {}
            Err(_) => self.drift = true,
        }
        Ok(())
    }

    fn compare_file(&mut self, w: &World) {
        let Some(content) = w.disk.read() else { return };
        self.drift = content.hash != self.current.hash && self.drift_guard(w) == GuardMode::Enforce;
    }

    fn restore(&mut self, w: &mut World) {
        if !self.current.plan.keeping.restore {
            return;
        }
        let now = w.now;
        self.restores.retain(|at| now.since(*at) < RESTORES_IN);
        if self.restores.len() >= RESTORES_MAX {
            return;
        }
        let version = self.driver.current().version;
        if let Some(row) = w.journal.versions.get(&version).cloned()
            && !row.text.contains(config::MASKED)
        {
            self.restores.push(now);
            w.hit("files restored");
            self.write_when_applied(w, version, row.text.into_bytes());
            self.compare_file(w);
        }
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

/// Decides what serves first, with what of the file goes through the gate.
fn prepare(w: &mut World, file: Option<Content>) -> Step<Option<(u64, Content, Option<Content>)>> {
    let Some((version, mut serves)) = current(w, file.as_ref()) else {
        let Some(content) = file else { return Ok(None) };
        w.hit("boot: adopted without a history");
        let version = adopt(w, &content)?;
        return Ok(Some((version, content, None)));
    };
    let guard = serves.plan.guards.mode(Guard::Drift);
    let rejected = file.as_ref().and_then(|c| w.journal.rejected(c.hash));
    let beside = Beside {
        serves: &serves.plan,
        file: file.as_ref().map(|c| &c.plan),
        same: file.as_ref().is_some_and(|c| c.hash == serves.hash),
        deploy: serves.plan.keeping.source.is_deploy(w.container),
        rejected,
    };
    let decided = at_start(guard, &beside);
    w.hit(match decided {
        AtStart::Same => "boot: as the history",
        AtStart::Stop => "boot: mistakes without a guard",
        AtStart::Broken => "boot: mistakes, the history serves",
        AtStart::Adopt => "boot: the file adopted",
        AtStart::Held => "boot: the file held",
        AtStart::Rejected(..) => "boot: the file turned down before",
        AtStart::Gate => "boot: the file through the gate",
    });
    match (decided, file) {
        (AtStart::Stop, _) => Ok(None),
        (AtStart::Same, Some(content)) => Ok(Some((version, content, None))),
        (AtStart::Adopt, Some(content)) => {
            let version = adopt(w, &content)?;
            Ok(Some((version, content, None)))
        }
        (AtStart::Gate, Some(content)) => {
            config::take_fixed(&content.plan, &mut serves.plan);
            Ok(Some((version, serves, Some(content))))
        }
        _ => Ok(Some((version, serves, None))),
    }
}

fn adopt(w: &mut World, content: &Content) -> Step<u64> {
    w.point()?;
    let row = Version {
        hash: content.hash,
        origin: Origin::Boot,
        text: content.text.clone(),
    };
    let Ok(version) = w.journal.add(row, 0) else {
        return Ok(w.journal.last() + 1);
    };
    w.point()?;
    if w.journal.adopt(version).is_err() {
        return Ok(version);
    }
    w.point()?;
    Ok(version)
}

/// What serves by the history, with the secrets of today.
fn current(w: &mut World, file: Option<&Content>) -> Option<(u64, Content)> {
    let version = w.journal.current?;
    let text = w.journal.versions.get(&version)?.text.clone();
    let mut content = w.disk.content(text.as_bytes()).ok()?;
    let itself = content.plan.clone();
    let secrets = file.map_or(&itself, |file| &file.plan);
    let missing = config::with_secrets_of(&mut content.plan, secrets);
    if !missing.is_empty() {
        w.hit("boot: secrets are gone");
        return None;
    }
    Some((version, content))
}
