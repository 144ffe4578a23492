//! Windows are samples: for how long each stands, and for how many requests.

use super::{ServerShape, Window};

/// What a window stands for: the time until the next one began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stand {
    /// How long, microseconds; at least the window's own span.
    pub lasts_us: u64,
    /// Requests within, recorded or not; at least those of the window.
    pub requests: u64,
}

/// Where nobody counted, the last window stands for no more than this.
const LAST_US: u64 = 10_000_000;

impl ServerShape {
    /// For each window what it stands for. Where requests were not counted
    /// (version 1), those between two windows came as those in the first.
    pub fn stands(&self) -> Vec<Stand> {
        let counted = self.asked > 0;
        let ends = match counted {
            true => self.until_us,
            false => self.windows.last().map_or(0, |w| w.at_us + LAST_US),
        };
        let next = self.windows.iter().skip(1).map(|w| (w.at_us, w.before));
        let next = next.chain([(ends, self.asked)]);
        let pairs = self.windows.iter().zip(next);
        pairs
            .map(|(window, (at_us, before))| {
                let span = u64::from(window.span_us).max(1);
                let lasts_us = at_us.saturating_sub(window.at_us).max(span);
                let recorded = window.requests.len() as u64;
                let requests = match counted {
                    true => before.saturating_sub(window.before).max(recorded),
                    false => (lasts_us as f64 / span as f64 * recorded as f64) as u64,
                };
                Stand { lasts_us, requests }
            })
            .collect()
    }
}

impl Window {
    /// When it began, whole seconds.
    pub fn at_s(&self) -> u64 {
        self.at_us / 1_000_000
    }

    /// When it ended, microseconds on the clock of [`Window::at_us`].
    pub fn ends_us(&self) -> u64 {
        self.at_us.saturating_add(u64::from(self.span_us))
    }
}
