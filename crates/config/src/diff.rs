//! What changes between two plans, and how each change is rolled out.

use std::collections::BTreeSet;
use std::path::Path;

use crate::alerting::{NOTIFY_KEYS, OWNER_KEYS};
use crate::draft::{Dialect, Draft, Overrides};
use crate::entries::{APPLICATION_KEYS, DATABASE_KEYS, EntryKey, USER_KEYS};
use crate::error::{Errors, Place, Problem};
use crate::plan::{Plan, Secret};
use crate::rollout::steps;
use crate::table::{Class, settings};
use crate::value::words;

/// One changed setting. Secrets are never in `old` or `new`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The setting; `database.NAME.key` and `user.NAME.key` for entries.
    pub key: String,
    /// How it is rolled out.
    pub class: Class,
    /// The value before, in the words of plimsoll.toml; empty: there was none.
    pub old: String,
    /// The value after; empty: there is none.
    pub new: String,
    /// Whether it gives more room or less.
    pub direction: Direction,
}

/// What a change of one setting does to the room that clients have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// More connections, longer waits, more clients.
    Loosens,
    /// Less of these.
    Tightens,
    /// Neither can be said.
    Aside,
}

impl Direction {
    /// The word in plans and in the history.
    pub fn label(self) -> &'static str {
        match self {
            Direction::Loosens => "loosens",
            Direction::Tightens => "tightens",
            Direction::Aside => "changes",
        }
    }
}

/// All differences, the general settings first.
pub fn diff(old: &Plan, new: &Plan) -> Vec<Change> {
    let mut changes = Vec::new();
    for setting in settings() {
        let (Some(before), Some(after)) = (setting.words(old), setting.words(new)) else {
            continue;
        };
        let direction = setting.access.map_or(Direction::Aside, |access| {
            let (before, after) = ((access.get)(old), (access.get)(new));
            steps::direction(setting.toml, setting.class, &before, &after)
        });
        let key = if setting.toml.is_empty() {
            setting.key
        } else {
            setting.toml
        };
        push(
            &mut changes,
            Change {
                key: key.to_owned(),
                class: setting.class,
                old: before,
                new: after,
                direction,
            },
        );
    }
    let rules = |plan: &Plan| {
        plan.hba
            .rules
            .as_ref()
            .map(|h| h.words())
            .unwrap_or_default()
    };
    if old.hba.rules != new.hba.rules {
        let key = "auth.hba_rules".to_owned();
        let change = aside(key, &rules(old), &rules(new));
        // No server has a part in them: none is probed.
        let class = Class::PerCheckout;
        push(&mut changes, Change { class, ..change });
    }
    databases(&mut changes, old, new);
    users(&mut changes, old, new);
    applications(&mut changes, old, new);
    alerting(&mut changes, old, new);
    changes
}

/// What a plan says beyond the defaults and has in common with those of other
/// instances that serve alike: setting and value. What only a restart changes (where it
/// listens, where its files are) and how it finds the others is each instance's own.
pub fn in_common(plan: &Plan) -> Vec<(String, String)> {
    let defaults = Draft::new(Dialect::Toml, Path::new(""), &Overrides::default());
    let own = |c: &Change| {
        let finds = c.key.starts_with("fleet.") || c.key == "peer_id";
        finds || c.class == Class::RestartOnly
    };
    let said = diff(&defaults.plan, plan).into_iter();
    said.filter(|c| !own(c)).map(|c| (c.key, c.new)).collect()
}

/// The differences, if a running pooler can take them.
///
/// # Errors
/// One for each restart-only setting that differs.
pub fn check_reload(old: &Plan, new: &Plan, file: &Path) -> Result<Vec<Change>, Errors> {
    let changes = diff(old, new);
    let mut errors = Errors::default();
    for change in changes.iter().filter(|c| c.class == Class::RestartOnly) {
        let problem = Problem::new(format!(
            "{} is restart only: {} cannot become {} while running",
            change.key,
            or_none(&change.old),
            or_none(&change.new)
        ))
        .why("the old settings still serve, all of them")
        .help("put the old value back, or restart");
        errors.push(problem.at(Place::file(file)));
    }
    errors.or(changes)
}

/// Prepares a plan from pgbouncer.ini for a pooler that runs with `old`: what
/// only a restart changes stays as it is, as in PgBouncer. Returns what was
/// kept, for a warning. A plan of another kind is left alone.
pub fn keep_fixed(old: &Plan, new: &mut Plan) -> Vec<Change> {
    if !new.drop_in {
        return Vec::new();
    }
    let mut kept = diff(old, new);
    kept.retain(|c| c.class == Class::RestartOnly);
    take_fixed(old, new);
    kept
}

