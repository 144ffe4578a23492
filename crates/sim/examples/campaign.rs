//! Runs many seeds and prints what happened.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let get = |name: &str, default: u64| {
        args.iter()
            .position(|a| a == name)
            .and_then(|i| args.get(i + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let first = get("--seed", 1);
    let seeds = get("--seeds", 1);
    let ops = get("--ops", 20_000);
    let trace = get("--trace", 60) as usize;
    let calm = args.iter().any(|a| a == "--calm");
    let started = std::time::Instant::now();
    let mut total = sim::stats::Stats::default();
    let mut failed = 0;
    for seed in first..first + seeds {
        let mut s = sim::Scenario::random(seed, ops);
        if calm {
            s = s.calm();
        }
        let result = std::panic::catch_unwind(|| sim::run(seed, &s));
        let bad = match &result {
            Ok(r) => {
                total.add(&r.stats);
                r.failure.as_ref().map(|f| f.what.clone())
            }
            Err(_) => Some("panic".into()),
        };
        if let Some(what) = bad {
            failed += 1;
            println!("seed {seed}: {what}");
            if seeds == 1 {
                println!("{s:?}");
                if let Ok(r) = std::panic::catch_unwind(|| sim::traced(seed, &s))
                    && let Some(f) = r.failure
                {
                    let skip = f.trace.len().saturating_sub(trace);
                    for line in &f.trace[skip..] {
                        println!("{line}");
                    }
                }
            }
        }
    }
    if seeds > 1 || failed == 0 {
        println!("{total}");
    }
    let t = started.elapsed().as_secs_f64();
    println!(
        "{failed} of {seeds} failed; {:.0} ops/s, {:.1} s",
        total.ops as f64 / t,
        t
    );
}
