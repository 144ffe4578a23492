//! plimsoll.toml: sections, units, spans.

mod alerting;
mod applications;
mod passwords;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub(crate) use passwords::variable_unset;
use passwords::{SECRET_KEYS, TTL_KEY};
use toml_edit::{Document, Item, Key, TableLike, Value as Written};

use crate::draft::{Dialect, Draft, ENTRIES_MAX, Overrides};
use crate::entries::{DATABASE_KEYS, EntryKey, USER_KEYS, database};
use crate::error::{Errors, Problem, nearest, quoted};
use crate::lines::Lines;
use crate::plan::{Host, Plan, User};
use crate::secrets;
use crate::source::Source;
use crate::table::{Setting, settings};
use crate::text::{SETTINGS_BYTES_MAX, read};
use crate::value::{Kind, Value, from_words, listen_address};

pub(crate) fn load(
    path: &Path,
    source: &dyn Source,
    overrides: &Overrides,
) -> Result<Plan, Errors> {
    load_into(Draft::new(Dialect::Toml, path, overrides), source)
}

pub(crate) fn load_into(draft: Draft, source: &dyn Source) -> Result<Plan, Errors> {
    let path = draft.file.clone();
    let text = read(&path, source, SETTINGS_BYTES_MAX, "the settings file", None)?;
    let lines = Lines::new(&path, &text);
    let document = Document::parse(text.as_str()).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Problem::new(format!("this is not TOML: {}", first_line(error.message())))
            .help("text stands in double quotes, lists in [ ], sections are [name]")
            .at(lines.strict(span))
    })?;
    let mut reader = Reader {
        draft,
        source,
        lines,
        root: document.as_table(),
    };
    reader.section("", document.as_table());
    reader.user_file();
    crate::hba::take(&mut reader.draft, source);
    crate::api::read(&mut reader.draft, source);
    crate::fleet::read(&mut reader.draft, source);
    crate::etcd::check(&mut reader.draft);
    reader.draft.finish()
}

/// The parser's message; cut, because it is another crate's text.
fn first_line(message: &str) -> String {
    message
        .lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(120)
        .collect()
}

struct Reader<'a> {
    draft: Draft,
    source: &'a dyn Source,
    lines: Lines<'a>,
    root: &'a dyn TableLike,
}

