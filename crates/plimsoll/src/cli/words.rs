//! What a person writes for numbers and times.

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.trim_end_matches("/s").parse::<f64>() {
        Ok(n) if n.is_finite() && n > 0.0 => Ok(n),
        _ => Err("write a number above 0".to_owned()),
    }
}

/// Longer than a day nobody waits for an answer.
pub(super) fn measured(text: &str) -> Result<std::time::Duration, String> {
    match span(text) {
        Ok(time) if time > std::time::Duration::from_secs(86_400) => {
            Err("at most a day".to_owned())
        }
        other => other,
    }
}

pub(super) fn span(text: &str) -> Result<std::time::Duration, String> {
    match config::parse_duration(text) {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err("write a number and a unit, as 20ms or 1.5s".to_owned()),
    }
}

pub(super) fn time(text: &str) -> Result<String, String> {
    match config::parse_duration(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("write a number and one of s, m, h, as 30m".to_owned()),
    }
}
