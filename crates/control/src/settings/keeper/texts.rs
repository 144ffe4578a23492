//! What is said where the settings file and what serves differ.

use crate::settings::store::state_words;
use config::rollout::{State, Why};

/// What settings are called that stand in a file.
pub(super) const FILE: &str = "the settings file";

pub(super) fn held_text(place: &str, version: u64) -> String {
    format!(
        "{place} was changed by nobody's `plimsoll apply`: version {version} serves; apply it, or write it back"
    )
}

pub(super) fn passed_over_text(place: &str, serves: u64) -> String {
    format!("version {serves} serves and is not in {place}; the next change there takes its place")
}

/// The file was refused for what is not its own fault.
pub(super) fn waits_text(place: &str, version: u64, state: State, why: Why, serves: u64) -> String {
    let (word, detail) = state_words(state);
    let help = match why {
        Why::RestartOnly => "a restart takes it",
        _ => "a restart, or `plimsoll apply`, tries it again",
    };
    format!(
        "{place} says what was {word} as version {version} ({detail}): version {serves} serves; {help}"
    )
}

pub(super) fn rejected_text(place: &str, version: u64, state: State, serves: u64) -> String {
    let (word, detail) = state_words(state);
    let word = word.replace('_', " ");
    format!(
        "{place} says what was {word} as version {version} ({detail}): version {serves} serves; change it, or `plimsoll apply` it"
    )
}
