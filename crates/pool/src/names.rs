//! What application names tell: which application, which release, which tool.
//!
//! Clients choose these names, and many put into them what differs from process
//! to process: process numbers, counters, hosts, the hashes of pods. Without
//! these, all processes of one application have one name, so that what one was
//! seen to do can be expected of the others.

use events::ExemptReason;

/// Longest name that is looked at, bytes; PostgreSQL keeps 63.
const NAME_BYTES_MAX: usize = 128;
/// Longest release, bytes.
const RELEASE_BYTES_MAX: usize = 64;
/// Stands for a name that was nothing but numbers.
const NUMBERS: &str = "#";

/// The name without what differs between processes of one application.
///
/// ```
/// assert_eq!(pool::names::kind("shop-web-7d4b9c6f5d-x7k2p"), "shop-web");
/// assert_eq!(pool::names::kind("sidekiq 7.2 worker[12]"), "sidekiq worker");
/// ```
pub fn kind(name: &str) -> String {
    let name = bounded(name, NAME_BYTES_MAX);
    let mut out = String::new();
    let mut after_hash = false;
    for (separator, word) in words(name) {
        if is_uuid_at(name, word) {
            after_hash = true;
            continue;
        }
        let hash = is_hash(word) || after_hash && is_pod_suffix(word, false);
        let drop = hash || is_version(word) || is_pod_suffix(word, true);
        after_hash = hash;
        let kept = without_counter(word);
        if drop || kept.is_empty() {
            continue;
        }
        if !out.is_empty() {
            let joins = matches!(separator, '-' | '_' | '/' | ':' | '.' | '@');
            out.push(if joins { separator } else { ' ' });
        }
        out.extend(kept.chars().filter(|c| !c.is_control()));
    }
    match out.is_empty() && !name.trim().is_empty() {
        true => NUMBERS.into(),
        false => out,
    }
}

/// The release that a name carries: `shop/1.4.2`, `shop-v2.3.1-rc1`, `shop@9f3c2ab`.
pub fn release(name: &str) -> Option<&str> {
    let name = bounded(name, NAME_BYTES_MAX);
    let starts = name.char_indices().filter(|(at, _)| {
        let before = name.get(..*at).and_then(|text| text.chars().next_back());
        before.is_some_and(|c| is_separator(c) && c != '.')
    });
    for (at, _) in starts {
        let Some(rest) = name.get(at..) else { continue };
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_')))
            .unwrap_or(rest.len());
        let Some(candidate) = rest.get(..end) else {
            continue;
        };
        let sha = name.get(..at).is_some_and(|text| text.ends_with('@'))
            && candidate.len() >= 7
            && candidate.bytes().all(|b| b.is_ascii_hexdigit());
        if sha || is_release(candidate) {
            return Some(bounded(candidate, RELEASE_BYTES_MAX));
        }
    }
    None
}

/// Tools whose silence in a transaction is nobody's leak.
pub fn exempt(name: &str) -> Option<ExemptReason> {
    let lower = bounded(name.trim(), NAME_BYTES_MAX).to_ascii_lowercase();
    let starts = |list: &[&str]| list.iter().any(|tool| lower.starts_with(tool));
    let word = |list: &[&str]| words(&lower).any(|(_, word)| list.contains(&word));
    let holds = |list: &[&str]| list.iter().any(|tool| lower.contains(tool));
    if starts(&DUMPS) {
        return Some(ExemptReason::Dump);
    }
    if holds(&MIGRATIONS) || word(&MIGRATION_WORDS) {
        return Some(ExemptReason::Migration);
    }
    starts(&INTERACTIVE).then_some(ExemptReason::Interactive)
}

/// Tables that only tools for changing schemas use.
pub fn migrates(statement: &str) -> bool {
    const TABLES: [&str; 8] = [
        "alembic_version",
        "flyway_schema_history",
        "schema_version",
        "databasechangelog",
        "django_migrations",
        "schema_migrations",
        "ar_internal_metadata",
        "_prisma_migrations",
    ];
    let lower = statement.to_ascii_lowercase();
    TABLES.iter().any(|table| lower.contains(table))
}

const DUMPS: [&str; 13] = [
    "pg_dump",
    "pg_restore",
    "pg_basebackup",
    "pg_receivewal",
    "pg_recvlogical",
    "pg_repack",
    "pg_squeeze",
    "pgbackrest",
    "barman",
    "wal-g",
    "vacuumdb",
    "reindexdb",
    "clusterdb",
];

const MIGRATIONS: [&str; 7] = [
    "alembic",
    "flyway",
    "liquibase",
    "migrat",
    "sqitch",
    "dbmate",
    "manage.py",
];

const MIGRATION_WORDS: [&str; 4] = ["rake", "goose", "knex", "phinx"];

const INTERACTIVE: [&str; 11] = [
    "psql",
    "pgcli",
    "pgadmin",
    "dbeaver",
    "datagrip",
    "intellij",
    "tableplus",
    "postico",
    "navicat",
    "beekeeper",
    "azuredatastudio",
];

fn bounded(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c.is_ascii_punctuation()
}

/// The words, each with the separator that stands before it.
fn words(name: &str) -> impl Iterator<Item = (char, &str)> {
    let mut before = ' ';
    name.split_inclusive(is_separator).filter_map(move |piece| {
        let word = piece.trim_end_matches(is_separator);
        let separator = before;
        match piece.chars().next_back().filter(|c| is_separator(*c)) {
            // The first of several counts: `app - host`.
            Some(c) if !word.is_empty() => before = c,
            _ => {}
        }
        (!word.is_empty()).then_some((separator, word))
    })
}

/// The digits at the end: `worker12`. A single letter keeps them: `s3`.
fn without_counter(word: &str) -> &str {
    let base = word.trim_end_matches(|c: char| c.is_ascii_digit());
    match base.len() {
        1 => word,
        _ => base,
    }
}

