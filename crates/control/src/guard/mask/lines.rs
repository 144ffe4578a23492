//! Secrets by their looks, line by line: names that say so, passwords in URLs,
//! long words that nobody types. It errs towards hiding.

use super::looks::{accounts, long_words, urls};
use super::names::{BRACES, CALLS, Name, harmless, name};
use config::MASKED;

/// How lines of a file belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// postgresql.conf.
    Postgres,
    /// YAML: what belongs to a line stands deeper below it.
    Indented,
    /// A key and its value on one line; a key alone has none.
    Pairs,
    /// Code, or unknown: each line for itself, as far as that goes.
    Plain,
}

/// What a line says of the lines after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Nothing,
    /// Its secret is hidden.
    Hidden,
    /// The same, and it may go on below.
    GoesOn,
    /// It names a secret that must stand further down.
    Below,
}

/// All lines without their secrets. `Err`: the line whose secret stands
/// somewhere below it.
pub fn text(text: &str, dialect: Dialect) -> Result<String, usize> {
    let mut out = String::with_capacity(text.len());
    // YAML only: lines deeper than this belong to a secret, or to a reference of one.
    let mut secret_above: Option<usize> = None;
    let mut reference_above: Option<usize> = None;
    let mut value_next = false;
    for (n, raw) in text.split_inclusive('\n').enumerate() {
        let bare = raw.trim_end_matches(['\n', '\r']);
        let end = raw.get(bare.len()..).unwrap_or_default();
        let indent = bare.len() - bare.trim_start().len();
        let is_blank = bare.trim().is_empty();
        let within = |above: Option<usize>| above.is_some_and(|above| indent > above || is_blank);
        if !within(secret_above) {
            secret_above = None;
        }
        if !within(reference_above) {
            reference_above = None;
        }
        if is_blank || reference_above.is_some() && is_of_reference(bare) {
            out.push_str(raw);
            continue;
        }
        if secret_above.is_some() || reference_above.is_some() {
            out.push_str(bare.get(..indent).unwrap_or_default());
            out.push_str(MASKED);
            out.push_str(end);
            continue;
        }
        if std::mem::take(&mut value_next) {
            let (key, value) = match bare.split_once(':') {
                Some((key, value)) => (format!("{key}: "), value),
                None => (String::new(), bare),
            };
            if has_words(value) {
                out.push_str(&key);
                out.push_str(MASKED);
                out.push_str(end);
                continue;
            }
        }
        if dialect == Dialect::Indented && is_reference(bare) {
            reference_above = Some(indent);
            out.push_str(raw);
            continue;
        }
        let (kept, after) = one(bare, dialect);
        match (after, dialect) {
            (After::Nothing, _) => {}
            // Deeper lines are the rest of its value.
            (After::Hidden | After::GoesOn, Dialect::Indented) => {
                secret_above = Some(key_indent(bare));
            }
            (After::Hidden, _) => {}
            (After::Below, Dialect::Indented) => {
                let code = bare.split(" #").next().unwrap_or(bare).trim_end();
                match code.ends_with([':', '|', '>', '-', '"', '\'']) {
                    true => secret_above = Some(indent),
                    false => value_next = true,
                }
            }
            (After::Below | After::GoesOn, _) => return Err(n + 1),
        }
        out.push_str(&kept);
        out.push_str(end);
    }
    Ok(out)
}

/// Where the key begins, behind the dashes of a list.
fn key_indent(bare: &str) -> usize {
    bare.len() - bare.trim_start_matches([' ', '\t', '-']).len()
}

/// One line, whatever it says of the next.
pub fn line(bare: &str, dialect: Dialect) -> String {
    one(bare, dialect).0
}

fn one(bare: &str, dialect: Dialect) -> (String, After) {
    let comment = bare.trim_start().starts_with(['#', ';']) || bare.trim_start().starts_with("//");
    // In postgresql.conf and INI files a comment is often a setting switched off.
    let mut after = After::Nothing;
    let mut parts: Vec<String> = Vec::new();
    for part in bare.split(MASKED) {
        let (kept, says) = by_name(part, comment, dialect);
        after = says;
        parts.push(long_words(&accounts(&urls(&kept))));
    }
    (parts.join(MASKED), after)
}

/// `secretKeyRef:` and its kin: below stand names, no secrets.
fn is_reference(bare: &str) -> bool {
    const KEYS: [&str; 3] = ["secretkeyref:", "secretref:", "imagepullsecrets:"];
    let line = bare.trim().trim_start_matches("- ").to_ascii_lowercase();
    KEYS.contains(&line.as_str())
}

/// What stands below such a line; `key` is one of a Secret's keys there.
fn is_of_reference(bare: &str) -> bool {
    const KEYS: [&str; 3] = ["name", "key", "optional"];
    let line = bare.trim().trim_start_matches("- ");
    KEYS.contains(&line.split(':').next().unwrap_or(line))
}

/// Values with nothing in them.
const EMPTY: [&str; 5] = ["''", "\"\"", "``", "{}", "[]"];

