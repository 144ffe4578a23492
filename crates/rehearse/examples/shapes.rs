//! How far a replay is from what was captured: `shapes CAPTURED REPLAYED`.

// For a person at a terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use events::shape::Shape;
use rehearse::captured::{compare, head};
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let read = |file: &String| {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        Shape::from_text(&text).map_err(|error| error.to_string())
    };
    let shapes: Result<Vec<Shape>, String> = files.iter().map(read).collect();
    let difference = match shapes.as_deref() {
        Ok([captured, replayed]) => {
            for (shape, file) in [captured, replayed].iter().zip(&files) {
                println!("{}", head(shape, "-", file));
            }
            compare(captured, replayed)
        }
        Ok(_) => {
            eprintln!("usage: shapes CAPTURED REPLAYED");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let Some(d) = difference else {
        eprintln!("one of them holds no request");
        return ExitCode::from(2);
    };
    for (name, part) in [
        ("rate", d.rate),
        ("concurrency", d.concurrency),
        ("hold p50", d.hold_p50),
        ("hold p99", d.hold_p99),
    ] {
        println!("{name:<12} {:+.1} %", part * 100.0);
    }
    ExitCode::SUCCESS
}