impl Reader<'_> {
    fn error(&mut self, span: Option<Range<usize>>, problem: Problem) {
        let place = self.lines.place(span.unwrap_or(0..0));
        self.draft.errors.push(problem.at(place));
    }

    /// A table whose keys are settings or further sections.
    fn section(&mut self, prefix: &str, table: &dyn TableLike) {
        for (name, key, item) in entries(table) {
            if self.draft.errors.full() {
                return;
            }
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}.{name}")
            };
            let inner = format!("{path}.");
            if let Some(setting) = settings().iter().find(|s| s.toml == path) {
                self.setting(setting, key, item);
            } else if let Some(row) = self.draft.renamed(&path)
                && let Some(setting) = row.setting()
            {
                self.outdated(row.since, (&path, row.new), key, stated(self.root, row.new));
                self.setting(setting, key, item);
            } else if path == "database" {
                self.databases(key, item);
            } else if path == "user" {
                self.users(key, item);
            } else if path == "application" {
                self.applications(key, item);
            } else if path == "owners" {
                self.owners(key, item);
            } else if path == "notify" {
                self.notifiers(key, item);
            } else if !name.is_empty() && self.is_section(&inner) {
                match item.as_table_like() {
                    Some(table) => self.section(&path, table),
                    None => {
                        let problem = Problem::new(format!("{} is a section", quoted(&path)));
                        self.error(
                            key.span(),
                            problem.help(format!("write `[{path}]` and its keys below")),
                        );
                    }
                }
            } else {
                let problem = unknown(prefix, name);
                self.error(key.span(), problem);
            }
        }
    }

    fn is_section(&self, inner: &str) -> bool {
        settings().iter().any(|s| s.toml.starts_with(inner)) || self.draft.had_section(inner)
    }

    fn outdated(&mut self, since: &'static str, names: (&str, &str), key: &Key, beside: bool) {
        let place = self.lines.place(key.span().unwrap_or(0..0));
        self.draft.is_outdated(since, names, place, beside);
    }

    fn setting(&mut self, setting: &'static Setting, key: &Key, item: &Item) {
        let Some(access) = setting.access else { return };
        let span = item.span().or_else(|| key.span());
        match written(setting.kind, item) {
            Ok(mut value) => {
                if let (Kind::Path, Value::Text(text)) = (setting.kind, &mut value) {
                    *text = self.beside(text).to_string_lossy().into_owned();
                }
                if let Value::Text(text) = &value {
                    self.draft.raw.insert(setting.key, text.clone());
                }
                let place = self.lines.place(span.unwrap_or(0..0));
                self.draft.places.insert(setting.key, place);
                self.draft.line_known |= setting.key == "line";
                (access.set)(&mut self.draft.plan, value);
            }
            Err(problem) => self.error(span, problem),
        }
    }

    /// Relative paths start where the settings file is.
    fn beside(&self, text: &str) -> PathBuf {
        match self.draft.file.parent() {
            Some(dir) if !text.is_empty() => dir.join(text),
            _ => PathBuf::from(text),
        }
    }

    fn databases(&mut self, key: &Key, item: &Item) {
        let Some(table) = item.as_table_like() else {
            let problem = Problem::new("databases are sections, one for each name");
            return self.error(
                key.span(),
                problem.help("write for example `[database.app]` and its keys below"),
            );
        };
        for (name, key, item) in entries(table) {
            if self.draft.errors.full() {
                return;
            }
            let Some(keys) = item.as_table_like() else {
                let problem = Problem::new(format!(
                    "{} stands in [database], where only names of databases stand",
                    quoted(name)
                ));
                self.error(
                    key.span(),
                    problem.help("write `[database.NAME]` above the keys of a database"),
                );
                continue;
            };
            if name == "pgbouncer" {
                let problem = Problem::new("the name `pgbouncer` belongs to the console");
                self.error(
                    key.span(),
                    problem.help("give the database another name; `dbname` may be pgbouncer"),
                );
                continue;
            }
            if self.draft.plan.databases.len() >= ENTRIES_MAX {
                return self.error(
                    key.span(),
                    Problem::new(format!("more than {ENTRIES_MAX} databases")),
                );
            }
            let mut database = database(name, Host::Tcp(String::new()));
            self.entry(&mut database, DATABASE_KEYS, keys);
            (database.password, database.password_from) = self.secret(keys);
            if keys.get("host").is_none() {
                let problem = Problem::new(format!("database {} has no host", quoted(name)));
                self.error(
                    key.span(),
                    problem
                        .help("add `host`: a name, an address, or the directory of a unix socket"),
                );
            }
            self.draft.plan.databases.push(database);
        }
    }

    fn users(&mut self, key: &Key, item: &Item) {
        let mut tables: Vec<&dyn TableLike> = Vec::new();
        if let Some(array) = item.as_array_of_tables() {
            tables.extend(array.iter().map(|t| t as &dyn TableLike));
        } else if let Some(array) = item.as_array() {
            tables.extend(
                array
                    .iter()
                    .filter_map(|v| v.as_inline_table())
                    .map(|t| t as &dyn TableLike),
            );
            if tables.len() != array.len() {
                let problem = Problem::new("a user is a table");
                self.error(
                    key.span(),
                    problem.help("write `[[user]]` and its keys below"),
                );
            }
        } else {
            let problem = Problem::new("users are a list");
            return self.error(
                key.span(),
                problem.help("write `[[user]]`, with two brackets, and its keys below"),
            );
        }
        for table in tables.into_iter().take(ENTRIES_MAX) {
            self.user(key, table);
        }
    }

    fn user(&mut self, key: &Key, table: &dyn TableLike) {
        let mut user = User::default();
        self.entry(&mut user, USER_KEYS, table);
        (user.secret, user.secret_from) = self.secret(table);
        let name = table
            .get("name")
            .and_then(Item::as_str)
            .filter(|n| !n.is_empty());
        let Some(name) = name else {
            let first = entries(table).next().and_then(|(_, key, _)| key.span());
            let problem = Problem::new("a user has no name");
            return self.error(
                first.or_else(|| key.span()),
                problem.help("add `name = \"…\"` to this [[user]]"),
            );
        };
        if self
            .draft
            .plan
            .users
            .insert(name.to_owned(), user)
            .is_some()
        {
            let span = table.get("name").and_then(Item::span);
            let problem = Problem::new(format!("user {} stands here twice", quoted(name)));
            self.error(span, problem.help("merge the two"));
        }
    }

    fn entry<T>(&mut self, into: &mut T, keys: &'static [EntryKey<T>], table: &dyn TableLike) {
        let has = |name: &str| keys.iter().any(|k| k.toml == name);
        // Databases and users log in, applications do not; only users are a list.
        let (secrets, named) = (has("pool_mode"), has("pool_mode") && !has("host"));
        let section = match (secrets, named) {
            (false, _) => "application.NAME",
            (true, true) => "user",
            (true, false) => "database.NAME",
        };
        let known = |name: &str| keys.iter().find(|k| !k.toml.is_empty() && k.toml == name);
        let names = || {
            keys.iter()
                .map(|k| k.toml)
                .filter(|t| !t.is_empty())
                .chain(SECRET_KEYS.into_iter().chain([TTL_KEY]).filter(|_| secrets))
        };
        for (name, key, item) in entries(table) {
            if self.draft.errors.full() {
                return;
            }
            if (named && name == "name")
                || (secrets && (SECRET_KEYS.contains(&name) || name == TTL_KEY))
            {
                continue;
            }
            let old = self.draft.renamed(&format!("{section}.{name}"));
            if let Some(row) = old {
                let beside = table.get(row.new_key()).is_some();
                self.outdated(row.since, (name, row.new_key()), key, beside);
            }
            let Some(entry) = known(old.map_or(name, |row| row.new_key())) else {
                let problem = Problem::new(format!("unknown key {}", quoted(name)));
                let ini = keys
                    .iter()
                    .find(|k| k.ini.contains(&name) && !k.toml.is_empty());
                let near = ini.map(|k| k.toml).or_else(|| nearest(name, names()));
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the keys are: {}", names().collect::<Vec<_>>().join(", ")),
                };
                self.error(key.span(), problem.help(help));
                continue;
            };
            let set = written(entry.kind, item).and_then(|value| (entry.set)(into, value));
            if let Err(problem) = set {
                self.error(item.span().or_else(|| key.span()), problem);
            }
        }
    }

    fn user_file(&mut self) {
        let Some(file) = self.draft.plan.auth_file.clone() else {
            return;
        };
        let place = self.draft.places.get("auth_file").cloned();
        match secrets::user_file(&file, self.source, place) {
            Err(errors) => self.draft.errors.append(errors),
            Ok(users) => secrets::put_users(&mut self.draft.plan, users),
        }
    }
}

