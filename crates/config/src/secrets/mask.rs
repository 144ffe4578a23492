//! A settings file's text with its secrets replaced, and nothing else.

use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, TableLike, Value};

use crate::connstr;
use crate::draft::Dialect;
use crate::entries::{DATABASE_KEYS, USER_KEYS};
use crate::ini::{self, Item as IniItem};
use crate::lines::{after_equals, known_leaf, may_show};
use crate::table::settings;

/// What stands in place of every secret, whatever its length. It reads as a
/// password in both dialects and in URLs.
pub const MASKED: &str = "(secret)";

/// `text` of the settings file at `path` with every secret replaced by
/// [`MASKED`]: values of password keys, passwords of `[databases]` lines and of
/// URLs, and those that a comment keeps. All else stays byte by byte. A file
/// that cannot be read loses every value that is not known to be harmless.
///
/// ```
/// let text = "[databases]\na = host=h password='x y' port=1\n; note\n";
/// let masked = config::masked("p.ini".as_ref(), text);
/// assert_eq!(masked, "[databases]\na = host=h password=(secret) port=1\n; note\n");
/// ```
pub fn masked(path: &Path, text: &str) -> String {
    let dialect = crate::dialect_of_name(path);
    let mut hidden = match dialect.unwrap_or_else(|| crate::dialect_of_text(text)) {
        Dialect::Toml => of_toml(text),
        Dialect::Ini => of_ini(path, text),
    };
    hidden.extend(url_passwords(text));
    replaced(text, hidden)
}

/// `text` of a file of host-based rules or ident maps, without the passwords that a
/// comment in it keeps. A rule has none: one with such an option is refused.
///
/// ```
/// let text = "local all all peer map=m # password=x\n";
/// assert_eq!(config::masked_rules(text), "local all all peer map=m # password=(secret)\n");
/// ```
pub fn masked_rules(text: &str) -> String {
    let comments = lines_of(text).filter_map(|(at, line)| {
        let hash = line.find('#')?;
        Some(at + hash..at + line.len())
    });
    let mut hidden: Vec<_> = comments.flat_map(|range| assigned(text, range)).collect();
    hidden.extend(url_passwords(text));
    replaced(text, hidden)
}

/// A query of the settings without the passwords in it.
pub(crate) fn query(text: &str) -> String {
    let mut hidden = url_passwords(text);
    hidden.extend(assigned(text, 0..text.len()));
    replaced(text, hidden)
}

/// Each range gives way to one placeholder; those that overlap share one.
fn replaced(text: &str, mut hidden: Vec<Range<usize>>) -> String {
    hidden.retain(|r| r.start < r.end && text.get(r.clone()).is_some());
    hidden.sort_by_key(|r| (r.start, r.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut ranges = hidden.into_iter().peekable();
    while let Some(range) = ranges.next() {
        let mut end = range.end;
        while let Some(next) = ranges.next_if(|next| next.start < end) {
            end = end.max(next.end);
        }
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(MASKED);
        at = end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

const QUOTES: [char; 2] = ['"', '\''];

/// Keys that name where a password is kept.
const HARMLESS: [&str; 4] = [
    "password_file",
    "password_env",
    "password_command",
    "password_ttl",
];

/// Passwords in the authority of URLs: from the colon after the user to the last `@`.
fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = text.get(start..).unwrap_or_default();
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let authority = rest.find(['/', '?', '#', '"', '\'']).unwrap_or(word);
        let login = |end: usize| rest.get(..end.min(word)).and_then(|a| a.rfind('@'));
        // An unencoded `/` may be a part of the password.
        let Some(end) = login(authority).or_else(|| login(word)) else {
            continue;
        };
        if let Some(colon) = rest.get(..end).and_then(|l| l.find(':')) {
            found.push(start + colon + 1..start + end);
        }
    }
    // libpq takes the password among the parameters of a URL too.
    for (at, word) in text.match_indices("password=") {
        let before = text.get(..at).unwrap_or_default();
        if before.ends_with(['?', '&']) {
            let from = at + word.len();
            let rest = text.get(from..).unwrap_or_default();
            let ends = |c: char| c.is_whitespace() || "&\"'#".contains(c);
            found.push(from..from + rest.find(ends).unwrap_or(rest.len()));
        }
    }
    found
}

/// Values after `password =` in text of no known form: comments, queries.
fn assigned(text: &str, within: Range<usize>) -> Vec<Range<usize>> {
    let part = text.get(within.clone()).unwrap_or_default();
    let lower = part.to_ascii_lowercase();
    let mut found = Vec::new();
    for (at, word) in lower.match_indices("password") {
        let after = part.get(at + word.len()..).unwrap_or_default();
        let name_end = after.trim_start_matches(QUOTES).trim_start();
        let Some(value) = name_end.strip_prefix(['=', ':']) else {
            continue;
        };
        let value = value.trim_start();
        let from = part.len() - value.len();
        let len = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = value.get(1..).unwrap_or_default();
                inner.find(quote).map_or(value.len(), |n| n + 2)
            }
            _ => value.find(char::is_whitespace).unwrap_or(value.len()),
        };
        found.push(within.start + from..within.start + from + len);
    }
    found
}

