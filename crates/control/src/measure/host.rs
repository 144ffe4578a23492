//! The machine: how busy its processors are, and whether we are held back.

use crate::process::Process;
use events::sample::HostSample;
use events::snapshot::Snapshot;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// Reads the machine's figures once a second; each is a difference.
#[derive(Default)]
pub(super) struct Host {
    /// Busy and all ticks of all processors.
    cpu: Option<(u64, u64)>,
    own: Option<(u64, Instant)>,
    throttled_us: Option<u64>,
    turns: Vec<u64>,
}

impl Host {
    pub(super) fn read(&mut self, snapshot: &Snapshot) -> HostSample {
        let cpu = fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|text| ticks(&text));
        let busy = self.cpu.zip(cpu).and_then(|((busy0, all0), (busy, all))| {
            let all = all.checked_sub(all0).filter(|all| *all > 0)?;
            permille(busy.saturating_sub(busy0), all)
        });
        self.cpu = cpu;
        let now = Instant::now();
        let own = Process::cpu().map(|us| (us, now));
        let own_permille = self.own.zip(own).and_then(|((us0, then), (us, _))| {
            let span = u64::try_from(now.duration_since(then).as_micros()).ok()?;
            permille(us.saturating_sub(us0), span.max(1))
        });
        self.own = own;
        // A process may be moved to another group.
        let throttled = cgroup_stat().and_then(|path| fs::read_to_string(path).ok());
        let throttled = throttled.and_then(|text| throttled_us(&text));
        let held_back = self.throttled_us.zip(throttled);
        let held_back = held_back.map(|(before, now)| now.saturating_sub(before) / 1_000);
        self.throttled_us = throttled;
        let turns: Vec<u64> = snapshot.workers.iter().map(|w| w.turns).collect();
        let moved = match self.turns.len() == turns.len() {
            true => turns
                .iter()
                .zip(&self.turns)
                .map(|(now, before)| now.saturating_sub(*before))
                .min(),
            false => None,
        };
        self.turns = turns;
        HostSample {
            cpu_busy_permille: busy,
            own_cpu_permille: own_permille,
            throttled_ms: held_back.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
            turns_least: moved,
            cores: std::thread::available_parallelism()
                .map_or(0, |n| u32::try_from(n.get()).unwrap_or(0)),
        }
    }
}

fn permille(part: u64, whole: u64) -> Option<u32> {
    u32::try_from(part.saturating_mul(1_000) / whole.max(1)).ok()
}

/// Busy ticks and all ticks of the line of all processors. What the hypervisor
/// took (steal) counts as busy: it was not ours to use.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .take(8)
        .collect();
    let idle = fields.get(3)? + fields.get(4).copied().unwrap_or(0);
    let all: u64 = fields.iter().sum();
    Some((all.saturating_sub(idle), all))
}

/// `cpu.stat` of our cgroup, of version 2 or 1.
fn cgroup_stat() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut places = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if kinds.is_empty() {
            places.push(PathBuf::from("/sys/fs/cgroup").join(path));
            // Inside a container the path may be the host's.
            places.push(PathBuf::from("/sys/fs/cgroup"));
        } else if kinds.split(',').any(|kind| kind == "cpu") {
            places.push(PathBuf::from("/sys/fs/cgroup").join(kinds).join(path));
            places.push(PathBuf::from("/sys/fs/cgroup/cpu").join(path));
            places.push(PathBuf::from("/sys/fs/cgroup/cpu"));
        }
    }
    let stat = places.into_iter().map(|place| place.join("cpu.stat"));
    stat.into_iter()
        .find(|path| fs::read_to_string(path).is_ok_and(|t| throttled_us(&t).is_some()))
}

fn throttled_us(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        let value: u64 = value.trim().parse().ok()?;
        match key {
            "throttled_usec" => Some(value),
            // Version 1 counts nanoseconds.
            "throttled_time" => Some(value / 1_000),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_system_are_read_or_left() {
        assert_eq!(
            ticks("cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 1\n"),
            Some((30, 100))
        );
        assert_eq!(ticks("intr 1"), None);
        assert_eq!(ticks(""), None);
        assert_eq!(throttled_us("nr_periods 0\nthrottled_usec 70\n"), Some(70));
        assert_eq!(
            throttled_us("nr_throttled 3\nthrottled_time 9000\n"),
            Some(9)
        );
        assert_eq!(throttled_us("x"), None);
    }
}
