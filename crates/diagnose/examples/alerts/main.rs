//! How often alerts are wrong, and how early they are right: simulated days
//! without and with trouble. `cargo xtask sim --alerts` runs it.
//!
//! Arguments: days of healthy traffic (30), seeds of each trouble (200).
#![allow(clippy::print_stdout)]

mod cases;
mod rng;
mod world;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse::<u64>().ok());
    let days = numbers.next().unwrap_or(30);
    let seeds = numbers.next().unwrap_or(200);
    let mut bad = 0;
    for seed in 1..=3 {
        let alerts = cases::healthy(seed, days);
        println!("{days} healthy days, seed {seed}: {} alerts", alerts.len());
        for alert in &alerts {
            println!("  {} {} {}", alert.at, alert.name, alert.summary);
        }
        bad += alerts.len();
    }
    for (name, case, bound) in cases::ALL {
        let figures: Vec<cases::Lead> = (1..=seeds)
            .filter_map(|seed| cases::of(*case, seed))
            .collect();
        let summary = cases::summary(&figures, *bound);
        println!("{name}: {summary}");
        bad += summary.missed + usize::from(summary.seeds == 0);
    }
    if bad > 0 {
        println!("not as promised: {bad}");
        std::process::exit(1);
    }
}
