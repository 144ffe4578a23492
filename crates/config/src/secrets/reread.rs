//! Reading the secrets of a plan again, without its settings.

use std::collections::BTreeMap;

use super::{described, put_users, read_reference, user_file};
use crate::error::Errors;
use crate::plan::{Plan, Secret, SecretRef};
use crate::source::Source;

/// What came of reading the secrets again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reread {
    /// The same settings with the secrets of now; where one was refused, with the old.
    pub plan: Plan,
    /// What has another secret now, in words: `database app`, `user ann`.
    pub changed: Vec<String>,
    /// What could not be used.
    pub refused: Vec<Refused>,
    /// Every place that was read, in the words of [`Refused::place`].
    pub places: Vec<String>,
}

/// A secret that was not taken; the one before still holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Where it is kept, in words.
    pub place: String,
    /// What kind of fault it is.
    pub fault: SecretFault,
    /// One line: what is wrong with it. Never a part of it.
    pub why: String,
}

/// Why a secret was not taken, for figures and alerts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SecretFault {
    /// The file is absent, or cannot be read.
    Unreadable,
    /// It is empty, or names nobody any more.
    Empty,
    /// It is not of the form that it must have.
    Malformed,
    /// The command did not run, failed, or took too long.
    Command,
    /// A private key that is not its certificate's.
    KeyMismatch,
    /// A certificate that has expired, while the one in force has not.
    Expired,
}

impl SecretFault {
    /// Every kind.
    pub const ALL: [SecretFault; 6] = [
        SecretFault::Unreadable,
        SecretFault::Empty,
        SecretFault::Malformed,
        SecretFault::Command,
        SecretFault::KeyMismatch,
        SecretFault::Expired,
    ];

    /// Its name in logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            SecretFault::Unreadable => "unreadable",
            SecretFault::Empty => "empty",
            SecretFault::Malformed => "malformed",
            SecretFault::Command => "command",
            SecretFault::KeyMismatch => "key_mismatch",
            SecretFault::Expired => "expired",
        }
    }
}

/// Reads what `asked` names of a plan's secrets again, each by itself: a bad
/// one stays as it was and keeps no other from changing. A user file counts as
/// one; one without any user is refused when there were some.
///
/// ```
/// let text = "[database.app]\nhost = \"h\"\nuser = \"u\"\npassword_file = \"pw\"\n";
/// let files = |pw: &str| config::Memory::default().file("p.toml", text).file("pw", pw);
/// let plan = config::load("p.toml".as_ref(), &files("old\n")).unwrap();
/// let now = config::reread(&plan, &files("new\n"), &|_| true);
/// assert_eq!(now.changed, ["database app"]);
/// let bad = config::reread(&plan, &files(""), &|_| true);
/// assert_eq!((bad.plan, bad.refused.len()), (plan, 1));
/// ```
pub fn reread(plan: &Plan, source: &dyn Source, asked: &dyn Fn(&SecretRef) -> bool) -> Reread {
    let mut out = Reread {
        plan: plan.clone(),
        changed: Vec::new(),
        refused: Vec::new(),
        places: Vec::new(),
    };
    if asked(&SecretRef::UserFile) {
        out.users(source);
    }
    for (role, place, read) in crate::api::again(&mut out.plan, source, asked) {
        match read {
            Ok(true) => out.changed.push(format!("{} token", role.word())),
            Ok(false) => {}
            Err(errors) => out.refused.push(refusal(place.clone(), &errors)),
        }
        out.places.push(place);
    }
    if let Some((place, read)) = crate::fleet::again(&mut out.plan, source, asked) {
        match read {
            Ok(true) => out.changed.push("key of the fleet".to_owned()),
            Ok(false) => {}
            Err(errors) => out.refused.push(refusal(place.clone(), &errors)),
        }
        out.places.push(place);
    }
    // Many databases may share one place: it is read once.
    let mut known = BTreeMap::new();
    let places = &mut out.places;
    let mut read = |from: &Option<SecretRef>, refused: &mut Vec<Refused>| {
        let from = from.as_ref()?;
        if *from == SecretRef::UserFile || !asked(from) {
            return None;
        }
        let secret = known.entry(from.clone()).or_insert_with(|| {
            places.push(described(from));
            read_reference(from, source, None)
                .map_err(|errors| refused.push(refusal(described(from), &errors)))
                .ok()
        });
        secret.clone()
    };
    for database in &mut out.plan.databases {
        let new: Option<Secret> = read(&database.password_from, &mut out.refused);
        if new.is_some() && new != database.password {
            database.password = new;
            out.changed.push(format!("database {}", database.name));
        }
    }
    for (name, user) in &mut out.plan.users {
        let new = read(&user.secret_from, &mut out.refused);
        if new.is_some() && new != user.secret {
            user.secret = new;
            out.changed.push(format!("user {name}"));
        }
    }
    out
}

impl Reread {
    fn users(&mut self, source: &dyn Source) {
        let Some(file) = self.plan.auth_file.clone() else {
            return;
        };
        let place = format!("user file {}", file.display());
        self.places.push(place.clone());
        let listed = match user_file(&file, source, None) {
            Ok(listed) => listed,
            Err(errors) => return self.refused.push(refusal(place, &errors)),
        };
        let from_file = |p: &Plan| {
            p.users
                .values()
                .any(|u| u.secret_from == Some(SecretRef::UserFile))
        };
        if listed.is_empty() && from_file(&self.plan) {
            return self.refused.push(Refused {
                place,
                fault: SecretFault::Empty,
                why: "it names no user any more: it was cut or emptied".to_owned(),
            });
        }
        let before = self.plan.users.clone();
        put_users(&mut self.plan, listed);
        let secret = |users: &BTreeMap<String, crate::plan::User>, name: &str| {
            users.get(name).and_then(|u| u.secret.clone())
        };
        let after = &self.plan.users;
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| secret(&before, name) != secret(after, name));
        let changed = names.into_iter().map(|name| format!("user {name}"));
        self.changed.extend(changed);
    }
}

fn refusal(place: String, errors: &Errors) -> Refused {
    let first = errors.list().first().map_or("", |e| e.message.as_str());
    let fault = if first.starts_with("cannot read") {
        SecretFault::Unreadable
    } else if first.ends_with("is empty") {
        SecretFault::Empty
    } else if first.starts_with("password_command") && !first.contains("prints no") {
        SecretFault::Command
    } else {
        SecretFault::Malformed
    };
    let why = errors.list().first().map(|e| e.line()).unwrap_or_default();
    let why = why.trim_start_matches(": ").to_owned();
    Refused { place, fault, why }
}
