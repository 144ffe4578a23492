//! Settings that stand in code (Python, JavaScript, Go, Ruby): parsed, never run.
//!
//! ```text
//!   text ─► syntax ─► Code: assignments, calls, maps, with places
//!                       │ scalar(): literals, constants assigned once,
//!                       ▼           defaults of environment variables
//!            django, sqlalchemy, drivers, node, golang … ─► Facts
//! ```
//!
//! What cannot be read off as plain data is unknown, and unknown is never
//! taken for the tool's default: such a pool, or such a time, is left out.

mod arithmetic;
mod django;
mod django_keys;
mod django_later;
mod drivers;
mod features;
mod go_dsn;
mod golang;
mod grammar;
mod gunicorn;
mod literals;
mod node;
mod node_orm;
mod options;
mod ruby;
mod sqlalchemy;
mod syntax;
#[cfg(test)]
mod tests;
mod times;

use crate::facts::Facts;
use crate::place::{FileId, Place};
use std::collections::BTreeMap;
use std::path::Path;

/// How far a value is followed through names and calls.
const FOLLOW_MAX: usize = 16;

/// Most entries that a map has once its spreads are filled in.
const ENTRIES_MAX: usize = 300;

/// Names for numbers that are meant as "no limit".
const ENDLESS: &[&str] = &[
    "Infinity",
    "Number.POSITIVE_INFINITY",
    "Number.MAX_SAFE_INTEGER",
    "Number.MAX_VALUE",
    "math.inf",
    "sys.maxsize",
    "math.MaxInt",
    "math.MaxInt32",
    "math.MaxInt64",
];

/// Most pools that are read from one file, by one reader.
const POOLS_MAX: usize = 200;

/// Words without which a file configures no pool.
const TELLING: &[&str] = &[
    "DATABASES",
    "SQLALCHEMY_",
    "create_engine",
    "create_async_engine",
    "ConnectionPool",
    "create_pool",
    "new Pool",
    "pg.Pool(",
    "Sequelize(",
    "SetMaxOpenConns",
    "sql.Open",
    "establish_connection",
    "Sequel.connect",
    "pgxpool.",
];

/// Reads a Python file.
pub(crate) fn python(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    let Some(code) = parsed(grammar::Language::Python, file, text, facts) else {
        return;
    };
    let first = facts.pools.len();
    django::read(&code, facts);
    sqlalchemy::read(&code, facts);
    drivers::read(&code, facts);
    gunicorn::read(&code, path, facts);
    features::read(&code, &mut facts.pools[first..]);
}

/// Reads a JavaScript or TypeScript file.
pub(crate) fn javascript(file: FileId, text: &str, facts: &mut Facts) {
    let Some(code) = parsed(grammar::Language::JavaScript, file, text, facts) else {
        return;
    };
    let first = facts.pools.len();
    node::read(&code, facts);
    node_orm::read(&code, facts);
    features::read(&code, &mut facts.pools[first..]);
}

/// Reads a Go file.
pub(crate) fn go(file: FileId, text: &str, facts: &mut Facts) {
    let Some(code) = parsed(grammar::Language::Go, file, text, facts) else {
        return;
    };
    let first = facts.pools.len();
    golang::read(&code, facts);
    features::read(&code, &mut facts.pools[first..]);
}

/// Reads a Ruby file.
pub(crate) fn ruby(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    if !ruby::tells(path, text) {
        return;
    }
    let Some(code) = parsed(grammar::Language::Ruby, file, text, facts) else {
        return;
    };
    let first = facts.pools.len();
    ruby::read(&code, path, facts);
    features::read(&code, &mut facts.pools[first..]);
}

/// Whether a Ruby file may hold settings.
pub(crate) fn ruby_tells(path: &Path, text: &str) -> bool {
    ruby::tells(path, text)
}

fn parsed<'a>(
    language: grammar::Language,
    file: FileId,
    text: &'a str,
    facts: &mut Facts,
) -> Option<Code<'a>> {
    match syntax::parse(language, file, text) {
        Ok(code) => Some(code),
        // A bundle or generated code is left alone, as whatever holds no pool.
        Err(why) => {
            if TELLING.iter().any(|word| text.contains(word)) {
                facts.broken.push((Place::whole(file), why.to_owned()));
            }
            None
        }
    }
}

/// An expression, as far as settings need it.
#[derive(Clone, Debug)]
struct Expr {
    place: Place,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Number(f64),
    Text(Text),
    Bool(bool),
    Null,
    Map(Vec<Entry>),
    /// A name, with dots: `os.environ`.
    Name(String),
    Call(Box<Call>),
    /// Two operands and what stands between them.
    Binary(String, Box<Expr>, Box<Expr>),
    /// Whatever else.
    Other,
}

