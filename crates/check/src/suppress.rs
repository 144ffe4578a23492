//! Findings that somebody accepted, with the reason.
//!
//! A comment on the line, or alone on the line above it, in whatever comment
//! syntax the file has:
//!
//! ```text
//!   # plimsoll: allow(limit-missing) one user, and the server has its own limit
//! ```
//!
//! Without a reason it suppresses nothing, and is a finding itself.

use crate::files::Files;
use crate::finding::Finding;
use crate::place::{FileId, Place};
use crate::rules::{self, RULES};

const WORD: &str = "plimsoll: allow(";
/// Such comments of one file.
const ALLOWED_MAX: usize = 1_000;

/// One such comment.
struct Allow {
    /// Lines that it covers: its own, and the next when it stands alone.
    lines: [usize; 2],
    rules: Vec<String>,
    reason: String,
    place: Place,
}

/// Marks what is allowed, and complains about comments that allow nothing.
pub(crate) fn apply(files: &Files, findings: &mut Vec<Finding>) {
    let mut own = Vec::new();
    for (file, entry) in files.iter() {
        let Ok(text) = &entry.text else { continue };
        if !text.contains(WORD) {
            continue;
        }
        let line = |f: &Finding| {
            let here = f.place.file == file;
            here.then(|| line_of(text, f.place.range.start))
        };
        let lines: Vec<Option<usize>> = findings.iter().map(line).collect();
        for allow in comments(file, text).into_iter().take(ALLOWED_MAX) {
            if let Some(complaint) = complaint(&allow) {
                own.push(complaint);
                continue;
            }
            for (finding, line) in findings.iter_mut().zip(&lines) {
                let Some(line) = line else { continue };
                let named = allow.rules.iter().any(|id| id == finding.rule.id);
                if named && allow.lines.contains(line) {
                    finding.suppressed = Some(allow.reason.clone());
                }
            }
        }
    }
    findings.extend(own);
}

fn complaint(allow: &Allow) -> Option<Finding> {
    let finding = |message: String| Finding::new(&rules::SUPPRESSION, allow.place.clone(), message);
    let unknown = allow
        .rules
        .iter()
        .find(|id| !RULES.iter().any(|rule| rule.id == id.as_str()));
    if let Some(id) = unknown {
        return Some(
            finding(format!("there is no rule `{id}`"))
                .why("the comment suppresses nothing")
                .help("`plimsoll check --rules` lists them"),
        );
    }
    allow.reason.is_empty().then(|| {
        finding("the suppression gives no reason".to_owned())
            .why("the next reader cannot tell whether it still holds; it suppresses nothing")
            .help("write the reason behind the bracket")
    })
}

fn comments(file: FileId, text: &str) -> Vec<Allow> {
    let mut all = Vec::new();
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if let Some(at) = line.find(WORD)
            && let Some((rules, reason)) = line[at + WORD.len()..].split_once(')')
        {
            let before = line[..at].trim();
            let alone = before.chars().all(|c| !c.is_alphanumeric());
            let reason = reason.trim().trim_end_matches("*/").trim_end_matches("-->");
            all.push(Allow {
                lines: [number, if alone { number + 1 } else { number }],
                rules: rules.split(',').map(|id| id.trim().to_owned()).collect(),
                reason: reason.trim().to_owned(),
                place: Place::new(file, offset + at..offset + at + WORD.len()),
            });
        }
        offset += line.len();
    }
    all
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|b| **b == b'\n').count() + 1
}
