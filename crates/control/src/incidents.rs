//! Incidents of the running pooler: collected on the thread that measures, kept
//! on disk by a thread of their own, read and noted through [`Incidents`].
//!
//! The disk may be full or gone: what happens now stays in memory, and is
//! written once it can be. Nobody waits for the disk but its own thread.

mod store;

pub use store::IncidentStore;
pub(crate) use store::KEPT_FILE;

use crate::live::{self, IncidentNow};
use crate::lookout::{Second, Sink};
use crate::measure::now_ms;
use diagnose::Cause;
use diagnose::incident::{
    Incident, IncidentError, IncidentEvent, IncidentSettings, Incidents as All, Seen, Standing,
};
use events::sample::Marker;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// An incident under way is written so often, for its figures; changes at once.
const FIGURES_EVERY_MS: i64 = 10_000;
/// Between two looks at what is to be written.
const PACE: Duration = Duration::from_millis(250);
/// After a failure of the disk, before it is tried again.
const RETRY_MS: i64 = 10_000;
/// Between two turns of dropping what is too old.
const THIN_MS: i64 = 3_600_000;
/// Incidents that are read when the process starts.
const READ_MAX: usize = 64;
/// How long incidents are kept: reviews are written weeks later.
pub const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// The incidents, for whoever asks. Clones share them.
#[derive(Clone, Default)]
pub struct Incidents {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Written by the thread that measures once a second, and by who notes.
    all: Mutex<State>,
    /// Times that the disk failed.
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    all: All,
    /// Ids of what is not on disk as it stands.
    dirty: BTreeSet<String>,
    figures_ms: i64,
    /// Where older ones are.
    directory: Option<PathBuf>,
}

impl Incidents {
    /// None yet.
    pub fn new(settings: IncidentSettings) -> Incidents {
        let incidents = Incidents::default();
        incidents.state().all.set(settings);
        incidents
    }

    /// The newest so many, the newest first.
    pub fn list(&self, most: usize) -> Vec<Incident> {
        let (mut all, directory) = {
            let state = self.state();
            (state.all.all().to_vec(), state.directory.clone())
        };
        if all.len() < most
            && let Some(older) = directory.and_then(|dir| IncidentStore::read(&dir).ok())
        {
            let rest = older.newest(most).unwrap_or_default();
            let unknown = |i: &Incident| !all.iter().any(|known| known.id == i.id);
            let mut rest: Vec<Incident> = rest.into_iter().filter(unknown).collect();
            rest.append(&mut all);
            all = rest;
        }
        all.sort_by_key(|i| std::cmp::Reverse((i.opened_ms, number(&i.id))));
        all.truncate(most);
        all
    }

    /// The one with this id; "last" is the newest.
    pub fn of_id(&self, id: &str) -> Option<Incident> {
        let directory = {
            let state = self.state();
            if let Some(incident) = state.all.of_id(id) {
                return Some(incident.clone());
            }
            state.directory.clone()
        };
        let store = IncidentStore::read(&directory?).ok()?;
        store.of_id(id).ok().flatten()
    }

    /// The newest that is not closed.
    pub fn now(&self) -> Option<IncidentNow> {
        let state = self.state();
        let newest = state.all.all().iter().filter(|i| i.is_live());
        let newest = newest.max_by_key(|i| i.opened_ms)?;
        Some(live::incident(&newest.id, &newest.title, newest.opened_ms))
    }

    /// The newest that was open at a moment, of those in memory.
    pub fn at(&self, at_ms: i64) -> Option<IncidentNow> {
        let state = self.state();
        let open = |i: &&Incident| {
            i.opened_ms <= at_ms && i.closed_ms.is_none_or(|closed| closed >= at_ms)
        };
        let newest = state.all.all().iter().filter(open);
        let newest = newest.max_by_key(|i| i.opened_ms)?;
        Some(live::incident(&newest.id, &newest.title, newest.opened_ms))
    }

    /// A person notes something, and perhaps what is being looked into from now on.
    ///
    /// # Errors
    /// There is no such incident, it is full, or the note is empty.
    pub fn note(
        &self,
        id: &str,
        actor: &str,
        text: &str,
        path: Option<Cause>,
    ) -> Result<Incident, IncidentError> {
        self.change(id, |all, id| all.note(id, (actor, text), path, now_ms()))
    }

    /// A person closes it.
    ///
    /// # Errors
    /// There is no such incident, or it is closed already.
    pub fn close(&self, id: &str, actor: &str, reason: &str) -> Result<Incident, IncidentError> {
        self.change(id, |all, id| all.close(id, actor, reason, now_ms()))
    }

    /// Times that incidents could not be written or read.
    pub fn store_failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Incidents that are not closed: those with a firing alert, and those that recover.
    pub fn live(&self) -> (usize, usize) {
        let state = self.state();
        let count = |standing| {
            let all = state.all.all().iter();
            all.filter(|i| i.standing == standing).count()
        };
        (count(Standing::Open), count(Standing::Recovering))
    }

