//! A measured value, and what it is compared with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a value counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    #[default]
    Count,
    /// Microseconds.
    Micros,
    /// Seconds.
    Seconds,
    /// In a second.
    PerSecond,
    /// Hundredths of the whole.
    Percent,
    /// Times as much.
    Times,
    /// Bytes.
    Bytes,
}

/// One measurement that a verdict cites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// What was measured: a stable name, as in the table of measurements.
    pub name: String,
    /// Whose: a pool, an application, a server; empty for all.
    pub of: String,
    /// The value.
    pub value: f64,
    /// Its unit, and that of what it is compared with.
    pub unit: Unit,
    /// What it is compared with ("usual", "limit", "line") and that value.
    pub against: Option<(String, f64)>,
}

impl Figure {
    /// A value by itself.
    pub fn new(name: &str, value: f64, unit: Unit) -> Figure {
        Figure {
            name: name.to_owned(),
            of: String::new(),
            value,
            unit,
            against: None,
        }
    }

    /// Of whom.
    #[must_use]
    pub fn of(mut self, whose: &str) -> Figure {
        self.of = whose.to_owned();
        self
    }

    /// What it is compared with.
    #[must_use]
    pub fn against(mut self, what: &str, value: f64) -> Figure {
        self.against = Some((what.to_owned(), value));
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.replace('_', " "))?;
        if !self.of.is_empty() {
            write!(f, " of {}", self.of)?;
        }
        f.write_str(" ")?;
        write_value(f, self.value, self.unit)?;
        if let Some((what, value)) = &self.against {
            write!(f, " ({what} ")?;
            write_value(f, *value, self.unit)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: f64, unit: Unit) -> fmt::Result {
    match unit {
        Unit::Count => plain(f, value),
        Unit::PerSecond => plain(f, value).and_then(|()| f.write_str("/s")),
        Unit::Percent => plain(f, value).and_then(|()| f.write_str(" %")),
        Unit::Times => plain(f, value).and_then(|()| f.write_str(" ×")),
        Unit::Bytes if value >= 1024.0 * 1024.0 => write!(f, "{:.1} MiB", value / 1_048_576.0),
        Unit::Bytes => write!(f, "{value:.0} bytes"),
        Unit::Seconds => write_span(f, value * 1e6),
        Unit::Micros => write_span(f, value),
    }
}

/// Whole where it is large, else two significant digits.
fn plain(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    match value.abs() {
        v if v >= 10.0 || v.fract() == 0.0 => write!(f, "{value:.0}"),
        v if v >= 1.0 => write!(f, "{value:.1}"),
        _ => write!(f, "{value:.2}"),
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, us: f64) -> fmt::Result {
    match us.abs() {
        v if v < 1e3 => write!(f, "{us:.0} µs"),
        v if v < 1e4 => write!(f, "{:.1} ms", us / 1e3),
        v if v < 1e6 => write!(f, "{:.0} ms", us / 1e3),
        v if v < 1.2e8 => write!(f, "{:.1} s", us / 1e6),
        v if v < 7.2e9 => write!(f, "{:.0} min", us / 6e7),
        _ => write!(f, "{:.1} h", us / 3.6e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_sentences() {
        let table = [
            (
                Figure::new("used", 20.0, Unit::Count)
                    .of("shop/web")
                    .against("limit", 20.0),
                "used of shop/web 20 (limit 20)",
            ),
            (
                Figure::new("service_p50", 1_900.0, Unit::Micros).against("usual", 850.0),
                "service p50 1.9 ms (usual 850 µs)",
            ),
            (
                Figure::new("waiting", 0.25, Unit::PerSecond),
                "waiting 0.25/s",
            ),
            (
                Figure::new("full_in", 1_260.0, Unit::Seconds),
                "full in 21 min",
            ),
        ];
        for (figure, text) in table {
            assert_eq!(figure.to_string(), text);
        }
    }
}
