//! What a start finds in the state directory.

use super::super::{Options, StateDirectory};
use super::ITSELF;
use crate::settings::content::Content;
use crate::settings::store::{NewVersion, Store, StoreError, VersionRow};
use crate::watch::{BYTES_MAX, read_bounded};
use config::Errors;
use config::rollout::Origin;
use std::path::{Path, PathBuf};

/// The state directory that the settings name, also where they have mistakes.
pub(super) fn stated_directory(
    options: &Options,
    file: &Result<Content, Errors>,
) -> Option<PathBuf> {
    match file {
        Ok(content) => content.plan.keeping.directory.clone(),
        Err(_) => {
            let bytes = read_bounded(&options.path, BYTES_MAX).unwrap_or_default();
            config::state_directory(&options.path, &String::from_utf8_lossy(&bytes))
        }
    }
}

/// The history of this settings file, where there is one that can be used; with
/// the baseline in it, where it begins.
pub(super) fn open_ours(
    options: &Options,
    stated: Option<&Path>,
    said: &mut Vec<String>,
) -> Result<Store, StoreError> {
    let mut store = open_store(&options.state, stated, said)?;
    if let Some(other) = of_another_file(&store, &options.path)? {
        said.push(format!(
            "the history is that of {}: give each pooler a state directory of its own; this one has none now",
            other.display()
        ));
        store = Store::in_memory()?;
    }
    if store.current()?.is_none() {
        adopt_baseline(options, &mut store, said);
    }
    Ok(store)
}

fn open_store(
    state: &StateDirectory,
    stated: Option<&Path>,
    said: &mut Vec<String>,
) -> Result<Store, StoreError> {
    let places: Vec<PathBuf> = match (state, stated) {
        (StateDirectory::At(path), _) => vec![path.clone()],
        (StateDirectory::Usual(_), Some(path)) => vec![path.to_owned()],
        (StateDirectory::Usual(places), None) => places.clone(),
    };
    for place in &places {
        match Store::open(place).and_then(Store::readable) {
            Ok(store) => return Ok(store),
            // The rest of what is kept there has numbers of its own. A sentence for
            // each file follows.
            Err(StoreError::Newer(_)) => match Store::beside(place) {
                Ok(store) => return Ok(store),
                Err(error) => said.push(format!("no history: {error}")),
            },
            Err(error) => said.push(format!("no history: {error}")),
        }
    }
    if places.is_empty() {
        said.push(
            "no state directory: the history of settings ends with the process; name one with --state or `directory` in [state]"
                .to_owned(),
        );
    }
    Store::in_memory()
}

/// The settings file that the history belongs to, where that is another one
/// than ours: one that is still there.
fn of_another_file(store: &Store, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let Some(id) = store.current()? else {
        return Ok(None);
    };
    let known = store
        .version(id)?
        .and_then(|row| row.files.into_iter().next());
    Ok(known
        .map(|(known, _)| known)
        .filter(|known| known != path && known.exists()))
}

/// A first version without a change.
pub(super) fn adopt(
    store: &mut Store,
    content: &Content,
    why: &str,
    said: &mut Vec<String>,
) -> u64 {
    let new = NewVersion {
        hash: &content.hash,
        origin: Origin::Boot,
        actor: ITSELF,
        reason: why,
        temporary: false,
        files: &content.files,
        above: 0,
    };
    let added = store.add_version(&new);
    // A number that no version of the history has.
    let version = match &added {
        Ok(version) => *version,
        Err(_) => store.last().unwrap_or(0) + 1,
    };
    let adopted = added.and_then(|version| store.adopt(version, why));
    if let Err(error) = adopted {
        said.push(format!("the history is not written: {error}"));
    }
    version
}

fn adopt_baseline(options: &Options, store: &mut Store, said: &mut Vec<String>) {
    let Some(baseline) = &options.baseline else {
        return;
    };
    // It is compared with the settings file, so it stands in its place.
    let read = std::fs::read_to_string(baseline).map_err(|e| e.to_string());
    let content = read.and_then(|text| {
        let given = [(options.path.clone(), text)];
        Content::of(&options.path, &given, &options.overrides, &options.secrets)
            .map_err(|errors| errors.render())
    });
    match content {
        Ok(content) => drop(adopt(store, &content, "the baseline", said)),
        Err(error) => said.push(format!(
            "the baseline {} is not used: {error}",
            baseline.display()
        )),
    }
}

/// What serves by the history, with the secrets of today.
pub(super) fn current(
    store: &Store,
    options: &Options,
    file: Option<&Content>,
    said: &mut Vec<String>,
) -> Result<Option<(VersionRow, Content)>, StoreError> {
    let Some(id) = store.current()? else {
        return Ok(None);
    };
    let Some(row) = store.version(id)? else {
        return Ok(None);
    };
    let path = &options.path;
    // The file may lie elsewhere than at the last start.
    let files: Vec<(PathBuf, String)> = row
        .files
        .iter()
        .enumerate()
        .map(|(at, (known, text))| (if at == 0 { path } else { known }.clone(), text.clone()))
        .collect();
    let read = Content::of(path, &files, &options.overrides, &options.secrets);
    let mut content = match read {
        Ok(content) => content,
        Err(errors) => {
            let first = errors.lines().into_iter().next().unwrap_or_default();
            said.push(format!(
                "version {id} of the history cannot serve: this plimsoll does not understand it: {first}"
            ));
            return Ok(None);
        }
    };
    let itself = content.plan.clone();
    let secrets = file.map_or(&itself, |file| &file.plan);
    let missing = config::with_secrets_of(&mut content.plan, secrets);
    if !missing.is_empty() {
        said.push(format!(
            "version {id} of the history cannot serve: its secrets stood in the settings file and are gone ({}); keep them in a password_file",
            missing.join(", ")
        ));
        return Ok(None);
    }
    Ok(Some((row, content)))
}
