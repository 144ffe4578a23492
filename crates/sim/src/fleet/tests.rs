//! Seeds, and the proof that each checker sees its bug.

use super::{Outcome, Plant, Setup, run};
use std::time::Duration;

fn setup(instances: usize, clients: u32) -> Setup {
    Setup {
        instances,
        clients,
        ..Setup::default()
    }
}

fn fine(seed: u64, setup: &Setup) -> Outcome {
    let outcome = run(seed, setup);
    assert_eq!(outcome.broken, None, "seed {seed}: {setup:?}");
    assert!(outcome.grants > 100, "seed {seed}: {outcome:?}");
    outcome
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let setup = Setup::random(5);
    assert_eq!(run(5, &setup), run(5, &setup));
}

#[test]
fn one_to_four_instances_stay_below_the_line_together() {
    for instances in 1..=4 {
        for seed in 0..6 {
            let outcome = fine(seed, &setup(instances, 120));
            assert_eq!((outcome.full, outcome.refused), (0, 0), "{outcome:?}");
            assert!(outcome.readings > 25, "{outcome:?}");
        }
    }
}

#[test]
fn with_others_that_come_and_go() {
    for seed in 0..12 {
        let setup = Setup {
            others: 25,
            ..setup(3, 60)
        };
        fine(seed, &setup);
    }
}

#[test]
fn with_instances_killed_and_monitors_cut_or_silenced() {
    let mut faults = 0;
    for seed in 0..24 {
        let setup = Setup {
            faults: Duration::from_secs(4),
            ..setup(3, 60)
        };
        faults += fine(seed, &setup).faults;
    }
    assert!(faults > 100);
}

/// More of them for one run: `PLIMSOLL_FLEET_SEEDS=1000`.
#[test]
#[allow(clippy::disallowed_methods)]
fn shapes_drawn_from_seeds() {
    let seeds = std::env::var("PLIMSOLL_FLEET_SEEDS");
    let seeds: u64 = seeds.ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    for seed in 1000..1000 + seeds {
        let outcome = run(seed, &Setup::random(seed));
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
}

/// Some seed must show the bug, and say what is wrong.
fn found(plant: Plant, words: &str) {
    let broken = (0..20).find_map(|seed| {
        let setup = Setup {
            plant: Some(plant),
            others: 5,
            ..setup(4, 120)
        };
        run(seed, &setup).broken
    });
    let broken = broken.unwrap_or_default();
    assert!(broken.contains(words), "{plant:?}: {broken:?}");
}

#[test]
fn each_checker_sees_its_bug() {
    found(Plant::RaiseUnseen, "opened above the line");
    found(Plant::KeepUnused, "are unused");
}
