//! The record in time: windows joined to stretches, the load at each moment, stalls,
//! and pieces of about the same load.
//!
//! Times in which nothing at all ends, though much is under way (a checkpoint, a
//! processor given to others), are taken out of the holds and kept apart: they
//! strike all leases together, and what falls upon one by one would not queue so.

use events::shape::{End, Request, ServerShape, Window};
use std::collections::BTreeSet;

/// A gap in which nothing ends is a stall from so many times the mean hold on…
const STALL_HOLDS: f64 = 1.5;
/// …and when chance would bring it less often than e^−this.
const STALL_CHANCE: f64 = 8.0;
/// Load levels that are told apart; each is played on its own.
const LEVELS_MAX: usize = 4;
/// A level ends where requests per second times clients are so many times those
/// of its quietest piece.
const LEVEL_STEP: f64 = 2.5;
/// Requests that make a level.
const LEVEL_REQUESTS: usize = 200;
/// A stretch is cut in pieces no shorter than this, with no fewer requests.
const SLICE_US: u64 = 1_000_000;
const SLICE_REQUESTS: usize = 100;
/// Requests from which on a piece is not made longer.
const PLAY_REQUESTS: usize = 1000;
/// Windows that begin so soon after the end of another are one stretch.
const ADJACENT_US: u64 = 200_000;

/// Windows without a gap between them.
pub(super) struct Stretch {
    pub span_us: u64,
    /// Share of the recorded time for which it stands.
    pub weight: f64,
    pub sizes: Vec<u32>,
    pub requests: Vec<Timed>,
    /// When nothing ended: from, and for how long.
    pub stalls: Vec<(u64, u64)>,
}

/// A request, timed from the start of its stretch.
#[derive(Clone, Copy)]
pub(super) struct Timed {
    pub asked: u64,
    pub ended: u64,
    /// Leases of all pools when it was granted.
    pub load: u32,
    /// The same, on average while it lasted.
    pub mean_load: f32,
    /// How long it held, without stalls.
    pub work_us: u32,
    pub of: Request,
}

pub(super) fn stretches(server: &ServerShape) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    let mut end_us: u64 = 0;
    let mut lent = vec![0; server.pools.len()];
    for (at, window) in server.windows.iter().enumerate() {
        let begin_us = window.at_s() * 1_000_000;
        // Whole seconds: shapes of version 1 know no more.
        let joins = !all.is_empty()
            && begin_us < end_us + ADJACENT_US + 1_000_000
            && u64::from(window.span_us) >= 5_000_000;
        let next = server.windows.get(at + 1);
        let stands = next.map_or(10, |next| next.at_s().saturating_sub(window.at_s()));
        let weight = (stands.max(1) as f64).max(f64::from(window.span_us) / 1e6);
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
    all.iter_mut().for_each(find_stalls);
    all
}

