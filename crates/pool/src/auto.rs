//! How large a pool with `pool_size = "auto"` is.
//!
//! A controller without clock, lock or socket: samples go in, changes of the
//! size come out. It searches for the size that brings the most throughput and
//! trusts only what it measured at two sizes, one after the other:
//!
//! ```text
//!           clients wait                     more throughput
//!  Holding ─────────────► Trying a larger ───────────────────► Holding (larger)
//!     ▲  │                      │ not                             │ still waiting:
//!     │  │                      ▼                                 └─► again
//!     │  │               a step half as large, …, then back
//!     │  └─ a larger one brought nothing ─► Trying a smaller ─► kept, or back
//!     └─ unused for minutes: less, to what the demand of those minutes needs
//! ```
//!
//! Latency alone moves nothing: waiting for a lock or for a silent client is
//! no load. How it decides, and which ways of failing it avoids, stands in
//! `docs/sizing.md`.

mod load;
mod trying;
mod window;

#[cfg(test)]
mod tests;

use events::{SizeReason, Time};
use load::{Demand, Load};
use std::time::Duration;
use trying::{Kind, TRY_MIN, Try};
use window::Window;

/// How often a pool is sampled.
pub const AUTO_PERIOD: Duration = Duration::from_millis(500);
/// No new try begins when so many changes were made within a minute; the way
/// back from a try is always open.
pub const AUTO_CHANGES_PER_MINUTE: usize = 12;

/// Samples after which older ones at the same size are forgotten by half.
const BASE_MAX: u32 = 24;
/// Longest pause after a change before its effect is measured, in samples.
const SETTLE_MAX: u32 = 20;
/// First factor between sizes; a try without gain is repeated with its root.
const STEP: f64 = 2.0;
/// The search ends with this factor.
const STEP_MIN: f64 = 1.19;
/// Clients wait in earnest when this share of all who are here waits: more
/// than that cannot be won by ending the wait.
const STANDING: f64 = 0.05;
/// First pause after a search, doubled after each that found nothing new: soon
/// at first, because the first verdicts rest on the fewest samples.
const PAUSE: Duration = Duration::from_secs(10);
/// The same after a smaller size had cost throughput.
const PAUSE_OF_LESS: Duration = Duration::from_secs(30);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Unused connections are looked at so often, and the size falls to no less
/// than [`UNUSED_KEEP`] of it.
const UNUSED_EVERY: Duration = Duration::from_secs(60);
const UNUSED_KEEP: f64 = 0.75;

/// Bounds of an automatic size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AutoSettings {
    /// Never less, ≥ 1.
    pub floor: u32,
    /// Never more; the line bounds it as well.
    pub ceiling: u32,
    /// Processor cores of the server, where somebody stated them: the search
    /// then starts at twice as many connections instead of at the floor.
    pub server_cores: Option<u32>,
    /// Throughput is counted in queries: in session mode a lease is a session.
    pub per_query: bool,
}

impl AutoSettings {
    /// The size before anything is known.
    pub fn start(&self) -> u32 {
        let stated = self
            .server_cores
            .map_or(self.floor, |c| c.saturating_mul(2));
        stated.clamp(self.floor.max(1), self.most())
    }

    fn most(&self) -> u32 {
        self.ceiling.max(self.floor).max(1)
    }
}

/// What was seen of a pool since the last sample.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sample {
    /// The time that it covers.
    pub span: Duration,
    /// Leases that ended, less those that ended in vain: cancelled, timed out,
    /// given up for contention. What grows with these is no throughput.
    pub done: f64,
    /// Clients that waited, on average.
    pub queued: f64,
    /// Connections that were lent, on average.
    pub held: f64,
    /// Of these, on average, the ones whose server had something to do. The
    /// others were held by clients that are silent inside a transaction.
    pub busy: f64,
    /// Connections that can serve now.
    pub usable: u32,
    /// Connections that the pool could have under the line and its caps.
    pub room: u32,
    /// Most that were lent at one moment.
    pub peak: u32,
}

/// One change of a size, with the figures that led to it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SizeChange {
    /// When.
    pub at: Time,
    /// The size before.
    pub from: u32,
    /// The size now.
    pub to: u32,
    /// Why.
    pub reason: SizeReason,
    /// Clients that waited, on average over what was measured.
    pub queued: f64,
    /// Connections that were lent, on average.
    pub held: f64,
    /// Leases that ended per second, at `from`.
    pub rate: f64,
}

/// The controller of one pool.
#[derive(Clone, Debug)]
pub struct Auto {
    settings: AutoSettings,
    size: u32,
    trial: Option<Try>,
    /// Samples to let pass after a change.
    settle: u32,
    /// What was measured at the present size, and before that at the same.
    base: Window,
    base_before: Window,
    /// Largest size that has proved itself in this load.
    proven: u32,
    factor: f64,
    next_up: Time,
    next_down: Time,
    pause_up: Duration,
    pause_down: Duration,
    /// The search ended without a gain: a smaller size may do.
    may_shrink: bool,
    load: Load,
    demand: Demand,
    /// Times of the last changes.
    recent: [Time; AUTO_CHANGES_PER_MINUTE],
    changes: [u64; SizeReason::COUNT],
    last: Option<SizeChange>,
}

