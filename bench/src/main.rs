//! The benchmark: Plimsoll's data path beside PgBouncer's, a bare relay's and others', in interleaved rounds on one machine.
//!
//! It never measures anything but servers that it started itself, on loopback, for a bounded time, and leaves nothing
//! running behind. On a small shared machine absolute figures drift by the minute; therefore each round runs every target
//! in every cell, in shuffled order, and the report rests on ratios of the same round.
//!
//! The one invariant: a run with any error counts nowhere and is shown; nothing is dropped in silence.
//!
//! ```text
//! for each round, cell, target (shuffled):  pgbench ──▶ target ──▶ private PostgreSQL
//!                                              │           │
//!                                TPS, latency ◀┘           └▶ CPU clock, context switches of its process
//! then: memory of idle clients;  --callgrind: instructions per transaction instead
//! ```
#![forbid(unsafe_code)]
// A shell: it reads clocks, starts processes and prints.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod options;

mod callgrind;
mod cells;
mod floor;
mod idle;
mod line;
mod measure;
mod pgbench;
mod poolers;
mod postgres;
mod predict;
mod rehearse;
mod report;
mod sandbox;
mod sizing;
mod stats;
mod verdict;
mod wire;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cells::{Auth, Cell, Workload};
use options::{Action, Options};
use poolers::{Kind, Running, Target};
use postgres::Postgres;
use report::{IdleResult, Results, Run};
use sandbox::{Sandbox, Stop, find_program};

/// Anything that ends the benchmark or spoils a run.
pub type Failure = Box<dyn Error>;

/// Our user in the private server.
pub const USER: &str = "bench";
/// Our database in the private server.
pub const DATABASE: &str = "bench";
/// Not a secret: the server lives for one run, on loopback.
pub const PASSWORD: &str = "bench";

