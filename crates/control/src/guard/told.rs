//! What the check says of a new content, and the lines of the log.

use super::asking::is_server;
use super::news::News;
use super::server::For;
use super::store::Version;
use crate::settings::short;
use check::{Files, Options, Severity};
use std::path::Path;

/// Findings that are kept of one content.
const FINDINGS_MAX: usize = 20;

/// What is wrong with the new text and was not with the old one, the worst
/// first: `error[rule] line 3: words`. Both come without secrets.
pub fn findings(path: &Path, old: Option<&str>, new: Option<&str>) -> Vec<String> {
    let Some(new) = new else {
        return Vec::new();
    };
    let report = |text: &str, options: &Options| {
        let mut files = Files::default();
        files.add(path, text);
        check::check(&files, options)
    };
    let before = old.map(|old| report(old, &Options::default()));
    let options = Options {
        before: before.as_ref().map(|before| before.facts().clone()),
        ..Options::default()
    };
    let report = report(new, &options);
    let known = |id: &str, message: &str| {
        let mut all = before.iter().flat_map(|before| before.open());
        all.any(|f| f.rule.id == id && f.message == message)
    };
    let mut open: Vec<_> = report
        .open()
        .filter(|f| f.severity > Severity::Note && !known(f.rule.id, &f.message))
        .collect();
    open.sort_by_key(|f| std::cmp::Reverse(f.severity));
    open.iter()
        .take(FINDINGS_MAX)
        .map(|f| {
            let line = report
                .position(&f.place)
                .map(|p| format!(" line {}", p.line));
            format!(
                "{}[{}]{}: {}",
                f.severity.label(),
                f.rule.id,
                line.unwrap_or_default(),
                super::difference::clean(&f.message)
            )
        })
        .collect()
}

/// The check says that it takes the site down.
pub fn is_grave(version: &Version) -> bool {
    version.findings.iter().any(|f| f.starts_with("error["))
}

/// One line of the log.
pub fn tell(news: &News) {
    match news {
        News::Adopted(version) => tracing::info!(
            file = %version.path.display(),
            version = version.version,
            hash = short(&version.hash),
            lacks = some(&version.lacks),
            "never seen before: it is accepted as it is"
        ),
        News::Drift { accepted, version } => drift(accepted.as_deref(), version),
        News::Vanished { path } => tracing::warn!(
            file = %path.display(),
            next = %format!("plimsoll guard restore {0}, or plimsoll guard accept {0}", path.display()),
            "drift: the file is gone"
        ),
        News::Unreadable { path, why } => tracing::error!(
            file = %path.display(),
            "it cannot be read, so drift in it is not seen: {why}"
        ),
        News::Same { path } => tracing::info!(file = %path.display(), "it is as accepted"),
        News::Rotated { path } => tracing::info!(
            file = %path.display(),
            "only its secrets changed: that is taken for a rotation"
        ),
        News::Restored { version } => tracing::warn!(
            file = %version.path.display(),
            version = version.version,
            hash = short(&version.hash),
            next = %format!("plimsoll guard history {}", version.path.display()),
            "the accepted content was written back; nothing was reloaded or restarted"
        ),
        News::NotRestored { path, why } => tracing::error!(
            file = %path.display(),
            next = %format!("plimsoll guard diff {}", path.display()),
            "it is not written back: {why}"
        ),
        News::Waits(waiting) => match waiting.waits_for {
            For::Correction => tracing::error!(setting = %waiting.name, "{}", waiting.words),
            _ => tracing::warn!(setting = %waiting.name, "{}", waiting.words),
        },
        News::WaitIsOver(waiting) => {
            tracing::info!(setting = %waiting.name, "file and server agree again");
        }
        News::ServerSilent(why) => tracing::warn!("the server's settings are not seen: {why}"),
        News::ServerAnswers(label) => tracing::info!(server = %label, "it answers again"),
        News::Remark(words) => tracing::warn!("{words}"),
    }
}

/// Left out where there is nothing to say.
fn some(words: &str) -> Option<&str> {
    Some(words).filter(|words| !words.is_empty())
}

fn drift(accepted: Option<&str>, version: &Version) {
    let path = version.path.display();
    let changes = match (version.difference.is_empty(), version.lacks.is_empty()) {
        (true, false) => version.lacks.clone(),
        _ => version.difference.words(),
    };
    let findings = version.findings.join("; ");
    let back = match is_server(&version.path) {
        true => String::new(),
        false => format!(", or plimsoll guard restore {path}"),
    };
    let next =
        format!("plimsoll guard diff {path}; then plimsoll guard accept {path} --reason …{back}");
    let words = match accepted {
        Some(_) => "drift: it says other than what was accepted",
        None => "drift: a file that nobody accepted",
    };
    let (old, new) = (accepted.map_or("none", short), short(&version.hash));
    match is_grave(version) {
        true => tracing::error!(
            file = %path, version = version.version, old, new, %changes, findings = some(&findings), uid = version.uid, %next, "{words}, and the check calls it an error"
        ),
        false => tracing::warn!(
            file = %path, version = version.version, old, new, %changes, findings = some(&findings), uid = version.uid, %next, "{words}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_found() {
        let ini = |wait: u32, more: &str| {
            format!(
                "[databases]\nshop = host=db\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = 10\nquery_wait_timeout = {wait}\n{more}"
            )
        };
        let path = Path::new("pgbouncer.ini");
        let found = findings(path, Some(&ini(30, "")), Some(&ini(0, "")));
        assert!(
            found
                .iter()
                .any(|f| f.starts_with("warning[wait-unbounded] line 6:")),
            "{found:?}"
        );
        assert_eq!(
            findings(path, Some(&ini(0, "")), Some(&ini(0, "# x\n"))),
            [""; 0]
        );
        assert_eq!(findings(path, None, None), [""; 0]);
    }
}
