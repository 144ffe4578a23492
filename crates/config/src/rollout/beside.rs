//! The settings file beside what serves: what a start does with it, and what a
//! change of it does to a process that runs.
//!
//! Both are tables; whoever asks does what they say and tells it to people.

use super::State;
use crate::diff::diff;
use crate::keeping::SettingsSource;
use crate::plan::Plan;
use crate::table::Class;
use events::GuardMode;

/// What is known of the settings file at a start where there is a history.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// What serves by the history.
    pub serves: &'a Plan,
    /// What the file says; `None`: it has mistakes.
    pub file: Option<&'a Plan>,
    /// Its texts are those of the version that serves.
    pub same: bool,
    /// A deployment writes the file.
    pub deploy: bool,
    /// These texts were turned down before, and nothing made them good since.
    pub rejected: Option<(u64, State)>,
}

/// What a start does with the settings file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtStart {
    /// It says what serves: its reading serves, with the secrets of today.
    Same,
    /// It has mistakes and nobody guards: there is no start.
    Stop,
    /// It has mistakes: the history serves.
    Broken,
    /// It serves, without being judged.
    Adopt,
    /// The history serves, and the file waits for a person.
    Held,
    /// The history serves: this was turned down before, as this version.
    Rejected(u64, State),
    /// The history serves, with what only a restart changes from the file; the
    /// rest of the file goes through the gate.
    Gate,
}

/// What serves when a process starts. `guard`: that of drift, by the history.
pub fn at_start(guard: GuardMode, beside: &Beside<'_>) -> AtStart {
    let enforce = guard == GuardMode::Enforce;
    let Some(file) = beside.file else {
        return if enforce {
            AtStart::Broken
        } else {
            AtStart::Stop
        };
    };
    if beside.same {
        return AtStart::Same;
    }
    let changes = diff(beside.serves, file);
    // Nothing of it could be judged, or nobody wants it judged.
    if !enforce || changes.iter().all(|c| c.class == Class::RestartOnly) {
        return AtStart::Adopt;
    }
    match (beside.deploy, beside.rejected) {
        (false, _) => AtStart::Held,
        (true, Some((version, state))) => AtStart::Rejected(version, state),
        (true, None) => AtStart::Gate,
    }
}

/// What a changed settings file leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnChange {
    /// It says what serves; its secrets may be others.
    Back,
    /// What it says is on its way already.
    Underway,
    /// Nobody minds.
    Ignored,
    /// It is told, and no more.
    Told,
    /// It goes through the gate.
    Gate,
    /// It waits for a person, and may be written back.
    Held,
}

/// What follows a change of the file. `same`: it says what serves; `underway`:
/// what the open change shall bring.
pub fn on_change(guard: GuardMode, same: bool, underway: bool, deploy: bool) -> OnChange {
    match (same, underway, guard) {
        (true, ..) => OnChange::Back,
        (_, true, _) => OnChange::Underway,
        (.., GuardMode::Off) => OnChange::Ignored,
        (.., GuardMode::Observe) => OnChange::Told,
        (.., GuardMode::Enforce) if deploy => OnChange::Gate,
        (.., GuardMode::Enforce) => OnChange::Held,
    }
}

impl SettingsSource {
    /// A deployment writes the file; `auto` is decided by where the process runs.
    pub fn is_deploy(self, container: bool) -> bool {
        match self {
            SettingsSource::Auto => container,
            said => matches!(said, SettingsSource::Deploy | SettingsSource::Etcd),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Why;
    use crate::{Memory, load};

    fn plan(text: &str) -> Plan {
        let text = format!("{text}\n[database.app]\nhost = \"db\"\n");
        load("p.toml".as_ref(), &Memory::default().file("p.toml", text)).expect("good")
    }

    #[test]
    fn a_start_is_decided_by_the_history_the_file_and_the_guard() {
        use GuardMode::{Enforce, Observe};
        let serves = plan("[pool]\nsize = 20");
        let other = plan("[pool]\nsize = 5");
        let restart = plan("[pool]\nsize = 20\n[process]\nworkers = 3");
        let bad = Some((7, State::RolledBack(Why::Hurts)));
        let table = [
            (Enforce, Some(&other), true, true, None, AtStart::Same),
            (Enforce, None, false, true, None, AtStart::Broken),
            (Observe, None, false, true, None, AtStart::Stop),
            (Observe, Some(&other), false, true, bad, AtStart::Adopt),
            (Enforce, Some(&restart), false, false, None, AtStart::Adopt),
            (Enforce, Some(&other), false, false, bad, AtStart::Held),
            (Enforce, Some(&other), false, true, None, AtStart::Gate),
            (
                Enforce,
                Some(&other),
                false,
                true,
                bad,
                AtStart::Rejected(7, State::RolledBack(Why::Hurts)),
            ),
        ];
        for (guard, file, same, deploy, rejected, expected) in table {
            let serves = &serves;
            let beside = Beside {
                serves,
                file,
                same,
                deploy,
                rejected,
            };
            assert_eq!(at_start(guard, &beside), expected, "{guard:?} {deploy}");
        }
    }

    #[test]
    fn a_changed_file_is_decided_by_the_guard_and_the_source() {
        use GuardMode::{Enforce, Observe, Off};
        assert_eq!(on_change(Off, true, false, true), OnChange::Back);
        assert_eq!(on_change(Off, false, true, true), OnChange::Underway);
        assert_eq!(on_change(Off, false, false, true), OnChange::Ignored);
        assert_eq!(on_change(Observe, false, false, true), OnChange::Told);
        assert_eq!(on_change(Enforce, false, false, true), OnChange::Gate);
        assert_eq!(on_change(Enforce, false, false, false), OnChange::Held);
        assert!(SettingsSource::Auto.is_deploy(true) && !SettingsSource::Auto.is_deploy(false));
        assert!(SettingsSource::Deploy.is_deploy(false) && !SettingsSource::Store.is_deploy(true));
    }
}
