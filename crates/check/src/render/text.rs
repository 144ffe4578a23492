//! As a compiler says it.

use crate::engine::Report;
use crate::finding::{Finding, Severity};
use crate::place::Place;
use std::fmt::Write as _;

/// Colours, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Letters only.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    fn severity(self, severity: Severity) -> String {
        let code = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Note => "1;36",
        };
        self.paint(code, severity.label())
    }
}

/// Each open finding with its source line, then the sums.
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for finding in report.open() {
        one(report, finding, style, &mut out);
    }
    let count = |s: Severity| report.open().filter(|f| f.severity == s).count();
    let suppressed = report.findings().len() - report.open().count();
    let _ = write!(
        out,
        "{} files: {} errors, {} warnings, {} notes",
        report.files().len(),
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
    );
    if suppressed > 0 {
        let _ = write!(out, ", {suppressed} suppressed with a reason");
    }
    out.push('\n');
    out
}

fn one(report: &Report, finding: &Finding, style: Style, out: &mut String) {
    let _ = writeln!(
        out,
        "{}[{}]: {}",
        style.severity(finding.severity),
        finding.rule.id,
        style.paint("1", &finding.message)
    );
    spot(report, &finding.place, "", style, out);
    for (place, words) in &finding.related {
        spot(report, place, words, style, out);
    }
    for (name, words) in [("why", &finding.why), ("help", &finding.help)] {
        if !words.is_empty() {
            let _ = writeln!(out, "  = {}: {words}", style.paint("1", name));
        }
    }
    let _ = writeln!(out, "  = rule: docs/rules/{}.md\n", finding.rule.id);
}

/// The place, with its line underlined.
fn spot(report: &Report, place: &Place, words: &str, style: Style, out: &mut String) {
    let path = report.files().path(place.file).display().to_string();
    let Some(p) = report.position(place) else {
        let _ = writeln!(out, " --> {path}");
        return;
    };
    let number = p.line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(out, "{gutter}--> {path}:{}:{}", p.line, p.column);
    let before = p.before;
    let shown = p.source.chars().count();
    if before > shown {
        return;
    }
    let length = p.length.min(shown.saturating_sub(before)).max(1);
    let pad: String = p
        .source
        .chars()
        .take(before)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let _ = writeln!(out, "{number} | {}", p.source);
    let _ = writeln!(
        out,
        "{gutter} | {pad}{} {words}",
        style.paint("1;31", &"^".repeat(length))
    );
}
