//! From raw runs to tables: medians, ratios to the yardstick, distance to the floor; JSON and Markdown.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::callgrind::Count;
use crate::cells::Cell;
use crate::idle::{Point, kib_per_client};
use crate::options::Options;
use crate::pgbench::Measured;
use crate::poolers::Target;
use crate::stats::{Interval, Rng, geometric_mean_of_ratios, median, paired_ratio};
use crate::{Failure, measure, verdict};

/// Below this number of rounds a bootstrap interval says little.
const ROUNDS_FOR_AN_INTERVAL: usize = 9;

/// One run, counted or not.
#[derive(Debug, serde::Serialize)]
pub struct Run {
    /// Cell's name.
    pub cell: String,
    /// Target's name.
    pub target: String,
    /// Round, from 1.
    pub round: usize,
    /// Load average before it.
    pub load: f64,
    /// Why it does not count.
    pub problem: Option<String>,
    /// What it measured.
    pub measured: Measured,
}

impl Run {
    /// One line for the terminal.
    pub fn line(&self) -> String {
        let m = &self.measured;
        match &self.problem {
            Some(problem) => format!(
                "{:24} {:18} DOES NOT COUNT: {problem}",
                self.cell, self.target
            ),
            None => format!(
                "{:24} {:18} {:6.1} µs CPU {:7.0} tps  p50 {:6.0} µs  p99 {:6.0} µs  {:.2} sleeps",
                self.cell, self.target, m.cpu_us, m.tps, m.p50_us, m.p99_us, m.sleeps
            ),
        }
    }
}

/// Memory of one target.
#[derive(Debug, serde::Serialize)]
pub struct IdleResult {
    /// Target's name.
    pub target: String,
    /// Its memory at each moment.
    pub points: Vec<Point>,
}

/// All that was measured.
#[derive(Debug, serde::Serialize)]
pub struct Results {
    /// Day of the run.
    pub date: String,
    /// Processor, cores, memory, kernel.
    pub machine: String,
    /// PostgreSQL's version.
    pub postgres: String,
    /// The options.
    pub command: String,
    /// Rounds asked for.
    pub rounds: usize,
    /// Seconds per run.
    pub seconds: u32,
    /// Seed of order and bootstrap.
    pub seed: u64,
    /// Targets in the report's order; the first is the yardstick.
    pub targets: Vec<String>,
    /// Names of the cells in the report's order.
    pub cells: Vec<String>,
    /// Every run.
    pub runs: Vec<Run>,
    /// Memory figures.
    pub idle: Vec<IdleResult>,
    /// Instruction counts.
    pub counts: Vec<Count>,
    /// What else a reader must know.
    pub notes: Vec<String>,
}

impl Results {
    /// Nothing measured yet.
    pub fn new(options: &Options, targets: &[Target], postgres: &str) -> Self {
        Self {
            date: options.date.clone().unwrap_or_else(today),
            machine: measure::machine(),
            postgres: postgres.into(),
            command: without_directories(&options.line),
            rounds: options.rounds,
            seconds: options.seconds,
            seed: options.seed,
            targets: targets.iter().map(|t| t.name.clone()).collect(),
            cells: options.cells().iter().map(Cell::to_string).collect(),
            runs: Vec::new(),
            idle: Vec::new(),
            counts: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Writes everything, raw values included.
    pub fn write_json(&self, file: &Path) -> Result<(), Failure> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(file, serde_json::to_string_pretty(self)?)?;
        Ok(())
    }

    fn values(&self, cell: &str, target: &str, metric: fn(&Measured) -> f64) -> Vec<(usize, f64)> {
        let counted = self
            .runs
            .iter()
            .filter(|r| r.problem.is_none() && r.cell == cell && r.target == target);
        counted.map(|r| (r.round, metric(&r.measured))).collect()
    }

    /// Plimsoll compared with itself.
    pub fn is_scale(&self) -> bool {
        self.targets.first().is_some_and(|t| t.contains("worker"))
    }

    /// Values of two targets from the same rounds.
    pub fn pairs(
        &self,
        ours: (&str, &str),
        theirs: (&str, &str),
        metric: fn(&Measured) -> f64,
    ) -> Vec<(f64, f64)> {
        let theirs = self.values(theirs.0, theirs.1, metric);
        let partner = |round| theirs.iter().find(|t| t.0 == round).map(|t| t.1);
        let ours = self.values(ours.0, ours.1, metric);
        ours.iter()
            .filter_map(|(round, value)| Some((*value, partner(*round)?)))
            .collect()
    }
}

/// The whole section.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    heading(&mut text, results);
    if !results.runs.is_empty() {
        if !results.is_scale() {
            summary(&mut text, results);
        }
        verdicts(&mut text, results);
        metric(
            &mut text,
            results,
            "The pooler's own CPU, µs per transaction",
            |m| m.cpu_us,
            1,
        );
        metric(&mut text, results, "Transactions per second", |m| m.tps, 0);
        metric(&mut text, results, "p99 latency, µs", |m| m.p99_us, 0);
        metric(&mut text, results, "p50 latency, µs", |m| m.p50_us, 0);
        metric(
            &mut text,
            results,
            "Voluntary context switches per transaction",
            |m| m.sleeps,
            2,
        );
    }
    idle_table(&mut text, results);
    counts_table(&mut text, results);
    problems(&mut text, results);
    text
}

