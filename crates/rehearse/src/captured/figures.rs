//! A shape in figures. Each recorded request counts as many times as its window
//! stands for requests that were not recorded.

use events::shape::{End, Request, Shape, Window};
use std::collections::BTreeSet;
use std::time::Duration;

/// Arrivals are counted in pieces of this length for [`Figures::dispersion`].
const PIECE_US: u32 = 100_000;

/// What a shape says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Figures {
    /// Requests that it holds.
    pub recorded: usize,
    /// Requests that it stands for.
    pub requests: u64,
    /// The time that it covers.
    pub over: Duration,
    /// Requests per second.
    pub rate: f64,
    /// Connections held on average.
    pub concurrency: f64,
    /// Median time that a connection was held.
    pub hold_p50: Duration,
    /// 99th percentile of it.
    pub hold_p99: Duration,
    /// Share of all holds in which the server waited for the client.
    pub idle: f64,
    /// Share of the requests that got no connection.
    pub refused: f64,
    /// Of these, the share after which the same client asked again in the same window.
    pub retried: f64,
    /// Clients that were seen.
    pub clients: usize,
    /// Index of dispersion: variance over mean of the requests in a tenth of a
    /// second. 1 for those that come each on its own, more for bursts.
    pub dispersion: f64,
    /// By class, the most frequent first.
    pub classes: Vec<ClassFigures>,
}

/// One class of requests.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ClassFigures {
    /// Its name.
    pub name: String,
    /// Its statement without literals, where the settings show it.
    pub text: String,
    /// Its share of the requests that were granted.
    pub share: f64,
    /// Median hold.
    pub hold_p50: Duration,
    /// 99th percentile of the hold.
    pub hold_p99: Duration,
}

/// A hold and how many it stands for.
type Weighted = (u32, f64);

impl Figures {
    /// The figures of a shape; `None` when it holds no request.
    pub fn of(shape: &Shape) -> Option<Figures> {
        let mut figures = Figures {
            recorded: shape.requests(),
            ..Figures::default()
        };
        let mut holds: Vec<Weighted> = Vec::new();
        let (mut held, mut idle, mut refused, mut retried) = (0.0, 0.0, 0.0, 0.0);
        for server in &shape.servers {
            let stands = server.stands();
            // Not in whole numbers: those of a file may be as large as they like.
            let over_us: f64 = stands.iter().map(|s| s.lasts_us as f64).sum();
            let over_us = over_us.max(1.0);
            let mut held_here = 0.0;
            for (window, stand) in server.windows.iter().zip(&stands) {
                let each = stand.requests as f64 / window.requests.len().max(1) as f64;
                figures.requests = figures.requests.saturating_add(stand.requests);
                for r in window.requests.iter().filter(|r| r.granted()) {
                    holds.push((r.hold_us, each));
                    held_here += f64::from(r.hold_us) * each;
                    idle += f64::from(r.idle_us) * each;
                }
                let (no, again) = refusals(window);
                refused += no * each;
                retried += again * each;
            }
            let requests: f64 = stands.iter().map(|s| s.requests as f64).sum();
            figures.rate += requests / over_us * 1e6;
            figures.concurrency += held_here / over_us;
            held += held_here;
            let over = Duration::from_secs_f64((over_us / 1e6).min(1e9));
            figures.over = figures.over.max(over);
            let clients: BTreeSet<u32> = (server.windows.iter())
                .flat_map(|w| w.requests.iter().map(|r| r.client))
                .collect();
            figures.clients += clients.len();
        }
        if figures.recorded == 0 {
            return None;
        }
        figures.hold_p50 = quantile(&mut holds, 0.5);
        figures.hold_p99 = quantile(&mut holds, 0.99);
        figures.idle = idle / held.max(1.0);
        figures.refused = refused / (figures.requests as f64).max(1.0);
        figures.retried = retried / refused.max(1.0);
        figures.dispersion = dispersion(shape);
        figures.classes = classes(shape);
        Some(figures)
    }
}

/// How many got no connection, and after how many of these their client asked again.
fn refusals(window: &Window) -> (f64, f64) {
    let (mut no, mut again) = (0.0, 0.0);
    for (at, r) in window.requests.iter().enumerate() {
        if matches!(r.end, End::TimedOut | End::Refused | End::Left) {
            no += 1.0;
            let mut later = window.requests.iter().skip(at + 1);
            again += f64::from(u8::from(later.any(|l| l.client == r.client)));
        }
    }
    (no, again)
}

