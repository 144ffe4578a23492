//! What people ask of the keeper, and its answers. The same values go over the
//! API and are printed by the command line.

use crate::settings::store::{Store, StoreError, VersionRow, state_words};
use config::Errors;
use config::rollout::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Carries an answer away.
pub type Reply<T> = Box<dyn FnOnce(Result<T, AskError>) + Send>;

/// What may be asked.
pub enum Ask {
    /// What serves, and what is under way.
    Status(Reply<Status>),
    /// The newest versions, so many.
    History(u32, Reply<Vec<HistoryLine>>),
    /// One version, with its texts and what happened to it.
    Version(u64, Reply<VersionText>),
    /// What a change would do.
    Plan(ApplyAsk, Reply<Planned>),
    /// A change.
    Apply(ApplyAsk, Reply<Applied>),
    /// The way back.
    Rollback(RollbackAsk, Reply<Applied>),
}

/// New settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
// A mistyped `dry_run` must not be an order.
#[serde(deny_unknown_fields)]
pub struct ApplyAsk {
    /// The main file's text; none: as the settings file is on the disk now.
    pub text: Option<String>,
    /// Who asks, as the command line says: a name and a host.
    #[serde(default)]
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Skips prediction and staging, and is not taken back by itself.
    #[serde(default)]
    pub now: bool,
    /// Goes past the check and the prediction.
    #[serde(default)]
    pub force: bool,
}

/// The way back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackAsk {
    /// To which version; none: the open change is taken back, else the version
    /// before the current one.
    pub version: Option<u64>,
    /// Who asks.
    #[serde(default)]
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// A change was begun.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The version that shall serve; the one that serves again after the way
    /// back from an open change.
    pub version: u64,
    /// The version before.
    pub from: u64,
}

/// One setting that changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChangeLine {
    /// The setting.
    pub key: String,
    /// How it is rolled out.
    pub class: String,
    /// "loosens", "tightens" or "changes".
    pub direction: String,
    /// The value that serves; empty: none.
    pub old: String,
    /// The value that shall; empty: none.
    pub new: String,
}

/// What a change would do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// The version that serves.
    pub current: u64,
    /// The hash of the new texts.
    pub hash: String,
    /// What differs.
    pub changes: Vec<ChangeLine>,
    /// Errors that would refuse it.
    pub errors: Vec<String>,
    /// What else the check says.
    pub findings: Vec<String>,
    /// "fine", "worse", "unknown"; empty: not asked, since nothing tightens.
    pub predicted: String,
    /// The prediction in words, with figures.
    pub prediction: String,
    /// How it would go, in words.
    pub way: String,
    /// It would be begun.
    pub would_begin: bool,
}

/// What serves.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SettingsStatus")]
pub struct Status {
    /// The version.
    pub version: u64,
    /// Its hash.
    pub hash: String,
    /// The settings file.
    pub path: PathBuf,
    /// "deploy", "store" or "etcd".
    pub source: String,
    /// The key in etcd that has the text, its revision, and why etcd is not heard.
    pub etcd: Option<String>,
    /// Where the history is; none: in memory only.
    pub directory: Option<PathBuf>,
    /// The change under way.
    pub open: Option<HistoryLine>,
    /// The settings file says something that does not serve, since when, and why.
    pub drift: Option<String>,
    /// Milliseconds since 1970.
    pub drift_since_ms: Option<i64>,
    /// Why the instance is not ready.
    pub held_back: Option<String>,
    /// Keys that the console SET since the version was read.
    pub temporary: Vec<String>,
    /// What a newer plimsoll wrote, and what this one therefore does without.
    #[serde(default)]
    pub without: Vec<String>,
    /// What is not known of a server, for lack of a user, of rights or of room, and
    /// what would help.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// Guards that are new since an upgrade, and therefore only watch.
    #[serde(default)]
    pub new_guards: Vec<String>,
    /// How the line of each server is shared, where there is something to tell: a
    /// ledger, or a fleet that shares by two ways.
    #[serde(default)]
    pub sharing: Vec<String>,
}

