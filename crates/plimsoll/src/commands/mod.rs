//! One module for each command. Each has `pub fn run(args)`, which returns the
//! exit code, or an error for `main` to print.

mod check;
mod completions;
mod demo;
mod guards;
mod reach;
mod run;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Runs the command that the person typed.
pub fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Guards(args) => guards::run(args),
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(args),
    }
}
