//! The troubles, each with a seed, and how long before or after the harm the
//! right alert came.

use super::rng::Rng;
use super::world::{DAY, Pool, World, daylight};
use diagnose::alert::{AlertName, AlertSettings, AlertState, Alerts};

/// An alert of a healthy day: a false one.
pub struct False {
    pub at: String,
    pub name: &'static str,
    pub summary: String,
}

/// What came of one seed.
pub struct Lead {
    /// Seconds from the beginning of the trouble to the alert; `None`: none came.
    pub after_s: Option<f64>,
    pub seed: u64,
    /// Seconds from the alert to the first refusal; `None`: nobody was refused.
    pub before_s: Option<f64>,
}

/// What is promised of a case.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Told within so many seconds.
    Within(f64),
    /// Told so many seconds before the first refusal.
    Before(f64),
}

pub type Case = fn(u64) -> Option<Lead>;

/// Every trouble.
pub const ALL: &[(&str, Case, Bound)] = &[
    (
        "exhaustion by a step (the limit is cut)",
        step_limit,
        Bound::Within(10.0),
    ),
    (
        "exhaustion by a step (all connections held)",
        step_held,
        Bound::Within(10.0),
    ),
    (
        "exhaustion by a surge (2.5 times what it can serve)",
        surge,
        Bound::Within(10.0),
    ),
    ("slow leak", leak, Bound::Before(600.0)),
    ("growth", growth, Bound::Before(600.0)),
    ("limit upstream (busy)", upstream_busy, Bound::Within(90.0)),
    (
        "limit upstream (silent)",
        upstream_silent,
        Bound::Within(90.0),
    ),
    (
        "one wait in twenty beyond the objective",
        objective,
        Bound::Within(1_200.0),
    ),
    ("server away", server_away, Bound::Within(15.0)),
    ("line taken by others", squeezed, Bound::Within(30.0)),
];

/// One seed of a trouble.
pub fn of(case: Case, seed: u64) -> Option<Lead> {
    let lead = case(seed)?;
    Some(Lead { seed, ..lead })
}

/// Healthy days: every alert is false.
pub fn healthy(seed: u64, days: u64) -> Vec<False> {
    let mut world = World::site(seed);
    let mut alerts = Alerts::new(AlertSettings::default());
    let mut found = Vec::new();
    while world.second < days * DAY {
        let sample = world.step();
        if world.restarted {
            alerts = Alerts::new(AlertSettings::default());
        }
        for alert in alerts.look(&sample, &world.facts(), world.at_ms()) {
            if alert.state == AlertState::Firing {
                let (day, rest) = (world.second / DAY, world.second % DAY);
                let at = format!(
                    "day {day} {:02}:{:02}:{:02}",
                    rest / 3_600,
                    rest / 60 % 60,
                    rest % 60
                );
                let (name, summary) = (alert.name.label(), alert.summary);
                found.push(False { at, name, summary });
            }
        }
    }
    found
}

/// Runs until the alert came and somebody was refused, or the time is over.
fn run(
    mut world: World,
    (warm, most): (u64, u64),
    wanted: &[AlertName],
    mut trouble: impl FnMut(&mut World, u64),
) -> Option<Lead> {
    let mut alerts = Alerts::new(AlertSettings::default());
    let start = world.second;
    let (mut told, mut refused) = (None, None);
    while world.second < start + warm + most {
        let into = (world.second - start).saturating_sub(warm);
        if world.second >= start + warm {
            trouble(&mut world, into);
        }
        let sample = world.step();
        for alert in alerts.look(&sample, &world.facts(), world.at_ms()) {
            let right = wanted.contains(&alert.name) && alert.state == AlertState::Firing;
            // What fires before the trouble is wrong, not early.
            if right && world.second > start + warm {
                told.get_or_insert(into);
            }
        }
        if into > 0 && world.pools.iter().any(|p| p.refused > 0.0) {
            refused.get_or_insert(into);
        }
        if told.is_some() && refused.is_some() {
            break;
        }
    }
    let before = |told: u64| refused.map(|at: u64| at as f64 - told as f64);
    Some(Lead {
        seed: 0,
        after_s: told.map(|t| t as f64),
        before_s: told.and_then(before),
    })
}

/// One pool at some hour of the day.
fn one(seed: u64) -> (World, Rng) {
    let mut rng = Rng::new(seed ^ 0x57E9);
    let size = rng.within(10.0, 60.0).round();
    let hold = 10f64.powf(rng.within(-2.5, -0.7));
    let load = rng.within(0.2, 0.55) * size;
    let mut pool = Pool::new("shop", size, load / hold, hold);
    pool.night = rng.within(0.6, 1.0);
    let mut world = World::new(seed, vec![pool]);
    world.second = (rng.share() * 20.0) as u64 * 3_600;
    world.events = false;
    (world, rng)
}

fn step_limit(seed: u64) -> Option<Lead> {
    let (world, _) = one(seed);
    run(
        world,
        (900, 120),
        &[AlertName::PoolExhausted],
        |world, into| {
            if let (0, Some(pool)) = (into, world.pools.first_mut()) {
                pool.size = (pool.size * 0.1).max(1.0).floor();
            }
        },
    )
}

