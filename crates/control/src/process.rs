//! What the operating system says of this process, read from /proc.

use std::fs;

/// Ticks per second in /proc (USER_HZ): 100 on x86-64 and arm64. Asking the
/// system would take a crate for sysconf.
const TICKS_PER_SECOND: u64 = 100;
const MICROS_PER_TICK: u64 = 1_000_000 / TICKS_PER_SECOND;

/// Figures of the process; what cannot be read is `None` and not exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// User and system CPU time of all threads, microseconds.
    pub cpu_us: Option<u64>,
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Limit of open file descriptors (soft); `None` also for "unlimited".
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Start, microseconds since the Unix epoch (to the second).
    pub start_us: Option<u64>,
}

impl Process {
    /// Reads this process' figures; all `None` where there is no /proc.
    pub fn read() -> Process {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Process {
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|dir| dir.count().saturating_sub(1) as u64),
            ..parse(
                &text("/proc/self/stat"),
                &text("/proc/self/status"),
                &text("/proc/self/limits"),
                &text("/proc/stat"),
            )
        }
    }
}

impl Process {
    /// User and system CPU time alone, microseconds: cheap enough for each second.
    pub(crate) fn cpu() -> Option<u64> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        parse(&stat, "", "", "").cpu_us
    }
}

fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Process {
    // The name in parentheses may hold spaces and parentheses itself; fields count from behind it.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    let after = |text: &str, key: &str| -> Option<u64> {
        text.lines()
            .find_map(|line| line.strip_prefix(key))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    let cpu = field(14).zip(field(15)).map(|(user, system)| user + system);
    let boot_s = after(system, "btime ");
    Process {
        cpu_us: cpu.map(|ticks| ticks * MICROS_PER_TICK),
        resident_bytes: after(status, "VmRSS:").map(|kib| kib * 1024),
        open_fds: None,
        max_fds: after(limits, "Max open files"),
        threads: field(20),
        start_us: boot_s
            .zip(field(22))
            .map(|(boot, ticks)| boot * 1_000_000 + ticks * MICROS_PER_TICK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_an_odd_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 0 1 2 3 4 250 50 0 0 20 0 5 0 1234 999 8\n";
        let status = "Name:\tx\nVmRSS:\t    2048 kB\n";
        let limits = "Limit  Soft  Hard\nMax open files            1024                 4096                 files\n";
        let got = parse(stat, status, limits, "cpu 1\nbtime 1000\n");
        let want = Process {
            cpu_us: Some(3_000_000),
            resident_bytes: Some(2 << 20),
            open_fds: None,
            max_fds: Some(1024),
            threads: Some(5),
            start_us: Some(1_012_340_000),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn nonsense_gives_nothing() {
        assert_eq!(
            parse("", "VmRSS: x", "Max open files unlimited", ")"),
            Process::default()
        );
        assert_eq!(parse("1 (x) S 1", "", "", "btime"), Process::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_figures() {
        let process = Process::read();
        assert!(
            process.resident_bytes.is_some_and(|bytes| bytes > 100_000),
            "{process:?}"
        );
        assert!(process.open_fds.is_some_and(|fds| fds >= 3), "{process:?}");
        assert!(process.start_us.is_some(), "{process:?}");
    }
}
