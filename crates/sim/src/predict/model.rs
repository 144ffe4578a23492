//! From recorded windows to something that can be played: who asks when, for how
//! long, and how that depends on how many are served at once.

use super::curve::Curve;
use super::stretch::{Stretch, Timed, levels, stretches};
use events::shape::{End, ServerShape};
use std::collections::{BTreeMap, BTreeSet};

/// Pairs of request and pause from which a schedule can be told.
const PAIRS_MIN: usize = 50;

/// What was recorded of one server, ready to be played.
pub(super) struct Model {
    /// How long leases last, by pool of the shape.
    pub curves: Vec<Curve>,
    pub levels: Vec<Level>,
}

/// Windows of about the same load.
pub(super) struct Level {
    /// Share of the recorded time.
    pub weight: f64,
    /// Pool and flow, as the shape numbers them.
    pub flows: Vec<(usize, usize)>,
    /// Clients that come again.
    pub clients: u32,
    pub plays: Vec<Play>,
    pub stalls: Stalls,
    /// What was measured, by pool of the shape.
    pub seen: Vec<Seen>,
}

/// Times in which the server did nothing for anybody.
#[derive(Default)]
pub(super) struct Stalls {
    /// In one second.
    pub rate: f64,
    /// Microseconds.
    pub lengths: Vec<u32>,
}

/// A piece of the record, to be played from its beginning to its end.
pub(super) struct Play {
    pub span_us: u64,
    pub actors: Vec<Actor>,
}

/// What one client was seen to do in a piece.
pub(super) struct Actor {
    /// Its number among the level's clients that come again; `None`: it was seen
    /// in this piece only, and whoever plays it is a new client each time.
    pub client: Option<u32>,
    /// The number of its flow in [`Level::flows`].
    pub flow: u32,
    /// It asks by a clock of its own, however long its replies take.
    pub paced: bool,
    pub steps: Vec<Step>,
    /// Its pauses, ascending: one that gets through sooner than it did goes on with
    /// these.
    pub pauses: Vec<u32>,
    /// When the piece ended, it had paused for so long.
    pub silent_us: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Step {
    /// When it asked, microseconds from the beginning.
    pub at_us: u64,
    /// Between the end of its last request and this one; not known of the first.
    pub pause_us: u32,
    /// How long it held, in units of the curve.
    pub units: f32,
}

/// What was measured of a pool in a level.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Waits of those who were served, microseconds, ascending.
    pub waits: Vec<u32>,
    pub refused: u64,
    pub span_us: u64,
    /// The same, with the size that the pool has now.
    pub waits_now: Vec<u32>,
    /// Requests that found the pool at its limit.
    pub exhausted: u64,
    pub in_use_max: u32,
}

impl Seen {
    pub fn requests(&self) -> u64 {
        self.waits.len() as u64 + self.refused
    }
}

impl Model {
    pub fn new(server: &ServerShape) -> Model {
        let stretches = stretches(server);
        let pools = server.pools.len();
        let curves: Vec<Curve> = (0..pools)
            .map(|pool| {
                let of = stretches.iter().flat_map(|s| &s.requests);
                let leases = of.filter(|r| r.of.pool as usize == pool && r.of.end == End::Returned);
                Curve::fit(leases.map(|r| (r.load, r.mean_load, r.work_us)))
            })
            .collect();
        let whole: f64 = stretches.iter().map(|s| s.weight).sum();
        let levels = levels(stretches);
        let levels = levels.iter().map(|level| {
            let weight = level.iter().map(|s| s.weight).sum::<f64>();
            let sizes = server.pools.iter().map(|pool| pool.size).enumerate();
            let seen = sizes.map(|(pool, size)| seen(level, pool, size)).collect();
            Level {
                weight: weight / whole.max(1e-9),
                stalls: stalls_of(level),
                seen,
                ..plays(level, &curves)
            }
        });
        let levels = levels.collect();
        Model { curves, levels }
    }
}

fn stalls_of(level: &[Stretch]) -> Stalls {
    let span: u64 = level.iter().map(|s| s.span_us).sum();
    let all = level.iter().flat_map(|s| &s.stalls);
    let lengths: Vec<u32> = all
        .map(|(_, long)| u32::try_from(*long).unwrap_or(u32::MAX))
        .collect();
    Stalls {
        rate: lengths.len() as f64 * 1e6 / span.max(1) as f64,
        lengths,
    }
}

/// `size` is the pool's now: what was measured with another one says nothing of
/// how well the replay fits, nor of a limit that is no more.
fn seen(level: &[Stretch], pool: usize, size: u32) -> Seen {
    let mut seen = Seen::default();
    for stretch in level {
        seen.span_us += stretch.span_us;
        let same = stretch.sizes.get(pool) == Some(&size);
        let of = |r: &&Timed| r.of.pool as usize == pool;
        for r in stretch.requests.iter().filter(of) {
            let in_use = u32::from(r.of.in_use);
            match r.of.end {
                End::Returned | End::Held => {
                    seen.waits.push(r.of.wait_us);
                    seen.in_use_max = seen.in_use_max.max(in_use);
                    let exhausted = same && r.of.wait_us > 0 && in_use >= size;
                    seen.exhausted += u64::from(exhausted);
                    if same {
                        seen.waits_now.push(r.of.wait_us);
                    }
                }
                End::TimedOut | End::Refused => {
                    seen.refused += 1;
                    seen.exhausted += u64::from(same);
                }
                End::Waiting | End::Left => {}
            }
        }
    }
    seen.waits.sort_unstable();
    seen.waits_now.sort_unstable();
    seen
}

type Key = (u16, u16, u32);

