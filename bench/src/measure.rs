//! What the operating system says about one process.
//!
//! CPU time is the process's CPU clock: nanoseconds, user and system, all threads, those that ended too. `/proc/PID/stat`
//! (10 ms steps) is read beside it, as a check: over some seconds both must agree.

use std::fs;
use std::time::Instant;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::Failure;

/// The length of a tick in `/proc/PID/stat`, nanoseconds: USER_HZ is 100 on every Linux platform that we know.
const TICK_NS: u64 = 10_000_000;

/// A moment in a process's life.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// When it was read.
    pub at: Instant,
    /// CPU time so far, nanoseconds.
    pub cpu_ns: u64,
    /// The same from `/proc/PID/stat`, in steps of 10 ms.
    pub cpu_stat_ns: u64,
    /// How often its threads went to sleep of their own accord.
    pub sleeps: u64,
}

/// Reads a process's usage.
pub fn usage(pid: i32) -> Result<Usage, Failure> {
    let clock =
        clock_getcpuclockid(Pid::from_raw(pid)).map_err(|e| format!("CPU clock of {pid}: {e}"))?;
    let time = clock
        .now()
        .map_err(|e| format!("CPU clock of {pid}: {e}"))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let mut sleeps = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        // A thread may end between the listing and the reading.
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        sleeps += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(Usage {
        at: Instant::now(),
        cpu_ns: (time.tv_sec() as u64) * 1_000_000_000 + time.tv_nsec() as u64,
        cpu_stat_ns: ticks(&stat).ok_or("unreadable /proc/PID/stat")? * TICK_NS,
        sleeps,
    })
}

/// Memory of a process, KiB, as in `/proc/PID/smaps_rollup`.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Memory {
    /// Resident, shared pages counted whole.
    pub rss_kib: u64,
    /// Resident, shared pages divided among those who share.
    pub pss_kib: u64,
    /// Pages of its own.
    pub private_kib: u64,
}

/// Reads a process's memory.
pub fn memory(pid: i32) -> Result<Memory, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |name| field(&text, name).ok_or_else(|| format!("no {name} in smaps_rollup"));
    Ok(Memory {
        rss_kib: kib("Rss:")?,
        pss_kib: kib("Pss:")?,
        private_kib: kib("Private_Clean:")? + kib("Private_Dirty:")?,
    })
}

/// The machine in one line: processor, cores, memory, kernel.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find(|l| l.starts_with("model name"))
        .and_then(|l| l.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) / (1024 * 1024);
    format!(
        "{}, {cores} cores, {memory} GiB, Linux {}",
        model.unwrap_or("unknown processor").trim(),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// The load average of the last minute: how quiet the machine is.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// utime + stime. The command's name may hold spaces and brackets, so fields count from its last bracket.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let utime: u64 = fields.get(11)?.parse().ok()?;
    let stime: u64 = fields.get(12)?.parse().ok()?;
    Some(utime + stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_can_be_read() {
        let pid = std::process::id().cast_signed();
        let before = usage(pid).unwrap();
        let mut x = 1_u64;
        while usage(pid).unwrap().cpu_ns < before.cpu_ns + 5_000_000 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let memory = memory(pid).unwrap();
        assert!(memory.pss_kib <= memory.rss_kib && memory.private_kib > 0);
    }

    #[test]
    fn a_command_name_with_a_bracket_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 1 0 5";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t4\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(4));
        assert_eq!(field(status, "missing:"), None);
    }
}
