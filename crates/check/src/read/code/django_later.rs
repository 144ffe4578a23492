//! Django's DATABASES, changed after they are assigned.

use super::{Code, Entry, Expr, What};

/// Most databases, and most such changes, that are read from one file.
pub(super) const DATABASES_MAX: usize = 50;

/// Keys that are set after the fact: `DATABASES["default"]["CONN_MAX_AGE"] = 60`,
/// `DATABASES["default"].update(...)`.
pub(super) struct Written {
    /// Empty: in a loop, for all of them.
    pub alias: String,
    pub entry: Entry,
    /// It goes into `OPTIONS`.
    is_inner: bool,
}

impl Written {
    /// Adds it to what the entry itself states.
    pub fn add_to(&self, entries: &mut Vec<Entry>) {
        if !self.is_inner {
            entries.push(self.entry.clone());
            return;
        }
        let before = entries
            .iter()
            .rev()
            .find(|e| e.key.as_deref() == Some("OPTIONS"));
        let before = before.map(|e| Entry {
            key: None,
            ..e.clone()
        });
        let place = self.entry.key_place.clone();
        entries.push(Entry {
            key: Some("OPTIONS".to_owned()),
            key_place: place.clone(),
            value: Expr {
                place,
                what: What::Map(before.into_iter().chain([self.entry.clone()]).collect()),
            },
        });
    }
}

/// All of them, a bounded number.
pub(super) fn extras(code: &Code<'_>) -> Vec<Written> {
    let mut all = Vec::new();
    for assignment in &code.assignments {
        let (alias, key, is_inner) = match assignment.path.as_slice() {
            [root, alias, key] if root == "DATABASES" => (alias, key, false),
            [root, alias, options, key] if root == "DATABASES" && options == "OPTIONS" => {
                (alias, key, true)
            }
            _ => continue,
        };
        all.push(Written {
            is_inner,
            alias: alias.clone(),
            entry: Entry {
                key: Some(key.clone()),
                key_place: assignment.place.clone(),
                value: assignment.value.clone(),
            },
        });
    }
    let updates = code.calls.iter().filter_map(|call| {
        let alias = call
            .function
            .strip_prefix("DATABASES.")?
            .strip_suffix(".update")?;
        Some((alias, call))
    });
    for (alias, call) in updates {
        let maps = call.arguments.iter().filter_map(|a| match &a.what {
            What::Map(entries) => Some(entries),
            _ => None,
        });
        for entry in maps.flatten().chain(&call.named) {
            all.push(Written {
                is_inner: false,
                alias: alias.to_owned(),
                entry: entry.clone(),
            });
        }
    }
    all.truncate(DATABASES_MAX);
    all
}
