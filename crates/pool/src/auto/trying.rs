//! A size under trial: begun, measured, kept or taken back.

use super::window::{Gain, Window};
use super::{Auto, PAUSE, PAUSE_MAX, STEP, STEP_MIN, Sample, SizeChange, is_saturated};
use events::{SizeReason, Time};

/// A larger size must bring this much more, as a share.
const UP_GAIN: f64 = 0.02;
/// A smaller size may cost this much throughput. Less than [`UP_GAIN`]: the
/// two never chase each other.
const DOWN_LOSS: f64 = 0.01;
/// Clients that were not waiting are made to wait only where this is won.
const UNASKED_GAIN: f64 = 0.02;
/// How many standard errors make a verdict early.
const SURE: f64 = 1.5;
/// For keeping less, more is asked.
const SURE_OF_LESS: f64 = 2.0;
const TRY_MIN_OF_LESS: u32 = 6;
/// An unclear result is believed only below these standard errors.
const NOISE_UP: f64 = 0.03;
const NOISE_DOWN: f64 = 0.02;
/// A try without a clear result ends after so many samples.
const TRY_MAX: u32 = 24;
/// A verdict on little difference needs so many samples.
pub(super) const TRY_MIN: u32 = 3;
/// A size with fewer samples is measured again before it loses to a larger one.
const BASE_KNOWN: u32 = 6;

/// A size under trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    /// Where it goes back to.
    from: u32,
    /// What was measured there; for a series of smaller sizes, at the first.
    base: Window,
    window: Window,
    kind: Kind,
    factor: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Larger,
    Smaller,
    /// Smaller than the traffic needs, though nobody had to wait before.
    SmallerUnasked,
    /// The size before a larger one, measured anew because it hardly was.
    Again,
}

/// What a try has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Open,
    Keep,
    Back,
    /// No result, and the size that it is compared with was hardly measured.
    BaseUnknown,
}

impl Auto {
    pub(super) fn begin(
        &mut self,
        now: Time,
        s: &Sample,
        to: u32,
        kind: Kind,
        factor: f64,
    ) -> SizeChange {
        let mut base = self.measured();
        if base.ticks == 0 {
            base.add(s, is_saturated(s, self.size));
        }
        self.trial = Some(Try {
            from: self.size,
            base,
            window: Window::default(),
            kind,
            factor,
        });
        let reason = match kind {
            Kind::Larger => SizeReason::ClientsWait,
            _ => SizeReason::LatencyOnly,
        };
        self.change(now, to, reason, &base)
    }

    pub(super) fn judge(&mut self, now: Time, s: &Sample, mut trial: Try) -> Option<SizeChange> {
        let as_strong = 0.7 * (trial.base.queued() + trial.base.held()).min(f64::from(trial.from));
        let saturated = is_saturated(s, self.size);
        if !saturated && s.queued + s.held < as_strong {
            // Less traffic than there was: it says nothing about the size.
            self.trial = Some(trial);
            return None;
        }
        trial.window.add(s, saturated);
        let gain = match trial.kind {
            Kind::SmallerUnasked => Gain::by_response(&trial.window, &trial.base),
            Kind::Larger | Kind::Smaller | Kind::Again => Gain::of(&trial.window, &trial.base),
        };
        match verdict(&trial, gain) {
            Verdict::Open => {
                self.trial = Some(trial);
                None
            }
            Verdict::Keep => self.keep(now, &trial, gain),
            Verdict::Back => self.go_back(now, s, &trial, gain),
            Verdict::BaseUnknown if !self.may_try(now) => self.go_back(now, s, &trial, gain),
            Verdict::BaseUnknown => {
                // The other way round: does the old size cost anything?
                self.trial = Some(Try {
                    from: self.size,
                    base: trial.window,
                    window: Window::default(),
                    kind: Kind::Again,
                    factor: trial.factor,
                });
                Some(self.change(now, trial.from, SizeReason::NoGain, &trial.window))
            }
        }
    }

