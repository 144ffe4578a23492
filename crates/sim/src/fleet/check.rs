//! What must hold over all instances together.

use super::Fleet;
use std::collections::VecDeque;
use std::time::Duration;

/// A change of what others hold is seen within a reading's interval, a tick and
/// the way there and back: µs.
const SEEN: u64 = 2_300_000;
/// A share that somebody wants may lie unused for so long: µs.
const UNUSED: u64 = 5_000_000;
/// What is in use is remembered for so long before it counts as unused: µs.
const RECENT: u64 = 2_500_000;
/// Divisions leave a few over.
const LEFT_OVER: u32 = 4;

/// What the checks remember.
#[derive(Default)]
pub(super) struct Watch {
    /// Lines and when they began to hold.
    lines: VecDeque<(u64, u32)>,
    /// What the fleet used lately.
    used: VecDeque<(u64, u32)>,
    /// Since when somebody waits while something is free.
    since: Option<u64>,
    /// The last fault.
    disturbed: Option<u64>,
}

impl Watch {
    pub(super) fn line(&mut self, now: u64, line: u32) {
        if self.lines.back().map(|(_, line)| *line) != Some(line) {
            self.lines.push_back((now, line));
        }
        // The one that held at the beginning of the time that matters stays.
        while self.lines.get(1).is_some_and(|(at, _)| at + 8_000_000 < now) {
            self.lines.pop_front();
        }
    }

    pub(super) fn disturbed(&mut self, now: u64) {
        self.disturbed = Some(now);
    }

    fn lines_since(&self, from: u64) -> impl Iterator<Item = u32> + '_ {
        let first = self.lines.partition_point(|(at, _)| *at <= from);
        let lines = self.lines.iter().skip(first.saturating_sub(1));
        lines.map(|(_, line)| *line)
    }
}

impl Fleet {
    fn charged(&self) -> u32 {
        let lives = |i: usize, inc| {
            let member = self.members.get(i);
            member.is_some_and(|m| m.alive && m.inc == inc)
        };
        let alive = self.members.iter().filter(|m| m.alive);
        let charged: u32 = alive.map(super::MemberState::charged).sum();
        charged + self.server.orphans(lives)
    }

    /// Promise 1 over the fleet: nobody opens a connection at or above the line,
    /// as it stood at any time since it could last be read.
    pub(super) fn check_open(&mut self, i: usize) {
        self.note_line();
        let charged = self.charged();
        let since = self.now.saturating_sub(SEEN);
        let line = self.watch.lines_since(since).max().unwrap_or(u32::MAX);
        self.out.least_left = self.out.least_left.min(line.saturating_sub(charged));
        if charged > line {
            self.broken(format!(
                "instance {i} opened above the line: {charged} > {line}"
            ));
        }
    }

    /// Nobody waits for long beside a share that nobody uses.
    pub(super) fn check_unused(&mut self) {
        let now = self.time();
        let alive = || self.members.iter().filter(|m| m.alive);
        let used: u32 = alive().map(|m| m.used(now)).sum();
        let waits = alive().any(|m| m.waiting(now) > LEFT_OVER && !m.silent);
        // A member that cannot see keeps its claim; that is no fault of the others.
        let blind = alive().any(|m| m.silent);
        self.watch.used.push_back((self.now, used));
        let old = self.now.saturating_sub(RECENT);
        while self.watch.used.front().is_some_and(|(at, _)| *at < old) {
            self.watch.used.pop_front();
        }
        if blind || !waits {
            self.watch.since = None;
            return;
        }
        let most = self.watch.used.iter().map(|(_, n)| *n).max().unwrap_or(0);
        let since = self.now.saturating_sub(8_000_000);
        let line = self.watch.lines_since(since).min().unwrap_or(0);
        if line <= most + LEFT_OVER {
            self.watch.since = None;
            return;
        }
        let since = *self.watch.since.get_or_insert(self.now);
        let lasts = self.now - since;
        self.out.unused = self.out.unused.max(Duration::from_micros(lasts));
        let calm = self.watch.disturbed.is_none_or(|at| at + 30_000_000 < self.now);
        if lasts > UNUSED && (calm || lasts > UNUSED + RECENT) {
            self.broken(format!(
                "clients wait while {} of {line} are unused, for {} ms",
                line - most,
                lasts / 1000
            ));
        }
    }
}
