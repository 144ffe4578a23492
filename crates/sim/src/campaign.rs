//! Many seeds, one after the other.

use crate::run::{Report, concerned, run, traced};
use crate::scenario::Scenario;
use crate::stats::Stats;
use std::fmt::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How much a campaign may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Client operations of each seed.
    pub ops: u64,
    /// Without faults.
    pub calm: bool,
    /// It stops after so many failures.
    pub failures_max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            ops: 20_000,
            calm: false,
            failures_max: 10,
        }
    }
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// Counters over all seeds.
    pub stats: Stats,
    /// Seeds that were run.
    pub seeds: u64,
    /// Each failing seed, with what was broken.
    pub failures: Vec<(u64, String)>,
}

impl Campaign {
    /// Adds what another one found.
    pub fn add(&mut self, other: Campaign) {
        self.stats.add(&other.stats);
        self.seeds += other.seeds;
        self.failures.extend(other.failures);
    }
}

/// The scenario that a campaign runs for a seed.
pub fn scenario(seed: u64, budget: Budget) -> Scenario {
    let scenario = Scenario::random(seed, budget.ops);
    match budget.calm {
        true => scenario.calm(),
        false => scenario,
    }
}

/// Runs the seeds.
pub fn campaign(seeds: Range<u64>, budget: Budget) -> Campaign {
    let mut all = Campaign::default();
    for seed in seeds {
        all.seeds += 1;
        let scenario = scenario(seed, budget);
        match one(seed, &scenario) {
            Ok(report) => {
                all.stats.add(&report.stats);
                if let Some(failure) = report.failure {
                    all.failures.push((seed, failure.what));
                }
            }
            Err(what) => all.failures.push((seed, what)),
        }
        if all.failures.len() >= budget.failures_max {
            break;
        }
    }
    all
}

/// Runs one seed; a panic is an error.
pub fn one(seed: u64, scenario: &Scenario) -> Result<Report, String> {
    guarded(|| run(seed, scenario))
}

/// A panic is a failure like any other: checker (g).
fn guarded(f: impl FnOnce() -> Report) -> Result<Report, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|e| {
        let text = e
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| e.downcast_ref::<&str>().copied());
        format!("panic: {}", text.unwrap_or("?"))
    })
}

/// What a failing seed did: the fewest operations that still fail (by halving),
/// the scenario, the last lines of the trace for those concerned, and the
/// command that repeats it. `everybody`: lines about others too.
pub fn explain(seed: u64, budget: Budget, lines: usize, everybody: bool) -> String {
    let mut smallest = budget;
    let fails = |ops: u64| {
        let scenario = scenario(seed, Budget { ops, ..budget });
        guarded(|| run(seed, &scenario)).map_or(true, |r| r.failure.is_some())
    };
    while smallest.ops > 50 && fails(smallest.ops / 2) {
        smallest.ops /= 2;
    }
    let scenario = scenario(seed, smallest);
    let mut text = String::new();
    match guarded(|| traced(seed, &scenario)) {
        Ok(Report {
            failure: Some(failure),
            ..
        }) => {
            let _ = writeln!(text, "seed {seed}: {}\n{scenario:?}", failure.what);
            let trace = match everybody {
                true => failure.trace,
                false => concerned(&failure.what, failure.trace),
            };
            for line in &trace[trace.len().saturating_sub(lines)..] {
                let _ = writeln!(text, "{line}");
            }
        }
        Ok(_) => {
            let _ = writeln!(text, "seed {seed} does not fail");
        }
        Err(what) => {
            let _ = writeln!(text, "seed {seed}: {what}\n{scenario:?}");
        }
    }
    let calm = if budget.calm { " --calm" } else { "" };
    let _ = writeln!(
        text,
        "repeat: cargo run --release -p plimsoll-sim --example campaign -- --seed {seed} --seeds 1 --ops {}{calm}",
        smallest.ops
    );
    text
}
