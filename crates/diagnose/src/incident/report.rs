//! The report of an incident, in the sections of a post-incident review.
//!
//! Everything in it is measured or was noted by a person; what is not known is
//! said to be unknown, and what only people can judge is left to them by name.

mod markdown;
mod words;

use super::{Correction, Entry, Incident, Path, Standing, corrections, paths};
use crate::alert::{Owner, Severity};
use crate::{Cause, Figure, utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use markdown::markdown;

/// What is known of the installation beside the incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReportContext {
    /// The instance.
    pub instance: String,
    /// Who looks after what the incident concerns.
    pub owner: Option<Owner>,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// What people type.
    pub id: String,
    /// One line.
    pub title: String,
    /// Where it stands: a report of an open incident is a draft.
    pub standing: Standing,
    /// The worst of its alerts.
    pub severity: Severity,
    /// The instance.
    pub instance: String,
    /// Who looks after it.
    pub owner: Option<Owner>,
    /// Issue Summary.
    pub summary: Summary,
    /// Timeline, UTC.
    pub timeline: Vec<Entry>,
    /// Entries for which there was no room.
    pub timeline_dropped: u64,
    /// Root Cause and Resolution.
    pub cause: Option<RootCause>,
    /// What ended it, in words.
    pub resolution: Vec<String>,
    /// What made it possible or worse, as far as was seen.
    pub factors: Vec<String>,
    /// Hypotheses considered and what ended each.
    pub hypotheses: Vec<Considered>,
    /// Misleading paths, with the time on each; the cause's own path too.
    pub paths: Vec<Path>,
    /// What could be better, as far as figures show it.
    pub improvements: Vec<String>,
    /// The task list.
    pub tasks: Vec<Correction>,
    /// What people noted, oldest first.
    pub notes: Vec<super::Note>,
}

/// Issue Summary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// When it began, UTC, milliseconds since 1970.
    pub from_ms: i64,
    /// When clients were well again; `None`: not yet.
    pub until_ms: Option<i64>,
    /// How long, milliseconds; so far, where it lasts.
    pub duration_ms: i64,
    /// From the onset to the first alert, milliseconds.
    pub to_alert_ms: i64,
    /// From the onset to the first time that the cause was named.
    pub to_cause_ms: Option<i64>,
    /// What clients felt, in sentences.
    pub impact: Vec<String>,
    /// The figures.
    pub figures: super::Impact,
}

/// The cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RootCause {
    /// Which.
    pub cause: Cause,
    /// How sure, in percent.
    pub sure: u8,
    /// One sentence.
    pub text: String,
    /// What supports it.
    pub figures: Vec<Figure>,
    /// The change that brought it.
    pub change: Option<Entry>,
}

/// One hypothesis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Considered {
    /// What was supposed.
    pub cause: Cause,
    /// Who supposed it: "plimsoll", or people.
    pub by: Vec<String>,
    /// Since when.
    pub since_ms: Option<i64>,
    /// What became of it.
    pub outcome: String,
}

impl Report {
    /// The report as of now.
    pub fn of(incident: &Incident, context: &ReportContext, now_ms: i64) -> Report {
        let cause = incident.cause().map(|h| RootCause {
            cause: h.cause,
            sure: h.sure,
            text: h.text.clone(),
            figures: h.figures.clone(),
            change: h.change.clone(),
        });
        let paths = paths::of(incident, now_ms);
        let owners = incident.alerts.iter().find_map(|a| a.owner.clone());
        Report {
            id: incident.id.clone(),
            title: incident.title.clone(),
            standing: incident.standing,
            severity: incident.severity,
            instance: context.instance.clone(),
            owner: owners.or_else(|| context.owner.clone()),
            summary: summary(incident, now_ms),
            timeline: incident.timeline.clone(),
            timeline_dropped: incident.timeline_dropped,
            resolution: words::resolution(incident),
            factors: words::factors(incident, cause.as_ref()),
            hypotheses: words::hypotheses(incident, &paths),
            improvements: words::improvements(incident, &paths),
            tasks: corrections::of(cause.as_ref().map(|c| c.cause), &incident.id),
            notes: incident.notes.clone(),
            cause,
            paths,
        }
    }
}

fn summary(incident: &Incident, now_ms: i64) -> Summary {
    let ended = incident.ended.as_ref().map(|e| e.recovered_ms);
    let until_ms = ended.or(incident.recovered_ms);
    let named = incident.cause().and_then(|h| h.named_ms);
    let fired = incident.alerts.iter().filter_map(|a| a.fired_ms).min();
    let since = |at: i64| (at - incident.onset_ms).max(0);
    Summary {
        from_ms: incident.onset_ms,
        until_ms,
        duration_ms: since(incident.until_ms(now_ms)),
        to_alert_ms: since(fired.unwrap_or(incident.opened_ms)),
        to_cause_ms: named.map(since),
        impact: words::impact(incident),
        figures: incident.impact.clone(),
    }
}

/// As it stands in one line of a list.
pub fn line(incident: &Incident, now_ms: i64) -> String {
    let length = utc::length(incident.until_ms(now_ms) - incident.onset_ms);
    format!(
        "{}  {}  {}  {}  {}",
        incident.id,
        utc::moment(incident.onset_ms),
        length,
        incident.standing.label(),
        incident.title
    )
}

#[cfg(test)]
mod tests;
