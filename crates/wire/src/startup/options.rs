//! The `options` start-up parameter: server command-line switches in one string.

use std::fmt;
use std::iter::{Peekable, from_fn};
use std::str::Chars;

/// Most bytes of a client's text that an error repeats.
const SHOWN_MAX: usize = 64;

/// Why a switch in `options` is refused. It names the switch, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// A switch other than `-c` and `--`.
    Unknown(String),
    /// A setting without `=value`, or without a name.
    NoValue(String),
    /// `-c` as the last word.
    NoSetting,
}

/// Reads the settings of an `options` parameter: `-c name=value`, `-cname=value` and
/// `--name=value`, words parted by white space, a backslash taking the next character as it is.
/// A `-` in a name becomes `_`, as in PostgreSQL. Each wrong switch is one error; the settings
/// after it still follow.
pub fn options(text: &str) -> impl Iterator<Item = Result<(String, String), OptionError>> {
    let mut chars = text.chars().peekable();
    from_fn(move || {
        let word = word(&mut chars)?;
        let attached = word.strip_prefix("-c").or_else(|| word.strip_prefix("--"));
        Some(match attached {
            Some("") if word == "-c" => match self::word(&mut chars) {
                Some(next) => setting(&next),
                None => Err(OptionError::NoSetting),
            },
            Some(attached) => setting(attached),
            None => Err(OptionError::Unknown(shown(&word))),
        })
    })
}

/// The next word, its escapes resolved.
fn word(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    // C's isspace() in the C locale, as the server splits; Unicode spaces belong to the word.
    let is_space = |c: &char| matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r');
    while chars.next_if(is_space).is_some() {}
    chars.peek()?;
    let mut word = String::new();
    while let Some(c) = chars.next_if(|c| !is_space(c)) {
        if c == '\\' {
            word.extend(chars.next());
        } else {
            word.push(c);
        }
    }
    Some(word)
}

fn setting(text: &str) -> Result<(String, String), OptionError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.replace('-', "_"), value.to_owned())),
        _ => Err(OptionError::NoValue(shown(text))),
    }
}

/// A switch fit for an error text: without a value, and short.
fn shown(word: &str) -> String {
    let name = word.split('=').next().unwrap_or_default();
    let mut end = name.len().min(SHOWN_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned()
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionError::Unknown(switch) => write!(f, "unsupported switch in options: {switch}"),
            OptionError::NoValue(name) => write!(f, "setting without a value in options: {name}"),
            OptionError::NoSetting => f.write_str("options end after -c"),
        }
    }
}

impl std::error::Error for OptionError {}
