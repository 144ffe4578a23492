//! Rows of the history, and how their values are written.

use config::rollout::{Nature, Origin, State, Why};
use rusqlite::{Row, Transaction};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The first schema.
pub(super) const SCHEMA_1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    temporary INTEGER NOT NULL,
    files TEXT NOT NULL
);
CREATE INDEX version_hash ON version (hash);
CREATE TABLE change (
    version INTEGER PRIMARY KEY REFERENCES version (id) ON DELETE CASCADE,
    from_version INTEGER NOT NULL,
    nature TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    note TEXT NOT NULL,
    began INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX event_version ON event (version);
";

/// Every version with the change that it went through.
pub(super) const VERSIONS: &str = "
SELECT version.id, version.hash, version.at, version.origin, version.actor, version.reason,
    version.temporary, version.files, change.from_version, change.state, change.detail,
    change.note, change.at
FROM version LEFT JOIN change ON change.version = version.id";

/// A version of the settings.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionRow {
    /// Its number.
    pub id: u64,
    /// SHA-256 of its texts, hexadecimal.
    pub hash: String,
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Where it comes from.
    pub origin: Origin,
    /// Who, and from where.
    pub actor: String,
    /// Why, in that person's words.
    pub reason: String,
    /// It is not in the settings file.
    pub temporary: bool,
    /// Path and text without secrets of each settings file.
    pub files: Vec<(PathBuf, String)>,
    /// The version that served before; `None`: it was adopted.
    pub from: Option<u64>,
    /// Where its change is; `None`: it was adopted.
    pub state: Option<State>,
    /// Why it is there.
    pub note: String,
    /// When it got there; milliseconds since 1970, UTC.
    pub state_at_ms: i64,
}

/// A change of the settings.
#[derive(Clone, PartialEq, Debug)]
pub struct ChangeRow {
    /// The version proposed.
    pub version: u64,
    /// The version before.
    pub from: u64,
    /// What the change is.
    pub nature: Nature,
    /// Where it is.
    pub state: State,
    /// Why it is there.
    pub note: String,
    /// When it began; milliseconds since 1970, UTC.
    pub began_ms: i64,
    /// When it got where it is.
    pub at_ms: i64,
}

/// Something that happened to a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// A word or two.
    pub what: String,
    /// A sentence; may be empty.
    pub text: String,
}

pub(super) fn make_current(write: &Transaction<'_>, version: u64) -> rusqlite::Result<()> {
    write.execute(
        "INSERT INTO meta (key, value) VALUES ('current', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
        [version as i64],
    )?;
    Ok(())
}

pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let origin: String = row.get(3)?;
    let files: String = row.get(7)?;
    let state: Option<String> = row.get(9)?;
    let detail: Option<String> = row.get(10)?;
    let state = state.and_then(|word| state_from(&word, &detail.unwrap_or_default()));
    Ok(VersionRow {
        id: row.get::<_, i64>(0)? as u64,
        hash: row.get(1)?,
        at_ms: row.get(2)?,
        // A word of a newer binary reads as the most general one.
        origin: Origin::from_label(&origin).unwrap_or(Origin::Apply),
        actor: row.get(4)?,
        reason: row.get(5)?,
        temporary: row.get(6)?,
        files: files_from(&files),
        from: row.get::<_, Option<i64>>(8)?.map(|n| n as u64),
        state,
        note: row.get::<_, Option<String>>(11)?.unwrap_or_default(),
        state_at_ms: row.get::<_, Option<i64>>(12)?.unwrap_or_default(),
    })
}

pub(super) fn change(row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    let (nature, word, detail): (String, String, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(ChangeRow {
        version: row.get::<_, i64>(0)? as u64,
        from: row.get::<_, i64>(1)? as u64,
        nature: nature_from(&nature),
        // What cannot be read is treated as what is safest to go back from.
        state: state_from(&word, &detail).unwrap_or(State::Reverting(Why::Killed)),
        note: row.get(5)?,
        began_ms: row.get(6)?,
        at_ms: row.get(7)?,
    })
}

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        at_ms: row.get(0)?,
        what: row.get(1)?,
        text: row.get(2)?,
    })
}

pub(super) fn files_text(files: &[(PathBuf, String)]) -> String {
    let all: Vec<Value> = files
        .iter()
        .map(|(path, text)| json!({ "path": path.to_string_lossy(), "text": text }))
        .collect();
    Value::Array(all).to_string()
}

fn files_from(text: &str) -> Vec<(PathBuf, String)> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let file = |v: &Value| {
        let path = v.get("path")?.as_str()?;
        Some((PathBuf::from(path), v.get("text")?.as_str()?.to_owned()))
    };
    all.iter().filter_map(file).collect()
}

/// A state as a word and what belongs to it.
pub(crate) fn state_words(state: State) -> (&'static str, String) {
    let detail = match state {
        State::Staging { step, of, serves } => {
            format!("{step}/{of}{}", if serves { " serves" } else { "" })
        }
        State::Reverting(why) | State::RolledBack(why) | State::Refused(why) => {
            why.label().to_owned()
        }
        _ => String::new(),
    };
    (state.label(), detail)
}

/// The way back of [`state_words`].
pub(crate) fn state_from(word: &str, detail: &str) -> Option<State> {
    let why = || Why::from_label(detail);
    Some(match word {
        "checking" => State::Checking,
        "predicting" => State::Predicting,
        "probing" => State::Probing,
        "staging" => {
            let (steps, rest) = detail.split_once(' ').unwrap_or((detail, ""));
            let (step, of) = steps.split_once('/')?;
            State::Staging {
                step: step.parse().ok()?,
                of: of.parse().ok()?,
                serves: rest == "serves",
            }
        }
        "watching" => State::Watching,
        "reverting" => State::Reverting(why()?),
        "applied" => State::Applied,
        "rolled_back" => State::RolledBack(why()?),
        "refused" => State::Refused(why()?),
        _ => return None,
    })
}

pub(super) fn nature_text(nature: Nature) -> String {
    let words = [
        (nature.restart_only, "restart_only"),
        (nature.identity, "identity"),
        (nature.tightens, "tightens"),
        (nature.now, "now"),
        (nature.forced, "forced"),
    ];
    let set: Vec<&str> = words
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, w)| *w)
        .collect();
    set.join(" ")
}

fn nature_from(text: &str) -> Nature {
    let has = |word: &str| text.split(' ').any(|w| w == word);
    Nature {
        restart_only: has("restart_only"),
        identity: has("identity"),
        tightens: has("tightens"),
        now: has("now"),
        forced: has("forced"),
    }
}
