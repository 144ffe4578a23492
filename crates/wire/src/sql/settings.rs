//! SET and RESET.

use super::cursor::Cursor;
use super::lex::Kind;
use super::reader::Sink;
use super::{Change, VALUE_BYTES_MAX, Value, literal};

/// What stands on the right side of SET.
enum Given {
    Default,
    Constant(String),
    Opaque,
}

/// Reads what follows the word SET.
pub(super) fn set(mut at: Cursor<'_>, sink: &mut Sink) {
    let local = scope(&mut at);
    if is_variable(at) {
        return variable(at, local, sink);
    }
    if at.sees_any(&["transaction", "constraints"]) {
        return;
    }
    if at.eat_all(&["session", "characteristics", "as", "transaction"]) {
        return characteristics(at, local, sink);
    }
    let (name, given) = if at.eat_all(&["session", "authorization"]) {
        ("session_authorization", single(at))
    } else if at.eat("role") {
        ("role", single(at))
    } else if at.eat_all(&["time", "zone"]) {
        ("timezone", zone(at))
    } else if at.eat("names") {
        ("client_encoding", single(at))
    } else if at.eat("schema") {
        ("search_path", single(at))
    } else if at.eat_all(&["xml", "option"]) {
        ("xmloption", single(at))
    } else {
        ("", Given::Opaque)
    };
    push(name.into(), given, local, sink);
}

/// Reads what follows the word RESET.
pub(super) fn reset(mut at: Cursor<'_>, sink: &mut Sink) {
    if at.sees("all") {
        return sink.push(Change::ResetAll);
    }
    let name = if at.eat_all(&["time", "zone"]) {
        "timezone".into()
    } else if at.eat_all(&["session", "authorization"]) {
        "session_authorization".into()
    } else if at.eat_all(&["transaction", "isolation"]) {
        return;
    } else {
        variable_name(&mut at).unwrap_or_default()
    };
    push(name, Given::Default, false, sink);
}

/// The name under which the server knows a setting.
pub(super) fn canonical(name: &str) -> Box<str> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "sort_mem" => "work_mem".into(),
        "vacuum_mem" => "maintenance_work_mem".into(),
        _ => name.into(),
    }
}

/// Settings that last for one transaction however they are set.
pub(super) fn lasts_one_transaction(name: &str) -> bool {
    matches!(
        name,
        "transaction_isolation" | "transaction_read_only" | "transaction_deferrable"
    )
}

/// Takes SESSION or LOCAL where it is a scope and not a name. True for LOCAL.
pub(super) fn scope(at: &mut Cursor<'_>) -> bool {
    if !at.sees_any(&["session", "local"]) || is_variable(*at) {
        return false;
    }
    let mut special = *at;
    special.take();
    if at.sees("session") && special.sees_any(&["authorization", "characteristics"]) {
        return false;
    }
    let local = at.sees("local");
    *at = special;
    local
}

/// Whether a setting's name and `=`, TO or FROM come next.
pub(super) fn is_variable(mut at: Cursor<'_>) -> bool {
    let named = at.take().is_some_and(|token| token.kind.is_name());
    named && (at.sees_mark(b'=') || at.sees_mark(b'.') || at.sees_any(&["to", "from"]))
}

fn variable_name(at: &mut Cursor<'_>) -> Option<Box<str>> {
    at.qualified().map(|parts| canonical(&parts.join(".")))
}

fn variable(mut at: Cursor<'_>, local: bool, sink: &mut Sink) {
    let name = variable_name(&mut at).unwrap_or_default();
    if !at.eat_mark(b'=') && !at.eat("to") {
        return push(name, Given::Opaque, local, sink);
    }
    let given = match name.as_ref() {
        "role" | "session_authorization" => single(at),
        // SET TIME ZONE reads some words differently: a string never is.
        "timezone" => match at.peek_kind() {
            Some(Kind::Word) if !at.sees_any(&["default", "interval"]) => quoted_word(at),
            _ => zone(at),
        },
        _ => list(at),
    };
    push(name, given, local, sink);
}

fn push(name: Box<str>, given: Given, local: bool, sink: &mut Sink) {
    let local = local || lasts_one_transaction(&name);
    sink.push(match given {
        Given::Constant(text) if !name.is_empty() && text.len() <= VALUE_BYTES_MAX => Change::Set {
            name,
            value: Value::Fragment(text.into()),
            local,
        },
        Given::Default if local => Change::Set {
            name,
            value: Value::Fragment("DEFAULT".into()),
            local,
        },
        Given::Default if !name.is_empty() => Change::Reset { name },
        _ => Change::SetOpaque { name, local },
    });
}

