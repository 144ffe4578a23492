//! The lines of pgbouncer.ini: sections, keys, values, `%include`.
//!
//! This knows the form only; what a key means is `pgbouncer`'s affair.

use std::path::{Path, PathBuf};

use crate::error::{Error, Errors, Place, Problem, quoted};
use crate::source::Source;
use crate::text::{self, SETTINGS_BYTES_MAX};

/// PgBouncer's own bound on nested includes.
const DEPTH_MAX: usize = 10;
/// Most files of one reading; without it ten files that include each other twice make a thousand.
const FILES_MAX: usize = 200;

/// A comment that begins so is a setting of ours, wherever it stands.
const OWN: &str = "plimsoll:";

/// One meaningful line.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Section(String),
    Pair {
        key: String,
        value: String,
        value_at: usize,
    },
    /// A setting that PgBouncer lacks, in a line that it takes for a comment:
    /// `;plimsoll: key = value`.
    Own {
        key: String,
        value: String,
        value_at: usize,
    },
}

/// A line with its place.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub file: PathBuf,
    pub number: usize,
    /// The whole line; may hold secrets.
    pub text: String,
    /// Where the key (or section) stands in it.
    pub key: std::ops::Range<usize>,
    pub item: Item,
}

/// All lines of a file and its includes, in order, and the errors of form.
pub(crate) fn lines(path: &Path, source: &dyn Source) -> (Vec<Line>, Errors) {
    let mut reader = Reader {
        source,
        lines: Vec::new(),
        errors: Errors::default(),
        files: 0,
        bytes: 0,
    };
    reader.file(path, &mut Vec::new(), None);
    (reader.lines, reader.errors)
}

struct Reader<'a> {
    source: &'a dyn Source,
    lines: Vec<Line>,
    errors: Errors,
    files: usize,
    bytes: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, stack: &mut Vec<PathBuf>, at: Option<Place>) {
        let what = if stack.is_empty() {
            "the settings file"
        } else {
            "the included file"
        };
        if let Some(error) = self.refuse(path, stack, at.as_ref()) {
            return self.errors.push(error);
        }
        self.files += 1;
        let left = SETTINGS_BYTES_MAX.saturating_sub(self.bytes);
        let text = match text::read(path, self.source, left, what, at) {
            Ok(text) => text,
            Err(error) => return self.errors.append(error),
        };
        self.bytes += text.len();
        stack.push(path.to_owned());
        for (index, line) in text.split('\n').enumerate() {
            self.line(path, index + 1, line, stack);
        }
        stack.pop();
    }

    fn refuse(&self, path: &Path, stack: &[PathBuf], at: Option<&Place>) -> Option<Error> {
        let place = at.cloned().unwrap_or_else(|| Place::file(path));
        let problem = if stack.iter().any(|p| p == path) {
            Problem::new("this file includes itself").help("remove this line")
        } else if stack.len() > DEPTH_MAX {
            Problem::new(format!("more than {DEPTH_MAX} nested includes"))
                .help("include the file from one further up")
        } else if self.files >= FILES_MAX {
            Problem::new(format!("more than {FILES_MAX} files are included"))
        } else {
            return None;
        };
        Some(problem.at(place))
    }

    fn own(&mut self, path: &Path, number: usize, line: &str, at: usize) {
        match pair(line, at) {
            Ok((
                key_at,
                Item::Pair {
                    key,
                    value,
                    value_at,
                },
            )) => self.lines.push(Line {
                file: path.to_owned(),
                number,
                text: line.trim_end().to_owned(),
                key: key_at,
                item: Item::Own {
                    key,
                    value,
                    value_at,
                },
            }),
            Ok(_) => {}
            Err(_) => {
                let problem = Problem::new("a comment that begins with `plimsoll:` is a setting")
                    .help("write `;plimsoll: key = value`, or begin the comment with another word");
                let column = line.get(..at).unwrap_or(line).chars().count() + 1;
                self.errors
                    .push(problem.at(Place::unseen(path, number, column)));
            }
        }
    }

    fn line(&mut self, path: &Path, number: usize, line: &str, stack: &mut Vec<PathBuf>) {
        let mut at = 0;
        loop {
            let rest = &line[at..];
            at += rest.len() - rest.trim_start().len();
            let rest = line[at..].trim_end();
            if let Some(own) = own_start(line, at) {
                return self.own(path, number, line, own);
            }
            if rest.is_empty() || rest.starts_with(['#', ';']) {
                return;
            }
            if let Some(after) = rest.strip_prefix("%include") {
                let name = after.trim();
                let place = Place::masked(path, number, line, at..at + rest.len(), &[]);
                if name.is_empty() || !after.starts_with([' ', '\t']) {
                    let problem = Problem::new("%include needs a file name");
                    let error = problem.help("write `%include other.ini`").at(place);
                    return self.errors.push(error);
                }
                return self.file(Path::new(name), stack, Some(place));
            }
            let (key, item, end) = match rest.strip_prefix('[') {
                Some(inner) => match inner.split_once(']') {
                    Some((name, _)) => {
                        let end = at + name.len() + 2;
                        (at..end, Item::Section(name.to_owned()), end)
                    }
                    None => {
                        let problem = Problem::new("the section's `]` is missing");
                        let place = Place::unseen(path, number, at + 1);
                        return self
                            .errors
                            .push(problem.help("write for example `[databases]`").at(place));
                    }
                },
                None => match pair(line, at) {
                    Ok((key, item)) => (key, item, line.len()),
                    Err((column, problem)) => {
                        let column = line.get(..column).unwrap_or(line).chars().count() + 1;
                        return self
                            .errors
                            .push(problem.at(Place::unseen(path, number, column)));
                    }
                },
            };
            let text = line.trim_end().to_owned();
            self.lines.push(Line {
                file: path.to_owned(),
                number,
                text,
                key,
                item,
            });
            at = end;
        }
    }
}

