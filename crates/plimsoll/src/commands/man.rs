//! `plimsoll man`: the manual pages, made from the command line's own definition.

use anyhow::Context;
use clap::CommandFactory;
use std::process::ExitCode;

use crate::cli::{Cli, ManArgs};

/// Prints the page of the whole program, or writes one page for each command.
pub fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let command = Cli::command();
    let Some(directory) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .context("cannot make the page")?;
        super::print(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    clap_mangen::generate_to(command, directory)
        .with_context(|| format!("cannot write pages to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
