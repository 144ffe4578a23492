//! Runs: one seed, or many.

use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::world::World;
use std::collections::VecDeque;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Counters.
    pub stats: Stats,
    /// Hash of everything that happened.
    pub hash: u64,
    /// What was broken, with the last lines of the trace.
    pub failure: Option<Failure>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What a checker said.
    pub what: String,
    /// The last things that happened.
    pub trace: Vec<String>,
}

/// Virtual time that a run may take to wind down, µs.
const WIND_DOWN: u64 = 60_000_000;
/// Events for one client operation: beyond it a run gets nothing done.
const EVENTS_PER_OP: u64 = 200;

/// Runs one seed.
pub fn run(seed: u64, scenario: &Scenario) -> Report {
    let mut world = World::new(seed, scenario.clone());
    drive(&mut world);
    finish(seed, world)
}

/// The same with its trace written down.
pub fn traced(seed: u64, scenario: &Scenario) -> Report {
    let mut world = World::new(seed, scenario.clone());
    world.trace = Some(VecDeque::new());
    drive(&mut world);
    finish(seed, world)
}

fn finish(seed: u64, mut world: World) -> Report {
    world.gather();
    let failure = world.broken.take().map(|what| Failure {
        trace: world.trace.take().map(Vec::from).unwrap_or_default(),
        what,
    });
    Report {
        seed,
        stats: world.stats,
        hash: world.hash,
        failure,
    }
}

fn drive(world: &mut World) {
    let events_max = 200_000 + world.s.ops * EVENTS_PER_OP;
    while world.stats.ops < world.s.ops {
        if !world.step() {
            return;
        }
        if world.stats.events > events_max {
            // A server that restarts, or connections that an administrator replaces,
            // faster than anybody logs in serve nobody; what is still owed then is
            // checked below as always.
            if world.s.faults.every == 0 && world.s.admin == 0 {
                return world.fail("too many events: nothing gets done");
            }
            *world
                .stats
                .more
                .entry("runs cut short by their faults".into())
                .or_default() += 1;
            break;
        }
    }
    // Quiet: no new work, no faults. All that is owed must come.
    world.be_quiet();
    let end = world.now + WIND_DOWN + world.refusals_due();
    world.nudge();
    if world.s.drain {
        return drain(world);
    }
    while !world.is_quiet() && world.now < end {
        if !world.step() {
            return;
        }
        world.nudge_idle();
    }
    if !world.is_quiet() {
        return world.fail("clients still wait at the end of a quiet time");
    }
    world.everybody_leaves();
    let end = world.now + 20_000_000;
    while world.now < end {
        if !world.step() {
            return;
        }
    }
    world.check_end();
}

/// A drain and a stop in place of a quiet end.
fn drain(world: &mut World) {
    world.drain();
    let end = world.now + WIND_DOWN;
    while !world.is_drained() && world.now < end {
        if !world.step() {
            return;
        }
        world.nudge_idle();
    }
    world.check_drained();
    world.stop();
    let end = world.now + 20_000_000;
    while world.now < end {
        if !world.step() {
            return;
        }
    }
    world.check_stopped();
    world.check_end();
}

/// The last lines about the client, links and connection that a failure names.
pub(crate) fn concerned(what: &str, trace: Vec<String>) -> Vec<String> {
    let words: Vec<&str> = what.split([' ', ',', '(', ')', ':']).collect();
    let mut names: Vec<String> = words
        .windows(2)
        .filter(|p| matches!(p[0], "client" | "link") && p[1].parse::<u32>().is_ok())
        .map(|p| format!("{} {} ", p[0], p[1]))
        .collect();
    // And the server connection that was used last.
    let last = trace.iter().rev().find_map(|line| {
        let at = line.find("server link ")?;
        let number: String = line[at + 12..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        line.contains(" gets ")
            .then(|| format!("server link {number} "))
    });
    names.extend(last);
    let about = |line: &str| names.iter().any(|n| line.contains(n.as_str()));
    let kept = trace.into_iter().filter(|line| {
        about(line)
            || line.contains("FAULT")
            || line.contains("CloseClient")
            || line.contains("BROKEN")
    });
    let kept: Vec<String> = kept.collect();
    kept
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod run_tests;
