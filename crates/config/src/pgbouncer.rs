//! pgbouncer.ini: what its keys mean. Each is honoured, named in a warning, or refused.

mod peers;
mod tls;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::connstr;
use crate::draft::{Dialect, Draft, ENTRIES_MAX, Overrides, put_database};
use crate::entries::{DATABASE_KEYS, EntryKey, USER_KEYS, ZERO_IS_UNSET, database};
use crate::error::{Errors, Place, Problem, nearest, quoted};
use crate::ini::{Item, Line, lines};
use crate::plan::{Host, Plan, PoolSize, User};
use crate::secrets;
use crate::source::Source;
use crate::table::{Setting, Support, settings};
use crate::value::{Kind, Value, from_ini, ini_integer, seconds, words};

const SECTIONS: [&str; 5] = ["pgbouncer", "databases", "users", "peers", "plimsoll"];
/// Values of auth_type that PgBouncer knows and that are missing here.
const AUTH_REFUSED: [&str; 3] = ["pam", "ldap", "gss"];

pub(crate) fn load(
    path: &Path,
    source: &dyn Source,
    overrides: &Overrides,
) -> Result<Plan, Errors> {
    load_into(Draft::new(Dialect::Ini, path, overrides), source)
}

pub(crate) fn load_into(draft: Draft, source: &dyn Source) -> Result<Plan, Errors> {
    let path = draft.file.clone();
    let mut reader = Reader::new(draft);
    let (lines, errors) = lines(&path, source);
    reader.draft.errors.append(errors);
    for line in &lines {
        if reader.draft.errors.full() {
            break;
        }
        reader.line(line);
    }
    reader.after(source);
    crate::api::read(&mut reader.draft, source);
    crate::fleet::read(&mut reader.draft, source);
    crate::etcd::check(&mut reader.draft);
    reader.draft.finish()
}

pub(crate) struct Reader {
    pub draft: Draft,
    /// Databases without `host`: they use the unix socket directory, known at the end.
    hosts_unset: Vec<String>,
    section: Option<String>,
    /// Keys set in `[pgbouncer]` so far.
    set_before: usize,
}

impl Reader {
    pub fn new(draft: Draft) -> Reader {
        Reader {
            draft,
            hosts_unset: Vec::new(),
            section: None,
            set_before: 0,
        }
    }

    fn line(&mut self, line: &Line) {
        match &line.item {
            Item::Section(name) => self.start(name, line),
            Item::Own {
                key,
                value,
                value_at,
            } => self.own(key, value, *value_at, line),
            Item::Pair {
                key,
                value,
                value_at,
            } => {
                match self.section.as_deref() {
                    Some("pgbouncer") => self.setting(key, value, *value_at, line),
                    Some("databases") => self.database(key, value, *value_at, line),
                    Some("users") => self.user(key, value, *value_at, line),
                    Some("plimsoll") => self.own(key, value, *value_at, line),
                    Some("peers") => self.peer(key, value, *value_at, line),
                    // Reported where the section starts.
                    Some(_) => {}
                    None => {
                        let problem = Problem::new("this line stands before any section")
                            .help("write `[pgbouncer]` or `[databases]` above it");
                        let place = Place::unseen(&line.file, line.number, line.key.start + 1);
                        self.draft.errors.push(problem.at(place));
                    }
                }
            }
        }
    }

    fn start(&mut self, name: &str, line: &Line) {
        let hidden = line.key.end..line.text.len();
        let place = Place::masked(
            &line.file,
            line.number,
            &line.text,
            line.key.clone(),
            std::slice::from_ref(&hidden),
        );
        if !SECTIONS.contains(&name) {
            let problem = Problem::new(format!("unknown section {}", quoted(name)));
            let help = match nearest(name, SECTIONS) {
                Some(near) => format!("did you mean `[{near}]`?"),
                None => "the sections are [pgbouncer], [databases], [users], [peers]".to_owned(),
            };
            self.draft.errors.push(problem.help(help).at(place));
        } else if name == "pgbouncer" && self.set_before > 0 {
            let problem = Problem::new("a second [pgbouncer] section")
                .why("PgBouncer resets every key set above it to its default here")
                .help("merge it into the first one");
            self.draft.errors.push(problem.at(place));
        }
        self.section = Some(name.to_owned());
    }