/// A text between quotes, as written.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Text {
    text: String,
    /// The bytes at the place are the text, one by one.
    exact: bool,
    /// Something is filled in when it runs: an f-string, a template.
    filled: bool,
}

/// `key: value` of a map, `key=value` of a call.
#[derive(Clone, Debug)]
struct Entry {
    /// `None`: all entries of the value stand here (`**base`, `...base`).
    key: Option<String>,
    key_place: Place,
    value: Expr,
}

/// A call, also with `new`.
#[derive(Clone, Debug)]
struct Call {
    /// The function with dots; what is no name in it is `()`.
    function: String,
    place: Place,
    arguments: Vec<Expr>,
    named: Vec<Entry>,
    /// The nearest variable or key that the call's value goes to; may be empty.
    label: String,
    /// Where the function around it begins; 0 outside of all.
    scope: usize,
}

impl Call {
    /// The function without what stands before its last dot.
    fn last(&self) -> &str {
        last(&self.function)
    }

    /// What the pool is called: by its variable, else as given.
    fn name_or(&self, otherwise: &str) -> String {
        let name = last(&self.label);
        let is_name = name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
        match name {
            "" | "exports" => otherwise.to_owned(),
            name if is_name => name.to_owned(),
            _ => otherwise.to_owned(),
        }
    }

    /// A named argument.
    fn named(&self, key: &str) -> Option<&Expr> {
        let mut all = self.named.iter();
        let found = all.find(|entry| entry.key.as_deref() == Some(key));
        found.map(|entry| &entry.value)
    }
}

/// `a.b["c"] = value`.
#[derive(Clone, Debug)]
struct Assignment {
    path: Vec<String>,
    place: Place,
    value: Expr,
    scope: usize,
    in_class: bool,
}

/// A map with what may make it settings.
#[derive(Clone, Debug)]
struct Labelled {
    label: String,
    map: Expr,
}

/// What of a file can hold settings.
#[derive(Debug)]
struct Code<'a> {
    text: &'a str,
    assignments: Vec<Assignment>,
    calls: Vec<Call>,
    /// JavaScript's objects that look like a pool's options.
    maps: Vec<Labelled>,
    /// How often each name stands in the file.
    names: BTreeMap<&'a str, u32>,
    /// Names that are assigned once, and to which of the assignments.
    constants: BTreeMap<String, usize>,
}

/// A value that needs no running.
#[derive(Clone, PartialEq, Debug)]
enum Scalar {
    Number(f64),
    /// Nanoseconds: Go's `30 * time.Second`.
    Nanoseconds(f64),
    Text(Text),
    Bool(bool),
    Null,
    Unknown,
}

/// A value and the place that states it.
#[derive(Clone, PartialEq, Debug)]
struct Found {
    what: Scalar,
    place: Place,
    /// It is the default of an environment variable or of something unknown.
    is_default: bool,
}

impl Found {
    fn new(what: Scalar, place: &Place) -> Found {
        Found {
            what,
            place: place.clone(),
            is_default: false,
        }
    }

