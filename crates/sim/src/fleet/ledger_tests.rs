//! Fleets that share by the ledger: seeds, the five scenarios with few instances,
//! and the proof that each checker sees its bug.

use super::scale::{Scenario, setup};
use super::{Change, Cut, Outcome, Plant, Setup, StoreSetup, Way, run};
use pool::ledger::LedgerFault;
use std::time::Duration;

const SETTLED_MAX: Duration = Duration::from_secs(10);

fn few(instances: usize) -> Setup {
    Setup {
        instances,
        clients: 40,
        way: Way::Ledger(StoreSetup::default()),
        ..Setup::default()
    }
}

fn fine(seed: u64, setup: &Setup) -> Outcome {
    let outcome = run(seed, setup);
    assert_eq!(outcome.broken, None, "seed {seed}: {setup:?}");
    assert!(outcome.grants > 100, "seed {seed}: {outcome:?}");
    for (at, took) in &outcome.settled {
        assert!(*took <= SETTLED_MAX, "seed {seed}: {took:?} after {at:?}");
    }
    outcome
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let setup = Setup::random_ledger(5);
    assert_eq!(run(5, &setup), run(5, &setup));
}

#[test]
fn few_and_many_instances_stay_below_the_line_together() {
    for instances in [1, 2, 5, 20, 60] {
        let outcome = fine(instances as u64, &few(instances));
        // Three that sit, and one that has just left.
        assert!(outcome.monitors <= 4, "{outcome:?}");
        assert_eq!(outcome.full, 0, "{outcome:?}");
    }
}

#[test]
fn the_five_scenarios_hold_for_small_fleets() {
    for instances in [1, 3, 10, 30, 100] {
        for scenario in Scenario::ALL {
            fine(1, &setup(instances, true, scenario));
        }
    }
}

#[test]
fn instances_that_are_cut_off_from_everything_keep_the_line() {
    let lasts = Duration::from_secs(20);
    for seed in 0..4 {
        let setup = Setup {
            script: vec![
                (6_000, Change::Loads(1_200)),
                (15_000, Change::Partition(400, Cut::Both, lasts)),
                (20_000, Change::Loads(1_200)),
            ],
            ..few(20)
        };
        let outcome = run(seed, &setup);
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
}

#[test]
fn after_a_crash_shares_settle_too() {
    for (seed, instances) in [(0, 5), (1, 20), (2, 60), (3, 200)] {
        let setup = Setup {
            seconds: 45,
            script: vec![
                (6_000, Change::Loads(1_200)),
                (15_000, Change::Crash(300, Duration::from_secs(20))),
            ],
            ..few(instances)
        };
        fine(seed, &setup);
    }
}

#[test]
fn keys_that_somebody_deletes_let_nobody_cross_the_line() {
    for seed in 0..30 {
        let instances = [1, 3, 12, 40][seed as usize % 4];
        let setup = Setup {
            seconds: 60,
            script: vec![
                (6_000, Change::Loads(1_200)),
                (15_000, Change::Erase(seed % 3 == 1)),
                (16_000, Change::Loads(1_500)),
                (40_000, Change::Loads(1_200)),
            ],
            ..few(instances)
        };
        // Nor does anybody lack something for long once the ten seconds are over.
        let outcome = run(seed, &setup);
        assert_eq!(outcome.broken, None, "seed {seed}: {setup:?}");
        assert!(outcome.grants > 100, "seed {seed}: {outcome:?}");
    }
}

/// More of them for one run: `PLIMSOLL_FLEET_SEEDS=1000`.
#[test]
#[allow(clippy::disallowed_methods)]
fn shapes_drawn_from_seeds() {
    let seeds = std::env::var("PLIMSOLL_FLEET_SEEDS");
    let seeds: u64 = seeds.ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let mut faults = 0;
    for seed in 2000..2000 + seeds {
        let outcome = run(seed, &Setup::random_ledger(seed));
        assert_eq!(outcome.broken, None, "seed {seed}");
        faults += outcome.faults;
    }
    assert!(faults > seeds, "{faults}");
}

/// Some seed must show the bug, and say what is wrong.
fn found(fault: LedgerFault, words: &str, setup: &Setup) {
    let broken = (0..20).find_map(|seed| {
        let setup = Setup {
            plant: Some(Plant::Ledger(fault)),
            ..setup.clone()
        };
        run(seed, &setup).broken.filter(|text| text.contains(words))
    });
    assert!(broken.is_some(), "{fault:?} was not found: {words}");
}

fn moving() -> Setup {
    Setup {
        script: (1..4)
            .map(|n| {
                (
                    14_000 * n,
                    Change::Loads(if n % 2 == 0 { 700 } else { 1_500 }),
                )
            })
            .collect(),
        ..few(12)
    }
}

#[test]
fn the_line_is_seen_to_be_crossed() {
    found(LedgerFault::AllotEarly, "opened above the line", &moving());
}

#[test]
fn acting_on_more_than_the_ledger_has_is_seen() {
    let words = "and the ledger has";
    found(LedgerFault::ActUnwritten, words, &moving());
    let lossy = Setup {
        way: Way::Ledger(StoreSetup {
            lost: 200,
            ..StoreSetup::default()
        }),
        ..moving()
    };
    found(LedgerFault::TrustLost, words, &lossy);
    let faults = Setup {
        faults: Duration::from_secs(4),
        ..few(6)
    };
    found(LedgerFault::ReapAlive, words, &faults);
}

#[test]
fn unused_shares_are_seen() {
    found(LedgerFault::KeepUnused, "are unused", &moving());
    found(LedgerFault::HoardQuotas, "are unused", &moving());
}

#[test]
fn shares_that_do_not_settle_are_seen() {
    let setup = Setup {
        plant: Some(Plant::Ledger(LedgerFault::FirstCome)),
        script: vec![
            (6_000, Change::Loads(1_500)),
            (20_000, Change::Loads(1_500)),
        ],
        ..few(12)
    };
    // Everything is in use, and in the wrong place.
    let slow = (0..20).any(|seed| {
        let settled = run(seed, &setup).settled;
        settled.iter().any(|(_, took)| *took > SETTLED_MAX)
    });
    assert!(slow);
}
