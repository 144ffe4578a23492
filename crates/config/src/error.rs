//! Errors that a person can act on: where, what, why, and what to write instead.
//!
//! A secret never gets in here: the source line is masked when the error is
//! made ([`Place::masked`]), and no reader puts a secret's text in a message.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most errors kept of one reading. The rest is counted: a binary file given
/// by mistake must not produce a report of its own size.
pub const ERRORS_MAX: usize = 50;

/// Longest piece of a source line that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 160;

/// What stands in place of a secret.
const MASK: &str = "…";

/// One mistake in the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The file, or the command line option, that it stands in.
    pub file: PathBuf,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 when the line or file as a whole is meant.
    pub column: usize,
    /// The line's text with secrets masked; empty when it may not be shown.
    pub source: String,
    /// What is wrong.
    pub message: String,
    /// Why that matters; may be empty.
    pub why: String,
    /// What to write instead; may be empty.
    pub help: String,
    /// Characters of `source` to underline: (from, how many).
    marked: (usize, usize),
}

/// What is wrong with a value, before it is known where the value stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Problem {
    pub message: String,
    pub why: String,
    pub help: String,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            ..Problem::default()
        }
    }

    pub fn why(mut self, why: impl Into<String>) -> Problem {
        self.why = why.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = help.into();
        self
    }

    pub fn at(self, place: Place) -> Error {
        Error {
            file: place.file,
            line: place.line,
            column: place.column,
            source: place.source,
            message: self.message,
            why: self.why,
            help: self.help,
            marked: place.marked,
        }
    }
}

/// Where something stands in a file, safe to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    file: PathBuf,
    line: usize,
    column: usize,
    source: String,
    marked: (usize, usize),
}

impl Place {
    /// Both from 1.
    pub fn line_and_column(&self) -> (usize, usize) {
        (self.line, self.column)
    }

    /// A file as a whole.
    pub fn file(file: &Path) -> Place {
        Place {
            file: file.to_owned(),
            line: 0,
            column: 0,
            source: String::new(),
            marked: (0, 0),
        }
    }

    /// A position whose line's text may not be shown.
    pub fn unseen(file: &Path, line: usize, column: usize) -> Place {
        Place {
            line,
            column,
            ..Place::file(file)
        }
    }

    /// A span of a line, with the byte ranges of the line that hold secrets.
    pub fn masked(
        file: &Path,
        line: usize,
        text: &str,
        span: Range<usize>,
        secrets: &[Range<usize>],
    ) -> Place {
        let mut shown = String::new();
        let (mut from, mut count, mut shown_chars) = (None, 0, 0);
        let mut in_secret = false;
        for (at, c) in text.char_indices().take(SHOWN_CHARS_MAX) {
            let secret = secrets.iter().any(|s| s.contains(&at));
            let marked = at >= span.start && at < span.end;
            if secret && in_secret {
                continue;
            }
            if marked {
                from.get_or_insert(shown_chars);
                count += 1;
            }
            if secret {
                shown.push_str(MASK);
            } else {
                shown.push(if c.is_control() { ' ' } else { c });
            }
            shown_chars += 1;
            in_secret = secret;
        }
        let before = text.get(..span.start).unwrap_or(text);
        Place {
            file: file.to_owned(),
            line,
            column: before.chars().count() + 1,
            source: shown.trim_end().to_owned(),
            marked: (from.unwrap_or(shown_chars), count),
        }
    }
}

impl Error {
    /// The error as a compiler would print it, without colour.
    pub fn render(&self) -> String {
        let mut out = format!("error: {}\n", self.message);
        let file = self.file.display();
        match (self.line, self.column) {
            (0, _) => drop(writeln!(out, "  --> {file}")),
            (line, 0) => drop(writeln!(out, "  --> {file}:{line}")),
            (line, column) => drop(writeln!(out, "  --> {file}:{line}:{column}")),
        }
        let number = if self.line == 0 {
            String::new()
        } else {
            self.line.to_string()
        };
        let gutter = " ".repeat(number.len().max(1));
        if !self.source.is_empty() {
            let (from, count) = self.marked;
            let mark = format!("{}{}", " ".repeat(from), "^".repeat(count.max(1)));
            let _ = writeln!(
                out,
                "{gutter} |\n{number} | {}\n{gutter} | {mark}",
                self.source
            );
        }
        if !self.why.is_empty() {
            let _ = writeln!(out, "{gutter} = why: {}", self.why);
        }
        if !self.help.is_empty() {
            let _ = writeln!(out, "{gutter} = help: {}", self.help);
        }
        out
    }

