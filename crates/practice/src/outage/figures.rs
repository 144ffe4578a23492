//! What users met, second by second, and what that comes to.

use super::scenario::Steady;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first seconds of a run warm up and say nothing of the hypothesis.
const WARM_S: f64 = 3.0;
/// A second hurts when more than this share of its requests (and more than one) is bad.
const HURTS: f64 = 0.05;
/// Share of requests that may go unsent before a run is no measurement.
const UNSENT: f64 = 0.01;
/// A user is out of service when at least this share of what they asked for failed.
const OUT: f64 = 0.5;

/// One attempt of a user.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// When it was due, seconds since the begin.
    pub due_s: f64,
    /// From then to the end of the answer, or until the user gave up.
    pub took_ms: f64,
    /// The answer was 2xx and in time.
    pub served: bool,
    /// Who.
    pub user: u32,
}

/// One second of a run.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// Requests that were due in it.
    pub sent: u32,
    /// Of these, not served.
    pub failed: u32,
    /// Served, but slower than the hypothesis allows.
    pub slow: u32,
}

/// What a run comes to. Everything but the calm counts from the blow on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Each second of the run.
    pub seconds: Vec<Second>,
    /// Share of requests served before the blow.
    pub calm_served: f64,
    /// Their 99th percentile, milliseconds.
    pub calm_p99_ms: f64,
    /// Requests.
    pub requests: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Share of requests that failed from the first second that hurt to the last.
    pub failed_while_hurt: f64,
    /// Users who came in that time.
    pub users: u64,
    /// Of these, those for whom at least half of what they then asked for failed.
    pub users_out: u64,
    /// The 99th percentile, the time until somebody gave up among it, milliseconds.
    pub p99_ms: f64,
    /// Seconds that hurt.
    pub hurt_s: u64,
    /// When it began to hurt, seconds since the begin.
    pub hurts_from_s: Option<f64>,
    /// From when on it did not hurt again until the end.
    pub well_from_s: Option<f64>,
}

impl Second {
    /// More than one in twenty was not served in time.
    pub fn hurts(&self) -> bool {
        let bad = self.failed + self.slow;
        bad > 1 && f64::from(bad) > HURTS * f64::from(self.sent)
    }
}

impl Figures {
    /// What these come to; `blow_s`: when the method began.
    pub fn of(samples: &[Sample], steady: Steady, blow_s: f64) -> Figures {
        let (calm, then): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| sample.due_s < blow_s);
        let warm: Vec<&&Sample> = calm.iter().filter(|s| s.due_s >= WARM_S).collect();
        let seconds = seconds(samples, steady);
        let from = blow_s.floor() as usize;
        let hurt = |at: &usize| seconds.get(*at).is_some_and(Second::hurts);
        let mut hurts = (from..seconds.len()).filter(hurt);
        let hurt_s = hurts.clone().count() as u64;
        let last = hurts.clone().next_back();
        let well = last.is_none_or(|last| last + 1 < seconds.len());
        let first = hurts.next();
        let span = first
            .zip(last)
            .map(|(first, last)| first as f64..(last + 1) as f64);
        let in_it = |s: &&&Sample| span.as_ref().is_some_and(|span| span.contains(&s.due_s));
        let meanwhile: Vec<&&Sample> = then.iter().filter(in_it).collect();
        let mut users: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        for sample in &meanwhile {
            let user = users.entry(sample.user).or_default();
            user.0 += 1;
            user.1 += u32::from(!sample.served);
        }
        let out = |(asked, failed): &&(u32, u32)| f64::from(*failed) >= OUT * f64::from(*asked);
        let lost = meanwhile.iter().filter(|s| !s.served).count();
        Figures {
            calm_served: share(warm.iter().filter(|s| s.served).count(), warm.len()),
            calm_p99_ms: p99(warm.iter().map(|s| s.took_ms)),
            requests: then.len() as u64,
            failed: then.iter().filter(|s| !s.served).count() as u64,
            failed_while_hurt: share(lost, meanwhile.len()),
            users: users.len() as u64,
            users_out: users.values().filter(out).count() as u64,
            p99_ms: p99(then.iter().map(|s| s.took_ms)),
            hurt_s,
            hurts_from_s: first.map(|at| at as f64),
            well_from_s: last.filter(|_| well).map(|last| (last + 1) as f64),
            seconds,
        }
    }

    /// Since when it hurts, so far; what is still under way is not known to be bad.
    pub fn hurts_since(samples: &[Sample], steady: Steady, blow_s: f64) -> Option<f64> {
        let seconds = seconds(samples, steady);
        let from = blow_s.floor() as usize;
        let mut hurts = seconds.iter().enumerate().skip(from);
        hurts
            .find(|(_, second)| second.hurts())
            .map(|(at, _)| at as f64)
    }

    /// Why the run says nothing: the hypothesis did not hold before the blow, or `unsent`
    /// requests could not be sent when they were due.
    pub fn void(&self, steady: Steady, unsent: u64) -> Option<String> {
        let sent: u64 = self
            .seconds
            .iter()
            .map(|second| u64::from(second.sent))
            .sum();
        if unsent as f64 > UNSENT * sent as f64 {
            return Some(format!(
                "the generator could not send {unsent} requests when they were due"
            ));
        }
        let limit = steady.p99.as_secs_f64() * 1e3;
        // Not "less than": a share of nothing is none.
        if self.calm_served >= steady.served && self.calm_p99_ms <= limit {
            return None;
        }
        Some(format!(
            "the steady state did not hold before it began: {:.2} % served (at least {:.2} %), p99 {:.0} ms (at most {limit:.0} ms)",
            self.calm_served * 100.0,
            steady.served * 100.0,
            self.calm_p99_ms
        ))
    }

    /// Share of requests that failed.
    pub fn failed_share(&self) -> f64 {
        share(self.failed as usize, self.requests as usize)
    }

    /// Share of users who were out of service.
    pub fn out_share(&self) -> f64 {
        share(self.users_out as usize, self.users as usize)
    }

    /// Seconds from the first hurt until it was over for good; `None`: it never hurt, or did to the end.
    pub fn recovery_s(&self) -> Option<f64> {
        Some(self.well_from_s? - self.hurts_from_s?)
    }
}

