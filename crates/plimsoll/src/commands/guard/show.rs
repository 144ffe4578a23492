//! What people read of guarded files.

use super::super::settings::moment;
use super::Found;
use super::hand::{Compared, Done, History};
use control::guard::{Difference, News, Version};
use control::settings::short;
use std::fmt::Write;
use std::path::Path;

fn clean(text: &str) -> String {
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(tame).collect()
}

fn findings(all: &[String]) -> String {
    let mut out = String::new();
    for finding in all {
        let _ = writeln!(out, "  {}", clean(finding));
    }
    out
}

/// A piece of news on one line; empty where the standing says it.
pub fn news(news: &News) -> String {
    match news {
        News::Drift { version, .. } => {
            let changes = match version.difference.is_empty() {
                true => clean(&version.lacks),
                false => version.difference.words(),
            };
            let found = version.findings.iter().map(|f| format!("; {}", clean(f)));
            let found: String = found.collect();
            format!("{}: {changes}{found}", version.path.display())
        }
        News::Waits(waiting) => clean(&waiting.words),
        News::ServerSilent(why) => format!("the server's settings are not seen: {}", clean(why)),
        News::Remark(words) => clean(words),
        News::Adopted(version) if !version.lacks.is_empty() => {
            format!("{}: {}", version.path.display(), version.lacks)
        }
        _ => String::new(),
    }
}

/// How each file stands.
pub fn once(found: &Found) -> String {
    let mut out = String::new();
    for one in &found.files {
        let _ = write!(out, "{:<10}  {}", one.verdict, one.path.display());
        if !one.why.is_empty() {
            let _ = write!(out, "  ({})", clean(&one.why));
        }
        out.push('\n');
    }
    for line in &found.news {
        let _ = writeln!(out, "  {line}");
    }
    let differs = found
        .files
        .iter()
        .find(|one| matches!(one.verdict, "drift" | "appeared" | "vanished"));
    if let Some(one) = differs {
        let _ = writeln!(out, "Next: plimsoll guard diff {}", one.path.display());
    }
    out
}

/// Before a file is written back.
pub fn question(path: &Path, version: &Version, shown: &Difference) -> String {
    format!(
        "{} would say version {} again ({}, {}):\n\n{}\nWrite it? Only `yes` is taken: ",
        path.display(),
        version.version,
        short(&version.hash),
        moment(version.at_ms),
        shown.shown()
    )
}

/// What was done.
pub fn done(done: &Done) -> String {
    let mut out = String::new();
    let _ = write!(out, "{}: {}", done.path.display(), done.what);
    if let (Some(version), Some(hash)) = (done.version, &done.hash) {
        let _ = write!(out, ", version {version}  {}", short(hash));
    }
    out.push('\n');
    out.push_str(&done.difference.shown());
    out.push_str(&findings(&done.findings));
    if !done.remark.is_empty() {
        let _ = writeln!(out, "{}", clean(&done.remark));
    }
    for need in &done.needs {
        let _ = writeln!(out, "  {}", clean(&need.words));
    }
    out
}

/// What differs now.
pub fn compared(compared: &Compared) -> String {
    let path = compared.path.display();
    if compared.old == compared.new {
        return format!("{path}: as accepted\n");
    }
    let mut out = String::new();
    let hash = |hash: &Option<String>| hash.as_deref().map_or("none", short).to_owned();
    let _ = writeln!(
        out,
        "{path}: accepted {}, now {}",
        hash(&compared.old),
        hash(&compared.new)
    );
    if compared.new.is_none() {
        out.push_str("It is gone.\n");
    }
    if !compared.lacks.is_empty() {
        let _ = writeln!(out, "No lines to show: {}.", clean(&compared.lacks));
    }
    out.push_str(&compared.difference.shown());
    out.push_str(&findings(&compared.findings));
    let _ = writeln!(out, "It is meant:  plimsoll guard accept {path} --reason …");
    let back = match (compared.whole, control::guard::is_server(&compared.path)) {
        (true, _) => format!("plimsoll guard restore {path}"),
        (false, true) => "by the server's files, or ALTER SYSTEM RESET name".to_owned(),
        (false, false) => "mend it by hand: the accepted text is not whole here".to_owned(),
    };
    let _ = writeln!(out, "It is not:    {back}");
    out
}

/// A line for each version, and what happened.
pub fn history(history: &History) -> String {
    if history.versions.is_empty() && history.events.is_empty() {
        return "No version yet.\n".to_owned();
    }
    let mut out = String::from("Versions\n");
    for version in &history.versions {
        line(version, &mut out);
    }
    out.push_str("Events\n");
    for event in &history.events {
        let _ = write!(out, "  {}  {:<12}", moment(event.at_ms), clean(&event.what));
        if let Some(version) = event.version {
            let _ = write!(out, " {version:>5}");
        } else {
            out.push_str("      ");
        }
        let _ = write!(out, "  {}", event.path.display());
        if !event.actor.is_empty() {
            let _ = write!(out, "  by {}", clean(&event.actor));
        }
        if !event.reason.is_empty() {
            let _ = write!(out, "  “{}”", clean(&event.reason));
        }
        out.push('\n');
    }
    out
}

fn line(version: &Version, out: &mut String) {
    let mark = if version.accepted { '*' } else { ' ' };
    let _ = write!(
        out,
        "{mark}{:>5}  {}  {}  {}  uid {}, written {}",
        version.version,
        moment(version.at_ms),
        short(&version.hash),
        version.path.display(),
        version.uid,
        moment(version.modified_ms),
    );
    let d = &version.difference;
    if !d.is_empty() {
        let _ = write!(out, "  +{} -{} lines", d.added, d.removed);
    }
    if !version.findings.is_empty() {
        let _ = write!(out, "  findings: {}", version.findings.len());
    }
    if !version.lacks.is_empty() {
        let _ = write!(out, "  ({})", version.lacks);
    }
    out.push('\n');
}

/// One version in full.
pub fn version(version: &Version) -> String {
    let mut out = String::new();
    line(version, &mut out);
    out.push_str(&version.difference.shown());
    out.push_str(&findings(&version.findings));
    if let Some(text) = &version.text {
        out.push('\n');
        for line in text.lines() {
            let tame = |c: char| if c.is_control() && c != '\t' { '?' } else { c };
            out.extend(line.chars().map(tame));
            out.push('\n');
        }
    }
    out
}