/// An error with that text.
pub fn fail<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(text.into().into())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match options::parse(&words) {
        Ok(Action::Help) => {
            print!("{}", options::HELP);
            Ok(())
        }
        Ok(Action::LineHelp) => {
            print!("{}", line::HELP);
            Ok(())
        }
        Ok(Action::Floor(options)) => floor::run(options).map_err(Into::into),
        Ok(Action::PredictHelp) => {
            print!("{}", predict::HELP);
            Ok(())
        }
        Ok(Action::RehearseHelp) => {
            print!("{}", rehearse::HELP);
            Ok(())
        }
        Ok(Action::Rehearse(options)) => rehearse::run(&options),
        Ok(Action::Line(options)) => line::run(&options),
        Ok(Action::Predict(options)) => predict::run(&options),
        Ok(Action::PredictWorker) => {
            control::predict::serve(std::io::stdin().lock(), std::io::stdout().lock())
                .map_err(Into::into)
        }
        Ok(Action::Bench(options)) if options.sizing => sizes(&options),
        Ok(Action::Bench(options)) => bench(&options),
        Err(e) => {
            eprintln!("plimsoll-bench: {e}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("plimsoll-bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn sizes(options: &Options) -> Result<(), Failure> {
    let program = options.plimsoll.as_ref();
    let program = program.ok_or("--sizing wants --plimsoll")?;
    let sandbox = Sandbox::create(Stop::install()?)?;
    let postgres = Postgres::start(
        &sandbox,
        options.pg_bin.clone(),
        "sizing",
        postgres::MAX_CONNECTIONS,
    )?;
    let section = sizing::run(&sandbox, &postgres, program)?;
    println!("{section}");
    if let Some(file) = &options.markdown {
        report::write_section(file, "sizing", &section)?;
    }
    Ok(())
}

fn bench(options: &Options) -> Result<(), Failure> {
    let sandbox = Sandbox::create(Stop::install()?)?;
    let targets = targets(options, &sandbox)?;
    eprintln!("Starting a private PostgreSQL …");
    let postgres = Postgres::start(
        &sandbox,
        options.pg_bin.clone(),
        "bench",
        postgres::MAX_CONNECTIONS,
    )?;
    let mut results = Results::new(options, &targets, &postgres.version);
    if options.callgrind {
        count(options, &sandbox, &postgres, &targets, &mut results)?;
    } else {
        rounds(options, &sandbox, &postgres, &targets, &mut results)?;
    }
    if !options.callgrind && !options.scale {
        idle(options, &sandbox, &postgres, &targets, &mut results)?;
    }
    results.write_json(&options.json)?;
    let section = report::markdown(&results);
    println!("{section}");
    if let Some(file) = &options.markdown {
        let mark = match (options.callgrind, options.scale) {
            _ if options.line_cost => "line-cost",
            (true, _) => "instructions",
            (_, true) => "scale",
            _ => "data-path",
        };
        // It stands under a heading of its own.
        let section = match options.line_cost {
            true => section.replacen("## Instructions per transaction\n\n", "", 1),
            false => section,
        };
        report::write_section(file, mark, &section)?;
        eprintln!("Written: {} and {}", file.display(), options.json.display());
    }
    let spoiled = results
        .runs
        .iter()
        .filter(|run| run.problem.is_some())
        .count();
    if spoiled > 0 {
        return fail(format!(
            "{spoiled} runs do not count; they are listed above"
        ));
    }
    Ok(())
}

/// Idle clients beside which one worker is measured.
const IDLE_BESIDE: usize = 10_000;

/// The programs under test, in the order of the report; the first is the yardstick.
fn targets(options: &Options, sandbox: &Sandbox) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    if options.scale {
        let program = options
            .plimsoll
            .as_ref()
            .ok_or("--scale wants --plimsoll")?;
        let copy = sandbox.copy_program(program, "plimsoll")?;
        let plimsoll = Target::new(Kind::Plimsoll, vec![copy])?;
        targets.extend([
            plimsoll.with(1, 0),
            plimsoll.with(2, 0),
            plimsoll.with(1, IDLE_BESIDE),
        ]);
        return Ok(targets);
    }
    if options.line_cost {
        let program = options
            .plimsoll
            .as_ref()
            .ok_or("--line-cost wants --plimsoll")?;
        let copy = sandbox.copy_program(program, "plimsoll")?;
        let plimsoll = Target::new(Kind::Plimsoll, vec![copy])?;
        return Ok(vec![plimsoll.guarded(false), plimsoll.guarded(true)]);
    }
    for command in &options.pgbouncers {
        let mut words = command.split_whitespace().map(PathBuf::from);
        let first = words.next().unwrap_or_default();
        let program = find_program(&first.display().to_string()).ok_or_else(|| {
            format!(
                "{}: no such program; --pgbouncer says where it is",
                first.display()
            )
        })?;
        targets.push(Target::new(
            Kind::PgBouncer,
            std::iter::once(program).chain(words).collect(),
        )?);
    }
    if let Some(program) = &options.plimsoll {
        let copy = sandbox.copy_program(program, "plimsoll")?;
        targets.push(Target::new(Kind::Plimsoll, vec![copy])?);
    }
    let with = |kind: &str| !options.without.iter().any(|k| k == kind);
    if with("floor") {
        let copy = sandbox.copy_program(&std::env::current_exe()?, "floor")?;
        targets.push(Target::new(Kind::Floor, vec![copy, "floor".into()])?);
    }
    if options.callgrind {
        return Ok(targets);
    }
    match find_program(&options.haproxy) {
        Some(program) if with("haproxy") => {
            targets.push(Target::new(Kind::HaProxy, vec![program])?)
        }
        None if with("haproxy") => eprintln!("No HAProxy here; it is left out."),
        _ => {}
    }
    if with("direct") {
        targets.push(Target::new(Kind::Direct, Vec::new())?);
    }
    Ok(targets)
}

/// The pooler of a target with one way of logging in, started when first needed.
struct Bed<'a> {
    sandbox: &'a Sandbox,
    postgres: &'a Postgres,
    running: Vec<(String, Auth, Running)>,
}

impl Bed<'_> {
    fn at(&mut self, target: &Target, auth: Auth) -> Result<&mut Running, Failure> {
        self.running.retain_mut(|(_, _, running)| running.alive());
        let find = |(name, a, _): &(String, Auth, Running)| *name == target.name && *a == auth;
        let at = match self.running.iter().position(find) {
            Some(at) => at,
            None => {
                let running = poolers::start(self.sandbox, self.postgres, target, auth, &[])?;
                self.running.push((target.name.clone(), auth, running));
                self.running.len() - 1
            }
        };
        Ok(&mut self.running[at].2)
    }
}

