//! Values as settings files write them: counts, times, switches, references to
//! variables with a default.

use crate::facts::{Facts, Limit, Odd, Pool, Target, Timeouts, Tool, Value, Wait};
use crate::place::Place;
use std::ops::Range;
use std::time::Duration;

/// How often a default may be a reference again: `${A:-${B:-5}}`.
const REFERENCES_MAX: usize = 4;
/// Values that are noted as a variable's default.
const VARIABLES_MAX: usize = 5_000;
/// Below this many milliseconds somebody thought of another unit.
pub(crate) const MILLISECONDS_MIN: u64 = 250;

/// A scalar of a file, with its place. It may be a secret: no Debug.
#[derive(Clone)]
pub(crate) struct Word {
    /// What it says, quotes and escapes removed.
    pub text: String,
    /// Its bytes, without quotes.
    pub place: Place,
    /// The environment variable whose default it is.
    pub variable: Option<String>,
}

/// Where a parser stopped, as at least one whole character: an empty stretch
/// would mean the file as a whole.
pub(crate) fn visible(text: &str, range: Range<usize>) -> Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let last = text.chars().next_back().map_or(0, char::len_utf8);
    let start = boundary(range.start).min(text.len() - last);
    let first = text.get(start..).and_then(|t| t.chars().next());
    let end = start + first.map_or(0, char::len_utf8);
    start..boundary(range.end).max(end)
}

/// What a plain number of a time counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
        }
    }
}

impl Word {
    pub fn new(text: impl Into<String>, place: Place) -> Word {
        Word {
            text: text.into(),
            place,
            variable: None,
        }
    }

    /// The place of a part of it. Escapes make the text shorter than its
    /// place; then the whole is meant.
    pub fn part(&self, range: Range<usize>) -> Place {
        if self.place.range.len() != self.text.len() || range.end > self.text.len() {
            return self.place.clone();
        }
        let start = self.place.range.start;
        Place::new(self.place.file, start + range.start..start + range.end)
    }

    /// A part of it as a word.
    pub fn sub(&self, range: Range<usize>) -> Option<Word> {
        let text = self.text.get(range.clone())?;
        Some(Word {
            text: text.to_owned(),
            place: self.part(range),
            variable: self.variable.clone(),
        })
    }

    /// Without the space around it.
    fn trimmed(&self) -> Word {
        let start = self.text.len() - self.text.trim_start().len();
        let end = start + self.text.trim().len();
        self.sub(start..end).unwrap_or_else(|| self.clone())
    }

    /// The text that holds where no variable is set. `None`: it is kept elsewhere.
    pub fn literal(&self) -> Option<Word> {
        let mut word = self.trimmed();
        for _ in 0..REFERENCES_MAX {
            let Some(body) = word
                .text
                .strip_prefix("${")
                .and_then(|t| t.strip_suffix('}'))
            else {
                break;
            };
            let (name, at) = reference(body)?;
            let name = name.to_owned();
            let end = word.text.len() - 1;
            word = word.sub(at + 2..end)?;
            word.variable.get_or_insert(name);
        }
        let elsewhere = ["$", "{{", "%(", "<"];
        let known = !elsewhere.iter().any(|mark| word.text.starts_with(mark));
        known.then_some(word)
    }

    /// A whole number; anything else that is written out is odd.
    pub fn count(&self, tool: Tool, facts: &mut Facts) -> Option<Value<u64>> {
        let word = self.literal()?;
        match number(&word.text) {
            Some(n) => Some(Value::stated(n, word.noted(facts))),
            None => {
                facts.odd.push(Odd {
                    tool,
                    place: word.place,
                    what: "a whole number from 0 is expected".to_owned(),
                    help: "write the number without a unit".to_owned(),
                });
                None
            }
        }
    }

    /// A count where 0 means as many as are asked for.
    pub fn limit(&self, tool: Tool, facts: &mut Facts) -> Option<Value<Limit>> {
        let count = self.count(tool, facts)?;
        let value = match count.value {
            0 | ENDLESS.. => Limit::Unlimited,
            n => Limit::Of(n),
        };
        Some(Value {
            value,
            origin: count.origin,
        })
    }

