//! What clients feel: how long units of work take, and which fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One unit of work, as its client saw it.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// When it ended, milliseconds since the crowd began.
    pub at_ms: u32,
    /// How long it took, waits and logins included; pauses of the application not.
    pub us: u32,
    /// It failed.
    pub failed: bool,
    /// Its application is the one that harms.
    pub culprit: bool,
}

/// What all clients saw.
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    points: Mutex<Vec<Point>>,
    /// Failures by their SQLSTATE or kind.
    pub failures: Mutex<BTreeMap<String, u64>>,
    /// Starts of units that have not ended, by client.
    pending: Mutex<Vec<Option<(Instant, bool)>>>,
}

impl Meter {
    /// For so many clients.
    pub fn new(clients: usize) -> Meter {
        Meter {
            began: Instant::now(),
            points: Mutex::default(),
            failures: Mutex::default(),
            pending: Mutex::new(vec![None; clients]),
        }
    }

    /// Milliseconds since it began.
    pub fn now_ms(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    /// A client begins a unit of work.
    pub fn begin(&self, client: usize, culprit: bool) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)[client] =
            Some((Instant::now(), culprit));
    }

    /// It ended.
    pub fn end(&self, client: usize, spent: Duration, failure: Option<String>, culprit: bool) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)[client] = None;
        let point = Point {
            at_ms: self.now_ms(),
            us: spent.as_micros().min(u128::from(u32::MAX)) as u32,
            failed: failure.is_some(),
            culprit,
        };
        self.points
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(point);
        if let Some(kind) = failure {
            *self
                .failures
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(kind)
                .or_default() += 1;
        }
    }

    /// What this client began is nothing that anybody waits for.
    pub fn forget(&self, client: usize) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)[client] = None;
    }

    /// Those that ended within the last so many milliseconds, and those that have taken longer than 200 ms by now.
    pub fn recent(&self, ms: u32) -> Vec<Point> {
        let now = self.now_ms();
        let from = now.saturating_sub(ms);
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Point> = points
            .iter()
            .rev()
            .take_while(|p| p.at_ms >= from)
            .copied()
            .collect();
        drop(points);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = pending
            .iter()
            .flatten()
            .filter(|(began, _)| began.elapsed() > Duration::from_millis(200));
        found.extend(stuck.map(|(began, culprit)| Point {
            at_ms: now,
            us: began.elapsed().as_micros() as u32,
            failed: false,
            culprit: *culprit,
        }));
        found
    }
}