/// One version in the history.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLine {
    /// Its number.
    pub version: u64,
    /// The hash of its texts.
    pub hash: String,
    /// When; milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// "boot", "file", "apply", "reload", "set" or "rollback".
    pub origin: String,
    /// Who, and from where.
    pub actor: String,
    /// Why, in that person's words.
    pub reason: String,
    /// It was not in the settings file.
    pub temporary: bool,
    /// The version before it.
    pub from: Option<u64>,
    /// Where its change is: "applied", "rolled_back", "refused", "adopted" or a state on the way.
    pub state: String,
    /// A step, or a reason.
    pub detail: String,
    /// Why it is there, with figures.
    pub note: String,
    /// When it got there.
    pub state_at_ms: i64,
    /// It serves.
    pub current: bool,
}

/// One version in full.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct VersionText {
    /// The line of the history.
    pub line: HistoryLine,
    /// Path and text without secrets.
    pub files: Vec<(PathBuf, String)>,
    /// What happened to it: when, what, and a sentence.
    pub events: Vec<(i64, String, String)>,
}

/// Why something asked for is not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct AskError {
    /// "mistakes", "same", "busy", "unknown_version", "refused" or "history".
    pub kind: String,
    /// What is wrong; never empty.
    pub lines: Vec<String>,
    /// What to do; may be empty.
    pub help: String,
    /// Mistakes with their source lines, for people; may be empty.
    #[serde(default)]
    pub shown: String,
}

impl AskError {
    pub(super) fn new(kind: &str, line: impl Into<String>, help: &str) -> AskError {
        AskError {
            kind: kind.to_owned(),
            lines: vec![line.into()],
            help: help.to_owned(),
            shown: String::new(),
        }
    }

    pub(super) fn of_mistakes(errors: &Errors) -> AskError {
        AskError {
            kind: "mistakes".to_owned(),
            lines: errors.lines(),
            help: "nothing was changed".to_owned(),
            shown: errors.render(),
        }
    }

    pub(super) fn of_store(error: &StoreError) -> AskError {
        let help = "nothing was changed; make room, or use --now to go on without a history";
        AskError::new("history", error.to_string(), help)
    }

    pub(super) fn of_refusal(refusal: Refusal) -> AskError {
        match refusal {
            Refusal::Same => AskError::new("same", "these settings serve already", ""),
            Refusal::Busy { version, state } => {
                let (word, detail) = state_words(state);
                AskError::new(
                    "busy",
                    format!("version {version} is on its way: {word} {detail}")
                        .trim_end()
                        .to_owned(),
                    "wait for it (plimsoll status), take it back (plimsoll rollback), or use --now",
                )
            }
        }
    }
}

impl std::fmt::Display for AskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shown.is_empty() {
            true => f.write_str(&self.lines.join("\n"))?,
            false => f.write_str(self.shown.trim_end())?,
        }
        match self.help.is_empty() {
            true => Ok(()),
            false => write!(f, "\n  = help: {}", self.help),
        }
    }
}

impl std::error::Error for AskError {}

impl HistoryLine {
    /// A row of the history as people see it.
    pub fn of(row: &VersionRow, current: Option<u64>) -> HistoryLine {
        let (state, detail) = match row.state {
            Some(state) => {
                let (word, detail) = state_words(state);
                (word.to_owned(), detail)
            }
            None if row.temporary => ("temporary".to_owned(), String::new()),
            None => ("adopted".to_owned(), String::new()),
        };
        HistoryLine {
            version: row.id,
            hash: row.hash.clone(),
            at_ms: row.at_ms,
            origin: row.origin.label().to_owned(),
            actor: row.actor.clone(),
            reason: row.reason.clone(),
            temporary: row.temporary,
            from: row.from,
            state,
            detail,
            note: row.note.clone(),
            state_at_ms: row.state_at_ms,
            current: current == Some(row.id),
        }
    }
}

/// The history, from wherever it is kept.
///
/// # Errors
/// It cannot be read.
pub fn history(store: &Store, most: u32) -> Result<Vec<HistoryLine>, StoreError> {
    let current = store.current()?;
    let rows = store.versions(most)?;
    Ok(rows
        .iter()
        .map(|row| HistoryLine::of(row, current))
        .collect())
}

/// One version, from wherever the history is kept.
///
/// # Errors
/// It cannot be read.
pub fn version_text(store: &Store, id: u64) -> Result<Option<VersionText>, StoreError> {
    let Some(row) = store.version(id)? else {
        return Ok(None);
    };
    let line = HistoryLine::of(&row, store.current()?);
    let events = store.events(id)?;
    Ok(Some(VersionText {
        line,
        files: row.files,
        events: events
            .into_iter()
            .map(|e| (e.at_ms, e.what, e.text))
            .collect(),
    }))
}
