//! How the generator itself fares: whether it had the CPU that it wanted, and that
//! it gets it before others where this process may ask for that.

use std::time::Duration;

/// Time on a CPU and time in wait of one, of the calling thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cpu {
    ran: Duration,
    waited: Duration,
}

impl Cpu {
    /// Reads it; `None` where the kernel does not tell.
    pub(crate) fn of_this_thread() -> Option<Cpu> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Cpu::parse(&text)
    }

    fn parse(text: &str) -> Option<Cpu> {
        let mut words = text.split_whitespace().map(|word| word.parse::<u64>().ok());
        let mut next = || words.next().flatten().map(Duration::from_nanos);
        Some(Cpu {
            ran: next()?,
            waited: next()?,
        })
    }

    /// Shares of a span in which it ran and in which it waited, since an earlier reading.
    pub(crate) fn shares(self, since: Cpu, span: Duration) -> (f64, f64) {
        let span = span.as_secs_f64().max(1e-9);
        let share = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / span;
        (share(self.ran, since.ran), share(self.waited, since.waited))
    }
}

/// Files that a process has open beside its connections.
const OTHER_FILES: u64 = 100;

/// Raises the limit of open files for that many connections, as far as it may. What
/// is lacking then is told by the login that fails.
pub(crate) fn make_room_for(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::from(connections) + OTHER_FILES;
    if limit.current.is_some_and(|current| current < wanted) {
        let current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
        let maximum = limit.maximum;
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).ok();
    }
}

/// Precedence of the calling thread over all others of the machine, until it is
/// dropped: clients elsewhere would not be slowed down by what the server here does.
/// A realtime policy, for a thread that woke waits up to a slice (3 ms) otherwise,
/// whatever its nice value. It needs CAP_SYS_NICE; without it nothing changes.
pub(crate) struct Precedence {
    /// The nice value before, where it was taken.
    before: Option<i32>,
}

#[cfg(target_os = "linux")]
impl Precedence {
    pub(crate) fn take() -> Precedence {
        use thread_priority::{RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
        // The least of realtime is more than all that is not.
        // On Linux "process none" is the calling thread.
        let before = rustix::process::getpriority_process(None).ok();
        let taken = schedule(policy, ThreadPriority::Min);
        Precedence {
            before: before.filter(|_| taken),
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Precedence {
    fn drop(&mut self) {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        if let Some(before) = self.before {
            // Who could take it can give it back.
            let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
            schedule(policy, ThreadPriority::Min);
            rustix::process::setpriority_process(None, before).ok();
        }
    }
}

/// Sets policy and priority of the calling thread; whether it could.
#[cfg(target_os = "linux")]
fn schedule(
    policy: thread_priority::ThreadSchedulePolicy,
    priority: thread_priority::ThreadPriority,
) -> bool {
    use thread_priority::{set_thread_priority_and_policy, thread_native_id};
    set_thread_priority_and_policy(thread_native_id(), priority, policy).is_ok()
}

#[cfg(not(target_os = "linux"))]
impl Precedence {
    pub(crate) fn take() -> Precedence {
        Precedence { before: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn precedence_ends_with_its_owner() {
        // Field 18 is the priority, 41 the policy (proc_pid_stat(5)).
        let now = || {
            let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let rest: Vec<_> = text
                .rsplit_once(") ")
                .unwrap()
                .1
                .split(' ')
                .map(str::to_owned)
                .collect();
            (rest[16].clone(), rest[38].clone())
        };
        let before = now();
        let precedence = Precedence::take();
        if precedence.before.is_some() {
            assert_eq!(now().1, "2", "SCHED_RR");
        }
        drop(precedence);
        assert_eq!(now(), before);
    }

    #[test]
    fn what_the_kernel_tells_is_read_as_shares() {
        let then = Cpu::parse("1000000000 500000000 42\n").unwrap();
        let now = Cpu::parse("3000000000 1500000000 99\n").unwrap();
        assert_eq!(now.shares(then, Duration::from_secs(4)), (0.5, 0.25));
        assert_eq!(Cpu::parse("12"), None);
        assert_eq!(Cpu::parse("a b c"), None);
    }
}
