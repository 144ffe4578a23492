//! What is kept of the past: minutes of each pool and application, bounded.

use super::facts::{Facts, PoolFacts};
use super::pool_exhaustion_forecast::Outlook;
use super::pool_too_small::Need;
use super::server_refusing::Failing;
use super::wait_objective::Burn;
use events::sample::{ApplicationSample, PoolSample, Sample};
use std::collections::{BTreeMap, VecDeque};

/// Minutes kept of a pool: six hours.
pub(super) const MINUTES: usize = 360;
/// Hours kept of its waits: three days.
pub(super) const HOURS: usize = 72;
/// Seconds kept of its queue.
const SECONDS: usize = 8;
/// The first minutes of a pool are caches that fill and clients that come.
const WARM_UP: u32 = 2;
/// Pools, and applications, that are followed.
const ROWS_MAX: usize = 256;
/// Minutes without a sample after which a row is forgotten.
const FORGET: u32 = 180;

/// A minute of a pool, without its batches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minute {
    /// Fewest connections held at any time.
    pub floor: u32,
    /// Fewest leases silent in a transaction at any time.
    pub silent: u32,
    /// Connections held, on average.
    pub used: f64,
    /// Connections busy by the holds that ended.
    pub returned: f64,
    pub size: u32,
    /// Seconds that it covers.
    pub span_s: f64,
    pub arrivals: u64,
    pub hold_us: u64,
    pub holds: u64,
    pub waits: u64,
    pub beyond: u64,
    pub oldest_hold_us: u64,
}

/// One pool's past.
#[derive(Debug, Default)]
pub(super) struct PoolPast {
    pub minutes: VecDeque<Minute>,
    /// Waits, and those beyond the objective, by hour.
    pub hours: VecDeque<(u64, u64)>,
    /// How many waited at the end of each of the last seconds.
    pub queue: VecDeque<u32>,
    /// Since when a burst keeps clients waiting.
    pub burst_since_ms: Option<i64>,
    pub outlook: Option<Outlook>,
    pub burn: Option<Burn>,
    pub need: Option<Need>,
    open: Minute,
    open_used: f64,
    open_ms: f64,
    ended: u32,
    unseen: u32,
}

/// One application's past in one pool.
#[derive(Debug, Default)]
pub(super) struct ApplicationPast {
    /// The share of its connections that is usually busy.
    pub usually_busy: f64,
    /// Requests in a minute, usually.
    pub usual_arrivals: f64,
    /// The most connections that it ever had.
    pub ceiling: u32,
    /// Minutes that the above was learned from.
    pub minutes: u32,
    /// Since when all its connections have been busy, or silent.
    pub full_since_ms: Option<i64>,
    open: (f64, f64, u64),
    unseen: u32,
}

/// All of the past.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub pools: BTreeMap<(String, String), PoolPast>,
    pub applications: BTreeMap<(String, String, String), ApplicationPast>,
    /// Servers that could not be reached, since when.
    pub failing: BTreeMap<String, Failing>,
    minute: Option<i64>,
}

/// A pool's row without the clients that may wait for minutes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Impatient {
    pub floor: u32,
    pub used: f64,
    pub waiting: u32,
    /// Requests that ended, and those of them beyond the objective.
    pub waits: u64,
    pub beyond: u64,
    /// Somebody patient holds or waits too.
    pub mixed: bool,
    /// Waiting clients are not served in time, as far as can be told.
    pub starved: bool,
}

/// Rows of the applications of a pool.
pub(super) fn applications_of<'a>(
    sample: &'a Sample,
    pool: &'a PoolSample,
) -> impl Iterator<Item = &'a ApplicationSample> {
    let of = |a: &&ApplicationSample| a.database == pool.database && a.user == pool.user;
    sample.applications.iter().filter(of)
}

