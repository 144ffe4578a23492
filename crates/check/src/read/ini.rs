//! Lines of an ini file with their places. Tolerant: what it cannot read, it
//! leaves to the reader.

use crate::place::{FileId, Place};
use std::ops::Range;

/// One line that says something.
pub(crate) enum Line<'a> {
    Section(&'a str),
    Pair {
        key: &'a str,
        value: &'a str,
        key_place: Place,
        value_place: Place,
    },
}

/// The lines; comments (`#`, `;`) and empty ones are left out.
pub(crate) fn lines(file: FileId, text: &str) -> Vec<Line<'_>> {
    let mut all = Vec::new();
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let line = raw.trim();
        let start = offset + (raw.len() - raw.trim_start().len());
        offset += raw.len();
        let place = |range: Range<usize>| Place::new(file, range);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            all.push(Line::Section(name.trim()));
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value_start = start + key.len() + 1 + (value.len() - value.trim_start().len());
        let (key, value) = (key.trim_end(), value.trim());
        all.push(Line::Pair {
            key,
            value,
            key_place: place(start..start + key.len()),
            value_place: place(value_start..value_start + value.len()),
        });
    }
    all
}

/// `key=value` words of a connection string, quotes removed, with their places
/// inside `value`, which begins at `place`.
pub(crate) fn words<'a>(value: &'a str, place: &Place) -> Vec<(&'a str, String, Place)> {
    let mut all = Vec::new();
    let mut rest = 0;
    while let Some(equals) = value[rest..].find('=').map(|n| rest + n) {
        let key = value[rest..equals].trim();
        let mut at = equals + 1;
        while value[at..].starts_with(' ') {
            at += 1;
        }
        let (text, end) = one(value, at);
        let start = place.range.start;
        all.push((key, text, Place::new(place.file, start + at..start + end)));
        rest = end;
    }
    all
}

/// The word at `at`, and where it ends.
fn one(value: &str, at: usize) -> (String, usize) {
    let body = &value[at..];
    let Some(quoted) = body.strip_prefix('\'') else {
        let end = body.find(char::is_whitespace).unwrap_or(body.len());
        return (body[..end].to_owned(), at + end);
    };
    // A doubled quote stands for one.
    let mut text = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                text.push('\'');
            }
            '\'' => return (text, at + 1 + i + 1),
            c => text.push(c),
        }
    }
    (text, value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_connection_string_may_be_quoted() {
        let text = "host=db  port = 6432 password='a ''b' dbname=x";
        let place = Place::new(FileId(0), 10..10 + text.len());
        let words: Vec<_> = words(text, &place)
            .into_iter()
            .map(|(k, v, p)| (k, v, p.range.start - 10))
            .collect();
        assert_eq!(
            words,
            [
                ("host", "db".to_owned(), 5),
                ("port", "6432".to_owned(), 16),
                ("password", "a 'b".to_owned(), 30),
                ("dbname", "x".to_owned(), 45),
            ]
        );
    }
}
