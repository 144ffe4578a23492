//! Statements: their texts without literals, and what they do.

use super::facts::{Does, Text};
use std::collections::BTreeMap;
use wire::sql::{self, Change, Quoting, Verb};

/// Longest statement that is shown, bytes.
const SHOWN_MAX: usize = 300;
/// A longer text is not read; it shows its first word.
const READ_MAX: usize = 64 * 1024;
/// Texts of this length are recognised when they come again, so many of them.
const KNOWN_BYTES: usize = 1024;
const KNOWN_MAX: usize = 4096;
/// Different statements that are told apart.
const TEXTS_MAX: usize = 20_000;

/// Beginnings of what drivers and frameworks ask for themselves.
const PREPARATIONS: [&str; 12] = [
    "select pg_catalog.",
    "select current_schema",
    "select set_config",
    "select version",
    "select current_database",
    "select current_setting",
    "select typarray",
    "select typname",
    "select t.typname",
    "select t.oid",
    "select t.typarray",
    "select typinfo",
];

/// The statements of a run.
#[derive(Default)]
pub(crate) struct Statements {
    texts: Vec<Text>,
    by_text: BTreeMap<Text, u32>,
    /// As they came: these hold literals, and stay here.
    known: BTreeMap<Box<[u8]>, (u32, Does)>,
}

impl Statements {
    /// The number of a statement's text, and what it does.
    pub(crate) fn read(&mut self, raw: &[u8]) -> (u32, Does) {
        if let Some(known) = self.known.get(raw) {
            return *known;
        }
        let script = sql::read(raw.get(..READ_MAX).unwrap_or(raw), Quoting::default());
        let statement = shown(raw, script.first);
        let does = does(&script, &statement);
        let tags = sql::tags(raw);
        let tags: Vec<String> = tags
            .iter()
            .map(|t| format!("{}={}", t.key, t.value))
            .collect();
        let text = Text {
            statement,
            tags: tags.join(", "),
        };
        let read = (self.number(text), does);
        if raw.len() <= KNOWN_BYTES && self.known.len() < KNOWN_MAX {
            self.known.insert(raw.into(), read);
        }
        read
    }

    fn number(&mut self, text: Text) -> u32 {
        if let Some(number) = self.by_text.get(&text) {
            return *number;
        }
        let number = self.texts.len().min(TEXTS_MAX) as u32;
        if self.texts.len() < TEXTS_MAX {
            self.texts.push(text.clone());
            self.by_text.insert(text, number);
        }
        number
    }

    /// All of them, by number.
    pub(crate) fn into_texts(self) -> Vec<Text> {
        self.texts
    }
}

/// The text without literals. Where it depends on a setting what a literal is, or
/// where the text is very long, only its first word is shown.
fn shown(raw: &[u8], first: Verb) -> String {
    let (on, off) = (
        Quoting::default(),
        Quoting {
            standard_conforming_strings: false,
        },
    );
    let doubt = raw.contains(&b'\\') && sql::fingerprint(raw, on) != sql::fingerprint(raw, off);
    let mut out = String::new();
    if raw.len() <= READ_MAX && !doubt {
        sql::normalise(raw, on, SHOWN_MAX, &mut out);
    } else {
        out = match first {
            Verb::Empty | Verb::Other => "…".to_owned(),
            verb => format!("{} …", verb.as_str()),
        };
    }
    out
}

fn does(script: &sql::Script, shown: &str) -> Does {
    let lower = shown.to_lowercase();
    let control = script.first.controls_a_transaction()
        || matches!(
            script.first,
            Verb::Empty
                | Verb::Set
                | Verb::Reset
                | Verb::Show
                | Verb::Discard
                | Verb::Deallocate
                | Verb::Listen
                | Verb::Unlisten
        );
    let prepares = PREPARATIONS.iter().any(|p| lower.starts_with(p))
        || matches!(lower.as_str(), "select ?" | "")
        || lower.contains("pg_type");
    let change = |wanted: fn(&Change) -> bool| script.effects.iter().any(|e| wanted(&e.change));
    let mut turns = script.effects.iter().filter_map(|e| match e.change {
        Change::Begin => Some(true),
        Change::Commit { .. } | Change::Rollback { .. } => Some(false),
        _ => None,
    });
    Does {
        begins: turns.next() == Some(true),
        ends: change(|c| matches!(c, Change::Commit { .. } | Change::Rollback { .. })),
        writes: writes(script.first, &lower),
        works: (!control && !prepares) || (control && script.statements > 1),
        listens: change(|c| matches!(c, Change::Listen { .. })),
    }
}

fn writes(first: Verb, lower: &str) -> bool {
    matches!(
        first,
        Verb::Insert
            | Verb::Update
            | Verb::Delete
            | Verb::Merge
            | Verb::Truncate
            | Verb::Create
            | Verb::Alter
            | Verb::Drop
            | Verb::Lock
            | Verb::Copy
            | Verb::Call
            | Verb::Do
    ) || [
        " for update",
        " for share",
        "insert into",
        "update ",
        "delete from",
    ]
    .iter()
    .any(|word| lower.contains(word))
}