/// The pieces of a level, by client.
fn plays(level: &[Stretch], curves: &[Curve]) -> Level {
    let mut seen_in: BTreeMap<Key, u32> = BTreeMap::new();
    let parts: Vec<BTreeMap<Key, Vec<&Timed>>> = level.iter().map(by_client).collect();
    for key in parts.iter().flat_map(BTreeMap::keys) {
        *seen_in.entry(*key).or_default() += 1;
    }
    let flows: BTreeSet<(u16, u16)> = seen_in.keys().map(|key| (key.0, key.1)).collect();
    let flows: Vec<(u16, u16)> = flows.into_iter().collect();
    let paced: Vec<bool> = flows.iter().map(|flow| is_paced(&parts, *flow)).collect();
    let mut clients: BTreeMap<Key, u32> = BTreeMap::new();
    let mut plays = Vec::new();
    for (stretch, part) in level.iter().zip(&parts) {
        let mut actors = Vec::new();
        for (key, requests) in part {
            let Some(curve) = curves.get(key.0 as usize) else {
                continue;
            };
            let flow = flows.binary_search(&(key.0, key.1)).unwrap_or(0);
            let again = requests.len() > 1 || seen_in.get(key).is_some_and(|n| *n > 1);
            let number = clients.len() as u32;
            let paced = paced.get(flow).copied().unwrap_or(false);
            actors.push(Actor {
                client: again.then(|| *clients.entry(*key).or_insert(number)),
                flow: flow as u32,
                paced,
                pauses: pauses(requests),
                silent_us: requests
                    .last()
                    .map_or(0, |last| micros(stretch.span_us.saturating_sub(last.ended))),
                steps: steps(requests, paced, curve),
            });
        }
        plays.push(Play {
            span_us: stretch.span_us.max(1),
            actors,
        });
    }
    Level {
        weight: 0.0,
        flows: flows
            .iter()
            .map(|(p, f)| (*p as usize, *f as usize))
            .collect(),
        clients: clients.len() as u32,
        plays,
        stalls: Stalls::default(),
        seen: Vec::new(),
    }
}

/// Each client's requests, in their order.
fn by_client(stretch: &Stretch) -> BTreeMap<Key, Vec<&Timed>> {
    let mut clients: BTreeMap<Key, Vec<&Timed>> = BTreeMap::new();
    for r in &stretch.requests {
        let key = (r.of.pool, r.of.flow, r.of.client);
        clients.entry(key).or_default().push(r);
    }
    clients
}

fn micros(us: u64) -> u32 {
    u32::try_from(us).unwrap_or(u32::MAX)
}

/// Times between an end and the next request, ascending.
fn pauses(requests: &[&Timed]) -> Vec<u32> {
    let pairs = requests.windows(2).filter_map(|pair| {
        let [one, next] = pair else { return None };
        Some(micros(next.asked.saturating_sub(one.ended)))
    });
    let mut all: Vec<u32> = pairs.collect();
    all.sort_unstable();
    all
}

/// A client's steps. Where it begins is cut out of its life: before its first
/// request it may have been waiting or at work, with the share of its time that it
/// is so later. Then a request like its first one comes before.
fn steps(requests: &[&Timed], paced: bool, curve: &Curve) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(requests.len() + 1);
    let mut before: Option<u64> = None;
    let mut busy = 0;
    for r in requests {
        steps.push(Step {
            at_us: r.asked,
            pause_us: before.map_or(0, |end| micros(r.asked.saturating_sub(end))),
            units: curve.units(r.mean_load, r.work_us),
        });
        busy += r.ended - r.asked;
        before = Some(r.ended);
    }
    let paused: u64 = steps.iter().map(|step| u64::from(step.pause_us)).sum();
    let Some(first) = steps.first_mut().filter(|_| !paced && requests.len() > 1) else {
        return steps;
    };
    let pause = paused / (requests.len() as u64 - 1);
    let cycle = busy / requests.len() as u64 + pause;
    // The beginning falls into a time of work as often as there is work.
    if first.at_us < cycle && first.at_us > pause {
        first.pause_us = micros(pause);
        let carried = Step {
            at_us: 0,
            pause_us: 0,
            units: first.units,
        };
        steps.insert(0, carried);
    }
    steps
}

/// Clients that ask by a clock of their own pause less after a long reply, by as
/// much as it was longer. Those that think after a reply do not.
fn is_paced(parts: &[BTreeMap<Key, Vec<&Timed>>], flow: (u16, u16)) -> bool {
    let (mut xx, mut xy, mut yy, mut n) = (0.0, 0.0, 0.0, 0);
    let of = |key: &Key| (key.0, key.1) == flow;
    let all = parts.iter().flatten().filter(|(key, _)| of(key));
    for (_, requests) in all {
        let pairs: Vec<(f64, f64)> = requests
            .windows(2)
            .filter_map(|pair| {
                let [one, next] = pair else { return None };
                let pause = next.asked.saturating_sub(one.ended);
                Some(((one.ended - one.asked) as f64, pause as f64))
            })
            .collect();
        let count = pairs.len().max(1) as f64;
        let (x, y) = pairs
            .iter()
            .fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        for pair in &pairs {
            let (dx, dy) = (pair.0 - x / count, pair.1 - y / count);
            xx += dx * dx;
            xy += dx * dy;
            yy += dy * dy;
        }
        n += pairs.len().saturating_sub(1);
    }
    if n < PAIRS_MIN || xx <= 0.0 {
        return false;
    }
    let slope = xy / xx;
    let error = ((yy - slope * xy).max(0.0) / n as f64 / xx).sqrt();
    slope < -0.5 && slope + 2.0 * error < -0.25
}
