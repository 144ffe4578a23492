//! What must hold over all instances together.

use super::{Fleet, Way};
use std::collections::VecDeque;
use std::time::Duration;

/// A change of what others hold is believed after a reading's interval, the ways
/// there and back, and the readings that confirm it: µs.
const SEEN: u64 = 3_000_000;
/// The same through a ledger: a reading's interval, the keeper's look and what it
/// writes, the slowest member's look, and what is lent comes back: µs.
const SEEN_BY_LEDGER: u64 = 6_000_000;
/// A member that was not heard for so long does not follow the line, µs.
const HEARD: u64 = 3_000_000;
/// Lines are remembered for so long: µs.
const KEPT: u64 = 60_000_000;
/// A share that somebody wants may lie unused for so long: µs.
const UNUSED: u64 = 5_000_000;
/// What is in use is remembered for so long before it counts as unused: µs.
const RECENT: u64 = 2_500_000;
/// A failure tells of so many instances.
const TOLD_MAX: usize = 8;
/// Divisions leave a few over.
const LEFT_OVER: u32 = 4;

/// What the checks remember.
#[derive(Default)]
pub(super) struct Watch {
    /// Lines and when they began to hold.
    lines: VecDeque<(u64, u32)>,
    /// What each member used lately.
    used: Vec<VecDeque<(u64, u32)>>,
    /// Since when somebody waits while a member holds what it does not use; the
    /// last is what nobody claims.
    since: Vec<Option<u64>>,
    /// Through a ledger: since when somebody could not be told of the line.
    blind: Option<u64>,
    blind_until: u64,
}

impl Watch {
    pub(super) fn line(&mut self, now: u64, line: u32) {
        if self.lines.back().map(|(_, line)| *line) != Some(line) {
            self.lines.push_back((now, line));
        }
        // The one that held at the beginning of the time that matters stays.
        while self.lines.get(1).is_some_and(|(at, _)| at + KEPT < now) {
            self.lines.pop_front();
        }
    }

    /// The most that member `i` used lately, `used` being the latest.
    fn most_used(&mut self, i: usize, now: u64, used: u32) -> u32 {
        if self.used.len() <= i {
            self.used.resize_with(i + 1, VecDeque::new);
        }
        let window = &mut self.used[i];
        window.push_back((now, used));
        let old = now.saturating_sub(RECENT);
        while window.front().is_some_and(|(at, _)| *at < old) {
            window.pop_front();
        }
        window.iter().map(|(_, n)| *n).max().unwrap_or(0)
    }

    /// How long share `i` has been unused.
    fn lasts(&mut self, i: usize, now: u64, unused: bool) -> u64 {
        if self.since.len() <= i {
            self.since.resize(i + 1, None);
        }
        match unused {
            true => now - *self.since[i].get_or_insert(now),
            false => {
                self.since[i] = None;
                0
            }
        }
    }

    fn lines_since(&self, from: u64) -> impl Iterator<Item = u32> + '_ {
        let first = self.lines.partition_point(|(at, _)| *at <= from);
        let lines = self.lines.iter().skip(first.saturating_sub(1));
        lines.map(|(_, line)| *line)
    }
}

impl Fleet {
    /// A member cannot see, and another one began to see since: neither knows of the
    /// other more than its connections, nor of its claim.
    fn unknowable(&self) -> bool {
        let alive = || self.members.iter().filter(|m| m.alive);
        let newest = alive().map(|m| m.sees_since).max().unwrap_or(0);
        alive().any(|m| m.blind_since.is_some_and(|since| since < newest))
    }

    /// Promise 1 over the fleet: nobody opens a connection at or above the line,
    /// as it stood at any time since it could last be read.
    pub(super) fn check_open(&mut self, i: usize) {
        self.note_line();
        self.recount(i);
        let charged = self.total + self.orphans;
        if matches!(self.s.way, Way::Ledger(_)) {
            return self.check_open_by_ledger(i, charged);
        }
        // Who cannot see keeps its claim under the line that it saw last.
        let blind = self.members.iter().filter(|m| m.alive);
        let blind = blind.filter_map(|m| m.blind_since).min();
        let since = blind.unwrap_or(self.now).saturating_sub(SEEN);
        let line = self.watch.lines_since(since).max().unwrap_or(u32::MAX);
        if self.unknowable() {
            return;
        }
        self.out.least_left = self.out.least_left.min(line.saturating_sub(charged));
        if charged > line {
            self.broken(format!(
                "instance {i} opened above the line: {charged} > {line}; {}",
                self.told_by_all()
            ));
        }
    }

