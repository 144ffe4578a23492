//! A pool is below what its demand needs.
//!
//! Needs both: by the model (Erlang C over the peaks of an hour) fewer waits
//! would be within the objective than the target asks for, and clients did wait
//! beyond it in a fifth of the hour's minutes. Batches do not count.

use super::AlertName;
use super::engine::{Condition, Seen, subject_of};
use super::maths::{needed, quantile};
use super::past::{Past, PoolPast};
use crate::{Figure, Unit};
use events::sample::PoolSample;

/// Minutes looked at.
const WINDOW: usize = 60;
/// Of these, so many had more waits beyond the objective than [`SHARE`].
const MINUTES_MIN: usize = 12;
/// A minute counts when this share of its waits was beyond the objective.
const SHARE: f64 = 0.01;
/// Most that is ever proposed.
const NEED_MAX: u32 = 2_000;

/// What the last hour's peaks need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Need {
    pub load: f64,
    pub needed: u32,
    pub minutes: usize,
}

pub(super) fn look(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    for (pool, facts) in seen.pools() {
        let key = (pool.database.to_string(), pool.user.to_string());
        let Some(past) = past.pools.get_mut(&key) else {
            continue;
        };
        if seen.minute {
            let objective_s = seen.settings.wait_objective_ms as f64 / 1e3;
            let limit = facts.ceiling.map_or(pool.size, |c| c.max(pool.size));
            past.need = match facts.session {
                true => None,
                false => need(past, limit, objective_s),
            };
        }
        if let Some(need) = &past.need {
            found.push(condition(pool, need, seen));
        }
    }
}

fn need(past: &PoolPast, limit: u32, objective_s: f64) -> Option<Need> {
    if past.minutes.len() < WINDOW / 2 {
        return None;
    }
    let late = |m: &&super::past::Minute| m.beyond as f64 > m.waits as f64 * SHARE && m.beyond >= 5;
    let minutes = past.last(WINDOW).filter(late).count();
    if minutes < MINUTES_MIN {
        return None;
    }
    let mut loads: Vec<f64> = past.last(WINDOW).map(|m| m.used).collect();
    loads.sort_by(f64::total_cmp);
    let load = quantile(&loads, 0.95);
    let sums = past
        .last(WINDOW)
        .fold((0, 0), |(us, n), m| (us + m.hold_us, n + m.holds));
    let hold_s = (sums.0 as f64 / sums.1.max(1) as f64 / 1e6).max(1e-4);
    let needed = needed(load, objective_s / hold_s, SHARE, NEED_MAX);
    (needed > limit).then_some(Need {
        load,
        needed,
        minutes,
    })
}

fn condition(pool: &PoolSample, need: &Need, seen: &Seen<'_>) -> Condition {
    let subject = subject_of(pool);
    let name = format!("{}/{}", subject.database, subject.user);
    let summary = format!(
        "{name} has {} connections, its peaks need {}: in {} of the last {WINDOW} minutes clients waited beyond {} ms",
        pool.size, need.needed, need.minutes, seen.settings.wait_objective_ms
    );
    let size = Figure::new("size", f64::from(pool.size), Unit::Count).of(&name);
    Condition::new(AlertName::PoolTooSmall, subject, summary)
        .lasting(seen.minutes(5), seen.minutes(15))
        .figure(size.against("needed", f64::from(need.needed)))
        .figure(Figure::new("demand", need.load, Unit::Count).of(&name))
        .figure(Figure::new("minutes_beyond", need.minutes as f64, Unit::Count).of(&name))
        .step("Compute the size with its reasoning", "plimsoll size")
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollPoolTooSmall",
        )
}