fn rounds(
    options: &Options,
    sandbox: &Sandbox,
    postgres: &Postgres,
    targets: &[Target],
    results: &mut Results,
) -> Result<(), Failure> {
    let cells = options.cells();
    let started = Instant::now();
    let mut rng = stats::Rng::new(options.seed);
    let mut bed = Bed {
        sandbox,
        postgres,
        running: Vec::new(),
    };
    for round in 1..=options.rounds {
        if started.elapsed() > Duration::from_secs(options.minutes * 60) {
            results.notes.push(format!(
                "stopped after {} rounds: the time was up",
                round - 1
            ));
            break;
        }
        for cell in &cells {
            let mut order: Vec<&Target> = targets
                .iter()
                .filter(|t| t.cannot(cell).is_none())
                .collect();
            rng.shuffle(&mut order);
            for target in order {
                let run = one_run(options, &mut bed, cell, target, round)?;
                eprintln!("{round}/{} {}", options.rounds, run.line());
                results.runs.push(run);
            }
        }
        results.write_json(&options.json)?;
    }
    Ok(())
}

/// One run; only an interruption is an error here, all else is a run that does not count.
fn one_run(
    options: &Options,
    bed: &mut Bed,
    cell: &Cell,
    target: &Target,
    round: usize,
) -> Result<Run, Failure> {
    let load = measure::load();
    let pgbench = bed.postgres.bin.join("pgbench");
    let sandbox = bed.sandbox;
    let done = bed.at(target, cell.auth).and_then(|running| {
        let done = pgbench::run(
            sandbox,
            &pgbench,
            cell,
            running.address,
            running.pid(),
            options.seconds,
        );
        if running.alive() {
            done
        } else {
            fail("the pooler ended")
        }
    });
    sandbox.stop.check()?;
    Ok(Run {
        cell: cell.to_string(),
        target: target.name.clone(),
        round,
        load,
        problem: done.as_ref().err().map(ToString::to_string),
        measured: done.unwrap_or_default(),
    })
}

fn idle(
    options: &Options,
    sandbox: &Sandbox,
    postgres: &Postgres,
    targets: &[Target],
    results: &mut Results,
) -> Result<(), Failure> {
    let many = options.idle.last().copied().unwrap_or(0);
    for target in targets {
        let one_to_one = matches!(target.kind, Kind::HaProxy | Kind::Direct);
        if many == 0 || one_to_one {
            continue;
        }
        eprintln!("{}: {many} idle clients", target.name);
        let done = poolers::start(sandbox, postgres, target, Auth::Trust, &[])
            .and_then(|running| idle::measure(sandbox, &running, &options.idle));
        sandbox.stop.check()?;
        match done {
            Ok(points) => results.idle.push(IdleResult {
                target: target.name.clone(),
                points,
            }),
            Err(e) => results
                .notes
                .push(format!("idle clients, {}: {e}", target.name)),
        }
    }
    Ok(())
}

fn count(
    options: &Options,
    sandbox: &Sandbox,
    postgres: &Postgres,
    targets: &[Target],
    results: &mut Results,
) -> Result<(), Failure> {
    let wanted = |cell: &Cell| {
        if options.line_cost && cell.workload == Workload::Login {
            return false;
        }
        let name = cell.to_string();
        options.filters.is_empty()
            || options
                .filters
                .iter()
                .any(|part| name.contains(part.as_str()))
    };
    for cell in callgrind::cells().into_iter().filter(wanted) {
        for target in targets.iter().filter(|t| t.cannot(&cell).is_none()) {
            let done = callgrind::count(sandbox, postgres, target, &cell, options.repeat);
            sandbox.stop.check()?;
            match done {
                Ok(count) => {
                    let kind = if cell.workload == Workload::Login {
                        "per login"
                    } else {
                        "per transaction"
                    };
                    eprintln!(
                        "{} {}: {:.0?} instructions {kind}",
                        count.cell, count.target, count.instructions
                    );
                    results.counts.push(count);
                }
                Err(e) => results
                    .notes
                    .push(format!("instructions, {cell}, {}: {e}", target.name)),
            }
        }
    }
    Ok(())
}
