//! What an administrator holds back: databases that are paused or disabled, whether
//! they have pools yet or not.

use std::collections::BTreeSet;

/// The console's own database: it cannot be held back.
pub(crate) const ADMIN_DATABASE: &str = "pgbouncer";

/// Names held back by name. Any-databases let an administrator invent them.
const NAMES_MAX: usize = 10_000;

/// A command that changes what is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Pause,
    Suspend,
    Resume,
    Kill,
    Disable,
    Enable,
    Reconnect,
    WaitClose,
}

impl Verb {
    pub(crate) fn of(word: &str) -> Option<Verb> {
        Some(match word {
            "PAUSE" => Verb::Pause,
            "SUSPEND" => Verb::Suspend,
            "RESUME" => Verb::Resume,
            "KILL" => Verb::Kill,
            "DISABLE" => Verb::Disable,
            "ENABLE" => Verb::Enable,
            "RECONNECT" => Verb::Reconnect,
            "WAIT_CLOSE" => Verb::WaitClose,
            _ => return None,
        })
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Pause => "PAUSE",
            Verb::Suspend => "SUSPEND",
            Verb::Resume => "RESUME",
            Verb::Kill => "KILL",
            Verb::Disable => "DISABLE",
            Verb::Enable => "ENABLE",
            Verb::Reconnect => "RECONNECT",
            Verb::WaitClose => "WAIT_CLOSE",
        }
    }
}

/// Why a command was not carried out. Its text is PgBouncer's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NotHeld {
    NoDatabase(String),
    AdminDatabase(Verb),
    NeedsDatabase,
    AlreadyPaused,
    Suspended,
    PausedDatabases,
    Shared,
    NotPaused,
    DatabaseNotPaused(String),
    TooMany,
    /// The process ends: there is nothing to be resumed for.
    ShuttingDown,
}

impl NotHeld {
    /// The code outside compatibility mode.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            NotHeld::NoDatabase(_) => "3D000",
            NotHeld::NeedsDatabase => "42601",
            NotHeld::AdminDatabase(_) => "42501",
            NotHeld::TooMany => "54000",
            NotHeld::ShuttingDown => "57P01",
            NotHeld::Shared => "0A000",
            NotHeld::AlreadyPaused
            | NotHeld::Suspended
            | NotHeld::PausedDatabases
            | NotHeld::NotPaused
            | NotHeld::DatabaseNotPaused(_) => "55000",
        }
    }

    /// What was asked for is so already.
    pub(crate) fn is_so_already(&self) -> bool {
        matches!(
            self,
            NotHeld::AlreadyPaused | NotHeld::NotPaused | NotHeld::DatabaseNotPaused(_)
        )
    }
}

impl std::fmt::Display for NotHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotHeld::ShuttingDown => f.write_str("pooler is shutting down"),
            NotHeld::NoDatabase(name) => write!(f, "no such database: {name}"),
            NotHeld::AdminDatabase(verb) => {
                let what = match verb {
                    Verb::Pause | Verb::Suspend => "pause",
                    Verb::Resume => "resume",
                    Verb::Kill => "kill",
                    Verb::Disable | Verb::Enable => "disable",
                    Verb::Reconnect => "reconnect",
                    Verb::WaitClose => "wait in",
                };
                write!(f, "cannot {what} admin db: {ADMIN_DATABASE}")
            }
            NotHeld::NeedsDatabase => f.write_str("a database is required"),
            NotHeld::AlreadyPaused | NotHeld::Suspended => f.write_str("already suspended/paused"),
            NotHeld::PausedDatabases => f.write_str("cannot suspend with paused databases"),
            NotHeld::Shared => f.write_str(
                "cannot suspend where a ledger shares the line: this instance would lose its share",
            ),
            NotHeld::NotPaused => f.write_str("pooler is not paused/suspended"),
            NotHeld::DatabaseNotPaused(name) => write!(f, "database {name} is not paused"),
            NotHeld::TooMany => write!(f, "{NAMES_MAX} databases are held back already"),
        }
    }
}

/// Kept by the registry, behind its lock: pools that are made later follow it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Held {
    all_paused: bool,
    /// Nothing is read at all; pools are as they were.
    suspended: bool,
    paused: BTreeSet<String>,
    disabled: BTreeSet<String>,
}

impl Held {
    /// Whether every database is paused.
    pub(crate) fn all_paused(&self) -> bool {
        self.all_paused
    }

    /// Whether SUSPEND holds.
    pub(crate) fn suspended(&self) -> bool {
        self.suspended
    }

    /// Whether a pool of this database lends nothing.
    pub(crate) fn is_paused(&self, database: &str) -> bool {
        self.all_paused || self.paused.contains(database)
    }

    /// Whether a PAUSE of this database, or of all, still holds.
    pub(crate) fn holds(&self, database: Option<&str>) -> bool {
        database.map_or(self.all_paused, |name| self.is_paused(name))
    }

    /// Whether logins to this database are refused.
    pub(crate) fn is_disabled(&self, database: &str) -> bool {
        self.disabled.contains(database)
    }