    pub fn setting(&mut self, key: &str, text: &str, value_at: usize, line: &Line) {
        self.set_before += 1;
        let known = settings().iter().find(|s| s.in_pgbouncer && s.key == key);
        let Some(setting) = known else {
            let names = settings().iter().filter(|s| s.in_pgbouncer).map(|s| s.key);
            let problem = Problem::new(format!("unknown key {}", quoted(key)));
            let problem = match (
                nearest(key, names),
                DATABASE_KEYS.iter().any(|k| k.ini.contains(&key)),
            ) {
                (Some(near), _) => problem.help(format!("did you mean `{near}`?")),
                (None, true) => problem.help("this key belongs to a line of [databases]"),
                (None, false) => match settings().iter().find(|s| s.key == key) {
                    Some(ours) => problem.help(format!(
                        "write it in [plimsoll], or as `{}` in plimsoll.toml",
                        ours.toml
                    )),
                    None => problem.help("remove the line, or see docs/settings.md for the keys"),
                },
            };
            let hidden = value_at..line.text.len();
            let place = Place::masked(
                &line.file,
                line.number,
                &line.text,
                line.key.clone(),
                &[hidden],
            );
            return self.draft.errors.push(problem.at(place));
        };
        let span = value_at.min(line.text.len())..line.text.len();
        let hidden = url_password(&line.text);
        let place = Place::masked(&line.file, line.number, &line.text, span, hidden.as_slice());
        if self
            .draft
            .places
            .insert(setting.key, place.clone())
            .is_some()
        {
            self.draft.warn(format!(
                "{}: {key} is set twice; the last one holds, as in PgBouncer",
                at(line)
            ));
        }
        if let Err(problem) = self.apply(setting, text, line) {
            self.draft.errors.push(problem.at(place));
        }
    }

    fn apply(&mut self, setting: &'static Setting, text: &str, line: &Line) -> Result<(), Problem> {
        let value = self.value(setting, text, line)?;
        if setting.kind != Kind::Mode && is_octal(setting.kind, text) {
            let read = words(setting.kind, &value);
            self.draft.warn(format!(
                "{}: {} = {text} is read in octal, as PgBouncer does: {read}",
                at(line),
                setting.key
            ));
        }
        let default = setting.default(Dialect::Ini);
        let differs = default.as_ref() != Ok(&value);
        match setting.support {
            Support::Refused(why) if differs => {
                return Err(
                    Problem::new(format!("{} is not supported yet", setting.key))
                        .why(format!("ignoring it would be unsafe: {why}"))
                        .help("remove the line if you can do without it"),
                );
            }
            Support::NoEffect(why) => {
                self.draft.warn(format!(
                    "{}: {} has no effect here: {why}",
                    at(line),
                    setting.key
                ));
            }
            Support::NotYet(why) if differs => {
                self.draft.warn(format!(
                    "{}: {} is not supported yet: {why}",
                    at(line),
                    setting.key
                ));
            }
            _ => {}
        }
        self.draft.raw.insert(setting.key, text.to_owned());
        if let Some(access) = setting.access {
            (access.set)(&mut self.draft.plan, value);
        }
        Ok(())
    }

