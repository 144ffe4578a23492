//! One line for a terminal while a run goes on.

use crate::measured::{LAG_US_MAX, Second};
use crate::report::Style;
use crate::report::units::{count, rate, time};
use std::time::Duration;

/// Cells of the bar.
const BAR: usize = 10;

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// How long the schedule is.
    pub planned: Duration,
    /// The newest second that is over.
    pub second: Second,
    /// Requests that failed so far.
    pub failed: u64,
    /// 99th percentile of the generator's lag so far, microseconds.
    pub lag_p99_us: u64,
}

/// One line, without its end, of at most so many columns: what matters least is left out first.
pub fn line(at: &Progress, columns: usize, style: Style) -> String {
    let mut parts = parts(at);
    let width = |parts: &[(String, bool)]| {
        let each = parts.iter().map(|(text, _)| text.chars().count() + 2);
        each.sum::<usize>().saturating_sub(2)
    };
    while parts.len() > 1 && width(&parts) > columns {
        parts.pop();
    }
    if width(&parts) + BAR < columns {
        let part = at.elapsed.as_secs_f64() / at.planned.as_secs_f64().max(1e-9);
        let full = (part.clamp(0.0, 1.0) * BAR as f64) as usize;
        let bar = "█".repeat(full) + &"░".repeat(BAR - full);
        parts[0].0 = format!("{bar} {}", parts[0].0);
    }
    let painted = parts.iter().map(|(text, bad)| match bad {
        true => style.bad(text),
        false => text.clone(),
    });
    painted.collect::<Vec<_>>().join("  ")
}

/// What there is to say, the most important first, and whether it is a trouble.
fn parts(at: &Progress) -> Vec<(String, bool)> {
    let second = at.second;
    let p99 = match second.answered {
        0 => "–".to_owned(),
        _ => time(second.latency_p99_us as f64),
    };
    let clocks = format!(
        "{}/{}",
        clock(at.elapsed.min(at.planned)),
        clock(at.planned)
    );
    vec![
        (clocks, false),
        (format!("offered {}", rate(second.due as f64)), false),
        (format!("answered {}", rate(second.goodput as f64)), false),
        (format!("p99 {p99}"), false),
        (format!("failed {}", count(at.failed)), at.failed > 0),
        // Beyond the limit the generator is what is measured: that is said at once.
        (
            format!("lag {}", time(at.lag_p99_us as f64)),
            at.lag_p99_us > LAG_US_MAX,
        ),
        (format!("queued {}", second.queued_max), false),
    ]
}

/// As `1:05`, or `1:00:05`.
fn clock(at: Duration) -> String {
    let s = at.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            elapsed: Duration::from_secs(65),
            planned: Duration::from_secs(120),
            second: Second {
                due: 1_012,
                answered: 1_009,
                goodput: 998,
                latency_p99_us: 12_345,
                queued_max: 7,
                ..Second::default()
            },
            failed: 3,
            lag_p99_us: 40,
        }
    }

    #[test]
    fn a_line_says_where_it_is_and_how_it_goes() {
        let expected = "█████░░░░░ 1:05/2:00  offered 1012/s  answered 998/s  p99 12.3 ms  failed 3  \
                        lag 40 µs  queued 7";
        let line = |columns| line(&progress(), columns, Style::Plain);
        assert_eq!(line(100), expected);
        assert_eq!(
            line(60),
            "1:05/2:00  offered 1012/s  answered 998/s  p99 12.3 ms"
        );
        assert_eq!(line(0), "1:05/2:00");
        for columns in 20..120 {
            assert!(line(columns).chars().count() <= columns, "{columns}");
        }
    }

    #[test]
    fn what_is_wrong_is_red_and_nothing_answered_has_no_time() {
        let late = Progress {
            elapsed: Duration::from_secs(4_000),
            planned: Duration::from_secs(3_600),
            second: Second::default(),
            lag_p99_us: 1_800,
            ..progress()
        };
        let line = line(&late, 120, Style::Colour);
        assert!(line.starts_with("██████████ 1:00:00/1:00:00  "), "{line}");
        assert!(
            line.contains("  p99 –  \u{1b}[1;31mfailed 3\u{1b}[0m  "),
            "{line}"
        );
        assert!(line.contains("\u{1b}[1;31mlag 1.80 ms\u{1b}[0m"), "{line}");
    }
}
