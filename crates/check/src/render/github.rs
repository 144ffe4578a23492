//! Annotations of GitHub Actions: one workflow command each.

use crate::engine::Report;
use crate::finding::Severity;
use std::fmt::Write as _;

/// The open findings as workflow commands.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for f in report.open() {
        let kind = match f.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let path = report.files().path(f.place.file).display().to_string();
        let at = report.position(&f.place).map_or(String::new(), |p| {
            format!(",line={},col={}", p.line, p.column)
        });
        let _ = writeln!(
            out,
            "::{kind} file={}{at},title={}::{}",
            property(&path),
            property(f.rule.id),
            data(&format!("{}. {}. {}", f.message, f.why, f.help))
        );
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
