//! From recorded windows to something that can be played: who asks when, for how
//! long, and how that depends on how many are served at once.

use super::curve::Curve;
use events::shape::{End, Request, ServerShape, Window};
use std::collections::BTreeMap;

/// Load levels that are told apart; each is played on its own.
const LEVELS_MAX: usize = 4;
/// A level ends where the load is so many times that of its quietest window.
const LEVEL_STEP: f64 = 1.6;
/// Requests that make a level.
const LEVEL_REQUESTS: usize = 200;
/// Share of the requests by clients that were seen to end another one before,
/// from which on they count as a closed loop.
const CLOSED_SHARE: f64 = 0.5;
/// Windows that begin so soon after the end of another are one stretch.
const ADJACENT_US: u64 = 200_000;
/// Requests in a piece of open arrivals, and pieces of a stretch.
const BLOCK_REQUESTS: usize = 100;
const BLOCKS_MAX: usize = 1000;
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
    pub groups: Vec<Group>,
    /// What was measured, by pool of the shape.
    pub seen: Vec<Seen>,
}

/// The clients of one flow.
pub(super) struct Group {
    pub pool: usize,
    pub flow: usize,
    pub demand: Demand,
}

pub(super) enum Demand {
    /// Clients that ask again after their reply.
    Closed {
        clients: u32,
        /// Pauses are counted from one request to the next, whatever became of it.
        paced: bool,
        scripts: Vec<Script>,
        /// All pauses, ascending: what follows the end of a script is drawn from these.
        pauses: Vec<u32>,
    },
    /// Whoever comes, comes: pieces of the record, as they were.
    Open { blocks: Vec<Arrivals> },
}

/// What one client was seen to do.
#[derive(Default)]
pub(super) struct Script {
    pub steps: Vec<Step>,
    /// It had paused for so long when the record ended.
    pub silent_us: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Before it asks, microseconds; of the first step it is not known.
    pub pause_us: u32,
    /// How long it holds, in units of the curve.
    pub units: f32,
}

pub(super) struct Arrivals {
    pub span_us: u64,
    /// When, and how long each holds.
    pub asks: Vec<(u32, f32)>,
}

/// What was measured of a pool in a level.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Waits of those who were served, microseconds, ascending.
    pub waits: Vec<u32>,
    pub refused: u64,
    pub span_us: u64,
    pub held_us: u64,
    /// Requests that found the pool at its limit.
    pub exhausted: u64,
    pub in_use_max: u32,
}

impl Seen {
    pub fn requests(&self) -> u64 {
        self.waits.len() as u64 + self.refused
    }
}

/// Windows without a gap between them.
struct Stretch {
    span_us: u64,
    /// Share of the recorded time for which it stands.
    weight: f64,
    sizes: Vec<u32>,
    /// Clients that were connected at its beginning, and those of them that held
    /// or waited, by pool.
    clients: Vec<(u32, u32)>,
    requests: Vec<Timed>,
}

/// A request, timed from the start of its stretch.
#[derive(Clone, Copy)]
struct Timed {
    asked: u64,
    ended: u64,
    /// Leases of all pools when it was granted.
    load: u32,
    of: Request,
}

impl Model {
    pub fn new(server: &ServerShape) -> Model {
        let stretches = stretches(server);
        let pools = server.pools.len();
        let curves: Vec<Curve> = (0..pools)
            .map(|pool| {
                let of = stretches.iter().flat_map(|s| &s.requests);
                let leases = of.filter(|r| r.of.pool as usize == pool && r.of.end == End::Returned);
                Curve::fit(leases.map(|r| (r.load, r.of.hold_us)))
            })
            .collect();
        let whole: f64 = stretches.iter().map(|s| s.weight).sum();
        let levels = levels(stretches);
        let levels = levels
            .iter()
            .map(|level| Level {
                weight: level.iter().map(|s| s.weight).sum::<f64>() / whole.max(1e-9),
                groups: groups(server, level, &curves),
                seen: (0..pools).map(|pool| seen(level, pool)).collect(),
            })
            .collect();
        Model { curves, levels }
    }
}

fn stretches(server: &ServerShape) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    let mut end_us: u64 = 0;
    let mut lent = vec![0; server.pools.len()];
    for (at, window) in server.windows.iter().enumerate() {
        let begin_us = u64::from(window.at_s) * 1_000_000;
        // Beginnings are known to the second only.
        let joins = !all.is_empty()
            && begin_us < end_us + ADJACENT_US + 1_000_000
            && u64::from(window.span_us) >= 5_000_000;
        let next = server.windows.get(at + 1);
        let stands = next.map_or(10, |next| next.at_s.saturating_sub(window.at_s));
        let weight = f64::from(stands.max(1)).max(f64::from(window.span_us) / 1e6);
        end_us = begin_us + u64::from(window.span_us);
        if !joins {
            lent = vec![0; server.pools.len()];
            all.push(begun(server, window, &mut lent));
        }
        if let Some(stretch) = all.last_mut() {
            add(stretch, window, &mut lent);
            stretch.weight += weight;
        }
    }
    all.retain(|s| !s.requests.is_empty());
    all
}