fn step_held(seed: u64) -> Option<Lead> {
    let (world, _) = one(seed);
    run(
        world,
        (900, 120),
        &[AlertName::PoolExhausted],
        |world, _| {
            if let Some(pool) = world.pools.first_mut() {
                pool.leaked = pool.size;
            }
        },
    )
}

fn surge(seed: u64) -> Option<Lead> {
    let (world, _) = one(seed);
    run(
        world,
        (900, 120),
        &[AlertName::PoolExhausted],
        |world, _| {
            if let Some(pool) = world.pools.first_mut() {
                // Two and a half times what it can serve, whatever it had before.
                let load = pool.rate * pool.hold * daylight(world.second, pool.night);
                pool.growth = 2.5 * pool.size / load;
            }
        },
    )
}

/// The rest of the pool is leaked within 25 minutes to 8 hours.
fn leak(seed: u64) -> Option<Lead> {
    let (world, mut rng) = one(seed);
    let long = rng.within(25.0, 480.0) * 60.0;
    let names = [AlertName::PoolExhaustionForecast, AlertName::Leak];
    run(
        world,
        (3_600, (long * 1.3) as u64),
        &names,
        |world, into| {
            if let Some(pool) = world.pools.first_mut() {
                pool.leaked = (pool.size * into as f64 / long).min(pool.size);
            }
        },
    )
}

/// Traffic grows to 130 % of what the pool can serve within 1 to 6 hours.
fn growth(seed: u64) -> Option<Lead> {
    let (mut world, mut rng) = one(seed);
    let long = rng.within(60.0, 360.0) * 60.0;
    if let Some(pool) = world.pools.first_mut() {
        pool.night = 1.0;
    }
    let names = [AlertName::PoolExhaustionForecast];
    run(
        world,
        (3_600, (long * 1.2) as u64),
        &names,
        |world, into| {
            if let Some(pool) = world.pools.first_mut() {
                let top = pool.size * 1.3 / (pool.rate * pool.hold);
                pool.growth = 1.0 + (top - 1.0) * (into as f64 / long).min(1.0);
            }
        },
    )
}

fn upstream(seed: u64, kind: u8) -> Option<Lead> {
    let (mut world, _) = one(seed);
    if let Some(pool) = world.pools.first_mut() {
        // The application has 40 connections; the pool has room for more.
        pool.size = 60.0;
        pool.rate = 9.0 / pool.hold;
    }
    run(
        world,
        (3_600, 300),
        &[AlertName::LimitUpstream],
        |world, _| {
            if let Some(pool) = world.pools.first_mut() {
                pool.upstream = Some((40.0, kind));
            }
        },
    )
}

/// One in twenty waits too long, in a pool that is never full.
fn objective(seed: u64) -> Option<Lead> {
    let (world, _) = one(seed);
    run(
        world,
        (4 * 3_600, 1_800),
        &[AlertName::WaitObjective],
        |world, _| {
            if let Some(pool) = world.pools.first_mut() {
                pool.late = 0.05;
            }
        },
    )
}

fn upstream_busy(seed: u64) -> Option<Lead> {
    upstream(seed, 1)
}

fn upstream_silent(seed: u64) -> Option<Lead> {
    upstream(seed, 2)
}

fn server_away(seed: u64) -> Option<Lead> {
    let (world, _) = one(seed);
    run(
        world,
        (600, 120),
        &[AlertName::ServerRefusing],
        |world, _| world.down = 2.0,
    )
}

/// Others take the server: the line falls below what the pool uses.
fn squeezed(seed: u64) -> Option<Lead> {
    let (mut world, _) = one(seed);
    if let Some(pool) = world.pools.first_mut() {
        pool.size = 60.0;
        pool.rate = 30.0 / pool.hold;
        pool.night = 1.0;
    }
    run(
        world,
        (600, 120),
        &[AlertName::BudgetSqueezed],
        |world, _| {
            (world.line, world.others) = (12.0, 80.0);
            world.squeeze();
        },
    )
}

/// How the seeds fared against the bound.
pub struct Summary {
    pub seeds: usize,
    pub missed: usize,
    text: String,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

pub fn summary(leads: &[Lead], bound: Bound) -> Summary {
    let kept = |lead: &&Lead| match bound {
        Bound::Within(most) => lead.after_s.is_some_and(|s| s <= most),
        // Nobody was refused: early enough.
        Bound::Before(least) => lead.after_s.is_some() && lead.before_s.is_none_or(|s| s >= least),
    };
    let seeds = leads.len();
    let bad: Vec<u64> = leads.iter().filter(|l| !kept(l)).map(|l| l.seed).collect();
    let missed = bad.len();
    let (what, mut values): (&str, Vec<f64>) = match bound {
        Bound::Within(_) => (
            "s after it began",
            leads.iter().filter_map(|l| l.after_s).collect(),
        ),
        Bound::Before(_) => (
            "s before the first refusal",
            leads.iter().filter_map(|l| l.before_s).collect(),
        ),
    };
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let at = (values.len().saturating_sub(1) as f64 * share).round() as usize;
        values.get(at).copied().unwrap_or(f64::NAN)
    };
    let text = format!(
        "{seeds} seeds, {missed} missed {bad:?}; told {what}: least {:.0}, median {:.0}, most {:.0}",
        at(0.0),
        at(0.5),
        at(1.0)
    );
    Summary {
        seeds,
        missed,
        text,
    }
}
