//! The keeper of the settings: one thread that decides what serves.
//!
//! Everything that changes settings comes here: the watched files, RELOAD, SET,
//! `plimsoll apply` and `rollback`. It drives [`config::rollout::Driver`], writes
//! each state down before it acts, and watches the traffic while a change is
//! young. It never touches a connection: the data plane goes on without it.

mod actions;
mod answering;
mod asks;
mod boot;
mod drift;
mod following;
mod texts;
mod writing;

use super::content::{Content, Secrets};
use super::figures::Figures;
use super::follow::{Followed, Following};
use super::gate::Prediction;
use super::store::{ChangeRow, Store};
use crate::guard::Limit;
use crate::watch::Watch;
use config::rollout::{Answer, Driver};
use config::{Overrides, Plan};
use events::snapshot::Snapshot;
use events::{Guard, GuardMode, Time};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use asks::{
    Applied, ApplyAsk, Ask, AskError, ChangeLine, HistoryLine, Planned, Reply, RollbackAsk, Status,
    VersionText, history, version_text,
};
pub use boot::{BootError, Prepared, prepare};

/// Commands that wait for the keeper.
pub const COMMANDS_MAX: usize = 64;
/// While nothing but the file speaks for the settings.
const LOOK_UNPROVEN: Duration = Duration::from_secs(1);
/// After a failed way back, before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the keeper needs of the data plane. The calls are made on the keeper's
/// own threads and may take their time.
pub trait DataPlane: Send + Sync {
    /// The newest figures.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// Lets a plan serve, whole, or says why not. Returns what waits for a restart.
    ///
    /// # Errors
    /// Why it does not serve; what served before still does.
    fn adopt(&self, plan: Plan) -> Result<Vec<String>, String>;
    /// What serves, with its secrets.
    fn plan(&self) -> Arc<Plan>;
    /// Logs in at what is new in a plan.
    ///
    /// # Errors
    /// Who does not answer, or refuses.
    fn probe(&self, old: &Plan, new: &Plan) -> Result<String, String>;
    /// Replays the recorded traffic with a plan's sizes and limits.
    fn predict(&self, old: &Plan, new: &Plan) -> Prediction;
    /// Keeps the instance from being ready, with a reason; `None` lets it be.
    fn hold_back(&self, reason: Option<String>);
    /// Tells the fleet which settings were turned down here: the first 24 bits of
    /// their hash.
    fn state_rejected(&self, hash: Option<u32>);
    /// A guard came to its decision.
    fn note_decision(&self, guard: Guard, mode: GuardMode);
}

/// Where the settings are, and how they are read.
#[derive(Clone)]
pub struct Options {
    /// The settings file.
    pub path: PathBuf,
    /// What the command line says beside it.
    pub overrides: Overrides,
    /// Reads secrets.
    pub secrets: Secrets,
    /// The state directory of the command line, or where none was said.
    pub state: StateDirectory,
    /// Settings to compare with where there is no history yet.
    pub baseline: Option<PathBuf>,
    /// The process runs in a container.
    pub container: bool,
}

/// Where the history is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StateDirectory {
    /// There.
    At(PathBuf),
    /// As the settings say; else in one of these that can be written.
    Usual(Vec<PathBuf>),
}

/// What may be asked of the keeper.
pub enum Command {
    /// A question or an order of a person, with its answer.
    Ask(Ask),
    /// RELOAD or SIGHUP; answered when the values serve, or with the reason.
    Reload {
        /// Who.
        actor: String,
        /// The answer.
        reply: Sender<Result<Vec<String>, Vec<String>>>,
    },
    /// A key was SET, and serves.
    WasSet {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// Who.
        actor: String,
    },
    /// News of the key in etcd that has the settings.
    Followed(Followed),
    /// What came of a task that another thread did.
    Told(Answer),
    /// The process ends.
    Stop,
}

/// Somebody waits until a version serves.
struct Waiter {
    version: u64,
    reply: Sender<Result<Vec<String>, Vec<String>>>,
}

/// A settings file that was written for a version.
struct Replaced {
    version: u64,
    before: String,
    written: String,
}

/// The settings file says something that does not serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Drift {
    /// Since when; milliseconds since 1970.
    since_ms: i64,
    /// What, and what to do.
    text: String,
}

