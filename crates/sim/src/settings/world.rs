//! The world around the keeper: people, strangers, a disk, time, and kills.

use super::check::Checker;
use super::disk::Disk;
use super::journal::Journal;
use super::keeper::{Keeper, Manner};
use super::plane::Plane;
use super::text::{Shape, mutated};
use super::{Counts, Setup};
use crate::rng::Rng;
use config::rollout::State;
use config::{Memory, Plan};
use events::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The process ends here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Killed;

/// What may end in the middle.
pub(super) type Step<T = ()> = Result<T, Killed>;

/// A planted bug, to prove a checker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A step serves, and then it is written down.
    ServesBeforeRecording,
    /// A change that gives way leaves its step behind.
    ForgetsTheWayBack,
    /// An adoption stops half-way and says that it was whole.
    HalfTheWorkers,
    /// What was half-way before a kill is taken for whole.
    ResumedAsApplied,
    /// All of a tightening at its first step.
    SkipsSteps,
    /// What was turned down is begun again by the file.
    TriesAgain,
    /// What the console SET is lost on the way.
    ForgetsSet,
    /// A way back that fails is not tried again.
    NoSecondTry,
    /// A person's order is judged like any change.
    OrdersTakenBack,
    /// Settings bring the secrets of the time when they were read.
    OldSecrets,
    /// A version is called current when its first step serves.
    CurrentTooEarly,
}

/// What goes wrong at the moment.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Weather {
    /// Adoptions that are refused, of a thousand.
    pub refuses: u32,
    /// Answers that never come, of a thousand.
    pub loses: u32,
}

/// Longest time after inputs ceased until all has come to its end: twice a
/// prediction and a probe that never answer, two whole ways and two watches.
const END_MAX: Duration = Duration::from_secs(1_200);
/// Lines of a trace.
const LINES_MAX: usize = 4_000;
/// Versions of a seed, so that each stays small.
const SAVED_MAX: usize = 12;

/// All of one seed.
pub(super) struct World {
    pub rng: Rng,
    pub now: Time,
    pub disk: Disk,
    pub journal: Journal,
    pub plane: Plane,
    pub check: Checker,
    pub weather: Weather,
    pub fault: Option<Fault>,
    pub stats: Counts,
    pub container: bool,
    pub trace: Option<VecDeque<String>>,
    /// The process ends at this point.
    fuse: Option<u32>,
    /// Rotations that the data plane has taken.
    rotated: u64,
    shape: Shape,
    /// Texts that were written before.
    saved: Vec<Vec<u8>>,
}

fn nothing() -> Arc<Plan> {
    let files = Memory::default().file("p.toml", "[database.app]\nhost = \"db\"\n");
    let plan = config::load("p.toml".as_ref(), &files);
    Arc::new(plan.unwrap_or_else(|e| panic!("{}", e.render())))
}

impl World {
    pub fn new(seed: u64, setup: Setup) -> World {
        let mut rng = Rng::new(seed);
        let path = ["/x/p.toml", "/x/p.toml", "/x/p.ini", "/x/p.conf"];
        let path = path.get(rng.below(4) as usize).unwrap_or(&"/x/p.toml");
        let ini = path.ends_with("ini") || path.ends_with("conf") && rng.permille(500);
        let shape = Shape::new(&mut rng, ini);
        let plan = nothing();
        let now = Time::from_micros(1);
        World {
            now,
            disk: Disk {
                path: path.into(),
                file: Some(shape.text(1).into_bytes()),
                secret: 1,
            },
            journal: Journal::default(),
            plane: Plane::new(&mut rng, Arc::clone(&plan), 1, now),
            check: Checker::new(plan),
            weather: Weather::default(),
            fault: setup.fault,
            stats: Counts::default(),
            container: rng.permille(500),
            trace: None,
            fuse: None,
            rotated: 1,
            shape,
            saved: Vec::new(),
            rng,
        }
    }

    /// Counts a thing that happened, and says it.
    pub fn hit(&mut self, what: &'static str) {
        *self.stats.hits.entry(what).or_default() += 1;
        self.say(|| what.to_owned());
    }

