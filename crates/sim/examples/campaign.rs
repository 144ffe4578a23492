//! Runs many seeds: `--seeds N [--seed FIRST] [--ops N] [--calm] [--seconds N] [--trace LINES [--everybody]]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use sim::{Budget, Campaign, campaign};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let first = number("--seed", 1);
    let seeds = number("--seeds", 1);
    let budget = Budget {
        ops: number("--ops", 20_000),
        calm: args.iter().any(|a| a == "--calm"),
        ..Budget::default()
    };
    let started = Instant::now();
    let seconds_max = number("--seconds", u64::MAX);
    let mut all = Campaign::default();
    for seed in first..first.saturating_add(seeds) {
        if started.elapsed().as_secs() >= seconds_max || all.failures.len() >= budget.failures_max {
            break;
        }
        all.add(campaign(seed..seed + 1, budget));
    }
    println!("{}", all.stats);
    for (seed, what) in &all.failures {
        println!("seed {seed}: {what}");
    }
    for (seed, _) in all.failures.iter().take(3) {
        let lines = number("--trace", 40) as usize;
        let all_lines = args.iter().any(|a| a == "--everybody");
        println!(
            "{}",
            sim::campaign::explain(*seed, budget, lines, all_lines)
        );
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} of {} seeds failed; {:.0} operations/s, {seconds:.1} s",
        all.failures.len(),
        all.seeds,
        all.stats.ops as f64 / seconds
    );
    ExitCode::from(u8::from(!all.failures.is_empty()))
}
