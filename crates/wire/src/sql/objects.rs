//! CREATE, ALTER and DROP: what ties the session to its server connection, and what makes plans
//! stale.

use super::Change;
use super::cursor::Cursor;
use super::lex::Kind;
use super::reader::Sink;

/// No plan depends on these.
const NOT_IN_PLANS: [&str; 11] = [
    "role",
    "user",
    "group",
    "database",
    "tablespace",
    "subscription",
    "publication",
    "server",
    "system",
    "event",
    "default",
];

/// Reads what follows CREATE.
pub(super) fn create(mut at: Cursor<'_>, sink: &mut Sink) {
    at.eat_all(&["or", "replace"]);
    if at.sees_any(&NOT_IN_PLANS) {
        return;
    }
    at.eat_any(&["local", "global"]);
    let mut temporary = at.eat_any(&["temp", "temporary"]);
    at.eat("unlogged");
    at.eat("recursive");
    let table = at.sees("table");
    let named = [
        "table",
        "view",
        "sequence",
        "function",
        "procedure",
        "aggregate",
        "type",
        "domain",
        "statistics",
        "collation",
        "conversion",
    ];
    at.eat("foreign");
    if !at.eat_any(&named) {
        return sink.push(Change::Ddl);
    }
    at.eat_all(&["if", "not", "exists"]);
    let parts = at.qualified().unwrap_or_default();
    temporary |= in_pg_temp(&parts);
    if !temporary {
        return sink.push(Change::Ddl);
    }
    if table && drops_on_commit(at) {
        return sink.push(Change::CreateTransient);
    }
    let name = parts.last().cloned().unwrap_or_default();
    sink.push(Change::CreateTemp { name });
}

/// Whether what follows CREATE stores SQL for later without running any of it.
pub(super) fn only_defines(mut at: Cursor<'_>) -> bool {
    at.eat_all(&["or", "replace"]);
    at.eat_any(&["local", "global"]);
    at.eat_any(&["temp", "temporary"]);
    at.eat_any(&["recursive", "constraint"]);
    at.sees_any(&["function", "procedure", "view", "rule", "trigger", "policy"])
}

/// Reads what follows ALTER.
pub(super) fn alter(at: Cursor<'_>, sink: &mut Sink) {
    if !at.sees_any(&NOT_IN_PLANS) {
        sink.push(Change::Ddl);
    }
}

/// Reads what follows DROP.
pub(super) fn drop(mut at: Cursor<'_>, sink: &mut Sink) {
    if at.sees_any(&NOT_IN_PLANS) {
        return;
    }
    if at.eat_any(&["table", "view", "sequence"]) {
        at.eat_all(&["if", "exists"]);
        let mut names = Vec::new();
        while let Some(mut parts) = at.qualified() {
            let start = if in_pg_temp(&parts) {
                parts.len() - 1
            } else {
                0
            };
            names.push(parts.split_off(start).join(".").into_boxed_str());
            if !at.eat_mark(b',') {
                break;
            }
        }
        sink.push(Change::Drop { names });
    }
    sink.push(Change::Ddl);
}

/// Finds INTO TEMP name in a query.
pub(super) fn select_into(mut at: Cursor<'_>, sink: &mut Sink) {
    // After these words INTO names a table that exists, perhaps one that is called "temp".
    let mut writes = false;
    while let Some(token) = at.take() {
        let word = at.bytes(token);
        if token.kind != Kind::Word || !word.eq_ignore_ascii_case(b"into") || writes {
            writes = token.kind == Kind::Word
                && (word.eq_ignore_ascii_case(b"insert") || word.eq_ignore_ascii_case(b"merge"));
            continue;
        }
        let mut into = at;
        into.eat_any(&["local", "global"]);
        let mut temporary = into.eat_any(&["temp", "temporary"]);
        into.eat("table");
        let clause = [
            "from",
            "where",
            "group",
            "having",
            "window",
            "union",
            "order",
            "limit",
            "except",
            "intersect",
            "offset",
            "fetch",
            "for",
        ];
        if into.sees_any(&clause) {
            continue;
        }
        let Some(parts) = into.qualified() else {
            continue;
        };
        temporary |= in_pg_temp(&parts);
        if let (true, Some(name)) = (temporary, parts.last()) {
            sink.push(Change::CreateTemp { name: name.clone() });
        }
    }
}

/// Whether the schema before the last part is `pg_temp` or `pg_temp_3`.
fn in_pg_temp(parts: &[Box<str>]) -> bool {
    matches!(parts, [.., schema, _] if schema.starts_with("pg_temp"))
}

/// Whether ON COMMIT DROP follows, outside of parentheses.
fn drops_on_commit(mut at: Cursor<'_>) -> bool {
    let mut depth = 0u32;
    loop {
        if depth == 0 && at.eat_all(&["on", "commit", "drop"]) {
            return true;
        }
        match at.take().map(|token| token.kind) {
            Some(Kind::Mark(b'(')) => depth = depth.saturating_add(1),
            Some(Kind::Mark(b')')) => depth = depth.saturating_sub(1),
            Some(_) => {}
            None => return false,
        }
    }
}
