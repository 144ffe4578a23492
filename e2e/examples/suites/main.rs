//! Other people's suites, straight and through the pooler: `-- regress|django|pgbouncer PAGE [ARGUMENTS]`.
//! PAGE holds the tables of what differs and why; `cargo xtask regress --help` and its neighbours say the rest.

// A tool for people: it prints, waits for the clock, and reads the environment.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod django;
mod fetch;
mod pgbouncer;
mod regress;
// The tasks read such tables, too.
#[path = "../../../xtask/src/table.rs"]
#[allow(dead_code, reason = "the tasks write them, too")]
mod table;

use std::path::Path;
use std::process::ExitCode;

/// What went well in one line, or what did not.
type Outcome = Result<String, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [suite, page, rest @ ..] = args.as_slice() else {
        eprintln!("SUITE PAGE [ARGUMENTS]; it is started by `cargo xtask`");
        return ExitCode::from(2);
    };
    let page = Path::new(page);
    let outcome = match suite.as_str() {
        "regress" => regress::run(page, rest),
        "django" => django::run(page, rest),
        "pgbouncer" => pgbouncer::run(page, rest),
        other => Err(format!("no suite `{other}`")),
    };
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{suite}: {text}");
            ExitCode::FAILURE
        }
    }
}