/// DEFAULT, or constants separated by commas.
fn list(mut at: Cursor<'_>) -> Given {
    if at.eat("default") {
        return Given::Default;
    }
    let mut text = String::new();
    loop {
        if item(&mut at, &mut text).is_none() || text.len() > VALUE_BYTES_MAX {
            return Given::Opaque;
        }
        if !at.eat_mark(b',') {
            break;
        }
        text.push_str(", ");
    }
    constant(at, text)
}

/// DEFAULT, nothing, or one constant.
fn single(mut at: Cursor<'_>) -> Given {
    if at.at_end() || at.eat("default") {
        return Given::Default;
    }
    let mut text = String::new();
    let number = at.peek_kind() == Some(Kind::Number);
    match item(&mut at, &mut text) {
        Some(()) if !number => constant(at, text),
        _ => Given::Opaque,
    }
}

/// What follows SET TIME ZONE.
fn zone(mut at: Cursor<'_>) -> Given {
    if at.eat_any(&["local", "default"]) {
        return Given::Default;
    }
    let mut text = String::new();
    if !at.eat("interval") {
        return match item(&mut at, &mut text) {
            Some(()) => constant(at, text),
            None => Given::Opaque,
        };
    }
    text.push_str("INTERVAL");
    if at.eat_mark(b'(') {
        text.push('(');
        if item(&mut at, &mut text).is_none() || !at.eat_mark(b')') {
            return Given::Opaque;
        }
        text.push(')');
    }
    text.push(' ');
    let Some(period) = at.string() else {
        return Given::Opaque;
    };
    literal::quote(&period, &mut text);
    for word in ["hour", "to", "minute"] {
        if at.eat(word) {
            text.push(' ');
            text.push_str(word);
        }
    }
    constant(at, text)
}

fn quoted_word(mut at: Cursor<'_>) -> Given {
    let mut text = String::new();
    match at.name() {
        Some(name) => literal::quote(&name, &mut text),
        None => return Given::Opaque,
    }
    constant(at, text)
}

/// The constant, if nothing follows it.
fn constant(at: Cursor<'_>, text: String) -> Given {
    if at.at_end() {
        Given::Constant(text)
    } else {
        Given::Opaque
    }
}

/// Adds one constant: a string, a number with its sign, a word, or a quoted identifier.
fn item(at: &mut Cursor<'_>, text: &mut String) -> Option<()> {
    let mut token = at.peek()?;
    if matches!(token.kind, Kind::Mark(b'-' | b'+')) {
        at.take();
        if token.kind == Kind::Mark(b'-') {
            text.push('-');
        }
        token = at.peek().filter(|next| next.kind == Kind::Number)?;
    }
    let bytes = std::str::from_utf8(at.bytes(token)).ok()?;
    match token.kind {
        Kind::Number => {
            text.push_str(bytes);
            at.take();
        }
        Kind::Word if bytes.eq_ignore_ascii_case("default") => return None,
        Kind::Word => text.push_str(&at.name()?),
        Kind::Quoted | Kind::UnicodeQuoted => {
            let name = at.name()?;
            (!at.sees("uescape")).then_some(())?;
            text.push('"');
            text.push_str(&name.replace('"', "\"\""));
            text.push('"');
        }
        _ => literal::quote(&at.string()?, text),
    }
    Some(())
}

/// The modes of SET SESSION CHARACTERISTICS AS TRANSACTION, each as its own setting.
fn characteristics(mut at: Cursor<'_>, local: bool, sink: &mut Sink) {
    let modes: [(&[&str], &str, &str); 8] = [
        (
            &["isolation", "level", "read", "uncommitted"],
            "isolation",
            "'read uncommitted'",
        ),
        (
            &["isolation", "level", "read", "committed"],
            "isolation",
            "'read committed'",
        ),
        (
            &["isolation", "level", "repeatable", "read"],
            "isolation",
            "'repeatable read'",
        ),
        (
            &["isolation", "level", "serializable"],
            "isolation",
            "'serializable'",
        ),
        (&["read", "only"], "read_only", "on"),
        (&["read", "write"], "read_only", "off"),
        (&["not", "deferrable"], "deferrable", "off"),
        (&["deferrable"], "deferrable", "on"),
    ];
    while !at.at_end() {
        let Some((_, name, value)) = modes.iter().find(|(words, ..)| at.eat_all(words)) else {
            return;
        };
        let name = format!("default_transaction_{name}").into();
        push(name, Given::Constant((*value).to_owned()), local, sink);
        at.eat_mark(b',');
    }
}
