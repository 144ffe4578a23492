//! Secrets apart from settings: where they are kept, reading them again, and
//! texts without them.
//!
//! A version of the settings holds references and placeholders only. So a
//! rollback takes the secrets of the plan in force ([`with_secrets_of`]), and a
//! rotation needs no version ([`reread`]).

mod mask;
mod reread;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Errors, Place, Problem};
use crate::plan::{Plan, Secret, SecretRef, SslMode, Tls, User};
use crate::source::Source;
use crate::text::{SECRET_BYTES_MAX, USERS_BYTES_MAX, read_secret};
use crate::userlist::parse_user_file;

pub(crate) use mask::query as masked_query;
pub use mask::{MASKED, masked, masked_rules};
pub use reread::{Refused, Reread, SecretFault, reread};

/// All files of a plan that hold secrets or certificates: the user file,
/// password files, and the TLS files of both sides. Sorted, each once.
///
/// ```
/// let files = config::Memory::default()
///     .file("p.toml", "[database.app]\nhost = \"h\"\nuser = \"u\"\npassword_file = \"pw\"\n")
///     .file("pw", "secret\n");
/// let plan = config::load("p.toml".as_ref(), &files).unwrap();
/// assert_eq!(config::secret_files(&plan), [std::path::PathBuf::from("pw")]);
/// ```
pub fn secret_files(plan: &Plan) -> Vec<PathBuf> {
    let of_tls = |tls: &Tls| {
        let used = tls.mode != SslMode::Disable;
        [&tls.cert_file, &tls.key_file, &tls.ca_file]
            .into_iter()
            .filter(|_| used)
            .filter_map(Clone::clone)
            .collect::<Vec<_>>()
    };
    let mut files: BTreeSet<PathBuf> = references(plan)
        .cloned()
        .chain(crate::api::places(plan))
        .chain(crate::fleet::place(plan))
        .filter_map(|from| match from {
            SecretRef::File(path) => Some(path),
            _ => None,
        })
        .collect();
    files.extend(plan.auth_file.clone());
    files.extend(of_tls(&plan.client_tls));
    files.extend(of_tls(&plan.server_tls));
    files.remove(Path::new("system"));
    files.into_iter().collect()
}

/// Every place that a password is kept in, several times where it is shared.
pub(crate) fn references(plan: &Plan) -> impl Iterator<Item = &SecretRef> {
    let databases = plan.databases.iter().map(|d| &d.password_from);
    let users = plan.users.values().map(|u| &u.secret_from);
    databases.chain(users).flatten()
}

/// Puts the secrets of `from` into `plan`, by the names of databases and users:
/// where both keep it in the same place, where both write it into the settings,
/// and wherever `plan` has a placeholder. A secret that only `plan` knows stays.
///
/// Returns the names of what is still a placeholder: nobody can log in with it.
pub fn with_secrets_of(plan: &mut Plan, from: &Plan) -> Vec<String> {
    let mut missing = Vec::new();
    for database in &mut plan.databases {
        let known = from.databases.iter().find(|d| d.name == database.name);
        let theirs = known.map(|d| (&d.password, &d.password_from));
        put(&mut database.password, &database.password_from, theirs);
        if let Some(theirs) = known.and_then(|d| d.connect_query.as_ref())
            && let Some(ours) = &mut database.connect_query
            && mask::query(theirs) == *ours
        {
            ours.clone_from(theirs);
        }
        let query = database.connect_query.as_deref();
        if is_placeholder(&database.password) || query.is_some_and(|q| q.contains(MASKED)) {
            missing.push(format!("database {}", database.name));
        }
    }
    for (name, user) in &mut plan.users {
        let known = from.users.get(name);
        let theirs = known.map(|u| (&u.secret, &u.secret_from));
        put(&mut user.secret, &user.secret_from, theirs);
        if is_placeholder(&user.secret) {
            missing.push(format!("user {name}"));
        }
    }
    keep_users(plan, from);
    crate::api::keep(plan, from);
    crate::fleet::keep(plan, from);
    missing
}

/// Puts the secrets of `from` into `plan` where both keep it in the same place
/// outside the settings (a file, a variable, a command): those that were read
/// last. What the settings themselves say stays.
pub fn freshen(plan: &mut Plan, from: &Plan) {
    for database in &mut plan.databases {
        let known = from.databases.iter().find(|d| d.name == database.name);
        if let Some(known) = known.filter(|d| d.password_from.is_some()) {
            let theirs = Some((&known.password, &known.password_from));
            put(&mut database.password, &database.password_from, theirs);
        }
    }
    for (name, user) in &mut plan.users {
        let known = from.users.get(name);
        if let Some(known) = known.filter(|u| u.secret_from.is_some()) {
            let theirs = Some((&known.secret, &known.secret_from));
            put(&mut user.secret, &user.secret_from, theirs);
        }
    }
    keep_users(plan, from);
    crate::api::keep(plan, from);
    crate::fleet::keep(plan, from);
}