    /// Databases that are held back by name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.paused.union(&self.disabled).map(String::as_str)
    }

    /// Does what a command means for one database, or for all.
    pub(crate) fn change(&mut self, verb: Verb, database: Option<&str>) -> Result<(), NotHeld> {
        let Some(name) = database else {
            return self.change_all(verb);
        };
        let full = self.paused.len() + self.disabled.len() >= NAMES_MAX;
        match verb {
            Verb::Pause | Verb::Kill if self.suspended => return Err(NotHeld::Suspended),
            Verb::Pause | Verb::Kill | Verb::Disable if full => return Err(NotHeld::TooMany),
            // A second PAUSE of a database waits as the first one does.
            Verb::Pause | Verb::Kill => drop(self.paused.insert(name.to_owned())),
            Verb::Resume if !self.paused.remove(name) => {
                return Err(NotHeld::DatabaseNotPaused(name.to_owned()));
            }
            Verb::Disable => drop(self.disabled.insert(name.to_owned())),
            Verb::Enable => drop(self.disabled.remove(name)),
            Verb::Suspend | Verb::Resume | Verb::Reconnect | Verb::WaitClose => {}
        }
        Ok(())
    }

    fn change_all(&mut self, verb: Verb) -> Result<(), NotHeld> {
        match verb {
            Verb::Disable | Verb::Enable => Err(NotHeld::NeedsDatabase),
            Verb::Pause | Verb::Kill | Verb::Suspend if self.suspended => Err(NotHeld::Suspended),
            Verb::Pause | Verb::Suspend if self.all_paused => Err(NotHeld::AlreadyPaused),
            Verb::Suspend if !self.paused.is_empty() => Err(NotHeld::PausedDatabases),
            Verb::Suspend => {
                self.suspended = true;
                Ok(())
            }
            Verb::Resume if !self.all_paused && !self.suspended => Err(NotHeld::NotPaused),
            // Who finds that PAUSE does not come to an end may still KILL.
            Verb::Pause | Verb::Kill => {
                self.all_paused = true;
                Ok(())
            }
            Verb::Resume => {
                self.suspended = false;
                self.all_paused = false;
                Ok(())
            }
            Verb::Reconnect | Verb::WaitClose => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_all_and_one_by_name_are_two() {
        let mut held = Held::default();
        held.change(Verb::Pause, Some("shop")).expect("pauses");
        held.change(Verb::Pause, None).expect("pauses all");
        assert!(held.is_paused("shop") && held.is_paused("other"));
        assert_eq!(
            held.change(Verb::Pause, None),
            Err(NotHeld::AlreadyPaused),
            "twice"
        );
        held.change(Verb::Resume, None).expect("resumes");
        assert!(held.is_paused("shop") && !held.is_paused("other"));
        assert!(held.holds(Some("shop")) && !held.holds(None));
        held.change(Verb::Resume, Some("shop")).expect("resumes");
        let again = held.change(Verb::Resume, Some("shop"));
        assert_eq!(again, Err(NotHeld::DatabaseNotPaused("shop".into())));
        assert_eq!(held.change(Verb::Resume, None), Err(NotHeld::NotPaused));
    }

    #[test]
    fn a_suspension_is_no_pause_and_nothing_else_is_held_beside_it() {
        let mut held = Held::default();
        held.change(Verb::Pause, Some("shop")).expect("pauses");
        let beside = held.change(Verb::Suspend, None);
        assert_eq!(beside, Err(NotHeld::PausedDatabases));
        held.change(Verb::Resume, Some("shop")).expect("resumes");
        held.change(Verb::Suspend, None).expect("suspends");
        assert!(held.suspended() && !held.is_paused("shop") && !held.all_paused());
        for (verb, database) in [
            (Verb::Suspend, None),
            (Verb::Pause, None),
            (Verb::Pause, Some("shop")),
            (Verb::Kill, None),
            (Verb::Kill, Some("shop")),
        ] {
            let refused = held.change(verb, database);
            assert_eq!(refused, Err(NotHeld::Suspended), "{verb:?}");
        }
        let one = held.change(Verb::Resume, Some("shop"));
        assert_eq!(one, Err(NotHeld::DatabaseNotPaused("shop".into())));
        held.change(Verb::Disable, Some("shop")).expect("disables");
        held.change(Verb::Resume, None).expect("resumes");
        assert_eq!(held.change(Verb::Resume, None), Err(NotHeld::NotPaused));
        held.change(Verb::Pause, None).expect("pauses");
        let paused = held.change(Verb::Suspend, None);
        assert_eq!(paused, Err(NotHeld::AlreadyPaused));
    }

    #[test]
    fn invented_names_have_a_bound() {
        let mut held = Held::default();
        for n in 0..NAMES_MAX {
            held.change(Verb::Disable, Some(&format!("n{n}")))
                .expect("room");
        }
        let more = held.change(Verb::Kill, Some("more"));
        assert_eq!(more, Err(NotHeld::TooMany));
        held.change(Verb::Enable, Some("n7")).expect("enables");
        assert!(held.change(Verb::Kill, Some("more")).is_ok());
    }
}
