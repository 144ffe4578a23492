//! Writes the statements that bring a tracked setting to another server connection.

use super::{Value, literal};

/// Adds the statement that sets `name` to `value` for the session, without a semicolon.
///
/// A [`Value::Guc`] is set by a SELECT, which returns one row; every other form returns none.
/// `session_authorization` must come before `role`, which it resets.
pub fn replay(name: &str, value: &Value, out: &mut Vec<u8>) {
    let mut sql = String::new();
    match value {
        Value::Guc(text) => {
            sql.push_str("SELECT pg_catalog.set_config(");
            literal::quote(name, &mut sql);
            sql.push_str(", ");
            literal::quote(text, &mut sql);
            sql.push_str(", false)");
        }
        Value::Fragment(text) => {
            match name {
                "role" => sql.push_str("SET ROLE "),
                "session_authorization" => sql.push_str("SET SESSION AUTHORIZATION "),
                "timezone" => sql.push_str("SET TIME ZONE "),
                _ => {
                    sql.push_str("SET ");
                    push_name(name, &mut sql);
                    sql.push_str(" = ");
                }
            }
            sql.push_str(text);
        }
    }
    out.extend(sql.bytes());
}

/// Adds the statement that resets `name`, without a semicolon.
pub fn reset(name: &str, out: &mut Vec<u8>) {
    let mut sql = String::from("RESET ");
    match name {
        "session_authorization" => sql.push_str("SESSION AUTHORIZATION"),
        "timezone" => sql.push_str("TIME ZONE"),
        _ => push_name(name, &mut sql),
    }
    out.extend(sql.bytes());
}

/// The longest identifier, bytes; the server cuts what is longer (NAMEDATALEN).
const IDENTIFIER_MAX: usize = 63;

/// Settings of the server itself are plain words. A name with a dot may hold anything, even a
/// reserved word (`app.user`), and may be quoted as a whole; but a long one only part by part,
/// since each part is an identifier and as a whole it would be cut.
fn push_name(name: &str, sql: &mut String) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if !name.is_empty() && name.bytes().all(plain) {
        sql.push_str(name);
    } else if name.len() <= IDENTIFIER_MAX {
        push_quoted(name, sql);
    } else {
        let mut dot = "";
        for part in name.split('.') {
            sql.push_str(dot);
            push_quoted(part, sql);
            dot = ".";
        }
    }
}

fn push_quoted(name: &str, sql: &mut String) {
    sql.push('"');
    sql.push_str(&name.replace('"', "\"\""));
    sql.push('"');
}
