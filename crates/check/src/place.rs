//! Places in files: bytes inside, lines and columns for people.

use std::ops::Range;

/// A file, in the order in which the caller gave them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileId(pub u32);

/// A stretch of a file's text, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// From and to, in bytes. An empty stretch means the file as a whole.
    pub range: Range<usize>,
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: FileId) -> Place {
        Place { file, range: 0..0 }
    }

    /// A stretch of it.
    pub fn new(file: FileId, range: Range<usize>) -> Place {
        Place { file, range }
    }
}

/// Where a place begins, as a person reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line's text, without its end; secrets masked.
    pub source: String,
    /// Characters of `source` before those to underline.
    pub before: usize,
    /// Characters to underline, at least one.
    pub length: usize,
}

/// Longest source line that is shown, in characters.
const SHOWN_MAX: usize = 160;

/// The position of a place in its text.
pub(crate) fn position(text: &str, range: &Range<usize>) -> Position {
    let start = floor(text, range.start);
    let end = floor(text, range.end.max(start));
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    let marked = &text[start..end.min(line_end).max(start)];
    let column = text[line_start..start].chars().count() + 1;
    Position {
        before: column - 1,
        column,
        line: before.bytes().filter(|b| *b == b'\n').count() + 1,
        source: text[line_start..line_end]
            .trim_end()
            .chars()
            .take(SHOWN_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        length: marked.chars().count().max(1),
    }
}

/// The character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines_from_one() {
        let text = "a = 1\nü = größer\r\n";
        let at = text.find("größer").unwrap();
        let p = position(text, &(at..at + "größer".len()));
        assert_eq!((p.line, p.column, p.length), (2, 5, 6));
        assert_eq!(p.source, "ü = größer");
    }

    #[test]
    fn a_place_outside_the_text_or_inside_a_character_is_no_panic() {
        assert_eq!(position("", &(7..9)).line, 1);
        assert_eq!(position("ü", &(1..2)).column, 1);
    }
}
