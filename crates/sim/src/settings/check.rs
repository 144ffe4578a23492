//! What must hold at every moment, judged from what was written down and what
//! the workers serve; never from what the driver believes.

mod room;

use super::plane::Plane;
use config::rollout::{Nature, Origin, STEPS, State, Why, between};
use config::{Plan, with_key};
use events::GuardMode;
use room::{differs, own, rooms};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Actions that one drain of the driver's queue may bring.
pub(super) const ACTIONS_MAX: usize = 24;

/// What a version is, as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub plan: Arc<Plan>,
    pub hash: u64,
    pub origin: Origin,
    /// A person's order to skip all guards.
    pub now: bool,
}

/// The change that was written down last and has no end.
#[derive(Clone, Debug)]
struct Open {
    version: u64,
    nature: Nature,
    state: State,
    /// What served when it began.
    base: Arc<Plan>,
}

/// The checker.
#[derive(Debug)]
pub(super) struct Checker {
    /// Stands for a plan that nobody knows.
    nothing: Arc<Plan>,
    /// The first promise that was broken.
    pub broken: Option<String>,
    pub asked: BTreeMap<u64, Asked>,
    current: u64,
    open: Option<Open>,
    overlays: Vec<(String, String)>,
    /// Those from before a version whose first step was written down.
    before: Vec<(String, String)>,
    /// Versions that all workers have served wholly.
    whole: BTreeSet<u64>,
    /// Texts that were turned down, and by which version.
    convicted: BTreeMap<u64, u64>,
    /// The last adoption was refused: the one before still holds.
    refused: bool,
    /// What a SET makes of a step whose way back was refused so far.
    set: Option<Plan>,
    /// What was judged good, while nothing was written down since.
    judged: Option<Arc<Plan>>,
    /// From one state to the next.
    pub edges: BTreeMap<(&'static str, &'static str), u64>,
}

/// A plan without its secrets, and without what is only told of it.
pub(super) fn bare(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for database in &mut plan.databases {
        database.password = None;
    }
    for user in plan.users.values_mut() {
        user.secret = None;
    }
    plan.warnings.clear();
    plan.shown.clear();
    plan
}

