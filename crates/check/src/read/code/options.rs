//! A tool's options as a map of keys, with what each key can be: absent,
//! there but unknown, or a value with its place.

use super::times::{Unit, Zero, odd_time, wait};
use super::{Code, Entry, Expr, Found, Scalar, Text};
use crate::facts::{Facts, Limit, Odd, Secret, Target, Tool, Unread, Value, Wait};
use crate::place::Place;
use crate::read::pgbouncer::distance;
use crate::read::url;

/// What a key says.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    /// The tool's default holds.
    Absent,
    /// Something that only a run can tell.
    Unknown,
    /// A value, or null, and where.
    Is(Found),
}

/// A count from here on bounds nothing: the largest numbers of a language.
const ENDLESS_MIN: f64 = 1e9;

/// The options of one pool.
pub(super) struct Options<'e, 'a> {
    pub code: &'e Code<'a>,
    pub tool: Tool,
    entries: Vec<&'e Entry>,
    /// Entries may be missing here: `**something_unknown`.
    whole: bool,
}

impl<'e, 'a> Options<'e, 'a> {
    /// The entries of a map; `None` where it is none.
    pub fn of(code: &'e Code<'a>, tool: Tool, map: &'e Expr) -> Option<Options<'e, 'a>> {
        let (entries, whole) = code.map(map)?;
        Some(Options {
            code,
            tool,
            entries,
            whole,
        })
    }

    /// The named arguments of a call.
    pub fn named(code: &'e Code<'a>, tool: Tool, named: &'e [Entry]) -> Options<'e, 'a> {
        let mut entries = Vec::new();
        let whole = code.fill(named, &mut entries, 0);
        Options {
            code,
            tool,
            entries,
            whole,
        }
    }

    /// No entries at all.
    pub fn none(code: &'e Code<'a>, tool: Tool) -> Options<'e, 'a> {
        Options::named(code, tool, &[])
    }

    /// The same entries as another tool reads them.
    pub fn of_tool(self, tool: Tool) -> Options<'e, 'a> {
        Options { tool, ..self }
    }

    /// Certainly nothing in it.
    pub fn is_empty(&self) -> bool {
        self.whole && self.entries.is_empty()
    }

    pub fn entry(&self, key: &str) -> Option<&'e Entry> {
        let mut all = self.entries.iter();
        all.find(|e| e.key.as_deref() == Some(key)).copied()
    }

    pub fn get(&self, key: &str) -> Option<&'e Expr> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A map inside this one.
    pub fn inner(&self, key: &str) -> Option<Options<'e, 'a>> {
        Options::of(self.code, self.tool, self.get(key)?)
    }

    pub fn keys(&self) -> impl Iterator<Item = (&'e str, &'e Entry)> {
        self.entries
            .iter()
            .filter_map(|e| Some((e.key.as_deref()?, *e)))
    }

    pub fn said(&self, key: &str) -> Said {
        let Some(expr) = self.get(key) else {
            return match self.whole {
                true => Said::Absent,
                false => Said::Unknown,
            };
        };
        match self.code.scalar(expr) {
            found if found.what == Scalar::Unknown => Said::Unknown,
            found => Said::Is(found),
        }
    }

    /// A text that is known.
    pub fn text(&self, key: &str) -> Option<(Text, Place)> {
        let found = self.code.scalar(self.get(key)?);
        let place = found.place.clone();
        found.text().cloned().map(|text| (text, place))
    }

    /// Whether the key is there and true.
    pub fn is_true(&self, key: &str) -> bool {
        let found = self.get(key).map(|expr| self.code.scalar(expr));
        found.and_then(|found| found.bool()) == Some(true)
    }

    /// A count. `None`: not known. What is no count is odd.
    pub fn count(
        &self,
        key: &str,
        default: Value<Limit>,
        of: impl Fn(f64) -> Limit,
        facts: &mut Facts,
    ) -> Option<Value<Limit>> {
        let found = match self.said(key) {
            Said::Absent => return Some(default),
            Said::Unknown => return None,
            Said::Is(found) if found.what == Scalar::Null => return Some(default),
            Said::Is(found) => found,
        };
        match found.number() {
            Some(n) if n >= ENDLESS_MIN => Some(Value::stated(Limit::Unlimited, found.place)),
            Some(n) if n.fract() == 0.0 => Some(Value::stated(of(n), found.place)),
            _ => {
                facts.odd.push(Odd {
                    tool: self.tool,
                    place: found.place,
                    what: format!("`{key}` is a whole number"),
                    help: String::new(),
                });
                None
            }
        }
    }

    /// A count from 0 that has no word for "no end".
    pub fn least(&self, key: &str, default: Value<u64>, facts: &mut Facts) -> Option<Value<u64>> {
        let as_limit = Value {
            value: Limit::Of(default.value),
            origin: default.origin,
        };
        let found = self.count(key, as_limit, |n| Limit::Of(whole(n)), facts)?;
        Some(Value {
            value: found.value.number().unwrap_or(0),
            origin: found.origin,
        })
    }

    /// A time. Where it is not there, the default; where it is not known, none.
    pub fn time(
        &self,
        key: &str,
        (unit, zero): (Unit, Zero),
        default: Option<Value<Wait>>,
        facts: &mut Facts,
    ) -> Option<Value<Wait>> {
        let found = match self.said(key) {
            Said::Absent => return default,
            Said::Unknown => return None,
            Said::Is(found) => found,
        };
        if matches!(found.what, Scalar::Null | Scalar::Bool(false)) {
            return Some(Value::stated(Wait::Forever, found.place));
        }
        let Some(number) = found.number() else {
            let unit = unit.name();
            facts.odd.push(Odd {
                tool: self.tool,
                place: found.place,
                what: format!("`{key}` is a number of {unit}"),
                help: format!("write the {unit} as a plain number"),
            });
            return None;
        };
        odd_time(self.tool, key, number, unit, &found.place, facts);
        Some(Value::stated(wait(number, unit, zero), found.place))
    }

    /// Says that a key is read by nothing here, when it looks like a pool's:
    /// one of the `words`, or nearly one of the `known`.
    pub fn unread(&self, known: &[&str], words: &[&str], why: &str, facts: &mut Facts) {
        for (key, entry) in self.keys() {
            if known.contains(&key) {
                continue;
            }
            let lower = key.to_ascii_lowercase();
            let near = known
                .iter()
                .filter(|k| k.len().abs_diff(lower.len()) <= 2)
                .map(|k| (distance(&lower, &k.to_ascii_lowercase()), *k))
                .min()
                .filter(|(far, near)| *far <= 2 && near.len() > 5);
            if near.is_none() && !words.contains(&lower.as_str()) {
                continue;
            }
            facts.unread.push(Unread {
                tool: self.tool,
                place: entry.key_place.clone(),
                key: key.to_owned(),
                why: why.to_owned(),
                help: near.map_or(String::new(), |(_, near)| format!("did you mean `{near}`?")),
            });
        }
    }

    /// A password that stands there in full.
    pub fn secret(&self, key: &str, facts: &mut Facts) {
        if let Some(expr) = self.get(key) {
            let found = self.code.scalar(expr);
            if let Some(text) = found.text() {
                secret(text, &found, facts);
            }
        }
    }
}

