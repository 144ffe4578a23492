//! Session state that cannot be replayed at another server connection.
//!
//! While a client has any, it keeps its connection ("pinned"). Bounded: what
//! goes beyond the bound counts as state that only DISCARD ALL ends.

use events::{ExemptReason, PinKind};
use std::collections::{BTreeMap, BTreeSet};
use wire::sql::Change;

/// The pins of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    channels: BTreeSet<Box<str>>,
    temporary: BTreeSet<Box<str>>,
    prepared: BTreeSet<Box<str>>,
    cursors: BTreeSet<Box<str>>,
    locks: BTreeMap<(Box<str>, bool), u32>,
    /// Settings whose value no text told; it is asked for when the lease could end.
    settings: BTreeSet<Box<str>>,
    /// State that only DISCARD ALL (or for a library, nothing) ends.
    lasting: bool,
}

/// Names remembered per kind.
const NAMES_MAX: usize = 1024;

impl Pins {
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty()
            && self.temporary.is_empty()
            && self.prepared.is_empty()
            && self.cursors.is_empty()
            && self.locks.is_empty()
            && self.settings.is_empty()
            && !self.lasting
    }

    /// What nobody may take from the client unasked.
    pub(crate) fn exempt(&self) -> Option<ExemptReason> {
        if !self.channels.is_empty() {
            return Some(ExemptReason::Listen);
        }
        (!self.locks.is_empty()).then_some(ExemptReason::AdvisoryLock)
    }

    /// SQL's PREPARE made a statement of this name.
    pub(crate) fn has_prepared(&self, name: &[u8]) -> bool {
        !self.prepared.is_empty()
            && std::str::from_utf8(name).is_ok_and(|name| self.prepared.contains(name))
    }

    /// It has temporary tables.
    pub(crate) fn has_temporary(&self) -> bool {
        !self.temporary.is_empty()
    }

    /// What would pin; `None` for all other changes.
    pub(crate) fn wants(change: &Change) -> Option<PinKind> {
        match change {
            Change::Listen { .. } => Some(PinKind::Listen),
            Change::CreateTemp { .. } => Some(PinKind::Temporary),
            Change::Prepare { .. } => Some(PinKind::Prepare),
            Change::DeclareHold { .. } => Some(PinKind::Cursor),
            Change::AdvisoryLock { .. } => Some(PinKind::Lock),
            Change::Load => Some(PinKind::Load),
            Change::SetOpaque { name, local: false } if !can_be_asked(name) => {
                Some(PinKind::Setting)
            }
            _ => None,
        }
    }

    /// Something begins that keeps the client on its connection, for a while at least.
    pub(crate) fn begins(change: &Change) -> bool {
        matches!(change, Change::SetOpaque { local: false, .. }) || Pins::wants(change).is_some()
    }

    /// A text told the value of a setting, or (`None`) of all of them.
    pub(crate) fn told(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.settings.remove(name)),
            None => self.settings.clear(),
        }
    }

    /// A change took effect.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Listen { channel } => self.add(|p| &mut p.channels, channel),
            Change::Unlisten { channel } => drop(self.channels.remove(channel)),
            Change::UnlistenAll => self.channels.clear(),
            Change::CreateTemp { name } => self.add(|p| &mut p.temporary, name),
            Change::Drop { names } => self.temporary.retain(|t| !names.contains(t)),
            Change::Prepare { name } => self.add(|p| &mut p.prepared, name),
            Change::Deallocate { name } => drop(self.prepared.remove(name)),
            Change::DeallocateAll => self.prepared.clear(),
            Change::DeclareHold { name } => self.add(|p| &mut p.cursors, name),
            Change::CloseCursor { name } => drop(self.cursors.remove(name)),
            Change::CloseAllCursors => self.cursors.clear(),
            Change::AdvisoryLock { key, shared } if key.is_constant() => {
                self.lock(key.as_str(), *shared)
            }
            // Which lock is not known: only unlock_all is sure to end it.
            Change::AdvisoryLock { shared, .. } => self.lock("?", *shared),
            Change::AdvisoryUnlock { key, shared } if key.is_constant() => {
                self.unlock(key.as_str(), *shared);
            }
            Change::AdvisoryUnlock { shared, .. } => self.unlock("?", *shared),
            Change::AdvisoryUnlockAll => self.locks.clear(),
            Change::SetOpaque { name, local: false } if can_be_asked(name) => {
                self.add(|p| &mut p.settings, name);
            }
            Change::Load | Change::SetOpaque { local: false, .. } => self.lasting = true,
            Change::Discard(wire::sql::Discard::All) => *self = Pins::default(),
            Change::Discard(wire::sql::Discard::Temp) => self.temporary.clear(),
            _ => {}
        }
    }

    /// The transaction was rolled back to `before`: locks and SQL-level
    /// statements do not roll back, the rest does.
    pub(crate) fn roll_back(&mut self, before: Pins) {
        self.channels = before.channels;
        self.temporary = before.temporary;
        self.cursors = before.cursors;
        self.settings = before.settings;
    }

    /// The settings that pin, if nothing else does.
    pub(crate) fn only_settings(&self) -> Option<impl Iterator<Item = &str>> {
        let alone = Pins {
            settings: self.settings.clone(),
            ..Pins::default()
        };
        (!self.settings.is_empty() && *self == alone).then(|| self.settings.iter().map(|s| &**s))
    }

    /// Their values are known: they pin no more.
    pub(crate) fn take_settings(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.settings)
    }

    /// The connection goes back with all that is there, but for the settings, which
    /// can still be asked for.
    pub(crate) fn leave_behind(&mut self) {
        *self = Pins {
            settings: std::mem::take(&mut self.settings),
            ..Pins::default()
        };
    }

    /// Something is there that only DISCARD ALL ends.
    pub(crate) fn keep(&mut self) {
        self.lasting = true;
    }

    fn add(&mut self, set: impl Fn(&mut Pins) -> &mut BTreeSet<Box<str>>, name: &str) {
        if set(self).len() >= NAMES_MAX {
            self.lasting = true;
        } else {
            set(self).insert(name.into());
        }
    }

    fn lock(&mut self, key: &str, shared: bool) {
        if self.locks.len() >= NAMES_MAX {
            self.lasting = true;
        } else {
            let held = self.locks.entry((key.into(), shared)).or_default();
            *held = held.saturating_add(1);
        }
    }

    /// One unlock undoes one lock, as PostgreSQL counts them.
    fn unlock(&mut self, key: &str, shared: bool) {
        let key = (key.into(), shared);
        if let Some(held) = self.locks.get_mut(&key) {
            *held -= 1;
            if *held == 0 {
                self.locks.remove(&key);
            }
        }
    }
}

