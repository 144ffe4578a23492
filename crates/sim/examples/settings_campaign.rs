//! Many reloads: `--settings N [--seed FIRST] [--ops N] [--trace LINES]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use sim::settings::{Counts, RELOADS, Setup, run, traced};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A campaign stops after so many failing seeds.
const FAILURES_MAX: usize = 20;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let first = number("--seed", 1);
    let setup = Setup {
        reloads: number("--ops", RELOADS),
        fault: None,
    };
    let wanted = number("--settings", setup.reloads);
    let seeds = wanted.div_ceil(setup.reloads.max(1)).max(1);
    let next = AtomicU64::new(first);
    let begun = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (counts, failures) = std::thread::scope(|scope| {
        let next = &next;
        let many = |loud: bool| move || some(next, first + seeds, setup, loud.then_some(begun));
        let threads: Vec<_> = (0..cores).map(|n| scope.spawn(many(n == 0))).collect();
        let mut all = (Counts::default(), Vec::new());
        for (counts, failures) in threads.into_iter().filter_map(|t| t.join().ok()) {
            all.0.add(&counts);
            all.1.extend(failures);
        }
        all
    });
    print!("{counts}");
    if let Some((seed, _)) = failures.first() {
        let report = traced(*seed, setup);
        let trace = report.failure.map(|f| f.trace).unwrap_or_default();
        let lines = number("--trace", 40) as usize;
        for line in trace
            .get(trace.len().saturating_sub(lines)..)
            .unwrap_or_default()
        {
            println!("{line}");
        }
        println!(
            "repeat: cargo xtask sim --settings {} --seed {seed}",
            setup.reloads
        );
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} of {seeds} seeds failed; {} reloads, {:.0} a second, {seconds:.1} s",
        failures.len(),
        counts.reloads,
        counts.reloads as f64 / seconds
    );
    ExitCode::from(u8::from(!failures.is_empty()))
}

/// Takes seeds until there are none left.
fn some(
    next: &AtomicU64,
    end: u64,
    setup: Setup,
    loud: Option<Instant>,
) -> (Counts, Vec<(u64, String)>) {
    let mut all = (Counts::default(), Vec::new());
    let mut said = Instant::now();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || all.1.len() >= FAILURES_MAX {
            return all;
        }
        let report = run(seed, setup);
        all.0.add(&report.counts);
        if let Some(failure) = report.failure {
            println!("seed {seed}: {}", failure.what);
            all.1.push((seed, failure.what));
        }
        if let Some(begun) = loud
            && said.elapsed() > PROGRESS
        {
            said = Instant::now();
            let (left, spent) = (end.saturating_sub(seed), begun.elapsed().as_secs());
            println!(
                "after {spent} s: {left} seeds left, {} failed here",
                all.1.len()
            );
        }
    }
}
