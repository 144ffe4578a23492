//! When requests are meant to be sent.
//!
//! The load is open: a request is due when the schedule says so, whatever became
//! of those before it. Latency is counted from that moment. A closed loop waits
//! for a slow reply before it asks again, and so leaves out just the requests
//! that would have been slow (coordinated omission: Gil Tene, "How NOT to measure
//! latency", 2013).
//!
//! ```text
//!   rate  ▁▁▁▁╱▔▔▔▔▔│▁▁▁   phases: hold, ramp, hold, hold
//!   due   · ·  · ·····  ·  Λ(due) = sum of exponential (or equal) steps
//! ```

use sim::rng::Rng;
use std::time::Duration;

/// Most requests per second that a phase may ask for.
pub const RATE_MAX: f64 = 1_000_000.0;
/// Part of a request by which sums of many may be off.
const ROUNDING: f64 = 1e-6;

/// A stretch of time in which the rate goes from one value to another in a line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Phase {
    /// Requests per second at its begin.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// How long it lasts.
    pub lasts: Duration,
}

/// How requests come within the rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Arrivals {
    /// Each on its own, as users do: a Poisson process.
    #[default]
    Poisson,
    /// One after the other at equal distances, as a cron job does.
    Even,
}

/// The moments at which requests are due, from the start of the run, ascending.
/// The same seed gives the same moments.
#[derive(Clone, Debug)]
pub struct Schedule {
    phases: Vec<Phase>,
    arrivals: Arrivals,
    rng: Rng,
    /// The phase that the last moment was in, when that one began, and how far into it we are.
    at: usize,
    began_s: f64,
    within_s: f64,
}

impl Schedule {
    /// The schedule of these phases, one after the other.
    pub fn new(phases: Vec<Phase>, arrivals: Arrivals, seed: u64) -> Schedule {
        Schedule {
            phases,
            arrivals,
            rng: Rng::new(seed),
            at: 0,
            began_s: 0.0,
            within_s: 0.0,
        }
    }

    /// How long all phases last together.
    pub fn lasts(&self) -> Duration {
        self.phases.iter().map(|phase| phase.lasts).sum()
    }

    /// How many requests are to be expected in all.
    pub fn expected(&self) -> f64 {
        let each = self.phases.iter();
        each.map(|p| (p.from + p.to) / 2.0 * p.lasts.as_secs_f64())
            .sum()
    }

    /// How much of the expected number of requests lies between two of them.
    fn step(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Even => 1.0,
            // 53 bits, never zero: the logarithm is finite.
            Arrivals::Poisson => -(((self.rng.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64).ln(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let mut owed = self.step();
        loop {
            let phase = *self.phases.get(self.at)?;
            let (lasts, within) = (phase.lasts.as_secs_f64(), self.within_s);
            let left = phase.expected(lasts) - phase.expected(within);
            // The last request of a phase is not lost to a rounding.
            if owed <= left + ROUNDING {
                self.within_s = phase.when(phase.expected(within) + owed).min(lasts);
                return Some(Duration::from_secs_f64(self.began_s + self.within_s));
            }
            owed -= left;
            self.began_s += lasts;
            self.within_s = 0.0;
            self.at += 1;
        }
    }
}

impl Phase {
    /// The same rate from begin to end.
    pub fn hold(rate: f64, lasts: Duration) -> Phase {
        Phase {
            from: rate,
            to: rate,
            lasts,
        }
    }

    fn slope(&self) -> f64 {
        let lasts = self.lasts.as_secs_f64();
        if lasts > 0.0 {
            (self.to - self.from) / lasts
        } else {
            0.0
        }
    }

    /// Requests to be expected in its first seconds.
    fn expected(&self, seconds: f64) -> f64 {
        seconds * (self.from + self.slope() * seconds / 2.0)
    }

    /// The inverse of [`Phase::expected`]: slope/2·t² + from·t = expected.
    fn when(&self, expected: f64) -> f64 {
        let root = (self.from * self.from + 2.0 * self.slope() * expected).max(0.0);
        // This form of the solution stays exact for slopes near zero.
        2.0 * expected / (self.from + root.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn all(phases: &[Phase], arrivals: Arrivals, seed: u64) -> Vec<f64> {
        let schedule = Schedule::new(phases.to_vec(), arrivals, seed);
        schedule.map(|due| due.as_secs_f64()).collect()
    }

    #[test]
    fn even_requests_come_at_equal_distances_over_the_ends_of_phases() {
        let due = all(
            &[Phase::hold(2.0, s(1)), Phase::hold(4.0, s(1))],
            Arrivals::Even,
            1,
        );
        let expected = [0.5, 1.0, 1.25, 1.5, 1.75, 2.0];
        assert_eq!(due.len(), expected.len(), "{due:?}");
        for (due, expected) in due.iter().zip(expected) {
            assert!((due - expected).abs() < 1e-9, "{due} {expected}");
        }
    }

    #[test]
    fn a_ramp_sends_what_its_mean_rate_says_and_more_at_its_end() {
        let up = Phase {
            from: 0.0,
            to: 100.0,
            lasts: s(10),
        };
        let due = all(&[up], Arrivals::Even, 1);
        assert_eq!(due.len(), 500);
        // Half of the time has a quarter of the requests.
        assert_eq!(due.iter().filter(|due| **due < 5.0 + 1e-6).count(), 125);
        let down = Phase {
            from: 100.0,
            to: 0.0,
            lasts: s(10),
        };
        let due = all(&[down], Arrivals::Even, 1);
        assert_eq!(due.iter().filter(|due| **due < 5.0 + 1e-6).count(), 375);
        assert!(due.iter().all(|due| *due <= 10.0));
    }

    #[test]
    fn poisson_requests_are_as_many_and_as_uneven_as_they_should_be() {
        let due = all(&[Phase::hold(1_000.0, s(100))], Arrivals::Poisson, 7);
        let n = due.len() as f64;
        // Three standard deviations of a Poisson count.
        assert!((n - 100_000.0).abs() < 3.0 * 100_000f64.sqrt(), "{n}");
        let gaps: Vec<f64> = due.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // The coefficient of variation of exponential distances is one.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02);
        assert!(due.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn a_seed_says_all() {
        let phases = [Phase::hold(50.0, s(5))];
        let of = |seed| all(&phases, Arrivals::Poisson, seed);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn phases_without_time_or_without_requests_end() {
        let none = [Phase::hold(0.0, s(3)), Phase::hold(9.0, s(0))];
        assert_eq!(all(&none, Arrivals::Even, 1), Vec::<f64>::new());
        let later = [Phase::hold(0.0, s(3)), Phase::hold(1.0, s(2))];
        assert_eq!(all(&later, Arrivals::Even, 1), [4.0, 5.0]);
        let schedule = Schedule::new(later.to_vec(), Arrivals::Even, 1);
        assert_eq!((schedule.lasts(), schedule.expected()), (s(5), 2.0));
    }
}
