//! How late the generator itself was: what a run is declared invalid by.

use super::book::micros;
use crate::measured::times;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Fewer requests than these say little of the generator's lag alone.
const FEW: u64 = 1_000;

/// What was late that is nobody's fault but the generator's.
pub(crate) struct Lateness {
    /// Of requests, beside what kept them from being sent.
    lag: Histogram<u64>,
    /// Of its own clock, which tells whether it has a CPU.
    ticks: Histogram<u64>,
}

impl Lateness {
    pub(crate) fn new() -> Lateness {
        Lateness {
            lag: times(),
            ticks: times(),
        }
    }

    /// A message left so long after it could have.
    pub(crate) fn sent(&mut self, late: Duration) {
        self.lag.saturating_record(micros(late));
    }

    /// Its clock ticked so long after it should have.
    pub(crate) fn ticked(&mut self, late: Duration) {
        self.ticks.saturating_record(micros(late));
    }

    /// The 99th percentile of the worse of the two so far, microseconds.
    pub(crate) fn p99_us(&self) -> u64 {
        p99(&self.lag).max(p99(&self.ticks))
    }

    /// The worse of the two, by which the run is judged. Of few requests one in a hundred
    /// is a single one; then both are counted together.
    pub(crate) fn worse(mut self) -> Histogram<u64> {
        if self.lag.len() < FEW {
            self.lag.add(&self.ticks).ok();
        }
        match p99(&self.ticks) > p99(&self.lag) {
            true => self.ticks,
            false => self.lag,
        }
    }
}

fn p99(times: &Histogram<u64>) -> u64 {
    times.value_at_quantile(0.99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_the_two_judges_and_few_requests_do_not_judge_alone() {
        let (us, ms) = (Duration::from_micros(100), Duration::from_millis(5));
        let of = |sent: u64, late: Duration, ticked: Duration| {
            let mut lateness = Lateness::new();
            (0..sent).for_each(|_| lateness.sent(late));
            (0..10_000).for_each(|_| lateness.ticked(ticked));
            let seen = lateness.p99_us();
            (seen, p99(&lateness.worse()))
        };
        for (sent, late, ticked, judged_us) in [
            (5_000, us, us, 100..110),
            (5_000, ms, us, 5_000..5_100),
            (5_000, us, ms, 5_000..5_100),
            // One of ten requests is no hundredth of anything.
            (10, ms, us, 100..110),
            (0, us, us, 100..110),
        ] {
            let (_, worse) = of(sent, late, ticked);
            assert!(
                judged_us.contains(&worse),
                "{sent} {late:?} {ticked:?}: {worse}"
            );
        }
        assert!(of(10, ms, us).0 >= 5_000, "meanwhile it is shown");
    }
}
