//! Which window is played when, at which rate, by how many voices.

use super::Content;
use super::debt::{Debt, Sums};
use crate::schedule::RATE_MAX;
use events::shape::Stand;
use sim::rng::Rng;
use std::sync::Arc;
use std::time::Duration;

/// Longest piece: what is due in one is in memory at a time.
const PIECE_US: u64 = 1_000_000;
/// Voices of one piece: a window that stands for more than so many of it loses the rest.
const VOICES_MAX: usize = 2_000;
/// Requests of a window in a microsecond: hostile numbers take no more memory than
/// a second at the highest rate that a scenario may ask for.
const DENSITY_MAX: f64 = RATE_MAX / 1e6;
/// A slower voice says nothing in any time that somebody waits.
const SPEED_MIN: f64 = 1e-6;
/// Places that are tried for voices that may begin anywhere.
const TRIES: usize = 16;

/// Some time in which one window is played.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// When it begins, from the start of the run.
    pub at_us: u64,
    pub lasts_us: u64,
    pub content: Arc<Content>,
    pub voices: Vec<Voice>,
}

/// Goes through a window, over and over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    /// Where in the window it is when the piece begins, microseconds; it may be in a
    /// later turn.
    pub from_us: f64,
    /// Microseconds of the window in one of the run; at most 1.
    pub speed: f64,
}

/// One stretch of the run: a window for the time that it stands for.
#[derive(Clone, Debug)]
struct Stretch {
    content: Arc<Content>,
    sums: Arc<Sums>,
    lasts_us: u64,
    /// The rate, in times that of the window: while it is what was recorded, and after.
    first: f64,
    then: f64,
    /// How long it is what was recorded.
    first_us: u64,
}

/// All stretches, over and over, until the time is over.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    stretches: Vec<Stretch>,
    at: usize,
    /// How far into the stretch, and into the run.
    within_us: u64,
    now_us: u64,
    end_us: u64,
    rng: Rng,
    debt: Debt,
    /// The voices of the part of the stretch that is being played.
    voices: Vec<Voice>,
    rate: f64,
}

impl Pieces {
    /// `None`: there is no request in any of them.
    pub fn new(
        contents: Vec<Content>,
        stands: &[Stand],
        scale: f64,
        lasts: Duration,
        seed: u64,
    ) -> Option<Pieces> {
        let end_us = u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX);
        let all_us = stands.iter().map(|s| u128::from(s.lasts_us)).sum::<u128>();
        if contents.iter().all(|c| c.requests.is_empty()) || end_us == 0 {
            return None;
        }
        // A day that is played in an hour: each window has its share of it.
        let share = (end_us as f64 / all_us as f64).min(1.0);
        let stretches: Vec<Stretch> = (contents.into_iter().zip(stands))
            .map(|(content, stand)| Stretch::new(content, *stand, scale, share))
            .collect();
        let requests: f64 = stretches.iter().map(Stretch::expected).sum();
        let turn_us: f64 = stretches.iter().map(|s| s.lasts_us as f64).sum();
        Some(Pieces {
            stretches,
            at: 0,
            within_us: 0,
            now_us: 0,
            end_us,
            rng: Rng::new(seed),
            debt: Debt::default(),
            voices: Vec::new(),
            rate: requests / turn_us.max(1.0) * 1e6,
        })
    }

    /// Requests per second, on average over all stretches.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

impl Stretch {
    fn new(content: Content, stand: Stand, scale: f64, share: f64) -> Stretch {
        let recorded = content.requests.len().max(1) as f64;
        let (span, stands) = (content.span_us, stand.lasts_us.max(content.span_us));
        let requests = stand.requests.max(content.requests.len() as u64) as f64;
        let lasts_us = ((stands as f64 * share).round() as u64).max(1);
        let (first, then, first_us) = if share < 1.0 {
            // The rate of all the time that it stands for.
            let times = requests / recorded * span as f64 / stands as f64;
            (times, times, 0)
        } else {
            let rest = (stands - span) as f64;
            let times = (requests - recorded) / recorded * span as f64 / rest.max(1.0);
            (1.0, times, span)
        };
        let most = (DENSITY_MAX * span as f64 / recorded).min(VOICES_MAX as f64);
        let bounded = |times: f64| (times * scale).min(most);
        Stretch {
            sums: Arc::new(Sums::of(&content)),
            content: Arc::new(content),
            lasts_us,
            first: bounded(first),
            then: bounded(then),
            first_us,
        }
    }

