//! What would other settings have done to the traffic that was recorded?
//!
//! A [`Shape`](events::shape::Shape) is played in virtual time before the very pools that serve
//! ([`pool::Upstream`]), once with the settings that held and once with others.
//! Clients that came back after each reply do so here (a closed loop, with their
//! own pauses and holds in their own order); clients that were seen once come
//! again as they came. How long a lease lasts follows the load at which it is
//! held, as the record shows it; where the record shows nothing, the run is
//! repeated with the kindest and the harshest plausible answer.
//!
//! Never more than the requests that [`Effort`] names are played. The same
//! shape, settings and effort give the same prediction.
//!
//! ```text
//!  Shape ─► windows by load ─► who asks, when, for how long ─┐
//!                                                            ▼
//!  old, new settings ──────────────────────► pool::Upstream in virtual time
//!                                                            ▼
//!               waits, refusals, use: old | new ─► fine, worse, inconclusive
//! ```

mod choice;
mod curve;
mod judge;
mod model;
mod stretch;
mod world;

pub use choice::{Choice, PoolChoice};
pub use judge::{Doubt, Harm, Verdict};
pub use pool::FlowRule as Rule;

use curve::Beyond;
use events::shape::ServerShape;
use judge::judge;
use model::Model;
use std::time::Duration;
use world::{Setting, Tally, play};

/// How much is played.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Requests, over all runs.
    pub requests: u64,
    /// Runs of each kind, with seeds of their own: their spread is the interval.
    pub runs: u32,
}

impl Default for Effort {
    /// About a second of one core.
    fn default() -> Effort {
        Effort {
            requests: 600_000,
            runs: 4,
        }
    }
}

/// Requests of one run, at least and at most.
const RUN_REQUESTS: (u64, u64) = (2_000, 60_000);
/// Opening a connection takes so long where none was seen being opened.
const OPEN: Duration = Duration::from_millis(3);
/// From this share of leases at a load without a record on, what the server
/// would do is a question.
const BEYOND_SHARE: f64 = 0.1;

/// A figure with the interval in which it is expected.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Ranged {
    /// The figure.
    pub value: f64,
    /// Not less than this…
    pub low: f64,
    /// …and not more than this.
    pub high: f64,
}

/// Figures of a pool.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Figures {
    /// Half of the clients wait no longer, milliseconds.
    pub wait_p50_ms: Ranged,
    /// 99 of 100 clients wait no longer, milliseconds.
    pub wait_p99_ms: Ranged,
    /// Share of the requests that are refused, timeouts included.
    pub refused: Ranged,
    /// Share of the pool's connections that are lent.
    pub used: Ranged,
    /// Leases that end, per second.
    pub rate: Ranged,
}

/// What was measured of a pool.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Recorded {
    /// Requests in the record.
    pub requests: u64,
    /// Time in which they came, seconds.
    pub seconds: f64,
    /// Milliseconds.
    pub wait_p50_ms: f64,
    /// Milliseconds.
    pub wait_p99_ms: f64,
    /// Share of the requests that were refused.
    pub refused: f64,
    /// Share of the requests that found the pool at its limit.
    pub exhausted: f64,
    /// Most connections that were lent at once.
    pub in_use_max: u32,
    /// 95 of 100 clients waited no longer, milliseconds: as measured, and in the
    /// replay of the settings that held. How well the replay fits.
    pub wait_p95_ms: (f64, f64),
}

/// A pool under one load.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Part {
    /// Share of the recorded time.
    pub share: f64,
    /// As measured.
    pub recorded: Recorded,
    /// With the settings that held.
    pub old: Figures,
    /// With the others.
    pub new: Figures,
    /// Most connections lent at once, in the replay of the settings that held and
    /// with the others.
    pub in_use_max: (u32, u32),
    /// With the others it would run at loads at which it was not recorded: the
    /// intervals span what is plausible there.
    pub unknown: bool,
}