    /// What the lookout tells of each second.
    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(Collecting {
            incidents: self.clone(),
        })
    }

    fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut All, &str) -> Result<(), IncidentError>,
    ) -> Result<Incident, IncidentError> {
        let mut state = self.state();
        let id = state.all.of_id(id).map(|i| i.id.clone());
        let id = id.ok_or(IncidentError::Unknown)?;
        change(&mut state.all, &id)?;
        let changed = state.all.of_id(&id).cloned();
        state.dirty.insert(id);
        changed.ok_or(IncidentError::Unknown)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number in an id, so that the tenth of a day follows the ninth.
fn number(id: &str) -> u32 {
    let last = id.rsplit('-').next();
    last.and_then(|n| n.parse().ok()).unwrap_or(0)
}

struct Collecting {
    incidents: Incidents,
}

impl Sink for Collecting {
    fn second(&mut self, second: &Second<'_>) -> Vec<Marker> {
        let mut state = self.incidents.state();
        let events = state.all.look(&Seen {
            record: second.record,
            changes: second.changes,
            verdict: second.verdict,
            now_ms: second.now_ms,
        });
        for event in &events {
            log(event);
        }
        let changed = events.into_iter().map(id_of);
        state.dirty.extend(changed);
        if second.now_ms - state.figures_ms >= FIGURES_EVERY_MS {
            state.figures_ms = second.now_ms;
            let live = state.all.all().iter().filter(|i| i.is_live());
            let live: Vec<String> = live.map(|i| i.id.clone()).collect();
            state.dirty.extend(live);
        }
        Vec::new()
    }
}

fn id_of(event: IncidentEvent) -> String {
    match event {
        IncidentEvent::Opened(id)
        | IncidentEvent::Grew(id)
        | IncidentEvent::Recovered(id)
        | IncidentEvent::Reopened(id)
        | IncidentEvent::Closed(id) => id,
    }
}

fn log(event: &IncidentEvent) {
    match event {
        IncidentEvent::Opened(id) => {
            tracing::warn!(
                incident = id,
                "incident opened: plimsoll incident show {id}"
            );
        }
        IncidentEvent::Reopened(id) => tracing::warn!(incident = id, "incident is back"),
        IncidentEvent::Recovered(id) => {
            tracing::info!(incident = id, "incident: all alerts are resolved");
        }
        IncidentEvent::Closed(id) => {
            tracing::info!(
                incident = id,
                "incident closed: plimsoll incident report {id}"
            );
        }
        IncidentEvent::Grew(_) => {}
    }
}

/// The thread that writes. Dropping it ends the thread without waiting.
pub struct Keeping {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeping {
    /// Ends it and waits until all is written.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads what earlier processes left in `directory`, and begins to keep incidents
/// there. The directory's lock is the caller's.
///
/// # Errors
/// The system gives no thread. A disk that fails is no error: it is tried again.
pub fn keep(incidents: &Incidents, directory: &Path) -> std::io::Result<Keeping> {
    let (stop, stopped) = channel();
    incidents.state().directory = Some(directory.to_owned());
    let mut work = Work {
        incidents: incidents.clone(),
        directory: directory.to_owned(),
        store: None,
        restored: false,
        retry_ms: 0,
        thin_ms: 0,
    };
    let thread = std::thread::Builder::new()
        .name("incidents".into())
        .spawn(move || work.run(&stopped))?;
    Ok(Keeping {
        stop: Some(stop),
        thread: Some(thread),
    })
}

/// The thread's own state.
struct Work {
    incidents: Incidents,
    directory: PathBuf,
    store: Option<IncidentStore>,
    restored: bool,
    retry_ms: i64,
    thin_ms: i64,
}

impl Work {
    fn run(&mut self, stopped: &Receiver<()>) {
        loop {
            let goes_on = stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout);
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                self.store = None;
                self.retry_ms = now_ms() + RETRY_MS;
                tracing::error!("a panic was contained while incidents were written");
            }
            if !goes_on {
                return;
            }
        }
    }

    fn turn(&mut self) {
        let now = now_ms();
        if now < self.retry_ms {
            return;
        }
        if let Err(error) = self.write(now) {
            self.store = None;
            self.retry_ms = now + RETRY_MS;
            let before = self
                .incidents
                .shared
                .failures
                .fetch_add(1, Ordering::Relaxed);
            // Told once a minute at most.
            if before.is_multiple_of(6) {
                tracing::warn!(%error, "incidents are kept in memory only: the state directory cannot be used");
            }
        }
    }

    fn write(&mut self, now: i64) -> store::Stored<()> {
        if self.store.is_some() && !self.directory.join(KEPT_FILE.file).exists() {
            // Deleted beneath us: all that is in memory is written anew.
            self.store = None;
            let mut state = self.incidents.state();
            let all: Vec<String> = state.all.all().iter().map(|i| i.id.clone()).collect();
            state.dirty.extend(all);
        }
        let store = match self.store.take() {
            Some(store) => store,
            None => IncidentStore::open(&self.directory, KEPT)?,
        };
        if !self.restored {
            let kept = store.newest(READ_MAX)?;
            let mut state = self.incidents.state();
            state.all.restore(kept, now);
            let live = state.all.all().iter().filter(|i| i.is_live());
            let live: Vec<String> = live.map(|i| i.id.clone()).collect();
            state.dirty = live.into_iter().collect();
            self.restored = true;
        }
        while let Some(incident) = self.next() {
            if let Err(error) = store.write(&incident) {
                self.incidents.state().dirty.insert(incident.id);
                return Err(error);
            }
        }
        if now >= self.thin_ms {
            store.thin(now)?;
            self.thin_ms = now + THIN_MS;
        }
        self.store = Some(store);
        Ok(())
    }

    /// The next one that is not on disk as it stands.
    fn next(&self) -> Option<Incident> {
        let mut state = self.incidents.state();
        while let Some(id) = state.dirty.pop_first() {
            if let Some(incident) = state.all.of_id(&id) {
                return Some(incident.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
