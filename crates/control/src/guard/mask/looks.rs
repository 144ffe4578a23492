//! Secrets by their looks alone: passwords in addresses, words of machines.

use super::names::reference;
use config::MASKED;

/// `scheme://user:password@host`.
pub(super) fn urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#' | '<' | '`')
            })
            .unwrap_or(tail.len());
        let (authority, after) = tail.split_at(end);
        // A password with a slash in it ends later.
        let authority_end = match (authority.contains('@'), authority.contains(':')) {
            (false, true) => tail
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '`'))
                .and_then(|word| tail.get(..word))
                .or(Some(tail))
                .and_then(|word| word.rfind('@'))
                .map(|at| at + 1),
            _ => Some(end),
        };
        let (authority, after) = match authority_end {
            Some(end) => tail.split_at(end),
            None => (authority, after),
        };
        match (authority.find(':'), authority.rfind('@')) {
            (Some(colon), Some(at)) if colon < at => {
                let word = authority.get(colon + 1..at).unwrap_or_default();
                out.push_str(authority.get(..=colon).unwrap_or_default());
                let kept = word.is_empty() || reference(word).is_some_and(str::is_empty);
                out.push_str(if kept { word } else { MASKED });
                out.push_str(authority.get(at..).unwrap_or_default());
            }
            _ => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `user:password@host`, without a scheme.
pub(super) fn accounts(text: &str) -> String {
    let of = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '<' | '>');
    let hidden = |word: &str| {
        let (colon, at) = (word.find(':')?, word.rfind('@')?);
        let inner = word.get(colon + 1..at)?;
        let digest = word.get(at + 1..)?.starts_with("sha");
        let named = inner.is_empty() || reference(inner).is_some_and(str::is_empty);
        if word.contains("://") || digest || named {
            return None;
        }
        Some(format!(
            "{}{MASKED}{}",
            word.get(..=colon)?,
            word.get(at..)?
        ))
    };
    let words = text.split_inclusive(of).map(|word| {
        let bare = word.trim_end_matches(of);
        match hidden(bare) {
            Some(kept) => format!("{kept}{}", word.get(bare.len()..).unwrap_or_default()),
            None => word.to_owned(),
        }
    });
    words.collect()
}

/// Words that a machine made, unless they are checksums and say so.
pub(super) fn long_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let of = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | '_' | '-' | '$');
    while let Some(start) = rest.find(of) {
        let (head, tail) = rest.split_at(start);
        out.push_str(head);
        let end = tail.find(|c| !of(c)).unwrap_or(tail.len());
        let (word, after) = tail.split_at(end);
        let checksum = ["sha256:", "sha512:", "sha1:"]
            .iter()
            .any(|s| out.ends_with(s));
        let made = is_made(word) && !checksum;
        out.push_str(if made { MASKED } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_made(word: &str) -> bool {
    if word.starts_with("SCRAM-SHA-256$") {
        return true;
    }
    let longest = |of: fn(char) -> bool| {
        let runs = word.split(|c| !of(c));
        runs.max_by_key(|run| run.len()).unwrap_or("")
    };
    let run = longest(|c| c.is_ascii_alphanumeric());
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let upper = run.bytes().any(|b| b.is_ascii_uppercase());
    let lower = run.bytes().any(|b| b.is_ascii_lowercase());
    (run.len() >= 20 && digits >= 2 && upper && lower)
        || (run.len() >= 30 && digits >= 4 && (upper || lower))
}