    /// The checked value, with PgBouncer's zeros bounded.
    fn value(
        &mut self,
        setting: &'static Setting,
        text: &str,
        line: &Line,
    ) -> Result<Value, Problem> {
        let key = setting.key;
        if key == "auth_type" && AUTH_REFUSED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(
                Problem::new(format!("auth_type {text} is not supported yet"))
                    .why("any other way to log in would let in whom your rules keep out")
                    .help("use scram-sha-256, md5, plain, cert, hba, trust or any"),
            );
        }
        if key.ends_with("_tls_protocols") {
            let (word, old) = tls::versions(text)?;
            if old {
                self.draft.warn(format!(
                    "{}: {key} = {text}: TLS 1.0 and 1.1 are not spoken here",
                    at(line)
                ));
            }
            return Ok(Value::Text(word.word().to_owned()));
        }
        if key == "default_pool_size" && ini_integer(text) == Some(0) {
            let bound = self.draft.plan.line;
            self.draft.warn(format!(
                "{}: {key} = 0 is \"unlimited\" in PgBouncer; here the line is the bound: {bound}",
                at(line)
            ));
            // `Draft::bounds` puts the line in its place, once it is known.
            return Ok(Value::PoolSize(PoolSize::Fixed(crate::rows::LINE_MAX)));
        }
        let value = from_ini(setting.kind, text)?;
        let zero = Value::Time(Some(std::time::Duration::ZERO));
        if setting.kind == Kind::Bounded && value == zero {
            self.draft.warn(format!(
                "{}: {key} = 0 is \"no limit\" in PgBouncer, which is not offered here: {} s holds",
                at(line),
                setting.default_ini
            ));
            return setting.default(Dialect::Ini);
        }
        Ok(value)
    }

    fn database(&mut self, name: &str, text: &str, value_at: usize, line: &Line) {
        if name == "pgbouncer" {
            let problem = Problem::new("the name `pgbouncer` belongs to the console")
                .help("give the database another name; `dbname=pgbouncer` may stay");
            return self.draft.errors.push(problem.at(mark(
                line,
                line.key.clone(),
                DATABASE_KEYS,
                value_at,
            )));
        }
        if self.draft.plan.databases.len() >= ENTRIES_MAX {
            let problem = Problem::new(format!("more than {ENTRIES_MAX} databases"));
            return self
                .draft
                .errors
                .push(problem.at(Place::unseen(&line.file, line.number, 1)));
        }
        let mut database = database(name, Host::UnixDir(PathBuf::new()));
        let good = self.entry(&mut database, DATABASE_KEYS, text, value_at, line);
        if good {
            if self.draft.plan.databases.iter().any(|d| d.name == name) {
                self.draft.warn(format!(
                    "{}: database {name} is set twice; the last one holds, as in PgBouncer",
                    at(line)
                ));
            }
            self.hosts_unset.retain(|n| n != name);
            if database.host == Host::UnixDir(PathBuf::new()) {
                self.hosts_unset.push(name.to_owned());
            }
            put_database(&mut self.draft.plan.databases, database);
        }
    }

    fn user(&mut self, name: &str, text: &str, value_at: usize, line: &Line) {
        if self.draft.plan.users.len() >= ENTRIES_MAX {
            let problem = Problem::new(format!("more than {ENTRIES_MAX} users"));
            return self
                .draft
                .errors
                .push(problem.at(Place::unseen(&line.file, line.number, 1)));
        }
        let mut user = User::default();
        if self.entry(&mut user, USER_KEYS, text, value_at, line)
            && self
                .draft
                .plan
                .users
                .insert(name.to_owned(), user)
                .is_some()
        {
            self.draft.warn(format!(
                "{}: user {name} is set twice; the last one holds, as in PgBouncer",
                at(line)
            ));
        }
    }

    /// Reads one connection string into a database or a user. `false`: it had errors.
    fn entry<T>(
        &mut self,
        into: &mut T,
        keys: &'static [EntryKey<T>],
        text: &str,
        value_at: usize,
        line: &Line,
    ) -> bool {
        let (pairs, broken) = connstr::pairs(text);
        let mut good = true;
        // What stands after a password may be a part of it, when the quotes are wrong.
        let mut after_password = false;
        for pair in &pairs {
            let shift = |r: &Range<usize>| r.start + value_at..r.end + value_at;
            let result = match keys.iter().find(|k| k.ini.contains(&pair.key.as_str())) {
                Some(key) => self
                    .entry_value(into, key, &pair.value, line)
                    .map_err(|p| (shift(&pair.value_at), p)),
                None => Err((
                    shift(&pair.key_at),
                    unknown_key(&pair.key, keys, after_password),
                )),
            };
            if let Err((span, problem)) = result {
                self.draft
                    .errors
                    .push(problem.at(mark(line, span, keys, value_at)));
                good = false;
            }
            after_password |= pair.key == "password";
        }
        if let Some((at, what)) = broken {
            let problem = Problem::new(what)
                .help("write key=value pairs with a blank between; a value with blanks stands in '…', a quote in it as ''");
            let at = at + value_at;
            self.draft
                .errors
                .push(problem.at(mark(line, at..at + 1, keys, value_at)));
            good = false;
        }
        good
    }

    fn entry_value<T>(
        &mut self,
        into: &mut T,
        key: &EntryKey<T>,
        text: &str,
        line: &Line,
    ) -> Result<(), Problem> {
        let name = key.ini.first().copied().unwrap_or_default();
        // PgBouncer reads these numbers with atoi: decimal, and -1 is "not set".
        let counts = matches!(key.kind, Kind::Count { .. } | Kind::PoolSize | Kind::Limit);
        if counts && text == "-1" && name != "port" {
            return Ok(());
        }
        if ZERO_IS_UNSET.contains(&name) && seconds(text).is_ok_and(|t| t.is_zero()) {
            return Ok(());
        }
        let digits = text.trim_start_matches('0');
        let text = match counts && !digits.is_empty() {
            true => digits,
            false => text,
        };
        let value = match (key.kind, text) {
            (Kind::PoolSize, "0") => Value::PoolSize(PoolSize::Fixed(crate::entries::UNLIMITED)),
            _ => from_ini(key.kind, text)?,
        };
        match key.support {
            Support::Honoured => {}
            Support::Refused(why) if text != "any" => {
                return Err(Problem::new(format!("{name} is not supported yet"))
                    .why(format!("ignoring it would be unsafe: {why}"))
                    .help("remove it if you can do without"));
            }
            Support::Refused(_) => {}
            Support::NoEffect(why) => self
                .draft
                .warn(format!("{}: {name} has no effect here: {why}", at(line))),
            Support::NotYet(why) => self
                .draft
                .warn(format!("{}: {name} is not supported yet: {why}", at(line))),
        }
        (key.set)(into, value)
    }

    /// What needs all lines: the socket directory, the user file.
    fn after(&mut self, source: &dyn Source) {
        let plan = &mut self.draft.plan;
        let socket_dir = plan
            .unix_socket_dir
            .clone()
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        for database in &mut plan.databases {
            if self.hosts_unset.contains(&database.name) {
                database.host = Host::UnixDir(socket_dir.clone());
            }
        }
        crate::hba::take(&mut self.draft, source);
        let Some(file) = self.draft.plan.auth_file.clone() else {
            return;
        };
        let place = self.draft.places.get("auth_file").cloned();
        match secrets::user_file(&file, source, place) {
            Err(errors) => self.draft.errors.append(errors),
            Ok(users) => secrets::put_users(&mut self.draft.plan, users),
        }
    }
}