/// Nothing is written, and nothing can follow on the next line.
fn is_empty_value(rest: &str) -> bool {
    let rest = rest.trim_start_matches(['"', '\'', '`', ']', ' ', '\t']);
    let value = rest.trim_start_matches([':', '=', ' ', '\t']);
    let closes = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | '}' | ']');
    let begins = EMPTY.iter().find_map(|pair| value.strip_prefix(pair));
    begins.is_some_and(|after| after.chars().all(closes))
}

/// A secret that may have its end on a later line; `quote`: before its first letter.
fn goes_on(value: &str, quote: Option<char>) -> bool {
    let value = value.trim_end();
    let open = quote.is_some_and(|q| matches!(q, '"' | '\'' | '`') && !value.contains(q));
    open || value.ends_with(['\\', '(', '[', '{', '+', '.'])
        || value.contains("\"\"\"")
        || value.contains("'''")
}

/// What follows a word that names a secret.
fn by_name(part: &str, comment: bool, dialect: Dialect) -> (String, After) {
    let mut at = 0;
    while let Some((start, end)) = next_word(part, at) {
        at = end;
        let word = part.get(start..end).unwrap_or_default();
        let rest = part.get(end..).unwrap_or_default();
        let close = rest.trim_start_matches(['"', '\'', '`', ']', ' ', '\t']);
        let has_value = close.starts_with([':', '=']);
        match name(word, dialect) {
            Name::Other => continue,
            Name::Place => {
                if has_value && let Some((_, value_end)) = next_word(part, end) {
                    at = value_end;
                }
                continue;
            }
            Name::Secret => {}
        }
        let head = part.get(..start).unwrap_or_default();
        let may_be_prose = comment || is_no_name(word, head, rest);
        if is_variable(head, rest) || may_be_prose && !has_value {
            continue;
        }
        match value_of(rest, comment, has_value, dialect) {
            Value::None(length) => at = end + length,
            Value::Below => return (part.to_owned(), After::Below),
            Value::Secret(from, after) => {
                let kept = part.get(..end + from).unwrap_or_default();
                return (format!("{kept}{MASKED}"), after);
            }
        }
    }
    (part.to_owned(), After::Nothing)
}

/// What stands behind a name.
enum Value {
    /// Nothing secret in so many bytes.
    None(usize),
    /// It must stand further down.
    Below,
    /// From this byte on.
    Secret(usize, After),
}

fn value_of(rest: &str, comment: bool, has_value: bool, dialect: Dialect) -> Value {
    let separates = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\'' | '`' | ':' | '=' | '>' | ',' | '(' | '[' | ']'
            )
    };
    let value = rest.trim_start_matches(separates);
    let before = rest.get(..rest.len() - value.len()).unwrap_or_default();
    // A quoted `#` begins no comment.
    let quotes = before.matches(['"', '\'', '`']).count();
    let is_comment = (value.starts_with('#') || value.starts_with("//"))
        && before.ends_with(char::is_whitespace)
        && quotes % 2 == usize::from(rest.starts_with(['"', '\'', '`']));
    let own = if is_comment { before } else { rest };
    if !has_words(own) {
        let alone = dialect == Dialect::Pairs && has_value && own.trim().len() == 1;
        let signs = !own.chars().all(|c| {
            separates(c) || matches!(c, '{' | '}' | '|' | '-' | '\\' | ')' | ';' | '<' | '/')
        });
        if signs {
            return Value::Secret(opening(own), After::Hidden);
        }
        return match comment || alone || is_empty_value(own) {
            true => Value::None(own.len()),
            false => Value::Below,
        };
    }
    if let Some(after) = harmless(value) {
        // The name of a variable is not looked at again.
        return Value::None(rest.len() - after.len());
    }
    let after = match goes_on(value, before.chars().next_back()) {
        true => After::GoesOn,
        false => After::Hidden,
    };
    Value::Secret(opening(rest), after)
}

/// Bytes up to the value: the separator, and one quote.
fn opening(rest: &str) -> usize {
    let bare = rest.trim_start_matches(['"', '\'', '`', ']', ' ', '\t']);
    let bare = bare.strip_prefix([':', '=', '>', ',', '(']).unwrap_or(bare);
    let bare = bare.trim_start_matches([' ', '\t']);
    let bare = bare.strip_prefix(['"', '\'', '`']).unwrap_or(bare);
    rest.len() - bare.len()
}

/// A part of a path, a file, a keyword: no name, unless a value follows.
fn is_no_name(word: &str, head: &str, rest: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let in_path = head.ends_with('/') || rest.starts_with('/');
    in_path || lower.ends_with(".key") || lower == "pass"
}

/// The name of a variable: getenv("DB_PASSWORD").
fn is_variable(head: &str, rest: &str) -> bool {
    let head = head.trim_end_matches(['"', '\'', '.', ' ']);
    let rest = rest.trim_start_matches(['"', '\'', ' ']);
    let mut opens = CALLS.iter().chain(&BRACES);
    opens.any(|call| head.ends_with(call)) && rest.starts_with([')', ']', '}'])
}

pub(super) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn has_words(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

fn next_word(part: &str, from: usize) -> Option<(usize, usize)> {
    let rest = part.get(from..)?;
    let start = from + rest.find(is_of_word)?;
    let rest = part.get(start..)?;
    let end = start + rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
    Some((start, end))
}