    /// A switch, as YAML, Ruby and people write it.
    pub fn switch(&self) -> Option<Value<bool>> {
        let word = self.literal()?;
        let value = match word.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => true,
            "false" | "no" | "off" | "0" => false,
            _ => return None,
        };
        Some(Value::stated(value, word.place))
    }

    /// A plain number of the unit; 0 is off. Anything else is odd.
    pub fn time(&self, tool: Tool, unit: Unit, facts: &mut Facts) -> Option<Value<Wait>> {
        let word = self.literal()?;
        let time = match unit {
            Unit::Milliseconds => number(&word.text).map(Duration::from_millis),
            Unit::Seconds => word.text.parse::<f64>().ok().and_then(duration),
        };
        let Some(time) = time else {
            facts.odd.push(Odd {
                tool,
                place: word.place,
                what: format!("a plain number of {} is expected", unit.name()),
                help: format!("write the {} without a unit", unit.name()),
            });
            return None;
        };
        Some(Value::stated(wait(time), word.noted(facts)))
    }

    /// Notes the variable that would replace it; the place.
    fn noted(self, facts: &mut Facts) -> Place {
        if let Some(name) = self.variable {
            let entry = (self.place.clone(), name);
            if facts.variables.len() < VARIABLES_MAX && !facts.variables.contains(&entry) {
                facts.variables.push(entry);
            }
        }
        self.place
    }
}

/// The name, and where the default begins, of what stands in `${…}`.
fn reference(body: &str) -> Option<(&str, usize)> {
    let (name, at) = match body.split_once(':') {
        Some((name, rest)) if rest.starts_with('-') => (name, name.len() + 2),
        Some((_, rest)) if rest.starts_with(['?', '+']) => return None,
        Some((name, _)) => (name, name.len() + 1),
        // Spring's names have dashes and no such default.
        None => {
            let (name, _) = body.split_once('-')?;
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if !name.chars().all(plain) {
                return None;
            }
            (name, name.len() + 1)
        }
    };
    Some((name, at))
}

/// A whole number; YAML and Ruby allow `30_000`.
pub(crate) fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    if !digit {
        return None;
    }
    match text.contains('_') {
        true => text.replace('_', "").parse().ok(),
        false => text.parse().ok(),
    }
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// 0 is off.
pub(crate) fn wait(time: Duration) -> Wait {
    match time.is_zero() {
        true => Wait::Forever,
        false => Wait::For(time),
    }
}

