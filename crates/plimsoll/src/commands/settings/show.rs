//! What people read of guarded settings.

use control::settings::keeper::{HistoryLine, Planned, Status, VersionText};
use control::settings::short;
use std::fmt::Write;

/// Characters of a value that a line shows.
const VALUE_MAX: usize = 60;

fn clean(text: &str) -> String {
    let one = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(one).collect()
}

fn value(text: &str) -> String {
    if text.is_empty() {
        return "(none)".to_owned();
    }
    let text = clean(text);
    match text.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A moment, to the second, UTC.
pub fn moment(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// What a change would do.
pub fn plan(planned: &Planned) -> String {
    let mut out = String::new();
    if planned.changes.is_empty() {
        return format!(
            "Nothing differs from version {}, which serves.\n",
            planned.current
        );
    }
    let _ = writeln!(out, "Against version {}, which serves:\n", planned.current);
    let width = planned.changes.iter().map(|c| c.key.chars().count()).max();
    let width = width.unwrap_or(0).min(40);
    for change in &planned.changes {
        let mark = match (change.old.is_empty(), change.new.is_empty()) {
            (true, _) => '+',
            (_, true) => '-',
            _ => '~',
        };
        let _ = writeln!(
            out,
            "  {mark} {:<width$}  {} → {}   ({}, {})",
            clean(&change.key),
            value(&change.old),
            value(&change.new),
            change.class,
            change.direction,
        );
    }
    out.push('\n');
    for error in &planned.errors {
        let _ = writeln!(out, "error: {}", clean(error));
    }
    for finding in &planned.findings {
        let _ = writeln!(out, "note: {}", clean(finding));
    }
    if !planned.predicted.is_empty() {
        let _ = writeln!(
            out,
            "predicted: {}: {}",
            planned.predicted,
            clean(&planned.prediction)
        );
    }
    let _ = writeln!(out, "way: {}", planned.way);
    if !planned.would_begin {
        out.push_str("It would be refused as it is.\n");
    }
    out
}

/// A state in words.
pub fn state_words(line: &HistoryLine) -> String {
    let word = line.state.replace('_', " ");
    let mut text = match line.state.as_str() {
        "staging" => format!("step {}", line.detail),
        _ if line.detail.is_empty() => word,
        _ => format!("{word} ({})", line.detail),
    };
    if !line.note.is_empty() {
        let _ = write!(text, ": {}", clean(&line.note));
    }
    text
}

/// How a change stands when it is left.
pub fn outcome(line: &HistoryLine) -> String {
    match line.state.as_str() {
        "watching" | "staging" if line.state == "watching" || line.detail == "1/1 serves" => {
            format!(
                "Version {} serves. It is watched, and taken back where it hurts; plimsoll status says how it goes.\n",
                line.version
            )
        }
        "applied" | "adopted" | "temporary" => format!("Version {} serves.\n", line.version),
        "refused" | "rolled_back" => match line.from {
            Some(from) => format!("Version {from} serves.\n"),
            None => String::new(),
        },
        _ => format!(
            "Version {} is still on its way: plimsoll status.\n",
            line.version
        ),
    }
}

/// A line for each version.
pub fn history(lines: &[HistoryLine]) -> String {
    let mut out = String::new();
    for line in lines {
        let mark = if line.current { '*' } else { ' ' };
        let _ = write!(
            out,
            "{mark}{:>5}  {}  {}  {:<8}  {}",
            line.version,
            moment(line.at_ms),
            short(&line.hash),
            line.origin,
            state_words(line),
        );
        let _ = write!(out, "  by {}", clean(&line.actor));
        if !line.reason.is_empty() {
            let _ = write!(out, "  “{}”", clean(&line.reason));
        }
        out.push('\n');
    }
    if out.is_empty() {
        out.push_str("No version yet.\n");
    }
    out
}

/// One version in full.
pub fn version(text: &VersionText) -> String {
    let mut out = history(std::slice::from_ref(&text.line));
    for (at, what, note) in &text.events {
        let _ = write!(out, "        {}  {}", moment(*at), clean(what));
        if !note.is_empty() {
            let _ = write!(out, ": {}", clean(note));
        }
        out.push('\n');
    }
    for (path, text) in &text.files {
        let _ = writeln!(out, "\n── {} (secrets left out)", path.display());
        for line in text.lines() {
            let tame = |c: char| if c.is_control() && c != '\t' { '?' } else { c };
            out.extend(line.chars().map(tame));
            out.push('\n');
        }
    }
    out
}

/// It served, at least for a while.
pub fn was_applied(line: &HistoryLine) -> bool {
    matches!(line.state.as_str(), "applied" | "adopted" | "rolled_back")
}

/// Commits for `git fast-import`, the oldest first.
pub fn git(versions: &[VersionText]) -> String {
    let mut out = String::new();
    let mut versions: Vec<&VersionText> = versions.iter().collect();
    versions.sort_by_key(|v| v.line.version);
    for (at, version) in versions.iter().enumerate() {
        let line = &version.line;
        let tame = |c: char| match c {
            '<' | '>' | '\n' | '\0' => ' ',
            other => other,
        };
        let who: String = line.actor.chars().map(tame).collect();
        // Only what never changes: two exports of one history are one line of commits.
        let mut message = format!("Version {} by {}", line.version, line.origin);
        if !line.reason.is_empty() {
            let _ = write!(message, "\n\n{}", line.reason);
        }
        let _ = writeln!(out, "commit refs/heads/main\nmark :{}", at + 1);
        let _ = writeln!(out, "committer {who} <> {} +0000", line.at_ms / 1000);
        let _ = writeln!(out, "data {}\n{message}", message.len());
        if at > 0 {
            let _ = writeln!(out, "from :{at}");
        }
        out.push_str("deleteall\n");
        for (path, text) in &version.files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = name.replace(['\n', '"'], "_");
            let _ = writeln!(out, "M 100644 inline {name}\ndata {}\n{text}", text.len());
        }
        out.push('\n');
    }
    out
}

/// What serves.
pub fn status(status: &Status) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Serves     version {}  {}",
        status.version,
        short(&status.hash)
    );
    let _ = writeln!(
        out,
        "File       {} (source {})",
        status.path.display(),
        status.source
    );
    if let Some(etcd) = &status.etcd {
        let _ = writeln!(out, "Text from  etcd: {}", clean(etcd));
    }
    let history = match &status.directory {
        Some(dir) => dir.display().to_string(),
        None => "in memory only: it ends with the process".to_owned(),
    };
    let _ = writeln!(out, "History    {history}");
    if let Some(open) = &status.open {
        let _ = writeln!(
            out,
            "Under way  version {}: {}  by {}",
            open.version,
            state_words(open),
            clean(&open.actor)
        );
    }
    for line in &status.temporary {
        let _ = writeln!(out, "Temporary  {}", clean(line));
    }
    if let Some(drift) = &status.drift {
        let since = status.drift_since_ms.map(moment).unwrap_or_default();
        let _ = writeln!(out, "Drift      {} (since {since})", clean(drift));
    }
    if let Some(reason) = &status.held_back {
        let _ = writeln!(out, "Not ready  {}", clean(reason));
    }
    for guard in &status.new_guards {
        let guard = clean(guard);
        let _ = writeln!(
            out,
            "New guard  {guard} only watches; guards.{guard} = \"enforce\" lets it act"
        );
    }
    for line in &status.unknown {
        let _ = writeln!(out, "Unknown    {}", clean(line));
    }
    for line in &status.without {
        let _ = writeln!(out, "Without    {}", clean(line));
    }
    for line in &status.sharing {
        let _ = writeln!(out, "Line       {}", clean(line));
    }
    out
}
