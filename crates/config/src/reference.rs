//! The documentation of the settings, from the table that reads them.

use crate::alerting::{NOTIFY_KEYS, OWNER_KEYS};
use crate::entries::{APPLICATION_KEYS, DATABASE_KEYS, EntryKey, USER_KEYS};
use crate::table::{Support, settings};

/// One row of the reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The key in plimsoll.toml; empty: only pgbouncer.ini has it.
    pub key: String,
    /// Default in plimsoll.toml.
    pub default: String,
    /// What may be written.
    pub unit: String,
    /// What it means.
    pub meaning: String,
    /// Its rollout class.
    pub class: &'static str,
    /// PgBouncer's name; empty: PgBouncer lacks it.
    pub pgbouncer: String,
    /// Default from pgbouncer.ini.
    pub pgbouncer_default: String,
    /// "honoured", or why it is not.
    pub support: String,
}

/// Every setting, then the keys of databases, users and applications.
pub fn settings_reference() -> Vec<Row> {
    let mut rows: Vec<Row> = settings()
        .iter()
        .map(|s| Row {
            key: s.toml.to_owned(),
            default: s.default_toml.to_owned(),
            unit: unit(s.kind),
            meaning: s.meaning.to_owned(),
            class: s.class.label(),
            pgbouncer: if s.in_pgbouncer {
                s.key.to_owned()
            } else {
                String::new()
            },
            pgbouncer_default: s.default_ini.to_owned(),
            support: support(s.support),
        })
        .collect();
    rows.extend(
        DATABASE_KEYS
            .iter()
            .map(|k| entry("database.NAME", "[databases]", k)),
    );
    rows.extend(passwords("database.NAME", false));
    rows.extend(USER_KEYS.iter().map(|k| entry("user", "[users]", k)));
    rows.extend(passwords("user", true));
    rows.extend(
        APPLICATION_KEYS
            .iter()
            .map(|k| entry("application.NAME", "", k)),
    );
    rows.extend(OWNER_KEYS.iter().map(|k| entry("owners.NAME", "", k)));
    rows.extend(NOTIFY_KEYS.iter().map(|k| entry("notify.NAME", "", k)));
    rows
}

/// Where a password is kept. These keys are read apart from the table, because
/// their values are no settings.
fn passwords(prefix: &str, stated: bool) -> Vec<Row> {
    let kept = [
        (
            "password",
            "text",
            "The user's password as the settings write it; better kept elsewhere.",
        ),
        (
            "password_file",
            "path",
            "File that holds the password and nothing else; watched, read again when it changes.",
        ),
        (
            "password_env",
            "text",
            "Environment variable that holds the password; it cannot change while running.",
        ),
        (
            "password_command",
            "list of words, or text without a shell's characters",
            "Command that prints the password; no shell, 10 seconds and 64 KiB at most.",
        ),
        (
            "password_ttl",
            "duration, 10s or more",
            "How long what password_command prints is good; it is run again when a quarter of that is left.",
        ),
    ];
    kept.into_iter()
        .skip(usize::from(!stated))
        .map(|(key, unit, meaning)| Row {
            key: format!("{prefix}.{key}"),
            default: String::new(),
            unit: unit.to_owned(),
            meaning: meaning.to_owned(),
            class: crate::table::Class::Identity.label(),
            pgbouncer: String::new(),
            pgbouncer_default: String::new(),
            support: String::from("honoured"),
        })
        .collect()
}

/// The reference as a page.
pub fn settings_markdown() -> String {
    let mut page = String::from(
        "# Settings\n\nWritten by `config::settings_markdown` from the table that reads the files; do not edit.\n\n\
         | plimsoll.toml | default | what to write | meaning | a change is | pgbouncer.ini | its default | support |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in settings_reference() {
        let cells = [
            code(&row.key),
            code(&row.default),
            row.unit,
            row.meaning,
            row.class.to_owned(),
            code(&row.pgbouncer),
            code(&row.pgbouncer_default),
            row.support,
        ];
        let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
        page.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    page
}

fn entry<T>(prefix: &str, section: &str, key: &EntryKey<T>) -> Row {
    let toml = key.toml;
    Row {
        key: if toml.is_empty() {
            String::new()
        } else {
            format!("{prefix}.{toml}")
        },
        default: String::new(),
        unit: unit(key.kind),
        meaning: key.meaning.to_owned(),
        class: key.class.label(),
        pgbouncer: match key.ini {
            [] => String::new(),
            names => format!("{section} {}", names.join(", ")),
        },
        pgbouncer_default: String::new(),
        support: support(key.support),
    }
}

fn unit(kind: crate::value::Kind) -> String {
    match kind {
        crate::value::Kind::Choice(words) => words.join(", "),
        crate::value::Kind::Count { min, max } => format!("number from {min} to {max}"),
        other => other.unit().to_owned(),
    }
}

fn support(support: Support) -> String {
    match support {
        Support::Honoured => String::from("honoured"),
        Support::NoEffect(why) => format!("no effect: {why}"),
        Support::NotYet(why) => format!("not yet: {why}"),
        Support::Refused(why) => format!("refused: {why}"),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}
