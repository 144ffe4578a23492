//! Which words are names of secrets, and which values are none.

use super::lines::{Dialect, is_of_word};

/// Parts of names of secrets.
const PARTS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "private_key",
    "private-key",
    "privatekey",
    "bearer",
    "authorization",
    "sasl_plain",
];
/// Their ends.
const ENDS: [&str; 8] = [
    "pass", "_key", "-key", ".key", "_pw", "_salt", "_dsn", "-dsn",
];
/// It names where a secret is, or says something about secrets.
const HARMLESS_ENDS: [&str; 29] = [
    "file",
    "path",
    "_dir",
    "_encryption",
    "_timeout",
    "_env",
    "_length",
    "_policy",
    "proxy_pass",
    "hashing",
    "validators",
    "validator",
    "_ttl",
    "_lifetime",
    "_expiry",
    "_required",
    "_enabled",
    "_type",
    "_name",
    "keyref",
    "secretref",
    "secretname",
    "tokenizer",
    "_reload",
    "bypass",
    "_iterations",
    "_warnings",
    "primary_key",
    "foreign_key",
];
/// The same, anywhere in it.
const HARMLESS: [&str; 6] = [
    "password_validation",
    "auth.password",
    "csrf",
    "max_tokens",
    "imagepullsecrets",
    "hasher",
];

/// What a word is the name of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Secret,
    /// Of where a secret is: its value is none.
    Place,
    Other,
}

pub(super) fn name(word: &str, dialect: Dialect) -> Name {
    let lower = word.trim_matches(['-', '.']).to_ascii_lowercase();
    let camel = word.ends_with("Key") && word.len() > 3 || word.ends_with("Pass");
    let sounds = camel
        || PARTS.iter().any(|part| lower.contains(part))
        || ENDS.iter().any(|end| lower.ends_with(end));
    let harmless = HARMLESS_ENDS.iter().any(|end| lower.ends_with(end))
        || HARMLESS.iter().any(|part| lower.contains(part))
        // The server's own names: only `ssl_passphrase_command` holds one.
        || dialect == Dialect::Postgres && lower.starts_with("ssl_") && !lower.contains("passphrase");
    match (sounds, harmless) {
        (false, _) => Name::Other,
        (true, true) => Name::Place,
        (true, false) => Name::Secret,
    }
}

/// Nothing that anybody would keep secret: a switch, or only the name of where
/// the secret is. Returns what follows.
pub(super) fn harmless(value: &str) -> Option<&str> {
    const WORDS: [&str; 12] = [
        "true",
        "false",
        "on",
        "off",
        "yes",
        "no",
        "none",
        "null",
        "nil",
        "required",
        "scram-sha-256",
        "md5",
    ];
    if value.starts_with("</") {
        return Some(value);
    }
    let word_end = value.find(|c: char| !is_of_word(c)).unwrap_or(value.len());
    let (word, rest) = value.split_at(word_end);
    let over = |rest: &str| {
        let rest = rest.trim_start_matches(['"', '\'', ',', ';', ')', ']', '}', ' ', '\t']);
        rest.is_empty() || rest.starts_with('#') || rest.starts_with("//") || rest.starts_with("</")
    };
    if WORDS.contains(&word.to_ascii_lowercase().as_str()) && over(rest) {
        return Some(rest);
    }
    reference(value).filter(|rest| over(rest))
}

/// Before the name of a variable; the longest first.
pub(super) const BRACES: [&str; 6] = ["${{", "${", "{{", "$(", "<%=", "%("];
/// The same, in code.
pub(super) const CALLS: [&str; 8] = [
    "os.environ[",
    "os.getenv(",
    "os.Getenv(",
    "os.environ.get(",
    "env(",
    "ENV[",
    "ENV.fetch(",
    "System.getenv(",
];

/// What follows a reference to a variable: `${NAME}`, `os.environ["NAME"]`. One
/// with a default value is none.
pub(super) fn reference(value: &str) -> Option<&str> {
    let name = |text: &str| {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        end.unwrap_or(text.len())
    };
    for open in BRACES {
        let Some(rest) = value.strip_prefix(open) else {
            continue;
        };
        let inner = rest.trim_start().trim_start_matches(['.', '$']);
        let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let inner_end = inner.find(|c| !simple(c)).unwrap_or(inner.len());
        let close = inner.get(inner_end..)?.trim_start();
        return ["}}", "}", ")s", ")", "%>"]
            .iter()
            .find_map(|end| close.strip_prefix(end));
    }
    if let Some(rest) = value.strip_prefix('$') {
        return rest.get(name(rest)..).filter(|_| name(rest) > 0);
    }
    if let Some(rest) = value.strip_prefix("process.env.") {
        return rest.get(name(rest)..);
    }
    for call in CALLS {
        if let Some(rest) = value.strip_prefix(call) {
            let inner = rest.trim_start_matches(['"', '\'']);
            let rest = inner.get(name(inner)..)?;
            let rest = rest.trim_start_matches(['"', '\'']);
            return rest.strip_prefix([')', ']']);
        }
    }
    None
}