/// Whether the file has `section.key`.
fn stated(table: &dyn TableLike, path: &str) -> bool {
    match path.split_once('.') {
        None => table.contains_key(path),
        Some((first, rest)) => table
            .get(first)
            .and_then(Item::as_table_like)
            .is_some_and(|inner| stated(inner, rest)),
    }
}

/// Names, keys (for their spans) and items of a table.
fn entries(table: &dyn TableLike) -> impl Iterator<Item = (&str, &Key, &Item)> {
    table
        .iter()
        .filter_map(|(name, item)| table.key(name).map(|key| (name, key, item)))
}

fn unknown(prefix: &str, name: &str) -> Problem {
    let path = if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    };
    let problem = Problem::new(format!("unknown key {}", quoted(&path)));
    // Someone who knows PgBouncer writes its names.
    if let Some(setting) = settings()
        .iter()
        .find(|s| s.key == name && !s.toml.is_empty())
    {
        return problem.help(format!("PgBouncer's {name} is `{}` here", setting.toml));
    }
    let start = format!("{prefix}.");
    let inside = |s: &&Setting| !prefix.is_empty() && s.toml.starts_with(&start);
    let siblings: Vec<&str> = match prefix {
        "" => sections(),
        _ => settings()
            .iter()
            .filter(inside)
            .map(|s| &s.toml[start.len()..])
            .collect(),
    };
    if let Some(near) = nearest(name, siblings.iter().copied()) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    let elsewhere = settings()
        .iter()
        .find(|s| s.toml.rsplit('.').next() == Some(name) && !s.toml.is_empty());
    match elsewhere {
        Some(setting) => problem.help(format!("there is `{}`", setting.toml)),
        None => problem.help(format!("here stand: {}", siblings.join(", "))),
    }
}