fn begun(server: &ServerShape, window: &Window, lent: &mut [u32]) -> Stretch {
    let mut stretch = Stretch {
        span_us: 0,
        weight: 0.0,
        sizes: server.pools.iter().map(|pool| pool.size).collect(),
        clients: vec![(0, 0); server.pools.len()],
        requests: Vec::new(),
    };
    for start in &window.starts {
        let pool = start.pool as usize;
        if let (Some(lent), Some(size), Some(clients)) = (
            lent.get_mut(pool),
            stretch.sizes.get_mut(pool),
            stretch.clients.get_mut(pool),
        ) {
            *lent = start.lent;
            *size = start.size;
            *clients = (start.clients, start.lent + start.waiting);
        }
    }
    stretch
}

fn add(stretch: &mut Stretch, window: &Window, lent: &mut [u32]) {
    let base = stretch.span_us;
    let mut timed: Vec<Timed> = window
        .requests
        .iter()
        .map(|of| Timed {
            asked: base + u64::from(of.asked_us),
            ended: base + of.ended_us(),
            load: 0,
            of: *of,
        })
        .collect();
    // Grants and returns in their order: how many of all pools were lent.
    let mut turns: Vec<(u64, bool, usize)> = Vec::with_capacity(timed.len() * 2);
    for (at, r) in timed.iter().enumerate().filter(|(_, r)| r.of.granted()) {
        turns.push((base + r.of.granted_us(), true, at));
        turns.push((r.ended, false, at));
    }
    turns.sort_unstable();
    for (_, grant, at) in turns {
        let Some(r) = timed.get_mut(at) else { continue };
        let Some(own) = lent.get_mut(r.of.pool as usize) else {
            continue;
        };
        match grant {
            true => {
                *own = u32::from(r.of.in_use);
                r.load = lent.iter().sum();
            }
            false => *own = own.saturating_sub(1),
        }
    }
    stretch.requests.extend(timed);
    stretch.span_us += u64::from(window.span_us);
}

/// Stretches by load: leases wanted at once.
fn levels(stretches: Vec<Stretch>) -> Vec<Vec<Stretch>> {
    let load = |s: &Stretch| {
        let asked: u64 = s.requests.iter().map(|r| r.ended - r.asked).sum();
        asked as f64 / s.span_us.max(1) as f64
    };
    let mut by_load: Vec<(f64, Stretch)> = stretches.into_iter().map(|s| (load(&s), s)).collect();
    by_load.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut levels: Vec<(f64, Vec<Stretch>)> = Vec::new();
    for (load, stretch) in by_load {
        let full =
            |all: &[Stretch]| all.iter().map(|s| s.requests.len()).sum::<usize>() >= LEVEL_REQUESTS;
        let count = levels.len();
        match levels.last_mut() {
            Some((first, all))
                if load < *first * LEVEL_STEP || !full(all) || count >= LEVELS_MAX =>
            {
                all.push(stretch);
            }
            _ => levels.push((load, vec![stretch])),
        }
    }
    // A last level of a few requests says nothing by itself.
    if levels.len() > 1
        && let Some((_, last)) = levels
            .pop_if(|(_, all)| all.iter().map(|s| s.requests.len()).sum::<usize>() < LEVEL_REQUESTS)
        && let Some((_, before)) = levels.last_mut()
    {
        before.extend(last);
    }
    levels.into_iter().map(|(_, all)| all).collect()
}

fn seen(level: &[Stretch], pool: usize) -> Seen {
    let mut seen = Seen::default();
    for stretch in level {
        seen.span_us += stretch.span_us;
        let size = stretch.sizes.get(pool).copied().unwrap_or(u32::MAX);
        for r in stretch
            .requests
            .iter()
            .filter(|r| r.of.pool as usize == pool)
        {
            let in_use = u32::from(r.of.in_use);
            match r.of.end {
                End::Returned | End::Held => {
                    seen.waits.push(r.of.wait_us);
                    seen.held_us += u64::from(r.of.hold_us);
                    seen.in_use_max = seen.in_use_max.max(in_use);
                    seen.exhausted += u64::from(r.of.wait_us > 0 && in_use >= size);
                }
                End::TimedOut | End::Refused => {
                    seen.refused += 1;
                    seen.exhausted += 1;
                }
                End::Waiting | End::Left => {}
            }
        }
    }
    seen.waits.sort_unstable();
    seen
}

fn groups(server: &ServerShape, level: &[Stretch], curves: &[Curve]) -> Vec<Group> {
    let mut all = Vec::new();
    for (pool, shape) in server.pools.iter().enumerate() {
        let Some(curve) = curves.get(pool) else {
            continue;
        };
        for flow in 0..shape.flows.len().max(1) {
            let of = |r: &&Timed| r.of.pool as usize == pool && r.of.flow as usize == flow;
            let stretches: Vec<Part<'_>> = level
                .iter()
                .map(|stretch| Part {
                    stretch,
                    requests: stretch.requests.iter().filter(of).collect(),
                })
                .collect();
            if stretches.iter().any(|part| !part.requests.is_empty()) {
                let demand = demand(&stretches, pool, curve);
                all.push(Group { pool, flow, demand });
            }
        }
    }
    all
}

