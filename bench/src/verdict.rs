//! The figures that Plimsoll set itself, each met or not, with the numbers.
//!
//! "No worse" means that the 95 % interval of the ratio includes the limit or lies below it.

use crate::cells::{Cell, Workload};
use crate::idle::kib_per_client;
use crate::pgbench::Measured;
use crate::report::{Results, times};
use crate::stats::{Interval, Rng, geometric_mean_of_ratios, paired_ratio};

/// KiB of process memory per idle plain TCP client.
const IDLE_KIB_MAX: f64 = 1.0;
/// No single cell may cost more than this many times the yardstick.
const WORST_CELL_MAX: f64 = 1.05;
/// Distance to the floor.
const FLOOR_MAX: f64 = 1.10;
/// Two workers cost at most this many times one's CPU per transaction.
const TWO_WORKERS_MAX: f64 = 1.10;
/// How much of a burst's memory may stay.
const KEPT_AFTER_BURST_MAX: f64 = 0.1;

/// One line per figure; nothing without Plimsoll among the targets.
pub fn lines(results: &Results) -> Vec<String> {
    let Some(ours) = results
        .targets
        .iter()
        .find(|name| name.starts_with("Plimsoll"))
    else {
        return Vec::new();
    };
    let Some(yardstick) = results.targets.first() else {
        return Vec::new();
    };
    let judge = Judge {
        results,
        ours,
        cells: results
            .cells
            .iter()
            .filter_map(|c| Cell::parse(c))
            .collect(),
    };
    if results.is_scale() {
        return judge.scale();
    }
    let mut lines = vec![
        judge.mean(
            "CPU per transaction, cells with ≥ 16 clients",
            yardstick,
            1.0,
        ),
        judge.every(
            "CPU per transaction, each of these cells",
            yardstick,
            WORST_CELL_MAX,
            Cell::counts,
            |m| m.cpu_us,
        ),
        judge.mean("CPU per transaction, to the floor", "floor", FLOOR_MAX),
        judge.every(
            "p99, each of these cells",
            yardstick,
            1.0,
            Cell::counts,
            |m| m.p99_us,
        ),
        judge.every(
            "CPU per login",
            yardstick,
            1.0,
            |c| c.workload == Workload::Login,
            |m| m.cpu_us,
        ),
    ];
    if let Some(haproxy) = results
        .targets
        .iter()
        .find(|name| name.starts_with("HAProxy"))
    {
        lines.push(judge.mean("stretch: CPU per transaction, to HAProxy", haproxy, 1.0));
    }
    lines.extend(judge.memory());
    lines
}

struct Judge<'a> {
    results: &'a Results,
    ours: &'a str,
    cells: Vec<Cell>,
}

