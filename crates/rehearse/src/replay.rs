//! Captured traffic, sent again: a shape becomes requests that are due.
//!
//! Windows are played in their order, each for as long as it stands for (until the
//! next one began), and as many requests come in that time as were counted then.
//! What was recorded is played as it was: the same distances, the same holds. What
//! came between two windows nobody recorded; there the window before goes on, at
//! the rate that was counted.
//!
//! A rate is made from a window by *voices*: each goes through the window over and
//! over, from a place of its own. For three times the rate there are three, for half
//! of it there is one that goes half as fast. So bursts stay bursts: the index of
//! dispersion is that of the window, which thinning by chance would level out.
//!
//! ```text
//!   windows   |aa·a|        |b··b|          |cc|
//!   replay    |aa·a|aa·a|aa·|b··b|b··b|b··b·|cc|cc …
//! ```
//!
//! ```
//! use rehearse::replay::Replay;
//! use std::time::Duration;
//! let text = "plimsoll-shape 1\nserver 9 0\npool =app =anna 9 9\nwindow 0 1000000\nr 0 0 2000 1 1\nr 500000 0 4000 1 1\n";
//! let shape = events::shape::Shape::from_text(text).unwrap();
//! let replay = Replay::new(&shape, 1.0, Duration::from_secs(3), 7).unwrap();
//! assert_eq!(replay.expected(), 6.0);
//! assert_eq!(replay.map(|due| due.at.as_millis()).collect::<Vec<_>>(), [0, 500, 1000, 1500, 2000, 2500]);
//! ```

mod debt;
mod pieces;

use crate::workload::{Due, Hold};
use events::shape::{End, Request, ServerShape, Shape};
use pieces::{Piece, Pieces};
use sim::rng::Rng;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Most times the captured rate.
pub const SCALE_MAX: f64 = 100.0;
/// Longest hold that is played: what lasts longer is a leak, and no load.
const HOLD_MAX: Duration = Duration::from_secs(3_600);

/// Why a shape cannot be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplayError {
    /// There is no request in it.
    Empty,
    /// The scale is no number above 0, or too large.
    Scale,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Empty => f.write_str("no request was recorded in it"),
            ReplayError::Scale => write!(f, "a scale lies above 0 and up to {SCALE_MAX:.0}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// Requests of a shape at their moments, ascending. The same seed gives the same.
#[derive(Clone, Debug)]
pub struct Replay {
    servers: Vec<Played>,
    classes: Arc<[Class]>,
    /// Requests per second, for all.
    rate: f64,
    lasts: Duration,
}

/// A class of a shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// Its name in the shape.
    pub name: String,
    /// Its statement without literals; empty where it is not known.
    pub text: String,
    /// How many of the recorded requests are of it.
    pub recorded: u64,
}

/// One server of the shape. Each has windows of its own.
#[derive(Clone, Debug)]
struct Played {
    pieces: Pieces,
    /// What is due of the piece that is being played, ascending.
    due: VecDeque<Due>,
}

/// One window, ready to be played.
#[derive(Clone, Debug)]
struct Content {
    span_us: u64,
    /// Ascending, all before the end.
    requests: Vec<(u64, u16, Hold)>,
}

impl Replay {
    /// Plays this shape for so long, at `scale` times its rate.
    ///
    /// # Errors
    /// There is nothing to play, or no such scale.
    pub fn new(
        shape: &Shape,
        scale: f64,
        lasts: Duration,
        seed: u64,
    ) -> Result<Replay, ReplayError> {
        if !(scale > 0.0 && scale <= SCALE_MAX) {
            return Err(ReplayError::Scale);
        }
        let (classes, numbers) = classes(shape);
        let mut rng = Rng::new(seed);
        let mut rate = 0.0;
        let mut servers = Vec::new();
        for (server, numbers) in shape.servers.iter().zip(&numbers) {
            let contents = contents(server, numbers, &mut rng);
            let stands = server.stands();
            let pieces = Pieces::new(contents, &stands, scale, lasts, rng.bits());
            if let Some(pieces) = pieces {
                rate += pieces.rate();
                servers.push(Played {
                    pieces,
                    due: VecDeque::new(),
                });
            }
        }
        match servers.is_empty() {
            true => Err(ReplayError::Empty),
            false => Ok(Replay {
                servers,
                classes: classes.into(),
                rate,
                lasts,
            }),
        }
    }

    /// The classes, as [`Due::class`] numbers them.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Requests per second on average.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How many requests are to be expected in all.
    pub fn expected(&self) -> f64 {
        self.rate * self.lasts.as_secs_f64()
    }

    /// How long it lasts.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }
}

impl Iterator for Replay {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        self.servers.iter_mut().for_each(Played::fill);
        let heads = self.servers.iter().enumerate();
        let heads = heads.filter_map(|(i, server)| Some((server.due.front()?.at, i)));
        let (_, first) = heads.min()?;
        self.servers.get_mut(first)?.due.pop_front()
    }
}

