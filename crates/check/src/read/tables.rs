//! TOML tables as words with places, for the readers of other poolers' files.

use super::value::{Word, visible};
use crate::facts::{Facts, Secret};
use crate::place::{FileId, Place};
use crate::read::url::is_secret;
use toml_edit::{Document, Item, TableLike, Value};

/// Entries that are read of one table.
const ENTRIES_MAX: usize = 500;

/// A table, with the file that it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub file: FileId,
    pub text: &'a str,
    table: &'a dyn TableLike,
}

/// Parses a file; a mistake goes to the facts.
pub(crate) fn parse(file: FileId, text: &str, facts: &mut Facts) -> Option<Document<String>> {
    match Document::parse(text.to_owned()) {
        Ok(document) => Some(document),
        Err(error) => {
            let range = visible(text, error.span().unwrap_or(0..0));
            let place = Place::new(file, range);
            facts.broken.push((place, error.message().to_owned()));
            None
        }
    }
}

impl<'a> Table<'a> {
    pub fn new(file: FileId, text: &'a str, table: &'a dyn TableLike) -> Table<'a> {
        Table { file, text, table }
    }

    /// A scalar as it is written, quotes removed.
    pub fn word(&self, key: &str) -> Option<Word> {
        let item = self.table.get(key)?;
        let (text, inner) = match item.as_value()? {
            Value::String(text) => (text.value().clone(), true),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => (String::new(), false),
            _ => return None,
        };
        let mut range = item.span()?;
        let raw = self.text.get(range.clone())?;
        if inner {
            let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") {
                3
            } else {
                1
            };
            if raw.len() >= 2 * quotes {
                range = range.start + quotes..range.end - quotes;
            }
            return Some(Word::new(text, Place::new(self.file, range)));
        }
        Some(Word::new(raw, Place::new(self.file, range)))
    }

    /// A key's place.
    pub fn key(&self, key: &str) -> Place {
        let found = self
            .table
            .get_key_value(key)
            .and_then(|(key, _)| key.span());
        found.map_or(Place::whole(self.file), |range| {
            Place::new(self.file, range)
        })
    }

    /// All its keys, with their places.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Place)> + use<'a> {
        let table = *self;
        let names = self.table.iter().take(ENTRIES_MAX);
        names.map(move |(name, _)| (name, table.key(name)))
    }

    /// Where the table begins: its header, or its first key.
    pub fn place(&self) -> Place {
        let first = self.table.iter().next();
        let first = first.map(|(name, _)| self.key(name));
        first.unwrap_or_else(|| Place::whole(self.file))
    }

    pub fn table(&self, key: &str) -> Option<Table<'a>> {
        let table = self.table.get(key)?.as_table_like()?;
        Some(Table::new(self.file, self.text, table))
    }

    /// Its tables by name.
    pub fn tables(&self) -> Vec<(&'a str, Table<'a>)> {
        let all = self.table.iter().take(ENTRIES_MAX);
        let tables = all.filter_map(|(name, item)| {
            let table = item.as_table_like()?;
            Some((name, Table::new(self.file, self.text, table)))
        });
        tables.collect()
    }

    /// `[[key]]`.
    pub fn list(&self, key: &str) -> Vec<Table<'a>> {
        let found = self.table.get(key).and_then(Item::as_array_of_tables);
        let all = found
            .into_iter()
            .flat_map(|array| array.iter())
            .take(ENTRIES_MAX);
        all.map(|table| Table::new(self.file, self.text, table))
            .collect()
    }

    /// The host and port of the first of `[["host", 5432, "primary"], …]`.
    pub fn first_server(&self, key: &str) -> Option<(String, Option<u16>)> {
        let servers = self.table.get(key)?.as_array()?;
        let first = servers.get(0)?.as_array()?;
        let port = first.get(1).and_then(Value::as_integer);
        Some((
            first.get(0)?.as_str()?.to_owned(),
            port.and_then(|port| u16::try_from(port).ok()),
        ))
    }

    /// Notes a secret, when one of these keys holds one.
    pub fn secrets(&self, keys: &[&str], facts: &mut Facts) {
        for key in keys {
            let Some(word) = self.word(key) else { continue };
            if is_secret(&word.text) {
                facts.secrets.push(Secret {
                    place: word.place,
                    what: format!("`{key}`"),
                });
            }
        }
    }
}
