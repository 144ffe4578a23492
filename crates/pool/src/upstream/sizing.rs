//! Samples for pools that size themselves, and the record that advice rests on.

use super::Upstream;
use crate::advice::Record;
use crate::auto::{AUTO_PERIOD, Auto, Sample, SizeChange};
use crate::budget::Sight;
use crate::conns::State;
use crate::figures::ConnState;
use crate::one_pool::{Mode, Pool};
use events::{Guard, GuardMode, PoolId, Time, WorkerId};
use std::time::Duration;

/// Changes of sizes that are kept until the shell takes them.
const TOLD_MAX: usize = 64;

/// Monotonic counters of one worker for one pool: what only `relay` sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Service {
    /// Queries that ended.
    pub queries: u64,
    /// Of these, the ones in vain: cancelled, timed out, or lost to others
    /// (serialization failure, deadlock, lock not available).
    pub in_vain: u64,
    /// Time in which a server of the pool had something to do, added up over
    /// connections, with what is under way; microseconds.
    pub busy_us: u64,
}

/// A change of a pool's size, for the log.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resized {
    /// The pool.
    pub pool: PoolId,
    /// What changed, and why.
    pub change: SizeChange,
    /// False: the guard only observes, and the size stays.
    pub acted: bool,
}

/// Counters at the last sample. All are sums since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    at: Time,
    leases: u64,
    held_us: u64,
    waited_us: u64,
    waiting: u32,
    service: Service,
    by_worker: Vec<Service>,
    /// Most connections lent at one moment since the last sample.
    pub peak: u32,
    /// Samples of the last hour; none before the first lease.
    pub record: Option<Box<Record>>,
}

impl Upstream {
    /// What a worker has counted for a pool since the start. Once each
    /// [`AUTO_PERIOD`] is enough; without it, lent connections count as busy.
    pub fn note_service(&mut self, pool: PoolId, worker: WorkerId, service: Service) {
        let Some(pool) = self.pool_mut(pool) else {
            return;
        };
        let at = worker.0 as usize;
        let known = &mut pool.meter.by_worker;
        if known.len() <= at {
            known.resize(at + 1, Service::default());
        }
        known[at] = service;
    }

    /// A change of a pool's size that was not told yet.
    pub fn poll_resized(&mut self) -> Option<Resized> {
        self.resized.pop_front()
    }

    /// How a pool sizes itself; `None` when its size is fixed.
    pub fn sizing(&self, pool: PoolId) -> Option<&Auto> {
        self.pool(pool)?.sizer.as_deref()
    }

    /// What was seen of a pool in the last hour; `None` before its first lease.
    pub fn record(&self, pool: PoolId) -> Option<&Record> {
        self.pool(pool)?.meter.record.as_deref()
    }

    /// Samples every pool, and lets those size themselves that may. Call it
    /// each [`AUTO_PERIOD`]; earlier does nothing.
    pub fn sample(&mut self, now: Time) {
        if now < self.next_sample {
            return;
        }
        self.next_sample = now.after(AUTO_PERIOD);
        self.turn_tape(now);
        let spare: u32 = self.pools.iter().flatten().map(spare).sum();
        for p in 0..self.pools.len() {
            let Some(Some(pool)) = self.pools.get(p) else {
                continue;
            };
            if pool.hold.count() == 0 && pool.charged() == 0 && pool.queue.len() == 0 {
                continue;
            }
            self.tell_oversize(now, p);
            let ages = self.ages(now, p);
            let room = self.room_for(p, spare);
            let learns = self.moves.learns(now);
            let sample = sample(now, self.at_mut(p), ages, room, learns);
            if let Some(sample) = sample
                && learns
                && !self.shutdown
                && self.at(p).mode == Mode::Open
            {
                self.resize(now, p, &sample);
            }
        }
    }

    /// Pools whose stated size is far more than the server has size themselves.
    pub(super) fn heed_capacity(&mut self, now: Time) {
        let read = self.budget.parts().at_best();
        let stated =
            (!matches!(self.budget.sight(), Sight::Asking(_))).then_some(self.settings.line);
        let capacity = read.or(stated);
        if capacity == self.capacity {
            return;
        }
        self.capacity = capacity;
        let (mut grew, mut fell) = (false, false);
        for pool in self.pools.iter_mut().flatten() {
            let before = pool.settings.size;
            pool.apply_sizer(capacity);
            grew |= pool.settings.size > before;
            fell |= pool.settings.size < before;
        }
        if fell {
            self.shed_idle(now);
        }
        for p in 0..self.pools.len() {
            if grew && self.pools[p].is_some() {
                self.pump(now, p);
            }
        }
    }

    /// The log learns when a stated size is taken for a bound, and when no more.
    fn tell_oversize(&mut self, now: Time, p: usize) {
        let pool = self.at_mut(p);
        let mode = pool.settings.guards.mode(Guard::AutoSize);
        if mode == GuardMode::Off {
            return;
        }
        if let Some(change) = pool.oversize_to_tell(now) {
            self.tell(p, change, mode);
        }
    }

