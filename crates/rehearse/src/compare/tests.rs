//! Equal sides are not blamed, real differences are found: over thousands of
//! comparisons whose noise is known.

use super::*;
use crate::report::example;

/// What blurs a modelled round.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Noise {
    /// Each figure by a factor of its own, log-normal.
    LogNormal,
    /// The same, and every run may be one and a half times slower as a whole.
    TwoStates,
    /// The same, and in each seventh run something else takes three times as long.
    Spikes,
    /// The same, and everything gets slower by a fiftieth with every run.
    Drift,
}

const NOISES: [Noise; 4] = [
    Noise::LogNormal,
    Noise::TwoStates,
    Noise::Spikes,
    Noise::Drift,
];

fn uniform(rng: &mut Rng) -> f64 {
    ((rng.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// A standard normal value (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * uniform(rng).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// One run of so many, `slower` times as slow as it could be.
fn run(rng: &mut Rng, noise: Noise, at: usize, slower: f64, failing: f64) -> Figures {
    let common = match noise {
        Noise::TwoStates if rng.permille(500) => 1.5,
        Noise::Spikes if rng.below(7) == 0 => 3.0,
        Noise::Drift => 1.02f64.powi(at as i32),
        _ => 1.0,
    } * slower
        * (0.03 * normal(rng)).exp();
    let mut blurred = |usual: f64, by: f64| usual * common * (by * normal(rng)).exp();
    let times_us = [
        blurred(2_000.0, 0.01),
        blurred(6_000.0, 0.03),
        blurred(9_000.0, 0.06),
        blurred(2_500.0, 0.01),
        blurred(400.0, 0.2),
    ];
    let due = 5_000;
    // Failures come in heaps: as many heaps as chance has it, of one to five.
    let heaps = (0..10).filter(|_| uniform(rng) < failing).count();
    let failed = (0..heaps).map(|_| rng.range(1, 5)).sum();
    let per_s = (due - failed) as f64 / 10.0 / common.powf(0.2);
    let numbers = Numbers {
        times_us: Some(times_us),
        failed,
        due,
        per_s,
    };
    Figures {
        unusable: None,
        of: vec![(None, numbers)],
    }
}

fn comparison(
    seed: u64,
    noise: Noise,
    rounds: usize,
    slower: f64,
    failing: [f64; 2],
) -> Comparison {
    let mut rng = Rng::new(seed);
    let mut at = 0;
    let rounds: Vec<[Figures; 2]> = order(rounds, seed)
        .into_iter()
        .map(|sides| {
            let mut both = [None, None];
            for side in sides {
                at += 1;
                both[side as usize] = Some(match side {
                    Side::A => run(&mut rng, noise, at, 1.0, failing[0]),
                    Side::B => run(&mut rng, noise, at, slower, failing[1]),
                });
            }
            both.map(Option::unwrap)
        })
        .collect();
    Comparison::of(["a", "b"], &rounds, Some(0.0))
}

#[test]
fn equal_sides_are_blamed_at_most_once_in_three_hundred() {
    const EACH: u64 = 3_000;
    let (mut repeats, mut alarms) = (0.0, 0.0);
    for noise in NOISES {
        for rounds in [5, 10, 20] {
            let blamed = (0..EACH).filter(|seed| {
                let one = comparison(*seed, noise, rounds, 1.0, [0.05, 0.05]);
                one.outcome == Outcome::Broken
            });
            let blamed = blamed.count() as f64;
            // Ten are allowed; what chance adds to ten is below four standard deviations.
            assert!(
                blamed <= 10.0 + 4.0 * 10f64.sqrt(),
                "{noise:?} {rounds}: {blamed}"
            );
            repeats += EACH as f64;
            alarms += blamed;
        }
    }
    // Over all of them there is no need for such leave.
    assert!(alarms <= repeats / 300.0, "{alarms} of {repeats}");
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    for slower in [1.0, 1.3] {
        let inside = (0..4_000).filter(|seed| {
            let one = comparison(*seed, Noise::LogNormal, 8, slower, [0.05, 0.05]);
            let p99 = one
                .rows
                .iter()
                .find(|row| row.metric == Metric::P99)
                .unwrap();
            p99.interval.low <= slower - 1.0 && slower - 1.0 <= p99.interval.high
        });
        let share = inside.count() as f64 / 4_000.0;
        assert!((share - 0.95).abs() < 0.014, "{share}");
    }
}

#[test]
fn a_tenth_slower_is_found() {
    for (noise, rounds, least) in [
        (Noise::LogNormal, 10, 0.9),
        (Noise::LogNormal, 20, 0.99),
        (Noise::Drift, 20, 0.95),
    ] {
        let found = (0..500).filter(|seed| {
            let one = comparison(*seed, noise, rounds, 1.1, [0.05, 0.05]);
            let p50 = one
                .rows
                .iter()
                .find(|row| row.metric == Metric::P50)
                .unwrap();
            p50.says == Says::Worse && one.outcome == Outcome::Broken
        });
        let share = found.count() as f64 / 500.0;
        assert!(share >= least, "{noise:?} {rounds}: {share}");
    }
}

#[test]
fn many_failures_more_are_found() {
    let found = (0..300).filter(|seed| {
        let one = comparison(*seed, Noise::LogNormal, 10, 1.0, [0.05, 1.0]);
        let failed = one
            .rows
            .iter()
            .find(|row| row.metric == Metric::Errors)
            .unwrap();
        failed.says == Says::Worse && failed.broken
    });
    assert!(found.count() >= 297);
}

#[test]
fn the_least_difference_that_would_show_does_four_times_in_five() {
    let least = (0..300).filter_map(|seed| {
        let one = comparison(seed, Noise::LogNormal, 10, 1.0, [0.05, 0.05]);
        let p50 = one.rows.into_iter().find(|row| row.metric == Metric::P50);
        match p50.unwrap().says {
            Says::Untold { least } => Some(least),
            _ => None,
        }
    });
    let slower = 1.0 + median(least.collect());
    let found = (0..1_000).filter(|seed| {
        let one = comparison(seed + 1_000, Noise::LogNormal, 10, slower, [0.05, 0.05]);
        let p50 = one
            .rows
            .iter()
            .find(|row| row.metric == Metric::P50)
            .unwrap();
        p50.says == Says::Worse
    });
    let share = found.count() as f64 / 1_000.0;
    assert!((0.7..0.9).contains(&share), "{slower}: {share}");
}

#[test]
fn a_tolerance_is_broken_only_beyond_it() {
    let figures = |slower| Figures::of(&example::of("x", 7, slower));
    let rounds = |slower: f64| vec![[figures(1.0), figures(slower)]; 6];
    let of = |slower, tolerate| Comparison::of(["a", "b"], &rounds(slower), tolerate);
    assert_eq!(of(1.2, Some(0.1)).outcome, Outcome::Broken);
    assert_eq!(of(1.2, Some(0.3)).outcome, Outcome::Kept);
    assert_eq!(of(1.2, None).outcome, Outcome::Kept);
    assert_eq!(of(0.8, Some(0.0)).outcome, Outcome::Kept);
    let slower = of(1.2, Some(0.1));
    let broken = slower.rows.iter().filter(|row| row.broken);
    let broken: Vec<_> = broken.map(|row| (row.class.clone(), row.metric)).collect();
    assert_eq!(broken, [(None, Metric::P50)], "bad seconds hide it at p99");
    let per_class = slower.rows.iter().filter(|row| row.class.is_some()).count();
    assert_eq!(per_class, 14);
}

#[test]
fn a_round_that_is_worth_nothing_is_thrown_away_and_counted() {
    let good = || Figures::of(&example::run());
    let mut run = example::run();
    example::lag(&mut run);
    let lagged = Figures::of(&run);
    run = example::run();
    run.ended = Ended::Interrupted;
    let ended = Figures::of(&run);
    let mut rounds = vec![[good(), lagged], [ended, good()]];
    rounds.extend((0..4).map(|_| [good(), good()]));
    let few = Comparison::of(["old", "new\u{1b}"], &rounds, None);
    let why = "4 rounds are left of 6, 2 thrown away; a comparison takes 5".to_owned();
    assert_eq!(few.outcome, Outcome::CouldNot(why));
    assert!(few.rows.is_empty());
    assert!(
        few.thrown_away[0]
            .1
            .starts_with("new?: the generator lagged")
    );
    assert_eq!(few.thrown_away[1], (2, "old: a person ended it".to_owned()));
    rounds.push([good(), good()]);
    assert_eq!(
        Comparison::of(["old", "new"], &rounds, None).outcome,
        Outcome::Kept
    );
}

#[test]
fn the_order_is_balanced_and_the_seeds() {
    let firsts = |n, seed| order(n, seed).iter().filter(|o| o[0] == Side::A).count();
    for seed in 0..50 {
        assert_eq!(order(11, seed).len(), 11);
        assert_eq!(firsts(10, seed), 5);
        assert!((5..=6).contains(&firsts(11, seed)));
    }
    assert_eq!(order(20, 3), order(20, 3));
    assert_ne!(order(20, 3), order(20, 4));
    let mut seeds: Vec<u64> = (0..100).map(|round| round_seed(7, round)).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 100);
}

#[test]
fn sides_that_answer_nothing_are_not_kept() {
    let mut run = example::run();
    run.all = Tally::new(run.planned);
    run.all.due = 100;
    (0..100).for_each(|_| run.all.fail(&crate::measured::Failure::NoAnswer));
    let nothing = || Figures::of(&run);
    let rounds: Vec<_> = (0..6).map(|_| [nothing(), nothing()]).collect();
    let both = Comparison::of(["a", "b"], &rounds, Some(0.1));
    let why = "fewer than 5 rounds have a latency p50 of both sides".to_owned();
    assert_eq!(both.outcome, Outcome::CouldNot(why));
    let good = || Figures::of(&example::run());
    let rounds: Vec<_> = (0..6).map(|_| [good(), nothing()]).collect();
    let one = Comparison::of(["a", "b"], &rounds, Some(0.1));
    assert_eq!(one.outcome, Outcome::Broken, "failures tell it");
}
