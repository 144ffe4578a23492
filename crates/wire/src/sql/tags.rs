//! Tags that clients put into comments, so that a statement can be traced to its code.
//!
//! Two forms are read, before the statement or after it: sqlcommenter's
//! `/*controller='index',route='%2Fpolls'*/` and marginalia's `/*application:Shop,action:show*/`.

use std::fmt;

use super::lex::is_space;

/// A text's tags are at most this many.
const TAGS_MAX: usize = 12;
/// The longest value, in bytes; the rest is cut.
const VALUE_BYTES_MAX: usize = 128;
/// The longest comment that is looked at.
const COMMENT_BYTES_MAX: usize = 2048;
/// How many comments in a row are looked at.
const COMMENTS_MAX: usize = 4;

/// The keys that are kept, and their names here. None of them differs from call to call, as a
/// trace or request id does.
const KEYS: [(&str, &str); 17] = [
    ("application", "application"),
    ("app", "application"),
    ("controller", "controller"),
    ("namespaced_controller", "controller"),
    ("action", "action"),
    ("route", "route"),
    ("framework", "framework"),
    ("job", "job"),
    ("job_class", "job"),
    ("release", "release"),
    ("version", "version"),
    ("db_driver", "db_driver"),
    ("file", "file"),
    ("source_location", "file"),
    ("line", "file"),
    ("service", "service"),
    ("function", "function"),
];

/// One tag.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag {
    /// From the allow-list.
    pub key: &'static str,
    /// Decoded, bounded, without control characters.
    pub value: Box<str>,
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.key, self.value)
    }
}

/// The tags of a text, each key at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    tags: Vec<Tag>,
}

impl Tags {
    /// The value of a tag: `application`, `controller`, `action`, `route`, `framework`, `job`,
    /// `release`, `version`, `db_driver`, `file`, `service`, `function`.
    pub fn value(&self, key: &str) -> Option<&str> {
        let tag = self.tags.iter().find(|tag| tag.key == key)?;
        Some(&tag.value)
    }

    /// All of them, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    fn add(&mut self, key: &str, value: Box<str>) {
        let key = key.trim().to_ascii_lowercase();
        let Some((_, key)) = KEYS.iter().find(|(written, _)| *written == key) else {
            return;
        };
        let known = self.tags.iter().any(|tag| tag.key == *key);
        if !known && !value.is_empty() && self.tags.len() < TAGS_MAX {
            self.tags.push(Tag { key, value });
        }
    }
}

/// Reads the tags of `text`. Costs a few nanoseconds when no comment stands at either end.
pub fn tags(text: &[u8]) -> Tags {
    let mut tags = Tags::default();
    let mut rest = text;
    for _ in 0..COMMENTS_MAX {
        rest = trim_start(rest);
        let Some((comment, after)) = leading(rest) else {
            break;
        };
        read(comment, &mut tags);
        rest = after;
    }
    for _ in 0..COMMENTS_MAX {
        rest = trim_end(rest);
        let Some((before, comment)) = trailing(rest) else {
            break;
        };
        read(comment, &mut tags);
        rest = before;
    }
    tags
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte));
    start
        .and_then(|start| text.get(start..))
        .unwrap_or_default()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|byte| !is_space(*byte) && *byte != b';')
        .map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// A first comment, and what follows it. Comments in comments hold no tags.
fn leading(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = text.strip_prefix(b"/*")?;
    let near = body.get(..body.len().min(COMMENT_BYTES_MAX))?;
    let end = memchr::memmem::find(near, b"*/")?;
    let comment = near.get(..end)?;
    let nested = memchr::memmem::find(comment, b"/*").is_some();
    (!nested).then_some((comment, body.get(end + 2..)?))
}

/// A last comment, and what precedes it.
fn trailing(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = text.strip_suffix(b"*/")?;
    let far = body.len().saturating_sub(COMMENT_BYTES_MAX);
    let start = far + memchr::memmem::rfind(body.get(far..)?, b"/*")?;
    let comment = body.get(start + 2..)?;
    let nested = memchr::memmem::find(comment, b"*/").is_some();
    (!nested).then_some((body.get(..start)?, comment))
}

fn read(comment: &[u8], tags: &mut Tags) {
    let text = String::from_utf8_lossy(comment);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some(at) = rest.find([':', '=', ',']) else {
            return;
        };
        let (key, tail) = rest.split_at(at);
        let separator = tail.chars().next();
        let tail = tail.get(1..).unwrap_or_default();
        rest = match separator {
            Some(',') => tail,
            _ => pair(key, tail.trim_start(), tags),
        };
    }
}

/// Adds one pair and gives what follows its comma.
fn pair<'a>(key: &str, tail: &'a str, tags: &mut Tags) -> &'a str {
    if let Some(quoted) = tail.strip_prefix('\'') {
        let end = closing_quote(quoted);
        let (value, after) = quoted.split_at(end);
        let key = decode(key);
        tags.add(&key, clean(&decode(&value.replace("\\'", "'"))));
        return after.split_once(',').map_or("", |(_, next)| next);
    }
    let (value, next) = tail.split_once(',').unwrap_or((tail, ""));
    tags.add(key, clean(value.trim()));
    next
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'\'' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.unwrap_or(text.len())
}

/// Resolves `%2F`; what is no valid escape stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes
            .get(at + 1..at + 3)
            .filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Bounds a value, and drops what could disturb a log line or a page.
fn clean(text: &str) -> Box<str> {
    let mut out = String::new();
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    for character in text.chars().filter(harmless) {
        if out.len() + character.len_utf8() > VALUE_BYTES_MAX {
            break;
        }
        out.push(character);
    }
    out.into()
}
