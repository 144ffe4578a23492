//! What Plimsoll may do by itself, and whether it only watches.
//!
//! Guards are earned: each runs as `observe` (it logs and counts what it would
//! have done) or `enforce`. The budget is none of them; it always holds.

/// Something that Plimsoll does without being asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Guard {
    /// Takes back connections from leaks while others wait.
    Reclaim,
    /// Refuses waiters whose predicted wait exceeds their deadline.
    Shed,
    /// Moves the size of pools with `pool_size = "auto"`.
    AutoSize,
    /// Takes back a change of settings that hurts.
    AutoRevert,
    /// Holds changes of settings files that nobody applied.
    Drift,
}

impl Guard {
    /// Every guard, in the order of the counters.
    pub const ALL: [Guard; 5] = [
        Guard::Reclaim,
        Guard::Shed,
        Guard::AutoSize,
        Guard::AutoRevert,
        Guard::Drift,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The label used in settings, log, metric and page.
    pub const fn label(self) -> &'static str {
        match self {
            Guard::Reclaim => "reclaim",
            Guard::Shed => "shed",
            Guard::AutoSize => "auto_size",
            Guard::AutoRevert => "auto_revert",
            Guard::Drift => "drift",
        }
    }
}

/// How far a guard goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum GuardMode {
    /// It does not even look.
    Off,
    /// It logs and counts what it would have done.
    Observe,
    /// It acts.
    #[default]
    Enforce,
}

impl GuardMode {
    /// The word in settings and in the console.
    pub const fn label(self) -> &'static str {
        match self {
            GuardMode::Off => "off",
            GuardMode::Observe => "observe",
            GuardMode::Enforce => "enforce",
        }
    }
}

/// The mode of every guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Guards {
    modes: [GuardMode; Guard::COUNT],
}

impl Guards {
    /// All guards in one mode.
    pub const fn all(mode: GuardMode) -> Guards {
        Guards {
            modes: [mode; Guard::COUNT],
        }
    }

    /// The mode of one guard.
    pub const fn mode(&self, guard: Guard) -> GuardMode {
        self.modes[guard as usize]
    }

    /// Sets the mode of one guard.
    pub const fn set(&mut self, guard: Guard, mode: GuardMode) {
        self.modes[guard as usize] = mode;
    }

    /// With the switch thrown: nothing acts, what is on goes on watching.
    #[must_use]
    pub fn observing(mut self) -> Guards {
        for mode in &mut self.modes {
            *mode = (*mode).min(GuardMode::Observe);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_takes_the_teeth_but_not_the_eyes() {
        let mut guards = Guards::default();
        guards.set(Guard::Shed, GuardMode::Off);
        let off = guards.observing();
        assert_eq!(off.mode(Guard::Reclaim), GuardMode::Observe);
        assert_eq!(off.mode(Guard::Shed), GuardMode::Off, "off stays off");
    }
}
