//! Links from one Markdown file to another file, or to a heading, must lead somewhere.

use std::collections::BTreeSet;

use super::{Finding, TextFile};

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(&file.text) {
            if let Some(text) = broken(file, target, files) {
                findings.push(Finding {
                    file: file.path.clone(),
                    line,
                    text,
                });
            }
        }
    }
    findings
}

/// The targets of `[text](target)`, outside of code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, after)) = after.split_once(')') else {
                break;
            };
            found.push((number, target));
            rest = after;
        }
    }
    found
}

/// Lines with their numbers, without fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((i + 1, line))
    })
}

fn broken(from: &TextFile, target: &str, files: &[TextFile]) -> Option<String> {
    if ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| target.starts_with(scheme))
    {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        from.path.clone()
    } else {
        resolve(&from.path, path)
    };
    let is_directory = || {
        files
            .iter()
            .any(|file| file.path.starts_with(&format!("{path}/")))
    };
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return (!is_directory()).then(|| format!("the link `{target}` leads nowhere"));
    };
    let known = heading.is_empty() || headings(&file.text).contains(heading);
    (!known).then(|| format!("the link `{target}` names no heading of {path}"))
}

/// `docs/a.md` and `../b/` make `b`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// A heading's anchor: lower case, spaces to hyphens, punctuation gone.
fn headings(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                .map(|c| if c == ' ' { '-' } else { c })
                .flat_map(char::to_lowercase)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_files_directories_and_headings() {
        let file = |path: &str, text: &str| TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let table = [
            ("[a](b.md)", true),
            ("[a](./b.md) and [c](../README.md)", true),
            ("[a](gone.md)", false),
            ("[a](b.md#the-second-part)", true),
            ("[a](b.md#the-third-part)", false),
            ("[a](#here)", true),
            ("[a](../crates/)", true),
            ("![a](there.png) ", true),
            ("![a](gone.png)", false),
            ("[a](https://example.org/gone)", true),
            ("```\n[a](gone.md)\n```", true),
        ];
        for (text, passes) in table {
            let files = [
                file("docs/a.md", &format!("# Here\n{text}\n")),
                file("docs/b.md", "## The second part!\n"),
                file("README.md", ""),
                file("docs/there.png", ""),
                file("crates/x/src/lib.rs", ""),
            ];
            let found = check(&files);
            assert_eq!(found.is_empty(), passes, "{text}: {found:?}");
        }
    }
}
