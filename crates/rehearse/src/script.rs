//! What one request does: pgbench's script files, read before anything is sent.
//!
//! ```text
//!   \set aid random(1, 100000 * :scale)
//!   BEGIN;
//!   UPDATE accounts SET balance = balance + 1 WHERE id = :aid;
//!   \sleep 10 ms
//!   COMMIT;
//! ```
//!
//! Statements end with `;` and may take several lines. `:name` is replaced by the
//! variable's value, as text, wherever it stands, as pgbench does in its simple
//! protocol. `\if`, `\gset`, `\shell` and pipelines are refused by name.

mod error;

use crate::expression::{Expression, Variables};
use crate::text::head;
use sim::rng::Rng;
use std::time::Duration;

pub use error::ScriptError;

/// Largest script, bytes.
pub const SCRIPT_MAX: usize = 1 << 20;
/// Most steps of one script.
const STEPS_MAX: usize = 10_000;
/// Longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// A script that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Script {
    /// Its name: what reports call the class of its requests.
    pub name: String,
    /// Where it stands, for messages: its file, or the name where it has none.
    pub place: String,
    /// What it does, in order. At least one is a statement.
    pub steps: Vec<Step>,
}

/// One step of a script.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A statement.
    Statement(Statement),
    /// A variable gets a value.
    Set {
        /// Its name.
        name: String,
        /// What it comes to.
        value: Expression,
        /// Line of the file, from 1.
        line: usize,
    },
    /// The client does something else, and keeps what it holds.
    Sleep {
        /// How many of the unit.
        value: Expression,
        /// The unit.
        unit: Duration,
        /// Line of the file, from 1.
        line: usize,
    },
}

/// A statement with places for variables.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// Text and names of variables by turns; begins and ends with text.
    parts: Vec<Part>,
    /// Line of the file at which it begins, from 1.
    pub line: usize,
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Variable(String),
}

impl Script {
    /// What went wrong at a line of it (from 1), or in the whole (0).
    pub(crate) fn fault(&self, line: usize, what: String) -> ScriptError {
        ScriptError {
            script: self.place.clone(),
            line,
            what,
        }
    }

    /// Reads a script. `known`: variables that are set before it begins.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(name: &str, text: &str, known: &[&str]) -> Result<Script, ScriptError> {
        let fault = |line: usize, what: String| ScriptError {
            script: name.to_owned(),
            line,
            what,
        };
        if text.len() > SCRIPT_MAX {
            return Err(fault(0, format!("a script is at most {SCRIPT_MAX} bytes")));
        }
        if let Some(at) = text.lines().position(|line| line.contains('\0')) {
            // The protocol would end the statement there.
            return Err(fault(at + 1, "there is a NUL byte in it".to_owned()));
        }
        let mut reader = Reader {
            steps: Vec::new(),
            known: known.iter().map(|name| (*name).to_owned()).collect(),
            open: None,
        };
        for (at, line) in text.lines().enumerate() {
            reader
                .line(line, at + 1)
                .map_err(|what| fault(at + 1, what))?;
            if reader.steps.len() > STEPS_MAX {
                return Err(fault(
                    at + 1,
                    format!("a script has at most {STEPS_MAX} steps"),
                ));
            }
        }
        // pgbench too takes the last statement without its semicolon.
        reader.finish().map_err(|(line, what)| fault(line, what))?;
        if !reader
            .steps
            .iter()
            .any(|step| matches!(step, Step::Statement(_)))
        {
            return Err(fault(0, "there is no statement in it".to_owned()));
        }
        Ok(Script {
            name: name.to_owned(),
            place: name.to_owned(),
            steps: reader.steps,
        })
    }
}

impl Statement {
    /// The text that is sent.
    ///
    /// # Errors
    /// A variable has no value: the script was not read by [`Script::parse`].
    pub fn text(&self, variables: &Variables) -> Result<String, String> {
        self.with(variables, |text, value| text.push_str(&value))
    }

    /// The text with `$1`, `$2` … in place of variables, and their values.
    ///
    /// # Errors
    /// A variable has no value: the script was not read by [`Script::parse`].
    pub fn parameters(&self, variables: &Variables) -> Result<(String, Vec<String>), String> {
        let mut values = Vec::new();
        let text = self.with(variables, |text, value| {
            values.push(value);
            text.push_str(&format!("${}", values.len()));
        })?;
        Ok((text, values))
    }

