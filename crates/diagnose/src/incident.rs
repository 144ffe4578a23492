//! Incidents: what happened, written down as it happens.
//!
//! An alert that needs a person opens one. [`Incidents`] looks at each second and
//! collects by itself: what changed before and meanwhile, what clients felt, what
//! the diagnosis said at each moment and what it ruled out, what people noted,
//! and what came last before it was over. [`report`] tells it in the sections of
//! a post-incident review.
//!
//! ```text
//!   alerts, verdict, record ──► Incidents::look ──► Incident ──► Report ──► Markdown, JSON
//!   notes of people ───────────────┘
//! ```
//!
//! ```
//! use diagnose::alert::{Alert, AlertName, AlertState};
//! use diagnose::incident::{Incidents, Seen};
//! use events::sample::Record;
//! let alert = Alert::firing(AlertName::PoolExhausted, "exhausted/shop", 60_000);
//! let mut incidents = Incidents::default();
//! let record = Record::default();
//! let seen = Seen { record: &record, changes: &[alert], verdict: None, now_ms: 61_000 };
//! incidents.look(&seen);
//! assert_eq!(incidents.all()[0].id, "1970-01-01-1");
//! ```

mod corrections;
mod ending;
mod impact;
mod keeper;
mod paths;
pub mod report;
mod thoughts;

use crate::alert::{Alert, AlertName, AlertState, Severity};
use crate::{Cause, Figure, Rejection, State, Subject, Verdict, safe};
use events::sample::{Marker, MarkerKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use corrections::{Correction, Proof};
pub use ending::{Ended, EndedBy};
pub use impact::{ApplicationImpact, Impact, PoolImpact};
pub use keeper::{IncidentError, IncidentEvent, IncidentSettings, Incidents, Seen};
pub use paths::{Path, PathEnd};

/// Most entries of a timeline; what comes after is counted, the alerts' and
/// people's own words excepted.
pub const TIMELINE_MAX: usize = 400;
/// Most alerts of an incident.
pub const ALERTS_MAX: usize = 32;
/// Most verdicts that are kept whole.
pub const VERDICTS_MAX: usize = 24;
/// Most notes.
pub const NOTES_MAX: usize = 200;
/// Longest note, characters.
pub const NOTE_CHARS_MAX: usize = 2_000;
/// An answer of the diagnosis that stood for less is no answer of the incident.
const ANSWER_STANDS_MS: i64 = 10_000;
/// Most incidents in memory.
pub const INCIDENTS_MAX: usize = 64;

/// Where an incident stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// An alert of it fires.
    #[default]
    Open,
    /// All alerts are resolved; it closes unless one comes back.
    Recovering,
    /// It is over.
    Closed,
}

impl Standing {
    /// The word.
    pub const fn label(self) -> &'static str {
        match self {
            Standing::Open => "open",
            Standing::Recovering => "recovering",
            Standing::Closed => "closed",
        }
    }
}

/// One incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Incident {
    /// What people type: the day and a number.
    pub id: String,
    /// Where it stands.
    pub standing: Standing,
    /// One line: the first alert's sentence.
    pub title: String,
    /// The worst of its alerts.
    pub severity: Severity,
    /// When it began to hurt as far as is known, UTC, milliseconds since 1970.
    pub onset_ms: i64,
    /// When the first alert opened it.
    pub opened_ms: i64,
    /// When its last alert was resolved.
    pub recovered_ms: Option<i64>,
    /// When it was closed.
    pub closed_ms: Option<i64>,
    /// Who closed it, and why; empty: by itself.
    pub closed_by: (String, String),
    /// How often it came back.
    pub reopened: u32,
    /// Its alerts as they stand.
    pub alerts: Vec<Alert>,
    /// What happened, oldest first.
    pub timeline: Vec<Entry>,
    /// Entries for which there was no room.
    pub timeline_dropped: u64,
    /// What clients felt.
    pub impact: Impact,
    /// What the diagnosis said, whenever that changed.
    pub verdicts: Vec<Verdict>,
    /// The moment of the newest verdict that was taken in.
    pub thought_ms: i64,
    /// Each cause that was named or ruled out.
    pub hypotheses: Vec<Hypothesis>,
    /// What people noted.
    pub notes: Vec<Note>,
    /// What ended it.
    pub ended: Option<Ended>,
}

/// What kind of thing happened.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An alert began or ended.
    Alert,
    /// Settings changed, were taken back, or drifted.
    Settings,
    /// An application was released.
    Release,
    /// A guard acted, or would have.
    Guard,
    /// A database server restarted, moved or changed its limits.
    Server,
    /// A secret or a certificate was rotated or refused.
    Secret,
    /// A person did something.
    Action,
    /// A person noted something.
    Note,
    /// The diagnosis changed its answer.
    Verdict,
    /// The incident itself: opened, over, back, closed.
    Incident,
    /// Any other.
    #[default]
    #[serde(other)]
    Other,
}

impl EntryKind {
    /// The word in reports.
    pub const fn label(self) -> &'static str {
        match self {
            EntryKind::Alert => "alert",
            EntryKind::Settings => "settings",
            EntryKind::Release => "release",
            EntryKind::Guard => "guard",
            EntryKind::Server => "server",
            EntryKind::Secret => "secret",
            EntryKind::Action => "action",
            EntryKind::Note => "note",
            EntryKind::Verdict => "diagnosis",
            EntryKind::Incident => "incident",
            EntryKind::Other => "other",
        }
    }

    /// Something that was done, rather than seen.
    pub(crate) const fn is_change(self) -> bool {
        matches!(
            self,
            EntryKind::Settings
                | EntryKind::Release
                | EntryKind::Guard
                | EntryKind::Server
                | EntryKind::Secret
                | EntryKind::Action
        )
    }
}

