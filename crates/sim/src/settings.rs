//! Changes of settings in virtual time: the driver of `config::rollout` with a
//! journal, a settings file and a data plane that are models, under fuzzed
//! texts, refusals, full disks and kills.
//!
//! The invariant: each worker serves exactly what was written down, one whole
//! version or one step of the open change, at every moment and after every kill.
//!
//! ```
//! let report = sim::settings::run(3, sim::settings::Setup { reloads: 20, fault: None });
//! assert!(report.failure.is_none(), "{:?}", report.failure);
//! ```

mod check;
mod disk;
mod journal;
mod keeper;
mod plane;
mod text;
mod world;

use crate::run::Failure;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

pub use world::Fault;

/// Texts that one seed reads.
pub const RELOADS: u64 = 200;

/// How a seed runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// Texts to be read as settings: by a changed file, RELOAD, apply or rollback.
    pub reloads: u64,
    /// A planted bug.
    pub fault: Option<Fault>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            reloads: RELOADS,
            fault: None,
        }
    }
}

/// What was done and reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Texts that were read as settings.
    pub reloads: u64,
    /// How often each thing happened.
    pub hits: BTreeMap<&'static str, u64>,
    /// From one state to the next.
    pub edges: BTreeMap<(&'static str, &'static str), u64>,
    /// Ends that are no success, by their reason.
    pub ends: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counts {
    /// Adds those of another seed.
    pub fn add(&mut self, other: &Counts) {
        self.reloads += other.reloads;
        for (what, n) in &other.hits {
            *self.hits.entry(what).or_default() += n;
        }
        for (what, n) in &other.edges {
            *self.edges.entry(*what).or_default() += n;
        }
        for (what, n) in &other.ends {
            *self.ends.entry(*what).or_default() += n;
        }
    }

    /// How often a thing happened.
    pub fn hit(&self, what: &str) -> u64 {
        self.hits.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12}  reloads", self.reloads)?;
        for (what, n) in &self.hits {
            writeln!(f, "{n:>12}  {what}")?;
        }
        for ((from, to), n) in &self.edges {
            let from = if from.is_empty() { "begin" } else { from };
            writeln!(f, "{n:>12}  {from} → {to}")?;
        }
        for ((state, why), n) in &self.ends {
            writeln!(f, "{n:>12}  {state}: {why}")?;
        }
        Ok(())
    }
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Counters.
    pub counts: Counts,
    /// What was broken, with the last lines of the trace where one was kept.
    pub failure: Option<Failure>,
}

/// Runs one seed.
pub fn run(seed: u64, setup: Setup) -> Report {
    go(seed, setup, None)
}

/// The same with its trace.
pub fn traced(seed: u64, setup: Setup) -> Report {
    go(seed, setup, Some(VecDeque::new()))
}

fn go(seed: u64, setup: Setup, trace: Option<VecDeque<String>>) -> Report {
    let mut world = World::new(seed, setup);
    world.trace = trace;
    // A panic is a failure like any other.
    let ran = catch_unwind(AssertUnwindSafe(|| world.run(setup.reloads)));
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        world.check.fail(format!("panic: {}", text.unwrap_or("?")));
    }
    let mut counts = world.stats;
    counts.edges = world.check.edges;
    let trace: Vec<String> = world.trace.unwrap_or_default().into();
    let failure = world.check.broken.map(|what| Failure { what, trace });
    Report { counts, failure }
}

#[cfg(test)]
mod tests;
