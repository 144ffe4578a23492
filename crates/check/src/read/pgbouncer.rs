//! pgbouncer.ini, whoever reads it: PgBouncer or Plimsoll.

use super::ini::{self, Line};
use crate::facts::{
    Facts, Limit, Mode, Odd, Outdated, Pool, Secret, Target, Timeouts, Tool, Unread, Value, Wait,
};
use crate::place::{FileId, Place};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT: &str = "PgBouncer's default";
/// Keys of one file that are looked up among the known ones.
const KEYS_MAX: usize = 2_000;

/// Keys of `[pgbouncer]` and their texts.
type Keys<'a> = BTreeMap<&'a str, (&'a str, Place)>;

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let mut section = "";
    let mut keys = Keys::new();
    let mut databases = Vec::new();
    let mut users = 0_u64;
    let mut looked_up = 0;
    for line in ini::lines(file, text) {
        match line {
            Line::Section(name) => section = name,
            Line::Pair {
                key,
                value,
                key_place,
                value_place,
            } => match section {
                "pgbouncer" => {
                    looked_up += 1;
                    if looked_up <= KEYS_MAX {
                        known(key, &key_place, facts);
                    }
                    keys.insert(key, (value, value_place));
                }
                "databases" => databases.push((key, value, key_place, value_place)),
                "users" => users += 1,
                "plimsoll" => outdated(key, key_place, facts),
                _ => {}
            },
        }
    }
    for (name, value, place, value_place) in databases {
        let words = ini::words(value, &value_place);
        let pool = pool(name, &words, place, &keys, users, facts);
        facts.pools.push(pool);
    }
    times(&keys, facts);
    super::plimsoll::read_own(file, text, facts);
}

/// Our own keys under their old names.
fn outdated(key: &str, place: Place, facts: &mut Facts) {
    let row = config::RENAMED
        .iter()
        .find(|row| !row.old_ini.is_empty() && row.old_ini == key);
    let now = row.and_then(|row| config::settings().iter().find(|s| s.toml == row.new));
    if let (Some(row), Some(now)) = (row, now) {
        facts.outdated.push(Outdated {
            place,
            key: key.to_owned(),
            now: now.key.to_owned(),
            since: row.since.to_owned(),
        });
    }
}

/// Keys that neither PgBouncer nor Plimsoll has.
fn known(key: &str, place: &Place, facts: &mut Facts) {
    let all = config::settings();
    if all
        .iter()
        .any(|setting| setting.key == key && setting.in_pgbouncer)
    {
        return;
    }
    let near = all
        .iter()
        .filter(|s| s.in_pgbouncer)
        .map(|s| (distance(key, s.key), s.key))
        .min()
        .filter(|(far, _)| *far <= 3);
    facts.unread.push(Unread {
        tool: Tool::PgBouncer,
        place: place.clone(),
        key: key.to_owned(),
        why: "PgBouncer has no such setting and does not start".to_owned(),
        help: near.map_or(String::new(), |(_, near)| format!("did you mean `{near}`?")),
    });
}

/// Levenshtein's distance, for words of a few dozen letters.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = before + usize::from(ca != *cb);
            before = row[j + 1];
            row[j + 1] = cost.min(before + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// One line of `[databases]`, and the settings that hold where it says nothing.
struct Entry<'a> {
    words: &'a [(&'a str, String, Place)],
    keys: &'a Keys<'a>,
}

impl<'a> Entry<'a> {
    fn own(&self, key: &str) -> Option<(&'a str, Place)> {
        let found = self.words.iter().find(|(k, _, _)| *k == key);
        found.map(|(_, value, place)| (value.as_str(), place.clone()))
    }

    fn either(&self, own: &str, general: &str) -> Option<(&'a str, Place)> {
        self.own(own).or_else(|| self.keys.get(general).cloned())
    }

    fn target(&self) -> Target {
        let text = |key| self.own(key).map(|(v, _)| v.to_owned());
        Target {
            host: text("host"),
            port: self.own("port").and_then(|(v, _)| v.parse().ok()),
            database: text("dbname"),
        }
    }
}

fn pool(
    name: &str,
    words: &[(&str, String, Place)],
    place: Place,
    keys: &Keys<'_>,
    users: u64,
    facts: &mut Facts,
) -> Pool {
    let entry = Entry { words, keys };
    if let Some((_, place)) = entry.own("password") {
        facts.secrets.push(Secret {
            place,
            what: "a database user's password".to_owned(),
        });
    }
    let mut number =
        |found, default| count(found, &mut facts.odd).unwrap_or(Value::default(default, DEFAULT));
    let or_all = |n| match n {
        0 => Limit::Unlimited,
        n => Limit::Of(n),
    };
    let size = number(entry.either("pool_size", "default_pool_size"), 20);
    let reserve = number(entry.either("reserve_pool_size", "reserve_pool_size"), 0);
    let min = number(entry.either("min_pool_size", "min_pool_size"), 0);
    let cap = number(entry.either("max_db_connections", "max_db_connections"), 0);
    let clients = number(keys.get("max_client_conn").cloned(), 100);
    let prepared = number(keys.get("max_prepared_statements").cloned(), 200);
    Pool {
        tool: Tool::PgBouncer,
        name: name.to_owned(),
        place,
        size: size.map(or_all),
        extra: Some(reserve.map(Limit::Of)),
        min: Some(min),
        cap: Some(cap.map(or_all)),
        clients: Some(clients.map(Limit::Of)),
        times: if entry.own("user").is_some() {
            1
        } else {
            users.max(1)
        },
        mode: Some(mode(entry.either("pool_mode", "pool_mode"))),
        // 200 by default since 1.24.
        keeps_prepared: Some(prepared.map(|n| n > 0)),
        timeouts: timeouts(keys),
        needs: Vec::new(),
        target: entry.target(),
    }
}

