//! Waits are beyond the objective, by burn rates over several windows.
//!
//! A burn rate of 1 spends the whole allowance (1 − target) evenly. Three pairs
//! of a long and a short window, as in the SRE workbook, chapter 5: 14.4 over an
//! hour and 5 minutes, 6 over 6 hours and 30 minutes, 1 over 3 days and 6 hours.
//! The long one says that it matters, the short one that it still goes on.

use super::engine::{Condition, Seen, subject_of};
use super::past::{HOURS, MINUTES, Minute, Past, PoolPast};
use super::{AlertName, Severity};
use crate::{Figure, Unit};
use events::sample::PoolSample;

/// A pair of windows, in minutes.
#[derive(Clone, Copy)]
struct Pair {
    rate: f64,
    long: usize,
    short: usize,
    /// Minutes of the short window that must have late waits: one burst, however
    /// large, is no objective missed.
    minutes: usize,
    severity: Severity,
}

const PAIRS: [Pair; 3] = [
    Pair {
        rate: 14.4,
        long: 60,
        short: 5,
        minutes: 4,
        severity: Severity::Critical,
    },
    Pair {
        rate: 6.0,
        long: 360,
        short: 30,
        minutes: 8,
        severity: Severity::Error,
    },
    Pair {
        rate: 1.0,
        long: 4_320,
        short: 360,
        minutes: 36,
        severity: Severity::Warning,
    },
];
/// A minute counts as late from this burn rate.
const MINUTE_RATE: f64 = 1.0;
/// Fewer late waits in the long window are no objective missed.
const LATE_MIN: u64 = 50;

/// A pair of windows that burns too fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Burn {
    pub rate: f64,
    pub line: f64,
    pub window: usize,
    pub severity: Severity,
}

pub(super) fn look(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    for (pool, _) in seen.pools() {
        let key = (pool.database.to_string(), pool.user.to_string());
        let Some(past) = past.pools.get_mut(&key) else {
            continue;
        };
        if seen.minute {
            let allowed = (1.0 - seen.settings.wait_target).max(1e-6);
            past.burn = PAIRS.iter().find_map(|pair| burn(past, allowed, *pair));
        }
        if let Some(burn) = &past.burn {
            found.push(condition(pool, burn, seen));
        }
    }
}

fn burn(past: &PoolPast, allowed: f64, pair: Pair) -> Option<Burn> {
    let (rate, late) = rate(past, pair.long, allowed);
    let (now, _) = self::rate(past, pair.short, allowed);
    let bad = |m: &&Minute| m.beyond as f64 > m.waits as f64 * allowed * MINUTE_RATE;
    let minutes = past.last(pair.short).filter(bad).count();
    let burns = rate >= pair.rate && now >= pair.rate;
    (burns && late >= LATE_MIN && minutes >= pair.minutes).then_some(Burn {
        rate,
        line: pair.rate,
        window: pair.long,
        severity: pair.severity,
    })
}

/// The burn rate of a window, and how many waits were late. Where the past is
/// shorter than the window, the rest is taken to be without late waits and with
/// as much traffic: a bad minute after a start is no bad hour.
fn rate(past: &PoolPast, window: usize, allowed: f64) -> (f64, u64) {
    let known = past.minutes.len();
    let (waits, late, of) = if window <= MINUTES {
        let (waits, late) = past
            .last(window)
            .fold((0, 0), |(n, late), m| (n + m.waits, late + m.beyond));
        (waits, late, known.min(window))
    } else {
        let hours = (window / 60).min(HOURS);
        let skip = past.hours.len().saturating_sub(hours);
        let last = past.hours.iter().skip(skip);
        let (waits, late) = last.fold((0, 0), |(n, l), (waits, late)| (n + waits, l + late));
        (waits, late, (past.hours.len() - skip) * 60)
    };
    if waits == 0 || of == 0 {
        return (0.0, 0);
    }
    let whole = waits as f64 * window as f64 / of as f64;
    (late as f64 / whole / allowed, late)
}

fn condition(pool: &PoolSample, burn: &Burn, seen: &Seen<'_>) -> Condition {
    let subject = subject_of(pool);
    let name = format!("{}/{}", subject.database, subject.user);
    let objective_ms = seen.settings.wait_objective_ms;
    let summary = format!(
        "Clients of {name} wait beyond {objective_ms} ms: the allowance burns {:.1} times too fast over {}",
        burn.rate,
        match burn.window {
            60 => "an hour",
            360 => "6 hours",
            _ => "3 days",
        }
    );
    let rate = Figure::new("burn_rate", burn.rate, Unit::Times).of(&name);
    let mut condition = Condition::new(AlertName::WaitObjective, subject, summary)
        .lasting(0, seen.minutes(5))
        .figure(rate.against("line", burn.line))
        .figure(Figure::new("wait_p99", pool.wait.p99_us as f64, Unit::Micros).of(&name))
        .step("See what clients wait for", "plimsoll diagnose")
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollWaitObjective",
        );
    condition.severity = burn.severity;
    condition
}
