//! pgbouncer.ini, whoever reads it: PgBouncer or Plimsoll.

use super::ini::{self, Line};
use crate::facts::{
    Facts, Limit, Mode, Odd, Pool, Secret, Target, Timeouts, Tool, Unread, Value, Wait,
};
use crate::place::{FileId, Place};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT: &str = "PgBouncer's default";

/// Keys of `[pgbouncer]` and their texts.
type Keys<'a> = BTreeMap<&'a str, (&'a str, Place)>;

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let mut section = "";
    let mut keys = Keys::new();
    let mut databases = Vec::new();
    let mut users = 0_u64;
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
                    known(key, &key_place, facts);
                    keys.insert(key, (value, value_place));
                }
                "databases" => databases.push((key, value, key_place, value_place)),
                "users" => users += 1,
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

fn pool(
    name: &str,
    words: &[(&str, String, Place)],
    place: Place,
    keys: &Keys<'_>,
    users: u64,
    facts: &mut Facts,
) -> Pool {
    let own = |key: &str| {
        let found = words.iter().find(|(k, _, _)| *k == key);
        found.map(|(_, value, place)| (value.as_str(), place.clone()))
    };
    let either = |own_key: &str, key: &str| own(own_key).or_else(|| keys.get(key).cloned());
    if let Some((_, place)) = own("password") {
        facts.secrets.push(Secret {
            place,
            what: "a database user's password".to_owned(),
        });
    }
    let odd = &mut facts.odd;
    let limit = |found: Option<(&str, Place)>, default: Limit, odd: &mut Vec<Odd>| {
        count(found, odd).map_or(Value::default(default, DEFAULT), |v| Value {
            value: match v.value {
                0 => Limit::Unlimited,
                n => Limit::Of(n),
            },
            origin: v.origin,
        })
    };
    let size = limit(either("pool_size", "default_pool_size"), Limit::Of(20), odd);
    let cap = limit(
        either("max_db_connections", "max_db_connections"),
        Limit::Unlimited,
        odd,
    );
    let reserve = count(either("reserve_pool_size", "reserve_pool_size"), odd);
    let clients = count(keys.get("max_client_conn").cloned(), odd);
    let forced = own("user").is_some();
    Pool {
        tool: Tool::PgBouncer,
        name: name.to_owned(),
        place,
        size,
        extra: Some(
            reserve.map_or(Value::default(Limit::Of(0), DEFAULT), |v| Value {
                value: Limit::Of(v.value),
                origin: v.origin,
            }),
        ),
        min: Some(
            count(either("min_pool_size", "min_pool_size"), odd)
                .unwrap_or(Value::default(0, DEFAULT)),
        ),
        cap: Some(cap),
        clients: Some(
            clients.map_or(Value::default(Limit::Of(100), DEFAULT), |v| Value {
                value: Limit::Of(v.value),
                origin: v.origin,
            }),
        ),
        times: if forced { 1 } else { users.max(1) },
        mode: Some(mode(either("pool_mode", "pool_mode"))),
        keeps_prepared: Some(
            count(keys.get("max_prepared_statements").cloned(), odd).map_or(
                Value::default(
                    true,
                    "PgBouncer's default since 1.24: max_prepared_statements = 200",
                ),
                |v| Value {
                    value: v.value > 0,
                    origin: v.origin,
                },
            ),
        ),
        timeouts: timeouts(keys),
        needs: Vec::new(),
        target: Target {
            host: own("host").map(|(v, _)| v.to_owned()),
            port: own("port").and_then(|(v, _)| v.parse().ok()),
            database: own("dbname").map(|(v, _)| v.to_owned()),
        },
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
        lifetime: time("server_lifetime", 3600.0),
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
