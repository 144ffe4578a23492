//! Reads postgresql.conf: the limits of a server, as far as its file says them.

use super::pgbouncer::distance;
use super::url::is_secret;
use crate::facts::{Facts, Odd, Secret, Server, Tool, Unread, Value, Wait};
use crate::place::{FileId, Place};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT: &str = "PostgreSQL's default";

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let mut keys: BTreeMap<String, (String, Place)> = BTreeMap::new();
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        if let Some((key, value, range)) = pair(raw) {
            let place = Place::new(file, offset + range.start..offset + range.end);
            // The last one holds.
            keys.insert(key, (value, place));
        }
        offset += raw.len();
    }
    let odd = &mut facts.odd;
    let server = Server {
        place: Place::whole(file),
        max_connections: count(&keys, "max_connections", 100, odd),
        superuser_reserved: count(&keys, "superuser_reserved_connections", 3, odd),
        reserved: count(&keys, "reserved_connections", 0, odd),
        statement: time(&keys, "statement_timeout", odd),
        idle_in_transaction: time(&keys, "idle_in_transaction_session_timeout", odd),
        live: false,
        own_limit: None,
        others: 0,
    };
    if let Some((text, place)) = keys.get("primary_conninfo") {
        secret(text, place, facts);
    }
    slips(file, text, facts);
    // A file that sets something else says nothing about the server's limits.
    if keys.is_empty() {
        return;
    }
    facts.servers.push(server);
}

/// Keys that bound something, and often stand in such files.
const KNOWN: [&str; 8] = [
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "idle_session_timeout",
    "lock_timeout",
];

/// Slips of the pen in the keys that matter here. The server has hundreds of
/// others, so nothing else is said to be unknown.
fn slips(file: FileId, text: &str, facts: &mut Facts) {
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let at = offset + raw.len() - raw.trim_start().len();
        offset += raw.len();
        let Some((key, _, _)) = pair(raw) else {
            continue;
        };
        let near = KNOWN
            .iter()
            .filter(|known| known.len().abs_diff(key.len()) <= 2)
            .map(|known| (distance(&key, known), *known))
            .min();
        let Some((1..=2, near)) = near else { continue };
        facts.unread.push(Unread {
            tool: Tool::Postgres,
            place: Place::new(file, at..at + key.len()),
            key,
            why: "PostgreSQL has no such setting and does not start".to_owned(),
            help: format!("did you mean `{near}`?"),
        });
    }
}

/// The password of `primary_conninfo`.
fn secret(conninfo: &str, place: &Place, facts: &mut Facts) {
    let Some(at) = conninfo.find("password=") else {
        return;
    };
    let word = conninfo.get(at + "password=".len()..).unwrap_or("");
    let word = word.split_whitespace().next().unwrap_or("");
    if is_secret(word) {
        // The text stands behind a quote.
        let start = place.range.start + 1 + at + "password=".len();
        facts.secrets.push(Secret {
            place: Place::new(place.file, start..start + word.len()),
            what: "a replication user's password".to_owned(),
        });
    }
}

/// Key, value without quotes, and where the value stands in the line.
fn pair(raw: &str) -> Option<(String, String, std::ops::Range<usize>)> {
    let line = raw.trim_start();
    let indent = raw.len() - line.len();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest_at = indent + end;
    let value = rest.trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim_start();
    let start = rest_at + (rest.len() - value.len());
    let (text, length) = match value.strip_prefix('\'') {
        Some(quoted) => {
            let end = quoted.find('\'').unwrap_or(quoted.trim_end().len());
            (quoted.get(..end)?, end + 2)
        }
        None => {
            let end = value
                .find(|c: char| c == '#' || c.is_whitespace())
                .unwrap_or(value.len());
            (value.get(..end)?, end)
        }
    };
    let length = length.min(value.trim_end().len());
    (!key.is_empty() && length > 0).then(|| {
        (
            key.to_ascii_lowercase(),
            text.to_owned(),
            start..start + length,
        )
    })
}

