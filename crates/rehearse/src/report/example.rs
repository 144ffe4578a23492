//! A run for tests: a minute of two classes with five bad seconds in it.

use crate::compare::{Comparison, Figures};
use crate::limit::{Bounds, Limit, Search, Step};
use crate::measured::{
    ClassTally, Connections, Ended, Failure, Generator, Run, Second, Tally, times,
};
use hdrhistogram::Histogram;
use sim::rng::Rng;
use std::time::Duration;

/// A name that tries to be markup, a control sequence and a quoted end.
pub(crate) const HOSTILE: &str = "pay <b>&\"']]>\u{1b}[2J\u{202e}";
const SECONDS: u64 = 60;
const PER_SECOND: u64 = 200;

/// The same each time.
pub(crate) fn run() -> Run {
    of("shop through plimsoll at 127.0.0.1:6432", 7, 1.0)
}

/// A run whose times are so many times longer.
pub(crate) fn of(target: &str, seed: u64, slower: f64) -> Run {
    let mut rng = Rng::new(seed);
    let over = Duration::from_secs(SECONDS);
    // All, then each class.
    let mut tallies = [(); 3].map(|()| Tally::new(over));
    let seconds = (0..SECONDS).map(|at| second(&mut tallies, &mut rng, at, slower));
    let seconds = seconds.collect();
    let [all, browse, pay] = tallies;
    Run {
        target: target.to_owned(),
        began_unix_s: 1_795_337_490,
        planned: over,
        lasted: Duration::from_millis(60_412),
        all,
        classes: [("browse", browse), (HOSTILE, pay)]
            .map(|(name, tally)| ClassTally {
                name: name.to_owned(),
                tally,
            })
            .to_vec(),
        seconds,
        generator: Generator {
            lag: lags(40),
            starved: Some(0.002),
            cpu: Some(0.18),
            stand_ins: None,
        },
        connections: Connections {
            most: 20,
            opened: 21,
            open_mean_us: 2_310,
            lost: 1,
            refused: 3,
            refusal: Some("53300 too many connections\u{1b}[2J".to_owned()),
            refused_between: Some((Duration::from_secs(31), Duration::from_secs(34))),
        },
        ended: Ended::Whole,
    }
}

/// One second of it; five of them are bad.
fn second(tallies: &mut [Tally; 3], rng: &mut Rng, at: u64, slower: f64) -> Second {
    let bad = (30..35).contains(&at);
    let (mut latency, mut waits) = (times(), times());
    let mut second = Second::default();
    for _ in 0..PER_SECOND {
        let class = usize::from(rng.permille(100));
        let one = [1.0, 3.0][class] * slower;
        let service = (2_000.0 * one * (0.5 + rng.below(1_000) as f64 / 1e3)) as u64;
        let wait = match bad {
            true => rng.range(200_000, 1_900_000),
            false => rng.below(300),
        };
        let failed = bad && rng.permille(40);
        for of in [0, class + 1] {
            tallies[of].due += 1;
            match failed {
                true if class == 0 => tallies[of].fail(&Failure::Server("53300".to_owned())),
                true => tallies[of].fail(&Failure::NeverSent),
                false => tallies[of].answer(wait + service, wait, service),
            }
        }
        second.due += 1;
        second.failed += u64::from(failed);
        if !failed {
            second.answered += 1;
            latency.saturating_record(wait + service);
            waits.saturating_record(wait);
        }
    }
    second.latency_p50_us = latency.value_at_quantile(0.5);
    second.latency_p99_us = latency.value_at_quantile(0.99);
    second.latency_max_us = latency.max();
    second.wait_p99_us = waits.value_at_quantile(0.99);
    second.goodput = if bad { 120 } else { PER_SECOND };
    second.busy_max = if bad { 20 } else { 6 };
    second.queued_max = if bad { 310 } else { 0 };
    second
}

/// Eight rounds of two settings of which the second is a fifth slower; one is thrown away.
pub(crate) fn comparison(tolerate: Option<f64>) -> Comparison {
    let mut rounds: Vec<[Figures; 2]> = (0..8)
        .map(|round| {
            let noise = 1.0 + (round * 7 % 5) as f64 / 100.0;
            [("old", 1.0), ("new", 1.2 * noise)]
                .map(|(side, slower)| Figures::of(&of(side, round, slower)))
        })
        .collect();
    rounds[2][1].unusable = Some("the generator lagged\u{1b}[2J".to_owned());
    let names = ["plimsoll, pool of 20 <i>", "plimsoll, pool of 10"];
    Comparison::of(names, &rounds, tolerate)
}

/// A search over a server that carries a thousand.
pub(crate) fn limit(generator_to: f64) -> Limit {
    let mut search = Search::new(Bounds::new(20.0, 1e5).expect("sound bounds"));
    while let Some(rate) = search.next_rate() {
        let load: f64 = rate / 1_000.0;
        let over = load >= 1.0;
        let wait = if over {
            4e6
        } else {
            900.0 * load.powi(3) / (1.0 - load)
        };
        search.record(Step {
            rate,
            offered: rate,
            goodput: rate.min(1_000.0),
            p50_us: 2_000.0 + wait / 4.0,
            p99_us: 9_000.0 + wait * 2.0,
            wait_p99_us: wait,
            errors: if over { 0.02 } else { 0.0 },
            broken: None,
            invalid: (rate > generator_to).then(|| "the generator lagged".to_owned()),
        });
    }
    Limit::of("shop through plimsoll <b>", &search, None)
}

/// Makes it a run whose generator lagged.
pub(crate) fn lag(run: &mut Run) {
    run.generator.lag = lags(4_800);
    run.generator.starved = Some(0.22);
    run.generator.cpu = Some(1.0);
}

fn lags(us: u64) -> Histogram<u64> {
    let mut lag = times();
    for n in 1..=100 {
        lag.saturating_record(us * n / 100);
    }
    lag
}
