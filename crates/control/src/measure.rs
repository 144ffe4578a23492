//! Measurements: one thread that looks at the data plane once a second and keeps
//! what it saw.
//!
//! It folds snapshots into samples (`fold`), keeps an hour of seconds and a day
//! of minutes in memory (`series`) and minutes for days in the state directory
//! (`store`), notes what changed, and tells each [`Listener`] (alerts,
//! incidents). The data plane never waits for it: a full disk, a lost directory
//! or a panic here costs figures, not queries.

mod described;
mod fold;
mod host;
mod noticing;
mod ranks;
mod series;
mod store;
mod trial;

pub use crate::settings::store::now_ms;
pub use fold::Fold;
pub use series::{MARKERS_MAX, MINUTES_MAX, SECONDS_MAX, Series};
pub(crate) use store::KEPT_FILE;
pub use store::MeasureStore;
pub use trial::{GuardTrial, ServerTrial, Trial, Worst, shown, trial};

use crate::Source;
use events::sample::{Marker, MarkerKind, Name, Record, Sample};
use events::snapshot::Snapshot;
use noticing::Noticing;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);
/// After a failure of the disk, before it is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// Between two turns of tidying the state directory.
const TIDY: Duration = Duration::from_secs(60);
/// Waits above this are beyond the objective, where the settings say nothing.
const WAIT_OBJECTIVE: Duration = Duration::from_millis(100);
/// A look may cost a fiftieth of the processor's time: with very many pools it is slower.
/// Waiting costs nothing: a disk that hangs for two seconds must not blind it for a hundred.
const SHARE: u32 = 50;

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The instance's name in records and reports.
    pub instance: String,
    /// The version of the binary.
    pub version: String,
    /// Where roll-ups are kept; the caller holds its lock. `None`: in memory.
    pub directory: Option<PathBuf>,
    /// How long they are kept.
    pub retention: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            instance: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            directory: None,
            retention: Duration::from_secs(14 * 86_400),
        }
    }
}

/// Who is told of each second, on the thread that measures.
pub trait Listener: Send {
    /// A second is over: it is the newest of the record. Returns what is to be
    /// marked.
    fn second(&mut self, record: &Record, snapshot: &Arc<Snapshot>) -> Vec<Marker>;
}

/// What is measured, for whoever asks. Clones share it.
#[derive(Clone)]
pub struct Measures {
    shared: Arc<Shared>,
}

struct Shared {
    /// Written by the thread once a second and by who marks; read by requests.
    series: RwLock<Series>,
    /// Markers on their way to the disk.
    marked: RwLock<Option<Sender<Marker>>>,
    /// Times that the disk failed.
    failures: AtomicU64,
    panics: AtomicU64,
}

impl Measures {
    /// Empty; nothing is measured yet.
    pub fn new(options: &Options) -> Measures {
        let series = Series::new(&options.instance, &options.version);
        Measures {
            shared: Arc::new(Shared {
                series: RwLock::new(series),
                marked: RwLock::new(None),
                failures: AtomicU64::new(0),
                panics: AtomicU64::new(0),
            }),
        }
    }