/// `v2`, `rc1`; the parts between the dots of `1.4.2` are plain numbers anyway.
fn is_version(word: &str) -> bool {
    let stage = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if stage.len() < word.len() && ["rc", "beta", "alpha"].contains(&stage) {
        return true;
    }
    let digits = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let first = digits.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    first && rest.is_empty()
}

/// Hexadecimal digits, or those of a pod's template hash, with numbers among them.
fn is_hash(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit());
    let pod = word.bytes().all(is_pod_letter);
    word.len() >= 7 && digits >= 2 && (hex || pod && word.len() <= 10)
}

/// The five letters that name a pod of a set; telling alone only with numbers among them.
fn is_pod_suffix(word: &str, alone: bool) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    word.len() == 5 && word.bytes().all(is_pod_letter) && (!alone || digits >= 2)
}

/// Kubernetes leaves out what could make words: vowels, and 0, 1 and 3.
fn is_pod_letter(byte: u8) -> bool {
    b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)
}

/// `word` belongs to a UUID in `name`.
fn is_uuid_at(name: &str, word: &str) -> bool {
    if !matches!(word.len(), 4 | 8 | 12) || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    let at = word.as_ptr() as usize - name.as_ptr() as usize;
    let starts = (0..=at).rev().take(25);
    starts
        .filter_map(|start| name.get(start..start + 36))
        .any(|text| {
            text.bytes().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_hexdigit(),
            })
        })
}

/// `1.4`, `v2`, `2.3.1-rc1`; not an address.
fn is_release(text: &str) -> bool {
    let marked = text.starts_with(['v', 'V']);
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let end = digits
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(digits.len());
    let (numbers, rest) = digits.split_at(end);
    let numbers = numbers.trim_end_matches('.');
    let parts: Vec<&str> = numbers.split('.').collect();
    let all = parts.iter().all(|part| !part.is_empty());
    let ends = rest.is_empty() || rest.starts_with(['-', '+', '_']);
    all && ends && (parts.len() >= 2 || marked) && (parts.len() <= 3 || marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_application_have_one_name() {
        let table = [
            ("", ""),
            ("shop", "shop"),
            ("shop-web-7d4b9c6f5d-x7k2p", "shop-web"),
            ("shop-web-7d4b9c6f5d-bcdfg", "shop-web"),
            ("orders:worker12", "orders:worker"),
            (
                "puma: cluster worker 3: 4711 [shop]",
                "puma:cluster worker shop",
            ),
            ("sidekiq 7.2 worker[12]", "sidekiq worker"),
            ("shop/1.4.2", "shop"),
            ("shop-v2.3.1-rc1", "shop"),
            ("shop@9f3c2ab", "shop"),
            ("app - 10.0.0.1:4242", "app"),
            ("job 550e8400-e29b-41d4-a716-446655440000 x", "job x"),
            (
                "gunicorn: worker [shop] pid=31337",
                "gunicorn:worker shop pid",
            ),
            ("12345", "#"),
            ("s3-sync", "s3-sync"),
            ("PostgreSQL JDBC Driver", "PostgreSQL JDBC Driver"),
            ("naïve app 7", "naïve app"),
            ("cafe-service", "cafe-service"),
            ("tab\there", "tab here"),
        ];
        for (name, wanted) in table {
            assert_eq!(kind(name), wanted, "{name:?}");
            assert_eq!(kind(&kind(name)), kind(name), "{name:?} twice");
        }
    }

    #[test]
    fn a_release_is_found_where_one_stands() {
        let table = [
            ("shop", None),
            ("shop/1.4.2", Some("1.4.2")),
            ("shop-v2.3.1-rc1", Some("v2.3.1-rc1")),
            ("shop v7", Some("v7")),
            ("shop@9f3c2ab", Some("9f3c2ab")),
            ("shop 2024.11.3", Some("2024.11.3")),
            ("app - 10.0.0.1:4242", None),
            ("worker 12", None),
            ("web-7d4b9c6f5d-x7k2p", None),
            ("1.2.3", None),
        ];
        for (name, wanted) in table {
            assert_eq!(release(name), wanted, "{name:?}");
        }
    }

    #[test]
    fn tools_are_known_by_their_names() {
        use ExemptReason::{Dump, Interactive, Migration};
        let table = [
            ("psql", Some(Interactive)),
            ("pgAdmin 4 - DB:shop", Some(Interactive)),
            ("DBeaver 23.1 - Main", Some(Interactive)),
            ("pg_dump", Some(Dump)),
            ("pg_restore", Some(Dump)),
            ("Flyway by Redgate", Some(Migration)),
            ("alembic", Some(Migration)),
            ("manage.py migrate", Some(Migration)),
            ("shop-migrations", Some(Migration)),
            ("rake db:migrate", Some(Migration)),
            ("rake", Some(Migration)),
            ("brake-service", None),
            ("mongoose", None),
            ("mypsql", None),
            ("shop", None),
            ("", None),
        ];
        for (name, wanted) in table {
            assert_eq!(exempt(name), wanted, "{name:?}");
        }
        assert!(migrates("SELECT version_num FROM alembic_version"));
        assert!(!migrates("SELECT version FROM releases"));
    }

    #[test]
    fn any_name_is_taken() {
        for name in [
            "\u{0}",
            "é".repeat(200).as_str(),
            "-----",
            "v",
            "@",
            "ab\u{7f}c",
        ] {
            let short = kind(name);
            assert!(short.len() <= NAME_BYTES_MAX, "{name:?}");
            assert!(!short.chars().any(char::is_control), "{name:?}");
            let _ = (release(name), exempt(name));
        }
    }
}