fn heading(text: &mut String, results: &Results) {
    let title = if !results.counts.is_empty() {
        "Instructions per transaction"
    } else if results.is_scale() {
        "Workers and idle clients"
    } else {
        "Data path"
    };
    let _ = writeln!(text, "## {title}\n");
    let _ = writeln!(
        text,
        "{} · {} · PostgreSQL {}",
        results.date, results.machine, results.postgres
    );
    let _ = writeln!(text, "· {}\n", results.targets.join(", "));
    let _ = writeln!(text, "    cargo xtask bench {}\n", results.command);
    if results.runs.is_empty() {
        return;
    }
    let loads: Vec<f64> = results.runs.iter().map(|r| r.load).collect();
    let rounds = results.runs.iter().map(|r| r.round).max().unwrap_or(0);
    let _ = writeln!(
        text,
        "{rounds} interleaved rounds, {} s per run, transaction mode, 20 server connections, TCP on both sides, seed {}; load \
         average before the runs: median {:.1}. Cells show the median and, in brackets, the median ratio to {} in the same \
         round with its 95 % bootstrap interval. Ratios are the truth here; absolute figures vary with the machine. \
         HAProxy and direct use one server connection per client.\n",
        results.seconds,
        results.seed,
        median(&loads).unwrap_or(0.0),
        results.targets.first().map_or("", String::as_str),
    );
    if rounds < ROUNDS_FOR_AN_INTERVAL {
        let _ = writeln!(
            text,
            "Only {rounds} rounds: the intervals are an indication, no proof.\n"
        );
    }
}

fn summary(text: &mut String, results: &Results) {
    let Some(yardstick) = results.targets.first() else {
        return;
    };
    let counting: Vec<Cell> = results
        .cells
        .iter()
        .filter_map(|c| Cell::parse(c))
        .filter(Cell::counts)
        .collect();
    let _ = writeln!(
        text,
        "| geometric mean of CPU per transaction, cells with ≥ 16 clients | to {yardstick} | worst cell | to the floor |"
    );
    let _ = writeln!(text, "|---|---|---|---|");
    for target in &results.targets {
        let mut ratios = Vec::new();
        let mut floors = Vec::new();
        let mut worst: Option<(f64, String)> = None;
        for cell in &counting {
            let (name, floor) = (cell.to_string(), cell.floor_cell().to_string());
            let pairs = results.pairs((&name, target), (&name, yardstick), |m| m.cpu_us);
            let ratio = paired_ratio(&pairs, &mut Rng::new(results.seed)).map(|i| i.mid);
            if let Some(ratio) =
                ratio.filter(|r| *r > 0.0 && worst.as_ref().is_none_or(|(w, _)| r > w))
            {
                worst = Some((ratio, name.clone()));
            }
            ratios.push(pairs);
            floors.push(results.pairs((&name, target), (&floor, "floor"), |m| m.cpu_us));
        }
        let mean = |cells: &[Vec<(f64, f64)>]| {
            geometric_mean_of_ratios(cells, &mut Rng::new(results.seed))
        };
        let Some(to_yardstick) = mean(&ratios).filter(|i| i.mid > 0.0) else {
            continue;
        };
        let worst = worst.map_or_else(
            || "–".into(),
            |(ratio, cell)| format!("{ratio:.2} × ({cell})"),
        );
        let _ = writeln!(
            text,
            "| {target} | {} | {worst} | {} |",
            times(Some(to_yardstick)),
            times(mean(&floors))
        );
    }
    let _ = writeln!(
        text,
        "\nEach mean is over the cells that both can serve. The floor knows no prepared statements; its extended cell stands for the prepared one.\n"
    );
}