    /// Looks at what there is. The thread that measures waits for the look: be short.
    pub fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(self.series().record())
    }

    /// A copy of what ended between these moments, UTC milliseconds.
    pub fn record(&self, from_ms: i64, until_ms: i64) -> Record {
        let within = |at: i64| (from_ms..=until_ms).contains(&at);
        let pick = |all: &std::collections::VecDeque<Sample>| {
            all.iter().filter(|s| within(s.at_ms)).cloned().collect()
        };
        self.look(|record| Record {
            instance: Name::clone(&record.instance),
            version: Name::clone(&record.version),
            seconds: pick(&record.seconds),
            minutes: pick(&record.minutes),
            markers: record
                .markers
                .iter()
                .filter(|m| within(m.at_ms))
                .cloned()
                .collect(),
            settings: record.settings.clone(),
        })
    }

    /// Notes a change, in memory and on disk.
    pub fn mark(&self, marker: Marker) {
        let sender = self
            .shared
            .marked
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            let _ = sender.send(marker.clone());
        }
        drop(sender);
        let series = &self.shared.series;
        series
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .mark(marker);
    }

    fn settings(&self, settings: Vec<(Name, String)>) {
        let series = &self.shared.series;
        series
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .settings(settings);
    }

    /// Times that roll-ups could not be written or read.
    pub fn store_failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Panics contained while measuring.
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    fn series(&self) -> RwLockReadGuard<'_, Series> {
        self.shared
            .series
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that measures. Dropping it ends the thread without waiting.
pub struct Measuring {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Measuring {
    /// Ends it and waits until the last second is written.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Begins to measure.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    measures: &Measures,
    options: Options,
    source: Arc<dyn Source>,
    listeners: Vec<Box<dyn Listener>>,
) -> std::io::Result<Measuring> {
    let (stop, stopped) = channel();
    let (mark, marked) = channel();
    *measures
        .shared
        .marked
        .write()
        .unwrap_or_else(PoisonError::into_inner) = Some(mark);
    let mut work = Work {
        fold: Fold::new(WAIT_OBJECTIVE),
        plan: None,
        noticing: Noticing::default(),
        measures: measures.clone(),
        store: None,
        retry_at: Instant::now(),
        tidy_at: Instant::now() + TIDY,
        restored: false,
        marked,
        options,
        source,
        listeners,
    };
    let thread = std::thread::Builder::new()
        .name("measure".into())
        .spawn(move || {
            work.measures.mark(started(&work.options));
            work.run(&stopped);
        })?;
    Ok(Measuring {
        stop: Some(stop),
        thread: Some(thread),
    })
}

/// What this thread took of the processor.
fn processor_time() -> Duration {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(taken).unwrap_or_default()
}

fn started(options: &Options) -> Marker {
    Marker {
        at_ms: now_ms(),
        kind: MarkerKind::Started,
        subject: Name::from(""),
        text: format!("plimsoll {} started", options.version),
        actor: Name::from("plimsoll"),
    }
}

/// The thread's own state.
struct Work {
    fold: Fold,
    noticing: Noticing,
    measures: Measures,
    store: Option<MeasureStore>,
    retry_at: Instant,
    tidy_at: Instant,
    restored: bool,
    marked: Receiver<Marker>,
    options: Options,
    source: Arc<dyn Source>,
    /// What served at the last look.
    plan: Option<Arc<config::Plan>>,
    listeners: Vec<Box<dyn Listener>>,
}

impl Work {
    fn run(&mut self, stopped: &Receiver<()>) {
        let mut next = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => {
                    self.take_actions();
                    return self.keep_marks();
                }
            }
            let begun = Instant::now();
            let cost = catch_unwind(AssertUnwindSafe(|| self.turn())).unwrap_or_else(|_| {
                self.measures.shared.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a panic was contained in the measurements");
                Duration::ZERO
            });
            // A machine that slept owes no seconds.
            let pace = PACE.max(cost * SHARE);
            next = (next + PACE).max(begun + pace.saturating_sub(PACE / 10));
        }
    }

    /// One look; returns what it cost of the processor's time. What a start reads from
    /// the disk is not counted: it comes once.
    fn turn(&mut self) -> Duration {
        self.open_store();
        let before = processor_time();
        self.look();
        processor_time().saturating_sub(before)
    }

    fn look(&mut self) {
        self.follow_plan();
        self.take_actions();
        let snapshot = self.source.snapshot(false);
        let at_ms = now_ms();
        let settings = self.source.settings();
        for marker in self.noticing.look(&snapshot, settings.as_deref(), at_ms) {
            self.measures.mark(marker);
        }
        if let Some(mut sample) = self.fold.next(Arc::clone(&snapshot), at_ms) {
            sample.clients.limit = self.plan.as_ref().map_or(0, |p| p.max_client_conn);
            let minute = {
                let series = &self.measures.shared.series;
                let mut series = series.write().unwrap_or_else(PoisonError::into_inner);
                series.push(sample).clone()
            };
            self.keep(|store| store.write(&minute));
            self.tell(&snapshot);
        }
        self.keep_marks();
        if self.tidy_at <= Instant::now() {
            self.tidy_at = Instant::now() + TIDY;
            self.keep(|store| store.thin(at_ms));
        }
    }

    fn take_actions(&self) {
        let actions = self.source.take_actions();
        actions.into_iter().for_each(|a| self.measures.mark(a));
    }

    fn follow_plan(&mut self) {
        let plan = self.source.plan();
        let same = match (&self.plan, &plan) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if let Some(plan) = plan.filter(|_| !same) {
            self.measures.settings(described::described(&plan));
            self.fold.count_beyond(plan.alerts.wait_objective);
            self.plan = Some(plan);
        }
    }

    /// Each listener by itself: one that panics costs the others nothing.
    fn tell(&mut self, snapshot: &Arc<Snapshot>) {
        let measures = self.measures.clone();
        let mut markers = Vec::new();
        for listener in &mut self.listeners {
            let told = catch_unwind(AssertUnwindSafe(|| {
                measures.look(|record| listener.second(record, snapshot))
            }));
            match told {
                Ok(told) => markers.extend(told),
                Err(_) => {
                    measures.shared.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("a panic was contained beside the measurements");
                }
            }
        }
        markers.into_iter().for_each(|marker| measures.mark(marker));
    }

    fn keep_marks(&mut self) {
        while let Ok(marker) = self.marked.try_recv() {
            self.keep(|store| store.mark(&marker));
        }
    }

    fn keep(&mut self, write: impl FnOnce(&MeasureStore) -> store::Stored<()>) {
        let Some(store) = &self.store else { return };
        if let Err(error) = write(store) {
            self.failed(&error);
        }
    }

    fn failed(&mut self, error: &crate::settings::store::StoreError) {
        self.store = None;
        self.retry_at = Instant::now() + RETRY;
        // Told once a minute at most: each ten seconds would fill the log of a full disk.
        let before = self
            .measures
            .shared
            .failures
            .fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(6) {
            tracing::warn!(%error, "figures are kept in memory only: the state directory cannot be used");
        }
    }

    fn open_store(&mut self) {
        let Some(directory) = &self.options.directory else {
            return;
        };
        if self.store.is_some() && !directory.join(KEPT_FILE.file).exists() {
            // Deleted beneath us: what is written there is lost.
            self.store = None;
        }
        if self.store.is_some() || Instant::now() < self.retry_at {
            return;
        }
        let opened = MeasureStore::open(directory, self.options.retention);
        let opened = opened.and_then(|store| {
            if !self.restored {
                let now = now_ms();
                let minutes = store.spans(now - 86_400_000, now, MINUTES_MAX)?;
                let markers = store.markers(now - 86_400_000, MARKERS_MAX)?;
                let series = &self.measures.shared.series;
                let mut series = series.write().unwrap_or_else(PoisonError::into_inner);
                series.restore(minutes, markers);
            }
            Ok(store)
        });
        match opened {
            Ok(store) => {
                self.restored = true;
                self.store = Some(store);
            }
            Err(error) => self.failed(&error),
        }
    }
}

#[cfg(test)]
mod tests;
