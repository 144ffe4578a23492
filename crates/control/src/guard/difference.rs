//! What differs between two texts, in lines a person reads. Pure, but for the
//! time limit of the comparison.

use serde::{Deserialize, Serialize};
use similar::{ChangeTag, TextDiff};
use std::fmt::Write;
use std::time::Duration;

/// Lines that are kept of one difference.
pub const LINES_MAX: usize = 200;
/// Characters of a line that are kept.
const WIDTH_MAX: usize = 300;
/// Then a coarser difference will do.
const TIME_MAX: Duration = Duration::from_millis(300);
/// Characters of [`Difference::words`].
const WORDS_MAX: usize = 1_000;

/// What differs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
    /// They themselves, the first 200.
    pub lines: Vec<Line>,
}

/// A line that came or went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// `+` or `-`.
    pub sign: char,
    /// Its number in the new text, or for `-` in the old one; from 1.
    pub number: usize,
    /// Its text, control characters replaced.
    pub text: String,
}

/// Compares texts without secrets.
///
/// ```
/// let d = control::guard::difference("a = 1\nb = 2\n", "a = 1\nb = 3\n");
/// assert_eq!(d.words(), "-2 b = 2; +2 b = 3");
/// ```
pub fn difference(old: &str, new: &str) -> Difference {
    let diff = TextDiff::configure().timeout(TIME_MAX).diff_lines(old, new);
    let mut out = Difference::default();
    for change in diff.iter_all_changes() {
        let (sign, number) = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Insert => ('+', change.new_index()),
            ChangeTag::Delete => ('-', change.old_index()),
        };
        match sign {
            '+' => out.added += 1,
            _ => out.removed += 1,
        }
        if out.lines.len() < LINES_MAX {
            out.lines.push(Line {
                sign,
                number: number.map_or(0, |n| n + 1),
                text: clean(change.value()),
            });
        }
    }
    out
}

impl Difference {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added + self.removed == 0
    }

    /// On one line, for a log.
    pub fn words(&self) -> String {
        let mut out = String::new();
        for (n, line) in self.lines.iter().enumerate() {
            if n > 0 {
                out.push_str("; ");
            }
            if out.len() > WORDS_MAX {
                let left = self.added + self.removed - n;
                let _ = write!(out, "and {left} more");
                return out;
            }
            let _ = write!(out, "{}{} {}", line.sign, line.number, line.text);
        }
        let left = (self.added + self.removed).saturating_sub(self.lines.len());
        if left > 0 {
            let _ = write!(out, "; and {left} more");
        }
        out
    }

    /// A line each, for people.
    pub fn shown(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            let _ = writeln!(out, "  {}{:>4}  {}", line.sign, line.number, line.text);
        }
        let left = (self.added + self.removed).saturating_sub(self.lines.len());
        if left > 0 {
            let _ = writeln!(out, "  and {left} more lines");
        }
        out
    }
}

/// On one line and bounded, whatever stands in a file.
pub fn clean(text: &str) -> String {
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.trim_end().chars().take(WIDTH_MAX).map(tame).collect();
    match text.trim_end().chars().count() > WIDTH_MAX {
        true => format!("{line}…"),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_own_numbers_and_are_bounded() {
        let d = difference("a\nb\nc\n", "b\nc2\nd\n");
        assert_eq!(d.words(), "-1 a; -3 c; +2 c2; +3 d");
        assert_eq!((d.added, d.removed), (2, 2));
        assert!(difference("a\n", "a\n").is_empty());
        let long: String = (0..1_000).map(|n| format!("{n}\u{1b}[31m\n")).collect();
        let d = difference("", &long);
        assert_eq!((d.added, d.lines.len()), (1_000, LINES_MAX));
        assert!(d.words().ends_with("more") && d.words().len() < 2 * WORDS_MAX);
        assert!(!d.shown().contains('\u{1b}'));
        assert!(d.shown().ends_with("and 800 more lines\n"));
    }
}
