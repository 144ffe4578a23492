//! The binary: it reads the command line and hands over to the library.
//!
//! Exit codes: what the command says; 1 when it failed; 2 for a usage error.

use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::{Cli, is_pgbouncers, words};
use plimsoll::commands;

#[expect(
    clippy::print_stderr,
    reason = "the one place where a failed command tells the person"
)]
fn main() -> ExitCode {
    let words = words(std::env::args_os());
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = std::env::args().any(|word| word == "--detailed-exitcode");
            let _ = error.print();
            // With that option 2 means that there are differences; PgBouncer knows 1 alone.
            let with_one = asked || is_pgbouncers(&words);
            let code = if with_one && error.exit_code() == 2 {
                1
            } else {
                error.exit_code()
            };
            return ExitCode::from(u8::try_from(code).unwrap_or(1));
        }
    };
    match commands::dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("plimsoll: {error:#}");
            ExitCode::FAILURE
        }
    }
}