/// `None`: not there, or no count, which is said.
fn count(found: Option<(&str, Place)>, odd: &mut Vec<Odd>) -> Option<Value<u64>> {
    let (text, place) = found?;
    match text.parse() {
        Ok(n) => Some(Value::stated(n, place)),
        Err(_) => {
            odd.push(Odd {
                tool: Tool::PgBouncer,
                place,
                what: "a whole number from 0 is expected".to_owned(),
                help: String::new(),
            });
            None
        }
    }
}

fn mode(found: Option<(&str, Place)>) -> Value<Mode> {
    let Some((text, place)) = found else {
        return Value::default(Mode::Session, DEFAULT);
    };
    let mode = match text {
        "transaction" => Mode::Transaction,
        "statement" => Mode::Statement,
        _ => Mode::Session,
    };
    Value::stated(mode, place)
}

/// The times of `[pgbouncer]`, with their defaults in seconds; 0 is off.
fn timeouts(keys: &Keys<'_>) -> Timeouts {
    let time = |key: &str, default_s: f64| {
        let stated = keys
            .get(key)
            .and_then(|(text, place)| Some(Value::stated(wait(seconds(text)?), place.clone())));
        Some(stated.unwrap_or(Value::default(wait(default_s), DEFAULT)))
    };
    Timeouts {
        connect: time("server_connect_timeout", 15.0),
        wait: time("query_wait_timeout", 120.0),
        statement: time("query_timeout", 0.0),
        idle_in_transaction: time("idle_transaction_timeout", 0.0),
        idle: time("server_idle_timeout", 600.0),
        // 0 is no "never" there.
        lifetime: time("server_lifetime", 3600.0).filter(|v| v.value != Wait::Forever),
        leak: None,
        request: None,
    }
}

fn wait(seconds: f64) -> Wait {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Wait::For(time),
        _ => Wait::Forever,
    }
}

/// PgBouncer reads seconds, with or without a fraction, and no unit.
fn seconds(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|s: &f64| s.is_finite() && *s >= 0.0)
}

/// Times with a unit: PgBouncer reads none.
fn times(keys: &Keys<'_>, facts: &mut Facts) {
    for (key, (text, place)) in keys {
        let is_time = key.ends_with("_timeout") || *key == "server_lifetime";
        if *key == "server_lifetime" && seconds(text) == Some(0.0) {
            facts.odd.push(Odd {
                tool: Tool::PgBouncer,
                place: place.clone(),
                what: "`server_lifetime = 0` closes each connection after one use".to_owned(),
                help: "write an age in seconds, such as 3600; there is no \"never\"".to_owned(),
            });
        }
        if is_time && seconds(text).is_none() {
            facts.odd.push(Odd {
                tool: Tool::PgBouncer,
                place: place.clone(),
                what: format!("`{key}` is a number of seconds without a unit"),
                help: "write the seconds as a plain number".to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found of a file, with where it stands.
    fn found(lines: &str) -> Vec<(usize, String, String)> {
        let text = format!("[databases]\n* = host=db\n[pgbouncer]\nauth_type = any\n{lines}\n");
        let mut facts = Facts::default();
        read(FileId(0), &text, &mut facts);
        let line = |place: &Place| text[..place.range.start].lines().count();
        let unread = facts.unread.iter();
        let unread = unread.map(|u| (line(&u.place), u.key.clone(), u.help.clone()));
        let odd = facts.odd.iter();
        let odd = odd.map(|o| (line(&o.place), o.what.clone(), o.help.clone()));
        unread.chain(odd).collect()
    }

    #[test]
    fn comments_for_plimsoll_are_judged_as_it_reads_them() {
        assert_eq!(found(";plimsoll: line = 60"), []);
        assert_eq!(found("; a plimsoll: lien = 60"), [], "no word to it");
        assert_eq!(found(";plimsoll: allow(limit-missing) a reason"), []);
        let wrong = found(";plimsoll: line = 60\n;plimsoll: lien = 60");
        let [(6, key, help)] = wrong.as_slice() else {
            panic!("{wrong:?}")
        };
        assert!(
            key == "lien" && help.contains("did you mean `line`"),
            "{help}"
        );
        for (line, word) in [
            (";plimsoll: line = many", "many"),
            ("# plimsoll: guard_shed = perhaps", "perhaps"),
            (";plimsoll: see the wiki", "is a setting"),
            ("[plimsoll]\nline = 0", "out of range"),
        ] {
            let wrong = found(line);
            assert_eq!(wrong.len(), 1, "{line}: {wrong:?}");
            assert!(wrong[0].1.contains(word), "{line}: {wrong:?}");
        }
    }

    #[test]
    fn what_plimsoll_refuses_elsewhere_is_said_by_the_readers_of_that() {
        // PgBouncer reads on; the count is a finding of its own, and once.
        let wrong = found("max_client_conn = many\n;plimsoll: line = 60");
        assert_eq!(wrong.len(), 1, "{wrong:?}");
    }
}