fn sections() -> Vec<&'static str> {
    let mut names: Vec<&str> = settings()
        .iter()
        .filter_map(|s| s.toml.split('.').next())
        .collect();
    names.extend(["application", "database", "notify", "owners", "user"]);
    names.retain(|n| !n.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

/// A value of the kind that is asked for.
fn written(kind: Kind, item: &Item) -> Result<Value, Problem> {
    let wrong = |what: &str, found: &str| Problem::new(format!("expected {what}, found {found}"));
    let Some(value) = item.as_value() else {
        return Err(wrong(kind.unit(), "a section"));
    };
    match (kind, value) {
        (Kind::Flag, Written::Boolean(on)) => Ok(Value::Flag(*on.value())),
        (Kind::PoolSize, Written::String(text)) if text.value() == "auto" => {
            from_words(kind, text.value())
        }
        (Kind::Count { .. } | Kind::PoolSize | Kind::Limit | Kind::Size, Written::Integer(n)) => {
            from_words(kind, &n.value().to_string())
        }
        (Kind::Flag | Kind::Count { .. } | Kind::PoolSize | Kind::Limit, Written::String(text)) => {
            let text = text.value();
            let problem = wrong(kind.unit(), "text");
            Err(match (kind, text.as_str(), from_words(kind, text)) {
                (Kind::Limit, "off" | "none" | "unlimited", _) => problem
                    .why("nothing is unlimited here")
                    .help("leave the key out: the next wider limit then holds"),
                (_, "", _) | (_, _, Err(_)) => problem,
                _ => problem.help(format!("write {text} without quotes")),
            })
        }
        (
            Kind::Timeout
            | Kind::Lifetime
            | Kind::Bounded
            | Kind::Period
            | Kind::Millis
            | Kind::Seconds,
            Written::Integer(n),
        ) => from_words(kind, &n.value().to_string()),
        (Kind::List | Kind::Listen, Written::Array(array)) => {
            strings(array).and_then(|list| match kind {
                Kind::List => Ok(Value::List(list)),
                _ => list
                    .iter()
                    .map(|t| listen_address(t))
                    .collect::<Result<_, _>>()
                    .map(Value::Listen),
            })
        }
        (Kind::List | Kind::Listen, other) => {
            let problem = wrong(kind.unit(), other.type_name());
            Err(problem.help("write a list, also of one: [\"…\"]"))
        }
        (_, Written::String(text)) => from_words(kind, text.value()),
        (_, other) => Err(wrong(kind.unit(), other.type_name())),
    }
}

fn strings(array: &toml_edit::Array) -> Result<Vec<String>, Problem> {
    array
        .iter()
        .map(|v| match v.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(Problem::new("a list of texts has something else in it")
                .help("put each element in double quotes")),
        })
        .collect()
}
