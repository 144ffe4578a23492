//! All connections of a pool are lent and clients wait.
//!
//! Fires 8 s after the pool has filled, so that a step is told within 10 s.
//! Silent: while more is served than usual and nobody waits for 5 s (a burst, for
//! 30 s), while the queue shrinks (a burst that is being worked off), for
//! batches that may wait for minutes (until half their deadline has passed),
//! and for paused pools.

use super::engine::{Condition, Seen, subject_of};
use super::past::{Past, PoolPast, applications_of, impatient};
use super::{AlertName, PoolFacts};
use crate::{Figure, Unit};
use events::sample::PoolSample;

/// Shorter waits are bursts.
const WAIT_US_MIN: u64 = 2_000_000;
/// How long clients must have been starved. With the first wait of 2 s and a
/// sample each second a step is told after at most 9 s.
const FOR_MS: i64 = 5_000;
/// A burst, in which so many times more is served than usual, may keep clients
/// waiting for so long, and may last so long.
const BUSIER: f64 = 1.25;
const BURST_WAIT_S: f64 = 5.0;
const BURST_MS: i64 = 30_000;
/// A queue that lost more than this share in 5 s is being worked off.
const DRAINS: f64 = 0.85;

pub(super) fn look(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    let objective_us = seen.settings.wait_objective_ms.saturating_mul(1_000);
    for (pool, facts) in seen.pools() {
        let key = (pool.database.to_string(), pool.user.to_string());
        let Some(past) = past.pools.get_mut(&key) else {
            continue;
        };
        let row = impatient(seen.sample, pool, (seen.facts, &facts), objective_us);
        let full = pool.used.last >= pool.size;
        let late = late_batch(seen, pool, &facts);
        let hurt = match row.mixed {
            true => (row.starved && pool.oldest_wait_us >= WAIT_US_MIN) || late,
            false => pool.waiting.last > 0 && pool.oldest_wait_us >= WAIT_US_MIN,
        };
        let worked_off = pool.refused == 0 && drains(past.queue.iter());
        if !(full && hurt) || worked_off {
            past.burst_since_ms = None;
            continue;
        }
        if mild_burst(pool, past) {
            let since_ms = *past.burst_since_ms.get_or_insert(seen.now_ms);
            if seen.now_ms - since_ms < BURST_MS {
                continue;
            }
        }
        found.push(condition(pool));
    }
}

/// More is served than usual, and whoever comes now waits for a few seconds: a
/// burst, until it has lasted.
fn mild_burst(pool: &PoolSample, past: &PoolPast) -> bool {
    let mut usual: Vec<f64> = past
        .last(15)
        .map(|m| m.arrivals as f64 / m.span_s)
        .collect();
    usual.sort_by(f64::total_cmp);
    let served = pool.arrivals as f64;
    let wait_s = f64::from(pool.waiting.last) / served.max(0.1);
    let longest_s = wait_s.max(pool.oldest_wait_us as f64 / 1e6);
    let usual = super::maths::quantile(&usual, 0.5);
    usual > 0.0 && served > usual * BUSIER && longest_s < BURST_WAIT_S && pool.refused == 0
}

/// Of clients that may wait for minutes, half of that has passed.
fn late_batch(seen: &Seen<'_>, pool: &PoolSample, facts: &PoolFacts) -> bool {
    let mut rows = applications_of(seen.sample, pool)
        .filter(|a| a.waiting.last > 0)
        .filter_map(|a| seen.facts.deadline_ms(facts, &a.name))
        .peekable();
    let shortest = match rows.peek() {
        Some(_) => rows.min(),
        None => facts.deadline_ms,
    };
    shortest.is_some_and(|ms| pool.oldest_wait_us / 1_000 > ms / 2)
}

/// Fewer wait than a few seconds ago.
fn drains<'a>(queue: impl ExactSizeIterator<Item = &'a u32>) -> bool {
    let skip = queue.len().saturating_sub(6);
    let last: Vec<u32> = queue.skip(skip).copied().collect();
    let (Some(first), Some(now)) = (last.first(), last.last()) else {
        return false;
    };
    last.len() >= 6 && f64::from(*now) < f64::from(*first) * DRAINS
}

fn condition(pool: &PoolSample) -> Condition {
    let subject = subject_of(pool);
    let name = format!("{}/{}", subject.database, subject.user);
    let wait = Figure::new("oldest_wait", pool.oldest_wait_us as f64, Unit::Micros);
    let summary = format!(
        "All {} connections of {name} are lent and {} clients wait, the longest for {:.0} s",
        pool.size,
        pool.waiting.last,
        pool.oldest_wait_us as f64 / 1e6
    );
    let used = Figure::new("used", f64::from(pool.used.last), Unit::Count);
    let waiting = Figure::new("waiting", f64::from(pool.waiting.last), Unit::Count);
    Condition::new(AlertName::PoolExhausted, subject, summary)
        .lasting(FOR_MS, 30_000)
        .figure(used.of(&name).against("size", f64::from(pool.size)))
        .figure(waiting.of(&name))
        .figure(wait.of(&name))
        .figure(Figure::new("silent", f64::from(pool.silent), Unit::Count).of(&name))
        .figure(Figure::new("refused", pool.refused as f64, Unit::Count).of(&name))
        .step(
            "See what the cause is, and what it is not",
            "plimsoll diagnose",
        )
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollPoolExhausted",
        )
}
