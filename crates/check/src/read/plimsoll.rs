//! plimsoll.toml: the pooler's own reader says what is wrong in itself; what it
//! means beside other files is read off the checked plan.

use crate::facts::{
    Facts, Limit, Mode, Odd, Origin, Outdated, Pool, Secret, Target, Timeouts, Tool, Unread, Value,
    Wait,
};
use crate::place::{FileId, Place};
use config::{Plan, PoolMode, PoolSize, Source};
use events::{Guard, GuardMode};
use std::io;
use std::path::Path;
use std::time::Duration;

const DEFAULT: &str = "Plimsoll's default";

/// This file; whatever it names beside it is there and says nothing.
struct Alone<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source for Alone<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(match path == self.path {
            true => self.text.as_bytes().to_vec(),
            // A line of a user file, and a password as well.
            false => b"\"elsewhere\" \"elsewhere\"\n".to_vec(),
        })
    }

    fn read_rules(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn run(&self, _: &config::SecretCommand) -> io::Result<Vec<u8>> {
        // Nothing is run: whether it answers is another question.
        Ok(b"elsewhere".to_vec())
    }

    fn env(&self, _name: &str) -> Option<String> {
        // Long enough for a token.
        Some("kept elsewhere, not read".to_owned())
    }
}

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    secrets(file, text, facts);
    match config::load(path, &Alone { path, text }) {
        Ok(plan) => {
            for old in &plan.outdated {
                outdated(file, text, old, facts);
            }
            pools(file, text, &plan, facts);
        }
        Err(errors) => {
            // Files beside this one are not here; whether they exist is
            // another question than what this one says.
            let own = errors.list().iter().filter(|error| error.file == path);
            let parses = toml_edit::Document::parse(text).is_ok();
            for error in own {
                let place = place_at(file, text, error.line, error.column);
                refused(error, place, parses, facts);
            }
        }
    }
}

/// What a pgbouncer.ini says to Plimsoll alone: comments `;plimsoll: key = value` and the
/// section `[plimsoll]`. What is wrong there PgBouncer does not see, and Plimsoll does not
/// start with.
pub(super) fn read_own(file: FileId, text: &str, facts: &mut Facts) {
    let own = config::own_lines(text);
    if own.is_empty() {
        return;
    }
    let path = Path::new("pgbouncer.ini");
    match config::load(path, &Alone { path, text }) {
        Ok(plan) => {
            // Those of the section are found by its reader.
            let comment = |n: usize| {
                let line = text.lines().nth(n.saturating_sub(1)).unwrap_or_default();
                line.trim_start().starts_with([';', '#'])
            };
            for old in plan.outdated.iter().filter(|old| comment(old.line)) {
                outdated(file, text, old, facts);
            }
        }
        Err(errors) => {
            let here = |e: &&config::Error| e.file == path && own.contains(&e.line);
            for error in errors.list().iter().filter(here) {
                let place = place_at(file, text, error.line, error.column);
                refused(error, place, true, facts);
            }
        }
    }
}

/// A key under its old name.
fn outdated(file: FileId, text: &str, old: &config::Outdated, facts: &mut Facts) {
    facts.outdated.push(Outdated {
        place: place_at(file, text, old.line, old.column),
        key: old.key.clone(),
        now: old.now.clone(),
        since: old.since.to_owned(),
    });
}

/// What the pooler refuses: a key, a value, or a text that is no TOML.
fn refused(error: &config::Error, place: Place, parses: bool, facts: &mut Facts) {
    let (what, help) = (error.message.clone(), error.help.clone());
    if parses && what.starts_with("unknown key") {
        let key = what.split('`').nth(1).unwrap_or_default().to_owned();
        facts.unread.push(Unread {
            tool: Tool::Plimsoll,
            place,
            key,
            why: "Plimsoll refuses a key that it does not know".to_owned(),
            help,
        });
    } else if parses && error.line > 0 {
        facts.odd.push(Odd {
            tool: Tool::Plimsoll,
            place,
            what,
            help,
        });
    } else if help.is_empty() {
        facts.broken.push((place, what));
    } else {
        facts.broken.push((place, format!("{what} ({help})")));
    }
}

/// A place from a line and a column, both from 1.
fn place_at(file: FileId, text: &str, line: usize, column: usize) -> Place {
    if line == 0 {
        return Place::whole(file);
    }
    let mut offset = 0;
    for (number, raw) in (1..).zip(text.split_inclusive('\n')) {
        if number == line {
            let mut chars = raw.char_indices().skip(column.saturating_sub(1));
            let at = offset + chars.next().map_or(0, |(i, _)| i);
            let end = offset + raw.trim_end().len();
            return Place::new(file, at..end.max(at + 1));
        }
        offset += raw.len();
    }
    Place::whole(file)
}

