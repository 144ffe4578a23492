//! The laboratory: troubles done to a real PostgreSQL behind the real `plimsoll`, and what the diagnosis makes of them.
//!
//! It never touches a server, a process or a network that it did not make, and takes everything away with it, however
//! it ends. It knows nothing of the rules that it judges.
//!
//! The one invariant: a case has the cause that was done to it, and counts only if clients felt it.
//!
//! ```text
//!   seed ──► case ──► stage: clients ──► plimsoll ──► PostgreSQL      calm, blow, hurt
//!                              ▲            ▲ verdict      ▲
//!                       wire, cgroup, proxy, locks, logins, other sessions ...
//!            rows ◄── judge ◄───────────────┘
//! ```
#![forbid(unsafe_code)]
// A shell: it reads clocks, starts processes and threads, and prints.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod case;
mod judge;
mod kinds;
mod replay;
mod report;
mod run;
mod shots;

mod stage;

mod cluster;
mod front;
mod http;
mod keeper;
mod load;
mod meter;
mod proxy;
mod squeeze;
mod wire;

mod options;
mod rng;

use case::Case;
use control::bundle::Bundle;
use judge::Row;
use options::Options;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&words) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    if let Some(dir) = &options.replay {
        let rows = replay::rows(dir);
        rows.iter().for_each(tell);
        options.save(&rows);
        return finish(&rows, &options);
    }
    let cases = options.cases();
    if options.list {
        for case in &cases {
            let alone = if case.alone() { "alone" } else { "" };
            println!(
                "{:4} {:48} {:6} {}",
                case.number,
                case.name(),
                alone,
                case.beside()
            );
        }
        return ExitCode::SUCCESS;
    }
    let keeper = directories();
    if options.shots.is_some() || options.look.is_some() {
        let done = stage_outages(&options);
        cluster::remove_template();
        if let Ok(keeper) = keeper {
            keeper.dismiss();
        }
        return done;
    }
    let rows = all(&cases, &options);
    cluster::remove_template();
    if let Ok(keeper) = keeper {
        keeper.dismiss();
    }
    finish(&rows, &options)
}

/// Pictures of the live page, or a stage for a person to look at.
fn stage_outages(options: &Options) -> ExitCode {
    let program = &options.program;
    let done = match (&options.look, &options.shots) {
        (Some(number), _) => shots::look(number, options.minutes, program),
        (None, Some(dir)) => shots::shoot(dir, options.only.as_deref(), program),
        (None, None) => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Should we be killed: our servers end within five seconds, and then their directories go.
fn directories() -> Result<keeper::Keeper, String> {
    let all = std::env::temp_dir().join(format!("plimsoll-lab*-{}-*", std::process::id()));
    keeper::Keeper::new(":", "sleep 6; rm -rf $1", &[&all.display().to_string()])
}

/// Runs them: those that disturb others one by one, then the rest in parallel.
fn all(cases: &[Case], options: &Options) -> Vec<Row> {
    let (alone, together): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.alone());
    let rows = Mutex::new(Vec::new());
    for (cases, jobs) in [(together, options.jobs), (alone, 1)] {
        let waiting = Mutex::new(cases.into_iter());
        let next = || {
            waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next()
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some(case) = next() {
                        let row = one(case, options);
                        tell(&row);
                        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                        rows.push(row);
                        options.save(&rows);
                    }
                });
            }
        });
    }
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|row: &Row| row.number);
    rows
}

fn one(case: &Case, options: &Options) -> Row {
    let guarded =
        std::panic::AssertUnwindSafe(|| run::run(case, &options.program, options.keep.as_deref()));
    let outcome =
        std::panic::catch_unwind(guarded).unwrap_or_else(|_| Err("the case panicked".to_owned()));
    let mut row = judge::judge(case, &outcome);
    if let Ok(Ok(bundle)) = outcome.as_ref().map(|o| &o.bundle) {
        if let Ok(bundle) = Bundle::from_bytes(bundle) {
            row.plain = Some(replay::plain(&bundle.record, row.judged_at_ms));
            let asked = outcome.as_ref().map_or(&[][..], |o| &o.asked);
            // Nobody suffered any more when the first question was put.
            let over = !asked.iter().any(|asked| asked.hurting);
            if over && row.void.is_none() && !case.nothing() && rolled_back(&bundle.record) {
                row.void = Some("a guard healed it before it was asked".to_owned());
            }
        }
        if let Some(dir) = &options.keep {
            replay::keep(dir, &row, bundle);
        }
    }
    row
}

fn rolled_back(record: &events::sample::Record) -> bool {
    let kind = events::sample::MarkerKind::RolledBack;
    record.markers.iter().any(|marker| marker.kind == kind)
}

fn tell(row: &Row) {
    let mark = match (&row.void, row.right) {
        (Some(_), _) => "void",
        (None, true) => "ok",
        (None, false) => "WRONG",
    };
    let why = row
        .void
        .as_ref()
        .or(row.error.as_ref())
        .map(String::as_str)
        .unwrap_or_default();
    println!(
        "{:5} {:4} {:44} first {:20} hurt {:>5} s  p90 {:6.0} → {:6.0} ms  {:4.0} → {:4.0}/s failed {:3.0} %  {:?} busy {:3.0} % {:3.0} s {why}",
        mark,
        row.number,
        row.name,
        row.first,
        row.hurt_after_s
            .map_or("-".to_owned(), |s| format!("{s:.1}")),
        row.felt[0],
        row.felt[1],
        row.per_s[0],
        row.per_s[1],
        row.felt[2],
        row.failures,
        row.busy,
        row.seconds,
    );
}

fn finish(rows: &[Row], options: &Options) -> ExitCode {
    let text = report::markdown(rows, &options.command());
    println!("{text}");
    if let Some(path) = &options.output
        && let Err(error) = std::fs::write(path, &text)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    let counted: Vec<&Row> = rows.iter().filter(|row| row.void.is_none()).collect();
    let percent = |n: usize| 100.0 * n as f64 / counted.len().max(1) as f64;
    let right = percent(counted.iter().filter(|row| row.right).count());
    let ruled = percent(counted.iter().filter(|row| row.ruled_out_truth).count());
    let bare = counted.iter().any(|row| row.without_figure > 0);
    if right >= 95.0 && ruled <= 1.0 && !bare {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