/// A time as PostgreSQL reads it: milliseconds when no unit stands there.
pub(crate) fn postgres_time(text: &str) -> Option<Wait> {
    // Ruby's numbers in templates: 10_000.
    let text = text.replace('_', "");
    let text = text.trim().trim_matches(['\'', '"']).trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let amount: f64 = text.get(..end)?.parse().ok()?;
    let factor = match text.get(end..)?.trim() {
        "" | "ms" => 0.001,
        "us" => 0.000_001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    duration(amount * factor).map(wait)
}

/// One of PostgreSQL's own timeouts, written in an application's settings.
pub(crate) fn postgres_timeout(word: &Word, tool: Tool, facts: &mut Facts) -> Option<Value<Wait>> {
    let word = word.literal()?;
    let odd = |what: String, help: &str| Odd {
        tool,
        place: word.place.clone(),
        what,
        help: help.to_owned(),
    };
    let Some(time) = postgres_time(&word.text) else {
        facts.odd.push(odd(
            "PostgreSQL does not read this as a time".to_owned(),
            "write a number of milliseconds, or a unit: 30s",
        ));
        return None;
    };
    if let Some(n) = number(&word.text)
        && (1..MILLISECONDS_MIN).contains(&n)
    {
        facts.odd.push(odd(
            format!("{n} means {n} milliseconds here"),
            "write the unit: 30s",
        ));
    }
    Some(Value::stated(time, word.noted(facts)))
}

/// `-c name=value` and `--name=value` in libpq's `options`, percent signs undone.
pub(crate) fn options(text: &str) -> Vec<(String, String)> {
    let text = text.replace("%20", " ").replace('+', " ");
    let text = text.replace("%3D", "=").replace("%3d", "=");
    let pairs = text.split_whitespace().filter_map(|word| {
        let word = word.strip_prefix("--").unwrap_or(word);
        let word = word.strip_prefix("-c").unwrap_or(word);
        let (key, value) = word.split_once('=')?;
        Some((key.replace('-', "_"), value.to_owned()))
    });
    pairs.collect()
}

/// Milliseconds that look like seconds.
pub(crate) fn short(tool: Tool, key: &str, word: &Word, facts: &mut Facts) {
    let Some(n) = word.literal().and_then(|w| number(&w.text)) else {
        return;
    };
    let known = facts.odd.iter().any(|odd| odd.place == word.place);
    if (1..MILLISECONDS_MIN).contains(&n) && !known {
        facts.odd.push(Odd {
            tool,
            place: word.place.clone(),
            what: format!("`{key}` is in milliseconds: {n} milliseconds"),
            help: format!("for {n} seconds write {}", n * 1000),
        });
    }
}

/// A pool of which only the size is known yet.
pub(crate) fn pool(tool: Tool, name: impl Into<String>, place: Place, size: Value<Limit>) -> Pool {
    Pool {
        tool,
        name: name.into(),
        place,
        size,
        extra: None,
        min: None,
        cap: None,
        clients: None,
        times: 1,
        mode: None,
        keeps_prepared: None,
        timeouts: Timeouts::default(),
        needs: Vec::new(),
        target: Target::default(),
    }
}

/// The largest number of many a language: nobody counts so far.
const ENDLESS: u64 = i32::MAX as u64;

/// A count as a limit: 0 means none at all, the largest integer no limit.
pub(crate) fn at_most(count: Value<u64>) -> Value<Limit> {
    let value = match count.value {
        ENDLESS.. => Limit::Unlimited,
        n => Limit::Of(n),
    };
    Value {
        value,
        origin: count.origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::FileId;

    fn word(text: &str) -> Word {
        Word::new(text, Place::new(FileId(0), 10..10 + text.len()))
    }

    #[test]
    fn a_reference_with_a_default_says_the_default_at_its_place() {
        for (text, expected) in [
            ("10", Some(("10", 10, None))),
            ("${DB_POOL:-12}", Some(("12", 21, Some("DB_POOL")))),
            ("${DB_POOL-12}", Some(("12", 20, Some("DB_POOL")))),
            ("${db-pool.size:12}", Some(("12", 25, Some("db-pool.size")))),
            ("${A:-${B:-7}}", Some(("7", 20, Some("A")))),
            ("${A}", None),
            ("${db-pool}", None),
            ("${A:?must be set}", None),
            ("$A", None),
            ("$(A)", None),
            ("$_______", None),
        ] {
            let found = word(text).literal();
            let found = found.as_ref().map(|w| {
                let name = w.variable.as_deref();
                (w.text.as_str(), w.place.range.start, name)
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_odd_and_what_is_not_known_is_not() {
        let mut facts = Facts::default();
        assert_eq!(
            word("1_000").count(Tool::Rails, &mut facts).unwrap().value,
            1000
        );
        assert!(word("${X}").count(Tool::Rails, &mut facts).is_none());
        assert!(facts.odd.is_empty());
        for text in ["many", "-1", "10 connections", "99999999999999999999999"] {
            assert!(
                word(text).count(Tool::Rails, &mut facts).is_none(),
                "{text}"
            );
        }
        assert_eq!(facts.odd.len(), 4);
        assert_eq!(facts.odd[0].place.range, 10..14);
    }

    #[test]
    fn times_have_the_unit_of_their_tool() {
        let mut facts = Facts::default();
        let mut time = |text: &str, unit| {
            let found = word(text).time(Tool::Hikari, unit, &mut facts);
            found.map(|v| v.value)
        };
        let five = Wait::For(Duration::from_secs(5));
        assert_eq!(time("5000", Unit::Milliseconds), Some(five));
        assert_eq!(time("5.0", Unit::Seconds), Some(five));
        assert_eq!(time("0", Unit::Seconds), Some(Wait::Forever));
        assert_eq!(time("30s", Unit::Milliseconds), None);
        assert_eq!(time("-1", Unit::Seconds), None);
        assert_eq!(facts.odd.len(), 2);
    }

    #[test]
    fn postgres_reads_units() {
        let s = |n| Some(Wait::For(Duration::from_millis(n)));
        for (text, expected) in [
            ("5000", s(5000)),
            ("'30s'", s(30_000)),
            ("2min", s(120_000)),
            ("0", Some(Wait::Forever)),
            ("30 seconds", None),
            ("", None),
            ("1e400h", None),
        ] {
            assert_eq!(postgres_time(text), expected, "{text}");
        }
        let pairs = options("-c%20statement_timeout=5s -cidle_in_transaction_session_timeout=1");
        assert_eq!(pairs[0], ("statement_timeout".to_owned(), "5s".to_owned()));
        assert_eq!(pairs[1].1, "1");
    }
}
