//! Calls of the functions that change the session, wherever they stand in a statement.

use super::cursor::{Cursor, name_of};
use super::lex::{Kind, Token};
use super::reader::Sink;
use super::{Change, LockKey, Quoting, VALUE_BYTES_MAX, Value, literal, settings};

/// Longer names of settings count as unknown.
const NAME_BYTES_MAX: usize = 256;
/// How far ahead an argument is looked at. Calls nest, so this bounds the work for each.
const ARGUMENT_TOKENS_MAX: usize = 64;
/// The longest advisory key, in bytes of SQL; longer ones are all the same unknown key.
const KEY_BYTES_MAX: usize = 256;

pub(super) fn scan(statement: &[u8], quoting: Quoting, sink: &mut Sink) {
    let mut at = Cursor::new(statement, quoting);
    // The schema of the name that comes next, when a dot has been passed.
    let mut schema: Option<Token> = None;
    let mut last: Option<Token> = None;
    while let Some(token) = at.take() {
        if token.kind.is_name()
            && at.sees_mark(b'(')
            && is_catalog(&at, schema)
            && let Some(name) = name_of(token.kind, at.bytes(token))
        {
            call(&name, at, sink);
        }
        schema = match token.kind {
            Kind::Mark(b'.') => last,
            _ => None,
        };
        last = Some(token);
    }
}

/// Whether a name in this schema may be the server's own function.
fn is_catalog(at: &Cursor<'_>, schema: Option<Token>) -> bool {
    match schema {
        Some(token) => name_of(token.kind, at.bytes(token)).is_some_and(|n| &*n == "pg_catalog"),
        None => true,
    }
}

fn call(name: &str, at: Cursor<'_>, sink: &mut Sink) {
    if name == "set_config" {
        return set_config(at, sink);
    }
    if name == "pg_advisory_unlock_all" {
        return sink.push(Change::AdvisoryUnlockAll);
    }
    if name == "pg_export_snapshot" {
        return sink.push(Change::ExportSnapshot);
    }
    let (name, shared) = match name.strip_suffix("_shared") {
        Some(name) => (name, true),
        None => (name, false),
    };
    match name {
        "pg_advisory_lock" | "pg_try_advisory_lock" => {
            let key = lock_key(at);
            sink.push(Change::AdvisoryLock { key, shared });
        }
        "pg_advisory_unlock" => {
            let key = lock_key(at);
            sink.push(Change::AdvisoryUnlock { key, shared });
        }
        _ => {}
    }
}

/// One argument of `set_config`.
enum Argument {
    Text(String),
    True,
    False,
    Null,
    Unknown,
}

/// Reads `(name, value, is_local)`. What is not constant makes the setting opaque.
fn set_config(at: Cursor<'_>, sink: &mut Sink) {
    let mut at = at.within(2 * VALUE_BYTES_MAX + 4096);
    at.eat_mark(b'(');
    let name = argument(&mut at);
    let value = argument(&mut at);
    let local = argument(&mut at);
    let name = match name {
        Argument::Text(name) if name.len() <= NAME_BYTES_MAX => settings::canonical(&name),
        _ => Box::default(),
    };
    let local = match local {
        Argument::True => Some(true),
        Argument::False | Argument::Null => Some(false),
        Argument::Text(text) => boolean(&text),
        Argument::Unknown => None,
    };
    let local = match settings::lasts_one_transaction(&name) {
        true => Some(true),
        false => local,
    };
    sink.push(match (value, local) {
        (Argument::Text(value), Some(local))
            if !name.is_empty() && value.len() <= VALUE_BYTES_MAX =>
        {
            Change::Set {
                name,
                value: Value::Guc(value.into()),
                local,
            }
        }
        (Argument::Null, Some(false)) if !name.is_empty() => Change::Reset { name },
        (_, local) => Change::SetOpaque {
            name,
            local: local.unwrap_or(false),
        },
    });
}

/// Takes one argument with the comma or parenthesis that ends it.
fn argument(at: &mut Cursor<'_>) -> Argument {
    let mut constant = *at;
    let argument = if constant.eat("true") {
        Argument::True
    } else if constant.eat("false") {
        Argument::False
    } else if constant.eat("null") {
        Argument::Null
    } else {
        constant.string().map_or(Argument::Unknown, Argument::Text)
    };
    if constant.eat_mark(b':') {
        constant.eat_mark(b':');
        constant.eat_any(&["text", "varchar", "bool", "boolean"]);
    }
    let ended = constant.eat_mark(b',') || constant.eat_mark(b')');
    if ended && !matches!(argument, Argument::Unknown) {
        *at = constant;
        return argument;
    }
    skip_argument(at);
    Argument::Unknown
}

fn skip_argument(at: &mut Cursor<'_>) {
    let mut depth = 0u32;
    for _ in 0..ARGUMENT_TOKENS_MAX {
        match at.take().map(|token| token.kind) {
            Some(Kind::Mark(b'(' | b'[')) => depth += 1,
            Some(Kind::Mark(b')')) if depth == 0 => return,
            Some(Kind::Mark(b')' | b']')) => depth = depth.saturating_sub(1),
            Some(Kind::Mark(b',')) if depth == 0 => return,
            Some(_) => {}
            None => return,
        }
    }
}

/// What a string means as a boolean.
fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "on" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "off" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// The text between the parentheses.
fn lock_key(at: Cursor<'_>) -> LockKey {
    let unknown = || LockKey("…".into());
    let mut at = at.within(KEY_BYTES_MAX);
    at.eat_mark(b'(');
    let mut key = String::new();
    let mut depth = 0u32;
    let mut word = false;
    for _ in 0..ARGUMENT_TOKENS_MAX {
        let Some(token) = at.take() else {
            return unknown();
        };
        match token.kind {
            Kind::Mark(b'(') => depth += 1,
            Kind::Mark(b')') if depth == 0 => return LockKey(key.into()),
            Kind::Mark(b')') => depth -= 1,
            Kind::Mark(b':') if skip_integer_cast(&mut at) => continue,
            Kind::Bad => return unknown(),
            _ => {}
        }
        let joins = !matches!(token.kind, Kind::Mark(_));
        if word && joins {
            key.push(' ');
        }
        word = joins;
        push_key(token.kind, at.bytes(token), &mut key);
    }
    unknown()
}

/// Past `:bigint` and the like, the first colon being taken.
fn skip_integer_cast(at: &mut Cursor<'_>) -> bool {
    let mut cast = *at;
    let integers = ["bigint", "int8", "int", "integer", "int4"];
    let found = cast.eat_mark(b':') && cast.eat_any(&integers);
    if found {
        *at = cast;
    }
    found
}

/// Adds a token; integers lose quotes and leading zeros.
fn push_key(kind: Kind, bytes: &[u8], key: &mut String) {
    let text = match kind {
        Kind::Word => String::from_utf8_lossy(bytes).to_ascii_lowercase(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    let constant = match literal::decode(kind, bytes) {
        Some(content) => content,
        None => text.clone(),
    };
    match constant.parse::<i64>() {
        Ok(number) if !constant.starts_with('+') => key.push_str(&number.to_string()),
        _ => key.push_str(&text),
    }
}
