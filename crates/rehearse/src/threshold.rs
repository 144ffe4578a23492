//! Limits that a run must keep, as people write them: `p(99) < 50ms`, `errors < 0.1%`.
//!
//! ```text
//!   [CLASS:] METRIC  <, <=, > or >=  VALUE
//!
//!   METRIC   p(N), avg, min, max, med    latency from the intended send time
//!            wait p(N), wait avg, …      of that, the time until a connection was there
//!            errors                      share of requests that failed, as 0.1%, or a count
//!            rate                        requests per second that were answered
//!   VALUE    50ms, 2s, 800us; 0.1%; 300, 300/s
//! ```
//!
//! The words are those of k6's thresholds, so that what is known there is true here.

use crate::text::with_unit;
use std::fmt;

/// Longest text of a threshold, bytes.
const TEXT_MAX: usize = 200;

/// A limit, and what it was written as.
#[derive(Clone, PartialEq, Debug)]
pub struct Threshold {
    /// As it was written, without space around it.
    pub text: String,
    /// Which class of requests; `None`: all.
    pub class: Option<String>,
    metric: Metric,
    order: Order,
    /// In the metric's unit: microseconds, a share or count, requests per second.
    value: f64,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Metric {
    Time(Span, Of),
    ErrorShare,
    ErrorCount,
    Rate,
}

/// Which time of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// From the moment at which it was due to its last byte.
    Latency,
    /// From the moment at which it was due to the moment at which it had a connection.
    Wait,
}

/// Which of many times.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Of {
    /// The one that this share of all, in percent, does not exceed.
    Percentile(f64),
    /// The mean.
    Mean,
    /// The shortest.
    Least,
    /// The longest.
    Most,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// What a run measured, for one class or all.
pub trait Measured {
    /// A time, microseconds; `None`: there was no request to measure.
    fn time_us(&self, span: Span, of: Of) -> Option<f64>;
    /// Requests that were sent or were due and could not be.
    fn requests(&self) -> u64;
    /// Of these, those that failed.
    fn errors(&self) -> u64;
    /// Requests answered per second.
    fn rate(&self) -> f64;
}

/// How a threshold was met.
#[derive(Clone, PartialEq, Debug)]
pub struct Judged {
    /// The threshold as it was written.
    pub text: String,
    /// It holds.
    pub kept: bool,
    /// What was measured, with its unit; "nothing" where there was nothing to measure.
    pub measured: String,
}

/// Why a text is no threshold: what, and what to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoThreshold {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: &'static str,
}

impl fmt::Display for NoThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.help)
    }
}

impl std::error::Error for NoThreshold {}

const EXAMPLE: &str =
    "write, for example, \"p(99) < 50ms\", \"errors < 0.1%\" or \"checkout: wait p(95) <= 10ms\"";

impl Threshold {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn parse(text: &str) -> Result<Threshold, NoThreshold> {
        let wrong = |what: String| NoThreshold {
            what,
            help: EXAMPLE,
        };
        let text = text.trim();
        if text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            return Err(wrong(format!(
                "a threshold is one line of at most {TEXT_MAX} bytes"
            )));
        }
        let (left, order, right) =
            split(text).ok_or_else(|| wrong(format!("`{text}` compares nothing")))?;
        let (class, metric) = match left.split_once(':') {
            Some((class, metric)) => (Some(class.trim().to_owned()), metric.trim()),
            None => (None, left),
        };
        if class.as_deref() == Some("") {
            return Err(wrong(format!("`{text}` names no class before the colon")));
        }
        let metric = Metric::parse(metric, right).map_err(wrong)?;
        let value = metric.value(right).map_err(wrong)?;
        Ok(Threshold {
            text: text.to_owned(),
            class,
            metric,
            order,
            value,
        })
    }

    /// It bounds errors, of one class or of all.
    pub fn is_on_errors(&self) -> bool {
        matches!(self.metric, Metric::ErrorShare | Metric::ErrorCount)
    }

    /// It asks for a rate, which no lower load keeps.
    pub fn is_on_rate(&self) -> bool {
        self.metric == Metric::Rate
    }

    /// Whether a run kept it. Nothing measured keeps no limit: a run that sent
    /// nothing proves nothing.
    pub fn judge(&self, run: &dyn Measured) -> Judged {
        let measured = match self.metric {
            Metric::Time(span, of) => run.time_us(span, of),
            _ if run.requests() == 0 => None,
            Metric::ErrorShare => Some(run.errors() as f64 / run.requests() as f64),
            Metric::ErrorCount => Some(run.errors() as f64),
            Metric::Rate => Some(run.rate()),
        };
        Judged {
            text: self.text.clone(),
            kept: measured.is_some_and(|measured| self.order.holds(measured, self.value)),
            measured: measured.map_or("nothing".to_owned(), |value| self.metric.say(value)),
        }
    }
}