    /// The same on one line: `file:line:column: what, in this line (why; help)`.
    pub fn line(&self) -> String {
        let mut out = self.file.display().to_string();
        match (self.line, self.column) {
            (0, _) => {}
            (line, 0) => drop(write!(out, ":{line}")),
            (line, column) => drop(write!(out, ":{line}:{column}")),
        }
        let _ = write!(out, ": {}", self.message);
        if !self.source.is_empty() {
            let _ = write!(out, ", in `{}`", self.source.trim());
        }
        let more: Vec<&str> = [self.why.as_str(), self.help.as_str()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        if !more.is_empty() {
            let _ = write!(out, " ({})", more.join("; "));
        }
        out.replace(['\n', '\r'], " ")
    }

    fn json(&self) -> String {
        format!(
            "{{\"file\":{},\"line\":{},\"column\":{},\"source\":{},\"message\":{},\"why\":{},\"help\":{}}}",
            json_text(&self.file.to_string_lossy()),
            self.line,
            self.column,
            json_text(&self.source),
            json_text(&self.message),
            json_text(&self.why),
            json_text(&self.help),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

impl std::error::Error for Error {}

/// All mistakes of one reading, in the order of the file. Never empty when returned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Errors {
    list: Vec<Error>,
    omitted: usize,
}

impl Errors {
    /// The errors that were kept, at most [`ERRORS_MAX`].
    pub fn list(&self) -> &[Error] {
        &self.list
    }

    /// How many more there were, at least: reading stops when the list is full.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// All errors as a compiler would print them.
    pub fn render(&self) -> String {
        let mut out: Vec<String> = self.list.iter().map(Error::render).collect();
        if self.omitted > 0 {
            out.push(format!("error: and at least {} more\n", self.omitted));
        }
        out.join("\n")
    }

    /// One line for each error: for logs and the console.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.list.iter().map(Error::line).collect();
        if self.omitted > 0 {
            lines.push(format!("and at least {} more", self.omitted));
        }
        lines
    }

    /// The same as one JSON object: `{"errors":[…],"omitted":0}`.
    pub fn json(&self) -> String {
        let list: Vec<String> = self.list.iter().map(Error::json).collect();
        format!(
            "{{\"errors\":[{}],\"omitted\":{}}}",
            list.join(","),
            self.omitted
        )
    }

    pub(crate) fn push(&mut self, error: Error) {
        if self.list.len() < ERRORS_MAX {
            self.list.push(error);
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn append(&mut self, other: Errors) {
        self.omitted += other.omitted;
        for error in other.list {
            self.push(error);
        }
    }

    /// No more are kept. A reader stops then: suggestions for each line of a
    /// large wrong file would take minutes.
    pub(crate) fn full(&self) -> bool {
        self.list.len() >= ERRORS_MAX && self.omitted > 0
    }

    /// `value` when there is no error.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Errors> {
        if self.list.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Errors {
        Errors {
            list: vec![error],
            omitted: 0,
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

impl std::error::Error for Errors {}

fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as it may stand in a message: short, on one line, and without what
/// could be the password of a URL that was put in the wrong place.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    if text.contains("://") || text.contains('@') {
        return format!("`{MASK}`");
    }
    let mut short: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push_str(MASK);
    }
    format!("`{short}`")
}

/// The nearest of `known`, when it is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .filter(|k| !k.is_empty())
        .map(|k| (distance(&word, k), k))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, k)| k)
}

/// Edits between two words: insert, delete, replace, or swap of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            row[j] = (last[j] + 1)
                .min(row[j - 1] + 1)
                .min(last[j - 1] + usize::from(!same));
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_none() {
        let known = ["pool_size", "min_pool_size", "host"];
        assert_eq!(nearest("pool_szie", known), Some("pool_size"));
        assert_eq!(nearest("Host", known), Some("host"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_masked_line_keeps_the_mark_in_place() {
        let text = "db = password=hunter2 pool_size=abc";
        let place = Place::masked(
            Path::new("f"),
            3,
            text,
            32..35,
            std::slice::from_ref(&(14..21)),
        );
        let error = Problem::new("x").at(place);
        assert_eq!(
            error.render(),
            "error: x\n  --> f:3:33\n  |\n3 | db = password=… pool_size=abc\n  |                           ^^^\n"
        );
    }

    #[test]
    fn errors_are_bounded_and_counted() {
        let mut errors = Errors::default();
        for _ in 0..ERRORS_MAX + 7 {
            errors.push(Problem::new("\"\n").at(Place::file(Path::new("f"))));
        }
        assert_eq!((errors.list().len(), errors.omitted()), (ERRORS_MAX, 7));
        assert!(errors.json().ends_with("\"omitted\":7}"));
        assert!(errors.json().contains("\"message\":\"\\\"\\n\""));
    }
}