impl Played {
    /// There is a next request, unless there is none any more.
    fn fill(&mut self) {
        while self.due.is_empty() {
            let Some(piece) = self.pieces.next() else {
                return;
            };
            piece.play(&mut self.due);
        }
    }
}

/// The classes of all servers by name, and for each server the numbers of its own.
fn classes(shape: &Shape) -> (Vec<Class>, Vec<Vec<u16>>) {
    let mut all: Vec<Class> = Vec::new();
    let mut numbers = Vec::new();
    for server in &shape.servers {
        let mut counts = vec![0; server.classes.len().max(1)];
        for r in server.windows.iter().flat_map(|w| &w.requests) {
            if let Some(count) = counts.get_mut(usize::from(r.class)) {
                *count += 1;
            }
        }
        let mut of_server = Vec::new();
        for (at, recorded) in counts.into_iter().enumerate() {
            let class = server.classes.get(at).cloned().unwrap_or_default();
            let name = match class.name.is_empty() {
                true => "other".to_owned(),
                false => class.name,
            };
            let found = all.iter().position(|c| c.name == name);
            let found = found.unwrap_or_else(|| {
                all.push(Class {
                    name,
                    text: class.text,
                    recorded: 0,
                });
                all.len() - 1
            });
            if let Some(class) = all.get_mut(found) {
                class.recorded += recorded;
            }
            of_server.push(u16::try_from(found).unwrap_or(0));
        }
        numbers.push(of_server);
    }
    (all, numbers)
}

/// What is to be played of each window.
fn contents(server: &ServerShape, numbers: &[u16], rng: &mut Rng) -> Vec<Content> {
    let windows = server.windows.iter();
    let contents = windows.map(|window| {
        let span_us = u64::from(window.span_us).max(1);
        let granted: Vec<&Request> = window.requests.iter().filter(|r| r.granted()).collect();
        let mut requests: Vec<(u64, u16, Hold)> = Vec::with_capacity(window.requests.len());
        for r in &window.requests {
            // Those that got no connection wanted one all the same: as another of
            // the same application did, or any.
            let like = match r.granted() {
                true => Some(r),
                false => {
                    let same = |g: &&&Request| g.pool == r.pool && g.flow == r.flow;
                    let alike: Vec<&Request> = granted.iter().filter(same).copied().collect();
                    pick(&alike, rng).or_else(|| pick(&granted, rng))
                }
            };
            let class = like.map_or(0, |like| usize::from(like.class));
            let at = u64::from(r.asked_us).min(span_us - 1);
            let class = numbers.get(class).copied().unwrap_or(0);
            requests.push((at, class, like.map(hold).unwrap_or_default()));
        }
        requests.sort_by_key(|(at, ..)| *at);
        Content { span_us, requests }
    });
    contents.collect()
}

fn pick<'a>(among: &[&'a Request], rng: &mut Rng) -> Option<&'a Request> {
    let at = rng.below(among.len() as u64) as usize;
    among.get(at).copied()
}

/// Whose time a hold was. One that had not ended lasted as long as it is known to.
fn hold(r: &Request) -> Hold {
    debug_assert!(matches!(r.end, End::Returned | End::Held));
    let held = Duration::from_micros(u64::from(r.hold_us)).min(HOLD_MAX);
    let idle = Duration::from_micros(u64::from(r.idle_us)).min(held);
    Hold {
        busy: held - idle,
        idle,
    }
}

impl Piece {
    /// Adds what is due in it.
    fn play(&self, due: &mut VecDeque<Due>) {
        let from = due.len();
        for voice in &self.voices {
            self.content.sing(self, voice, due);
        }
        due.make_contiguous()
            .get_mut(from..)
            .unwrap_or_default()
            .sort_by_key(|due| due.at);
    }
}

impl Content {
    /// What one voice says in a piece.
    fn sing(&self, piece: &Piece, voice: &pieces::Voice, due: &mut VecDeque<Due>) {
        let span = self.span_us as f64;
        let first = voice.from_us / span;
        let mut turn = first.floor();
        loop {
            for (at, class, hold) in &self.requests {
                let place = turn * span + *at as f64;
                // In whole microseconds, so that no request is lost or doubled between pieces.
                let after = ((place - voice.from_us) / voice.speed).round();
                if after < 0.0 {
                    continue;
                }
                if after >= piece.lasts_us as f64 {
                    return;
                }
                due.push_back(Due {
                    at: Duration::from_micros(piece.at_us + after as u64),
                    class: *class,
                    hold: Some(*hold),
                });
            }
            if self.requests.is_empty() {
                return;
            }
            turn += 1.0;
        }
    }
}

#[cfg(test)]
mod tests;
