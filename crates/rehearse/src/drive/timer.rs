//! Wakes the event loop at a moment, to some tens of microseconds. What `epoll`
//! itself offers counts in whole milliseconds.

use mio::{Interest, Registry, Token};
use std::io;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(crate) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use super::{Duration, Interest, Registry, Token, io};
    use mio::unix::SourceFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::os::fd::{AsRawFd, OwnedFd};

    /// A timer of the kernel's.
    pub(crate) struct Timer(OwnedFd);

    impl Timer {
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Timer(timer))
        }

        /// Arms it; how long the loop may wait by itself: as long as it likes.
        pub(crate) fn arm(&self, span: Duration) -> io::Result<Option<Duration>> {
            // Nothing at all would disarm it.
            let span = span.max(Duration::from_nanos(1));
            let zero = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let value = Timespec {
                tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: span.subsec_nanos().into(),
            };
            let spec = Itimerspec {
                it_interval: zero,
                it_value: value,
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec)?;
            Ok(None)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Duration, Registry, Token, io};

    /// None: the loop waits whole milliseconds, and looks again and again in the last one.
    pub(crate) struct Timer;

    impl Timer {
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Timer> {
            Ok(Timer)
        }

        /// How long the loop may wait by itself.
        pub(crate) fn arm(&self, span: Duration) -> io::Result<Option<Duration>> {
            let whole = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            Ok(Some(Duration::from_millis(whole)))
        }
    }
}
