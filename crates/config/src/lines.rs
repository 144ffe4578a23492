//! Places in plimsoll.toml, and what of their lines may be shown.

use std::ops::Range;
use std::path::Path;

use crate::alerting::{NOTIFY_KEYS, OWNER_KEYS};
use crate::entries::{APPLICATION_KEYS, DATABASE_KEYS, USER_KEYS};
use crate::error::Place;
use crate::pgbouncer::url_password;
use crate::table::settings;

/// Byte positions to lines, and what of a line may be shown.
pub(crate) struct Lines<'a> {
    file: &'a Path,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Lines<'a> {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Lines { file, text, starts }
    }

    pub fn place(&self, span: Range<usize>) -> Place {
        self.with(span, |line| {
            if may_show(line) {
                url_password(line)
            } else {
                after_equals(line)
            }
        })
    }

    /// Of a line that could not be read, no value is shown.
    pub fn strict(&self, span: Range<usize>) -> Place {
        self.with(span, after_equals)
    }

    fn with(&self, span: Range<usize>, hidden: impl Fn(&str) -> Option<Range<usize>>) -> Place {
        let number = self.starts.partition_point(|s| *s <= span.start).max(1);
        let start = self.starts.get(number - 1).copied().unwrap_or(0);
        let line = self
            .text
            .get(start..)
            .unwrap_or("")
            .split('\n')
            .next()
            .unwrap_or("")
            .trim_end();
        let from = span.start.saturating_sub(start).min(line.len());
        let to = span.end.saturating_sub(start).clamp(from, line.len());
        Place::masked(self.file, number, line, from..to, hidden(line).as_slice())
    }
}

pub(crate) fn after_equals(line: &str) -> Option<Range<usize>> {
    if line.trim_start().starts_with('[') && !line.contains(['=', '"', '\'']) {
        return None;
    }
    let from = line.find('=').map_or(0, |at| at + 1);
    let blank = line[from..].len() - line[from..].trim_start().len();
    Some(from + blank..line.len())
}

/// The line is `key = value` with a key whose value is no secret, or a section.
pub(crate) fn may_show(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else {
        return line.trim_start().starts_with('[');
    };
    let leaf = key
        .rsplit('.')
        .next()
        .unwrap_or("")
        .trim()
        .trim_matches('"');
    // An address that stands where a file was wanted may be a secret.
    let known = known_leaf(leaf) && leaf != "password" && leaf != "url";
    known && !leaf.is_empty() && !value.contains("pass") && !value.contains('{')
}

/// The last part of a key that means something somewhere in plimsoll.toml.
pub(crate) fn known_leaf(leaf: &str) -> bool {
    let of_entry = DATABASE_KEYS
        .iter()
        .map(|k| k.toml)
        .chain(USER_KEYS.iter().map(|k| k.toml))
        .chain(APPLICATION_KEYS.iter().map(|k| k.toml))
        .chain(OWNER_KEYS.iter().map(|k| k.toml))
        .chain(NOTIFY_KEYS.iter().map(|k| k.toml));
    let of_section = settings().iter().filter_map(|s| s.toml.rsplit('.').next());
    let mut known = of_entry.chain(of_section).filter(|k| !k.is_empty());
    leaf == "name" || known.any(|k| k == leaf)
}
