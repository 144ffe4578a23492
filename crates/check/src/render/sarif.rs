//! SARIF 2.1.0, which code review tools show beside the changed line.

use super::json::quoted;
use crate::engine::Report;
use crate::finding::{Finding, Severity};
use crate::place::Place;
use crate::rules::RULES;

/// The report as SARIF.
pub fn sarif(report: &Report) -> String {
    let rules: Vec<String> = RULES
        .iter()
        .map(|rule| {
            format!(
                "{{\"id\":{},\"shortDescription\":{{\"text\":{}}},\"defaultConfiguration\":{{\"level\":{}}}}}",
                quoted(rule.id),
                quoted(rule.title),
                quoted(level(rule.severity))
            )
        })
        .collect();
    let results: Vec<String> = report
        .findings()
        .iter()
        .map(|f| result(report, f))
        .collect();
    format!(
        "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{{\
         \"tool\":{{\"driver\":{{\"name\":\"plimsoll\",\"version\":{},\"rules\":[{}]}}}},\
         \"columnKind\":\"unicodeCodePoints\",\"results\":[{}]}}]}}\n",
        quoted(env!("CARGO_PKG_VERSION")),
        rules.join(","),
        results.join(",")
    )
}

fn level(severity: Severity) -> &'static str {
    // SARIF has the same three words.
    severity.label()
}

fn result(report: &Report, f: &Finding) -> String {
    let words = [f.message.as_str(), f.why.as_str(), f.help.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    let related: Vec<String> = f
        .related
        .iter()
        .map(|(place, words)| {
            let place = physical(report, place);
            format!("{{{place},\"message\":{{\"text\":{}}}}}", quoted(words))
        })
        .collect();
    let suppressed = f.suppressed.as_ref().map_or(String::new(), |reason| {
        format!(
            ",\"suppressions\":[{{\"kind\":\"inSource\",\"justification\":{}}}]",
            quoted(reason)
        )
    });
    format!(
        "{{\"ruleId\":{},\"level\":{},\"message\":{{\"text\":{}}},\"locations\":[{{{}}}],\"relatedLocations\":[{}]{suppressed}}}",
        quoted(f.rule.id),
        quoted(level(f.severity)),
        quoted(&words.join(". ")),
        physical(report, &f.place),
        related.join(",")
    )
}

fn physical(report: &Report, place: &Place) -> String {
    let path = report.files().path(place.file).display().to_string();
    let region = report.position(place).map_or(String::new(), |p| {
        format!(
            ",\"region\":{{\"startLine\":{},\"startColumn\":{},\"endColumn\":{}}}",
            p.line,
            p.column,
            p.column + p.length
        )
    });
    format!(
        "\"physicalLocation\":{{\"artifactLocation\":{{\"uri\":{}}}{region}}}",
        quoted(&path.replace('\\', "/"))
    )
}
