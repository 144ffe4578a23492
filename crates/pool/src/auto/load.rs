//! What the load was: how long a lease keeps the server busy, and how many
//! connections were wanted lately.

use super::Sample;
use events::Time;
use std::time::Duration;

/// The time that a transaction takes changed by this factor: a new search.
const NEW_LOAD: f64 = 1.5;
/// The demand of this time counts, and of the same time before.
const DEMAND_SPAN: Duration = Duration::from_secs(300);

/// The time that a lease keeps the server busy: fast and as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    fast: f64,
    pub(super) reference: f64,
    /// Samples since the last change of the size.
    pub(super) since_change: u32,
}

/// Most connections that were wanted lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    now: f64,
    before: f64,
    turned_at: Time,
    pub(super) next_look: Time,
}

impl Load {
    pub(super) fn add(&mut self, s: &Sample) {
        if s.done <= 0.0 {
            return;
        }
        let busy = if s.busy > 0.0 { s.busy } else { s.held };
        let took = busy * s.span.as_secs_f64() / s.done;
        self.since_change = self.since_change.saturating_add(1);
        // About five seconds of samples.
        let share = if self.fast == 0.0 { 1.0 } else { 0.1 };
        self.fast += share * (took - self.fast);
        if self.reference == 0.0 && self.since_change >= 20 {
            self.reference = self.fast;
        }
    }

    pub(super) fn changed(&self) -> bool {
        self.reference > 0.0
            && (self.fast > NEW_LOAD * self.reference || self.fast * NEW_LOAD < self.reference)
    }

    pub(super) fn rose(&self) -> bool {
        self.fast > self.reference
    }
}

impl Demand {
    pub(super) fn add(&mut self, now: Time, s: &Sample) {
        if now.since(self.turned_at) >= DEMAND_SPAN {
            self.before = self.now;
            self.now = 0.0;
            self.turned_at = now;
        }
        let wanted = (s.held + s.queued).max(f64::from(s.peak));
        self.now = self.now.max(wanted);
    }

    /// Square-root staffing over the highest demand of the last minutes.
    pub(super) fn staffing(&self) -> u32 {
        let most = self.now.max(self.before);
        (most + 2.0 * most.sqrt()).ceil().min(f64::from(u32::MAX)) as u32
    }
}