    fn tell(&mut self, p: usize, change: SizeChange, mode: GuardMode) {
        if self.resized.len() < TOLD_MAX {
            self.resized.push_back(Resized {
                pool: PoolId(p as u32),
                change,
                acted: mode == GuardMode::Enforce,
            });
        }
    }

    fn resize(&mut self, now: Time, p: usize, sample: &Sample) {
        let pool = self.at_mut(p);
        let mode = pool.settings.guards.mode(Guard::AutoSize);
        let size = pool.settings.size;
        let Some(sizer) = &mut pool.sizer else { return };
        let change = match mode {
            GuardMode::Off => None,
            GuardMode::Observe => sizer.would(now, size, sample),
            GuardMode::Enforce => sizer.observe(now, sample),
        };
        let Some(change) = change else { return };
        self.tell(p, change, mode);
        if mode != GuardMode::Enforce {
            return;
        }
        let pool = self.at_mut(p);
        pool.settings.size = change.to;
        match change.to > change.from {
            true => self.pump(now, p),
            false => self.shed_idle(now),
        }
    }

    /// Ages of the leases and of the waits under way, added up, microseconds.
    fn ages(&self, now: Time, p: usize) -> (u64, u64) {
        let pool = self.at(p);
        let held = match pool.count(ConnState::Lent) {
            0 => 0,
            _ => self
                .conns
                .iter()
                .filter(|(_, conn)| {
                    conn.pool as usize == p && matches!(conn.state, State::Lent { .. })
                })
                .map(|(_, conn)| micros(now.since(conn.since)))
                .sum(),
        };
        let waits = pool.queue.by_age();
        let waited = waits.map(|i| micros(now.since(pool.queue.get(i).arrived)));
        (held, waited.sum())
    }

    /// Connections that pool `p` could have: its own, what is left under the
    /// line and its caps, and what others have idle above their minimum.
    fn room_for(&self, p: usize, spare_of_all: u32) -> u32 {
        let pool = self.at(p);
        let line = self.line.saturating_sub(self.here());
        let elsewhere = spare_of_all.saturating_sub(spare(pool));
        let of_caps = pool.settings.caps.iter().filter_map(|cap| {
            let cap = self.caps.get(cap.0 as usize)?;
            Some(cap.limit.saturating_sub(cap.charged))
        });
        let free = of_caps.min().unwrap_or(u32::MAX);
        pool.charged() + line.saturating_add(elsewhere).min(free)
    }
}

/// Idle connections above the minimum: others may have them.
fn spare(pool: &Pool) -> u32 {
    let above = pool.live().saturating_sub(pool.min());
    above.min(pool.count(ConnState::Idle))
}

/// What happened since the last sample; `None` for the first.
fn sample(now: Time, pool: &mut Pool, ages: (u64, u64), room: u32, learns: bool) -> Option<Sample> {
    let leases = pool.hold.count();
    let waiting = pool.queue.len();
    let usable = pool.usable();
    let held_us = pool.hold.sum_micros() + ages.0;
    let waited_us = pool.wait.sum_micros() + ages.1;
    let lent = pool.count(ConnState::Lent);
    let per_query = pool.settings.auto.is_some_and(|auto| auto.per_query);
    let meter = &mut pool.meter;
    let mut service = Service::default();
    for of_worker in &meter.by_worker {
        service.queries += of_worker.queries;
        service.in_vain += of_worker.in_vain;
        service.busy_us += of_worker.busy_us;
    }
    let span = now.since(meter.at);
    let share = |now: u64, before: u64| {
        now.saturating_sub(before) as f64 / (span.as_secs_f64() * 1e6).max(1.0)
    };
    // Those who gave up took their waits with them: the length of the queue
    // at both ends is the better figure then.
    let ends = f64::from(waiting.min(meter.waiting));
    let ended = match per_query {
        true => service.queries.saturating_sub(meter.service.queries),
        false => leases.saturating_sub(meter.leases),
    };
    let in_vain = service.in_vain.saturating_sub(meter.service.in_vain);
    let sample = Sample {
        span,
        done: ended.saturating_sub(in_vain) as f64,
        queued: share(waited_us, meter.waited_us).max(ends),
        held: share(held_us, meter.held_us),
        busy: share(service.busy_us, meter.service.busy_us),
        usable,
        room,
        peak: meter.peak.max(lent),
    };
    let first = meter.at == Time::ZERO;
    meter.at = now;
    meter.leases = leases;
    meter.held_us = held_us;
    meter.waited_us = waited_us;
    meter.waiting = waiting;
    meter.service = service;
    meter.peak = lent;
    if leases > 0 && learns {
        let record = meter.record.get_or_insert_with(Box::default);
        record.add(now, &sample, pool.settings.size, &pool.wait);
    }
    (!first && !span.is_zero()).then_some(sample)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