    /// The text, with what `put` writes for each value.
    fn with(
        &self,
        variables: &Variables,
        mut put: impl FnMut(&mut String, String),
    ) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name) => match variables.get(name) {
                    Some(value) => put(&mut text, value.to_string()),
                    None => return Err(format!("the variable `{name}` has no value")),
                },
            }
        }
        Ok(text)
    }
}

impl Step {
    /// The line at which it stands, from 1.
    pub fn line(&self) -> usize {
        match self {
            Step::Statement(statement) => statement.line,
            Step::Set { line, .. } | Step::Sleep { line, .. } => *line,
        }
    }

    /// How long a sleep is this time; `None` for other steps.
    ///
    /// # Errors
    /// The expression fails, or comes to less than nothing or more than an hour.
    pub fn sleep(&self, variables: &Variables, rng: &mut Rng) -> Result<Option<Duration>, String> {
        let Step::Sleep { value, unit, .. } = self else {
            return Ok(None);
        };
        let many = match value.value(variables, rng)? {
            crate::expression::Value::Int(n) => n as f64,
            crate::expression::Value::Double(n) => n,
        };
        let seconds = many * unit.as_secs_f64();
        if !(0.0..=SLEEP_MAX.as_secs_f64()).contains(&seconds) {
            return Err(format!(
                "a sleep of {seconds} s is outside 0 to {} s",
                SLEEP_MAX.as_secs()
            ));
        }
        Ok(Some(Duration::from_secs_f64(seconds)))
    }
}

/// A statement that has begun.
struct Open {
    text: String,
    line: usize,
    inside: Inside,
}

/// What a place in a statement is inside of.
#[derive(Clone, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// `'…'` or `"…"`; an escape string takes a backslash.
    Quotes {
        sign: char,
        escapes: bool,
    },
    /// `$tag$ … $tag$`.
    Dollars(String),
    /// `/* … */`, which nest.
    Comment(u32),
}

struct Reader {
    steps: Vec<Step>,
    known: Vec<String>,
    open: Option<Open>,
}

impl Reader {
    fn line(&mut self, line: &str, number: usize) -> Result<(), String> {
        let begun = self.open.is_some();
        let trimmed = line.trim();
        if !begun && (trimmed.is_empty() || trimmed.starts_with("--")) {
            return Ok(());
        }
        if !begun && let Some(command) = trimmed.strip_prefix('\\') {
            return self.command(command, number);
        }
        self.sql(line, number)
    }

    fn command(&mut self, command: &str, line: usize) -> Result<(), String> {
        let (word, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        let rest = rest.trim();
        match word {
            "set" => {
                let (name, text) = rest
                    .split_once(char::is_whitespace)
                    .ok_or("write `\\set NAME EXPRESSION`")?;
                if !is_name(name) {
                    return Err("a variable's name is letters, digits and `_`".to_owned());
                }
                let value = self.expression(text)?;
                self.known.push(name.to_owned());
                self.steps.push(Step::Set {
                    name: name.to_owned(),
                    value,
                    line,
                });
                Ok(())
            }
            "sleep" => {
                let units = [
                    ("us", Duration::from_micros(1)),
                    ("ms", Duration::from_millis(1)),
                    ("s", Duration::from_secs(1)),
                ];
                let found = units.iter().find_map(|(unit, each)| {
                    let value = rest.strip_suffix(unit)?;
                    let apart = value
                        .ends_with(|c: char| c.is_whitespace() || c.is_ascii_digit() || c == ')');
                    apart.then_some((value.trim(), *each))
                });
                // Without a unit they are seconds, as in pgbench.
                let (text, unit) = found.unwrap_or((rest, Duration::from_secs(1)));
                let value = self.expression(text)?;
                self.steps.push(Step::Sleep { value, unit, line });
                Ok(())
            }
            other => {
                let shown = head(other);
                Err(format!(
                    "`\\{shown}` is not known here; `\\set` and `\\sleep` are"
                ))
            }
        }
    }

    fn expression(&self, text: &str) -> Result<Expression, String> {
        let expression = Expression::parse(text)?;
        for name in expression.variables() {
            if !self.known.iter().any(|known| known == name) {
                return Err(format!("the variable `{name}` has no value at this place"));
            }
        }
        Ok(expression)
    }

    /// One line of SQL: statements may begin and end in it.
    fn sql(&mut self, line: &str, number: usize) -> Result<(), String> {
        let mut rest = line;
        loop {
            if self.open.is_none() && rest.trim().is_empty() {
                return Ok(());
            }
            let open = self.open.get_or_insert_with(|| Open {
                text: String::new(),
                line: number,
                inside: Inside::Nothing,
            });
            match open.until_semicolon(rest) {
                Some(after) => {
                    rest = after;
                    self.close()?;
                }
                None => {
                    open.text.push('\n');
                    return Ok(());
                }
            }
        }
    }

    fn finish(&mut self) -> Result<(), (usize, String)> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let line = open.line;
        if open.inside != Inside::Nothing {
            return Err((
                line,
                "the statement that begins here has no end: a quote or comment is open".to_owned(),
            ));
        }
        self.close().map_err(|what| (line, what))
    }

