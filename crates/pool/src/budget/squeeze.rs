//! After the server had no slot left: less is opened for a while.

use events::Time;
use std::time::Duration;

/// After "too many clients" nothing is opened above what was open then for this
/// long; doubled when it happens again, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
/// See there.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Then the bound grows at this pace: by one, or by a tenth of it.
const GROWTH: Duration = Duration::from_millis(500);

/// A bound below the line, learned from the server's refusal.
#[derive(Clone, Debug)]
pub(crate) struct Squeeze {
    cap: u32,
    next: Time,
    pause: Duration,
}

impl Squeeze {
    /// The server refused a connection while `charged` others were open.
    pub(crate) fn again(before: Option<Squeeze>, now: Time, charged: u32) -> Squeeze {
        let pause = match before {
            Some(before) => (before.pause * 2).min(PAUSE_MAX),
            None => PAUSE,
        };
        Squeeze {
            cap: charged,
            next: now.after(pause),
            pause,
        }
    }

    pub(crate) fn cap(&self) -> u32 {
        self.cap
    }

    /// A reading shows that there is room for so many again.
    pub(crate) fn room(&mut self, room: u32) {
        self.cap = self.cap.max(room);
    }

    pub(crate) fn next(&self) -> Time {
        self.next
    }

    /// Time went on. True when `line` is reached and the squeeze is over.
    pub(crate) fn grow(&mut self, now: Time, line: u32) -> bool {
        if now >= self.next {
            self.cap += (self.cap / 10).max(1);
            self.next = now.after(GROWTH);
        }
        self.cap >= line
    }
}
