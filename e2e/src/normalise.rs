//! The reviewed list of differences that a pooler may make. Each rule has its reason; there is no other rule.
//!
//! The secret and the process id of BackendKeyData are never shown in a transcript at all: they belong to the pooler.

use std::borrow::Cow;

/// First object id that is given to users' objects.
const USER_OID_MIN: u32 = 16_384;

/// A rule: why, and what it replaces.
struct Rule {
    /// Why the difference is no fault. Read in review, not by the program.
    #[allow(dead_code)]
    reason: &'static str,
    apply: fn(&str) -> Cow<'_, str>,
}

const RULES: [Rule; 4] = [
    Rule {
        reason: "each run has fresh tables and types, whose object ids differ",
        apply: |line| {
            user_oids(&user_oids(line, "table="), "type=")
                .into_owned()
                .into()
        },
    },
    Rule {
        reason: "the process that notified is the server connection lent at that moment",
        apply: |line| match line.strip_prefix("NotificationResponse ") {
            Some(rest) => match rest.split_once(' ') {
                Some((_, rest)) => format!("NotificationResponse <pid> {rest}").into(),
                None => line.into(),
            },
            None => line.into(),
        },
    },
    Rule {
        reason: "the pooler names shared prepared statements itself, and errors quote names",
        apply: |line| between(line, "prepared statement \\\"", "\\\"", "<name>"),
    },
    Rule {
        reason: "an error that the pooler gives in PostgreSQL's stead has no place in PostgreSQL's source",
        apply: source_place,
    },
];

/// One described message.
pub fn line(line: &str) -> String {
    RULES.iter().fold(line.to_owned(), |line, rule| {
        (rule.apply)(&line).into_owned()
    })
}

/// An error inside a transaction that has failed already. Nothing works there but its end; which of several reasons is
/// named first depends on whether the server connection knows the statement, and none can be prepared there any more.
pub fn error_in_failed_transaction() -> &'static str {
    "ErrorResponse <in a failed transaction>"
}

/// The messages before the first ReadyForQuery. Their order is not promised by the protocol, and how a login is proven
/// is between client and pooler, as is the protocol version.
pub fn greeting(lines: &mut Vec<String>) {
    lines.retain(|line| {
        !line.starts_with("Authentication") && !line.starts_with("NegotiateProtocol")
    });
    lines.sort();
}

/// A ParameterStatus that tells what the client was told last. PostgreSQL reports only changes. After RESET of a
/// setting that the client gave at login, the pooler sets it again and the server reports it: nothing new, no harm.
pub fn repeated_reports(lines: &mut Vec<String>) {
    let mut told = std::collections::BTreeMap::new();
    lines.retain(|line| {
        let Some((name, value)) = line
            .trim_start_matches("< ")
            .strip_prefix("ParameterStatus ")
            .and_then(|report| report.split_once(" = "))
        else {
            return true;
        };
        told.insert(name.to_owned(), value.to_owned()).as_deref() != Some(value)
    });
}

fn user_oids<'a>(line: &'a str, label: &str) -> Cow<'a, str> {
    if !line.contains(label) {
        return line.into();
    }
    let mut out = String::new();
    for (n, part) in line.split(label).enumerate() {
        if n > 0 {
            out += label;
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (oid, rest) = part.split_at(digits);
            let user = oid.parse::<u32>().is_ok_and(|oid| oid >= USER_OID_MIN);
            out += if user { "<oid>" } else { oid };
            out += rest;
        } else {
            out += part;
        }
    }
    out.into()
}

fn between<'a>(line: &'a str, start: &str, end: &str, replacement: &str) -> Cow<'a, str> {
    let Some(from) = line.find(start).map(|at| at + start.len()) else {
        return line.into();
    };
    let Some(to) = line[from..].find(end).map(|at| from + at) else {
        return line.into();
    };
    format!("{}{replacement}{}", &line[..from], &line[to..]).into()
}

/// Drops the fields F, L and R of errors and notices.
fn source_place(line: &str) -> Cow<'_, str> {
    if !line.starts_with("ErrorResponse") && !line.starts_with("NoticeResponse") {
        return line.into();
    }
    match line.find(" F=\"") {
        Some(at) => line[..at].into(),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn each_rule_replaces_what_it_names_and_nothing_else() {
        for (before, after) in [
            (
                "RowDescription [a table=16999 column=1 type=23 size=4]",
                "RowDescription [a table=<oid> column=1 type=23 size=4]",
            ),
            (
                "RowDescription [a table=1259 column=1 type=70000]",
                "RowDescription [a table=1259 column=1 type=<oid>]",
            ),
            (
                "NotificationResponse 77 \"c\" \"p\"",
                "NotificationResponse <pid> \"c\" \"p\"",
            ),
            (
                r#"ErrorResponse S="ERROR" M="prepared statement \"PLS_7\" does not exist" F="a.c" L="1" R="f""#,
                r#"ErrorResponse S="ERROR" M="prepared statement \"<name>\" does not exist""#,
            ),
            ("DataRow [\"table=16999\"]", "DataRow [\"table=<oid>\"]"),
            (
                "CommandComplete \"SELECT 1\"",
                "CommandComplete \"SELECT 1\"",
            ),
        ] {
            assert_eq!(line(before), after);
        }
    }
}
