//! The load line: what happens to others when a pool is too large, a client leaks, is noisy, or all come at once.
//!
//! Each scenario runs with each program, one after the other, before the same private server, with the same clients.
//! Nothing here measures speed for its own sake; it counts who was served, who was refused, and how soon all was well.

pub mod client;
mod load;
mod scenarios;
mod settings;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::poolers::{Kind, Target};
use crate::postgres::Postgres;
use crate::sandbox::{Sandbox, Stop, find_program};
use crate::{Failure, fail, measure, report};
use scenarios::{SCENARIOS, Stage};

/// Printed by `line --help`.
pub const HELP: &str = "\
Plays the load line's scenarios before Plimsoll and other poolers, on this machine.

cargo xtask bench line [OPTIONS]
  --plimsoll PATH     the program to measure
  --pgbouncer CMD     repeatable; CMD is a path, or words split at spaces
  --scenario NAME     only this one; repeatable: oversized, leak, noisy, overload
  --seconds N         length of a scenario's main part, default 10
  --rounds N          default 1; figures are medians over rounds
  --markdown FILE     where to write the section (default docs/benchmarks.md); - for nowhere
  --pg-bin DIR        PostgreSQL's programs
";

/// The command line, read.
pub struct Options {
    plimsoll: PathBuf,
    pgbouncers: Vec<String>,
    scenarios: BTreeSet<String>,
    seconds: u64,
    rounds: usize,
    markdown: Option<PathBuf>,
    pg_bin: Option<PathBuf>,
    line: String,
}

/// Reads the words after `line`.
pub fn parse(words: &[String]) -> Result<Options, Failure> {
    let mut plimsoll = None;
    let mut options = Options {
        plimsoll: PathBuf::new(),
        pgbouncers: Vec::new(),
        scenarios: BTreeSet::new(),
        seconds: 10,
        rounds: 1,
        markdown: Some("docs/benchmarks.md".into()),
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
            "--plimsoll" => plimsoll = Some(value()?),
            "--pgbouncer" => options.pgbouncers.push(value()?),
            "--scenario" => {
                let name = value()?;
                if !SCENARIOS.iter().any(|s| s.name == name) {
                    return fail(format!("--scenario {name}: there is none of that name"));
                }
                options.scenarios.insert(name);
            }
            "--seconds" => options.seconds = number(word, &value()?, 3, 600)?,
            "--rounds" => options.rounds = number(word, &value()?, 1, 99)? as usize,
            "--markdown" => {
                options.markdown = Some(value()?).filter(|file| file != "-").map(Into::into)
            }
            "--pg-bin" => options.pg_bin = Some(value()?.into()),
            _ => return fail(format!("unknown option {word}; line --help lists them")),
        }
    }
    options.plimsoll = plimsoll.ok_or("line wants --plimsoll")?.into();
    Ok(options)
}

fn number(name: &str, text: &str, low: u64, high: u64) -> Result<u64, Failure> {
    match text.parse() {
        Ok(n) if (low..=high).contains(&n) => Ok(n),
        _ => fail(format!("{name}: {text} is no number from {low} to {high}")),
    }
}

/// One figure of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is, with its unit.
    pub what: String,
    /// The figure; `None` where it was not reached in the time given.
    pub value: Option<f64>,
    /// Words beside it, such as error codes.
    pub note: String,
}

