//! Texts within the documents of a report.

use super::units::within;

/// Longest text, characters.
const CHARS_MAX: usize = 600;

/// A text of somebody else's, on one line and not longer than is read, for a document.
pub(super) fn escaped(text: &str) -> String {
    crate::markup::escaped(&within(text, CHARS_MAX))
}

/// What is wrong with a document as XML: unclosed elements, raw markup in values.
#[cfg(test)]
pub(super) fn fault(document: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        let entities = text.split('&').skip(1);
        for entity in entities {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;", "#10;"];
            if !known.iter().any(|known| entity.starts_with(known)) {
                return Some(format!("a bare & before {entity:.20}"));
            }
        }
        let end = rest[at..].find('>').map(|end| at + end)?;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.contains('<') || tag.matches('"').count() % 2 == 1 {
            return Some(format!("<{tag}>"));
        }
        if tag.starts_with(['?', '!']) || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) if open.pop() == Some(name) => {}
            Some(name) => return Some(format!("</{name}> after {open:?}")),
            None => open.push(tag.split(' ').next().unwrap_or(tag)),
        }
    }
    (!open.is_empty()).then(|| format!("open: {open:?}"))
}