impl SizeChange {
    /// What the server can give decides, no traffic.
    pub(crate) fn of_capacity(at: Time, from: u32, to: u32) -> SizeChange {
        SizeChange {
            at,
            from,
            to,
            reason: SizeReason::ServerCapacity,
            queued: 0.0,
            held: 0.0,
            rate: 0.0,
        }
    }
}

impl Auto {
    /// A controller that knows nothing yet.
    pub fn new(settings: AutoSettings) -> Auto {
        Auto::starting_at(settings, 0)
    }

    /// The same for a pool that has `used` connections already: no fewer.
    pub(crate) fn starting_at(settings: AutoSettings, used: u32) -> Auto {
        let size = settings.start().max(used.min(settings.most()));
        Auto {
            settings,
            size,
            trial: None,
            settle: 0,
            base: Window::default(),
            base_before: Window::default(),
            proven: size,
            factor: STEP,
            next_up: Time::ZERO,
            next_down: Time::ZERO,
            pause_up: PAUSE,
            pause_down: PAUSE_OF_LESS,
            may_shrink: false,
            load: Load::default(),
            demand: Demand::default(),
            recent: [Time::ZERO; AUTO_CHANGES_PER_MINUTE],
            changes: [0; SizeReason::COUNT],
            last: None,
        }
    }

    /// The size now.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The bounds.
    pub fn settings(&self) -> &AutoSettings {
        &self.settings
    }

    /// New bounds; what was learned stays.
    pub fn configure(&mut self, settings: AutoSettings) {
        self.settings = settings;
        self.size = self.size.clamp(settings.floor.max(1), settings.most());
        self.proven = self.proven.min(settings.most());
        self.trial = None;
        self.forget();
    }

    /// The search begins below a stated size that the server cannot give.
    pub(crate) fn begins_below(&mut self, now: Time, stated: u32) -> SizeChange {
        let change = SizeChange::of_capacity(now, stated, self.size);
        self.changes[change.reason as usize] += 1;
        self.last = Some(change);
        change
    }

    /// Whether a size is under trial now.
    pub fn is_trying(&self) -> bool {
        self.trial.is_some()
    }

    /// Changes so far, in the order of [`SizeReason::ALL`].
    pub fn changes(&self) -> &[u64; SizeReason::COUNT] {
        &self.changes
    }

    /// The last change.
    pub fn last_change(&self) -> Option<&SizeChange> {
        self.last.as_ref()
    }

    /// One sample, each [`AUTO_PERIOD`]. Says when the size changes.
    pub fn observe(&mut self, now: Time, s: &Sample) -> Option<SizeChange> {
        if s.span.is_zero() {
            return None;
        }
        self.demand.add(now, s);
        self.load.add(s);
        if self.settling() {
            return None;
        }
        match self.trial.take() {
            Some(trial) => self.judge(now, s, trial),
            None => self.watch(now, s),
        }
    }

    /// What a sample says when nothing may be changed: the size that would be
    /// tried next after the `size` that holds. No measurement stands behind it.
    pub fn would(&mut self, now: Time, size: u32, s: &Sample) -> Option<SizeChange> {
        self.demand.add(now, s);
        if !is_saturated(s, size) || !is_standing(s) || now < self.next_up {
            return None;
        }
        let to = self.larger(size, STEP).min(self.limit(s));
        if to <= size {
            return None;
        }
        self.next_up = now.after(UNUSED_EVERY);
        let mut window = Window::default();
        window.add(s, true);
        Some(self.note(now, size, to, SizeReason::ClientsWait, &window))
    }

    // --- holding ---

    fn watch(&mut self, now: Time, s: &Sample) -> Option<SizeChange> {
        let limit = self.limit(s);
        let saturated = is_saturated(s, self.size);
        let load_changed = self.load.changed();
        if saturated || s.held >= 0.7 * f64::from(self.size) {
            if self.base.ticks >= BASE_MAX {
                self.base_before = std::mem::take(&mut self.base);
            }
            self.base.add(s, saturated);
        }
        if load_changed && (saturated || s.held > f64::from(self.settings.start())) {
            self.new_load(now);
        }
        if saturated && is_standing(s) {
            if self.proven.min(limit) > self.size {
                let to = self.proven.min(limit);
                return Some(self.set(now, to, SizeReason::ClientsWait, s));
            }
            if now >= self.next_up && self.may_try(now) {
                let to = self.larger(self.size, self.factor).min(limit);
                if to > self.size {
                    return Some(self.begin(now, s, to, Kind::Larger, self.factor));
                }
                // At the limit. Only another load makes it worth asking for less.
                self.may_shrink |= load_changed;
                self.next_up = now.after(self.pause_up);
            }
            return self.shrink(now, s, Kind::Smaller);
        }
        if load_changed && s.queued < 0.5 && self.load.rose() {
            self.may_shrink = s.held > f64::from(self.settings.start());
            return self.shrink(now, s, Kind::SmallerUnasked);
        }
        match saturated {
            true => None,
            false => self.give_back(now, s),
        }
    }

