//! The command line.

use std::path::PathBuf;

use crate::cells::Cell;
use crate::{Failure, fail, floor, line};

/// Printed by `--help`.
pub const HELP: &str = "\
Compares Plimsoll's data path with PgBouncer's and with a bare relay, on this machine.

cargo xtask bench [OPTIONS]
  --plimsoll PATH     the program to measure (its `run FILE` is given the same pgbouncer.ini)
  --pgbouncer CMD     repeatable; the first is the yardstick (default: pgbouncer). CMD is a path, or words
                      split at spaces. bench/newer-pgbouncer.sh unpacks a newer one without installing it
  --haproxy PATH      default: haproxy, if there is one
  --without KIND      leave out floor, haproxy or direct; repeatable
  --quick             3 rounds of 3 seconds, fewer cells
  --rounds N          default 9
  --seconds N         length of one pgbench run, default 4, at least 3; the first second is warm-up
  --minutes N         begin no new round after that many minutes (default 150)
  --cells TEXT        only cells whose name contains TEXT; repeatable
  --idle A,B,…        idle clients for the memory figures (default 1000,5000; 0 leaves them out)
  --callgrind         count instructions per transaction instead (needs valgrind)
  --line-cost         with --plimsoll: instructions with all of the load line on, and off
  --repeat N          with --callgrind: counts per cell, default 2
  --scale             Plimsoll with itself instead: two workers beside one, and one beside 10,000 idle clients
  --sizing            the automatic pool size beside fixed ones instead, about 8 minutes
  --seed N            order of the runs and bootstrap, default 1
  --json FILE         all raw values (default target/bench.json)
  --markdown FILE     where to write the section (default docs/benchmarks.md); - for nowhere
  --date TEXT         instead of the clock's
  --pg-bin DIR        PostgreSQL's programs

The load line's scenarios: plimsoll-bench line --help
Predictions beside measurements: plimsoll-bench predict --help
Rehearsals beside pgbench: plimsoll-bench rehearse --help
The bare relay alone: plimsoll-bench floor --listen ADDR --server ADDR --servers N
";

/// What to do.
pub enum Action {
    /// Print the help.
    Help,
    /// Print the load line's help.
    LineHelp,
    /// Print the help of predictions.
    PredictHelp,
    /// Be the child that predicts, where no other program is named.
    PredictWorker,
    /// Predict changes of settings, and measure what then happens.
    Predict(Box<crate::predict::Options>),
    /// Print the help of rehearsals.
    RehearseHelp,
    /// Compare rehearsals with pgbench.
    Rehearse(Box<crate::rehearse::Options>),
    /// Play the load line's scenarios.
    Line(Box<line::Options>),
    /// Run the bare relay.
    Floor(floor::Options),
    /// Run the benchmark.
    Bench(Box<Options>),
}

/// Settings of a benchmark.
pub struct Options {
    /// Plimsoll's program.
    pub plimsoll: Option<PathBuf>,
    /// PgBouncer's commands; the first is the yardstick.
    pub pgbouncers: Vec<String>,
    /// HAProxy's program.
    pub haproxy: String,
    /// Kinds left out.
    pub without: Vec<String>,
    /// Whether the shorter list of cells was asked for.
    pub quick: bool,
    /// Rounds.
    pub rounds: usize,
    /// Length of one run.
    pub seconds: u32,
    /// No new round begins after this.
    pub minutes: u64,
    /// Parts of cell names.
    pub filters: Vec<String>,
    /// Idle clients, ascending.
    pub idle: Vec<usize>,
    /// Whether to count what the load line costs, in instructions.
    pub line_cost: bool,
    /// Whether to count instructions.
    pub callgrind: bool,
    /// Whether Plimsoll is compared with itself: workers, idle clients.
    pub scale: bool,
    /// Whether the automatic pool size is compared with fixed ones.
    pub sizing: bool,
    /// Counts per cell.
    pub repeat: u32,
    /// Seed.
    pub seed: u64,
    /// Raw values.
    pub json: PathBuf,
    /// The document.
    pub markdown: Option<PathBuf>,
    /// The date to write.
    pub date: Option<String>,
    /// PostgreSQL's programs.
    pub pg_bin: Option<PathBuf>,
    /// The command line, for the report.
    pub line: String,
}

impl Options {
    /// The cells to measure.
    pub fn cells(&self) -> Vec<Cell> {
        let wanted = |cell: &Cell| {
            let name = cell.to_string();
            self.filters.is_empty() || self.filters.iter().any(|part| name.contains(part.as_str()))
        };
        let all = if self.scale {
            Cell::scale()
        } else {
            Cell::all(self.quick)
        };
        all.into_iter().filter(wanted).collect()
    }
}

/// Reads the command line.
pub fn parse(words: &[String]) -> Result<Action, Failure> {
    // `cargo xtask bench` says first where the program is.
    if let [flag, program, mode, rest @ ..] = words
        && flag == "--plimsoll"
        && matches!(mode.as_str(), "line" | "predict" | "rehearse")
    {
        let mut turned = vec![mode.clone(), flag.clone(), program.clone()];
        turned.extend(rest.iter().cloned());
        return parse(&turned);
    }
    match words.first().map(String::as_str) {
        Some("floor") => parse_floor(&words[1..]).map(Action::Floor),
        Some(control::predict::COMMAND) => Ok(Action::PredictWorker),
        Some("rehearse") if words.iter().any(|w| w == "--help") => Ok(Action::RehearseHelp),
        Some("rehearse") => {
            crate::rehearse::parse(&words[1..]).map(|options| Action::Rehearse(Box::new(options)))
        }
        Some("predict") if words.iter().any(|w| w == "--help") => Ok(Action::PredictHelp),
        Some("predict") => {
            crate::predict::parse(&words[1..]).map(|options| Action::Predict(Box::new(options)))
        }
        Some("line") if words.iter().any(|w| w == "--help") => Ok(Action::LineHelp),
        Some("line") => line::parse(&words[1..]).map(|options| Action::Line(Box::new(options))),
        Some("--help" | "-h") => Ok(Action::Help),
        _ => parse_bench(words).map(|options| Action::Bench(Box::new(options))),
    }
}