fn at(line: &Line) -> String {
    format!("{}:{}", line.file.display(), line.number)
}

/// A place in a line of connection settings, with its secrets masked.
fn mark<T>(line: &Line, span: Range<usize>, keys: &[EntryKey<T>], value_at: usize) -> Place {
    let known = |key: &str| keys.iter().any(|k| k.ini.contains(&key));
    let text = line.text.get(value_at..).unwrap_or("");
    let secrets: Vec<Range<usize>> = connstr::secrets(text, known)
        .into_iter()
        .chain(url_password(text))
        .map(|r| r.start + value_at..r.end + value_at)
        .collect();
    Place::masked(&line.file, line.number, &line.text, span, &secrets)
}

/// From the scheme of a URL to the end: it stands where no URL belongs, and may hold a password.
pub(crate) fn url_password(text: &str) -> Option<Range<usize>> {
    let at = text.find("://")?;
    Some(at + 3..text.len())
}

fn unknown_key<T>(key: &str, keys: &[EntryKey<T>], after_password: bool) -> Problem {
    if after_password {
        return Problem::new("unknown key after the password")
            .why("it may be a part of the password, so it is not shown")
            .help("put a password with blanks in '…'");
    }
    let problem = Problem::new(format!("unknown key {}", quoted(key)));
    let names = keys.iter().flat_map(|k| k.ini.iter().copied());
    match nearest(key, names.clone()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<&str> = names.collect();
            problem.help(format!("the keys are: {}", names.join(", ")))
        }
    }
}

fn is_octal(kind: Kind, text: &str) -> bool {
    let number = matches!(
        kind,
        Kind::Count { .. }
            | Kind::PoolSize
            | Kind::Limit
            | Kind::Size
            | Kind::Seconds
            | Kind::Millis
    );
    number && text.len() > 1 && text.starts_with('0') && !text.starts_with("0x")
}