    /// A line that stands still is never crossed, whoever sees what; one that falls
    /// is followed by those who hear of it.
    fn check_open_by_ledger(&mut self, i: usize, charged: u32) {
        let since = self.watch.blind.unwrap_or(self.now);
        let since = since.saturating_sub(SEEN_BY_LEDGER);
        let line = self.watch.lines_since(since).max().unwrap_or(u32::MAX);
        self.out.least_left = self.out.least_left.min(line.saturating_sub(charged));
        if charged > line {
            self.broken(format!(
                "instance {i} opened above the line: {charged} > {line}; {}",
                self.told_by_all()
            ));
        }
    }

    /// Since when somebody hears nothing of the line, or nobody reads it.
    pub(super) fn follow_blind(&mut self) {
        let keeper = self.traffic.store.keeper(self.now);
        let mut blind = None;
        for m in self.members.iter().filter(|m| m.alive) {
            let mute = m.heard_at + HEARD < self.now;
            let reads = Some(m.instance()) != keeper || !m.silent && !m.cut_server;
            if mute || !reads || m.cut_store {
                let since = m.heard_at.min(m.blind_since.unwrap_or(self.now));
                blind = Some(blind.unwrap_or(since).min(since));
            }
        }
        if keeper.is_none() || self.traffic.store.away {
            blind = blind.or(self.watch.blind).or(Some(self.now));
        }
        // What was not heard is heard within the usual time after that.
        let before = self
            .watch
            .blind
            .filter(|_| self.now < self.watch.blind_until);
        if blind.is_some() {
            self.watch.blind_until = self.now + SEEN_BY_LEDGER;
        }
        self.watch.blind = match (before, blind) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => b.or(a),
        };
    }

    /// Every instance's figures, for whoever reads a failure.
    pub(super) fn told_by_all(&self) -> String {
        let of = |(i, m): (usize, &super::MemberState)| {
            let now = m.local(self.now);
            let b = m.up.budget();
            format!(
                "{i}: {} {} line {} claim {} of {}, published {}, charged {}, used {}, waits {}, \
                 peers {} claim {} hold {} want {}",
                if !m.alive {
                    "dead"
                } else if m.silent {
                    "blind"
                } else {
                    "sees"
                },
                b.state.label(),
                b.line,
                b.claim,
                b.parts.line,
                b.published,
                m.charged(),
                m.used(now),
                m.waiting(now),
                b.peers,
                b.peers_claim,
                b.peers_held,
                b.peers_want,
            )
        };
        // Those that lack something first.
        let mut members: Vec<_> = self.members.iter().enumerate().collect();
        members.sort_by_key(|(_, m)| !(m.alive && m.waiting(m.local(self.now)) > 0));
        let told = members.into_iter().take(TOLD_MAX);
        let all: Vec<String> = told
            .map(|(i, m)| of((i, m)) + &self.traffic.store.told(m.instance()))
            .collect();
        all.join("; ")
    }

    /// Nobody waits for long beside a share that nobody uses: one that a member
    /// holds, or one that nobody claims.
    pub(super) fn check_unused(&mut self) {
        let now = self.time();
        let alive = || self.members.iter().filter(|m| m.alive);
        // A member that cannot see keeps its claim; that is no fault of the others.
        let blind = alive().any(|m| m.blind_since.is_some());
        let waiting: Vec<bool> = self.members.iter().map(|m| m.lacks(now)).collect();
        let mut free = self
            .watch
            .lines_since(self.now.saturating_sub(8_000_000))
            .min();
        let mut unused = Vec::new();
        for i in 0..self.members.len() {
            let member = &self.members[i];
            let (used, charged) = (member.used(now), member.charged());
            let most = self.watch.most_used(i, self.now, used);
            let held = charged.max(member.up.budget().claim);
            let others_wait = waiting
                .iter()
                .enumerate()
                .any(|(j, waits)| *waits && j != i);
            let counts = member.alive && others_wait;
            unused.push(if counts {
                charged.saturating_sub(most)
            } else {
                0
            });
            if member.alive {
                free = free.map(|free| free.saturating_sub(held));
            }
        }
        let any_waits = waiting.contains(&true);
        unused.push(free.filter(|_| any_waits).unwrap_or(0));
        for (i, unused) in unused.into_iter().enumerate() {
            let lasts = self.watch.lasts(i, self.now, unused > LEFT_OVER && !blind);
            self.out.unused = self.out.unused.max(Duration::from_micros(lasts));
            if lasts > UNUSED {
                self.broken(format!(
                    "clients wait while {unused} are unused, for {} ms; {}",
                    lasts / 1000,
                    self.told_by_all()
                ));
            }
        }
    }
}
