//! One module for each command. Each has `pub fn run(args)`, which returns the
//! exit code, or an error for `main` to print.

mod address;
mod alerts;
mod alone;
mod capture;
mod check;
mod completions;
mod demo;
mod diagnosis;
mod drill;
mod export;
mod guard;
mod guards;
mod import;
mod incident;
mod lab;
mod leaks;
mod man;
mod notify;
mod pgbouncer;
mod playbook;
mod predict_worker;
mod reach;
mod rehearse;
mod run;
mod settings;
mod size;
mod template;
mod top;

pub(crate) use top::keys_help as top_keys;

use anyhow::Context;
use std::io::Write;
use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Runs the command that the person typed.
pub fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Guards(args) => guards::run(args),
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Size(args) => size::run(&args),
        Command::Template(args) => template::run(&args),
        Command::Plan(args) => settings::plan(&args),
        Command::Apply(args) => settings::apply(&args),
        Command::History(args) => settings::history(&args),
        Command::Rollback(args) => settings::rollback(&args),
        Command::Status(args) => settings::status(&args),
        Command::Top(args) => top::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Diagnose(args) => diagnosis::diagnose(&args),
        Command::Alerts(args) => alerts::run(&args),
        Command::Bundle(args) => diagnosis::bundle(&args),
        Command::Mark(args) => diagnosis::mark(&args),
        Command::Notify(args) => notify::run(&args),
        Command::Incident(args) => incident::run(&args),
        Command::Playbook(args) => playbook::run(&args),
        Command::Guard(args) => guard::run(&args),
        Command::Leaks(args) => leaks::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Rehearse(args) => rehearse::run(&args),
        Command::Drill(args) => drill::run(&args),
        Command::Pgbouncer(args) => pgbouncer::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(&args),
        Command::PredictWorker => predict_worker::run(),
    }
}

/// Prints what a command found out.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A pager that was closed is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}
