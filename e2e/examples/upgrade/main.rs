//! An upgrade of Plimsoll itself, and the way back, under load: see `cargo xtask upgrade --help`.
//! `-- --old PATH --old-name TEXT --new PATH --new-name TEXT [--write FILE] [--kill]`;
//! with `--kill` instances are killed in place of SIGTERM, to see that what is cut is counted.

// A tool for people: it prints, waits for the clock, and reads the environment.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod load;
mod stage;
mod table;

use load::Load;
use plimsoll_e2e::sandbox::free_port;
use stage::{Home, Instance, Version, understands};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use table::Report;

/// Two of one version, for comparison.
const ALONE: Duration = Duration::from_secs(5);
/// Two versions side by side.
const SIDE_BY_SIDE: Duration = Duration::from_secs(60);
/// Between two steps: so much goes on in between.
const STEADY: u64 = 500;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let word = |name: &str| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)).cloned()
    };
    let version = |path: &str, name: &str| {
        Some(Version {
            path: word(path)?.into(),
            name: word(name)?,
        })
    };
    let (Some(old), Some(new)) = (
        version("--old", "--old-name"),
        version("--new", "--new-name"),
    ) else {
        eprintln!("--old PATH --old-name TEXT --new PATH --new-name TEXT [--write FILE]");
        return ExitCode::from(2);
    };
    let kills = args.iter().any(|arg| arg == "--kill");
    let report = run(&old, &new, kills);
    print!("{}", report.text());
    if let Some(file) = word("--write")
        && let Err(error) = report.write(&file)
    {
        eprintln!("{file}: {error}");
        return ExitCode::FAILURE;
    }
    match report.faults().is_empty() {
        true => ExitCode::SUCCESS,
        false => {
            for fault in report.faults() {
                eprintln!("FAULT  {fault}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(old: &Version, new: &Version, kills: bool) -> Report {
    let load = Load::new(kills);
    let mut report = Report::new(old, new);
    rolling(&load, old, new, &mut report);
    let load = Load::new(kills);
    one_directory(&load, old, new, &mut report);
    report
}

/// Two instances replaced one after the other, forward and back; in the middle of the
/// way forward both versions serve for a minute.
fn rolling(load: &Load, old: &Version, new: &Version, report: &mut Report) {
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let peers: Vec<String> = ports.iter().map(|p| format!("\"127.0.0.1:{p}\"")).collect();
    let sections = |own: u16| {
        format!(
            "[settings]\nsource = \"deploy\"\n[server]\nmonitor_user = \"watcher\"\nfleet = \"upgrade\"\n\
             [fleet]\nlisten = \"127.0.0.1:{own}\"\npeers = [{}]",
            peers.join(", ")
        )
    };
    let channel = [old, new]
        .iter()
        .all(|version| understands(version, &Home::new(load, &sections(ports[0])).file()));
    report.channel = channel;
    let begin = |version: &Version, own: usize| {
        let mut text = sections(ports[own]);
        if !channel {
            text.truncate(text.find("[fleet]").unwrap_or(text.len()));
        }
        let instance = Home::new(load, &text).start(version);
        instance.join(load);
        instance
    };
    let first = begin(old, 0);
    let second = begin(old, 1);
    load.during(|| {
        load.more(STEADY);
        load.phase();
        load.pause(ALONE);
        report.phase("two old ones, nothing happens", load.phase());
        let replace = |report: &mut Report, going: Instance, version: &Version, own: usize| {
            let coming = begin(version, own);
            load.more(STEADY);
            let what = format!("{} gives way to {}", going.version.name, version.name);
            let ended = going.version.clone();
            let (home, took) = going.end(load);
            load.more(STEADY);
            report.heard(&ended, &home, took);
            report.phase(&what, load.phase());
            coming
        };
        let third = replace(report, first, new, 2);
        side_by_side(load, &second, &third, report);
        let fourth = replace(report, second, new, 0);
        let fifth = replace(report, third, old, 1);
        let sixth = replace(report, fourth, old, 2);
        drop((fifth.end(load), sixth));
    });
    report.astray(load.rows_astray());
}

fn side_by_side(load: &Load, old: &Instance, new: &Instance, report: &mut Report) {
    let begun = Instant::now();
    load.phase();
    let mut states = Vec::new();
    let span = if load.kills { ALONE } else { SIDE_BY_SIDE };
    while begun.elapsed() < span {
        load.more(STEADY);
        if report.channel {
            states = vec![
                format!(
                    "over the fleet's channel the old one sees: {}",
                    old.peers().join(", ")
                ),
                format!(
                    "the new one sees: {} (silent is the one that ended)",
                    new.peers().join(", ")
                ),
            ];
        }
    }
    report.phase("both side by side for a minute", load.phase());
    report.notes.extend(states);
    for (asker, asked) in [(&old.version, new), (&new.version, old)] {
        let what = format!(
            "the command line of {} asks {}",
            asker.name, asked.version.name
        );
        match asked.history(asker) {
            Ok(_) => report
                .notes
                .push(format!("{what}: status and history are understood")),
            Err(error) => report.fault(format!("{what}: {error}")),
        }
    }
}

/// One instance, one state directory: ended and started as the other version, to and fro.
fn one_directory(load: &Load, old: &Version, new: &Version, report: &mut Report) {
    let more = "[settings]\nsource = \"store\"\n[server]\nmonitor_user = \"watcher\"";
    let mut instance = Home::new(load, more).start(old);
    instance.join(load);
    load.during(|| {
        load.more(STEADY);
        let mut known = 1;
        let ways = [
            (new, "size = 60", "size = 50"),
            (old, "size = 50", "size = 55"),
            (new, "size = 55", "size = 45"),
        ];
        for (next, from, to) in ways {
            // The one that serves makes the change; the next one finds it.
            instance.home.change(&instance.version, (from, to));
            known += 1;
            load.more(STEADY);
            load.phase();
            let what = format!(
                "one directory: {} ends, {} starts",
                instance.version.name, next.name
            );
            load.gap.store(true, Ordering::Relaxed);
            let (home, _) = instance.end(load);
            let ended = Instant::now();
            instance = home.start(next);
            report.gaps.push((what.clone(), ended.elapsed()));
            load.gap.store(false, Ordering::Relaxed);
            load.more(STEADY);
            report.phase(&what, load.phase());
            let found = instance.history(new);
            let expected = (known, (1..=known).collect::<Vec<u64>>());
            match found {
                Ok(found) if found == expected => report.notes.push(format!(
                    "{what}: version {known} serves, the history has all {known}"
                )),
                other => report.fault(format!("{what}: {other:?} instead of {expected:?}")),
            }
        }
        drop(instance);
    });
    report.astray(load.rows_astray());
}
