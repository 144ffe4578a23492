//! Times as tools write them, and those that can only be meant in another unit.

use super::Text;
use crate::facts::{Facts, Odd, Timeouts, Tool, Value, Wait};
use crate::place::Place;
use std::time::Duration;

/// In what a tool counts its times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// What 0 means for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Zero {
    /// Off, without an end.
    Forever,
    /// Not at all, at once.
    None,
}

/// A time this long is an hour or more, and none that a person waits.
const WAIT_S_MAX: f64 = 3_600.0;

/// A connection's age beyond a day, in whole thousands, is milliseconds.
const AGE_S_MAX: f64 = 99_999.0;

/// No timeout of a database is meant to be this short.
const MEANT_MS_MIN: f64 = 100.0;

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "seconds",
            Unit::Milliseconds => "milliseconds",
        }
    }
}

pub(super) fn wait(number: f64, unit: Unit, zero: Zero) -> Wait {
    let seconds = match unit {
        Unit::Seconds => number,
        Unit::Milliseconds => number / 1_000.0,
    };
    if number == 0.0 && zero == Zero::None {
        return Wait::For(Duration::ZERO);
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Wait::For(time),
        // Negative, zero, or longer than anything lasts.
        _ => Wait::Forever,
    }
}

/// A default time.
pub(super) fn default_s(seconds: u64, whose: &'static str) -> Option<Value<Wait>> {
    Some(Value::default(
        Wait::For(Duration::from_secs(seconds)),
        whose,
    ))
}

/// A default without an end.
pub(super) fn default_forever(whose: &'static str) -> Option<Value<Wait>> {
    Some(Value::default(Wait::Forever, whose))
}

/// Says when a time can only be meant in another unit.
pub(super) fn odd_time(
    tool: Tool,
    key: &str,
    number: f64,
    unit: Unit,
    place: &Place,
    facts: &mut Facts,
) {
    let is_age = ["age", "life", "idle", "recycle"]
        .iter()
        .any(|w| key.to_ascii_lowercase().contains(w) && !key.contains("transaction"));
    let (what, help) = match unit {
        Unit::Milliseconds if number > 0.0 && number < MEANT_MS_MIN => (
            format!("`{key}` is in milliseconds: {number} means {number} ms"),
            format!("write {} for {number} seconds", number * 1_000.0),
        ),
        Unit::Seconds
            if number % 1_000.0 == 0.0 && number > if is_age { AGE_S_MAX } else { WAIT_S_MAX } =>
        {
            (
                format!("`{key}` is in seconds: {number} means {}", spoken(number)),
                format!("write {} for {number} ms", number / 1_000.0),
            )
        }
        _ => return,
    };
    facts.odd.push(Odd {
        tool,
        place: place.clone(),
        what,
        help,
    });
}

/// Seconds as a person says them.
fn spoken(seconds: f64) -> String {
    match seconds {
        s if s >= 172_800.0 => format!("{:.0} days", s / 86_400.0),
        s if s >= 7_200.0 => format!("{:.1} hours", s / 3_600.0),
        s => format!("{:.0} minutes", s / 60.0),
    }
}

/// libpq's `options`: `-c statement_timeout=30000`, in milliseconds or with a unit.
pub(super) fn startup(
    tool: Tool,
    text: &Text,
    place: &Place,
    times: &mut Timeouts,
    facts: &mut Facts,
) {
    let mut offset = 0;
    for raw in text.text.split_inclusive(char::is_whitespace) {
        let end = offset + raw.trim_end().len();
        offset += raw.len();
        let word = raw.trim_end();
        let word = word
            .strip_prefix("-c")
            .or(word.strip_prefix("--"))
            .unwrap_or(word);
        let Some((key, value)) = word.split_once('=') else {
            continue;
        };
        let start = place.range.start;
        let exact = Place::new(place.file, start + end - value.len()..start + end);
        let place = if text.exact { &exact } else { place };
        server_time(tool, key, value, place, times, facts);
    }
}

/// A timeout of the server that the application sets for itself.
pub(super) fn server_time(
    tool: Tool,
    key: &str,
    value: &str,
    place: &Place,
    times: &mut Timeouts,
    facts: &mut Facts,
) {
    let slot = match key {
        "statement_timeout" => &mut times.statement,
        "idle_in_transaction_session_timeout" => &mut times.idle_in_transaction,
        _ => return,
    };
    let value = value.trim_matches(['\'', '"', ' ']);
    let digits = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let Ok(number) = number.parse::<f64>() else {
        return;
    };
    let ms = match unit.trim() {
        "" => {
            odd_time(tool, key, number, Unit::Milliseconds, place, facts);
            number
        }
        "ms" => number,
        "s" => number * 1_000.0,
        "min" => number * 60_000.0,
        "h" => number * 3_600_000.0,
        "d" => number * 86_400_000.0,
        _ => return,
    };
    *slot = Some(Value::stated(
        wait(ms, Unit::Milliseconds, Zero::Forever),
        place.clone(),
    ));
}