fn seconds(samples: &[Sample], steady: Steady) -> Vec<Second> {
    let limit = steady.p99.as_secs_f64() * 1e3;
    let mut seconds: Vec<Second> = Vec::new();
    for sample in samples {
        let at = sample.due_s.max(0.0) as usize;
        if seconds.len() <= at {
            seconds.resize(at + 1, Second::default());
        }
        let Some(second) = seconds.get_mut(at) else {
            continue;
        };
        second.sent += 1;
        second.failed += u32::from(!sample.served);
        second.slow += u32::from(sample.served && sample.took_ms > limit);
    }
    seconds
}

fn share(part: usize, of: usize) -> f64 {
    match of {
        0 => 0.0,
        of => part as f64 / of as f64,
    }
}

/// The 99th percentile; 0 of nothing.
fn p99(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    let at = (all.len() * 99).div_ceil(100);
    all.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const STEADY: Steady = Steady {
        served: 0.99,
        p99: Duration::from_secs(1),
    };

    /// Ten requests a second for a minute, of ten users; those that `bad` picks fail.
    fn run(bad: impl Fn(u32, u32) -> bool) -> Vec<Sample> {
        let each = (0..60).flat_map(|s| (0..10).map(move |user| (s, user)));
        each.map(|(s, user)| Sample {
            due_s: f64::from(s) + f64::from(user) / 10.0,
            took_ms: 20.0,
            served: !bad(s, user),
            user,
        })
        .collect()
    }

    #[test]
    fn an_outage_has_a_begin_and_an_end() {
        let figures = Figures::of(
            &run(|s, user| (22..40).contains(&s) && user < 8),
            STEADY,
            20.0,
        );
        assert_eq!(figures.void(STEADY, 0), None);
        assert_eq!((figures.requests, figures.failed), (400, 144));
        assert_eq!(
            (figures.hurts_from_s, figures.well_from_s),
            (Some(22.0), Some(40.0))
        );
        assert_eq!((figures.hurt_s, figures.recovery_s()), (18, Some(18.0)));
        assert_eq!((figures.users, figures.users_out), (10, 8), "while it hurt");
        assert_eq!(figures.failed_while_hurt, 0.8);
        let figures = Figures::of(&run(|s, user| s >= 30 && user < 8), STEADY, 20.0);
        assert_eq!(figures.users_out, 8);
        assert_eq!(
            (figures.well_from_s, figures.recovery_s()),
            (None, None),
            "to the end"
        );
    }

    #[test]
    fn one_lost_request_hurts_nobody_and_is_counted() {
        let figures = Figures::of(&run(|s, user| s == 30 && user == 3), STEADY, 20.0);
        assert_eq!(
            (figures.hurt_s, figures.hurts_from_s, figures.failed),
            (0, None, 1)
        );
    }

    #[test]
    fn what_is_too_slow_hurts_though_it_is_served() {
        let mut samples = run(|_, _| false);
        for sample in samples
            .iter_mut()
            .filter(|s| (30.0..33.0).contains(&s.due_s))
        {
            sample.took_ms = 1_500.0;
        }
        let figures = Figures::of(&samples, STEADY, 20.0);
        assert_eq!((figures.failed, figures.hurt_s), (0, 3));
        assert_eq!(figures.p99_ms, 1_500.0);
    }

    #[test]
    fn a_run_that_was_ill_before_says_nothing() {
        let figures = Figures::of(&run(|s, user| s < 15 && user == 1), STEADY, 20.0);
        let void = figures.void(STEADY, 0).unwrap();
        assert!(void.contains("92.94 % served (at least 99.00 %)"), "{void}");
        assert!(Figures::of(&[], STEADY, 20.0).void(STEADY, 0).is_some());
        // What was cold at the begin is not held against it.
        let figures = Figures::of(&run(|s, _| s < 2), STEADY, 20.0);
        assert_eq!(figures.void(STEADY, 0), None);
    }

    #[test]
    fn a_generator_that_was_held_up_measured_nothing() {
        let figures = Figures::of(&run(|_, _| false), STEADY, 20.0);
        // Of 600 requests.
        assert_eq!(figures.void(STEADY, 6), None);
        let void = figures.void(STEADY, 7).unwrap();
        assert!(void.contains("could not send 7 requests"), "{void}");
    }

    #[test]
    fn suffering_is_seen_while_it_begins() {
        let mut samples = run(|s, user| s >= 25 && user < 8);
        samples.truncate(252);
        assert_eq!(Figures::hurts_since(&samples, STEADY, 20.0), Some(25.0));
        samples.truncate(251);
        assert_eq!(Figures::hurts_since(&samples, STEADY, 20.0), None);
    }
}
