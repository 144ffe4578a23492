//! A pool will be full: at the slope of a leak, or of growth.
//!
//! A leak raises the floor, the fewest connections held at any time of a
//! minute, and what raises it stays silent or is never returned. Growth raises
//! the connections in use (by Little's law: arrivals times holds). Slopes are
//! medians over minutes, so bursts, deploys and cron jobs do not bend them.
//! Batches (clients that may wait for minutes) are left out. The morning is no
//! growth until it would fill the pool within 20 minutes.

use super::engine::{Condition, Seen, subject_of};
use super::maths::{Trend, trend};
use super::past::{Minute, Past, PoolPast};
use super::{AlertName, Forecast};
use crate::{Figure, Unit};
use events::sample::PoolSample;

/// Minutes looked at for a leak, and the minutes that are one point: a fast leak
/// shows in the short ones, a slow one in the long ones.
const LEAK_WINDOWS: [(usize, usize); 7] = [
    (8, 1),
    (15, 1),
    (30, 1),
    (60, 2),
    (120, 4),
    (240, 8),
    (360, 10),
];
/// Minutes looked at for growth.
const GROWTH_WINDOWS: [(usize, usize); 4] = [(15, 1), (30, 1), (60, 1), (180, 3)];
/// A leak is told when the pool would be full within so many minutes.
const LEAK_HORIZON: f64 = 60.0;
/// Growth: the tops of ordinary days are nearer than those of leaks.
const GROWTH_HORIZON: f64 = 20.0;
/// Growth is not told below this share of the pool.
const GROWTH_LEVEL: f64 = 0.7;
/// A floor must have risen by so many connections, and by this share of the pool.
const RISE_MIN: f64 = 3.0;
/// What is silent and has been held ever since is surer: so many are enough.
const RISE_MIN_SILENT: f64 = 2.0;
/// Connections in use are a mean, not a count: growth may be less.
const RISE_MIN_GROWTH: f64 = 1.0;
const RISE_SHARE: f64 = 0.1;
/// Standard deviations of the direction.
const SURE_MIN: f64 = 3.0;

/// When a pool will be full, as the last whole minutes say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlook {
    pub leak: bool,
    /// Minutes left, at the median slope and at the steepest.
    pub left: f64,
    pub left_least: f64,
    /// Connections more in a minute.
    pub slope: f64,
    pub level: f64,
}

pub(super) fn look(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    for (pool, facts) in seen.pools() {
        let key = (pool.database.to_string(), pool.user.to_string());
        let Some(past) = past.pools.get_mut(&key) else {
            continue;
        };
        if seen.minute {
            let limit = f64::from(facts.ceiling.map_or(pool.size, |c| c.max(pool.size)));
            past.outlook = match facts.session {
                // Sessions come and go with people, not with load.
                true => leak(past, limit, seen.minutes(1)),
                false => leak(past, limit, seen.minutes(1)).or_else(|| growth(past, limit)),
            };
        }
        if let Some(outlook) = &past.outlook {
            found.push(condition(pool, outlook, seen));
        }
    }
}

fn leak(past: &PoolPast, limit: f64, minute_ms: i64) -> Option<Outlook> {
    let mut worst: Option<Outlook> = None;
    for (window, step) in LEAK_WINDOWS {
        // A window that is not full yet would say the same as a shorter one.
        if past.minutes.len() < window {
            break;
        }
        let minutes: Vec<&Minute> = past.last(window).collect();
        let Some(line) = floors(&minutes, step, limit, minute_ms)
            .or_else(|| silent(&minutes, step, limit, minute_ms))
        else {
            continue;
        };
        let level = level(&minutes);
        let outlook = Outlook::new(true, &line, step as f64, level, limit);
        if worst.is_none_or(|w| outlook.left < w.left) {
            worst = Some(outlook);
        }
    }
    worst.filter(|w| w.left <= LEAK_HORIZON)
}

/// The floor rises, and what raised it is silent or has been held ever since.
fn floors(minutes: &[&Minute], step: usize, limit: f64, minute_ms: i64) -> Option<Trend> {
    let points = least_of(minutes, step, |m| f64::from(m.floor));
    let line = trend(&points)?;
    let rise = rise(&line, &points);
    if line.sure < SURE_MIN || rise < RISE_MIN.max(limit * RISE_SHARE) {
        return None;
    }
    let rises = |points: &[f64]| trend(points).map_or(0.0, |t| self::rise(&t, points));
    let silent = least_of(minutes, step, |m| f64::from(m.silent));
    let kept = least_of(minutes, step, |m| m.used - m.returned);
    let raised = rises(&silent) >= rise * 0.5
        || (held_since(minutes, minute_ms) && rises(&kept) >= rise * 0.6);
    raised.then_some(line)
}

/// Silent leases rise, and the oldest has been held ever since: in a small or
/// quiet pool the floor says less.
fn silent(minutes: &[&Minute], step: usize, limit: f64, minute_ms: i64) -> Option<Trend> {
    let points = least_of(minutes, step, |m| f64::from(m.silent));
    let line = trend(&points)?;
    let enough = rise(&line, &points) >= RISE_MIN_SILENT.max(limit * RISE_SHARE);
    (line.sure >= SURE_MIN && enough && held_since(minutes, minute_ms)).then_some(line)
}

