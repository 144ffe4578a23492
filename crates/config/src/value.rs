//! Values of settings: what kinds there are, and how each dialect writes them.
//!
//! plimsoll.toml writes units (`"30s"`, `"64KiB"`, `"off"`); pgbouncer.ini writes
//! bare numbers in the setting's own unit. Both end in the same [`Value`].

mod duration;

use duration::{bounded, duration_words, plain_seconds};
pub(crate) use duration::{duration, seconds};
use std::time::Duration;

use crate::error::{Problem, nearest, quoted};
use crate::plan::{ListenAddress, PoolSize};

/// A server connection that is closed after its first use.
const ONCE: &str = "once";
/// Most elements of a list.
const LIST_MAX: usize = 1000;

/// What may be written for a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A number in a range.
    Count {
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// A number above 0, or `auto`.
    PoolSize,
    /// A number above 0; without it, something else is the bound. PgBouncer's 0 is "unlimited".
    Limit,
    /// A duration; 0 (`"off"`) turns it off.
    Timeout,
    /// As `Timeout`; `once` (PgBouncer's 0) ends it with its first use, which is a time of zero.
    Lifetime,
    /// A duration that cannot be off.
    Bounded,
    /// A duration for which 0 has its own meaning.
    Period,
    /// As `Timeout`; PgBouncer writes whole milliseconds.
    Millis,
    /// As `Timeout`; PgBouncer writes whole seconds, 0 is the system's default.
    Seconds,
    /// Bytes.
    Size,
    /// Free text.
    Text,
    /// A file or directory; empty: none.
    Path,
    /// Names separated by commas.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Permission bits, octal.
    Mode,
    /// Addresses to listen on.
    Listen,
    /// One `address:port`; empty: none.
    Address,
}

/// A checked value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Flag(bool),
    Count(u32),
    PoolSize(PoolSize),
    Limit(Option<u32>),
    Time(Option<Duration>),
    Text(String),
    List(Vec<String>),
    Listen(Vec<ListenAddress>),
}

impl Kind {
    /// How the documentation names what may be written in plimsoll.toml.
    pub fn unit(self) -> &'static str {
        match self {
            Kind::Flag => "true or false",
            Kind::Count { .. } => "number",
            Kind::PoolSize => "number above 0 or \"auto\"",
            Kind::Limit => "number above 0",
            Kind::Timeout | Kind::Millis => "duration or \"off\"",
            Kind::Lifetime => "duration, \"off\" or \"once\"",
            Kind::Seconds => "duration; \"off\": the system's",
            Kind::Bounded => "duration above 0",
            Kind::Period => "duration",
            Kind::Size => "bytes",
            Kind::Text => "text",
            Kind::Path => "path",
            Kind::List => "list of names",
            Kind::Choice(_) => "word",
            Kind::Mode => "octal text",
            Kind::Listen => "list of \"host:port\"",
            Kind::Address => "\"address:port\"",
        }
    }
}

/// Reads a value as plimsoll.toml writes it in a string, and the defaults of both dialects.
pub(crate) fn from_words(kind: Kind, text: &str) -> Result<Value, Problem> {
    match kind {
        Kind::Flag => match text {
            "true" => Ok(Value::Flag(true)),
            "false" => Ok(Value::Flag(false)),
            _ => Err(expected("true or false", text)),
        },
        Kind::Count { min, max } => whole(text, 10)
            .ok_or_else(|| expected("a whole number", text))
            .and_then(|n| in_range(n, min, max)),
        Kind::PoolSize => pool_size(text, whole(text, 10)),
        Kind::Limit if text.is_empty() => Ok(Value::Limit(None)),
        Kind::Limit => whole(text, 10)
            .ok_or_else(|| expected("a whole number", text))
            .and_then(limit),
        Kind::Lifetime if text == ONCE => Ok(Value::Time(Some(Duration::ZERO))),
        Kind::Timeout | Kind::Lifetime | Kind::Millis | Kind::Seconds if text == "off" => {
            Ok(Value::Time(None))
        }
        Kind::Timeout | Kind::Lifetime | Kind::Millis | Kind::Seconds => {
            let time = duration(text)?;
            if time.is_zero() {
                return Err(Problem::new("a timeout of 0 would end everything at once")
                    .help("write \"off\" to have none"));
            }
            Ok(Value::Time(Some(time)))
        }
        Kind::Bounded => {
            let time = if text == "off" {
                Duration::ZERO
            } else {
                duration(text)?
            };
            if time.is_zero() {
                return Err(Problem::new("this wait cannot be off")
                    .why("without it one silent peer holds its place for ever")
                    .help("write a duration such as \"15s\""));
            }
            Ok(Value::Time(Some(time)))
        }
        Kind::Period => duration(text).map(|t| Value::Time(Some(t))),
        Kind::Size => size(text),
        Kind::Text | Kind::Path => Ok(Value::Text(text.to_owned())),
        Kind::List => list(text),
        Kind::Choice(words) => choice(words, text),
        Kind::Mode => mode(whole(text, 8), text),
        Kind::Listen => {
            let Value::List(items) = list(text)? else {
                return Ok(Value::Listen(Vec::new()));
            };
            let addresses: Result<Vec<_>, _> = items.iter().map(|i| listen_address(i)).collect();
            addresses.map(Value::Listen)
        }
        Kind::Address if text.is_empty() => Ok(Value::Text(String::new())),
        Kind::Address => match text.parse::<std::net::SocketAddr>() {
            Ok(address) => Ok(Value::Text(address.to_string())),
            Err(_) => Err(expected("an address and a port", text)
                .help("write for example \"127.0.0.1:9930\"; names are not looked up here")),
        },
    }
}