impl Judge<'_> {
    /// Plimsoll with itself: `ours` is the first target, with one worker.
    fn scale(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for variant in self.results.targets.iter().skip(1) {
            let judge = Judge {
                results: self.results,
                ours: variant,
                cells: self.cells.clone(),
            };
            lines.push(if variant.contains("idle") {
                judge.every(
                    &format!("p99, {variant}"),
                    self.ours,
                    1.0,
                    Cell::counts,
                    |m| m.p99_us,
                )
            } else {
                judge.mean(
                    &format!("CPU per transaction, {variant}"),
                    self.ours,
                    TWO_WORKERS_MAX,
                )
            });
        }
        lines
    }

    fn pairs(&self, cell: &Cell, theirs: &str, of: fn(&Measured) -> f64) -> Vec<(f64, f64)> {
        let other = if theirs == "floor" {
            cell.floor_cell()
        } else {
            *cell
        };
        self.results.pairs(
            (&cell.to_string(), self.ours),
            (&other.to_string(), theirs),
            of,
        )
    }

    fn mean(&self, what: &str, theirs: &str, limit: f64) -> String {
        let cells = self.cells.iter().filter(|cell| cell.counts());
        let pairs: Vec<_> = cells
            .map(|cell| self.pairs(cell, theirs, |m| m.cpu_us))
            .collect();
        let mean = geometric_mean_of_ratios(&pairs, &mut Rng::new(self.results.seed));
        let verdict = mean.map_or("not measured", |mean| word(&mean, limit));
        format!(
            "{what} ({theirs}), geometric mean ≤ {limit:.2} ×: **{verdict}** ({})",
            times(mean)
        )
    }

    fn every(
        &self,
        what: &str,
        theirs: &str,
        limit: f64,
        counts: fn(&Cell) -> bool,
        of: fn(&Measured) -> f64,
    ) -> String {
        let mut over = Vec::new();
        let mut measured = 0;
        for cell in self.cells.iter().filter(|cell| counts(cell)) {
            let ratio = paired_ratio(
                &self.pairs(cell, theirs, of),
                &mut Rng::new(self.results.seed),
            );
            let Some(ratio) = ratio else { continue };
            measured += 1;
            if word(&ratio, limit) == "not met" {
                over.push(format!("{cell} {}", times(Some(ratio))));
            }
        }
        let verdict = match (measured, over.is_empty()) {
            (0, _) => "not measured".into(),
            (_, true) => format!("**met** in {measured} cells"),
            (_, false) => format!(
                "**not met** in {} of {measured} cells: {}",
                over.len(),
                over.join("; ")
            ),
        };
        format!("{what} ({theirs}) ≤ {limit:.2} ×: {verdict}")
    }

    fn memory(&self) -> Option<String> {
        let points = &self
            .results
            .idle
            .iter()
            .find(|r| r.target == self.ours)?
            .points;
        let (first, last) = (points.first()?, points.last()?);
        let peak = points
            .iter()
            .max_by_key(|p| (p.clients, p.memory.pss_kib))?;
        let each = kib_per_client(points, &peak.moment, peak.clients)?;
        let grown = peak.memory.pss_kib.saturating_sub(first.memory.pss_kib) as f64;
        let kept = last.memory.pss_kib.saturating_sub(first.memory.pss_kib) as f64 / grown.max(1.0);
        let met = |yes: bool| if yes { "met" } else { "not met" };
        Some(format!(
            "memory per idle client ≤ {IDLE_KIB_MAX:.1} KiB: **{}** ({each:.2} KiB at {}); given back: **{}** ({:.0} % kept)",
            met(each <= IDLE_KIB_MAX),
            peak.clients,
            met(kept <= KEPT_AFTER_BURST_MAX),
            kept * 100.0
        ))
    }
}

/// "No worse" is a matter of the interval: it includes 1 or lies below. A
/// stated distance, such as 1.10, is a matter of the median: noise must not meet it.
fn word(ratio: &Interval, limit: f64) -> &'static str {
    let decides = if limit <= 1.0 { ratio.low } else { ratio.mid };
    if decides <= limit { "met" } else { "not met" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::Point;
    use crate::measure::Memory;
    use crate::report::{IdleResult, tests::results, tests::run};

    #[test]
    fn each_side_of_each_limit() {
        let cell = "select-only/simple/16";
        let mut runs = Vec::new();
        for round in 1..=3 {
            runs.push(run(cell, "PgBouncer 1.26.1", round, 10.0));
            runs.push(run(cell, "Plimsoll 0.1.0", round, 10.8));
            runs.push(run(cell, "floor", round, 10.0));
        }
        let text = lines(&results(runs)).join("\n");
        assert!(
            text.contains("geometric mean ≤ 1.00 ×: **not met** (1.08 ×, 1.08–1.08)"),
            "{text}"
        );
        assert!(
            text.contains("≤ 1.05 ×: **not met** in 1 of 1 cells: select-only/simple/16 1.08 ×"),
            "{text}"
        );
        assert!(
            text.contains("(floor), geometric mean ≤ 1.10 ×: **met**"),
            "{text}"
        );
        assert!(
            text.contains(
                "p99, each of these cells (PgBouncer 1.26.1) ≤ 1.00 ×: **met** in 1 cells"
            ),
            "{text}"
        );
        assert!(
            text.contains("CPU per login (PgBouncer 1.26.1) ≤ 1.00 ×: not measured"),
            "{text}"
        );
    }

    #[test]
    fn memory_that_stays_after_a_burst_is_named() {
        let point = |clients, pss_kib| Point {
            moment: "x".into(),
            clients,
            memory: Memory {
                rss_kib: pss_kib,
                pss_kib,
                private_kib: pss_kib,
            },
        };
        let mut results = results(Vec::new());
        let points = vec![point(0, 1000), point(1000, 1500), point(0, 1400)];
        results.idle.push(IdleResult {
            target: "Plimsoll 0.1.0".into(),
            points,
        });
        let text = lines(&results).join("\n");
        assert!(
            text.contains("**met** (0.50 KiB at 1000); given back: **not met** (80 % kept)"),
            "{text}"
        );
    }
}