/// The thread's own state.
struct Keeper {
    options: Options,
    store: Store,
    driver: Driver,
    data: Arc<dyn DataPlane>,
    /// What serves, or served before the open change.
    current: Content,
    /// What shall serve, by its version; a second one while the first gives way.
    proposed: BTreeMap<u64, Content>,
    /// The raw text to be written to the settings file once its version stays.
    to_write: BTreeMap<u64, String>,
    figures: Arc<Figures>,
    /// What the settings file said before a version that is not applied yet.
    replaced: Option<Replaced>,
    watch: Watch,
    next_poll: Instant,
    next_look: Instant,
    /// The data plane's time of the last look, and ours.
    last: (Time, Instant),
    drift: Option<Drift>,
    held_back: Option<String>,
    /// The settings file says what was turned down here: the hash.
    turned_down: Option<String>,
    /// The key in etcd that has the settings, where they come from there.
    remote: Option<following::Remote>,
    /// What serves came from the file without a version to compare with.
    unproven: bool,
    /// The file changed while another change was open.
    file_waits: bool,
    restores: Limit,
    waiters: Vec<Waiter>,
    retry: Option<(Instant, Answer)>,
    notes: Vec<String>,
    /// What waits for a restart, of the settings read last.
    kept: Vec<String>,
    /// The highest number of a version that this process gave: none is given twice.
    numbered: u64,
    /// States that the disk had no room for, in their order.
    unwritten: VecDeque<ChangeRow>,
    unwritten_said: bool,
    /// What this binary does without: a newer one wrote it.
    without: Vec<String>,
    me: SyncSender<Command>,
}

/// The running keeper.
pub struct Running {
    thread: Option<JoinHandle<()>>,
    /// Hears of the key in etcd.
    following: Option<Following>,
    figures: Arc<Figures>,
    commands: SyncSender<Command>,
}

impl Running {
    /// What monitors see.
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Where commands go.
    pub fn commands(&self) -> SyncSender<Command> {
        self.commands.clone()
    }

    /// Ends the thread. An open change is taken up by the next process.
    pub fn stop(mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some(following) = self.following.take() {
            following.stop();
        }
    }
}

impl Keeper {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let wait = self.until_next();
            match inbox.recv_timeout(wait) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.contained(|keeper| keeper.command(command)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.contained(Keeper::tick);
        }
    }

    /// A panic (of a check of an odd file, perhaps) ends what was asked, not the keeper.
    fn contained(&mut self, work: impl FnOnce(&mut Keeper)) {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        if result.is_err() {
            tracing::error!("a panic was contained in the keeper of the settings");
            self.next_look = Instant::now() + RETRY;
            self.next_poll = Instant::now() + RETRY;
        }
    }

    fn until_next(&self) -> Duration {
        let retry = self.retry.as_ref().map_or(self.next_look, |(at, _)| *at);
        let next = self.next_look.min(self.next_poll).min(retry);
        next.saturating_duration_since(Instant::now())
    }

    /// The data plane's time.
    fn now(&self) -> Time {
        self.last.0.after(self.last.1.elapsed())
    }

    /// What is due by the clock.
    fn tick(&mut self) {
        let now = Instant::now();
        if let Some((_, answer)) = self.retry.take_if(|(at, _)| *at <= now) {
            let at = self.now();
            self.driver.answer(at, answer);
            self.act();
        }
        if self.next_look <= now {
            self.look();
            self.act();
        }
        if self.next_poll <= now {
            self.write_down();
            self.poll_files();
            self.next_poll = Instant::now() + self.watch.pause();
        }
        self.publish();
        // A change that was begun or ended wants another pace.
        let wanted = Instant::now() + self.driver.look_after(self.now());
        self.next_look = self.next_look.min(wanted);
    }

    fn publish(&self) {
        let figures = &self.figures;
        figures
            .version
            .store(self.serving_version(), Ordering::Relaxed);
        figures
            .open
            .store(self.driver.open().is_some(), Ordering::Relaxed);
        figures.drift.store(self.drift.is_some(), Ordering::Relaxed);
        figures
            .held_back
            .store(self.held_back.is_some(), Ordering::Relaxed);
        self.tell_peers();
    }

    fn look(&mut self) {
        let begun = Instant::now();
        let snapshot = self.data.snapshot();
        self.last = (snapshot.at, Instant::now());
        self.driver.look(&snapshot);
        self.meet_peers(&snapshot);
        // Looking at many thousands of pools may cost a twentieth of the time.
        let mut pace = self.driver.look_after(self.now());
        if self.unproven {
            // A peer may know better; a rolling update waits for it.
            pace = pace.min(LOOK_UNPROVEN);
        }
        let pace = pace.max(begun.elapsed() * 20);
        self.next_look = Instant::now() + pace;
    }
}

#[cfg(test)]
mod tests;