/// Left side, order, right side.
fn split(text: &str) -> Option<(&str, Order, &str)> {
    let at = text.find(['<', '>'])?;
    let (left, rest) = text.split_at(at);
    let (order, rest) = [
        ("<=", Order::AtMost),
        (">=", Order::AtLeast),
        ("<", Order::Below),
        (">", Order::Above),
    ]
    .into_iter()
    .find_map(|(sign, order)| Some((order, rest.strip_prefix(sign)?)))?;
    Some((left.trim(), order, rest.trim()))
}

impl Metric {
    /// `value`: what it is compared with, which tells a share of errors from a count.
    fn parse(text: &str, value: &str) -> Result<Metric, String> {
        match text {
            "errors" if value.ends_with('%') => return Ok(Metric::ErrorShare),
            "errors" => return Ok(Metric::ErrorCount),
            "rate" => return Ok(Metric::Rate),
            _ => {}
        }
        let (span, of) = match text.strip_prefix("wait ") {
            Some(of) => (Span::Wait, of.trim()),
            None => (Span::Latency, text),
        };
        let of = match of {
            "avg" => Of::Mean,
            "med" => Of::Percentile(50.0),
            "min" => Of::Least,
            "max" => Of::Most,
            _ => {
                let inner = of
                    .strip_prefix("p(")
                    .and_then(|rest| rest.strip_suffix(')'));
                let share = inner.and_then(|share| share.trim().parse::<f64>().ok());
                let share = share.filter(|share| *share > 0.0 && *share <= 100.0);
                Of::Percentile(share.ok_or_else(|| format!("`{text}` is no metric"))?)
            }
        };
        Ok(Metric::Time(span, of))
    }

    fn value(self, text: &str) -> Result<f64, String> {
        let number = |digits: &str, what: &str| {
            let value = digits.trim().parse::<f64>().ok();
            let value = value.filter(|value| value.is_finite() && *value >= 0.0);
            value.ok_or_else(|| format!("`{text}` is no {what}"))
        };
        match self {
            Metric::Time(..) => {
                let units = [
                    ("us", 1.0),
                    ("µs", 1.0),
                    ("ms", 1e3),
                    ("s", 1e6),
                    ("min", 6e7),
                ];
                let (digits, us) = with_unit(text, &units)
                    .ok_or_else(|| format!("`{text}` is no time with a unit"))?;
                Ok(number(digits, "time")? * us)
            }
            Metric::ErrorShare => {
                let share = number(text.trim_end_matches('%'), "share")? / 100.0;
                (share <= 1.0)
                    .then_some(share)
                    .ok_or_else(|| format!("`{text}` is more than all"))
            }
            Metric::ErrorCount => number(text, "number or share"),
            Metric::Rate => number(text.strip_suffix("/s").unwrap_or(text), "rate"),
        }
    }

    fn say(self, value: f64) -> String {
        match self {
            Metric::Time(..) if value < 1e3 => format!("{value:.0} µs"),
            Metric::Time(..) if value < 1e6 => format!("{:.1} ms", value / 1e3),
            Metric::Time(..) => format!("{:.2} s", value / 1e6),
            Metric::ErrorShare => format!("{:.3} %", value * 100.0),
            Metric::ErrorCount => format!("{value:.0}"),
            Metric::Rate => format!("{value:.1}/s"),
        }
    }
}