/// The smallest hold that so much of the weight does not exceed.
fn quantile(holds: &mut [Weighted], part: f64) -> Duration {
    holds.sort_unstable_by_key(|(us, _)| *us);
    let wanted = holds.iter().map(|(_, weight)| weight).sum::<f64>() * part;
    let mut sum = 0.0;
    for (us, weight) in holds.iter() {
        sum += weight;
        if sum >= wanted {
            return Duration::from_micros(u64::from(*us));
        }
    }
    Duration::ZERO
}

fn dispersion(shape: &Shape) -> f64 {
    let mut counts: Vec<f64> = Vec::new();
    for window in shape.servers.iter().flat_map(|s| &s.windows) {
        // The last piece is not whole.
        let pieces = (window.span_us / PIECE_US) as usize;
        let first = counts.len();
        counts.resize(first + pieces, 0.0);
        for r in &window.requests {
            let piece = (r.asked_us / PIECE_US) as usize;
            if let Some(count) = counts.get_mut(first + piece).filter(|_| piece < pieces) {
                *count += 1.0;
            }
        }
    }
    let n = counts.len().max(1) as f64;
    let mean = counts.iter().sum::<f64>() / n;
    let off: f64 = counts.iter().map(|c| (c - mean).powi(2)).sum();
    match mean > 0.0 {
        true => off / n / mean,
        false => 1.0,
    }
}

fn classes(shape: &Shape) -> Vec<ClassFigures> {
    let mut all: Vec<(ClassFigures, Vec<Weighted>)> = Vec::new();
    for server in &shape.servers {
        let mut by: Vec<Vec<Weighted>> = vec![Vec::new(); server.classes.len().max(1)];
        for (window, stand) in server.windows.iter().zip(server.stands()) {
            let each = stand.requests as f64 / window.requests.len().max(1) as f64;
            let granted = |r: &&Request| r.granted();
            for r in window.requests.iter().filter(granted) {
                if let Some(holds) = by.get_mut(usize::from(r.class)) {
                    holds.push((r.hold_us, each));
                }
            }
        }
        for (at, holds) in by.into_iter().enumerate().filter(|(_, h)| !h.is_empty()) {
            let class = server.classes.get(at).cloned().unwrap_or_default();
            let known = all.iter_mut().find(|(c, _)| c.name == class.name);
            if let Some((_, known)) = known {
                known.extend(holds);
                continue;
            }
            let figures = ClassFigures {
                name: class.name,
                text: class.text,
                ..ClassFigures::default()
            };
            all.push((figures, holds));
        }
    }
    let weight = |holds: &[Weighted]| holds.iter().map(|(_, w)| w).sum::<f64>();
    let total: f64 = all.iter().map(|(_, holds)| weight(holds)).sum();
    let mut classes: Vec<ClassFigures> = (all.into_iter())
        .map(|(class, mut holds)| ClassFigures {
            share: weight(&holds) / total.max(1e-9),
            hold_p50: quantile(&mut holds, 0.5),
            hold_p99: quantile(&mut holds, 0.99),
            ..class
        })
        .collect();
    classes.sort_by(|a, b| b.share.total_cmp(&a.share));
    classes
}

/// How one shape's figures differ from another's, each as a part of the first's.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Difference {
    /// Requests per second.
    pub rate: f64,
    /// Connections held on average.
    pub concurrency: f64,
    /// Median hold.
    pub hold_p50: f64,
    /// 99th percentile of the hold.
    pub hold_p99: f64,
}

impl Difference {
    /// The largest of the four, without its sign.
    pub fn worst(&self) -> f64 {
        let all = [self.rate, self.concurrency, self.hold_p50, self.hold_p99];
        all.into_iter().map(f64::abs).fold(0.0, f64::max)
    }
}

/// How far a replay is from what was captured; `None` when one of them holds no request.
pub fn compare(captured: &Shape, replayed: &Shape) -> Option<Difference> {
    let (a, b) = (Figures::of(captured)?, Figures::of(replayed)?);
    let part = |a: f64, b: f64| match a == b {
        true => 0.0,
        false => (b - a) / a.max(1e-9),
    };
    let time = |a: Duration, b: Duration| part(a.as_secs_f64(), b.as_secs_f64());
    Some(Difference {
        rate: part(a.rate, b.rate),
        concurrency: part(a.concurrency, b.concurrency),
        hold_p50: time(a.hold_p50, b.hold_p50),
        hold_p99: time(a.hold_p99, b.hold_p99),
    })
}
