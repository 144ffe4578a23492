//! What guards did over a span, and whom they met.

use super::{Name, OTHER};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows of [`GuardedSample`] kept in a span of any length; the rest is summed
/// by guard under [`OTHER`].
pub const GUARDED_MAX: usize = 48;

/// What one guard did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuardSample {
    /// Its label.
    pub guard: Name,
    /// "off", "observe" or "enforce", at the end of the span.
    pub mode: Name,
    /// How often it acted.
    pub done: u64,
    /// How often it would have, had it not only watched.
    pub would: u64,
    /// Of these, how often that proved needless.
    pub needless: u64,
}

/// Whom a guard met, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuardedSample {
    /// The guard's label.
    pub guard: Name,
    /// Database of the pool.
    pub database: Name,
    /// User of the pool.
    pub user: Name,
    /// Application, without what differs between its processes.
    pub application: Name,
    /// The reason, as a label: for pins the state, for sizes why they change.
    pub why: Name,
    /// How often the guard acted.
    pub done: u64,
    /// How often it would have.
    pub would: u64,
    /// Of pins: how often the client was given one, within the share.
    pub kept: u64,
}

impl GuardedSample {
    fn same(&self, other: &GuardedSample) -> bool {
        self.guard == other.guard
            && self.database == other.database
            && self.user == other.user
            && self.application == other.application
            && self.why == other.why
    }

    fn add(&mut self, other: &GuardedSample) {
        self.done += other.done;
        self.would += other.would;
        self.kept += other.kept;
    }

    fn weight(&self) -> u64 {
        self.done + self.would + self.kept
    }
}

pub(super) fn guards(sum: &mut Vec<GuardSample>, later: &[GuardSample]) {
    for row in later {
        match sum.iter_mut().find(|s| s.guard == row.guard) {
            Some(sum) => {
                sum.mode = Name::clone(&row.mode);
                sum.done += row.done;
                sum.would += row.would;
                sum.needless += row.needless;
            }
            None => sum.push(row.clone()),
        }
    }
}

/// Adds rows; beyond the bound the smallest are summed by guard.
pub fn add_guarded(sum: &mut Vec<GuardedSample>, later: &[GuardedSample]) {
    for row in later {
        match sum.iter_mut().find(|s| s.same(row)) {
            Some(sum) => sum.add(row),
            None => sum.push(row.clone()),
        }
    }
    if sum.len() <= GUARDED_MAX {
        return;
    }
    let is_other = |row: &GuardedSample| row.database.is_empty() && &*row.application == OTHER;
    sum.sort_by_key(|row| (is_other(row), std::cmp::Reverse(row.weight())));
    let (others, mut kept): (Vec<_>, Vec<_>) = std::mem::take(sum).into_iter().partition(is_other);
    // Each guard may need a row of others; there are few guards.
    let rest = kept.split_off(kept.len().min(GUARDED_MAX - OTHERS_MAX));
    *sum = kept;
    let mut folded: Vec<GuardedSample> = Vec::new();
    for row in others.into_iter().chain(rest) {
        let row = GuardedSample {
            database: Name::default(),
            user: Name::default(),
            application: OTHER.into(),
            why: Name::default(),
            ..row
        };
        match folded.iter().position(|s| s.same(&row)) {
            Some(at) => folded[at].add(&row),
            None if folded.len() < OTHERS_MAX => folded.push(row),
            None => {}
        }
    }
    sum.extend(folded);
}

/// Rows that are kept for the sums of single guards.
const OTHERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize, would: u64) -> GuardedSample {
        GuardedSample {
            guard: if n.is_multiple_of(2) { "pin" } else { "shed" }.into(),
            database: "d".into(),
            application: format!("app{n}").into(),
            would,
            ..GuardedSample::default()
        }
    }

    #[test]
    fn any_number_of_names_fits_and_nothing_is_lost() {
        let mut sum = Vec::new();
        let mut all = 0;
        for n in 0..5_000 {
            let would = (n % 97) as u64 + 1;
            all += would;
            add_guarded(&mut sum, &[row(n, would)]);
            assert!(sum.len() <= GUARDED_MAX);
        }
        add_guarded(&mut sum, &[row(7_000, 1_000_000)]);
        add_guarded(&mut sum, &[row(7_001, 1)]);
        assert_eq!(sum.iter().map(|r| r.would).sum::<u64>(), all + 1_000_001);
        assert!(sum.iter().any(|r| &*r.application == "app7000"));
        let others = sum.iter().filter(|r| &*r.application == OTHER).count();
        assert_eq!(others, 2, "one for each guard");
    }

    #[test]
    fn guards_add_up_and_the_later_mode_holds() {
        let guard = |mode: &str, would| GuardSample {
            guard: "shed".into(),
            mode: mode.into(),
            would,
            ..GuardSample::default()
        };
        let mut sum = vec![guard("observe", 2)];
        guards(&mut sum, &[guard("enforce", 3)]);
        assert_eq!(sum, [guard("enforce", 5)]);
    }
}