    /// Writes a line of the trace.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        let at = self.now.as_micros() / 1000;
        if let Some(trace) = &mut self.trace {
            trace.push_back(format!("{at:>9} ms  {}", line()));
            if trace.len() > LINES_MAX {
                trace.pop_front();
            }
        }
    }

    /// A text was read: with what outcome.
    pub fn read(&mut self, good: bool) {
        self.hit(match good {
            true => "texts accepted",
            false => "texts refused by the loader",
        });
    }

    /// A state was reached.
    pub fn reached(&mut self, state: State) {
        let of = match state {
            State::Staging { of: 1, .. } => "state: staging at once",
            State::Staging { .. } => "state: staging in steps",
            State::Checking => "state: checking",
            State::Predicting => "state: predicting",
            State::Probing => "state: probing",
            State::Watching => "state: watching",
            State::Reverting(_) => "state: reverting",
            State::Applied => "state: applied",
            State::RolledBack(why) | State::Refused(why) => {
                *self
                    .stats
                    .ends
                    .entry((state.label(), why.label()))
                    .or_default() += 1;
                state.label()
            }
        };
        self.say(|| format!("{state:?}"));
        self.hit(of);
    }

    /// A place where the process may end.
    pub fn point(&mut self) -> Step {
        match &mut self.fuse {
            Some(0) => {
                self.fuse = None;
                Err(Killed)
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A new process serves this first.
    pub fn start(&mut self, plan: Arc<Plan>) {
        let workers = self.rng.range(1, 4) as usize;
        let needs = std::mem::take(&mut self.plane.needs);
        let off = self.plane.off;
        self.plane = Plane::new(&mut self.rng, plan, workers, self.now);
        self.plane.needs = needs;
        self.plane.off = off;
        self.rotated = 0;
    }

    /// A refused proposal changes nothing.
    pub fn unchanged(&mut self, before: &str, after: &str) {
        if before != after {
            self.check
                .fail(format!("a refused proposal changed {before} to {after}"));
        }
    }

    /// All of one seed, until so many texts were read or a promise is broken.
    pub fn run(&mut self, reloads: u64) {
        let mut process: Option<Keeper> = None;
        let mut acts = 0;
        while self.stats.reloads < reloads && acts < 20 * reloads && self.check.broken.is_none() {
            acts += 1;
            process = self.life(process, |w, keeper| w.act(keeper));
            if acts % 40 == 0 {
                process = self.quiet(process);
            }
        }
        if self.check.broken.is_none() {
            self.quiet(process);
        }
    }

    /// Does something with the process, which may end by it; it is started anew then.
    fn life(
        &mut self,
        process: Option<Keeper>,
        mut what: impl FnMut(&mut World, Option<&mut Keeper>) -> Step,
    ) -> Option<Keeper> {
        let mut process = process;
        if what(self, process.as_mut()).is_err() {
            self.hit("kills");
            process = None;
        }
        for _ in 0..3 {
            if process.is_some() {
                break;
            }
            self.hit("starts");
            match Keeper::boot(self) {
                Ok(keeper) => return keeper,
                Err(Killed) => self.hit("kills at a start"),
            }
        }
        process
    }

    /// Inputs cease and everything works: all must come to an end.
    fn quiet(&mut self, process: Option<Keeper>) -> Option<Keeper> {
        self.say(|| "quiet".to_owned());
        self.fuse = None;
        self.weather = Weather::default();
        self.journal.full = false;
        let mut process = process;
        if self.rng.permille(200) {
            self.hit("kills");
            process = None;
        }
        if process.is_none() {
            process = self.life(None, |_, _| Ok(()));
        }
        let until = self.now.after(END_MAX);
        process = self.life(process, |w, keeper| match keeper {
            Some(keeper) => w.pass(keeper, until, true),
            None => Ok(()),
        });
        if let Some(keeper) = &process {
            self.check.ends(&self.plane, keeper.driver.open().is_some());
            if let Some((version, change)) = self.journal.opens().first().copied() {
                let state = change.state;
                self.check.fail(format!(
                    "version {version} is left {state:?} in the journal"
                ));
            }
        }
        self.plane.calm();
        process
    }

    /// Time passes. `idle`: until nothing is open any more.
    fn pass(&mut self, keeper: &mut Keeper, until: Time, idle: bool) -> Step {
        let least = self.now.after(Duration::from_secs(3));
        while self.check.broken.is_none() {
            let next = keeper.next();
            if next > until {
                break;
            }
            if idle && next > least && keeper.driver.open().is_none() && !keeper.file_waits {
                return Ok(());
            }
            self.now = self.now.max(next);
            keeper.tick(self)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Somebody does something, and time passes.
    fn act(&mut self, keeper: Option<&mut Keeper>) -> Step {
        self.weather_changes();
        if self.rng.permille(150) {
            self.fuse = Some(self.rng.below(60) as u32);
        }
        match self.rng.below(100) {
            0..42 => self.stranger(),
            42..47 => self.rotate(),
            _ => {
                if let Some(keeper) = keeper {
                    self.person(keeper)?;
                    return self.while_away(keeper);
                }
            }
        }
        match keeper {
            Some(keeper) => self.while_away(keeper),
            None => Ok(()),
        }
    }

    fn while_away(&mut self, keeper: &mut Keeper) -> Step {
        keeper.until_next(self);
        let spans = [0, 10, 300, 1_200, 1_200, 3_000, 10_000, 30_000, 100_000];
        let span = spans.get(self.rng.below(9) as usize).copied().unwrap_or(0);
        self.pass(keeper, self.now.after(Duration::from_millis(span)), false)
    }

    fn weather_changes(&mut self) {
        match self.rng.below(30) {
            0 => self.journal.full = true,
            1..4 => self.journal.full = false,
            4 => {
                self.weather.refuses = [30, 300, 900]
                    .get(self.rng.below(3) as usize)
                    .copied()
                    .unwrap_or(0)
            }
            5..8 => self.weather.refuses = 0,
            8 => self.weather.loses = 300,
            9..11 => self.weather.loses = 0,
            11 => self.plane.off = !self.plane.off && self.rng.permille(500),
            12 => {
                for need in self.plane.needs.values_mut() {
                    *need = self.rng.range(1, 14) as u32;
                }
            }
            _ => {}
        }
    }

    /// The next text that somebody would write.
    fn text(&mut self) -> Vec<u8> {
        if self.rng.permille(200) && !self.saved.is_empty() {
            let at = self.rng.below(self.saved.len() as u64) as usize;
            return self.saved.get(at).cloned().unwrap_or_default();
        }
        self.shape = self.shape.changed(&mut self.rng);
        if self.disk.path.ends_with("p.conf") && self.rng.permille(30) {
            self.shape.ini = !self.shape.ini;
        }
        let text = self.shape.text(self.disk.secret).into_bytes();
        if self.rng.permille(250) {
            let other = self.saved.last().cloned().unwrap_or_default();
            self.hit("texts mutated");
            return mutated(&mut self.rng, &text, &other);
        }
        if self.saved.len() < SAVED_MAX {
            self.saved.push(text.clone());
        } else {
            let at = self.rng.below(SAVED_MAX as u64) as usize;
            if let Some(place) = self.saved.get_mut(at) {
                place.clone_from(&text);
            }
        }
        text
    }

    /// A stranger's hand on the settings file.
    fn stranger(&mut self) {
        match self.rng.below(20) {
            0 => self.disk.file = None,
            1 => {
                if let Some(file) = &mut self.disk.file {
                    let at = self.rng.below(file.len() as u64 + 1) as usize;
                    file.truncate(at);
                }
            }
            _ => {
                let text = self.text();
                self.disk.file = Some(text);
            }
        }
        self.hit("files changed by a stranger");
    }

    /// New secrets, and the data plane reads them.
    fn rotate(&mut self) {
        self.disk.secret += 1;
        self.hit("secrets rotated");
        if self.rng.permille(700) {
            let plan = Arc::new(self.disk.reread(&self.plane.plan));
            self.plane.plan = Arc::clone(&plan);
            for worker in &mut self.plane.workers {
                *worker = Arc::clone(&plan);
            }
            self.rotated = self.disk.secret;
        }
    }

    fn person(&mut self, keeper: &mut Keeper) -> Step {
        match self.rng.below(50) {
            0..15 => {
                self.say(|| "RELOAD".to_owned());
                keeper.reload(self)?;
            }
            15..37 => {
                let text = self.rng.permille(800).then(|| self.text());
                let manner = Manner {
                    now: self.rng.permille(250),
                    forced: self.rng.permille(300),
                };
                self.say(|| format!("apply {manner:?}"));
                keeper.apply(self, text.as_deref(), manner)?;
            }
            37..44 => {
                let last = self.journal.last();
                let to = self.rng.permille(400).then(|| self.rng.below(last + 1));
                self.say(|| format!("rollback {to:?}"));
                let _ = keeper.rollback(self, to)?;
            }
            _ => {
                let sets = [
                    ("query_wait_timeout", "7"),
                    ("default_pool_size", "15"),
                    ("query_timeout", "9"),
                    ("max_client_conn", "500"),
                    ("server_idle_timeout", "x"),
                    ("listen_port", "1"),
                ];
                let at = self.rng.below(6) as usize;
                let (key, value) = sets.get(at).copied().unwrap_or(("x", "y"));
                self.say(|| format!("SET {key} = {value}"));
                keeper.set(self, key, value)?;
            }
        }
        self.secrets_are_new();
        Ok(())
    }

    /// No worker has an older secret from a file than the data plane had taken.
    fn secrets_are_new(&mut self) {
        let rotated = self.rotated;
        let old = self
            .plane
            .workers
            .iter()
            .flat_map(|w| &w.databases)
            .any(|d| {
                let number = d
                    .password
                    .as_ref()
                    .and_then(|s| s.0.strip_prefix('s')?.parse::<u64>().ok());
                d.password_from.is_some() && number.is_some_and(|n| n < rotated)
            });
        if old {
            self.check.fail("settings brought back an old secret");
        }
    }
}