impl From<MarkerKind> for EntryKind {
    fn from(kind: MarkerKind) -> EntryKind {
        match kind {
            MarkerKind::Settings | MarkerKind::RolledBack | MarkerKind::Drift => {
                EntryKind::Settings
            }
            MarkerKind::Release => EntryKind::Release,
            MarkerKind::Guard => EntryKind::Guard,
            MarkerKind::Server | MarkerKind::Line => EntryKind::Server,
            MarkerKind::Secret => EntryKind::Secret,
            MarkerKind::Action => EntryKind::Action,
            MarkerKind::Alert => EntryKind::Alert,
            MarkerKind::Started | MarkerKind::Other => EntryKind::Other,
        }
    }
}

/// One line of the timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Entry {
    /// UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// What kind.
    pub kind: EntryKind,
    /// What it concerns; empty: all.
    pub subject: String,
    /// What happened, for people.
    pub text: String,
    /// Who did it, where that is known.
    pub actor: String,
}

impl Entry {
    pub(crate) fn new(at_ms: i64, kind: EntryKind, text: &str) -> Entry {
        Entry {
            at_ms,
            kind,
            text: safe::line(text, safe::LINE_CHARS_MAX),
            ..Entry::default()
        }
    }
}

impl From<&Marker> for Entry {
    fn from(marker: &Marker) -> Entry {
        Entry {
            at_ms: marker.at_ms,
            kind: marker.kind.into(),
            subject: safe::name(&marker.subject),
            text: safe::line(&marker.text, safe::LINE_CHARS_MAX),
            actor: safe::name(&marker.actor),
        }
    }
}

/// What a person noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Note {
    /// UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub text: String,
    /// The cause that is being looked into from now on.
    pub path: Option<Cause>,
}

/// What became of one cause during the incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    /// The cause.
    pub cause: Cause,
    /// When the diagnosis first named it; `None`: it never did.
    pub named_ms: Option<i64>,
    /// When it last did.
    pub last_named_ms: Option<i64>,
    /// How sure it was at last, in percent.
    pub sure: u8,
    /// Its sentence at last.
    pub text: String,
    /// What supported it at last.
    pub figures: Vec<Figure>,
    /// Whom it concerned.
    pub subject: Subject,
    /// The change that it was laid to.
    pub change: Option<Entry>,
    /// When it was ruled out, and by what; the last time.
    pub rejected: Option<(i64, Rejection)>,
    /// What was missing to say anything.
    pub lacks: Option<String>,
}

impl Alert {
    /// An alert that fires since that moment, and nothing else known of it.
    pub fn firing(name: AlertName, key: &str, at_ms: i64) -> Alert {
        Alert {
            name,
            key: key.to_owned(),
            subject: Subject::default(),
            state: AlertState::Firing,
            severity: name.severity(),
            since_ms: at_ms,
            fired_ms: Some(at_ms),
            resolved_ms: None,
            summary: name.label().to_owned(),
            figures: Vec::new(),
            cause: None,
            forecast: None,
            next: Vec::new(),
            runbook: format!("docs/playbook.md#{}", name.label().to_lowercase()),
            owner: None,
        }
    }
}

impl Incident {
    /// The cause as the diagnosis last saw it while it hurt; `None`: unknown.
    pub fn cause(&self) -> Option<&Hypothesis> {
        let last = self.first_answer()?;
        self.hypotheses
            .iter()
            .find(|h| h.cause == last && h.named_ms.is_some())
    }

    /// The last first answer that stood for a while: what the diagnosis says in
    /// the second in which all changes may be about that second.
    fn first_answer(&self) -> Option<Cause> {
        let ends = self.verdicts.iter().skip(1).map(|v| v.at_ms);
        let over = self.recovered_ms.or(self.closed_ms).unwrap_or(i64::MAX);
        let answers = self
            .verdicts
            .iter()
            .zip(ends.chain([over]))
            .filter_map(|(v, end)| Some((v.cause()?, v.state, end.saturating_sub(v.at_ms))));
        let answers: Vec<_> = answers.collect();
        let hurt = answers
            .iter()
            .rev()
            .find(|(_, state, stood)| *state == State::Hurt && *stood >= ANSWER_STANDS_MS);
        let longest = || answers.iter().max_by_key(|(_, _, stood)| *stood);
        hurt.or_else(longest).map(|(cause, _, _)| *cause)
    }

    /// When it was over, or now.
    pub fn until_ms(&self, now_ms: i64) -> i64 {
        let over = self.recovered_ms.or(self.closed_ms).unwrap_or(now_ms);
        match &self.ended {
            Some(ended) => ended.recovered_ms.max(self.onset_ms),
            None => over.max(self.onset_ms),
        }
    }

    /// It is still looked at.
    pub fn is_live(&self) -> bool {
        self.standing != Standing::Closed
    }

    pub(crate) fn enter(&mut self, entry: Entry) {
        let known = self.timeline.iter().rev().take(64).any(|e| *e == entry);
        if known {
            return;
        }
        // Room is kept for what people and alerts say.
        let kept = matches!(
            entry.kind,
            EntryKind::Note | EntryKind::Alert | EntryKind::Incident
        );
        let most = if kept { TIMELINE_MAX } else { TIMELINE_MAX / 2 };
        if self.timeline.len() >= most {
            self.timeline_dropped = self.timeline_dropped.saturating_add(1);
            return;
        }
        let at = self.timeline.partition_point(|e| e.at_ms <= entry.at_ms);
        self.timeline.insert(at, entry);
    }
}

#[cfg(test)]
mod tests;
