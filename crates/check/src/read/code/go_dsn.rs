//! A Go program's data source name: a URL, or `key=value` words.

use super::options::{address, secret};
use super::times::{Unit, Zero, odd_time, server_time, wait};
use super::{Code, Expr, Found, Scalar, Text, What};
use crate::facts::{Facts, Target, Timeouts, Tool, Value, Wait};
use crate::place::Place;
use crate::read::ini;
use std::time::Duration;

/// What a DSN says.
pub(super) struct Dsn {
    pub target: Target,
    pub connect: Option<Value<Wait>>,
    pub times: Timeouts,
    /// A setting for the session as a whole, and where.
    pub settings: Option<Place>,
    parameters: Vec<(String, String, Place)>,
}

impl Dsn {
    /// A parameter's text, as far as it stands there.
    pub fn parameter(&self, key: &str) -> Option<(String, Place)> {
        let mut all = self.parameters.iter();
        let (_, value, place) = all.find(|(k, _, _)| k == key)?;
        Some((value.clone(), place.clone()))
    }

    /// It switches prepared statements off.
    pub fn is_simple(&self) -> bool {
        let mode = self.parameter("default_query_exec_mode");
        mode.is_some_and(|(mode, _)| mode != "cache_statement")
            || self
                .parameter("prefer_simple_protocol")
                .is_some_and(|(v, _)| v == "true")
            || self
                .parameter("statement_cache_mode")
                .is_some_and(|(v, _)| v == "describe")
    }
}

/// Reads it, where it is a text. `None`: not to be seen here.
pub(super) fn dsn(code: &Code<'_>, tool: Tool, expr: &Expr, facts: &mut Facts) -> Option<Dsn> {
    let found = text_of(code, expr);
    let text = found.text()?;
    let (target, parameters) = match address(&found, facts) {
        Some(address) => (address.target, address.parameters),
        None => words(text, &found, facts)?,
    };
    let mut dsn = Dsn {
        target,
        connect: None,
        times: Timeouts::default(),
        settings: None,
        parameters,
    };
    for (key, value, place) in dsn.parameters.clone() {
        match key.as_str() {
            "connect_timeout" => {
                if let Ok(seconds) = value.parse::<f64>() {
                    odd_time(tool, &key, seconds, Unit::Seconds, &place, facts);
                    let time = wait(seconds, Unit::Seconds, Zero::Forever);
                    dsn.connect = Some(Value::stated(time, place));
                }
            }
            "statement_timeout" | "idle_in_transaction_session_timeout" => {
                server_time(tool, &key, &value, &place, &mut dsn.times, facts);
                dsn.settings = Some(place);
            }
            "search_path" | "options" => dsn.settings = Some(place),
            _ => {}
        }
    }
    Some(dsn)
}

/// The text, or the format of a `Sprintf`, in which something is filled in.
fn text_of(code: &Code<'_>, expr: &Expr) -> Found {
    if let What::Call(call) = &code.behind(expr).what
        && call.last() == "Sprintf"
        && let Some(format) = call.arguments.first()
    {
        let found = code.scalar(format);
        if let Some(text) = found.text() {
            let text = Text {
                filled: true,
                ..text.clone()
            };
            return Found {
                what: Scalar::Text(text),
                ..found
            };
        }
    }
    code.scalar(expr)
}

type Parts = (Target, Vec<(String, String, Place)>);

/// `host=db port=5432 …`.
fn words(text: &Text, found: &Found, facts: &mut Facts) -> Option<Parts> {
    let all = ini::words(&text.text, &found.place);
    let is_dsn = |key: &str| matches!(key, "host" | "dbname" | "user" | "port");
    if !all.iter().any(|(key, _, _)| is_dsn(key)) {
        return None;
    }
    let known = |key: &str| {
        let (_, value, _) = all.iter().find(|(k, _, _)| *k == key)?;
        (!value.is_empty() && !value.contains(['%', '$', '{'])).then(|| value.clone())
    };
    if let Some((_, value, place)) = all.iter().find(|(key, _, _)| *key == "password") {
        let part = Text {
            text: value.clone(),
            exact: text.exact,
            filled: text.filled && value.contains('%'),
        };
        let at = Found {
            what: Scalar::Unknown,
            place: place.clone(),
            is_default: found.is_default,
        };
        secret(&part, &at, facts);
    }
    let target = Target {
        host: known("host"),
        port: known("port").and_then(|port| port.parse().ok()),
        database: known("dbname"),
    };
    let parameters = all
        .into_iter()
        .map(|(key, value, place)| (key.to_owned(), value, place));
    Some((target, parameters.collect()))
}

/// Go's `1h30m`. `None`: no duration, or one without a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        seconds += unit * number.parse::<f64>().ok()?;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, seconds) in [
            ("30s", Some(30.0)),
            ("1h30m", Some(5_400.0)),
            ("1.5s", Some(1.5)),
            ("30", None),
            ("", None),
            ("s", None),
            ("5 m", None),
            ("1e9h", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_secs_f64()), seconds, "{text}");
        }
    }
}