/// Lines with their places, without their ends.
fn lines_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split('\n').map(move |line| {
        let start = at;
        at += line.len() + 1;
        (start, line.trim_end())
    })
}

fn of_toml(text: &str) -> Vec<Range<usize>> {
    let Ok(document) = Document::parse(text) else {
        return of_broken(text);
    };
    let mut walk = Walk {
        text,
        hidden: Vec::new(),
        texts: Vec::new(),
    };
    walk.table(document.as_table());
    let Walk {
        mut hidden,
        mut texts,
        ..
    } = walk;
    texts.sort_unstable_by_key(|range| range.start);
    let in_text = |at: usize| {
        let after = texts.partition_point(|range| range.start <= at);
        let before = after.checked_sub(1).and_then(|i| texts.get(i));
        before.is_some_and(|range| range.contains(&at))
    };
    // A comment is looked at once, however many `#` it has.
    let mut looked_at = 0;
    for (at, _) in text.match_indices('#') {
        if at >= looked_at && !in_text(at) {
            let rest = text.get(at..).unwrap_or_default();
            let end = at + rest.find('\n').unwrap_or(rest.len());
            hidden.extend(assigned(text, at..end));
            looked_at = end;
        }
    }
    hidden
}

struct Walk<'a> {
    text: &'a str,
    hidden: Vec<Range<usize>>,
    /// Where texts and keys stand: a `#` in them begins no comment.
    texts: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn table(&mut self, table: &dyn TableLike) {
        let kind = table.get("kind").and_then(Item::as_str);
        for (name, item) in table.iter() {
            self.texts.extend(table.key(name).and_then(|k| k.span()));
            match item {
                // Who knows the address of a chat may write there: only a file may hold it.
                Item::Value(Value::String(_)) if name == "url" && kind == Some("slack") => {
                    let span = item.span();
                    self.texts.extend(span.clone());
                    self.hidden.extend(span.map(|span| inside(self.text, span)));
                }
                Item::Value(value) => self.value(name, value),
                Item::Table(inner) => self.table(inner),
                Item::ArrayOfTables(list) => list.iter().for_each(|t| self.table(t)),
                Item::None => {}
            }
        }
    }

    fn value(&mut self, name: &str, value: &Value) {
        // An unknown key may be a mistyped one; such a file has no plan anyway.
        let harmless = HARMLESS.contains(&name) || known_leaf(name);
        let secret = name == "password" || !harmless;
        let span = value.span();
        match value {
            Value::String(_) => {
                self.texts.extend(span.clone());
                let Some(span) = span else { return };
                if secret {
                    // Inside the quotes, so that they stay.
                    self.hidden.push(inside(self.text, span));
                } else if name == "connect_query"
                    || self
                        .text
                        .get(span.clone())
                        .is_some_and(|t| t.contains('\n'))
                {
                    self.hidden
                        .extend(assigned(self.text, inside(self.text, span)));
                }
            }
            Value::Array(list) => list.iter().for_each(|v| self.value(name, v)),
            Value::InlineTable(inner) => self.table(inner),
            _ if secret => self.hidden.extend(span),
            _ => {}
        }
    }
}

