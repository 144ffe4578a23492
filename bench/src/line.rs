//! The load line: what happens to others when a pool is too large, a client leaks, is noisy, or all come at once.
//!
//! Each scenario runs with each program, one after the other, before the same private server, with the same clients.
//! Nothing here measures speed for its own sake; it counts who was served, who was refused, and how soon all was well.

pub mod client;
mod figure;
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
use figure::{Column, value_words};
use scenarios::{SCENARIOS, Scenario, Stage};

/// Printed by `line --help`.
pub const HELP: &str = "\
Plays the load line's scenarios before Plimsoll and other poolers, on this machine.

cargo xtask bench line [OPTIONS]
  --plimsoll PATH     the program to measure
  --pgbouncer CMD     repeatable; CMD is a path, or words split at spaces
  --scenario NAME     only this one; repeatable: oversized, leak, noisy, overload, fleet, zipf
  --seconds N         length of a scenario's main part, default 4
  --rounds N          default 3; figures are medians over rounds
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
        seconds: 4,
        rounds: 3,
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
    let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
    let (mut body, mut version, mut busy) = (String::new(), String::new(), Vec::new());
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
        settings::prepare(&sandbox, &postgres)?;
        version.clone_from(&postgres.version);
        let columns = rounds(options, &sandbox, &postgres, scenario, &targets, &mut busy)?;
        let shown = figure::show(&names, &columns, names.len() - 1);
        let text = format!("\n### {}\n\n{}\n\n{shown}", scenario.title, scenario.text);
        eprintln!("{text}");
        body.push_str(&text);
    }
    let section = head(options, &names, &version, &busy) + &body;
    println!("{section}");
    if let Some(file) = &options.markdown {
        report::write_section(file, "line", &section)?;
        eprintln!("Written: {}", file.display());
    }
    Ok(())
}

/// All rounds of a scenario; each program begins every other round.
fn rounds(
    options: &Options,
    sandbox: &Sandbox,
    postgres: &Postgres,
    scenario: &Scenario,
    targets: &[Target],
    busy: &mut Vec<f64>,
) -> Result<Vec<Column>, Failure> {
    let mut columns: Vec<Column> = vec![Vec::new(); targets.len()];
    for round in 1..=options.rounds {
        let mut order: Vec<usize> = (0..targets.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for n in order {
            sandbox.stop.check()?;
            let target = &targets[n];
            let load = measure::load();
            busy.push(load);
            eprintln!(
                "{} · {} · round {round}/{} (load {load:.1})",
                scenario.name, target.name, options.rounds
            );
            let stage = Stage {
                sandbox,
                postgres,
                target,
                max_connections: scenario.max_connections,
                seconds: options.seconds,
                seed: round as u64,
            };
            let figures = (scenario.play)(&stage)?;
            for figure in &figures {
                eprintln!("    {}: {}", figure.what, value_words(figure));
            }
            columns[n].push(figures);
        }
    }
    Ok(columns)
}

fn head(options: &Options, names: &[&str], version: &str, busy: &[f64]) -> String {
    format!(
        "{} · {} · PostgreSQL {version} · {}\n\n    cargo xtask bench line {}\n\n\
         Each program in turn before the same private server, {} interleaved round{}, {} s for each scenario's main part; load \
         average before the runs: median {:.1}. A goal is Plimsoll's. Figures are medians over the rounds; where a goal says \
         \"in each round\", the worst round. Plimsoll runs with its defaults but for the addresses, the pool's size, \
         the longest wait and `server.monitor_user`; guards enforce, which is the default of a `plimsoll.toml`.\n",
        report::today(),
        measure::machine(),
        names.join(", "),
        report::without_directories(&options.line),
        options.rounds,
        if options.rounds == 1 { "" } else { "s" },
        options.seconds,
        crate::stats::median(busy).unwrap_or(0.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