/// The server can be asked for the value, and set to it again: the name needs
/// no quoting, and it is no role.
fn can_be_asked(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    !name.is_empty() && name.bytes().all(plain) && !matches!(name, "role" | "session_authorization")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::sql::{Quoting, read};

    fn after(texts: &[&str]) -> Pins {
        let mut pins = Pins::default();
        for text in texts {
            for effect in read(text.as_bytes(), Quoting::default()).effects {
                pins.apply(&effect.change);
            }
        }
        pins
    }

    #[test]
    fn each_pin_ends_when_its_state_ends() {
        let rows: &[(&[&str], bool)] = &[
            (&["LISTEN a"], false),
            (&["LISTEN a", "UNLISTEN b"], false),
            (&["LISTEN a", "UNLISTEN a"], true),
            (&["LISTEN a", "LISTEN b", "UNLISTEN *"], true),
            (&["CREATE TEMP TABLE t (a int)"], false),
            (&["CREATE TEMP TABLE t (a int)", "DROP TABLE t"], true),
            (&["SELECT pg_advisory_lock(1)"], false),
            (
                &[
                    "SELECT pg_advisory_lock(1)",
                    "SELECT pg_advisory_lock(1)",
                    "SELECT pg_advisory_unlock(1)",
                ],
                false,
            ),
            (
                &["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)"],
                true,
            ),
            (
                &[
                    "SELECT pg_advisory_lock(1)",
                    "SELECT pg_advisory_unlock_all()",
                ],
                true,
            ),
            (&["SELECT pg_advisory_xact_lock(1)"], true),
            (&["PREPARE p AS SELECT 1"], false),
            (&["PREPARE p AS SELECT 1", "DEALLOCATE p"], true),
            (
                &["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"],
                true,
            ),
            (&["DECLARE c CURSOR FOR SELECT 1"], true),
            (
                &["LISTEN a", "CREATE TEMP TABLE t (a int)", "DISCARD ALL"],
                true,
            ),
            (&["SELECT 1"], true),
        ];
        for (texts, empty) in rows {
            assert_eq!(after(texts).is_empty(), *empty, "{texts:?}");
        }
    }

    #[test]
    fn a_flood_of_names_stays_bounded_and_pinned() {
        let mut pins = Pins::default();
        for i in 0..5000 {
            pins.apply(&Change::Listen {
                channel: format!("c{i}").into(),
            });
        }
        assert!(pins.channels.len() <= NAMES_MAX);
        pins.apply(&Change::UnlistenAll);
        assert!(
            !pins.is_empty(),
            "what was not remembered may still be there"
        );
        pins.apply(&Change::Discard(wire::sql::Discard::All));
        assert!(pins.is_empty());
    }
}
