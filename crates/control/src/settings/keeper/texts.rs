//! What is said where the settings file and what serves differ.

use crate::settings::store::state_words;
use config::rollout::{State, Why};

pub(super) fn held_text(version: u64) -> String {
    format!(
        "the settings file was changed by nobody's `plimsoll apply`: version {version} serves; apply the file, or write it back"
    )
}

pub(super) fn passed_over_text(serves: u64) -> String {
    format!(
        "version {serves} serves and is not in the settings file; the file's next change takes its place"
    )
}

/// The file was refused for what is not its own fault.
pub(super) fn waits_text(version: u64, state: State, why: Why, serves: u64) -> String {
    let (word, detail) = state_words(state);
    let help = match why {
        Why::RestartOnly => "a restart takes it",
        _ => "a restart, or `plimsoll apply`, tries it again",
    };
    format!(
        "the settings file says what was {word} as version {version} ({detail}): version {serves} serves; {help}"
    )
}

pub(super) fn rejected_text(version: u64, state: State, serves: u64) -> String {
    let (word, detail) = state_words(state);
    let word = word.replace('_', " ");
    format!(
        "the settings file says what was {word} as version {version} ({detail}): version {serves} serves; change the file, or `plimsoll apply` it"
    )
}