    fn text(&self) -> Option<&Text> {
        match &self.what {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As a number; texts of digits too, as they come from environments.
    fn number(&self) -> Option<f64> {
        match &self.what {
            Scalar::Number(n) => Some(*n),
            Scalar::Text(t) if !t.filled => t.text.trim().parse().ok(),
            _ => None,
        }
    }

    fn bool(&self) -> Option<bool> {
        match &self.what {
            Scalar::Bool(b) => Some(*b),
            Scalar::Text(t) => match t.text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" | "" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

impl<'a> Code<'a> {
    /// What an expression is worth, where that can be read off.
    fn scalar(&self, expr: &Expr) -> Found {
        self.follow(expr, 0)
    }

    fn follow(&self, expr: &Expr, depth: usize) -> Found {
        let unknown = Found::new(Scalar::Unknown, &expr.place);
        if depth > FOLLOW_MAX {
            return unknown;
        }
        match &expr.what {
            What::Number(n) => Found::new(Scalar::Number(*n), &expr.place),
            What::Text(text) => Found::new(Scalar::Text(text.clone()), &expr.place),
            What::Bool(b) => Found::new(Scalar::Bool(*b), &expr.place),
            What::Null => Found::new(Scalar::Null, &expr.place),
            What::Name(name) => match (arithmetic::nanoseconds(name), self.constant(name)) {
                (Some(ns), _) => Found::new(Scalar::Nanoseconds(ns), &expr.place),
                _ if ENDLESS.contains(&name.as_str()) => {
                    Found::new(Scalar::Number(f64::INFINITY), &expr.place)
                }
                (None, Some(value)) => self.follow(value, depth + 1),
                (None, None) => unknown,
            },
            What::Binary(operator, left, right) => {
                let left = self.follow(left, depth + 1);
                let right = self.follow(right, depth + 1);
                arithmetic::binary(operator, left, right, &expr.place)
            }
            What::Call(call) => self.worth(call, depth).unwrap_or(unknown),
            What::Map(_) | What::Other => unknown,
        }
    }

    /// What a call gives: conversions, and readers of the environment.
    fn worth(&self, call: &Call, depth: usize) -> Option<Found> {
        let first = call.arguments.first();
        let follow = |expr: &Expr| self.follow(expr, depth + 1);
        let function = call.function.to_ascii_lowercase();
        if function.contains("env") || function == "config" {
            if !matches!(first?.what, What::Text(_) | What::Name(_)) {
                return None;
            }
            let found = follow(call.named("default").or(call.arguments.get(1))?);
            return Some(Found {
                is_default: true,
                ..found
            });
        }
        match call.last() {
            "int" | "float" | "Integer" | "Float" | "Number" | "parseInt" | "parseFloat"
            | "int32" | "int64" | "uint32" | "uint64" => {
                let found = follow(first?);
                let number = match found.what {
                    Scalar::Nanoseconds(_) => return Some(found),
                    _ => found.number()?,
                };
                Some(Found {
                    what: Scalar::Number(number),
                    ..found
                })
            }
            "Duration" | "str" | "String" | "bool" | "Boolean" => Some(follow(first?)),
            // Pydantic's: the first argument is the default.
            "Field" => Some(follow(call.named("default").or(first)?)),
            "timedelta" => self.timedelta(call, depth),
            _ => None,
        }
    }

    /// Python's, in seconds.
    fn timedelta(&self, call: &Call, depth: usize) -> Option<Found> {
        let mut seconds = 0.0;
        for entry in &call.named {
            let unit = match entry.key.as_deref()? {
                "milliseconds" => 0.001,
                "seconds" => 1.0,
                "minutes" => 60.0,
                "hours" => 3_600.0,
                "days" => 86_400.0,
                _ => return None,
            };
            seconds += unit * self.follow(&entry.value, depth + 1).number()?;
        }
        let readable = call.arguments.is_empty();
        readable.then(|| Found::new(Scalar::Number(seconds), &call.place))
    }

    /// The value of a name that is assigned once. A dotted one is a class's:
    /// `settings.POOL_SIZE`.
    fn constant(&self, name: &str) -> Option<&Expr> {
        let assignment = self.assignments.get(*self.constants.get(last(name))?)?;
        let reachable = assignment.in_class || !name.contains('.');
        reachable.then_some(&assignment.value)
    }

    /// A map behind names, with its spreads filled in; a later key wins.
    /// `None`: no map. The flag says that all of it is known.
    fn map<'e>(&'e self, expr: &'e Expr) -> Option<(Vec<&'e Entry>, bool)> {
        let What::Map(entries) = &self.behind(expr).what else {
            return None;
        };
        let mut all = Vec::new();
        let whole = self.fill(entries, &mut all, 0);
        Some((all, whole))
    }

    /// Adds the entries, those of spreads in their stead.
    fn fill<'e>(&'e self, entries: &'e [Entry], all: &mut Vec<&'e Entry>, depth: usize) -> bool {
        let mut whole = true;
        for entry in entries {
            if all.len() >= ENTRIES_MAX {
                return false;
            }
            match (&entry.key, &self.behind(&entry.value).what) {
                (Some(key), _) => {
                    all.retain(|other| other.key.as_ref() != Some(key));
                    all.push(entry);
                }
                (None, What::Map(inner)) if depth < FOLLOW_MAX => {
                    whole &= self.fill(inner, all, depth + 1);
                }
                (None, _) => whole = false,
            }
        }
        whole
    }

    /// What a name stands for, itself where it stands for nothing known.
    fn behind<'e>(&'e self, expr: &'e Expr) -> &'e Expr {
        let mut at = expr;
        for _ in 0..FOLLOW_MAX {
            let What::Name(name) = &at.what else { break };
            let Some(value) = self.constant(name) else {
                break;
            };
            at = value;
        }
        at
    }

    /// The file says one of these words somewhere.
    fn mentions(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

/// What stands behind the last dot.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