/// A flow's requests in a stretch.
struct Part<'a> {
    stretch: &'a Stretch,
    requests: Vec<&'a Timed>,
}

fn demand(parts: &[Part<'_>], pool: usize, curve: &Curve) -> Demand {
    let clients: Vec<Vec<Vec<&Timed>>> = parts.iter().map(by_client).collect();
    let total: usize = parts.iter().map(|part| part.requests.len()).sum();
    let first: usize = clients.iter().map(Vec::len).sum();
    let follows = total.saturating_sub(first) as f64 / total.max(1) as f64;
    // Where nearly all clients hold or wait, they cannot be seen to come back,
    // and nobody else is there to come.
    let (connected, busy) = parts.iter().fold((0, 0), |(connected, busy), part| {
        let (c, b) = part.stretch.clients.get(pool).copied().unwrap_or_default();
        (connected + c, busy + b)
    });
    let crowded = connected > 0 && f64::from(busy) >= 0.8 * f64::from(connected);
    if follows < CLOSED_SHARE && !crowded {
        return Demand::Open {
            blocks: parts.iter().flat_map(|part| blocks(part, curve)).collect(),
        };
    }
    let paced = is_paced(&clients);
    let mut scripts = Vec::new();
    let mut pauses = Vec::new();
    let mut busy_us = 0;
    for (part, clients) in parts.iter().zip(&clients) {
        for requests in clients {
            let script = script(requests, part.stretch.span_us, paced, curve);
            pauses.extend(script.steps.iter().skip(1).map(|step| step.pause_us));
            if !paced {
                busy_us += requests.iter().map(|r| r.ended - r.asked).sum::<u64>();
            }
            scripts.push(script);
        }
    }
    pauses.sort_unstable();
    let cycle_us = busy_us + scripts.iter().map(|s| paused(s, &pauses)).sum::<u64>();
    let span_us: u64 = parts.iter().map(|part| part.stretch.span_us).sum();
    // Little's law: clients = rate × cycle.
    let by_law = (cycle_us as f64 / span_us.max(1) as f64).round() as u32;
    let clients = match crowded && follows < CLOSED_SHARE {
        true => connected / parts.len().max(1) as u32,
        false => by_law,
    };
    Demand::Closed {
        clients: clients.max(1),
        paced,
        scripts,
        pauses,
    }
}

/// Pieces of equal length, each with so many requests that a burst is seldom cut.
fn blocks(part: &Part<'_>, curve: &Curve) -> Vec<Arrivals> {
    let count = (part.requests.len() / BLOCK_REQUESTS).clamp(1, BLOCKS_MAX) as u64;
    let span_us = part.stretch.span_us.max(1).div_ceil(count);
    let mut blocks: Vec<Arrivals> = (0..count)
        .map(|_| Arrivals {
            span_us,
            asks: Vec::new(),
        })
        .collect();
    for r in &part.requests {
        let at = (r.asked / span_us).min(count - 1);
        if let Some(block) = blocks.get_mut(at as usize) {
            let from = u32::try_from(r.asked - at * span_us).unwrap_or(u32::MAX);
            block.asks.push((from, curve.units(r.load, &r.of)));
        }
    }
    blocks
}

/// Each client's requests, in their order.
fn by_client<'a>(part: &Part<'a>) -> Vec<Vec<&'a Timed>> {
    let mut clients: BTreeMap<u32, Vec<&Timed>> = BTreeMap::new();
    for r in &part.requests {
        clients.entry(r.of.client).or_default().push(r);
    }
    clients.into_values().collect()
}

fn script(requests: &[&Timed], span_us: u64, paced: bool, curve: &Curve) -> Script {
    let micros = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
    let mut script = Script::default();
    let mut before: Option<u64> = None;
    for r in requests {
        script.steps.push(Step {
            pause_us: before.map_or(0, |at| micros(r.asked.saturating_sub(at))),
            units: curve.units(r.load, &r.of),
        });
        before = Some(match paced {
            true => r.asked,
            false => r.ended,
        });
    }
    script.silent_us = micros(span_us.saturating_sub(before.unwrap_or(span_us)));
    script
}

/// All pauses of a script, with the one that is to be expected after its end.
fn paused(script: &Script, pauses: &[u32]) -> u64 {
    let known = script.steps.iter().skip(1).map(|s| u64::from(s.pause_us));
    let from = pauses.partition_point(|p| *p < script.silent_us);
    let longer = pauses.get(from..).unwrap_or_default();
    let expected = match longer.len() {
        0 => u64::from(script.silent_us),
        n => longer.iter().map(|p| u64::from(*p)).sum::<u64>() / n as u64,
    };
    known.sum::<u64>() + expected
}

/// Clients that ask by a clock of their own pause less after a long reply, by as
/// much as it was longer. Those that think after a reply do not.
fn is_paced(parts: &[Vec<Vec<&Timed>>]) -> bool {
    let (mut xx, mut xy, mut yy, mut n) = (0.0, 0.0, 0.0, 0);
    for requests in parts.iter().flatten() {
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