    /// Tries less, where a larger size brought nothing or the load is a new one.
    fn shrink(&mut self, now: Time, s: &Sample, kind: Kind) -> Option<SizeChange> {
        let measured = self.measured().ticks >= TRY_MIN;
        if !self.may_shrink || now < self.next_down || !measured || !self.may_try(now) {
            return None;
        }
        self.may_shrink = false;
        let held = match kind {
            Kind::SmallerUnasked => s.held.min(f64::from(self.size)),
            _ => f64::from(self.size),
        };
        let to = self.smaller(held, STEP_MIN);
        (to < self.size).then(|| self.begin(now, s, to, kind, STEP_MIN))
    }

    /// Unused connections go, slowly, and never below what the last minutes needed.
    fn give_back(&mut self, now: Time, s: &Sample) -> Option<SizeChange> {
        if now < self.demand.next_look {
            return None;
        }
        let first = self.demand.next_look == Time::ZERO;
        self.demand.next_look = now.after(UNUSED_EVERY);
        let needed = self.demand.staffing();
        let kept = (f64::from(self.size) * UNUSED_KEEP).ceil() as u32;
        let to = needed.max(kept).max(self.settings.start());
        (!first && to < self.size).then(|| self.set(now, to, SizeReason::Unused, s))
    }

    /// The transactions take another time than before: what was learned is old.
    fn new_load(&mut self, now: Time) {
        self.load.reference = 0.0;
        self.load.since_change = 0;
        self.next_up = self.next_up.min(now);
        self.next_down = self.next_down.min(now);
        self.pause_up = PAUSE;
        self.pause_down = PAUSE_OF_LESS;
        self.factor = STEP;
        self.forget();
        self.proven = self.size;
    }

    // --- parts ---

    fn measured(&self) -> Window {
        match self.base.ticks * 2 < BASE_MAX && self.base_before.ticks > 0 {
            true => self.base_before,
            false => self.base,
        }
    }

    fn forget(&mut self) {
        self.base = Window::default();
        self.base_before = Window::default();
    }

    fn set(&mut self, now: Time, to: u32, reason: SizeReason, s: &Sample) -> SizeChange {
        let mut window = Window::default();
        window.add(s, false);
        self.change(now, to, reason, &window)
    }

    fn change(&mut self, now: Time, to: u32, reason: SizeReason, at: &Window) -> SizeChange {
        let from = self.size;
        self.size = to.clamp(self.settings.floor.max(1), self.settings.most());
        self.forget();
        self.load.since_change = 0;
        self.load.reference = 0.0;
        // Until what began at the old size has ended.
        let lease = at.held() / at.rate().max(1e-3);
        let samples = (2.0 * lease / AUTO_PERIOD.as_secs_f64()).ceil();
        self.settle = (samples.clamp(1.0, f64::from(SETTLE_MAX))) as u32;
        self.recent.rotate_left(1);
        if let Some(last) = self.recent.last_mut() {
            *last = now;
        }
        self.note(now, from, self.size, reason, at)
    }

    fn note(&mut self, at: Time, from: u32, to: u32, why: SizeReason, w: &Window) -> SizeChange {
        self.changes[why as usize] += 1;
        let change = SizeChange {
            at,
            from,
            to,
            reason: why,
            queued: w.queued(),
            held: w.held(),
            rate: w.rate(),
        };
        self.last = Some(change);
        change
    }

    /// After a change: connections are still being opened, or those of the
    /// larger size are not back yet.
    fn settling(&mut self) -> bool {
        if self.settle == 0 {
            return false;
        }
        self.settle -= 1;
        true
    }

    fn limit(&self, s: &Sample) -> u32 {
        self.settings.most().min(s.room.max(self.settings.floor))
    }

    fn larger(&self, from: u32, factor: f64) -> u32 {
        let to = (f64::from(from) * factor).round();
        (to.min(f64::from(u32::MAX)) as u32).max(from.saturating_add(1))
    }

    fn smaller(&self, from: f64, factor: f64) -> u32 {
        let to = (from / factor).floor().min(from - 1.0).max(1.0) as u32;
        to.max(self.settings.floor)
    }

    /// Fewer changes than the bound within the last minute.
    fn may_try(&self, now: Time) -> bool {
        let oldest = self.recent[0];
        oldest == Time::ZERO || now.since(oldest) >= Duration::from_secs(60)
    }
}

/// All connections were lent and somebody waited.
fn is_saturated(s: &Sample, size: u32) -> bool {
    let serving = f64::from(size.min(s.usable.max(1)));
    s.queued >= 0.5 && s.held >= 0.85 * serving
}

/// More than a share of all who are here waits: a queue that stands, not one
/// that a burst left for a moment.
fn is_standing(s: &Sample) -> bool {
    s.queued >= STANDING * (s.queued + s.held)
}