/// Where `key` stands in `section`; the value, or the whole file.
fn find(file: FileId, text: &str, section: &str, key: &str) -> Option<Place> {
    let mut here = String::new();
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let line = raw.trim();
        let start = offset + (raw.len() - raw.trim_start().len());
        offset += raw.len();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            here = name.trim().replace('"', "");
            if here == section && key.is_empty() {
                return Some(Place::new(file, start..start + line.len()));
            }
        } else if here == section
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let at = start + (line.len() - value.trim_start().len());
            return Some(Place::new(file, at..start + line.len()));
        }
    }
    None
}

fn secrets(file: FileId, text: &str, facts: &mut Facts) {
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        if let Some((key, value)) = raw.split_once('=')
            && key.trim() == "password"
            && super::url::is_secret(value.trim().trim_matches('"'))
        {
            let start = offset + raw.len() - value.trim_start().len();
            facts.secrets.push(Secret {
                place: Place::new(file, start..start + value.trim().len()),
                what: "a password".to_owned(),
            });
        }
        offset += raw.len();
    }
}

fn pools(file: FileId, text: &str, plan: &Plan, facts: &mut Facts) {
    let stated = |section: &str, key: &str| find(file, text, section, key);
    for database in &plan.databases {
        let section = format!("database.{}", database.name);
        let size = database.pool_size.unwrap_or(plan.default_pool_size);
        let place = stated(&section, "pool_size").or_else(|| stated("pool", "size"));
        let limit = match size {
            PoolSize::Fixed(n) => Limit::Of(u64::from(n)),
            // Within the line, whatever that is.
            PoolSize::Auto => Limit::Of(u64::from(plan.auto.ceiling.unwrap_or(plan.line))),
        };
        let min = database.min_pool_size.unwrap_or(plan.min_pool_size);
        let mode = match database.pool_mode.unwrap_or(plan.pool_mode) {
            PoolMode::Session => Mode::Session,
            PoolMode::Transaction => Mode::Transaction,
            PoolMode::Statement => Mode::Statement,
        };
        facts.pools.push(Pool {
            tool: Tool::Plimsoll,
            name: database.name.clone(),
            place: stated(&section, "").unwrap_or(Place::whole(file)),
            size: value(limit, place),
            extra: None,
            min: Some(value(
                u64::from(min),
                stated(&section, "min_pool_size").or_else(|| stated("pool", "min")),
            )),
            // The line bounds all pools together.
            cap: Some(value(
                Limit::Of(u64::from(plan.line)),
                stated("server", "line"),
            )),
            clients: None,
            times: 1,
            mode: Some(value(
                mode,
                stated(&section, "pool_mode").or_else(|| stated("pool", "mode")),
            )),
            keeps_prepared: Some(Value::default(true, DEFAULT)),
            timeouts: timeouts(file, text, plan, database),
            needs: Vec::new(),
            target: Target::default(),
        });
    }
}

fn timeouts(file: FileId, text: &str, plan: &Plan, database: &config::Database) -> Timeouts {
    let time = |time: Option<Duration>, key: &str| {
        let place = find(file, text, "timeouts", key);
        Some(value(time.map_or(Wait::Forever, Wait::For), place))
    };
    let reclaim = match plan.guards.mode(Guard::Reclaim) {
        GuardMode::Off => Wait::Forever,
        GuardMode::Observe | GuardMode::Enforce => Wait::For(plan.leaks.after),
    };
    Timeouts {
        wait: time(
            database.wait_timeout.unwrap_or(plan.query_wait_timeout),
            "query_wait",
        ),
        idle_in_transaction: time(plan.idle_transaction_timeout, "idle_transaction"),
        idle: time(plan.server_idle_timeout, "server_idle"),
        lifetime: time(
            database.server_lifetime.unwrap_or(plan.server_lifetime),
            "server_lifetime",
        ),
        leak: Some(value(reclaim, find(file, text, "guards", "reclaim"))),
        ..Timeouts::default()
    }
}

fn value<T>(value: T, place: Option<Place>) -> Value<T> {
    let origin = place.map_or(Origin::Default(DEFAULT), Origin::Stated);
    Value { value, origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_is_a_finding_at_its_place_with_the_new_one() {
        let text = "[pools]\n  extent = 7\n";
        let path = Path::new("p.toml");
        let mut files = crate::Files::default();
        files.add(path, text);
        let old = config::Outdated {
            key: "pools.extent".to_owned(),
            now: "pool.size".to_owned(),
            since: "0.2",
            line: 2,
            column: 3,
        };
        let mut facts = Facts::default();
        outdated(FileId(0), text, &old, &mut facts);
        let found = crate::rules::run(&files, &facts, &crate::Options::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rule.id, "key-renamed");
        assert_eq!(
            found[0].message,
            "`pools.extent` is called `pool.size` since 0.2"
        );
        assert_eq!(found[0].help, "write `pool.size`");
        assert_eq!(facts.outdated[0].place, Place::new(FileId(0), 10..20));
    }
}
