//! Tells people: alerts go to PagerDuty, Alertmanager, chats, webhooks, commands.
//!
//! It runs on a thread of its own. [`Notify::tell`] puts alerts into bounded
//! queues, one for each notifier, and never waits; one that hangs or answers
//! nonsense keeps nobody else waiting. Alerts that begin within a moment are one
//! message, what was never told is not resolved, and what could not be sent is
//! tried again with growing pauses, then counted and logged.
//!
//! ```text
//!   alerts ──► Queue (bounded, one per notifier) ──► message ──► http | command
//!                    ▲                                   │ refused, hanging: again
//!                    └───────────────────────────────────┘
//! ```

mod command;
mod http;
mod message;
mod queue;
mod send;
mod tls;

use crate::measure::now_ms;
use diagnose::alert::{Alert, AlertName, AlertState, Severity};
use queue::Queue;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use send::Fault;

/// For a test message, all told.
const TEST_TIME_MAX: Duration = Duration::from_secs(15);
/// Threads for host names that take their time, and for commands.
const BLOCKING_THREADS_MAX: usize = 8;

/// Who is told, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifySettings {
    /// Who we are, in messages.
    pub instance: String,
    /// The fleet's name, where its instances tell as one; empty: this one tells for itself.
    pub fleet: String,
    /// Alerts that begin within so long of each other are one message.
    pub group_window: Duration,
    /// Notifiers by name.
    pub notifiers: BTreeMap<String, config::Notifier>,
}

impl NotifySettings {
    /// What a plan says.
    pub fn of(plan: &config::Plan, instance: &str) -> NotifySettings {
        NotifySettings {
            instance: instance.to_owned(),
            fleet: match plan.fleet.listen {
                Some(_) => format!("fleet {}", plan.monitor.fleet),
                None => String::new(),
            },
            group_window: plan.alerts.group_window,
            notifiers: plan.alerts.notifiers.clone(),
        }
    }
}

/// What one notifier did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifierFigures {
    /// Its name in the settings.
    pub name: String,
    /// Messages that were taken.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Alerts given up, or dropped because the queue was full.
    pub dropped: u64,
    /// Alerts that wait.
    pub queued: usize,
    /// Why the last attempt failed; empty: it did not.
    pub last_error: String,
}

/// One notifier, shared between its task and whoever tells or looks.
pub(crate) struct Target {
    name: String,
    instance: String,
    fleet: String,
    group_window: Duration,
    settings: config::Notifier,
    /// Pushed by whoever tells, emptied by the task; never held across a wait.
    queue: Mutex<Queue>,
    bell: tokio::sync::Notify,
    sent: AtomicU64,
    failed: AtomicU64,
    given_up: AtomicU64,
    /// Written by the task, read by pages.
    last_error: Mutex<String>,
}

/// The running notifiers. Dropping it stops them without waiting.
pub struct Notify {
    targets: Mutex<Vec<(Arc<Target>, JoinHandle<()>)>>,
    runtime: Handle,
    stop: Arc<tokio::sync::Notify>,
    stopped: Arc<AtomicBool>,
}

