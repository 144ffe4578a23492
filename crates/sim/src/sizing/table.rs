//! Auto beside every fixed size.

use super::machine::{Outcome, Sizing, millis, run};
use super::workloads::Workload;
use std::fmt::Write;

/// The fixed sizes of the search: each about a third above the one before.
pub const SIZES: [u32; 13] = [2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 65, 90];

/// One workload.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    /// The fixed size with the most goodput, and that goodput.
    pub best: (u32, f64),
    /// Goodput of the smallest and of the largest size of the search.
    pub ends: (f64, f64),
    /// The best fixed size's mean response, seconds.
    pub best_response: f64,
    /// The automatic one.
    pub auto: Outcome,
    /// Changes of the size after the start-up.
    pub late_changes: usize,
    /// Length of that time, minutes.
    pub minutes: f64,
}

impl Line {
    /// Goodput of the automatic size as a share of the best fixed one's.
    pub fn share(&self) -> f64 {
        self.auto.goodput / self.best.1.max(1e-9)
    }

    /// The size at the end.
    pub fn last_size(&self) -> u32 {
        self.auto.sizes.last().copied().unwrap_or(0)
    }
}

/// Searches the best fixed size, then runs the automatic one.
pub fn compare(workload: &Workload, seed: u64) -> Line {
    let fixed = SIZES.map(|size| (size, run(workload, Sizing::Fixed(size), seed)));
    let most = |a: &(u32, f64, f64), b: (u32, f64, f64)| if b.1 > a.1 { b } else { *a };
    let mut best = (0, 0.0, 0.0);
    for (size, outcome) in &fixed {
        best = most(&best, (*size, outcome.goodput, outcome.response));
    }
    let auto = run(workload, Sizing::Auto, seed);
    let end = |at: usize| fixed.get(at).map_or(0.0, |(_, outcome)| outcome.goodput);
    Line {
        name: workload.name,
        best: (best.0, best.1),
        ends: (end(0), end(SIZES.len() - 1)),
        best_response: best.2,
        late_changes: auto.changes_from(workload.from),
        minutes: (workload.seconds - workload.from) as f64 / 60.0,
        auto,
    }
}

/// The table for `docs/benchmarks.md`.
pub fn markdown(lines: &[Line]) -> String {
    let mut text = String::from(
        "| workload | best fixed size | its tx/s | size 2 | size 90 | auto tx/s | auto/best | size at the end | response, best → auto, ms | changes, most in a minute | changes after start-up, per minute |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let (best, auto) = (line.best.1.max(1e-9), &line.auto);
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} % | {:.0} % | {:.0} | {:.1} % | {} | {:.1} → {:.1} | {} | {:.1} |",
            line.name,
            line.best.0,
            line.best.1,
            100.0 * line.ends.0 / best,
            100.0 * line.ends.1 / best,
            auto.goodput,
            100.0 * line.share(),
            line.last_size(),
            millis(line.best_response),
            millis(auto.response),
            auto.changes_in_a_minute(),
            line.late_changes as f64 / line.minutes,
        );
    }
    text
}