impl Order {
    fn holds(self, measured: f64, limit: f64) -> bool {
        match self {
            Order::Below => measured < limit,
            Order::AtMost => measured <= limit,
            Order::Above => measured > limit,
            Order::AtLeast => measured >= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with latencies of 1 to 100 ms, a wait of 5 ms each, and one error.
    struct Run;

    impl Measured for Run {
        fn time_us(&self, span: Span, of: Of) -> Option<f64> {
            let of_hundred = match of {
                Of::Percentile(share) => share,
                Of::Mean => 50.5,
                Of::Least => 1.0,
                Of::Most => 100.0,
            };
            Some(match span {
                Span::Latency => of_hundred * 1e3,
                Span::Wait => 5e3,
            })
        }

        fn requests(&self) -> u64 {
            1_000
        }

        fn errors(&self) -> u64 {
            1
        }

        fn rate(&self) -> f64 {
            99.9
        }
    }

    /// A run that sent nothing.
    struct Nothing;

    impl Measured for Nothing {
        fn time_us(&self, _: Span, _: Of) -> Option<f64> {
            None
        }

        fn requests(&self) -> u64 {
            0
        }

        fn errors(&self) -> u64 {
            0
        }

        fn rate(&self) -> f64 {
            0.0
        }
    }

    #[test]
    fn both_sides_of_each_kind() {
        for (text, kept, measured) in [
            ("p(99) < 99.1ms", true, "99.0 ms"),
            ("p(99) < 99ms", false, "99.0 ms"),
            ("p(99) <= 99ms", true, "99.0 ms"),
            ("p(99.9)<1s", true, "99.9 ms"),
            ("med > 49999us", true, "50.0 ms"),
            ("avg<50ms", false, "50.5 ms"),
            ("max <= 0.1s", true, "100.0 ms"),
            ("min >= 2 ms", false, "1.0 ms"),
            ("wait p(95) < 5ms", false, "5.0 ms"),
            ("wait max <= 5ms", true, "5.0 ms"),
            ("errors < 0.1%", false, "0.100 %"),
            ("errors <= 0.1%", true, "0.100 %"),
            ("errors < 2", true, "1"),
            ("errors < 1", false, "1"),
            ("rate > 99", true, "99.9/s"),
            ("rate >= 100/s", false, "99.9/s"),
        ] {
            let threshold = Threshold::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let judged = threshold.judge(&Run);
            assert_eq!(
                (judged.kept, judged.measured.as_str()),
                (kept, measured),
                "{text}"
            );
            assert_eq!(judged.text, text);
        }
    }

    #[test]
    fn a_class_is_named_before_a_colon() {
        let one = Threshold::parse(" checkout : p(95) < 10ms ").unwrap();
        assert_eq!(one.class.as_deref(), Some("checkout"));
        assert_eq!(Threshold::parse("p(95) < 10ms").unwrap().class, None);
    }

    #[test]
    fn nothing_measured_keeps_no_limit() {
        for text in ["p(99) < 1s", "errors < 1%", "errors < 5", "rate >= 0"] {
            let judged = Threshold::parse(text).unwrap().judge(&Nothing);
            assert_eq!(
                (judged.kept, judged.measured.as_str()),
                (false, "nothing"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_none_is_told_with_an_example() {
        for (text, what) in [
            ("", "`` compares nothing"),
            ("p(99) = 5ms", "`p(99) = 5ms` compares nothing"),
            ("p99 < 5ms", "`p99` is no metric"),
            ("p(0) < 5ms", "`p(0)` is no metric"),
            ("p(101) < 5ms", "`p(101)` is no metric"),
            ("p(NaN) < 5ms", "`p(NaN)` is no metric"),
            ("p(99) < 5", "`5` is no time with a unit"),
            ("p(99) < s", "`s` is no time with a unit"),
            ("p(99) < -5ms", "`-5ms` is no time"),
            ("p(99) < 1e999s", "`1e999s` is no time"),
            ("errors < many", "`many` is no number or share"),
            ("errors < 101%", "`101%` is more than all"),
            ("rate > fast", "`fast` is no rate"),
            (
                ": p(99) < 5ms",
                "`: p(99) < 5ms` names no class before the colon",
            ),
            (
                "p(99) <\u{1b}[2J 5ms",
                "a threshold is one line of at most 200 bytes",
            ),
        ] {
            let error = Threshold::parse(text).expect_err(text);
            assert_eq!(error.what, what, "{text}");
            assert!(error.to_string().contains("errors < 0.1%"));
        }
    }
}
