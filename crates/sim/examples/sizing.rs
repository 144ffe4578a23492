//! Auto beside every fixed size, as the table of `docs/benchmarks.md`:
//! `[--only PART_OF_A_NAME] [--seeds N] [--changes]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use sim::sizing::{Sizing, all, compare, markdown, run};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1).cloned()
    };
    let only = value("--only").unwrap_or_default();
    let seeds: u64 = value("--seeds").and_then(|v| v.parse().ok()).unwrap_or(1);
    let workloads: Vec<_> = all()
        .into_iter()
        .filter(|w| w.name.contains(&only))
        .collect();
    if args.iter().any(|a| a == "--changes") {
        for workload in &workloads {
            let outcome = run(workload, Sizing::Auto, seeds);
            println!("{}: {:.1} tx/s", workload.name, outcome.goodput);
            for r in &outcome.changes {
                let c = &r.change;
                println!(
                    "  {:6.1} s  {:3} -> {:3}  {:12}  queued {:6.1} held {:5.1} rate {:7.1}",
                    c.at.as_micros() as f64 / 1e6,
                    c.from,
                    c.to,
                    c.reason.label(),
                    c.queued,
                    c.held,
                    c.rate
                );
            }
        }
        return;
    }
    for seed in 1..=seeds {
        let lines: Vec<_> = workloads.iter().map(|w| compare(w, seed)).collect();
        println!("{}", markdown(&lines));
    }
}
