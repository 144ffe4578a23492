//! One key changed in a running plan: the console's SET.

use std::path::{Path, PathBuf};

use crate::draft::{Dialect, Draft, Overrides};
use crate::error::{Errors, Place, Problem};
use crate::ini::{Item, Line};
use crate::pgbouncer::Reader;
use crate::plan::Plan;
use crate::table::{Class, settings};

/// Named in errors where a file's path would stand.
const FILE: &str = "SET";

/// `plan` with one key of `[pgbouncer]` set as if its file said so, and what
/// there is to say about it. It lasts until the file is read again.
///
/// # Errors
/// What the same line in a file would be refused for; keys that only a restart
/// or a reading of the file changes; any key of a plan from plimsoll.toml.
pub fn with_key(plan: &Plan, key: &str, value: &str) -> Result<(Plan, Vec<String>), Errors> {
    let refused = |what: String, help: &str| {
        let problem = Problem::new(what).help(help);
        Err(Errors::from(problem.at(Place::file(Path::new(FILE)))))
    };
    if !plan.drop_in {
        return refused(
            "SET changes settings of pgbouncer.ini only".to_owned(),
            "change plimsoll.toml, then RELOAD",
        );
    }
    let known = settings().iter().find(|s| s.in_pgbouncer && s.key == key);
    if known.is_some_and(|s| s.class == Class::RestartOnly) {
        return refused(
            format!("{key} changes with a restart only"),
            "write it to the file",
        );
    }
    if matches!(
        key,
        "auth_file" | "auth_hba_file" | "auth_ident_file" | "conffile"
    ) {
        return refused(
            format!("{key} is read with the file"),
            "write it there, then RELOAD",
        );
    }
    let mut draft = Draft::new(Dialect::Ini, Path::new(FILE), &Overrides::default());
    for shown in &plan.shown {
        let bare = settings()
            .iter()
            .find(|s| s.access.is_none() && s.key == shown.key);
        if let Some(bare) = bare {
            draft.raw.insert(bare.key, shown.value.clone());
        }
    }
    draft.plan = plan.clone();
    draft.plan.warnings.clear();
    draft.line_known = true;
    let mut reader = Reader::new(draft);
    let text = format!("{key} = {value}");
    let value_at = text.len() - value.len();
    reader.setting(
        key,
        value,
        value_at,
        &Line {
            file: PathBuf::from(FILE),
            number: 1,
            key: 0..key.len(),
            item: Item::Section(String::new()),
            text,
        },
    );
    let said = std::mem::take(&mut reader.draft.plan.warnings);
    reader.draft.finish().map(|plan| (plan, said))
}