impl Notify {
    /// Starts the thread and a task for each notifier.
    ///
    /// # Errors
    /// The runtime's or the thread's.
    pub fn start(settings: NotifySettings) -> io::Result<Notify> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(tokio::sync::Notify::new());
        let stopped = Arc::new(AtomicBool::new(false));
        let (heard, done) = (Arc::clone(&stop), Arc::clone(&stopped));
        std::thread::Builder::new()
            .name("notify".into())
            .spawn(move || {
                runtime.block_on(heard.notified());
                done.store(true, Ordering::Relaxed);
                // A name that is still being looked up must not hold the end up.
                runtime.shutdown_background();
            })?;
        let notify = Notify {
            targets: Mutex::new(Vec::new()),
            runtime: handle,
            stop,
            stopped,
        };
        notify.set(settings);
        Ok(notify)
    }

    /// Other notifiers. Those that did not change keep their queues.
    pub fn set(&self, settings: NotifySettings) {
        let mut targets = lock(&self.targets);
        let mut kept = Vec::new();
        for (target, task) in targets.drain(..) {
            let same = settings.notifiers.get(&target.name) == Some(&target.settings)
                && settings.group_window == target.group_window
                && settings.fleet == target.fleet
                && settings.instance == target.instance;
            match same {
                true => kept.push((target, task)),
                false => task.abort(),
            }
        }
        for (name, notifier) in settings.notifiers {
            if kept.iter().any(|(t, _)| t.name == name) {
                continue;
            }
            let target = Arc::new(Target {
                name,
                instance: settings.instance.clone(),
                fleet: settings.fleet.clone(),
                group_window: settings.group_window,
                settings: notifier,
                queue: Mutex::default(),
                bell: tokio::sync::Notify::new(),
                sent: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                given_up: AtomicU64::new(0),
                last_error: Mutex::default(),
            });
            let task = self.runtime.spawn(send::serve(Arc::clone(&target)));
            kept.push((target, task));
        }
        *targets = kept;
    }

    /// Tells everyone whom it concerns. Returns at once.
    pub fn tell(&self, alerts: &[Alert]) {
        for (target, _) in lock(&self.targets).iter() {
            let mut any = false;
            for alert in alerts.iter().filter(|a| target.concerns(a)) {
                lock(&target.queue).push(alert.clone());
                any = true;
            }
            if any {
                target.bell.notify_one();
            }
        }
    }

    /// Another instance told of these until now: that they are over is told from here.
    pub fn adopt(&self, alerts: &[Alert]) {
        for (target, _) in lock(&self.targets).iter() {
            for alert in alerts.iter().filter(|a| target.concerns(a)) {
                lock(&target.queue).adopt(alert);
            }
        }
    }

    /// Another instance tells of these from now on.
    pub fn forget(&self, keys: &[String]) {
        for (target, _) in lock(&self.targets).iter() {
            keys.iter().for_each(|key| lock(&target.queue).forget(key));
        }
    }

    /// Sends a test message through the notifier of this name and waits for the answer.
    /// Not to be called on a runtime's thread that must not wait.
    ///
    /// # Errors
    /// There is none of this name, or why it failed.
    pub fn test(&self, name: &str) -> Result<(), Fault> {
        let found = lock(&self.targets)
            .iter()
            .find(|(t, _)| t.name == name)
            .map(|(t, _)| Arc::clone(t));
        let Some(target) = found else {
            return Err(Fault::lasting("there is no notifier of this name"));
        };
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Fault::passing("the notifiers have stopped"));
        }
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            let result = send::once(&target, &[test_alert()]).await;
            let _ = answer.try_send(result);
        });
        let late = |_| Fault::passing("no answer in time");
        answered.recv_timeout(TEST_TIME_MAX).map_err(late)?
    }

    /// The names of the notifiers.
    pub fn names(&self) -> Vec<String> {
        let targets = lock(&self.targets);
        targets.iter().map(|(t, _)| t.name.clone()).collect()
    }

    /// What each did.
    pub fn figures(&self) -> Vec<NotifierFigures> {
        lock(&self.targets)
            .iter()
            .map(|(target, _)| target.figures())
            .collect()
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

impl Target {
    fn from(&self) -> message::From<'_> {
        message::From {
            instance: &self.instance,
            identity: match self.fleet.as_str() {
                "" => &self.instance,
                fleet => fleet,
            },
        }
    }

    /// Severe enough, of the right team, and wanted when it is over.
    fn concerns(&self, alert: &Alert) -> bool {
        let least = match self.settings.min_severity.as_deref() {
            Some("info") => Severity::Info,
            Some("error") => Severity::Error,
            Some("critical") => Severity::Critical,
            _ => Severity::Warning,
        };
        let team = alert.owner.as_ref().map_or("", |o| o.team.as_str());
        let of_team = match &self.settings.teams {
            Some(teams) if !teams.is_empty() => teams.iter().any(|t| t == team),
            _ => true,
        };
        let over = alert.state == AlertState::Resolved;
        alert.severity >= least && of_team && (!over || self.settings.resolved.unwrap_or(true))
    }

    fn kind(&self) -> &str {
        self.settings.kind.as_deref().unwrap_or("webhook")
    }

    fn figures(&self) -> NotifierFigures {
        let queue = lock(&self.queue);
        NotifierFigures {
            name: self.name.clone(),
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.given_up.load(Ordering::Relaxed) + queue.dropped(),
            queued: queue.len(),
            last_error: lock(&self.last_error).clone(),
        }
    }
}

/// A panic of another holder is its own; what is behind these locks is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An alert that says that it is none.
fn test_alert() -> Alert {
    Alert {
        name: AlertName::PoolExhausted,
        key: String::from("PlimsollTest"),
        subject: diagnose::Subject::default(),
        state: AlertState::Firing,
        severity: Severity::Info,
        since_ms: now_ms(),
        fired_ms: Some(now_ms()),
        resolved_ms: None,
        summary: String::from("A test of Plimsoll's notifiers: nothing is wrong"),
        figures: Vec::new(),
        cause: None,
        forecast: None,
        next: Vec::new(),
        runbook: String::new(),
        owner: None,
    }
}

#[cfg(test)]
mod tests;