/// Where the setting begins in a comment that is meant for us. `plimsoll: allow(RULE)`
/// is for `plimsoll check`.
pub(crate) fn own_start(line: &str, at: usize) -> Option<usize> {
    let comment = line.get(at..)?.strip_prefix([';', '#'])?;
    let own = comment.trim_start().strip_prefix(OWN)?.trim_start();
    (!own.starts_with("allow(")).then(|| line.len() - own.len())
}

/// The numbers of the lines of a pgbouncer.ini that are for us alone, from 1: comments
/// `;plimsoll: key = value`, and the section `[plimsoll]`.
pub fn own_lines(text: &str) -> Vec<usize> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at = line.len() - line.trim_start().len();
        let rest = &line[at..];
        if let Some((name, _)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            inside = name == "plimsoll";
        }
        let says = !rest.is_empty() && !rest.starts_with(['#', ';']);
        if own_start(line, at).is_some() || (inside && says) {
            found.push(number);
        }
    }
    found
}

type Pair = (std::ops::Range<usize>, Item);

/// `key = value`; the key may stand in double quotes.
fn pair(line: &str, at: usize) -> Result<Pair, (usize, Problem)> {
    let rest = &line[at..];
    let (key, key_len) = if rest.starts_with('"') {
        quoted_key(rest).ok_or_else(|| {
            let problem = Problem::new("the quote around this name is not closed");
            (
                at,
                problem.help("close it, and double a quote that belongs to the name"),
            )
        })?
    } else {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-*".contains(c);
        let len = rest.find(|c| !plain(c)).unwrap_or(rest.len());
        (rest[..len].to_owned(), len)
    };
    let after = &rest[key_len..];
    let gap = after.len() - after.trim_start_matches([' ', '\t']).len();
    let Some(value) = after[gap..].strip_prefix('=') else {
        let known = crate::settings().iter().any(|s| s.key == key);
        let problem = match known {
            true => Problem::new(format!("expected `=` after {}", quoted(&key))),
            false => Problem::new("expected `key = value`"),
        };
        let help = "write `key = value`; a comment starts with `;` or `#`; a name with other characters than letters, digits, `_`, `.`, `-` stands in double quotes";
        return Err((at + key_len + gap, problem.help(help)));
    };
    if key.is_empty() {
        return Err((
            at,
            Problem::new("there is no key before `=`").help("write `key = value`"),
        ));
    }
    let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
    let value_at = line.len() - value.len() + blank;
    let value = value.trim().to_owned();
    Ok((
        at..at + key_len,
        Item::Pair {
            key,
            value,
            value_at,
        },
    ))
}

/// A quoted name and the bytes that it took.
fn quoted_key(rest: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else {
            return Some((name, at + 1));
        }
    }
    None
}
