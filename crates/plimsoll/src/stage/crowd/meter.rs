//! What clients measure of themselves.

use practice::drill::Felt;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests that are remembered: some minutes of a lively crowd.
const POINTS_MAX: usize = 60_000;
/// A request under way counts once it has taken so long.
const STUCK: Duration = Duration::from_millis(200);
/// Longest text of an error that is kept, characters.
const ERROR_CHARS: usize = 120;

/// One request.
#[derive(Clone, Copy)]
struct Point {
    at: Instant,
    took: Duration,
    failed: bool,
    app: usize,
}

/// A client's request under way: written by the client, read by who asks.
struct Slot {
    /// Microseconds since the meter's start, 0: none.
    since_us: AtomicU64,
    app: AtomicUsize,
}

/// All requests of all clients.
pub(super) struct Meter {
    started: Instant,
    slots: Vec<Slot>,
    points: Mutex<VecDeque<Point>>,
    /// The newest error of each application.
    errors: Mutex<Vec<(usize, Instant, String)>>,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new(0)
    }
}

impl Meter {
    pub(super) fn new(slots: usize) -> Meter {
        let slot = |_| Slot {
            since_us: AtomicU64::new(0),
            app: AtomicUsize::new(0),
        };
        Meter {
            started: Instant::now(),
            slots: (0..slots).map(slot).collect(),
            points: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    pub(super) fn begin(&self, slot: usize, app: usize) {
        let since = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slots[slot].app.store(app, Relaxed);
        self.slots[slot].since_us.store(since.max(1), Relaxed);
    }

    pub(super) fn end(&self, slot: usize) {
        self.slots[slot].since_us.store(0, Relaxed);
    }

    pub(super) fn note(&self, app: usize, took: Duration, error: Option<String>) {
        let at = Instant::now();
        let mut points = self.points();
        if points.len() >= POINTS_MAX {
            points.pop_front();
        }
        points.push_back(Point {
            at,
            took,
            failed: error.is_some(),
            app,
        });
        drop(points);
        if let Some(mut text) = error {
            if let Some((cut, _)) = text.char_indices().nth(ERROR_CHARS) {
                text.truncate(cut);
            }
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            errors.retain(|(of, _, _)| *of != app);
            errors.push((app, at, text));
        }
    }

    /// The newest error of an application within the last seconds.
    pub(super) fn last_error(&self, app: usize, span: Duration) -> Option<String> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = errors.iter().find(|(of, _, _)| *of == app)?;
        (newest.1.elapsed() <= span).then(|| newest.2.clone())
    }

    /// What clients of some applications felt; what is stuck counts with its time so far.
    pub(super) fn felt(&self, span: Duration, counts: impl Fn(usize) -> bool) -> Felt {
        let mut took: Vec<Duration> = Vec::new();
        let mut failed = 0_u32;
        for point in self.points().iter().rev() {
            if point.at.elapsed() > span {
                break;
            }
            if counts(point.app) {
                took.push(point.took);
                failed += u32::from(point.failed);
            }
        }
        let now = self.started.elapsed();
        for slot in &self.slots {
            let since = slot.since_us.load(Relaxed);
            let stuck = now.saturating_sub(Duration::from_micros(since));
            if since > 0 && stuck > STUCK && counts(slot.app.load(Relaxed)) {
                took.push(stuck);
            }
        }
        took.sort_unstable();
        let millis = |d: Option<&Duration>| d.map_or(0.0, |d| d.as_secs_f64() * 1e3);
        let count = took.len() as f64;
        Felt {
            per_s: count / span.as_secs_f64().max(0.001),
            failed_percent: 100.0 * f64::from(failed) / count.max(1.0),
            p95_ms: millis(took.get(((count - 1.0).max(0.0) * 0.95) as usize)),
            longest_ms: millis(took.last()),
            ..Felt::default()
        }
    }

    fn points(&self) -> MutexGuard<'_, VecDeque<Point>> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stuck_counts() {
        let meter = Meter::new(1);
        let ms = Duration::from_millis;
        for _ in 0..9 {
            meter.note(0, ms(10), None);
        }
        meter.note(0, ms(3_000), Some("no connection".to_owned()));
        meter.note(1, ms(1), Some("another application's".to_owned()));
        let felt = meter.felt(ms(10_000), |app| app == 0);
        assert_eq!((felt.per_s, felt.failed_percent), (1.0, 10.0));
        assert_eq!((felt.p95_ms, felt.longest_ms), (10.0, 3_000.0));
        assert_eq!(
            meter.last_error(0, ms(10_000)).as_deref(),
            Some("no connection")
        );
        let nobody = meter.felt(ms(10_000), |_| false);
        assert_eq!(nobody, Felt::default());
    }
}
