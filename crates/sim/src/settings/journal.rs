//! The history that survives a kill: versions, the states of their changes, and
//! which one is current. A write is on disk when it returns, or it was not made.

use config::rollout::{Nature, Origin, State};
use std::collections::BTreeMap;

/// A version that was written down.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub hash: u64,
    pub origin: Origin,
    /// Without secrets.
    pub text: String,
}

/// A change that was written down.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Change {
    pub from: u64,
    pub nature: Nature,
    pub state: State,
}

/// Why nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotWritten {
    /// The disk is full.
    Full,
    /// No version has this number.
    Unknown,
}

/// What the state directory holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub versions: BTreeMap<u64, Version>,
    pub changes: BTreeMap<u64, Change>,
    pub current: Option<u64>,
    /// Numbers are given once.
    last: u64,
    /// Versions that were current once, in their order.
    applied: Vec<u64>,
    /// No write succeeds.
    pub full: bool,
    /// Writes that were made.
    pub writes: u64,
}

impl Journal {
    fn write(&mut self) -> Result<(), NotWritten> {
        if self.full {
            return Err(NotWritten::Full);
        }
        self.writes += 1;
        Ok(())
    }

    /// A new version, with a number above all that are known.
    pub fn add(&mut self, version: Version, above: u64) -> Result<u64, NotWritten> {
        self.write()?;
        self.last = self.last.max(above) + 1;
        self.versions.insert(self.last, version);
        Ok(self.last)
    }

    /// The highest number that was given.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// A change entered a state. A number that no version has cannot be written.
    pub fn enter(&mut self, version: u64, change: Change) -> Result<(), NotWritten> {
        self.write()?;
        if !self.versions.contains_key(&version) {
            return Err(NotWritten::Unknown);
        }
        let known = self.changes.get(&version).copied();
        let row = match known {
            Some(known) => Change {
                state: change.state,
                ..known
            },
            None => change,
        };
        self.changes.insert(version, row);
        if change.state == State::Applied {
            self.make_current(version);
        }
        Ok(())
    }

    /// A first version without a change.
    pub fn adopt(&mut self, version: u64) -> Result<(), NotWritten> {
        self.write()?;
        self.make_current(version);
        Ok(())
    }

    fn make_current(&mut self, version: u64) {
        self.current = Some(version);
        self.applied.push(version);
    }

    /// The changes without an end, the newest first.
    pub fn opens(&self) -> Vec<(u64, Change)> {
        let open = self.changes.iter().rev().filter(|(_, c)| !c.state.is_end());
        open.map(|(version, change)| (*version, *change)).collect()
    }

    /// The newest change to these texts that says something of them turned them down.
    pub fn rejected(&self, hash: u64) -> Option<(u64, State)> {
        let of_hash = |v: &u64| self.versions.get(v).is_some_and(|v| v.hash == hash);
        let newest = self.changes.iter().rev().find(|(v, change)| {
            of_hash(v)
                && match change.state {
                    State::Refused(why) | State::RolledBack(why) => why.convicts(),
                    state => state == State::Applied,
                }
        });
        let (version, change) = newest?;
        (change.state != State::Applied).then_some((*version, change.state))
    }

    /// What was current before `version`, with other texts.
    pub fn before(&self, version: u64) -> Option<u64> {
        let hash = |v: u64| self.versions.get(&v).map(|v| v.hash);
        let own = hash(version)?;
        let other = |v: &&u64| **v < version && hash(**v).is_some_and(|h| h != own);
        self.applied.iter().filter(other).max().copied()
    }
}
