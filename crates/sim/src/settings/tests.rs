//! Seeds that hold, seeds that did not, and planted bugs.

use super::*;

#[test]
fn many_seeds_hold() {
    let mut all = Counts::default();
    for seed in 0..25 {
        let report = run(seed, Setup::default());
        if let Some(failure) = report.failure {
            panic!("seed {seed}: {}", failure.what);
        }
        all.add(&report.counts);
    }
}
