//! Monotonic time as the pure crates see it: a number that the shell hands in.

use std::time::Duration;

/// A point on the monotonic clock, in microseconds since an origin that the
/// shell chose (process start; in the simulator, zero).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Time = Time(0);
    /// Later than every time that occurs: "no deadline".
    pub const FAR: Time = Time(u64::MAX);

    /// A time `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead, because two
    /// workers may have read the clock in either order.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `span`, or [`Time::FAR`] where that overflows.
    pub fn after(self, span: Duration) -> Time {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(
            Time::from_micros(5).since(Time::from_micros(9)),
            Duration::ZERO
        );
        assert_eq!(Time::FAR.after(Duration::from_secs(1)), Time::FAR);
        assert_eq!(Time::ZERO.after(Duration::MAX), Time::FAR);
    }
}
