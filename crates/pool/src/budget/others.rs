//! What others hold: one figure from readings that are wrong for a moment.
//!
//! A peer states what it holds only so often. What it opened since counts as
//! others' in a reading, and what it closed since counts as nobody's.

use super::CONFIRM;
use events::Time;

/// The figure that is believed, and the one that may follow it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    believed: Option<u32>,
    /// Since when all readings were on one side of it, and the nearest of them.
    next: Option<(Time, u32)>,
}

impl Others {
    /// A reading saw `rows` that nobody states; of these, `sure` cannot be of the
    /// fleet. What is sure counts at once, the rest when it lasts.
    pub(super) fn read(&mut self, now: Time, rows: u32, sure: u32) -> u32 {
        let Some(mut believed) = self.believed else {
            self.believed = Some(rows);
            return rows;
        };
        believed = believed.max(sure);
        let same_side = |near: u32| (near > believed) == (rows > believed);
        self.next = match self.next {
            _ if rows == believed => None,
            Some((since, near)) if near != believed && same_side(near) => {
                let nearer = if rows > believed {
                    near.min(rows)
                } else {
                    near.max(rows)
                };
                Some((since, nearer))
            }
            _ => Some((now, rows)),
        };
        if let Some((since, near)) = self.next
            && now.since(since) >= CONFIRM
        {
            believed = near;
            self.next = (near != rows).then_some((now, rows));
        }
        self.believed = Some(believed);
        believed
    }

    pub(super) fn believed(&self) -> u32 {
        self.believed.unwrap_or(0)
    }

    /// Another figure may follow soon.
    pub(super) fn doubtful(&self) -> bool {
        self.next.is_some()
    }
}
