//! Keys that have another name now.
//!
//! A key that is renamed stays understood under its old name, for one minor version
//! at least: an upgrade changes nothing for a file that nobody touched, and a
//! warning and a finding of `plimsoll check` name the new word. Both names at once
//! are an error: nobody could say which one holds.

use crate::draft::Draft;
use crate::error::{Place, Problem, quoted};
use crate::table::{Setting, settings};

/// A key that has another name now. Never PgBouncer's: its names are not ours to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renamed {
    /// The old name in plimsoll.toml, `section.key`. In sections that have a name of
    /// their own: `database.NAME.key`, `user.key`, `application.NAME.key`.
    pub old: &'static str,
    /// The new one, written in the same way.
    pub new: &'static str,
    /// The old name in `[plimsoll]` of a pgbouncer.ini; empty: it has the same name there.
    pub old_ini: &'static str,
    /// The version that brought the new name.
    pub since: &'static str,
}

/// Every renamed key that is still understood. None was renamed yet; a row is dropped
/// no sooner than a minor version after `since`, and the changelog says so.
pub static RENAMED: &[Renamed] = &[];

/// An old name that stands in the settings file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outdated {
    /// As written.
    pub key: String,
    /// What to write instead.
    pub now: String,
    /// The version that brought the new name.
    pub since: &'static str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Renamed {
    /// The setting that it is now; `None`: a key of a database, user or application.
    pub(crate) fn setting(&self) -> Option<&'static Setting> {
        settings().iter().find(|s| s.toml == self.new)
    }

    /// The last part of the new name.
    pub(crate) fn new_key(&self) -> &'static str {
        self.new.rsplit('.').next().unwrap_or(self.new)
    }
}

impl Draft {
    /// The row of an old name in plimsoll.toml.
    pub(crate) fn renamed(&self, path: &str) -> Option<&'static Renamed> {
        self.renamed.iter().find(|row| row.old == path)
    }

    /// Old names stand in this section: it may have no other key any more.
    pub(crate) fn had_section(&self, prefix: &str) -> bool {
        self.renamed.iter().any(|row| row.old.starts_with(prefix))
    }

    /// The row of an old name in `[plimsoll]`.
    pub(crate) fn renamed_ini(&self, key: &str) -> Option<(&'static Renamed, &'static Setting)> {
        let named = |row: &&Renamed| !row.old_ini.is_empty() && row.old_ini == key;
        let row = self.renamed.iter().find(named)?;
        Some((row, row.setting()?))
    }

    /// An old name stands there. `beside`: the new one does as well.
    pub(crate) fn is_outdated(
        &mut self,
        since: &'static str,
        (key, now): (&str, &str),
        place: Place,
        beside: bool,
    ) {
        if beside {
            let what = format!("{} and {} are one key", quoted(key), quoted(now));
            let problem = Problem::new(what)
                .why(format!("the first is its name of before {since}"))
                .help(format!("keep {} alone", quoted(now)));
            return self.errors.push(problem.at(place));
        }
        let (line, column) = place.line_and_column();
        let file = self.file.display().to_string();
        self.warn(format!(
            "{file}:{line}: {} is called {} since {since}; the old name still holds, and will not for ever",
            quoted(key),
            quoted(now)
        ));
        self.plan.outdated.push(Outdated {
            key: key.to_owned(),
            now: now.to_owned(),
            since,
            line,
            column,
        });
    }
}
