//! Reads a settings file from disk and prints its errors or warnings.
#![allow(clippy::print_stdout)]

fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    let disk = |p: &std::path::Path| std::fs::read(p);
    match config::load(path.as_ref(), &disk) {
        Ok(plan) => println!("{}", plan.warnings.join("\n")),
        Err(errors) => println!("{errors}"),
    }
}
