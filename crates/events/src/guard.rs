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
    /// Refuses statements that would pin beyond a pool's share for pins.
    Pin,
}

impl Guard {
    /// Every guard, in the order of the counters.
    pub const ALL: [Guard; 6] = [
        Guard::Reclaim,
        Guard::Shed,
        Guard::AutoSize,
        Guard::AutoRevert,
        Guard::Drift,
        Guard::Pin,
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
            Guard::Pin => "pin",
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

    /// The mode that a word names.
    pub fn from_word(word: &str) -> Option<GuardMode> {
        [GuardMode::Off, GuardMode::Observe, GuardMode::Enforce]
            .into_iter()
            .find(|mode| mode.label() == word)
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

    /// With some of them, in the order of [`Guard::ALL`], no further than watching.
    #[must_use]
    pub fn watching(mut self, some: &[bool; Guard::COUNT]) -> Guards {
        for (mode, watches) in self.modes.iter_mut().zip(some) {
            if *watches {
                *mode = (*mode).min(GuardMode::Observe);
            }
        }
        self
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

/// What each guard did, and what it would have done while it only watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GuardCounts {
    done: [u64; Guard::COUNT],
    would: [u64; Guard::COUNT],
    needless: [u64; Guard::COUNT],
}

impl GuardCounts {
    /// A guard came to its decision: in `enforce` it acted, in `observe` it
    /// would have. True when it may act.
    pub const fn decided(&mut self, guard: Guard, mode: GuardMode) -> bool {
        match mode {
            GuardMode::Off => false,
            GuardMode::Observe => {
                self.would[guard as usize] += 1;
                false
            }
            GuardMode::Enforce => {
                self.done[guard as usize] += 1;
                true
            }
        }
    }

    /// What a watching guard would have done proved needless afterwards.
    pub const fn proved_needless(&mut self, guard: Guard) {
        self.needless[guard as usize] += 1;
    }

    /// Actions.
    pub const fn done(&self, guard: Guard) -> u64 {
        self.done[guard as usize]
    }

    /// Actions that did not happen because the guard only watched.
    pub const fn would(&self, guard: Guard) -> u64 {
        self.would[guard as usize]
    }

    /// Of these, the ones that proved needless: a client that would have been
    /// refused was served in time.
    pub const fn needless(&self, guard: Guard) -> u64 {
        self.needless[guard as usize]
    }

    /// Adds another part's counts.
    pub fn add(&mut self, other: &GuardCounts) {
        for i in 0..Guard::COUNT {
            self.done[i] += other.done[i];
            self.would[i] += other.would[i];
            self.needless[i] += other.needless[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_modes() {
        for mode in [GuardMode::Off, GuardMode::Observe, GuardMode::Enforce] {
            assert_eq!(GuardMode::from_word(mode.label()), Some(mode));
        }
        assert_eq!(GuardMode::from_word("on"), None);
    }

    #[test]
    fn only_an_enforcing_guard_acts_and_each_decision_is_counted_once() {
        let mut counts = GuardCounts::default();
        for (mode, acts) in [
            (GuardMode::Off, false),
            (GuardMode::Observe, false),
            (GuardMode::Enforce, true),
        ] {
            assert_eq!(counts.decided(Guard::Shed, mode), acts, "{mode:?}");
        }
        counts.proved_needless(Guard::Shed);
        let mut sum = counts;
        sum.add(&counts);
        let shown = (
            sum.done(Guard::Shed),
            sum.would(Guard::Shed),
            sum.needless(Guard::Shed),
        );
        assert_eq!(shown, (2, 2, 2));
        assert_eq!(sum.done(Guard::Reclaim), 0);
    }

    #[test]
    fn the_switch_takes_the_teeth_but_not_the_eyes() {
        let mut guards = Guards::default();
        guards.set(Guard::Shed, GuardMode::Off);
        let off = guards.observing();
        assert_eq!(off.mode(Guard::Reclaim), GuardMode::Observe);
        assert_eq!(off.mode(Guard::Shed), GuardMode::Off, "off stays off");
    }
}
