//! The newest second, for whoever asks, and for those who listen.
//!
//! The thread that measures puts it here and goes on. While somebody listens,
//! one thread of the API's folds it once and hands the same bytes to all: a slow
//! reader finds the newest when it looks again, and what it missed is gone.

use crate::measure::Listener;
use bytes::Bytes;
use diagnose::alert::full_in;
use events::sample::{Marker, Record};
use events::snapshot::Snapshot;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Looks that are one point of a pool's trend.
const LOOKS: u32 = 10;
/// Points of a trend: five minutes.
const POINTS_MAX: usize = 30;

/// Two snapshots with a second between.
#[derive(Debug, Default)]
pub struct Second {
    /// The end, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// The one before; `None`: there was none yet.
    pub before: Option<Arc<Snapshot>>,
    /// The newest.
    pub now: Arc<Snapshot>,
    /// When pools will be full, seconds, by their places in the snapshot.
    pub full_in_s: Arc<BTreeMap<usize, u64>>,
}

impl Second {
    /// The time that rates cover, milliseconds.
    pub fn span_ms(&self) -> u32 {
        let before = self.before.as_ref();
        let span = before.map_or(Duration::ZERO, |b| self.now.at.since(b.at));
        u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
    }

    /// The same in seconds, never zero.
    pub fn span_s(&self) -> f64 {
        f64::from(self.span_ms().max(1)) / 1e3
    }
}

/// What listeners are handed: the bytes of one second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// Which second; 0: none yet.
    number: u64,
    pub bytes: Bytes,
}

/// The newest second. Clones share it.
#[derive(Clone, Default)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Written by who measures once a second; read by requests and the folding thread.
    state: Mutex<State>,
    /// Another second is there, somebody began to listen, or it ends.
    changed: Condvar,
    frames: watch::Sender<Frame>,
}

#[derive(Default)]
struct State {
    newest: Option<Arc<Second>>,
    number: u64,
    ended: bool,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feed(…)")
    }
}

impl Feed {
    /// The newest second; `None`: nothing was measured yet.
    pub fn newest(&self) -> Option<Arc<Second>> {
        self.state().newest.clone()
    }

    /// What puts seconds into it, on the thread that measures.
    pub fn listener(&self) -> Box<dyn Listener> {
        Box::new(Feeding {
            feed: self.clone(),
            before: None,
            trends: Trends::default(),
        })
    }

    /// Another second is over.
    pub fn put(&self, second: Second) {
        let mut state = self.state();
        state.newest = Some(Arc::new(second));
        state.number += 1;
        drop(state);
        if self.listeners() > 0 {
            self.shared.changed.notify_all();
        }
    }

    /// Begins to listen: the newest second comes at once.
    pub(crate) fn listen(&self) -> watch::Receiver<Frame> {
        let mut frames = self.shared.frames.subscribe();
        let state = self.state();
        let current = frames.borrow().number == state.number && state.number > 0;
        if current {
            frames.mark_changed();
        }
        drop(state);
        self.shared.changed.notify_all();
        frames
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.shared.frames.receiver_count()
    }

    /// Starts the thread that makes a frame of each second while somebody listens.
    pub(crate) fn fold(
        &self,
        make: impl Fn(&Second) -> Bytes + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        self.state().ended = false;
        let feed = self.clone();
        std::thread::Builder::new()
            .name("live".into())
            .spawn(move || feed.run(&make))
    }

    /// Ends that thread.
    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.shared.changed.notify_all();
    }

    fn run(&self, make: &dyn Fn(&Second) -> Bytes) {
        let mut told = 0;
        let mut failed = false;
        while let Some((number, second)) = self.next(told) {
            told = number;
            match catch_unwind(AssertUnwindSafe(|| make(&second))) {
                Ok(bytes) => drop(self.shared.frames.send_replace(Frame { number, bytes })),
                // Once: each second would fill the log.
                Err(_) if failed => {}
                Err(_) => {
                    failed = true;
                    tracing::error!("a panic was contained in the live page's figures");
                }
            }
        }
    }

    /// Waits for a second that was not told yet, and for somebody to tell it to.
    fn next(&self, told: u64) -> Option<(u64, Arc<Second>)> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            if let Some(newest) = &state.newest
                && state.number != told
                && self.listeners() > 0
            {
                return Some((state.number, Arc::clone(newest)));
            }
            let waited = self.shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listener of the measurements.
struct Feeding {
    feed: Feed,
    before: Option<Arc<Snapshot>>,
    trends: Trends,
}

impl Listener for Feeding {
    fn second(&mut self, record: &Record, snapshot: &Arc<Snapshot>) -> Vec<Marker> {
        self.trends.look(snapshot);
        let at_ms = record.seconds.back().map_or(0, |newest| newest.at_ms);
        self.feed.put(Second {
            at_ms,
            before: self.before.replace(Arc::clone(snapshot)),
            now: Arc::clone(snapshot),
            full_in_s: Arc::clone(&self.trends.full_in_s),
        });
        Vec::new()
    }
}

/// The floor of each pool over the last minutes.
#[derive(Default)]
pub(super) struct Trends {
    looks: u32,
    /// The fewest connections held since the last point, by place.
    floors: Vec<u32>,
    /// Such floors, the oldest first.
    points: VecDeque<Vec<u32>>,
    pub(super) full_in_s: Arc<BTreeMap<usize, u64>>,
}

impl Trends {
    pub(super) fn look(&mut self, snapshot: &Snapshot) {
        for (at, pool) in snapshot.pools.iter().enumerate() {
            match self.floors.get_mut(at) {
                Some(floor) => *floor = (*floor).min(pool.sv_active),
                None => self.floors.push(pool.sv_active),
            }
        }
        self.looks += 1;
        if !self.looks.is_multiple_of(LOOKS) {
            return;
        }
        if self.points.len() >= POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(std::mem::take(&mut self.floors));
        let pools = snapshot.pools.iter().enumerate();
        let soon = pools.filter_map(|(at, pool)| {
            let floors = self.points.iter().filter_map(|p| p.get(at).copied());
            let floors: Vec<u32> = floors.collect();
            let every = Duration::from_secs(u64::from(LOOKS));
            let left = full_in(&floors, every, pool.size)?;
            Some((at, left.as_secs()))
        });
        self.full_in_s = Arc::new(soon.collect());
    }
}
