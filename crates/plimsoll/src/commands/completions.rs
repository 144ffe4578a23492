//! `plimsoll completions SHELL`: a script for the shell's own completion.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};

/// Prints the script to standard output.
pub fn run(args: CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "plimsoll", &mut script);
    std::io::stdout()
        .write_all(&script)
        .context("cannot write the script")?;
    Ok(ExitCode::SUCCESS)
}