/// A TOML text's span without its quotes.
fn inside(text: &str, span: Range<usize>) -> Range<usize> {
    let written = text.get(span.clone()).unwrap_or_default();
    let long = written.starts_with("\"\"\"") || written.starts_with("'''");
    let quote = if long { 3 } else { 1 };
    if written.len() < 2 * quote {
        return span;
    }
    span.start + quote..span.end - quote
}

/// TOML with a fault: what is not known to be harmless is hidden.
fn of_broken(text: &str) -> Vec<Range<usize>> {
    let long = text.contains("\"\"\"") || text.contains("'''");
    let mut hidden = Vec::new();
    for (start, line) in lines_of(text) {
        let bare = line.trim();
        let harmless = !long && (bare.is_empty() || bare.starts_with('#') || may_show(line));
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        if harmless {
            hidden.extend(assigned(text, start..start + line.len()));
        } else if long && key != "password" && !known_leaf(key) {
            // It may stand inside a text of several lines.
            hidden.push(start..start + line.len());
        } else if let Some(part) = after_equals(line) {
            hidden.push(start + part.start..start + part.end);
        }
    }
    hidden
}

fn of_ini(path: &Path, text: &str) -> Vec<Range<usize>> {
    // Included files are other texts; here they are read as empty.
    let alone = |asked: &Path| {
        Ok(match asked == path {
            true => text.as_bytes().to_vec(),
            false => Vec::new(),
        })
    };
    let (parsed, _) = ini::lines(path, &alone);
    let mut hidden = Vec::new();
    let mut section: Option<String> = None;
    let mut next = parsed.iter().filter(|l| l.file == path).peekable();
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    for (index, (start, line)) in lines_of(text).enumerate() {
        let start = if index == 0 { start + mark } else { start };
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let bare = line.trim_start();
        if bare.starts_with([';', '#']) {
            hidden.extend(assigned(text, start..start + line.len()));
            // A comment for us is a setting, as one of [plimsoll].
            if let Some(item) = next.next_if(|l| l.number == index + 1)
                && let IniItem::Own { key, value_at, .. } = &item.item
            {
                let value = line.get(*value_at..).unwrap_or_default();
                let ranges = of_pair(Some("plimsoll"), key, value);
                let shift = start + value_at;
                hidden.extend(ranges.into_iter().map(|r| r.start + shift..r.end + shift));
            }
            continue;
        }
        let mut whole = bare.is_empty() || bare.starts_with("%include");
        while let Some(item) = next.next_if(|l| l.number == index + 1) {
            match &item.item {
                IniItem::Section(name) => {
                    section = Some(name.clone());
                    whole = item.key.end >= line.len();
                }
                IniItem::Own { .. } => whole = true,
                IniItem::Pair { key, value_at, .. } => {
                    let value = line.get(*value_at..).unwrap_or_default();
                    let ranges = of_pair(section.as_deref(), key, value);
                    let shift = start + value_at;
                    hidden.extend(ranges.into_iter().map(|r| r.start + shift..r.end + shift));
                    whole = true;
                }
            }
        }
        if !whole {
            hidden.push(start..start + line.len());
        }
    }
    hidden
}

/// What is secret of one value of pgbouncer.ini.
fn of_pair(section: Option<&str>, key: &str, value: &str) -> Vec<Range<usize>> {
    let setting = settings().iter().any(|s| s.key == key);
    match section {
        Some("pgbouncer" | "plimsoll") | None if setting => return Vec::new(),
        Some("pgbouncer" | "plimsoll") => return std::iter::once(0..value.len()).collect(),
        _ => {}
    }
    let of_databases = DATABASE_KEYS.iter().flat_map(|k| k.ini);
    let known = |key: &str| {
        let mut names = of_databases
            .clone()
            .chain(USER_KEYS.iter().flat_map(|k| k.ini));
        names.any(|name| *name == key)
    };
    let mut hidden = connstr::secrets(value, known);
    for pair in connstr::pairs(value).0 {
        if pair.key == "connect_query" {
            hidden.extend(assigned(value, pair.value_at));
        }
    }
    hidden
}

#[cfg(test)]
mod tests;