/// The users of the same user file.
fn keep_users(plan: &mut Plan, from: &Plan) {
    if plan.auth_file.is_none() || plan.auth_file != from.auth_file {
        return;
    }
    let listed = from.users.iter().filter_map(|(name, user)| {
        let secret = user.secret.clone()?;
        (user.secret_from == Some(SecretRef::UserFile)).then(|| (name.clone(), secret))
    });
    let listed: BTreeMap<String, Secret> = listed.collect();
    put_users(plan, listed);
}

/// As [`freshen`], and what `from` does not know in its place is read again: it
/// may have been rotated since the plan was read. Commands are not run: they
/// take their time, and a server that refuses their secret has them run.
pub fn renew(plan: &mut Plan, from: &Plan, source: &dyn Source) {
    freshen(plan, from);
    let of_databases = plan.databases.iter().filter_map(|d| {
        let known = from.databases.iter().find(|k| k.name == d.name);
        let place = d.password_from.as_ref()?;
        (known.and_then(|k| k.password_from.as_ref()) != Some(place)).then_some(place)
    });
    let of_users = plan.users.iter().filter_map(|(name, user)| {
        let known = from.users.get(name).and_then(|k| k.secret_from.as_ref());
        let place = user.secret_from.as_ref()?;
        (known != Some(place)).then_some(place)
    });
    let unknown: BTreeSet<SecretRef> = of_databases.chain(of_users).cloned().collect();
    let asked =
        |place: &SecretRef| !matches!(place, SecretRef::Command(_)) && unknown.contains(place);
    if unknown.iter().any(asked) {
        *plan = reread(plan, source, &asked).plan;
    }
}

fn put(
    ours: &mut Option<Secret>,
    kept: &Option<SecretRef>,
    theirs: Option<(&Option<Secret>, &Option<SecretRef>)>,
) {
    if let (Some(_), Some((Some(secret), place))) = (&ours, theirs)
        && (kept == place || is_placeholder(ours))
    {
        *ours = Some(secret.clone());
    }
}

fn is_placeholder(secret: &Option<Secret>) -> bool {
    secret.as_ref().is_some_and(|s| s.0 == MASKED)
}

/// Reads the user file.
pub(crate) fn user_file(
    file: &Path,
    source: &dyn Source,
    place: Option<Place>,
) -> Result<BTreeMap<String, Secret>, Errors> {
    read_secret(file, source, USERS_BYTES_MAX, "the user file", place)
        .and_then(|text| parse_user_file(&text, file))
}

/// The users of the user file take their places; those it does not name any
/// more leave. In pgbouncer.ini nothing else gives a secret; in plimsoll.toml
/// what the settings themselves say goes first.
pub(crate) fn put_users(plan: &mut Plan, listed: BTreeMap<String, Secret>) {
    let nothing = User::default();
    plan.users.retain(|name, user| {
        if user.secret_from != Some(SecretRef::UserFile) || listed.contains_key(name) {
            return true;
        }
        (user.secret, user.secret_from) = (None, None);
        *user != nothing
    });
    for (name, secret) in listed {
        let user = plan.users.entry(name).or_default();
        if user.secret.is_none() || user.secret_from == Some(SecretRef::UserFile) {
            (user.secret, user.secret_from) = (Some(secret), Some(SecretRef::UserFile));
        }
    }
}

/// Reads one secret from its place. Never of the user file, which holds many.
pub(crate) fn read_reference(
    from: &SecretRef,
    source: &dyn Source,
    place: Option<Place>,
) -> Result<Secret, Errors> {
    let at = |place: Option<Place>| place.unwrap_or_else(|| Place::file(Path::new("")));
    let text = match from {
        SecretRef::File(path) => {
            let what = "the password file";
            read_secret(path, source, SECRET_BYTES_MAX, what, place.clone())?
        }
        SecretRef::Env(name) => source
            .env(name)
            .ok_or_else(|| crate::toml::variable_unset(name).at(at(place.clone())))?,
        SecretRef::Command(command) => {
            let printed = source.run(command).map_err(|error| {
                Problem::new(format!("password_command {command}: {error}"))
                    .help("run it as the user that runs the pooler")
                    .at(at(place.clone()))
            })?;
            String::from_utf8(printed).map_err(|_| {
                Problem::new(format!("password_command {command} prints no UTF-8 text"))
                    .at(at(place.clone()))
            })?
        }
        SecretRef::UserFile => String::new(),
    };
    let text = match from {
        SecretRef::Env(_) => text.as_str(),
        _ => text.trim_end_matches(['\n', '\r']),
    };
    let fault = if text.is_empty() {
        "is empty"
    } else if text.len() > SECRET_BYTES_MAX {
        "is too long for a password"
    } else if text.chars().any(char::is_control) {
        "holds more than one line, or control characters"
    } else {
        return Ok(Secret(text.to_owned()));
    };
    let problem = Problem::new(format!("{} {fault}", described(from)));
    let help = "it must hold the password and nothing else";
    Err(problem.help(help).at(at(place)).into())
}

/// A place in words, without any secret.
pub(crate) fn described(from: &SecretRef) -> String {
    match from {
        SecretRef::File(path) => format!("password_file {}", path.display()),
        SecretRef::Env(name) => format!("password_env {name}"),
        SecretRef::Command(command) => format!("password_command {command}"),
        SecretRef::UserFile => "the user file".to_owned(),
    }
}