/// Plays the scenarios and writes the section.
pub fn run(options: &Options) -> Result<(), Failure> {
    let sandbox = Sandbox::create(Stop::install()?)?;
    let mut targets = Vec::new();
    for command in &options.pgbouncers {
        let mut words = command.split_whitespace().map(PathBuf::from);
        let first = words.next().unwrap_or_default();
        let program = find_program(&first.display().to_string())
            .ok_or_else(|| format!("{}: no such program", first.display()))?;
        let command = std::iter::once(program).chain(words).collect();
        targets.push(Target::new(Kind::PgBouncer, command)?);
    }
    let copy = sandbox.copy_program(&options.plimsoll, "plimsoll")?;
    targets.push(Target::new(Kind::Plimsoll, vec![copy])?);
    let mut section = head(options, &targets);
    for scenario in SCENARIOS {
        if !options.scenarios.is_empty() && !options.scenarios.contains(scenario.name) {
            continue;
        }
        let postgres = Postgres::start(
            &sandbox,
            options.pg_bin.clone(),
            scenario.name,
            scenario.max_connections,
        )?;
        let mut columns: Vec<Vec<Vec<Figure>>> = vec![Vec::new(); targets.len()];
        for round in 1..=options.rounds {
            for (n, target) in targets.iter().enumerate() {
                sandbox.stop.check()?;
                eprintln!(
                    "{} · {} · round {round}/{} (load {:.1})",
                    scenario.name,
                    target.name,
                    options.rounds,
                    measure::load()
                );
                let stage = Stage {
                    sandbox: &sandbox,
                    postgres: &postgres,
                    target,
                    seconds: options.seconds,
                    seed: round as u64,
                };
                let figures = (scenario.play)(&stage)?;
                for figure in &figures {
                    eprintln!("    {}", words(figure));
                }
                columns[n].push(figures);
            }
        }
        section.push_str(&table(scenario.title, scenario.text, &targets, &columns));
    }
    println!("{section}");
    if let Some(file) = &options.markdown {
        report::write_section(file, "line", &section)?;
        eprintln!("Written: {}", file.display());
    }
    Ok(())
}

fn head(options: &Options, targets: &[Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
    format!(
        "## The load line\n\n{} · {}\n\n    cargo xtask bench line {}\n\n\
         Each program in turn before the same private server; {} s for each scenario's main part; medians of {} round{}.\n",
        report::today(),
        names.join(", "),
        options.line,
        options.seconds,
        options.rounds,
        if options.rounds == 1 { "" } else { "s" },
    )
}

fn table(title: &str, text: &str, targets: &[Target], columns: &[Vec<Vec<Figure>>]) -> String {
    use std::fmt::Write as _;
    let mut out = format!("\n### {title}\n\n{text}\n\n| |");
    for target in targets {
        let _ = write!(out, " {} |", target.name);
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(targets.len()));
    out.push('\n');
    let first = columns.first().and_then(|rounds| rounds.first());
    for (n, figure) in first.into_iter().flatten().enumerate() {
        let _ = write!(out, "| {} |", figure.what);
        for rounds in columns {
            let values: Vec<&Figure> = rounds.iter().filter_map(|r| r.get(n)).collect();
            let _ = write!(out, " {} |", cell(&values));
        }
        out.push('\n');
    }
    out
}

/// The median over rounds; a round without the figure counts as the worst.
fn cell(values: &[&Figure]) -> String {
    let mut all: Vec<f64> = values
        .iter()
        .map(|f| f.value.unwrap_or(f64::INFINITY))
        .collect();
    all.sort_by(f64::total_cmp);
    let note = values.first().map(|f| f.note.as_str()).unwrap_or_default();
    let value = match all.get(all.len() / 2) {
        Some(v) if v.is_finite() => digits(*v),
        _ => "never".into(),
    };
    match note {
        "" => value,
        note => format!("{value} ({note})"),
    }
}

fn words(figure: &Figure) -> String {
    format!("{}: {}", figure.what, cell(&[figure]))
}

fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_without_the_figure_counts_as_the_worst() {
        let figure = |value| Figure {
            what: "back to normal, s".into(),
            value,
            note: String::new(),
        };
        let (one, none) = (figure(Some(1.5)), figure(None));
        assert_eq!(cell(&[&one, &none, &one]), "1.50");
        assert_eq!(cell(&[&one, &none, &none]), "never");
    }

    #[test]
    fn only_known_scenarios_are_played() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert!(parse(&words("--plimsoll x --scenario leak --rounds 3")).is_ok());
        for wrong in [
            "--plimsoll x --scenario flood",
            "--rounds 3",
            "--plimsoll x --rounds 0",
        ] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
