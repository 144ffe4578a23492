//! For scripts: one object, fields that only ever grow.

use crate::engine::Report;
use crate::finding::Finding;
use crate::place::Place;
use std::fmt::Write as _;

/// The report as JSON.
pub fn json(report: &Report) -> String {
    let findings: Vec<String> = report.findings().iter().map(|f| one(report, f)).collect();
    let files: Vec<String> = report
        .files()
        .iter()
        .map(|(id, file)| {
            let path = quoted(&file.path.display().to_string());
            format!(
                "{{\"path\":{path},\"kind\":{}}}",
                quoted(report.kind(id).label())
            )
        })
        .collect();
    let worst = report
        .worst()
        .map_or("null".to_owned(), |s| quoted(s.label()));
    format!(
        "{{\"version\":1,\"worst\":{worst},\"files\":[{}],\"findings\":[{}]}}\n",
        files.join(","),
        findings.join(",")
    )
}

fn one(report: &Report, f: &Finding) -> String {
    let related: Vec<String> = f
        .related
        .iter()
        .map(|(place, words)| format!("{{{},\"message\":{}}}", at(report, place), quoted(words)))
        .collect();
    let suppressed = f.suppressed.as_deref().map_or("null".to_owned(), quoted);
    format!(
        "{{\"rule\":{},\"severity\":{},{},\"message\":{},\"why\":{},\"help\":{},\"related\":[{}],\"suppressed\":{suppressed}}}",
        quoted(f.rule.id),
        quoted(f.severity.label()),
        at(report, &f.place),
        quoted(&f.message),
        quoted(&f.why),
        quoted(&f.help),
        related.join(",")
    )
}

fn at(report: &Report, place: &Place) -> String {
    let path = quoted(&report.files().path(place.file).display().to_string());
    match report.position(place) {
        Some(p) => format!(
            "\"file\":{path},\"line\":{},\"column\":{},\"source\":{}",
            p.line,
            p.column,
            quoted(&p.source)
        ),
        None => format!("\"file\":{path},\"line\":null,\"column\":null,\"source\":\"\""),
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
