//! The text that Prometheus and its kin read, written once from front to back.
//!
//! A family is opened by its type and can then only take samples of that type,
//! so a counter without `_total` or a histogram without `+Inf` cannot be
//! written. Numbers are integers or microseconds; no float is ever printed.

use events::Histogram;
use std::fmt::Write;

/// The bounds of every histogram: the label as OpenMetrics wants it, and microseconds.
const BOUNDS: [(&str, u64); 21] = [
    ("0.00005", 50),
    ("0.0001", 100),
    ("0.00025", 250),
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1.0", 1_000_000),
    ("2.5", 2_500_000),
    ("5.0", 5_000_000),
    ("10.0", 10_000_000),
    ("30.0", 30_000_000),
    ("60.0", 60_000_000),
    ("120.0", 120_000_000),
    ("300.0", 300_000_000),
];

/// Which of the two text formats the reader asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' older text format, 0.0.4.
    Prometheus,
}

impl Format {
    /// Chosen by an HTTP `Accept` header: the older format only for a reader
    /// that asks for plain text and does not know OpenMetrics.
    pub fn accepted(accept: &str) -> Format {
        if accept.contains("text/plain") && !accept.contains("application/openmetrics-text") {
            Format::Prometheus
        } else {
            Format::OpenMetrics
        }
    }

    /// The `Content-Type` of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A label and its value; values are escaped, names are ours.
pub(crate) type Label<'a> = (&'static str, &'a str);

/// What OpenMetrics calls the unit: it must be the end of the family's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    None,
    Seconds,
    Bytes,
}

/// A sample's value.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    Count(u64),
    /// Printed in seconds.
    Micros(u64),
}

impl From<u64> for Value {
    fn from(n: u64) -> Value {
        Value::Count(n)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Value {
        Value::Count(n.into())
    }
}

/// The text under construction.
pub(crate) struct Encoder {
    out: String,
    format: Format,
}

/// An open family of counters.
pub(crate) struct Counters<'e>(&'e mut Encoder, &'static str);
/// An open family of gauges.
pub(crate) struct Gauges<'e>(&'e mut Encoder, &'static str);
/// An open family of histograms.
pub(crate) struct Histograms<'e>(&'e mut Encoder, &'static str);

impl Encoder {
    pub(crate) fn new(format: Format) -> Encoder {
        Encoder {
            out: String::with_capacity(16 << 10),
            format,
        }
    }

    /// Opens a family of counters; `name` comes without `_total`.
    pub(crate) fn counters(&mut self, name: &'static str, unit: Unit, help: &str) -> Counters<'_> {
        // The older format names the family as its samples are named.
        let suffix = if self.format == Format::Prometheus {
            "_total"
        } else {
            ""
        };
        self.header(name, suffix, "counter", unit, help);
        Counters(self, name)
    }

    /// Opens a family of gauges.
    pub(crate) fn gauges(&mut self, name: &'static str, unit: Unit, help: &str) -> Gauges<'_> {
        self.header(name, "", "gauge", unit, help);
        Gauges(self, name)
    }

    /// Opens a family of histograms of seconds.
    pub(crate) fn histograms(&mut self, name: &'static str, help: &str) -> Histograms<'_> {
        self.header(name, "", "histogram", Unit::Seconds, help);
        Histograms(self, name)
    }

    /// The finished text.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn header(&mut self, name: &str, suffix: &str, kind: &str, unit: Unit, help: &str) {
        debug_assert!(
            !help.contains(['\\', '\n', '"']),
            "help texts are ours and need no escapes"
        );
        self.push(&["# TYPE ", name, suffix, " ", kind, "\n"]);
        let unit = match unit {
            Unit::None => "",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
        };
        debug_assert!(name.ends_with(unit), "{name} must end in its unit");
        if !unit.is_empty() && self.format == Format::OpenMetrics {
            self.push(&["# UNIT ", name, " ", unit, "\n"]);
        }
        self.push(&["# HELP ", name, suffix, " ", help, "\n"]);
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[Label<'_>],
        extra: Option<Label<'_>>,
        value: Value,
    ) {
        self.push(&[name, suffix]);
        for (i, (key, text)) in labels.iter().copied().chain(extra).enumerate() {
            self.push(&[if i == 0 { "{" } else { "," }, key, "=\""]);
            self.escaped(text);
            self.out.push('"');
        }
        if !labels.is_empty() || extra.is_some() {
            self.out.push('}');
        }
        self.out.push(' ');
        self.value(value);
        self.out.push('\n');
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                _ => self.out.push(c),
            }
        }
    }

    fn value(&mut self, value: Value) {
        // Writing to a String cannot fail.
        let _ = match value {
            Value::Count(n) => write!(self.out, "{n}"),
            Value::Micros(us) if us % 1_000_000 == 0 => write!(self.out, "{}", us / 1_000_000),
            Value::Micros(us) => {
                let _ = write!(self.out, "{}.{:06}", us / 1_000_000, us % 1_000_000);
                let used = self.out.trim_end_matches('0').len();
                self.out.truncate(used);
                Ok(())
            }
        };
    }
}

impl Counters<'_> {
    pub(crate) fn add(&mut self, labels: &[Label<'_>], value: impl Into<Value>) -> &mut Self {
        self.0.sample(self.1, "_total", labels, None, value.into());
        self
    }
}

impl Gauges<'_> {
    pub(crate) fn add(&mut self, labels: &[Label<'_>], value: impl Into<Value>) -> &mut Self {
        self.0.sample(self.1, "", labels, None, value.into());
        self
    }
}

impl Histograms<'_> {
    pub(crate) fn add(&mut self, labels: &[Label<'_>], histogram: &Histogram) -> &mut Self {
        for (le, micros) in BOUNDS {
            let count = histogram.count_at_most(micros);
            self.0.sample(
                self.1,
                "_bucket",
                labels,
                Some(("le", le)),
                Value::Count(count),
            );
        }
        let count = Value::Count(histogram.count());
        self.0
            .sample(self.1, "_bucket", labels, Some(("le", "+Inf")), count);
        self.0.sample(
            self.1,
            "_sum",
            labels,
            None,
            Value::Micros(histogram.sum_micros()),
        );
        self.0.sample(self.1, "_count", labels, None, count);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_print_as_exact_seconds() {
        for (us, text) in [
            (0, "0"),
            (1, "0.000001"),
            (1_500_000, "1.5"),
            (10_000_000, "10"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut encoder = Encoder::new(Format::OpenMetrics);
            encoder.value(Value::Micros(us));
            assert_eq!(encoder.out, text);
        }
    }

    #[test]
    fn label_values_cannot_break_out() {
        let mut encoder = Encoder::new(Format::Prometheus);
        encoder
            .gauges("g", Unit::None, "x.")
            .add(&[("a", "q\" 1\nb \\")], 7u32);
        assert!(encoder.finish().ends_with("g{a=\"q\\\" 1\\nb \\\\\"} 7\n"));
    }

    #[test]
    fn bounds_rise_and_labels_say_the_same() {
        assert!(BOUNDS.windows(2).all(|w| w[0].1 < w[1].1));
        for (le, us) in BOUNDS {
            let seconds: f64 = le.parse().unwrap();
            assert_eq!((seconds * 1e6).round() as u64, us);
        }
    }
}