/// What a change of settings does to one pool.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolPrediction {
    /// The name that clients use.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// By load, the quietest first: the last is what counts most.
    pub parts: Vec<Part>,
    /// What follows.
    pub verdict: Verdict,
}

/// Plays a server's record with both settings.
pub fn predict(
    server: &ServerShape,
    old: &Choice,
    new: &Choice,
    effort: &Effort,
) -> Vec<PoolPrediction> {
    let model = Model::new(server);
    let mut parts: Vec<Vec<Part>> = vec![Vec::new(); server.pools.len()];
    let levels = model.levels.len().max(1) as u64;
    for at in 0..model.levels.len() {
        let runs = effort.runs.max(2);
        // Two settings, and perhaps two more views of what is not known.
        let requests = effort.requests / levels / u64::from(runs) / 4;
        let stage = Stage {
            server,
            model: &model,
            at,
            runs,
            requests: requests.clamp(RUN_REQUESTS.0, RUN_REQUESTS.1),
        };
        let before = stage.play(old);
        let after = stage.play(new);
        for (pool, parts) in parts.iter_mut().enumerate() {
            parts.extend(stage.part(pool, &before, &after, old, new));
        }
    }
    let shapes = server.pools.iter().zip(parts).enumerate();
    shapes
        .map(|(at, (shape, parts))| PoolPrediction {
            database: shape.database.clone(),
            user: shape.user.clone(),
            // Where nothing changes, nothing becomes worse, however well it is known.
            verdict: match old == new {
                true => Verdict::Fine,
                false => judge(
                    &parts,
                    old.pools.get(at).and_then(Option::as_ref),
                    new.pools.get(at).and_then(Option::as_ref),
                    model.curves.get(at).map_or(0, |curve| curve.leases),
                ),
            },
            parts,
        })
        .collect()
}

/// Runs of one setting, by view: each a list of tallies by pool.
struct Played(Vec<(Beyond, Vec<Vec<Tally>>)>);

struct Stage<'a> {
    server: &'a ServerShape,
    model: &'a Model,
    at: usize,
    runs: u32,
    requests: u64,
}

impl Stage<'_> {
    fn play(&self, choice: &Choice) -> Played {
        let guess = self.view(choice, Beyond::Guess);
        let of = |f: fn(&Tally) -> u64| guess.iter().flatten().map(f).sum::<u64>() as f64;
        let unknown = of(|t| t.beyond) / of(|t| t.waits.len() as u64).max(1.0);
        let mut played = Played(vec![(Beyond::Guess, guess)]);
        if unknown > BEYOND_SHARE {
            for beyond in [Beyond::Kind, Beyond::Harsh] {
                played.0.push((beyond, self.view(choice, beyond)));
            }
        }
        played
    }

    fn view(&self, choice: &Choice, beyond: Beyond) -> Vec<Vec<Tally>> {
        let Some(level) = self.model.levels.get(self.at) else {
            return Vec::new();
        };
        let open = match self.server.open_us {
            0 => OPEN,
            us => Duration::from_micros(us.into()),
        };
        (0..self.runs)
            .map(|run| {
                play(&Setting {
                    model: self.model,
                    level,
                    server: self.server,
                    choice,
                    open,
                    beyond,
                    // The same clients with both settings, other ones in each run.
                    seed: u64::from(run) + 1,
                    requests: self.requests,
                })
            })
            .collect()
    }

    /// A pool's figures at this level; `None` where nobody came.
    fn part(
        &self,
        pool: usize,
        before: &Played,
        after: &Played,
        old: &Choice,
        new: &Choice,
    ) -> Option<Part> {
        let level = self.model.levels.get(self.at)?;
        let seen = level.seen.get(pool).filter(|seen| seen.requests() > 0)?;
        let requests = seen.requests() as f64;
        let guess = before.0.first().map(|(_, runs)| runs.as_slice());
        let runs = guess.unwrap_or_default().iter();
        let p95: Vec<f64> = runs
            .filter_map(|run| run.get(pool))
            .map(|t| quantile_ms(&t.waits, 0.95))
            .collect();
        let replayed = spread(&p95).value;
        let most = |played: &Played| {
            let runs = played.0.iter().flat_map(|(_, runs)| runs);
            let tallies = runs.filter_map(|run| run.get(pool));
            tallies.map(|t| t.in_use_max).max().unwrap_or(0)
        };
        Some(Part {
            share: level.weight,
            recorded: Recorded {
                requests: seen.requests(),
                seconds: seen.span_us as f64 / 1e6,
                wait_p50_ms: quantile_ms(&seen.waits, 0.5),
                wait_p99_ms: quantile_ms(&seen.waits, 0.99),
                refused: seen.refused as f64 / requests,
                exhausted: seen.exhausted as f64 / requests,
                in_use_max: seen.in_use_max,
                wait_p95_ms: match seen.waits_now.is_empty() {
                    true => (replayed, replayed),
                    false => (quantile_ms(&seen.waits_now, 0.95), replayed),
                },
            },
            old: figures(before, pool, old),
            new: figures(after, pool, new),
            in_use_max: (most(before), most(after)),
            unknown: after.0.len() > 1,
        })
    }
}