/// Reads a value as pgbouncer.ini writes it.
pub(crate) fn from_ini(kind: Kind, text: &str) -> Result<Value, Problem> {
    let number = || ini_integer(text).ok_or_else(|| expected("a whole number", text));
    match kind {
        Kind::Flag => match number().map_err(|p| p.help("write 1 for yes, 0 for no"))? {
            0 => Ok(Value::Flag(false)),
            _ => Ok(Value::Flag(true)),
        },
        Kind::Count { min, max } => in_range(number()?, min, max),
        Kind::PoolSize => pool_size(text, ini_integer(text)),
        Kind::Limit => match number()? {
            0 => Ok(Value::Limit(None)),
            n => limit(n),
        },
        Kind::Timeout => seconds(text).map(|t| Value::Time((!t.is_zero()).then_some(t))),
        Kind::Bounded | Kind::Period | Kind::Lifetime => {
            seconds(text).map(|t| Value::Time(Some(t)))
        }
        Kind::Millis | Kind::Seconds => {
            let n = u64::try_from(number()?).map_err(|_| negative(text))?;
            let time = match kind {
                Kind::Millis => Duration::from_millis(n),
                _ => Duration::from_secs(n),
            };
            bounded(time).map(|t| Value::Time((!t.is_zero()).then_some(t)))
        }
        Kind::Size => in_range(number()?, 1, u32::MAX),
        Kind::Mode => mode(ini_integer(text), text),
        Kind::Listen => {
            let Value::List(hosts) = list(text)? else {
                return Ok(Value::Listen(Vec::new()));
            };
            // The port is another key: it is filled in when the whole file is read.
            let listen = |host: &String| match is_host(host) {
                true => Ok(ListenAddress {
                    host: host.clone(),
                    port: 0,
                }),
                false => Err(expected("an address, a host name or `*`", host)),
            };
            hosts
                .iter()
                .map(listen)
                .collect::<Result<_, _>>()
                .map(Value::Listen)
        }
        Kind::Choice(words) => choice(words, &text.to_ascii_lowercase()),
        Kind::Text | Kind::Path | Kind::List | Kind::Address => from_words(kind, text),
    }
}

/// A value as SHOW CONFIG prints it: PgBouncer's vocabulary.
pub(crate) fn shown(kind: Kind, value: &Value) -> String {
    match value {
        Value::Flag(on) => u8::from(*on).to_string(),
        Value::Count(n) if kind == Kind::Mode => format!("{n:04o}"),
        Value::Count(n) | Value::PoolSize(PoolSize::Fixed(n)) => n.to_string(),
        Value::PoolSize(PoolSize::Auto) => String::from("auto"),
        Value::Limit(n) => n.unwrap_or(0).to_string(),
        Value::Time(t) if kind == Kind::Millis => t.unwrap_or_default().as_millis().to_string(),
        Value::Time(t) => plain_seconds(t.unwrap_or_default()),
        Value::Text(text) => text.clone(),
        Value::List(items) => items.join(","),
        Value::Listen(addresses) => {
            let hosts: Vec<&str> = addresses.iter().map(|a| a.host.as_str()).collect();
            hosts.join(",")
        }
    }
}

/// A value as plimsoll.toml would write it, for differences and documentation.
pub(crate) fn words(kind: Kind, value: &Value) -> String {
    match value {
        Value::Flag(on) => on.to_string(),
        Value::Count(n) if kind == Kind::Mode => format!("{n:04o}"),
        Value::Count(n) | Value::PoolSize(PoolSize::Fixed(n)) => n.to_string(),
        Value::PoolSize(PoolSize::Auto) => String::from("auto"),
        Value::Limit(Some(n)) => n.to_string(),
        Value::Limit(None) => String::from("none"),
        Value::Time(None) => String::from("off"),
        Value::Time(Some(Duration::ZERO)) if kind == Kind::Lifetime => String::from(ONCE),
        Value::Time(Some(t)) => duration_words(*t),
        Value::Text(text) => text.clone(),
        Value::List(items) => items.join(","),
        Value::Listen(addresses) => {
            let all: Vec<String> = addresses.iter().map(address_words).collect();
            all.join(",")
        }
    }
}