/// Separates batches from those who hurt when they wait.
pub(super) fn impatient(
    sample: &Sample,
    pool: &PoolSample,
    (facts, of_pool): (&Facts<'_>, &PoolFacts),
    objective_us: u64,
) -> Impatient {
    let mut found = Impatient {
        floor: pool.used.least,
        used: pool.used.mean(),
        waiting: pool.waiting.last,
        waits: pool.wait.count,
        beyond: pool.wait.beyond,
        mixed: false,
        starved: pool.waiting.last > 0,
    };
    let (mut waits, mut beyond, mut waiting, mut starved) = (0, 0, 0, false);
    for row in applications_of(sample, pool) {
        if facts.patient(of_pool, &row.name) {
            found.mixed |= row.used.most > 0 || row.waiting.most > 0 || row.wait_us > 0;
            found.floor = found.floor.saturating_sub(row.used.most);
            found.used = (found.used - row.used.mean()).max(0.0);
            continue;
        }
        let mean = row.wait_us.checked_div(row.arrivals);
        waits += row.arrivals;
        if mean.is_some_and(|us| us > objective_us) {
            beyond += row.arrivals;
        }
        waiting += row.waiting.last;
        // Served within a second on average: fair shares do their work.
        starved |= row.waiting.last > 0 && mean.is_none_or(|us| us > 1_000_000);
    }
    if of_pool.deadline_ms.is_none_or(|ms| ms > 5 * 60_000) && waiting == 0 {
        found.mixed = true;
    }
    if found.mixed {
        (found.waits, found.beyond) = (waits, beyond);
        (found.waiting, found.starved) = (waiting, starved);
    }
    found
}

impl Past {
    /// One more second. True when a minute of the slow windows ended.
    pub fn add(
        &mut self,
        sample: &Sample,
        facts: &Facts<'_>,
        clock: (i64, i64),
        objective_us: u64,
    ) -> bool {
        let (now_ms, minute_ms) = clock;
        let minute = now_ms.div_euclid(minute_ms.max(1));
        let ended = self.minute.is_some_and(|before| minute > before);
        if ended {
            self.end_minute();
        }
        self.minute = Some(minute);
        for pool in &sample.pools {
            let key = (pool.database.to_string(), pool.user.to_string());
            if !self.pools.contains_key(&key) && self.pools.len() >= ROWS_MAX {
                continue;
            }
            let of_pool = facts.pool(&pool.database, &pool.user);
            let seen = impatient(sample, pool, (facts, &of_pool), objective_us);
            let past = self.pools.entry(key).or_default();
            past.add(sample.span_ms, pool, &seen);
        }
        for row in &sample.applications {
            let key = (
                row.database.to_string(),
                row.user.to_string(),
                row.name.to_string(),
            );
            if self.applications.contains_key(&key) || self.applications.len() < ROWS_MAX {
                self.applications.entry(key).or_default().add(row);
            }
        }
        ended
    }

    fn end_minute(&mut self) {
        self.pools.retain(|_, past| {
            past.end_minute();
            past.unseen < FORGET
        });
        self.applications.retain(|_, past| {
            past.end_minute();
            past.unseen < FORGET
        });
    }
}

impl PoolPast {
    fn add(&mut self, span_ms: u32, pool: &PoolSample, seen: &Impatient) {
        if self.queue.len() >= SECONDS {
            self.queue.pop_front();
        }
        self.queue.push_back(pool.waiting.last);
        // A pause is no trend.
        if pool.paused {
            return;
        }
        let first = self.open_ms == 0.0;
        let least = |before: u32, now: u32| if first { now } else { before.min(now) };
        let open = &mut self.open;
        open.floor = least(open.floor, seen.floor);
        open.silent = least(open.silent, pool.silent);
        open.size = pool.size;
        open.arrivals += pool.arrivals;
        open.hold_us = open.hold_us.saturating_add(pool.hold.sum_us);
        open.holds += pool.hold.count;
        open.waits += seen.waits;
        open.beyond += seen.beyond.min(seen.waits);
        open.oldest_hold_us = pool.oldest_hold_us;
        self.open_used += seen.used * f64::from(span_ms.max(1));
        self.open_ms += f64::from(span_ms.max(1));
        self.unseen = 0;
    }

    fn end_minute(&mut self) {
        let mut minute = std::mem::take(&mut self.open);
        let span_ms = std::mem::replace(&mut self.open_ms, 0.0);
        let used = std::mem::replace(&mut self.open_used, 0.0);
        if span_ms == 0.0 {
            self.unseen += 1;
            return;
        }
        minute.span_s = span_ms / 1e3;
        minute.used = used / span_ms;
        minute.returned = minute.hold_us as f64 / (span_ms * 1_000.0);
        if self.ended.is_multiple_of(60) {
            self.hours.push_back((0, 0));
        }
        self.ended = self.ended.saturating_add(1);
        if self.hours.len() > HOURS {
            self.hours.pop_front();
        }
        if let Some((waits, beyond)) = self.hours.back_mut() {
            (*waits, *beyond) = (*waits + minute.waits, *beyond + minute.beyond);
        }
        if self.ended <= WARM_UP {
            return;
        }
        if self.minutes.len() >= MINUTES {
            self.minutes.pop_front();
        }
        self.minutes.push_back(minute);
    }

    /// The last minutes, oldest first; fewer where there are not so many.
    pub fn last(&self, minutes: usize) -> impl Iterator<Item = &Minute> {
        let skip = self.minutes.len().saturating_sub(minutes);
        self.minutes.iter().skip(skip)
    }
}

impl ApplicationPast {
    fn add(&mut self, row: &ApplicationSample) {
        self.open.0 += row.used.mean();
        self.open.1 += row.clients.mean();
        self.open.2 += row.arrivals;
        self.ceiling = self.ceiling.max(row.clients.last);
        self.unseen = 0;
    }

    /// A slow mean: what lasts for minutes hardly moves it.
    fn end_minute(&mut self) {
        let (used, clients, arrivals) = std::mem::take(&mut self.open);
        if clients == 0.0 {
            self.unseen += 1;
            return;
        }
        // While it is full nothing usual is learned.
        if self.full_since_ms.is_some() {
            return;
        }
        self.minutes = self.minutes.saturating_add(1);
        let share = (1.0 / f64::from(self.minutes)).max(1.0 / 120.0);
        self.usually_busy += share * (used / clients - self.usually_busy);
        self.usual_arrivals += share * (arrivals as f64 - self.usual_arrivals);
    }
}
