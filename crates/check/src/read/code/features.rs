//! What a file's statements need of their session, as far as they stand there
//! as plain texts. It is put down to all pools of the same file.

use super::{Call, Code, POOLS_MAX};
use crate::facts::{Feature, Pool};
use crate::place::Place;

/// Functions whose first text is a statement.
const STATEMENTS: &[&str] = &[
    "execute",
    "executemany",
    "fetch",
    "fetchrow",
    "fetchval",
    "query",
    "queryRow",
    "raw",
    "text",
    "exec_driver_sql",
    "none",
    "one",
    "any",
    "Exec",
    "ExecContext",
    "Query",
    "QueryContext",
    "QueryRow",
    "QueryRowContext",
    "MustExec",
    "$queryRaw",
    "$queryRawUnsafe",
    "$executeRawUnsafe",
];

/// Functions that say it by their name, and what they need.
const BY_NAME: &[(&str, Feature)] = &[
    ("add_listener", Feature::Listen),
    ("pq.NewListener", Feature::Listen),
    ("WaitForNotification", Feature::Listen),
];

/// Adds to each pool what the file uses.
pub(super) fn read(code: &Code<'_>, pools: &mut [Pool]) {
    if pools.is_empty() {
        return;
    }
    let mut needs: Vec<(Feature, Place)> = Vec::new();
    for call in &code.calls {
        let named = BY_NAME.iter().find(|(name, _)| {
            call.function == *name || !name.contains('.') && call.last() == *name
        });
        if let Some((_, feature)) = named {
            needs.push((*feature, call.place.clone()));
        }
        if STATEMENTS.contains(&call.last()) {
            statement(code, call, &mut needs);
        }
    }
    // One of each kind is enough to know.
    needs.sort_by_key(|(feature, place)| (*feature, place.range.start));
    needs.dedup_by_key(|(feature, _)| *feature);
    for pool in pools.iter_mut().take(POOLS_MAX) {
        for (feature, place) in &needs {
            if !pool.needs.iter().any(|(known, _)| known == feature) {
                pool.needs.push((*feature, place.clone()));
            }
        }
    }
}

/// The first argument that is a text; Go has a context before it.
fn statement(code: &Code<'_>, call: &Call, needs: &mut Vec<(Feature, Place)>) {
    for argument in call.arguments.iter().take(2) {
        // `execute(text("LISTEN x"))` is found at `text`.
        let found = code.scalar(argument);
        if let Some(text) = found.text() {
            needs.extend(of(&text.text).map(|feature| (feature, found.place.clone())));
            return;
        }
        // `query({ name, text })`: a named statement is a prepared one.
        if let Some((entries, _)) = code.map(argument) {
            let has = |key: &str| entries.iter().find(|e| e.key.as_deref() == Some(key));
            if let (Some(name), Some(_)) = (has("name"), has("text")) {
                needs.push((Feature::PreparedStatements, name.key_place.clone()));
            }
        }
    }
}

/// What one statement needs.
fn of(statement: &str) -> Option<Feature> {
    let head: String = statement.chars().take(400).collect();
    let upper = head.to_ascii_uppercase();
    let mut words = upper.split_whitespace();
    let first = words.next()?;
    let second = words.next().unwrap_or("");
    let locks = ["PG_ADVISORY_LOCK", "PG_TRY_ADVISORY_LOCK"];
    match (first, second) {
        ("LISTEN", channel) if !channel.is_empty() => Some(Feature::Listen),
        // LOCAL and the transaction's own end with it.
        ("SET", "LOCAL" | "TRANSACTION" | "CONSTRAINTS" | "") => None,
        ("SET", _) => Some(Feature::SessionSettings),
        ("CREATE", "TEMP" | "TEMPORARY") => Some(Feature::TemporaryTables),
        ("DECLARE", _) if upper.contains("WITH HOLD") => Some(Feature::ServerSideCursors),
        ("SELECT" | "PERFORM" | "DO" | "WITH", _)
            if locks.iter().any(|lock| upper.contains(lock)) =>
        {
            Some(Feature::AdvisoryLocks)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_tells_what_it_needs_of_its_session() {
        for (text, feature) in [
            ("LISTEN jobs", Some(Feature::Listen)),
            ("  select pg_advisory_lock(1)", Some(Feature::AdvisoryLocks)),
            (
                "SELECT pg_try_advisory_lock_shared($1)",
                Some(Feature::AdvisoryLocks),
            ),
            ("SELECT pg_advisory_xact_lock(1)", None),
            ("SELECT pg_try_advisory_xact_lock(1)", None),
            ("set search_path to shop", Some(Feature::SessionSettings)),
            ("SET LOCAL search_path TO shop", None),
            ("SET TRANSACTION READ ONLY", None),
            (
                "CREATE TEMP TABLE t (x int)",
                Some(Feature::TemporaryTables),
            ),
            (
                "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                Some(Feature::ServerSideCursors),
            ),
            ("UPDATE t SET a = 1", None),
            ("listen", None),
            ("", None),
        ] {
            assert_eq!(of(text), feature, "{text}");
        }
    }
}
