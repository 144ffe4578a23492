//! Runs files through a target's body: `cargo run -p plimsoll-fuzz-bodies --example one -- sql FILE...`
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let found = fuzz_bodies::TARGETS.iter().find(|(n, _)| *n == name);
    let Some((_, body)) = found else {
        println!("no target {name:?}");
        return;
    };
    for path in args {
        match std::fs::read(&path) {
            Ok(data) => body(&data),
            Err(error) => println!("{path}: {error}"),
        }
    }
}
