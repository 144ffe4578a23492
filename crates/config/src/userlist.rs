//! The user file: `"user" "secret"`, one a line.
//!
//! PgBouncer stops at a malformed line, drops all later users and reports
//! success. Here the whole file is refused, and the line is named. The text of
//! a line is never shown: any part of it may be a secret.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Errors, Place, Problem, quoted};
use crate::plan::Secret;

/// PgBouncer's bounds, in bytes: its arrays hold 128 and 2048 with the final NUL.
const USER_BYTES_MAX: usize = 127;
const SECRET_BYTES_MAX: usize = 2047;

const FORM: &str = "write \"user\" \"secret\", both in double quotes, a quote inside as \"\"";

/// Reads a user file. All errors of the file are reported at once.
///
/// ```
/// let users = config::parse_user_file("; staff\n\"ann\" \"s\"\"ecret\"\n", "userlist.txt".as_ref()).unwrap();
/// assert_eq!(users["ann"].0, "s\"ecret");
/// ```
pub fn parse_user_file(text: &str, file: &Path) -> Result<BTreeMap<String, Secret>, Errors> {
    let mut users: BTreeMap<String, Secret> = BTreeMap::new();
    let mut errors = Errors::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.split('\n').enumerate() {
        let parsed = match entry(line) {
            Ok(None) => continue,
            Ok(Some(entry)) => entry,
            Err((at, problem)) => {
                let column = line.get(..at).unwrap_or(line).chars().count() + 1;
                errors.push(problem.at(Place::unseen(file, index + 1, column)));
                continue;
            }
        };
        let (user, secret) = parsed;
        match users.get(&user) {
            Some(before) if *before != secret => errors.push(
                Problem::new(format!(
                    "user {} stands here with another secret",
                    quoted(&user)
                ))
                .why("PgBouncer would take the last one; which one is meant is not clear")
                .help("keep one of the lines")
                .at(Place::unseen(file, index + 1, 1)),
            ),
            _ => drop(users.insert(user, secret)),
        }
    }
    errors.or(users)
}

type Fault = (usize, Problem);

/// One line; `None`: empty or a comment.
fn entry(line: &str) -> Result<Option<(String, Secret)>, Fault> {
    let start = line.len() - line.trim_start().len();
    let rest = &line[start..];
    if rest.is_empty() || rest.starts_with(';') {
        return Ok(None);
    }
    if rest.starts_with('#') {
        let problem = Problem::new("`#` starts no comment in a user file");
        return Err((start, problem.help("write `;` in its place")));
    }
    let (user, after) = quoted_text(line, start, "a user name")?;
    if user.is_empty() || user.len() > USER_BYTES_MAX {
        let problem = Problem::new(format!("a user name has 1 to {USER_BYTES_MAX} bytes"));
        return Err((start, problem));
    }
    let gap = &line[after..];
    let start = after + gap.len() - gap.trim_start().len();
    let (secret, _) = quoted_text(line, start, "the secret")?;
    if secret.len() > SECRET_BYTES_MAX {
        let problem = Problem::new(format!("a secret has at most {SECRET_BYTES_MAX} bytes"));
        return Err((start, problem));
    }
    if secret.starts_with("SCRAM-SHA-256$") && !is_scram(&secret) {
        let problem = Problem::new("this SCRAM secret is malformed")
            .why("it would be taken as a plain password that nobody knows")
            .help("copy rolpassword from pg_authid: SCRAM-SHA-256$rounds:salt$stored:server");
        return Err((start, problem));
    }
    // PgBouncer ignores what follows on the line.
    Ok(Some((user, Secret(secret))))
}

/// The text between the quote at `start` and its end, and the position after it.
fn quoted_text(line: &str, start: usize, what: &str) -> Result<(String, usize), Fault> {
    let Some(rest) = line.get(start..).and_then(|r| r.strip_prefix('"')) else {
        return Err((
            start,
            Problem::new(format!("expected {what} in double quotes")).help(FORM),
        ));
    };
    let mut text = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            text.push('"');
        } else {
            return Ok((text, start + 1 + at + 1));
        }
    }
    Err((
        start,
        Problem::new(format!("the quote around {what} is not closed")).help(FORM),
    ))
}

/// `SCRAM-SHA-256$rounds:salt$stored:server`
fn is_scram(secret: &str) -> bool {
    let parts: Vec<&str> = secret.split(['$', ':']).collect();
    let base64 = |t: &str| {
        !t.is_empty()
            && t.chars()
                .all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c))
    };
    match parts.as_slice() {
        [_, rounds, salt, stored, server] => {
            rounds.parse::<u32>().is_ok_and(|n| n > 0)
                && base64(salt)
                && [stored, server].iter().all(|k| base64(k) && k.len() == 44)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Secret>, Errors> {
        parse_user_file(text, Path::new("userlist.txt"))
    }

    #[test]
    fn users_comments_and_escapes() {
        let users =
            read("\u{feff}; list\r\n\r\n  \"a\"\"b\"\t\"x y\" trailing\r\n\"c\" \"\"\n").unwrap();
        assert_eq!(users["a\"b"].0, "x y");
        assert_eq!(users["c"].0, "");
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn every_wrong_line_is_named_and_none_is_shown() {
        let text = "\"ok\" \"1\"\nbob \"hunter2\"\n\"eve\" hunter2\n\"mal\" \"hunter2\n# no\n\"s\" \"SCRAM-SHA-256$hunter2\"\n\"ok\" \"hunter2\"\n";
        let errors = read(text).unwrap_err();
        let lines: Vec<usize> = errors.list().iter().map(|e| e.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
        assert!(!format!("{errors}{errors:?}{}", errors.json()).contains("hunter2"));
        assert_eq!(
            errors.list()[0].render(),
            "error: expected a user name in double quotes\n  --> userlist.txt:2:1\n  = help: write \"user\" \"secret\", both in double quotes, a quote inside as \"\"\n"
        );
    }

    #[test]
    fn too_long_names_and_secrets_are_refused() {
        assert!(read(&format!("\"{}\" \"x\"", "u".repeat(128))).is_err());
        assert!(read(&format!("\"u\" \"{}\"", "s".repeat(2048))).is_err());
        assert!(read(&format!("\"u\" \"{}\"", "s".repeat(2047))).is_ok());
    }
}