fn figures(played: &Played, pool: usize, choice: &Choice) -> Figures {
    let of = choice.pools.get(pool).and_then(Option::as_ref);
    let size = of.map_or(1, |c| (c.size + c.reserve).min(choice.line));
    let deadline = of.and_then(|c| c.wait_timeout);
    let ranged = |f: &dyn Fn(&Tally) -> f64| {
        let mut ranged: Option<Ranged> = None;
        for (beyond, runs) in &played.0 {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.get(pool)).map(f).collect();
            let of_view = spread(&values);
            ranged = Some(match ranged {
                None => of_view,
                Some(r) => Ranged {
                    value: match beyond {
                        Beyond::Guess => of_view.value,
                        _ => r.value,
                    },
                    low: r.low.min(of_view.low),
                    high: r.high.max(of_view.high),
                },
            });
        }
        ranged.unwrap_or_default()
    };
    Figures {
        wait_p50_ms: ranged(&|t| wait_ms(t, 0.5, deadline)),
        wait_p99_ms: ranged(&|t| wait_ms(t, 0.99, deadline)),
        refused: ranged(&|t| t.refused as f64 / (t.waits.len() as u64 + t.refused).max(1) as f64),
        used: ranged(&|t| t.lent_us / (t.span_us.max(1) as f64 * f64::from(size.max(1)))),
        rate: ranged(&|t| t.returned as f64 / (t.span_us.max(1) as f64 / 1e6)),
    }
}

/// A wait; where the queue only grows, what it grows to.
fn wait_ms(tally: &Tally, q: f64, deadline: Option<Duration>) -> f64 {
    let seen = quantile_ms(&tally.waits, q);
    match (tally.overrun, deadline) {
        (false, _) => seen,
        (true, Some(deadline)) => seen.max(deadline.as_secs_f64() * 1000.0),
        (true, None) => seen.max(3_600_000.0),
    }
}

fn quantile_ms(sorted_us: &[u32], q: f64) -> f64 {
    let at = (q * sorted_us.len() as f64) as usize;
    let at = at.min(sorted_us.len().saturating_sub(1));
    sorted_us.get(at).map_or(0.0, |us| f64::from(*us) / 1000.0)
}

/// Mean, and where a further run is expected with 95 %.
fn spread(values: &[f64]) -> Ranged {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
    // Student's t for so many runs, about.
    let t = match values.len() {
        0..=2 => 12.7,
        3 => 4.3,
        4 => 3.2,
        5..=6 => 2.7,
        _ => 2.3,
    };
    let off = t * deviation / n.sqrt();
    Ranged {
        value: mean,
        low: (mean - off).max(0.0),
        high: mean + off,
    }
}

#[cfg(test)]
#[path = "predict/tests.rs"]
mod tests;