    fn keep(&mut self, now: Time, trial: &Try, gain: Gain) -> Option<SizeChange> {
        self.base = trial.window;
        self.proven = self.size;
        match trial.kind {
            Kind::Larger => {
                self.pause_up = (self.pause_up / 2).max(PAUSE);
                // The nearer the knee, the smaller the next step.
                let share = gain.value / (trial.factor - 1.0);
                self.factor = match share < 0.3 {
                    true => trial.factor.sqrt().max(STEP_MIN),
                    false => trial.factor,
                };
                self.next_up = now;
                None
            }
            Kind::Again => {
                // The larger size was no better: on with a smaller step.
                self.factor = trial.factor.sqrt().max(STEP_MIN);
                self.next_up = match trial.factor > STEP_MIN * 1.05 {
                    true => now,
                    false => now.after(self.pause_up),
                };
                None
            }
            Kind::Smaller | Kind::SmallerUnasked => {
                self.next_up = now.after(self.pause_up);
                self.factor = STEP_MIN;
                // Further down, measured against the first size of the series.
                let factor = match gain.value > 0.05 {
                    true => STEP.sqrt(),
                    false => STEP_MIN,
                };
                let to = self.smaller(f64::from(self.size), factor);
                if to >= self.size || !self.may_try(now) {
                    return None;
                }
                let base = match gain.value > 0.0 {
                    true => trial.window,
                    false => trial.base,
                };
                self.trial = Some(Try {
                    from: self.size,
                    base,
                    window: Window::default(),
                    ..*trial
                });
                Some(self.change(now, to, SizeReason::LatencyOnly, &trial.window))
            }
        }
    }

    fn go_back(&mut self, now: Time, s: &Sample, trial: &Try, gain: Gain) -> Option<SizeChange> {
        match trial.kind {
            Kind::Larger => {
                let factor = trial.factor.sqrt();
                let to = self.larger(trial.from, factor).min(self.limit(s));
                let between = to < self.size && to > trial.from;
                if trial.factor > STEP_MIN * 1.05 && between && self.may_try(now) {
                    self.trial = Some(Try {
                        window: Window::default(),
                        factor: factor.max(STEP_MIN),
                        ..*trial
                    });
                    return Some(self.change(now, to, SizeReason::NoGain, &trial.window));
                }
                self.next_up = now.after(self.pause_up);
                self.pause_up = (self.pause_up * 2).min(PAUSE_MAX);
                self.factor = STEP.sqrt();
                self.may_shrink = gain.value < DOWN_LOSS;
                Some(self.change(now, trial.from, SizeReason::NoGain, &trial.window))
            }
            Kind::Again => {
                self.proven = self.proven.max(trial.from);
                Some(self.change(now, trial.from, SizeReason::Needed, &trial.window))
            }
            Kind::Smaller | Kind::SmallerUnasked => {
                self.next_down = now.after(self.pause_down);
                self.pause_down = (self.pause_down * 2).min(PAUSE_MAX);
                Some(self.change(now, trial.from, SizeReason::Needed, &trial.window))
            }
        }
    }
}

fn verdict(trial: &Try, gain: Gain) -> Verdict {
    let ticks = trial.window.ticks;
    let least = match trial.kind {
        Kind::Larger if trial.window.is_saturated() => UP_GAIN,
        // Nobody waits any more: that is the gain, unless it costs.
        Kind::Larger => -UP_GAIN,
        Kind::Smaller | Kind::Again => -DOWN_LOSS,
        Kind::SmallerUnasked => UNASKED_GAIN,
    };
    let over = gain.value - least;
    let good = over > 0.0;
    let (sure, enough) = match (trial.kind, good) {
        // Growing and going back from less are safe: a single sample may do.
        (Kind::Larger, true) => (SURE, 1),
        (Kind::Larger, false) | (Kind::Again, _) => (SURE, TRY_MIN),
        (Kind::Smaller | Kind::SmallerUnasked, false) => (SURE, 1),
        (Kind::Smaller | Kind::SmallerUnasked, true) => (SURE_OF_LESS, TRY_MIN_OF_LESS),
    };
    if over.abs() > sure * gain.error && ticks >= enough {
        return if good { Verdict::Keep } else { Verdict::Back };
    }
    let noise = match trial.kind {
        Kind::Larger | Kind::Again => NOISE_UP,
        Kind::Smaller | Kind::SmallerUnasked => NOISE_DOWN,
    };
    let base_unknown = trial.base.ticks < BASE_KNOWN && trial.kind == Kind::Larger;
    match trial.kind {
        _ if base_unknown && ticks >= BASE_KNOWN => Verdict::BaseUnknown,
        _ if ticks < TRY_MAX => Verdict::Open,
        Kind::Again if good => Verdict::Keep,
        // Where chance alone makes such a difference, nothing changes.
        _ if good && gain.error < noise => Verdict::Keep,
        _ => Verdict::Back,
    }
}