/// A count without its fraction; what is below 0 is 0.
pub(super) fn whole(n: f64) -> u64 {
    // Saturates, so that no number is out of range.
    n as u64
}

/// Numbers above 0 are limits, the others none.
pub(super) fn limit_above_zero(n: f64) -> Limit {
    match n > 0.0 {
        true => limit_always(n),
        false => Limit::Unlimited,
    }
}

/// Every number is a limit, but those that are meant as none.
pub(super) fn limit_always(n: f64) -> Limit {
    match n >= ENDLESS_MIN {
        true => Limit::Unlimited,
        false => Limit::Of(whole(n)),
    }
}

/// Defaults of variables that are for a developer's own machine.
const FOR_DEVELOPERS: &[&str] = &[
    "postgres",
    "password",
    "passwd",
    "secret",
    "changeme",
    "change-me",
    "example",
    "test",
    "dev",
    "root",
    "admin",
    "user",
    "app",
    "local",
];

/// Keeps the place of a password; its text goes nowhere.
pub(super) fn secret(text: &Text, found: &Found, facts: &mut Facts) {
    let plain = text.text.as_str();
    let filled_in = text.filled || plain.starts_with('%') || plain.starts_with('{');
    let of_developer = found.is_default && FOR_DEVELOPERS.contains(&plain);
    if filled_in || of_developer || !url::is_secret(plain) {
        return;
    }
    facts.secrets.push(Secret {
        place: found.place.clone(),
        what: "a database user's password".to_owned(),
    });
}

/// A database URL that stands in the code: its scheme, where it leads, and its
/// parameters. Its password is kept as a secret's place.
pub(super) struct Address {
    pub scheme: String,
    pub target: Target,
    pub parameters: Vec<(String, String, Place)>,
    pub place: Place,
}

/// `None`: no PostgreSQL URL.
pub(super) fn address(found: &Found, facts: &mut Facts) -> Option<Address> {
    let text = found.text()?;
    let parsed = url::parse(&text.text, &found.place)?;
    if let Some(place) = parsed.password {
        let start = place.range.start - found.place.range.start;
        let password = text
            .text
            .get(start..start + place.range.len())
            .unwrap_or("");
        let part = Text {
            text: password.to_owned(),
            exact: text.exact,
            filled: text.filled && password.contains(['{', '$']),
        };
        // Where the bytes do not lie one by one, the whole text is masked.
        let place = if text.exact {
            place
        } else {
            found.place.clone()
        };
        let what = Scalar::Unknown;
        let is_default = found.is_default;
        secret(
            &part,
            &Found {
                what,
                place,
                is_default,
            },
            facts,
        );
    }
    let known = |part: &str| {
        let is_known = !part.is_empty() && !part.contains(['{', '$', '%', '<']);
        is_known.then(|| part.to_owned())
    };
    let stretch = |place: &Place| match text.exact {
        true => place.clone(),
        false => found.place.clone(),
    };
    Some(Address {
        scheme: parsed.scheme.to_owned(),
        target: Target {
            host: known(parsed.host),
            port: parsed.port,
            database: known(parsed.database),
        },
        parameters: parsed
            .parameters
            .iter()
            .map(|(key, value, place)| ((*key).to_owned(), (*value).to_owned(), stretch(place)))
            .collect(),
        place: found.place.clone(),
    })
}

/// Stands for a size that only a run can tell, while the rest of the options
/// is read for what is odd in it; such a pool is then left out.
pub(super) fn unknown() -> Value<Limit> {
    Value::default(Limit::Of(0), "not known")
}