fn address_words(address: &ListenAddress) -> String {
    match address.host.contains(':') {
        true => format!("[{}]:{}", address.host, address.port),
        false => format!("{}:{}", address.host, address.port),
    }
}

fn expected(what: &str, text: &str) -> Problem {
    Problem::new(format!("expected {what}, found {}", quoted(text)))
}

fn negative(text: &str) -> Problem {
    expected("a number that is not negative", text)
}

fn pool_size(text: &str, n: Option<i64>) -> Result<Value, Problem> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Value::PoolSize(PoolSize::Auto));
    }
    let n = n.ok_or_else(|| {
        expected("a whole number", text).help("write a number, or auto: it then finds the size")
    })?;
    match in_range(n, 1, 1_000_000)? {
        Value::Count(n) => Ok(Value::PoolSize(PoolSize::Fixed(n))),
        other => Ok(other),
    }
}

fn in_range(n: i64, min: u32, max: u32) -> Result<Value, Problem> {
    match u32::try_from(n) {
        Ok(n) if n >= min && n <= max => Ok(Value::Count(n)),
        _ => Err(Problem::new(format!("{n} is out of range"))
            .help(format!("write a number from {min} to {max}"))),
    }
}

fn limit(n: i64) -> Result<Value, Problem> {
    match u32::try_from(n) {
        Ok(0) => Err(Problem::new("there is no \"unlimited\" here")
            .why("an unlimited pool lets one surge drown the database server")
            .help("write a number above 0, or leave the key out: the next wider limit then holds")),
        Ok(n) if n <= 1_000_000 => Ok(Value::Limit(Some(n))),
        _ => {
            Err(Problem::new(format!("{n} is out of range"))
                .help("write a number from 1 to 1000000"))
        }
    }
}

fn mode(bits: Option<i64>, text: &str) -> Result<Value, Problem> {
    match bits.and_then(|n| u32::try_from(n).ok()) {
        Some(bits) if bits <= 0o777 => Ok(Value::Count(bits)),
        _ => Err(expected("permission bits from 0000 to 0777", text)
            .help("write octal, for example 0770")),
    }
}

fn choice(words: &'static [&'static str], text: &str) -> Result<Value, Problem> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let problem = Problem::new(format!(
        "{} is not one of the words allowed here",
        quoted(text)
    ));
    Err(match nearest(text, words.iter().copied()) {
        Some(word) => problem.help(format!("did you mean `{word}`?")),
        None => problem.help(format!("write one of: {}", words.join(", "))),
    })
}

fn list(text: &str) -> Result<Value, Problem> {
    let items: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .take(LIST_MAX + 1)
        .collect();
    if items.len() > LIST_MAX {
        return Err(Problem::new(format!("more than {LIST_MAX} elements")));
    }
    Ok(Value::List(items))
}

/// Digits in one base, nothing else.
fn whole(text: &str, base: u32) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    i64::from_str_radix(text, base).ok()
}

/// An integer as C's `strtol` reads it with base 0: `0x1f`, `017` and `15`.
/// PgBouncer reads the numbers of `[pgbouncer]` so.
pub(crate) fn ini_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let n = match hex {
        Some(hex) if !hex.starts_with('-') => whole(hex, 16)?,
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => whole(digits, 8)?,
        None => whole(digits, 10)?,
    };
    Some(if negative { -n } else { n })
}

fn size(text: &str) -> Result<Value, Problem> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: i64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    match whole(number, 10).and_then(|n| n.checked_mul(factor)) {
        Some(bytes) if factor > 0 => in_range(bytes, 1, u32::MAX),
        _ => Err(expected("a size", text)
            .help("write a number and one of B, KiB, MiB, GiB: for example \"64KiB\"")),
    }
}

fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:%*".contains(c);
    !text.is_empty() && text.len() <= 255 && text.chars().all(plain)
}

/// `host:port`, `[v6]:port` or `*:port`.
pub(crate) fn listen_address(text: &str) -> Result<ListenAddress, Problem> {
    let wrong = || {
        expected("a host and a port", text)
            .help("write for example \"127.0.0.1:6432\", \"[::1]:6432\" or \"*:6432\"")
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = whole(port, 10)
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match bare {
        Some(v6) => v6,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    if !is_host(host) {
        return Err(wrong());
    }
    Ok(ListenAddress {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
