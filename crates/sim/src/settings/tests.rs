//! Seeds that hold, and planted bugs that each checker sees.

use super::*;

/// Things that the seeds of the gate must reach.
const REACHED: [&str; 24] = [
    "adoptions refused: at random",
    "answers lost",
    "boot: as the history",
    "boot: changes closed that stand on nothing",
    "boot: mistakes, the history serves",
    "boot: taken up before it served",
    "boot: taken up while reverting",
    "boot: taken up while staging",
    "boot: taken up while watching",
    "boot: the file adopted",
    "boot: the file held",
    "boot: the file through the gate",
    "boot: the file turned down before",
    "files restored",
    "guard: it hurts and stays",
    "guard: taken back",
    "journal: orders without a version",
    "journal: states that had to wait",
    "kills at a start",
    "refused: busy",
    "refused: no history",
    "rollbacks of an open change",
    "SETs",
    "ways back that failed at first",
];

#[test]
fn many_seeds_hold() {
    let mut all = Counts::default();
    for seed in 0..SEEDS {
        let report = run(seed, Setup::default());
        if let Some(failure) = report.failure {
            panic!("seed {seed}: {}", failure.what);
        }
        all.add(&report.counts);
    }
    let missed: Vec<&str> = REACHED.into_iter().filter(|r| all.hit(r) == 0).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}\n{all}");
    // Most texts that went wrong are refused, and many are not.
    assert!(all.hit("texts refused by the loader") > all.reloads / 10);
    assert!(all.hit("texts accepted") > all.reloads / 3);
}

/// Seeds that broke a promise once, and which.
const REGRESSIONS: [(u64, &str); 1] = [(
    1087,
    "a step that never served ended what the console had SET",
)];

#[test]
fn what_failed_once_holds() {
    for (seed, what) in REGRESSIONS {
        let failure = run(seed, Setup::default()).failure.map(|f| f.what);
        assert_eq!(failure, None, "seed {seed}: {what}");
    }
}

/// Seeds of the gate: some seconds.
const SEEDS: u64 = 12;

/// A planted bug, a seed at which it was seen, and the words with which its
/// checker names it. Where texts or chances change, a seed further on sees it.
const PLANTED: [(Fault, u64, &str); 11] = [
    (Fault::ServesBeforeRecording, 2, "serves neither version"),
    (
        Fault::ForgetsTheWayBack,
        72,
        "does not serve what is written down",
    ),
    (
        Fault::HalfTheWorkers,
        0,
        "some workers serve other settings",
    ),
    (Fault::ResumedAsApplied, 0, "went from"),
    (Fault::SkipsSteps, 0, "serves neither version"),
    (Fault::TriesAgain, 1, "the file alone began version"),
    (Fault::ForgetsSet, 4, "serves neither version"),
    (Fault::NoSecondTry, 0, "a change came to no end"),
    (Fault::OrdersTakenBack, 1, "a person's order"),
    (Fault::OldSecrets, 0, "brought back an old secret"),
    (Fault::CurrentTooEarly, 0, "never served wholly"),
];

#[test]
fn each_planted_bug_is_seen_by_its_checker() {
    for (fault, first, words) in PLANTED {
        let setup = Setup {
            fault: Some(fault),
            ..Setup::default()
        };
        let sees = |seed| {
            run(seed, setup)
                .failure
                .is_some_and(|f| f.what.contains(words))
        };
        let seen = (first..first + 100).any(sees);
        assert!(seen, "{fault:?} is not seen");
    }
}

#[test]
fn a_seed_repeats() {
    let (one, two) = (run(5, Setup::default()), traced(5, Setup::default()));
    assert_eq!(one.counts, two.counts);
}