fn parse_bench(words: &[String]) -> Result<Options, Failure> {
    let quick = words.iter().any(|word| word == "--quick");
    let mut options = Options {
        plimsoll: None,
        pgbouncers: Vec::new(),
        haproxy: "haproxy".into(),
        without: Vec::new(),
        quick,
        rounds: if quick { 3 } else { 9 },
        seconds: if quick { 3 } else { 4 },
        minutes: 150,
        filters: Vec::new(),
        idle: vec![1000, 5000],
        line_cost: false,
        callgrind: false,
        scale: false,
        sizing: false,
        repeat: 2,
        seed: 1,
        json: "target/bench.json".into(),
        markdown: Some("docs/benchmarks.md".into()),
        date: None,
        pg_bin: None,
        line: words.join(" "),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .cloned()
                .ok_or_else(|| format!("{word} wants a value"))
        };
        match word.as_str() {
            "--quick" => {}
            "--callgrind" => options.callgrind = true,
            "--line-cost" => (options.callgrind, options.line_cost) = (true, true),
            "--scale" => options.scale = true,
            "--sizing" => options.sizing = true,
            "--plimsoll" => options.plimsoll = Some(value()?.into()),
            "--pgbouncer" => options.pgbouncers.push(value()?),
            "--haproxy" => options.haproxy = value()?,
            "--without" => options.without.push(value()?),
            "--rounds" => options.rounds = number(word, &value()?, 1, 100)?,
            "--seconds" => options.seconds = number(word, &value()?, 3, 60)? as u32,
            "--minutes" => options.minutes = number(word, &value()?, 1, 1000)? as u64,
            "--cells" => options.filters.push(value()?),
            "--idle" => options.idle = idle_steps(&value()?)?,
            "--repeat" => options.repeat = number(word, &value()?, 1, 20)? as u32,
            "--seed" => options.seed = number(word, &value()?, 0, usize::MAX)? as u64,
            "--json" => options.json = value()?.into(),
            "--markdown" => {
                options.markdown = Some(value()?).filter(|file| file != "-").map(Into::into)
            }
            "--date" => options.date = Some(value()?),
            "--pg-bin" => options.pg_bin = Some(value()?.into()),
            _ => return fail(format!("unknown option {word}; --help lists them")),
        }
    }
    known_kinds(&options.without)?;
    if options.pgbouncers.is_empty() {
        options.pgbouncers.push("pgbouncer".into());
    }
    Ok(options)
}

fn known_kinds(without: &[String]) -> Result<(), Failure> {
    let known = ["floor", "haproxy", "direct"];
    match without.iter().find(|k| !known.contains(&k.as_str())) {
        Some(kind) => fail(format!("--without {kind}: floor, haproxy or direct")),
        None => Ok(()),
    }
}

fn parse_floor(words: &[String]) -> Result<floor::Options, Failure> {
    let find = |name: &str| {
        let at = words
            .iter()
            .position(|word| word == name)
            .ok_or_else(|| format!("floor wants {name}"))?;
        words
            .get(at + 1)
            .cloned()
            .ok_or_else(|| format!("{name} wants a value"))
    };
    let address = |name: &str| find(name)?.parse().map_err(|e| format!("{name}: {e}"));
    Ok(floor::Options {
        listen: address("--listen")?,
        server: address("--server")?,
        servers: number("--servers", &find("--servers")?, 1, 1000)?,
        user: crate::USER.into(),
        database: crate::DATABASE.into(),
    })
}

fn idle_steps(text: &str) -> Result<Vec<usize>, Failure> {
    let mut steps = Vec::new();
    for word in text.split(',') {
        steps.push(number("--idle", word, 0, 5500)?);
    }
    steps.sort_unstable();
    steps.retain(|step| *step > 0);
    Ok(steps)
}

fn number(name: &str, text: &str, low: usize, high: usize) -> Result<usize, Failure> {
    match text.parse() {
        Ok(n) if (low..=high).contains(&n) => Ok(n),
        _ => fail(format!("{name}: {text} is no number from {low} to {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(line: &str) -> Result<Options, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse_bench(&words)
    }

    #[test]
    fn quick_only_changes_defaults() {
        let options = bench("--rounds 5 --quick").unwrap();
        assert_eq!((options.rounds, options.seconds), (5, 3));
        assert_eq!(bench("").unwrap().rounds, 9);
    }

    #[test]
    fn mistakes_are_named() {
        let text = |line: &str| bench(line).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(
            text("--round 3"),
            "unknown option --round; --help lists them"
        );
        assert_eq!(text("--rounds"), "--rounds wants a value");
        assert_eq!(text("--rounds x"), "--rounds: x is no number from 1 to 100");
        assert_eq!(
            text("--without pgbouncer"),
            "--without pgbouncer: floor, haproxy or direct"
        );
    }

    #[test]
    fn cells_are_chosen_by_parts_of_their_names() {
        let options = bench("--cells select-only/simple --cells login").unwrap();
        assert_eq!(options.cells().len(), 4 + 2);
        assert_eq!(bench("--idle 0").unwrap().idle, Vec::<usize>::new());
    }
}