fn begun(server: &ServerShape, window: &Window, lent: &mut [u32]) -> Stretch {
    let mut stretch = Stretch {
        span_us: 0,
        weight: 0.0,
        sizes: server.pools.iter().map(|pool| pool.size).collect(),
        requests: Vec::new(),
        stalls: Vec::new(),
    };
    for start in &window.starts {
        let pool = start.pool as usize;
        if let (Some(lent), Some(size)) = (lent.get_mut(pool), stretch.sizes.get_mut(pool)) {
            *lent = start.lent;
            *size = start.size;
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
            mean_load: 0.0,
            work_us: of.hold_us,
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
    // The load from each turn on, and its sum over time until then.
    let mut loads: Vec<(u64, f64, f64)> = vec![(base, f64::from(lent.iter().sum::<u32>()), 0.0)];
    for (when, grant, at) in turns {
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
        let load = f64::from(lent.iter().sum::<u32>());
        let sum = sum_until(&loads, when);
        loads.push((when, load, sum));
    }
    let end = base + u64::from(window.span_us);
    for r in &mut timed {
        let (from, to) = (r.ended - u64::from(r.of.hold_us), r.ended.min(end));
        let sum = sum_until(&loads, to) - sum_until(&loads, from);
        r.mean_load = match to > from {
            true => (sum / (to - from) as f64) as f32,
            false => r.load as f32,
        };
    }
    stretch.requests.extend(timed);
    stretch.span_us += u64::from(window.span_us);
}

/// Finds the gaps between ends that chance does not explain, and takes them out
/// of the leases that they lengthened.
fn find_stalls(stretch: &mut Stretch) {
    let of = |r: &&Timed| r.of.end == End::Returned && r.ended <= stretch.span_us;
    let mut ends: Vec<u64> = stretch
        .requests
        .iter()
        .filter(of)
        .map(|r| r.ended)
        .collect();
    ends.sort_unstable();
    let leases = ends.len().max(1) as f64;
    let held: u64 = (stretch.requests.iter().filter(of))
        .map(|r| u64::from(r.of.hold_us))
        .sum();
    let hold = held as f64 / leases;
    // Leases under way at each moment, from grants and ends.
    let mut turns: Vec<(u64, i32)> = Vec::with_capacity(stretch.requests.len() * 2);
    for r in stretch.requests.iter().filter(|r| r.of.granted()) {
        turns.push((r.ended - u64::from(r.of.hold_us), 1));
        turns.push((r.ended, -1));
    }
    turns.sort_unstable();
    let (mut busy, mut at) = (0, 0);
    for pair in ends.windows(2) {
        let [from, to] = *pair else { continue };
        while let Some((_, step)) = turns.get(at).filter(|(when, _)| *when <= from) {
            busy += step;
            at += 1;
        }
        let gap = (to - from) as f64;
        let usual = hold / f64::from(busy.max(1));
        if busy >= 2 && gap > STALL_HOLDS * hold && gap > STALL_CHANCE * usual {
            stretch.stalls.push((from, (gap - usual) as u64));
        }
    }
    for r in &mut stretch.requests {
        let granted = r.ended - u64::from(r.of.hold_us);
        let first = stretch
            .stalls
            .partition_point(|(from, long)| from + long <= granted);
        let lost: u64 = stretch
            .stalls
            .iter()
            .skip(first)
            .take_while(|(from, _)| *from < r.ended)
            .map(|(from, long)| (from + long).min(r.ended) - granted.max(*from))
            .sum();
        let least = u64::from(r.of.hold_us) / 20;
        r.work_us = (u64::from(r.of.hold_us).saturating_sub(lost)).max(least) as u32;
    }
}

/// The load summed over time until then, in a list of turns.
fn sum_until(loads: &[(u64, f64, f64)], until: u64) -> f64 {
    let at = loads.partition_point(|(when, ..)| *when <= until);
    let turn = loads.get(at.saturating_sub(1));
    turn.map_or(0.0, |(when, load, sum)| {
        sum + load * until.saturating_sub(*when) as f64
    })
}

/// Pieces of a stretch, of equal length: each long enough to have a load of its own.
fn slices(stretch: Stretch) -> Vec<Stretch> {
    let by_time = stretch.span_us / SLICE_US;
    let by_count = (stretch.requests.len() / SLICE_REQUESTS) as u64;
    let count = by_time.min(by_count).max(1);
    let span_us = stretch.span_us.max(1).div_ceil(count);
    let mut all: Vec<Stretch> = (0..count)
        .map(|_| Stretch {
            span_us,
            weight: stretch.weight / count as f64,
            sizes: stretch.sizes.clone(),
            requests: Vec::new(),
            stalls: Vec::new(),
        })
        .collect();
    for (from, long) in stretch.stalls {
        let at = (from / span_us).min(count - 1);
        if let Some(slice) = all.get_mut(at as usize) {
            slice.stalls.push((from - at * span_us, long));
        }
    }
    for r in stretch.requests {
        let at = (r.asked / span_us).min(count - 1);
        if let Some(slice) = all.get_mut(at as usize) {
            slice.requests.push(r.earlier_by(at * span_us));
        }
    }
    all
}

/// Stretches by load, as clients make it: how the server fares is no matter. Where the load changes within
/// a stretch, it is cut there.
pub(super) fn levels(stretches: Vec<Stretch>) -> Vec<Vec<Stretch>> {
    let load = |s: &Stretch| {
        let clients: BTreeSet<u32> = s.requests.iter().map(|r| r.of.client).collect();
        (s.requests.len() * clients.len()) as f64 / s.span_us.max(1) as f64
    };
    let mut pieces: Vec<(usize, f64, Stretch)> = Vec::new();
    for (at, stretch) in stretches.into_iter().enumerate() {
        pieces.extend(slices(stretch).into_iter().map(|s| (at, load(&s), s)));
    }
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    let load_of = |at: usize| pieces.get(at).map_or(0.0, |piece| piece.1);
    order.sort_by(|a, b| load_of(*a).total_cmp(&load_of(*b)));
    // The number of the level of each piece.
    let mut level_of = vec![0; pieces.len()];
    let (mut level, mut first, mut count) = (0, None, 0);
    let mut counts = vec![0];
    for at in order {
        let lowest = *first.get_or_insert(load_of(at));
        if load_of(at) >= lowest * LEVEL_STEP && count >= LEVEL_REQUESTS && level + 1 < LEVELS_MAX {
            level += 1;
            (first, count) = (Some(load_of(at)), 0);
            counts.push(0);
        }
        let requests = pieces.get(at).map_or(0, |piece| piece.2.requests.len());
        count += requests;
        counts[level] += requests;
        level_of[at] = level;
    }
    // A last level of a few requests says nothing by itself.
    let last = match counts.as_slice() {
        [.., count] if *count < LEVEL_REQUESTS && level > 0 => level - 1,
        _ => level,
    };
    let mut levels: Vec<Vec<Stretch>> = (0..=last).map(|_| Vec::new()).collect();
    let mut before = None;
    for ((stretch, _, piece), level) in pieces.into_iter().zip(level_of) {
        let level = level.min(last);
        match levels[level].last_mut() {
            Some(same)
                if before == Some((stretch, level)) && same.requests.len() < PLAY_REQUESTS =>
            {
                same.append(piece);
            }
            _ => levels[level].push(piece),
        }
        before = Some((stretch, level));
    }
    levels
}

impl Stretch {
    fn append(&mut self, next: Stretch) {
        let base = self.span_us;
        let later = next.requests.into_iter().map(|r| Timed {
            asked: r.asked + base,
            ended: r.ended + base,
            ..r
        });
        self.requests.extend(later);
        let stalls = next.stalls.into_iter();
        self.stalls
            .extend(stalls.map(|(at, long)| (at + base, long)));
        self.span_us += next.span_us;
        self.weight += next.weight;
    }
}

impl Timed {
    fn earlier_by(self, us: u64) -> Timed {
        Timed {
            asked: self.asked.saturating_sub(us),
            ended: self.ended.saturating_sub(us),
            ..self
        }
    }
}