/// Puts what only a restart changes of one plan into another.
pub fn take_fixed(from: &Plan, to: &mut Plan) {
    for setting in settings().iter().filter(|s| s.class == Class::RestartOnly) {
        if let Some(access) = setting.access {
            (access.set)(to, (access.get)(from));
        }
        // Ports stand beside the addresses, and are not in the list's words.
        let theirs = from.shown.iter().find(|s| s.key == setting.key);
        let shown = to.shown.iter_mut().find(|s| s.key == setting.key);
        if let (Some(theirs), Some(shown)) = (theirs, shown) {
            shown.clone_from(theirs);
        }
    }
    to.listen.clone_from(&from.listen);
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn push(changes: &mut Vec<Change>, change: Change) {
    if change.old != change.new {
        changes.push(change);
    }
}

/// A change of what has no room to give.
fn aside(key: String, old: &str, new: &str) -> Change {
    Change {
        key,
        class: Class::Identity,
        old: old.to_owned(),
        new: new.to_owned(),
        direction: Direction::Aside,
    }
}

fn databases(changes: &mut Vec<Change>, old: &Plan, new: &Plan) {
    let find = |plan: &'_ Plan, name: &str| plan.databases.iter().position(|d| d.name == name);
    let names: BTreeSet<&str> = old
        .databases
        .iter()
        .chain(&new.databases)
        .map(|d| d.name.as_str())
        .collect();
    for name in names {
        let before = find(old, name).and_then(|at| old.databases.get(at));
        let after = find(new, name).and_then(|at| new.databases.get(at));
        let prefix = format!("database.{name}");
        let keys: Keys<_> = (DATABASE_KEYS, steps::general);
        entry(changes, &prefix, keys, (old, before), (new, after));
        let secret = |d: &crate::plan::Database| d.password.clone();
        secrets(
            changes,
            &prefix,
            before.and_then(secret),
            after.and_then(secret),
        );
    }
}

fn users(changes: &mut Vec<Change>, old: &Plan, new: &Plan) {
    let names: BTreeSet<&String> = old.users.keys().chain(new.users.keys()).collect();
    for name in names {
        let (before, after) = (old.users.get(name), new.users.get(name));
        let prefix = format!("user.{name}");
        let keys: Keys<_> = (USER_KEYS, steps::widest);
        entry(changes, &prefix, keys, (old, before), (new, after));
        let secret = |u: &crate::plan::User| u.secret.clone();
        secrets(
            changes,
            &prefix,
            before.and_then(secret),
            after.and_then(secret),
        );
    }
}

fn applications(changes: &mut Vec<Change>, old: &Plan, new: &Plan) {
    let both = old.applications.keys().chain(new.applications.keys());
    for name in both.collect::<BTreeSet<&String>>() {
        let (before, after) = (old.applications.get(name), new.applications.get(name));
        let prefix = format!("application.{name}");
        let keys: Keys<_> = (APPLICATION_KEYS, steps::general);
        keys_of(changes, &prefix, keys, (old, before), (new, after));
    }
}

fn alerting(changes: &mut Vec<Change>, old: &Plan, new: &Plan) {
    let both = old.alerts.owners.keys().chain(new.alerts.owners.keys());
    for name in both.collect::<BTreeSet<&String>>() {
        let (before, after) = (old.alerts.owners.get(name), new.alerts.owners.get(name));
        let keys: Keys<_> = (OWNER_KEYS, |_, _| None);
        let prefix = format!("owners.{name}");
        keys_of(changes, &prefix, keys, (old, before), (new, after));
    }
    let both = old
        .alerts
        .notifiers
        .keys()
        .chain(new.alerts.notifiers.keys());
    for name in both.collect::<BTreeSet<&String>>() {
        let (before, after) = (
            old.alerts.notifiers.get(name),
            new.alerts.notifiers.get(name),
        );
        let keys: Keys<_> = (NOTIFY_KEYS, |_, _| None);
        let prefix = format!("notify.{name}");
        keys_of(changes, &prefix, keys, (old, before), (new, after));
    }
}

/// The keys of an entry, and what holds where it does not say one.
type Keys<T> = (&'static [EntryKey<T>], steps::Fallback);

/// An entry, if it is there, and the settings that it stands in.
type Within<'a, T> = (&'a Plan, Option<&'a T>);

fn entry<T: 'static>(
    changes: &mut Vec<Change>,
    prefix: &str,
    keys: Keys<T>,
    old: Within<'_, T>,
    new: Within<'_, T>,
) {
    let presence = |t: Option<&T>| if t.is_some() { "present" } else { "" };
    let (before, after) = (presence(old.1), presence(new.1));
    push(changes, aside(prefix.to_owned(), before, after));
    keys_of(changes, prefix, keys, old, new);
}

fn keys_of<T: 'static>(
    changes: &mut Vec<Change>,
    prefix: &str,
    keys: Keys<T>,
    old: Within<'_, T>,
    new: Within<'_, T>,
) {
    let (keys, fallback) = keys;
    for key in keys.iter().filter(|k| !k.toml.is_empty()) {
        let own = |t: Option<&T>| t.and_then(|t| (key.get)(t));
        let text = |t: Option<&T>| own(t).map(|v| words(key.kind, &v)).unwrap_or_default();
        // An entry that says nothing has the general value.
        let room = |(plan, t): Within<'_, T>| {
            t.and_then(|t| (key.get)(t).or_else(|| fallback(key.toml, plan)))
        };
        let direction = match (room(old), room(new)) {
            (Some(before), Some(after)) => steps::direction(key.toml, key.class, &before, &after),
            _ => Direction::Aside,
        };
        push(
            changes,
            Change {
                key: format!("{prefix}.{}", key.toml),
                class: key.class,
                old: text(old.1),
                new: text(new.1),
                direction,
            },
        );
    }
}

fn secrets(changes: &mut Vec<Change>, prefix: &str, old: Option<Secret>, new: Option<Secret>) {
    let (before, after) = match (&old, &new) {
        (None, Some(_)) => ("", "(a secret)"),
        (Some(_), None) => ("(a secret)", ""),
        (Some(a), Some(b)) if a != b => ("(a secret)", "(another secret)"),
        _ => return,
    };
    push(changes, aside(format!("{prefix}.password"), before, after));
}