    /// The open statement is whole.
    fn close(&mut self) -> Result<(), String> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let text = open.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        let parts = parts(text, &self.known)?;
        self.steps.push(Step::Statement(Statement {
            parts,
            line: open.line,
        }));
        Ok(())
    }
}

impl Open {
    /// Takes text up to a semicolon that ends the statement; what is after it.
    fn until_semicolon<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let mut at = 0;
        while let Some(c) = line[at..].chars().next() {
            let rest = &line[at..];
            let mut taken = c.len_utf8();
            match &mut self.inside {
                Inside::Nothing => match c {
                    ';' => return Some(&rest[1..]),
                    '\'' | '"' => {
                        let escapes = c == '\'' && ends_with_e_alone(&line[..at]);
                        self.inside = Inside::Quotes { sign: c, escapes };
                    }
                    // The rest of the line is a comment.
                    '-' if rest.starts_with("--") => return None,
                    '/' if rest.starts_with("/*") => {
                        self.inside = Inside::Comment(1);
                        taken = 2;
                    }
                    '$' => {
                        if let Some(tag) = dollar_tag(rest) {
                            taken = tag.len();
                            self.inside = Inside::Dollars(tag.to_owned());
                        }
                    }
                    _ => {}
                },
                Inside::Quotes { sign, escapes } => match c {
                    '\\' if *escapes => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
                    // A doubled quote closes and opens again, which is the same.
                    c if c == *sign => self.inside = Inside::Nothing,
                    _ => {}
                },
                Inside::Dollars(tag) if rest.starts_with(tag.as_str()) => {
                    taken = tag.len();
                    self.inside = Inside::Nothing;
                }
                Inside::Dollars(_) => {}
                Inside::Comment(depth) if rest.starts_with("*/") => {
                    taken = 2;
                    *depth -= 1;
                    if *depth == 0 {
                        self.inside = Inside::Nothing;
                    }
                }
                Inside::Comment(depth) if rest.starts_with("/*") => {
                    taken = 2;
                    *depth += 1;
                }
                Inside::Comment(_) => {}
            }
            self.text.push_str(&rest[..taken]);
            at += taken;
        }
        None
    }
}

/// An `E` that is a word of its own: the quote after it begins an escape string.
fn ends_with_e_alone(text: &str) -> bool {
    let mut back = text.chars().rev();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    matches!(back.next(), Some('e' | 'E')) && !back.next().is_some_and(word)
}

/// `$$` or `$tag$` at the begin of a text.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[1..end - 1];
    let sound = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    sound.then(|| &text[..end])
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Text and variables of a statement. `::` is a cast, and a name that is not known
/// is left as it is, for slices and times as `12:30` have colons too.
fn parts(text: &str, known: &[String]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(cast) = after.strip_prefix(':') {
            plain.push_str("::");
            rest = cast;
            continue;
        }
        let end = after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(after.len());
        let name = &after[..end];
        if known.iter().any(|known| known == name) {
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Variable(name.to_owned()));
        } else if name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !inside_quotes(text, rest, at)
        {
            return Err(format!("the variable `{name}` has no value at this place"));
        } else {
            plain.push(':');
            plain.push_str(name);
        }
        rest = &after[end..];
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// Whether the place `at` of `rest`, the end of `text`, is within single quotes.
fn inside_quotes(text: &str, rest: &str, at: usize) -> bool {
    let before = &text[..text.len() - rest.len() + at];
    before.matches('\'').count() % 2 == 1
}

#[cfg(test)]
mod tests;
