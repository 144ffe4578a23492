//! Guards that the version which served before did not have.
//!
//! Guards are earned: one that an upgrade brings only watches, until a person
//! writes `enforce` for it. The history knows which guards served with it.

use crate::settings::content::Content;
use crate::settings::keeper::Options;
use crate::settings::store::{Store, StoreError};
use config::Overrides;
use events::{Guard, GuardMode};

/// The guards of the versions that wrote none of them down.
const FIRST: [&str; 5] = ["reclaim", "shed", "auto_size", "auto_revert", "drift"];

/// Which guards are new to this history, in the order of [`Guard::ALL`]. Where
/// there is none, nothing served before: none is.
pub(super) fn new_guards(store: &Store) -> Result<[bool; Guard::COUNT], StoreError> {
    let known = match (store.guards()?, store.current()?) {
        (Some(known), _) => known,
        (None, Some(_)) => FIRST.map(str::to_owned).to_vec(),
        (None, None) => return Ok([false; Guard::COUNT]),
    };
    let is_new = |guard: Guard| {
        // Pins were always refused beyond their share: only the word for it is new.
        guard != Guard::Pin && !known.iter().any(|label| label == guard.label())
    };
    Ok(Guard::ALL.map(is_new))
}

/// The new guards that only watch because they are new, of what serves first; and
/// the history knows the rest from now on.
pub(super) fn held(store: &mut Store, options: &Options, serves: &Content, said: &mut Vec<String>) {
    let held = watching(options, serves);
    for guard in &held {
        said.push(told(*guard));
    }
    // A guard of a newer version stays known there.
    let mut known = store.guards().ok().flatten().unwrap_or_default();
    let before = known.clone();
    for guard in Guard::ALL.into_iter().filter(|g| !held.contains(g)) {
        if !known.iter().any(|label| label == guard.label()) {
            known.push(guard.label().to_owned());
        }
    }
    if known != before
        && let Err(error) = store.know_guards(&known)
    {
        said.push(format!("the history is not written: {error}"));
    }
}

/// The new guards that would act were they not new.
pub(in crate::settings::keeper) fn watching(options: &Options, serves: &Content) -> Vec<Guard> {
    let new = options.overrides.new_guards;
    if new == [false; Guard::COUNT] {
        return Vec::new();
    }
    let overrides = Overrides {
        new_guards: [false; Guard::COUNT],
        ..options.overrides
    };
    let old = Content::of(&options.path, &serves.files, &overrides, &options.secrets);
    let acts = |guard: &Guard| {
        let mode = |content: &Content| content.plan.guards.mode(*guard);
        mode(serves) == GuardMode::Observe
            && old
                .as_ref()
                .map_or(true, |old| mode(old) == GuardMode::Enforce)
    };
    let new = Guard::ALL.into_iter().zip(new).filter(|(_, new)| *new);
    new.map(|(guard, _)| guard).filter(acts).collect()
}

/// What the log says of one.
fn told(guard: Guard) -> String {
    let label = guard.label();
    format!(
        "the guard {label} is new in this version: it only watches; guards.{label} = \"enforce\" lets it act"
    )
}