    fn expected(&self) -> f64 {
        let each = self.content.requests.len() as f64 / self.content.span_us as f64;
        let first_us = self.first_us.min(self.lasts_us) as f64;
        let then_us = self.lasts_us as f64 - first_us;
        each * (self.first * first_us + self.then * then_us)
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.now_us >= self.end_us {
            return None;
        }
        let stretch = self.stretches.get(self.at)?.clone();
        let begins = self.within_us == 0 || self.within_us == stretch.first_us;
        let recorded = self.within_us < stretch.first_us;
        let until = match recorded {
            true => stretch.first_us.min(stretch.lasts_us),
            false => stretch.lasts_us,
        };
        if begins {
            let times = if recorded {
                stretch.first
            } else {
                stretch.then
            };
            let whole = recorded || self.within_us == 0;
            let part_us = until - self.within_us;
            self.voices = self.placed(&stretch, times, part_us, whole);
        }
        let left = (until - self.within_us).min(PIECE_US);
        let lasts_us = left.min(self.end_us - self.now_us).max(1);
        let piece = Piece {
            at_us: self.now_us,
            lasts_us,
            content: Arc::clone(&stretch.content),
            voices: self.voices.clone(),
        };
        for voice in &mut self.voices {
            voice.from_us += lasts_us as f64 * voice.speed;
        }
        self.now_us += lasts_us;
        self.within_us += lasts_us;
        if self.within_us >= stretch.lasts_us {
            self.within_us = 0;
            self.at = (self.at + 1) % self.stretches.len();
        }
        Some(piece)
    }
}

impl Pieces {
    /// Voices for a part of a stretch. A few long holds are most of what is held: of
    /// some places those are taken that best make up for what was played too little or
    /// too much so far.
    fn placed(&mut self, stretch: &Stretch, times: f64, part_us: u64, whole: bool) -> Vec<Voice> {
        let span_us = stretch.content.span_us;
        let sums = &stretch.sums;
        let wanted = sums.whole(span_us) * (times * part_us as f64 / span_us as f64);
        let mut best: Option<(Debt, Vec<Voice>)> = None;
        for _ in 0..TRIES {
            let voices = voices(times, span_us, whole, &mut self.rng);
            let played = voices.iter().map(|voice| {
                let until_us = voice.from_us + voice.speed * part_us as f64;
                sums.between(voice.from_us, until_us, span_us)
            });
            let debt = self.debt + wanted - played.sum();
            if (best.as_ref()).is_none_or(|(least, _)| debt.size(wanted) < least.size(wanted)) {
                best = Some((debt, voices));
            }
        }
        let (debt, voices) = best.unwrap_or_default();
        self.debt = debt;
        voices
    }
}

/// So many times the rate of a window. The first begins with the window where
/// `whole` is set, the others anywhere.
fn voices(times: f64, span_us: u64, whole: bool, rng: &mut Rng) -> Vec<Voice> {
    let full = times.floor();
    let mut speeds = vec![1.0; (full as usize).min(VOICES_MAX)];
    speeds.extend(Some(times - full).filter(|rest| *rest > SPEED_MIN));
    let place = |(at, speed): (usize, f64)| Voice {
        from_us: match at == 0 && whole && speed == 1.0 {
            true => 0.0,
            false => rng.below(span_us) as f64,
        },
        speed,
    };
    speeds.into_iter().enumerate().map(place).collect()
}
