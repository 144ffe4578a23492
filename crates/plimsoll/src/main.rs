//! The binary: it reads the command line and hands over to the library.
//!
//! Exit codes: what the command says; 1 when it failed; 2 for a usage error.

use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::Cli;
use plimsoll::commands;

#[expect(
    clippy::print_stderr,
    reason = "the one place where a failed command tells the person"
)]
fn main() -> ExitCode {
    match commands::dispatch(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("plimsoll: {error:#}");
            ExitCode::FAILURE
        }
    }
}
