//! `cargo xtask TASK`: the chores of this repository, as code.
//!
//! Each task is one module with `pub fn run(args: &[String]) -> Outcome`. To
//! add one, write the module and add a row to [`TASKS`]; `--help` reads that
//! table. This crate needs only `std` and `serde_json`, so that it builds in
//! seconds; heavy work (simulator, bench) is started as another program.

// A shell for people: it prints, reads the environment and the clock.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod cargo;
mod check;
mod ci;
mod deps;
mod diagnose_eval;
mod foreground;
mod fuzz;
mod help;
mod instructions;
mod leaks_corpus;
mod licences;
mod metadata;
mod package;
mod page_shots;
mod pg_matrix;
mod scale;
mod sim;
mod steps;
mod suites;
mod table;
mod test;
mod tidy;
mod upgrade;

// One search for PostgreSQL serves the sandbox and this crate.
#[path = "../../crates/plimsoll/src/sandbox/programs.rs"]
#[allow(dead_code, reason = "the sandbox uses more of it than we do")]
mod programs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Done, or why not. The text is for the person who typed the command.
type Outcome = Result<(), String>;

/// A row of the table of tasks.
struct Task {
    name: &'static str,
    /// One line, for the list.
    summary: &'static str,
    /// The rest, for `cargo xtask NAME --help`.
    help: &'static str,
    run: fn(&[String]) -> Outcome,
}

/// Everything that `cargo xtask` can do, in the order of its help.
const TASKS: &[Task] = &[
    Task {
        name: "deps",
        summary: deps::SUMMARY,
        help: deps::HELP,
        run: deps::run,
    },
    Task {
        name: "test",
        summary: test::SUMMARY,
        help: test::HELP,
        run: test::run,
    },
    Task {
        name: "tidy",
        summary: tidy::SUMMARY,
        help: tidy::HELP,
        run: tidy::run,
    },
    Task {
        name: "check",
        summary: check::SUMMARY,
        help: check::HELP,
        run: check::run,
    },
    Task {
        name: "licences",
        summary: licences::SUMMARY,
        help: licences::HELP,
        run: licences::run,
    },
    Task {
        name: "instructions",
        summary: instructions::SUMMARY,
        help: instructions::HELP,
        run: instructions::run,
    },
    Task {
        name: "fuzz",
        summary: fuzz::SUMMARY,
        help: fuzz::HELP,
        run: fuzz::run,
    },
    Task {
        name: "ci",
        summary: ci::SUMMARY,
        help: ci::HELP,
        run: ci::run,
    },
    Task {
        name: "sim",
        summary: sim::SUMMARY,
        help: sim::HELP,
        run: sim::run,
    },
    Task {
        name: "scale",
        summary: scale::SUMMARY,
        help: scale::HELP,
        run: scale::run,
    },
    Task {
        name: "deb",
        summary: package::DEB_SUMMARY,
        help: package::DEB_HELP,
        run: package::deb,
    },
    Task {
        name: "static",
        summary: package::STATIC_SUMMARY,
        help: package::STATIC_HELP,
        run: package::statically,
    },
    Task {
        name: "bench",
        summary: bench::SUMMARY,
        help: bench::HELP,
        run: bench::run,
    },
    Task {
        name: "diagnose-eval",
        summary: diagnose_eval::SUMMARY,
        help: diagnose_eval::HELP,
        run: diagnose_eval::run,
    },
    Task {
        name: "leaks-corpus",
        summary: leaks_corpus::SUMMARY,
        help: leaks_corpus::HELP,
        run: leaks_corpus::run,
    },
    Task {
        name: "page-shots",
        summary: page_shots::SUMMARY,
        help: page_shots::HELP,
        run: page_shots::run,
    },
    Task {
        name: "upgrade",
        summary: upgrade::SUMMARY,
        help: upgrade::HELP,
        run: upgrade::run,
    },
    Task {
        name: "regress",
        summary: suites::REGRESS_SUMMARY,
        help: suites::REGRESS_HELP,
        run: suites::regress,
    },
    Task {
        name: "pg-matrix",
        summary: pg_matrix::SUMMARY,
        help: pg_matrix::HELP,
        run: pg_matrix::run,
    },
    Task {
        name: "django",
        summary: suites::DJANGO_SUMMARY,
        help: suites::DJANGO_HELP,
        run: suites::django,
    },
    Task {
        name: "pgbouncer-suite",
        summary: suites::PGBOUNCER_SUMMARY,
        help: suites::PGBOUNCER_HELP,
        run: suites::pgbouncer,
    },
    Task {
        name: "drivers",
        summary: suites::DRIVERS_SUMMARY,
        help: suites::DRIVERS_HELP,
        run: suites::drivers,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        print!("{}", help::all(TASKS));
        return ExitCode::from(2);
    };
    if ["help", "-h", "--help"].contains(&name.as_str()) {
        print!("{}", help::all(TASKS));
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("no task `{name}`.\n\n{}", help::all(TASKS));
        return ExitCode::from(2);
    };
    if rest.iter().any(|arg| arg == "-h" || arg == "--help") {
        print!("{}", help::one(task));
        return ExitCode::SUCCESS;
    }
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("cargo xtask {name}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// The repository, wherever the command was typed.
fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// For tasks without arguments: a word too many is a mistake, not something to ignore.
fn no_arguments(args: &[String]) -> Outcome {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(format!("unexpected argument `{arg}`; see --help")),
    }
}