fn rise(line: &Trend, points: &[f64]) -> f64 {
    line.slope * points.len().saturating_sub(1) as f64
}

/// The oldest lease is about as old as the window.
fn held_since(minutes: &[&Minute], minute_ms: i64) -> bool {
    let held_us = minutes.last().map_or(0, |m| m.oldest_hold_us);
    let window_us = (minutes.len() as i64 * minute_ms) as f64 * 1_000.0;
    held_us as f64 >= window_us * 0.6
}

/// Demand grows steadily, and fills the pool soon.
fn growth(past: &PoolPast, limit: f64) -> Option<Outlook> {
    for (window, step) in GROWTH_WINDOWS {
        if past.minutes.len() < window {
            break;
        }
        let minutes: Vec<&Minute> = past.last(window).collect();
        let used: Vec<f64> = minutes.iter().map(|m| m.used).collect();
        let points: Vec<f64> = used
            .chunks(step)
            .map(|part| part.iter().sum::<f64>() / part.len() as f64)
            .collect();
        let Some(line) = trend(&points) else { continue };
        let enough = rise(&line, &points) >= RISE_MIN_GROWTH.max(limit * RISE_SHARE);
        let steady = line.sure >= SURE_MIN && enough;
        let outlook = Outlook::new(false, &line, step as f64, line.now, limit);
        let near = outlook.left <= GROWTH_HORIZON && line.now >= limit * GROWTH_LEVEL;
        // A few minutes of a burst are no growth: the newest minutes must agree.
        let newest = used.iter().rev().take(3).copied().fold(f64::MAX, f64::min);
        if steady && near && newest >= limit * (GROWTH_LEVEL - 0.05) {
            return Some(outlook);
        }
    }
    None
}

/// The least of each `step` minutes.
fn least_of(minutes: &[&Minute], step: usize, of: impl Fn(&Minute) -> f64) -> Vec<f64> {
    let least = |part: &[&Minute]| part.iter().map(|m| of(m)).fold(f64::MAX, f64::min);
    minutes.chunks(step.max(1)).map(least).collect()
}

/// What is in use now: the median of the last five minutes.
fn level(minutes: &[&Minute]) -> f64 {
    let mut last: Vec<f64> = minutes.iter().rev().take(5).map(|m| m.used).collect();
    last.sort_by(f64::total_cmp);
    super::maths::quantile(&last, 0.5)
}

impl Outlook {
    fn new(leak: bool, line: &Trend, step: f64, level: f64, limit: f64) -> Outlook {
        let room = (limit - level).max(0.0);
        let left = |slope: f64| match slope > 0.0 {
            true => room * step / slope,
            false => f64::MAX,
        };
        Outlook {
            leak,
            left: left(line.slope),
            left_least: left(line.slope_high.max(line.slope)),
            slope: line.slope / step,
            level,
        }
    }
}

fn condition(pool: &PoolSample, outlook: &Outlook, seen: &Seen<'_>) -> Condition {
    let subject = subject_of(pool);
    let name = format!("{}/{}", subject.database, subject.user);
    let minute_s = seen.settings.minute_ms as f64 / 1e3;
    let (kind, why) = match outlook.leak {
        true => ("leak", "connections are not given back"),
        false => ("growth", "demand grows"),
    };
    let summary = format!(
        "{name} will be full in about {:.0} min: {why} ({:.0} of {} in use, {:+.1} an hour)",
        outlook.left,
        outlook.level,
        pool.size,
        outlook.slope * 60.0
    );
    let left = Figure::new("full_in", outlook.left * minute_s, Unit::Seconds)
        .of(&name)
        .against("at the earliest", outlook.left_least * minute_s);
    let used = Figure::new("used", outlook.level, Unit::Count).of(&name);
    let mut condition = Condition::new(AlertName::PoolExhaustionForecast, subject, summary)
        .lasting(0, seen.minutes(10))
        .figure(left)
        .figure(used.against("size", f64::from(pool.size)))
        .figure(Figure::new("slope_per_hour", outlook.slope * 60.0, Unit::Count).of(&name))
        .figure(Figure::new("silent", f64::from(pool.silent), Unit::Count).of(&name));
    if let Some(hold_us) = pool.hold.mean_us() {
        condition = condition.figure(Figure::new("hold_mean", hold_us, Unit::Micros).of(&name));
    }
    condition.forecast = Some(Forecast {
        left_s: outlook.left * minute_s,
        slope_per_hour: outlook.slope * 60.0,
        kind: kind.to_owned(),
    });
    let condition = match outlook.leak {
        true => condition.step(
            "See who holds connections and is silent",
            "plimsoll diagnose",
        ),
        false => condition.step(
            "See how many connections the demand needs",
            "plimsoll diagnose",
        ),
    };
    condition.step(
        "Follow the steps for this alert",
        "plimsoll playbook PlimsollPoolExhaustionForecast",
    )
}
