//! How the generator itself fares: whether it had the CPU that it wanted.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read_as_shares() {
        let then = Cpu::parse("1000000000 500000000 42\n").unwrap();
        let now = Cpu::parse("3000000000 1500000000 99\n").unwrap();
        assert_eq!(now.shares(then, Duration::from_secs(4)), (0.5, 0.25));
        assert_eq!(Cpu::parse("12"), None);
        assert_eq!(Cpu::parse("a b c"), None);
    }
}