type Keys = BTreeMap<String, (String, Place)>;

fn count(keys: &Keys, key: &str, default: u64, odd: &mut Vec<Odd>) -> Value<u64> {
    let Some((text, place)) = keys.get(key) else {
        return Value::default(default, DEFAULT);
    };
    match text.parse() {
        Ok(n) => Value::stated(n, place.clone()),
        Err(_) => {
            odd.push(Odd {
                tool: Tool::Postgres,
                place: place.clone(),
                what: format!("`{key}` is a whole number"),
                help: "the server does not start with this".to_owned(),
            });
            Value::default(default, DEFAULT)
        }
    }
}

/// Milliseconds where no unit is written; 0 is off.
fn time(keys: &Keys, key: &'static str, odd: &mut Vec<Odd>) -> Value<Wait> {
    let Some((text, place)) = keys.get(key) else {
        return Value::default(Wait::Forever, DEFAULT);
    };
    let Some(time) = duration(text) else {
        odd.push(Odd {
            tool: Tool::Postgres,
            place: place.clone(),
            what: format!("`{key}` is a time such as 30s or 5min"),
            help: "the server does not start with this".to_owned(),
        });
        return Value::default(Wait::Forever, DEFAULT);
    };
    if !time.is_zero() && time < Duration::from_millis(100) && text.parse::<f64>().is_ok() {
        odd.push(Odd {
            tool: Tool::Postgres,
            place: place.clone(),
            what: format!("`{key}` without a unit is in milliseconds: {text} ms"),
            help: format!("write the unit: {text}s"),
        });
    }
    let wait = match time.is_zero() {
        true => Wait::Forever,
        false => Wait::For(time),
    };
    Value::stated(wait, place.clone())
}

/// PostgreSQL's times: us, ms, s, min, h, d; milliseconds without a unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "" | "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Facts {
        let mut facts = Facts::default();
        read(FileId(0), text, &mut facts);
        facts
    }

    #[test]
    fn the_last_line_holds_and_units_count() {
        let text = "max_connections = 50\nMax_Connections 200 # more\nstatement_timeout = '30s'\n\
                    idle_in_transaction_session_timeout = 5min\n";
        let f = facts(text);
        let server = &f.servers[0];
        assert_eq!(server.max_connections.value, 200);
        assert_eq!(
            &text[server.max_connections.place().unwrap().range.clone()],
            "200"
        );
        assert_eq!(server.statement.value, Wait::For(Duration::from_secs(30)));
        assert_eq!(
            server.idle_in_transaction.value,
            Wait::For(Duration::from_secs(300))
        );
        assert_eq!(
            &text[server.statement.place().unwrap().range.clone()],
            "'30s'"
        );
        assert_eq!(server.usable(), 197);
        assert_eq!(f.odd, []);
    }

    #[test]
    fn slips_and_passwords_are_seen() {
        let text = "max_connection = 300\nlock_timeout = 5s\n\
                    primary_conninfo = 'host=a password=s3cret x=y'\n";
        let f = facts(text);
        assert_eq!(f.unread.len(), 1);
        assert_eq!(&text[f.unread[0].place.range.clone()], "max_connection");
        assert_eq!(&text[f.secrets[0].place.range.clone()], "s3cret");
        assert_eq!(facts("primary_conninfo = 'passfile=/x'\n").secrets, []);
    }

    #[test]
    fn thirty_milliseconds_are_not_meant() {
        let f = facts("statement_timeout = 30\n");
        assert_eq!(f.odd.len(), 1);
        assert!(f.odd[0].help.contains("30s"));
    }

    #[test]
    fn nonsense_is_no_panic() {
        for text in [
            "=",
            "a",
            "a = '",
            "max_connections = '",
            "ü = ü",
            "\u{0}x = 1",
            "x='a",
        ] {
            facts(text);
        }
        assert_eq!(facts("max_connections = many\n").odd.len(), 1);
    }
}
