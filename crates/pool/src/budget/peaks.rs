//! The most that was needed within the last moments.

use events::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// A claim that a peer wants is kept for what was in use within this time.
const WINDOW: Duration = Duration::from_secs(1);
/// Figures remembered, at most.
const PEAKS_MAX: usize = 64;

/// Falling figures, each with the time since when it is the highest.
#[derive(Clone, Debug, Default)]
pub(super) struct Peaks(VecDeque<(Time, u32)>);

impl Peaks {
    pub(super) fn note(&mut self, now: Time, needed: u32) {
        let old = |at: &Time| now.since(*at) > WINDOW;
        while self.0.front().is_some_and(|(at, _)| old(at)) {
            self.0.pop_front();
        }
        // Only falling figures are kept: the first is the highest.
        while self.0.back().is_some_and(|(_, n)| *n <= needed) {
            self.0.pop_back();
        }
        if self.0.len() == PEAKS_MAX {
            self.0.pop_back();
        }
        self.0.push_back((now, needed));
    }

    pub(super) fn most(&self) -> u32 {
        self.0.front().map_or(0, |(_, n)| *n)
    }
}
