//! Secrets by their looks, line by line: names that say so, passwords in URLs,
//! long words that nobody types. It errs towards hiding.

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
        if std::mem::take(&mut value_next)
            && let Some((key, value)) = bare.split_once(':')
            && has_words(value)
        {
            out.push_str(key);
            out.push_str(": ");
            out.push_str(MASKED);
            out.push_str(end);
            continue;
        }
        if dialect == Dialect::Indented && is_reference(bare) {
            reference_above = Some(indent);
            out.push_str(raw);
            continue;
        }
        let (kept, after) = one(bare, dialect);
        match (after, dialect) {
            (After::Nothing, _) => {}
            (After::Below, Dialect::Indented) => {
                let opens = bare.trim_end().ends_with([':', '|', '>', '-']);
                match opens {
                    true => secret_above = Some(indent),
                    false => value_next = true,
                }
            }
            (After::Below, _) => return Err(n + 1),
        }
        out.push_str(&kept);
        out.push_str(end);
    }
    Ok(out)
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
        parts.push(long_words(&urls(&kept)));
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
        // A part of a path: /run/secrets/db.
        let beside = |c: Option<char>| c == Some('/');
        let head = part.get(..start).unwrap_or_default();
        let in_path = beside(head.chars().next_back()) || beside(rest.chars().next());
        if in_path && !has_value {
            continue;
        }
        // The name of a variable: getenv("DB_PASSWORD").
        let bare_head = head.trim_end_matches(['"', '\'', '.', ' ']);
        let is_variable = CALLS
            .iter()
            .chain(&BRACES)
            .any(|call| bare_head.ends_with(call));
        if is_variable
            && rest
                .trim_start_matches(['"', '\'', ' '])
                .starts_with([')', ']', '}'])
        {
            continue;
        }
        // In a comment it is prose, `server.key` is a file, `pass` is Python's,
        // unless a value follows.
        let lower = word.to_ascii_lowercase();
        let may_be_prose = comment || lower.ends_with(".key") || lower == "pass";
        if may_be_prose && !has_value {
            continue;
        }
        if !has_words(rest) {
            let alone = dialect == Dialect::Pairs && has_value && rest.trim().len() == 1;
            if comment || alone || EMPTY.iter().any(|pair| rest.contains(pair)) {
                continue;
            }
            return (part.to_owned(), After::Below);
        }
        let value = rest.trim_start_matches(|c: char| {
            c.is_whitespace()
                || matches!(
                    c,
                    '"' | '\'' | '`' | ':' | '=' | '>' | ',' | '(' | '[' | ']'
                )
        });
        if let Some(after) = harmless(value) {
            // The name of a variable is not looked at again.
            at = part.len() - after.len();
            continue;
        }
        let from = part.len() - value.len();
        let kept = part.get(..from).unwrap_or_default();
        return (format!("{kept}{MASKED}"), After::Nothing);
    }
    (part.to_owned(), After::Nothing)
}

fn is_of_word(c: char) -> bool {
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
enum Name {
    Secret,
    /// Of where a secret is: its value is none.
    Place,
    Other,
}

fn name(word: &str, dialect: Dialect) -> Name {
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
fn harmless(value: &str) -> Option<&str> {
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
    if value.starts_with("</") || value.starts_with('#') {
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
const BRACES: [&str; 6] = ["${{", "${", "{{", "$(", "<%=", "%("];
/// The same, in code.
const CALLS: [&str; 8] = [
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
fn reference(value: &str) -> Option<&str> {
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

/// `scheme://user:password@host`.
fn urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#' | '<' | '`')
            })
            .unwrap_or(tail.len());
        let (authority, after) = tail.split_at(end);
        // A password with a slash in it ends later.
        let authority_end = match (authority.contains('@'), authority.contains(':')) {
            (false, true) => tail
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '`'))
                .and_then(|word| tail.get(..word))
                .or(Some(tail))
                .and_then(|word| word.rfind('@'))
                .map(|at| at + 1),
            _ => Some(end),
        };
        let (authority, after) = match authority_end {
            Some(end) => tail.split_at(end),
            None => (authority, after),
        };
        match (authority.find(':'), authority.rfind('@')) {
            (Some(colon), Some(at)) if colon < at => {
                let word = authority.get(colon + 1..at).unwrap_or_default();
                out.push_str(authority.get(..=colon).unwrap_or_default());
                let kept = word.is_empty() || reference(word).is_some_and(str::is_empty);
                out.push_str(if kept { word } else { MASKED });
                out.push_str(authority.get(at..).unwrap_or_default());
            }
            _ => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Words that a machine made, unless they are checksums and say so.
fn long_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let of = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | '_' | '-' | '$');
    while let Some(start) = rest.find(of) {
        let (head, tail) = rest.split_at(start);
        out.push_str(head);
        let end = tail.find(|c| !of(c)).unwrap_or(tail.len());
        let (word, after) = tail.split_at(end);
        let checksum = ["sha256:", "sha512:", "sha1:"]
            .iter()
            .any(|s| out.ends_with(s));
        let made = is_made(word) && !checksum;
        out.push_str(if made { MASKED } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_made(word: &str) -> bool {
    if word.starts_with("SCRAM-SHA-256$") {
        return true;
    }
    let longest = |of: fn(char) -> bool| {
        let runs = word.split(|c| !of(c));
        runs.max_by_key(|run| run.len()).unwrap_or("")
    };
    let run = longest(|c| c.is_ascii_alphanumeric());
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let upper = run.bytes().any(|b| b.is_ascii_uppercase());
    let lower = run.bytes().any(|b| b.is_ascii_lowercase());
    (run.len() >= 20 && digits >= 2 && upper && lower)
        || (run.len() >= 30 && digits >= 4 && (upper || lower))
}