fn verdicts(text: &mut String, results: &Results) {
    let lines = verdict::lines(results);
    for line in &lines {
        let _ = writeln!(text, "- {line}");
    }
    if !lines.is_empty() {
        let _ = writeln!(text);
    }
}

fn metric(
    text: &mut String,
    results: &Results,
    title: &str,
    of: fn(&Measured) -> f64,
    digits: usize,
) {
    let Some(yardstick) = results.targets.first() else {
        return;
    };
    let _ = writeln!(
        text,
        "### {title}\n\n| cell | {} |",
        results.targets.join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(results.targets.len()));
    for cell in &results.cells {
        let mut row = format!("| {cell} |");
        for target in &results.targets {
            let values: Vec<f64> = results
                .values(cell, target, of)
                .iter()
                .map(|v| v.1)
                .collect();
            let shown = match median(&values).filter(|m| *m > 0.0) {
                None => "–".into(),
                Some(mid) if target == yardstick => format!("{mid:.digits$}"),
                Some(mid) => {
                    let pairs = results.pairs((cell, target), (cell, yardstick), of);
                    let ratio = times(paired_ratio(&pairs, &mut Rng::new(results.seed)));
                    format!("{mid:.digits$} ({ratio})")
                }
            };
            let _ = write!(row, " {shown} |");
        }
        let _ = writeln!(text, "{row}");
    }
    let _ = writeln!(text);
}

/// A ratio as the report shows it.
pub fn times(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || "–".into(),
        |i| format!("{:.2} ×, {:.2}–{:.2}", i.mid, i.low, i.high),
    )
}

fn idle_table(text: &mut String, results: &Results) {
    let Some(first) = results.idle.first() else {
        return;
    };
    let names: Vec<&str> = results.idle.iter().map(|r| r.target.as_str()).collect();
    let _ = writeln!(
        text,
        "### Memory, KiB (PSS; in brackets KiB per client above the start)\n\n| moment | {} |",
        names.join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(names.len()));
    for point in &first.points {
        let mut row = format!("| {}, {} clients |", point.moment, point.clients);
        for result in &results.idle {
            let same = result
                .points
                .iter()
                .find(|p| p.moment == point.moment && p.clients == point.clients);
            let total = same.map_or_else(|| "–".into(), |p| p.memory.pss_kib.to_string());
            match kib_per_client(&result.points, &point.moment, point.clients) {
                Some(each) if point.clients > 0 => _ = write!(row, " {total} ({each:.2}) |"),
                _ => _ = write!(row, " {total} |"),
            }
        }
        let _ = writeln!(text, "{row}");
    }
    let _ = writeln!(
        text,
        "\nThe kernel's socket memory is not in these figures; it is the same for all.\n"
    );
}

fn counts_table(text: &mut String, results: &Results) {
    if results.counts.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "User-space instructions of the pooler's process under callgrind, one client; per login for the login cells. In brackets \
         the spread between repetitions.\n\n| cell | {} |",
        results.targets.join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(results.targets.len()));
    for cell in crate::callgrind::cells().iter().map(Cell::to_string) {
        if !results.counts.iter().any(|c| c.cell == cell) {
            continue;
        }
        let mut row = format!("| {cell} |");
        for target in &results.targets {
            let found = results
                .counts
                .iter()
                .find(|c| c.cell == cell && c.target == *target);
            let shown =
                found.and_then(|c| Some((median(&c.instructions)?, spread(&c.instructions))));
            match shown {
                Some((mid, spread)) => _ = write!(row, " {mid:.0} ({:.2} %) |", spread * 100.0),
                None => row.push_str(" – |"),
            }
        }
        let _ = writeln!(text, "{row}");
    }
    let _ = writeln!(text);
}

fn spread(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if high > 0.0 { (high - low) / high } else { 0.0 }
}

fn problems(text: &mut String, results: &Results) {
    let spoiled = results.runs.iter().filter_map(|run| {
        let problem = run.problem.as_ref()?;
        Some(format!(
            "round {}, {}, {}: {problem}",
            run.round, run.cell, run.target
        ))
    });
    let mut all: Vec<String> = spoiled.collect();
    all.extend(results.notes.iter().cloned());
    if !all.is_empty() {
        let _ = writeln!(text, "Does not count, or needs to be known:\n");
        for line in all {
            let _ = writeln!(text, "- {}", line.lines().next().unwrap_or_default());
        }
        let _ = writeln!(text);
    }
}

