//! What was to be played so far, and was not: requests, and the time that they hold.

use super::Content;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

/// Requests and the microseconds that they hold a connection. Of a debt both may be below 0.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Debt {
    pub requests: f64,
    pub held_us: f64,
}

impl Debt {
    /// How much it is beside what was wanted; both count alike.
    pub fn size(self, wanted: Debt) -> f64 {
        let part = |debt: f64, of: f64| debt.abs() / of.max(1.0);
        part(self.requests, wanted.requests) + part(self.held_us, wanted.held_us)
    }
}

impl Add for Debt {
    type Output = Debt;

    fn add(self, other: Debt) -> Debt {
        Debt {
            requests: self.requests + other.requests,
            held_us: self.held_us + other.held_us,
        }
    }
}

impl Sub for Debt {
    type Output = Debt;

    fn sub(self, other: Debt) -> Debt {
        self + other * -1.0
    }
}

impl Mul<f64> for Debt {
    type Output = Debt;

    fn mul(self, times: f64) -> Debt {
        Debt {
            requests: self.requests * times,
            held_us: self.held_us * times,
        }
    }
}

impl Sum for Debt {
    fn sum<I: Iterator<Item = Debt>>(all: I) -> Debt {
        all.fold(Debt::default(), Add::add)
    }
}

/// What a window holds up to each of its requests.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    /// The moment of a request, and all up to it, itself included; ascending.
    up_to: Vec<(u64, Debt)>,
}

impl Sums {
    pub fn of(content: &Content) -> Sums {
        let mut sum = Debt::default();
        let up_to = content.requests.iter().map(|(at, _, hold)| {
            let held_us = (hold.busy + hold.idle).as_micros() as f64;
            let one = Debt {
                requests: 1.0,
                held_us,
            };
            sum = sum + one;
            (*at, sum)
        });
        Sums {
            up_to: up_to.collect(),
        }
    }

    /// All that is before a place in the window.
    fn before(&self, place_us: f64) -> Debt {
        let at = (self.up_to).partition_point(|(at, _)| (*at as f64) < place_us);
        let last = at.checked_sub(1).and_then(|last| self.up_to.get(last));
        last.map_or(Debt::default(), |(_, sum)| *sum)
    }

    /// The whole window.
    pub fn whole(&self, span_us: u64) -> Debt {
        self.before(span_us as f64)
    }

    /// What a voice says between two places, of which each may be in a later turn.
    pub fn between(&self, from_us: f64, until_us: f64, span_us: u64) -> Debt {
        let span = span_us as f64;
        let up_to = |place: f64| {
            let turn = (place / span).floor();
            self.whole(span_us) * turn + self.before(place - turn * span)
        };
        up_to(until_us) - up_to(from_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Hold;
    use std::time::Duration;

    #[test]
    fn what_a_voice_says_is_counted_over_the_turns() {
        let request = |at: u64, ms: u64| {
            let busy = Duration::from_millis(ms);
            let hold = Hold {
                busy,
                ..Hold::default()
            };
            (at, 0, hold)
        };
        let content = Content {
            span_us: 100,
            requests: vec![request(0, 1), request(10, 2), request(99, 4)],
        };
        let sums = Sums::of(&content);
        for (from, until, requests, held_ms) in [
            (0.0, 100.0, 3.0, 7.0),
            (0.0, 0.0, 0.0, 0.0),
            (0.0, 10.0, 1.0, 1.0),
            (10.0, 99.0, 1.0, 2.0),
            (11.0, 111.0, 3.0, 7.0),
            (50.0, 250.0, 6.0, 14.0),
            (150.0, 201.0, 2.0, 5.0),
        ] {
            let found = sums.between(from, until, 100);
            let wanted = Debt {
                requests,
                held_us: held_ms * 1_000.0,
            };
            assert_eq!(found, wanted, "{from} to {until}");
        }
    }
}
