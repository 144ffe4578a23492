//! Fleets of 1 to 10,000 instances: `[--size N] [--scenario WORD] [--way view|ledger]
//! [--seed N] [--write FILE]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use sim::fleet::scale::{Point, SIZES, Scenario, VIEW_MAX, point, tables};
use std::process::ExitCode;
use std::time::Instant;

const BEGIN: &str = "<!-- scale:instances:begin -->\n";
const END: &str = "<!-- scale:instances:end -->";

/// Characters of a failure.
const TOLD_MAX: usize = 2000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let word = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).cloned()
    };
    let number = |name: &str| word(name).and_then(|text| text.parse::<u64>().ok());
    let seed = number("--seed").unwrap_or(1);
    let sizes = match number("--size") {
        Some(size) => vec![size as usize],
        None => SIZES.to_vec(),
    };
    let asked = word("--scenario");
    let way = word("--way");
    let mut points = Vec::new();
    for instances in sizes {
        for ledger in [false, true] {
            let name = if ledger { "ledger" } else { "view" };
            let beyond = !ledger && instances > VIEW_MAX && way.is_none();
            if beyond || way.as_ref().is_some_and(|way| way != name) {
                continue;
            }
            for scenario in Scenario::ALL {
                let other = asked.as_ref().is_some_and(|word| word != scenario.word());
                if other || !ledger && scenario == Scenario::StoreAway {
                    continue;
                }
                points.push(one(seed, instances, ledger, scenario));
            }
        }
    }
    let text = tables(&points);
    println!("\n{text}");
    let broken = points
        .iter()
        .any(|p| p.ledger && p.outcome.broken.is_some());
    if let Some(file) = word("--write")
        && let Err(error) = write(&file, &text)
    {
        println!("{file}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(broken))
}

fn one(seed: u64, instances: usize, ledger: bool, scenario: Scenario) -> Point {
    let begun = Instant::now();
    let outcome = point(seed, instances, ledger, scenario);
    let point = Point {
        instances,
        ledger,
        scenario,
        outcome,
        took: begun.elapsed().as_secs_f64(),
    };
    let settled: Vec<String> = point
        .outcome
        .settled
        .iter()
        .map(|(at, took)| format!("{:.0} s: {:.2}", at.as_secs_f64(), took.as_secs_f64()))
        .collect();
    let broken = point.outcome.broken.as_ref();
    let broken = broken.map(|text| text.chars().take(TOLD_MAX).collect::<String>());
    println!(
        "{instances} {} {}: settled {:.1} s ({}), unused {:.1} s, least left {}, grants {}, refused {}, full {}, {} store operations, {:.1} s; {}",
        if ledger { "ledger" } else { "view" },
        scenario.word(),
        point.settled().as_secs_f64(),
        settled.join(", "),
        point.outcome.unused.as_secs_f64(),
        point.outcome.least_left,
        point.outcome.grants,
        point.outcome.refused,
        point.outcome.full,
        point.outcome.store.all(),
        point.took,
        broken.unwrap_or("holds".into()),
    );
    point
}

/// Puts the tables between the markers.
fn write(file: &str, text: &str) -> Result<(), String> {
    let old = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let lost = || "the markers are not there".to_owned();
    let (before, rest) = old.split_once(BEGIN).ok_or_else(lost)?;
    let (_, after) = rest.split_once(END).ok_or_else(lost)?;
    std::fs::write(file, format!("{before}{BEGIN}{text}{END}{after}")).map_err(|e| e.to_string())
}