/// Puts the section between its marks, or at the end of the file.
pub fn write_section(file: &Path, mark: &str, section: &str) -> Result<(), Failure> {
    let old = match fs::read_to_string(file) {
        Ok(old) => old,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "# Benchmarks\n".into(),
        Err(e) => return Err(format!("{}: {e}", file.display()).into()),
    };
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(file, with_section(&old, mark, section))?;
    Ok(())
}

fn with_section(old: &str, mark: &str, section: &str) -> String {
    let (begin, end) = (
        format!("<!-- bench:{mark}:begin -->"),
        format!("<!-- bench:{mark}:end -->"),
    );
    let block = format!("{begin}\n{}\n{end}", section.trim_end());
    match (old.find(&begin), old.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{block}{}", &old[..from], &old[to + end.len()..])
        }
        _ => format!("{}\n\n{block}\n", old.trim_end()),
    }
}

/// The command line as others would type it: directories of this machine say nothing to them.
pub fn without_directories(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        word.rsplit_once('/')
            .filter(|_| word.starts_with('/'))
            .map_or(word, |w| w.1)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Today, UTC, as YYYY-MM-DD (the usual count of days in the proleptic Gregorian calendar).
/// Today's date, UTC.
pub fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    date_of((seconds / 86_400) as i64)
}

fn date_of(days_since_1970: i64) -> String {
    // Years that begin in March put the leap day last.
    let days = days_since_1970 + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run that measured that CPU time.
    pub fn run(cell: &str, target: &str, round: usize, cpu_us: f64) -> Run {
        let measured = Measured {
            cpu_us,
            tps: 1000.0,
            p50_us: 1.0,
            p99_us: 2.0,
            ..Measured::default()
        };
        Run {
            cell: cell.into(),
            target: target.into(),
            round,
            load: 0.5,
            problem: None,
            measured,
        }
    }

    /// Results of one cell with three targets.
    pub fn results(runs: Vec<Run>) -> Results {
        let action =
            crate::options::parse(&["--cells".into(), "select-only/simple/16".into()]).unwrap();
        let crate::options::Action::Bench(options) = action else {
            panic!("no benchmark")
        };
        let mut results = Results::new(&options, &[], "15.18");
        results.targets = ["PgBouncer 1.26.1", "Plimsoll 0.1.0", "floor"]
            .map(Into::into)
            .to_vec();
        results.runs = runs;
        results
    }

    #[test]
    fn ratios_come_from_the_same_round() {
        let cell = "select-only/simple/16";
        let mut runs = Vec::new();
        for round in 1..=3 {
            // The machine gets slower each round; the ratio stays.
            let slow = round as f64;
            runs.push(run(cell, "PgBouncer 1.26.1", round, 10.0 * slow));
            runs.push(run(cell, "Plimsoll 0.1.0", round, 9.0 * slow));
            runs.push(run(cell, "floor", round, 8.0 * slow));
        }
        let text = markdown(&results(runs));
        assert!(text.contains("| Plimsoll 0.1.0 | 0.90 ×, 0.90–0.90 | 0.90 × (select-only/simple/16) | 1.12 ×, 1.12–1.12 |"), "{text}");
        assert!(
            text.contains("| select-only/simple/16 | 20.0 | 18.0 (0.90 ×, 0.90–0.90) |"),
            "{text}"
        );
    }

    #[test]
    fn a_spoiled_run_is_shown_and_not_counted() {
        let cell = "select-only/simple/16";
        let mut bad = run(cell, "Plimsoll 0.1.0", 1, 1.0);
        bad.problem = Some("3 transactions failed".into());
        let text = markdown(&results(vec![run(cell, "PgBouncer 1.26.1", 1, 10.0), bad]));
        assert!(
            text.contains(
                "- round 1, select-only/simple/16, Plimsoll 0.1.0: 3 transactions failed"
            ),
            "{text}"
        );
        assert!(!text.contains("0.10 ×"), "{text}");
    }

    #[test]
    fn a_section_replaces_itself_and_leaves_the_rest() {
        let first = with_section("# Benchmarks\n", "a", "one\n");
        let both = with_section(&first, "b", "two\n");
        let again = with_section(&both, "a", "three\n");
        assert!(again.contains("three") && again.contains("two") && !again.contains("one"));
        assert_eq!(again.matches("bench:a:begin").count(), 1);
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(date_of(0), "1970-01-01");
        assert_eq!(date_of(11_016), "2000-02-29");
        assert_eq!(date_of(20_778), "2026-11-21");
    }

    #[test]
    fn the_command_shows_no_directories() {
        assert_eq!(
            without_directories("--plimsoll /a/b/plimsoll --json x/y"),
            "--plimsoll plimsoll --json x/y"
        );
    }
}
