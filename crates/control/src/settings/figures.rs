//! What monitors see of the settings: which version serves, what is under way,
//! and how changes ended.

use config::rollout::{State, Why};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Written by the keeper, read at each scrape.
#[derive(Debug, Default)]
pub struct Figures {
    /// The version that serves.
    pub(crate) version: AtomicU64,
    /// A change is on its way.
    pub(crate) open: AtomicBool,
    /// The settings file says something that does not serve.
    pub(crate) drift: AtomicBool,
    /// The settings keep the instance from being ready.
    pub(crate) held_back: AtomicBool,
    applied: AtomicU64,
    rolled_back: [AtomicU64; Why::ALL.len()],
    refused: [AtomicU64; Why::ALL.len()],
}

/// Changes that ended so, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// "applied", "rolled_back" or "refused".
    pub end: &'static str,
    /// Why; empty: it stayed.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

impl Figures {
    /// A change came to its end.
    pub(crate) fn ended(&self, state: State) {
        let count = match state {
            State::Applied => Some(&self.applied),
            State::RolledBack(why) => self.rolled_back.get(why as usize),
            State::Refused(why) => self.refused.get(why as usize),
            _ => None,
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The version that serves.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// A change is on its way; the file differs; the instance is held back.
    pub fn flags(&self) -> [(&'static str, bool); 3] {
        [
            ("open", self.open.load(Ordering::Relaxed)),
            ("drift", self.drift.load(Ordering::Relaxed)),
            ("held_back", self.held_back.load(Ordering::Relaxed)),
        ]
    }

    /// How changes ended, every way that there is.
    pub fn ends(&self) -> Vec<Ends> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all = vec![Ends {
            end: State::Applied.label(),
            reason: "",
            count: read(&self.applied),
        }];
        for (at, why) in Why::ALL.into_iter().enumerate() {
            let ways = [
                (State::RolledBack(why), &self.rolled_back),
                (State::Refused(why), &self.refused),
            ];
            for (state, counts) in ways {
                all.push(Ends {
                    end: state.label(),
                    reason: why.label(),
                    count: counts.get(at).map_or(0, read),
                });
            }
        }
        all
    }
}
