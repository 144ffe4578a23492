//! Findings as JUnit XML, which every CI shows.

use super::facts::Moment;
use super::report::{Report, Verdict};
use super::rules::Finding;
use crate::markup::escaped;
use std::fmt::Write;

/// One test case for each finding, and one that passes where there is none. Notes are skipped
/// cases, so that they are seen and fail nothing.
pub fn junit(report: &Report, clock: &dyn Fn(Moment) -> String) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let cases = report.findings.len().max(1);
    let errors = usize::from(report.verdict == Verdict::Unknown);
    let _ = writeln!(
        out,
        "<testsuites>\n  <testsuite name=\"plimsoll leaks\" tests=\"{cases}\" failures=\"{}\" \
         errors=\"{errors}\" skipped=\"{}\">",
        report.leaks, report.notes
    );
    match report.verdict {
        Verdict::Unknown => out.push_str(
            "    <testcase classname=\"plimsoll.leaks\" name=\"no leaks\">\n      \
             <error message=\"no connection came through, so nothing is known\"/>\n    \
             </testcase>\n",
        ),
        Verdict::NoLeaks if report.findings.is_empty() => {
            out.push_str("    <testcase classname=\"plimsoll.leaks\" name=\"no leaks\"/>\n");
        }
        _ => {}
    }
    for finding in &report.findings {
        case(&mut out, finding, clock);
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn case(out: &mut String, finding: &Finding, clock: &dyn Fn(Moment) -> String) {
    let title = finding.kind.title();
    let name = match (&finding.test, finding.tags.as_str(), &finding.place) {
        (Some(test), ..) => test.clone(),
        (None, tags, _) if !tags.is_empty() => tags.to_owned(),
        (None, _, Some(place)) => place.clone(),
        (None, ..) => finding.statement.clone(),
    };
    let seconds = finding.lasted_us as f64 / 1e6;
    let _ = writeln!(
        out,
        "    <testcase classname=\"plimsoll.leaks.{}\" name=\"{}\" time=\"{seconds:.3}\">",
        title.replace(' ', "_"),
        escaped(&format!("{name}: {title}"))
    );
    let message = finding.evidence.join(" ");
    if finding.fails {
        let mut told = String::new();
        super::report::tell(&mut told, finding, clock);
        let _ = writeln!(
            out,
            "      <failure type=\"{}\" message=\"{}\">{}</failure>",
            escaped(title),
            escaped(&message),
            escaped(&told)
        );
    } else {
        let _ = writeln!(out, "      <skipped message=\"{}\"/>", escaped(&message));
    }
    out.push_str("    </testcase>\n");
}
