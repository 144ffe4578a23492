//! The head of a captured shape: what a person reads before they keep the file.

use super::Figures;
use events::shape::{Capture, Shape};
use std::fmt::Write as _;
use std::time::Duration;

/// Classes that the head tells of.
const CLASSES_TOLD: usize = 12;
/// Characters of a statement in the head.
const TEXT_CHARS: usize = 60;

/// Lines about the shape, without comment signs. `when` and `from`: the moment of
/// its begin, in words, and where it was captured.
pub fn head(shape: &Shape, when: &str, from: &str) -> String {
    let mut out = String::new();
    let Some(f) = Figures::of(shape) else {
        return "A traffic shape without a request.".to_owned();
    };
    let capture = shape.capture.clone().unwrap_or_default();
    let _ = writeln!(out, "A traffic shape, captured by Plimsoll.");
    let _ = writeln!(
        out,
        "when      {when}, for {} s{}",
        capture.lasted_s,
        if capture.whole {
            ""
        } else {
            " (PARTIAL: it ended before its time)"
        }
    );
    let _ = writeln!(out, "from      {from}");
    let _ = writeln!(
        out,
        "requests  {} in {:.1} s, {} of them recorded here",
        f.requests,
        f.over.as_secs_f64(),
        f.recorded
    );
    let _ = writeln!(
        out,
        "rate      {:.1}/s, index of dispersion {:.1}",
        f.rate, f.dispersion
    );
    let _ = writeln!(
        out,
        "held      {:.2} connections on average; each p50 {}, p99 {}; {:.0} % of it the client was silent",
        f.concurrency,
        time(f.hold_p50),
        time(f.hold_p99),
        f.idle * 100.0
    );
    let _ = writeln!(
        out,
        "refused   {:.2} % of the requests; after {:.0} % of these the client asked again",
        f.refused * 100.0,
        f.retried * 100.0
    );
    let _ = writeln!(
        out,
        "sessions  {} clients seen{}",
        f.clients,
        logins(&capture)
    );
    let _ = writeln!(out, "classes");
    for class in f.classes.iter().take(CLASSES_TOLD) {
        let text: String = (class.text.chars())
            .filter(|c| !c.is_control())
            .take(TEXT_CHARS)
            .collect();
        let (share, p50) = (class.share * 100.0, time(class.hold_p50));
        let line = format!("  {share:5.1} %  {p50:>8}  {:<24} {text}", class.name);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if let Some(more) = f.classes.len().checked_sub(CLASSES_TOLD + 1) {
        let _ = writeln!(out, "  and {} more", more + 1);
    }
    out.push_str("No literal and no secret stands here: names, and statements without literals.\n");
    out
}

fn logins(capture: &Capture) -> String {
    let logins = (capture.slots.iter()).fold(0u64, |sum, s| sum.saturating_add(s.logins));
    match capture.slots.is_empty() {
        true => String::new(),
        false => format!(", {logins} logins"),
    }
}

/// Three digits and a unit.
fn time(span: Duration) -> String {
    let us = span.as_secs_f64() * 1e6;
    let (value, unit) = match us {
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    match value {
        v if v < 10.0 => format!("{v:.2} {unit}"),
        v if v < 100.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}