impl Checker {
    /// Before anything has happened.
    pub fn new(nothing: Arc<Plan>) -> Checker {
        Checker {
            nothing,
            broken: None,
            asked: BTreeMap::new(),
            current: 0,
            open: None,
            overlays: Vec::new(),
            before: Vec::new(),
            whole: BTreeSet::new(),
            convicted: BTreeMap::new(),
            refused: false,
            set: None,
            judged: None,
            edges: BTreeMap::new(),
        }
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(what.into());
        }
    }

    /// A process begins: this serves.
    pub fn booted(&mut self, version: u64, asked: Asked) {
        self.judged = None;
        self.current = version;
        self.asked.insert(version, asked);
        self.whole.insert(version);
        self.overlays.clear();
        self.before.clear();
        self.set = None;
        self.open = None;
        self.refused = false;
    }

    /// A change is taken up after a kill.
    pub fn resumed(&mut self, version: u64, nature: Nature, state: State, asked: Asked) {
        self.judged = None;
        let base = self.plan_of(self.current);
        self.asked.insert(version, asked);
        self.open = Some(Open {
            version,
            nature,
            state,
            base,
        });
    }

    fn plan_of(&self, version: u64) -> Arc<Plan> {
        let asked = self.asked.get(&version);
        Arc::clone(asked.map_or(&self.nothing, |asked| &asked.plan))
    }

    /// A version is about to be proposed.
    pub fn asks(&mut self, version: u64, asked: Asked, guard: GuardMode) {
        let alone = matches!(asked.origin, Origin::Boot | Origin::File);
        if alone && guard == GuardMode::Enforce && self.convicted.contains_key(&asked.hash) {
            let before = self.convicted.get(&asked.hash);
            self.fail(format!(
                "the file alone began version {version}, turned down before as {before:?}"
            ));
        }
        self.asked.insert(version, asked);
    }

    /// The console's SET is on its way.
    pub fn overlay(&mut self, key: &str, value: &str) {
        self.judged = None;
        self.overlays.retain(|(known, _)| known != key);
        self.overlays.push((key.to_owned(), value.to_owned()));
    }

    /// A SET goes to what serves. While a way back is owed that is not what is
    /// written down, and the way back is owed still.
    pub fn sets(&mut self, plan: Option<&Plan>) {
        match plan {
            Some(plan) if self.refused => self.set = Some(bare(plan)),
            Some(_) => {}
            None => self.refused |= self.set.take().is_some(),
        }
    }

    /// What the console SET, to be put back where a reading is refused.
    pub fn take_overlays(&mut self) -> Vec<(String, String)> {
        self.judged = None;
        std::mem::take(&mut self.overlays)
    }

    pub fn put_overlays(&mut self, overlays: Vec<(String, String)>) {
        self.judged = None;
        self.overlays = overlays;
    }

    /// A state was entered, before anything is done about it.
    pub fn recorded(&mut self, version: u64, nature: Nature, state: State, plane: &Plane) {
        self.judged = None;
        let before = match &self.open {
            Some(open) if open.version == version => Some(open.state),
            Some(open) => {
                // A person's way back writes to a version that has ended.
                if !state.is_end() {
                    let other = open.version;
                    self.fail(format!("version {version} began while {other} is open"));
                }
                return;
            }
            None => None,
        };
        if before.is_none() && state.is_end() {
            return;
        }
        let label = before.map_or("", State::label);
        *self.edges.entry((label, state.label())).or_default() += 1;
        self.legal(version, nature, before, state);
        self.taken_back(version, nature, state);
        let base = match &self.open {
            Some(open) => Arc::clone(&open.base),
            None => Arc::clone(plane.workers.first().unwrap_or(&self.nothing)),
        };
        match state {
            State::Staging {
                step: 1,
                serves: false,
                ..
            } if !matches!(before, Some(State::Staging { .. })) => {
                self.before = std::mem::take(&mut self.overlays);
            }
            State::Staging { .. } => self.before.clear(),
            _ => {
                let since = std::mem::take(&mut self.overlays);
                self.overlays = std::mem::take(&mut self.before);
                for (key, value) in since {
                    self.overlay(&key, &value);
                }
            }
        }
        self.open = (!state.is_end()).then_some(Open {
            version,
            nature,
            state,
            base,
        });
        if state == State::Applied {
            self.current = version;
        }
    }

    fn legal(&mut self, version: u64, nature: Nature, before: Option<State>, state: State) {
        use State as S;
        let good = match (before, state) {
            (_, S::Staging { of, .. }) if nature.tightens && !nature.now && of != STEPS => {
                // What was whole before a kill is whole again at once.
                of == 1 && matches!(before, Some(S::Watching | S::Staging { of: 1, .. }))
            }
            (None, S::Checking) => true,
            (
                Some(S::Staging { step, of, serves }),
                S::Staging {
                    step: s,
                    of: o,
                    serves: now,
                },
            ) => {
                let forward = s == step + 1 && serves && !now;
                let same = s == step && !serves && now;
                // After a kill a change that only gives room begins anew.
                let again = s == 1 && o == 1 && !now;
                (of == o && (forward || same)) || again
            }
            (Some(_), S::Staging { step, serves, .. }) => step == 1 && !serves,
            (Some(S::Staging { step, of, serves }), S::Watching | S::Applied) => {
                step == of && serves
            }
            (Some(S::Watching), S::Applied) => true,
            (_, S::Watching | S::Applied) => false,
            (Some(S::Checking | S::Predicting | S::Probing), S::Refused(_)) => true,
            (_, S::Refused(_)) => false,
            (before, S::Reverting(_)) => {
                matches!(
                    before,
                    Some(S::Staging { .. } | S::Watching | S::Reverting(_))
                )
            }
            (Some(S::Reverting(was)), S::RolledBack(why)) => was == why,
            (Some(S::Staging { .. }), S::RolledBack(why)) => why == Why::Superseded,
            (_, S::RolledBack(_)) => false,
            (Some(_), S::Checking | S::Predicting | S::Probing) => true,
            (None, _) => false,
        };
        if !good {
            self.fail(format!(
                "version {version} went from {before:?} to {state:?}"
            ));
        }
    }

    fn taken_back(&mut self, version: u64, nature: Nature, state: State) {
        let asked = self.asked.get(&version).is_some_and(|a| a.now);
        let (State::Reverting(why) | State::RolledBack(why) | State::Refused(why)) = state else {
            return;
        };
        let alone = matches!(
            why,
            Why::Hurts | Why::Killed | Why::Prediction | Why::Check | Why::Probe
        );
        if asked && alone {
            self.fail(format!(
                "a person's order {version} was taken back: {why:?}"
            ));
        }
        if asked && !nature.now {
            self.fail(format!("a person's order {version} is not known as one"));
        }
    }

    /// A state is on disk.
    pub fn written(&mut self, version: u64, state: State, current: Option<u64>) {
        let hash = self.asked.get(&version).map(|a| a.hash);
        match (state, hash) {
            (State::Refused(why) | State::RolledBack(why), Some(hash)) if why.convicts() => {
                self.convicted.insert(hash, version);
            }
            (State::Applied, Some(hash)) => drop(self.convicted.remove(&hash)),
            _ => {}
        }
        self.current_was_whole(current);
    }

    /// The version that the journal calls current has served wholly.
    pub fn current_was_whole(&mut self, current: Option<u64>) {
        if let Some(current) = current.filter(|c| !self.whole.contains(c)) {
            self.fail(format!(
                "the journal's current version {current} never served wholly"
            ));
        }
    }

    fn overlaid(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for (key, value) in &self.overlays {
            if let Ok((with, _)) = with_key(&plan, key, value) {
                plan = with;
            }
        }
        plan
    }

    /// What all workers serve when nothing is in between.
    fn target(&self) -> Plan {
        let current = self.plan_of(self.current);
        match &self.open {
            Some(open) => match open.state {
                State::Staging { step, of, .. } => {
                    self.overlaid(&between(&current, &self.plan_of(open.version), step, of))
                }
                State::Watching => self.overlaid(&self.plan_of(open.version)),
                _ => self.overlaid(&current),
            },
            None => self.overlaid(&current),
        }
    }

    /// A worker serves another plan from now on.
    pub fn took(&mut self, plan: &Plan, worker: usize) {
        let served = bare(plan);
        let target = bare(&self.target());
        if served != target {
            let current = bare(&self.overlaid(&self.plan_of(self.current)));
            if served != current && self.set.as_ref() != Some(&served) {
                let state = self.open.as_ref().map(|o| (o.version, o.state));
                let found = differs(&target, &served);
                return self.fail(format!(
                    "worker {worker} serves neither version {} nor a step of {state:?}: {found}",
                    self.current
                ));
            }
        }
        self.room(plan);
    }

    /// No step gives less room than its own share, and what gives more gives it at once.
    fn room(&mut self, served: &Plan) {
        let Some(open) = self.open.clone() else {
            return;
        };
        let State::Staging { step, of, .. } = open.state else {
            return;
        };
        if !self.overlays.is_empty() {
            return;
        }
        let (old, new) = (self.plan_of(self.current), self.plan_of(open.version));
        let asked = [Arc::clone(&old), Arc::clone(&new)];
        let (old, new) = (rooms(&old), rooms(&new));
        let base = rooms(&open.base);
        let share = f64::from(step) / f64::from(of);
        for (key, at) in rooms(served) {
            let (Some(was), Some(shall)) = (old.get(&key), new.get(&key)) else {
                continue;
            };
            let least = match shall < was {
                true if was.is_finite() && *shall > 0.0 => was * (shall / was).powf(share),
                true => *shall,
                // Both what served and what shall serve have at least this.
                false => shall.min(*base.get(&key).unwrap_or(shall)).min(*was),
            };
            // A user's own size holds in all databases: the widest leads.
            let most = match own(&key, &asked) {
                true => f64::INFINITY,
                false => was.max(*shall),
            };
            if at + 1e-6 < least || at > most + 1e-6 {
                self.fail(format!(
                    "{key} is {at} at step {step} of {of} from {was} to {shall}"
                ));
            }
            if !open.nature.tightens
                && base
                    .get(&key)
                    .is_some_and(|base| at + 1e-6 < base.min(*shall))
            {
                self.fail(format!("{key} fell to {at} on the way to more room"));
            }
        }
    }

    /// An adoption ended: whole, or refused.
    pub fn adopted(&mut self, good: bool, plane: &Plane) {
        self.judged = None;
        self.refused = !good;
        let first = plane.workers.first();
        if plane.workers.iter().any(|w| Some(w) != first) {
            return self.fail("some workers serve other settings than others");
        }
        if good
            && let Some(open) = &self.open
            && matches!(open.state, State::Staging { step, of, .. } if step == of)
        {
            self.whole.insert(open.version);
        }
    }

    /// The driver has nothing to do at the moment.
    pub fn rests(&mut self, plane: &Plane, actions: usize) {
        if actions > ACTIONS_MAX {
            self.fail(format!("{actions} actions at once"));
        }
        if self.refused {
            return;
        }
        let judged = self.judged.as_ref();
        if judged.is_some_and(|good| plane.workers.iter().all(|w| Arc::ptr_eq(w, good))) {
            return;
        }
        let target = bare(&self.target());
        for (at, worker) in plane.workers.iter().enumerate() {
            let served = bare(worker);
            if served != target {
                let found = differs(&target, &served);
                let state = self.open.as_ref().map(|o| (o.version, o.state));
                let current = self.current;
                return self.fail(format!(
                    "worker {at} does not serve what is written down ({current}, {state:?}): {found}"
                ));
            }
        }
        self.judged = plane.workers.first().cloned();
    }

    /// Inputs have ceased, and everything works.
    pub fn ends(&mut self, plane: &Plane, open: bool) {
        if open || self.open.is_some() {
            let state = self.open.as_ref().map(|o| (o.version, o.state));
            return self.fail(format!("a change came to no end: {state:?}"));
        }
        self.refused = false;
        self.rests(plane, 0);
    }
}
