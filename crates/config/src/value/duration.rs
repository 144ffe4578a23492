//! How each dialect writes times.

use super::{expected, negative};
use crate::error::{Problem, quoted};
use std::time::Duration;

/// Longest duration that a setting may state: about 24.8 days, the longest
/// that PostgreSQL's own millisecond timeouts can hold.
const DURATION_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// Seconds with an optional fraction, as PgBouncer writes times.
pub(crate) fn seconds(text: &str) -> Result<Duration, Problem> {
    if text.starts_with('-') {
        return Err(negative(text));
    }
    decimal(text)
        .ok_or_else(|| {
            let problem = expected("a number of seconds", text);
            match duration(text) {
                Ok(time) => problem.help(format!(
                    "write `{}`: pgbouncer.ini has no units",
                    plain_seconds(time)
                )),
                Err(_) => problem,
            }
        })
        .and_then(|(whole, nanos)| bounded(Duration::new(whole, nanos)))
}

/// `12`, `12.5`: whole part and the fraction in billionths.
fn decimal(text: &str) -> Option<(u64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    Some((whole, nanos.parse().ok()?))
}

pub(super) fn bounded(time: Duration) -> Result<Duration, Problem> {
    if time > DURATION_MAX {
        let problem = Problem::new("longer than 24 days");
        return Err(problem.help("write a shorter time, or turn the setting off where it can be"));
    }
    Ok(time)
}

/// A number with a unit: `250ms`, `1.5s`, `30s`, `5min`, `2h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Problem> {
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number = number.trim_end();
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if decimal(number).is_some() => {
            return Err(Problem::new(format!("{} has no unit", quoted(number)))
                .why("a bare number does not say whether seconds or milliseconds are meant")
                .help(format!("write \"{number}s\" for seconds")));
        }
        _ => return Err(duration_expected(text)),
    };
    let (whole, nanos) = decimal(number).ok_or_else(|| duration_expected(text))?;
    let fraction_micros = u64::from(nanos / 1000) * millis / 1000;
    let micros = whole
        .checked_mul(millis)
        .and_then(|ms| ms.checked_mul(1000))
        .and_then(|us| us.checked_add(fraction_micros));
    bounded(micros.map_or(Duration::MAX, Duration::from_micros))
}

fn duration_expected(text: &str) -> Problem {
    expected("a duration", text)
        .help("write a number and one of ms, s, min, h, d: for example \"30s\"")
}

/// Seconds without a unit and without needless zeros.
pub(super) fn plain_seconds(time: Duration) -> String {
    let text = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn duration_words(time: Duration) -> String {
    let (secs, micros) = (time.as_secs(), time.subsec_micros());
    match () {
        () if micros > 0 && micros % 1000 == 0 => format!("{}ms", time.as_millis()),
        () if micros > 0 => format!("{}s", plain_seconds(time)),
        () if secs > 0 && secs % 86_400 == 0 => format!("{}d", secs / 86_400),
        () if secs > 0 && secs % 3600 == 0 => format!("{}h", secs / 3600),
        () if secs >= 600 && secs % 60 == 0 => format!("{}min", secs / 60),
        () => format!("{secs}s"),
    }
}
