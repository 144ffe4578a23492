//! Which alert belongs to which incident, and when one is over.

mod course;

use super::{
    Ended, Entry, EntryKind, INCIDENTS_MAX, Impact, Incident, NOTE_CHARS_MAX, NOTES_MAX, Note,
    Standing,
};
use crate::alert::{Alert, AlertState, Severity};
use crate::{Cause, Verdict, safe, utc};
use course::{collect, join, settle, touch};
use events::sample::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A marker may be noted a little after later ones.
const LATE_MS: i64 = 10_000;
/// An alert within this time of an incident's last news belongs to it, whatever it concerns.
const NEAR_MS: i64 = 2 * 60_000;
/// A verdict so much older than the incident says nothing of it.
const STALE_MS: i64 = 3_000;
/// Incidents that are open at a time; further alerts join the newest.
const OPEN_MAX: usize = 8;
/// Warnings that fire without an incident, and would belong to one that opens.
const WARNINGS_MAX: usize = 32;
/// Largest number of an incident within a day.
const NUMBER_MAX: u32 = 99_999;

/// When incidents begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IncidentSettings {
    /// The least severity that opens one.
    pub opens: Severity,
    /// It closes after being without an alert for so long, milliseconds.
    pub quiet_ms: i64,
}

impl Default for IncidentSettings {
    fn default() -> IncidentSettings {
        IncidentSettings {
            opens: Severity::Error,
            quiet_ms: 5 * 60_000,
        }
    }
}

/// What happened since the last look.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What was measured; the newest second last.
    pub record: &'a Record,
    /// Alerts that began, grew worse, or were resolved.
    pub changes: &'a [Alert],
    /// What the diagnosis says now, where it was asked.
    pub verdict: Option<&'a Verdict>,
    /// UTC, milliseconds since 1970.
    pub now_ms: i64,
}

/// What became of an incident; each with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentEvent {
    /// It began.
    Opened(String),
    /// An alert, a marker, a verdict or a note was added.
    Grew(String),
    /// Its alerts are resolved.
    Recovered(String),
    /// It came back.
    Reopened(String),
    /// It is over.
    Closed(String),
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentError {
    /// There is none with this id.
    Unknown,
    /// It has as many notes as it may have.
    Full,
    /// There is nothing in it.
    Empty,
    /// It is closed already.
    Closed,
}

impl std::fmt::Display for IncidentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            IncidentError::Unknown => "there is no incident with this id",
            IncidentError::Full => "the incident has as many notes as it may have",
            IncidentError::Empty => "a note needs some text",
            IncidentError::Closed => "the incident is closed already",
        })
    }
}

impl std::error::Error for IncidentError {}

/// All incidents that are remembered, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    settings: IncidentSettings,
    all: Vec<Incident>,
    warnings: Vec<Alert>,
    /// Keys of alerts that fired when the process ended, and may have ended unseen.
    carried: Vec<String>,
    resumed_ms: Option<i64>,
    marked_ms: i64,
}

impl Incidents {
    /// None yet.
    pub fn new(settings: IncidentSettings) -> Incidents {
        Incidents {
            settings,
            ..Incidents::default()
        }
    }

    /// Goes on with what an earlier process left, oldest first. Alerts of theirs
    /// that do not fire again within the quiet time are taken for resolved. Ids
    /// of this process that are taken already are changed.
    pub fn restore(&mut self, kept: Vec<Incident>, now_ms: i64) {
        for incident in kept.iter().filter(|i| i.is_live()) {
            let fires = incident.alerts.iter();
            let fires = fires.filter(|a| a.state == AlertState::Firing);
            self.carried.extend(fires.map(|a| a.key.clone()));
        }
        let ours = std::mem::replace(&mut self.all, kept);
        for mut incident in ours {
            if self.all.iter().any(|i| i.id == incident.id) {
                incident.id = self.next_id(incident.opened_ms);
            }
            self.all.push(incident);
        }
        let surplus = self.all.len().saturating_sub(INCIDENTS_MAX);
        self.all.drain(..surplus);
        self.resumed_ms = Some(now_ms);
    }

    /// Oldest first.
    pub fn all(&self) -> &[Incident] {
        &self.all
    }

    /// The one with this id; "last" is the newest.
    pub fn of_id(&self, id: &str) -> Option<&Incident> {
        match id {
            "last" => self.all.last(),
            id => self.all.iter().rev().find(|i| i.id == id),
        }
    }

    /// Other settings from now on.
    pub fn set(&mut self, settings: IncidentSettings) {
        self.settings = settings;
    }

    /// One look, once a second.
    pub fn look(&mut self, seen: &Seen<'_>) -> Vec<IncidentEvent> {
        let mut events = Vec::new();
        for change in seen.changes {
            self.alert(change, seen, &mut events);
        }
        self.forget_carried(seen.now_ms);
        let marked_from = self.marked_ms - LATE_MS;
        let newest = seen.record.markers.last();
        self.marked_ms = newest.map_or(self.marked_ms, |m| self.marked_ms.max(m.at_ms));
        for incident in self.all.iter_mut().filter(|i| i.is_live()) {
            let entries = incident.timeline.len();
            collect(incident, seen, marked_from);
            if let Some(verdict) = seen.verdict
                && incident.standing == Standing::Open
                && verdict.at_ms + STALE_MS >= incident.opened_ms
                && verdict.at_ms > incident.thought_ms
            {
                incident.thought_ms = verdict.at_ms;
                incident.think(verdict);
            }
            incident.impact.follow(seen.record, incident.onset_ms);
            if incident.timeline.len() != entries {
                events.push(IncidentEvent::Grew(incident.id.clone()));
            }
            settle(incident, &self.settings, seen.now_ms, &mut events);
        }
        events
    }

    /// A person notes something, and perhaps what is being looked into from now on.
    ///
    /// # Errors
    /// There is no such incident, it is full, or the note is empty.
    pub fn note(
        &mut self,
        id: &str,
        (actor, text): (&str, &str),
        path: Option<Cause>,
        now_ms: i64,
    ) -> Result<(), IncidentError> {
        let incident = self.find(id)?;
        let text = safe::line(text.trim(), NOTE_CHARS_MAX);
        if text.is_empty() && path.is_none() {
            return Err(IncidentError::Empty);
        }
        if incident.notes.len() >= NOTES_MAX {
            return Err(IncidentError::Full);
        }
        let actor = safe::name(actor);
        let said = match path {
            Some(path) if text.is_empty() => format!("looks into: {}", path.title()),
            Some(path) => format!("looks into: {} — {text}", path.title()),
            None => text.clone(),
        };
        incident.enter(Entry {
            actor: actor.clone(),
            ..Entry::new(now_ms, EntryKind::Note, &said)
        });
        incident.notes.push(Note {
            at_ms: now_ms,
            actor,
            text,
            path,
        });
        Ok(())
    }

    /// A person closes it. An alert that still fires may open it again.
    ///
    /// # Errors
    /// There is no such incident, or it is closed already.
    pub fn close(
        &mut self,
        id: &str,
        actor: &str,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), IncidentError> {
        let incident = self.find(id)?;
        if !incident.is_live() {
            return Err(IncidentError::Closed);
        }
        let by = (safe::name(actor), safe::line(reason.trim(), NOTE_CHARS_MAX));
        let text = match by.1.is_empty() {
            true => "closed".to_owned(),
            false => format!("closed: {}", by.1),
        };
        incident.enter(Entry {
            actor: by.0.clone(),
            ..Entry::new(now_ms, EntryKind::Incident, &text)
        });
        if incident.ended.is_none() {
            incident.ended = Some(Ended::of(incident, now_ms));
        }
        incident.closed_by = by;
        incident.closed_ms = Some(now_ms);
        incident.standing = Standing::Closed;
        Ok(())
    }

    fn find(&mut self, id: &str) -> Result<&mut Incident, IncidentError> {
        let found = match id {
            "last" => self.all.last_mut(),
            id => self.all.iter_mut().rev().find(|i| i.id == id),
        };
        found.ok_or(IncidentError::Unknown)
    }

    fn alert(&mut self, alert: &Alert, seen: &Seen<'_>, events: &mut Vec<IncidentEvent>) {
        self.carried.retain(|key| *key != alert.key);
        if alert.state == AlertState::Pending {
            return;
        }
        let quiet_ms = self.settings.quiet_ms;
        let recent =
            |i: &Incident| i.is_live() || i.closed_ms.is_some_and(|at| seen.now_ms - at < quiet_ms);
        let has = |i: &Incident| i.alerts.iter().any(|a| a.key == alert.key);
        let mut rows = self.all.iter();
        let known = rows.rposition(|i| recent(i) && has(i));
        let firing = alert.state == AlertState::Firing;
        let index = match known {
            Some(index) => index,
            None if !firing => {
                self.warnings.retain(|a| a.key != alert.key);
                return;
            }
            None => match self.related(alert) {
                Some(index) => index,
                None if alert.severity >= self.settings.opens => self.open(alert, seen, events),
                None => {
                    self.warnings.retain(|a| a.key != alert.key);
                    if self.warnings.len() < WARNINGS_MAX {
                        self.warnings.push(alert.clone());
                    }
                    return;
                }
            },
        };
        let Some(incident) = self.all.get_mut(index) else {
            return;
        };
        if firing && !incident.is_live() && alert.severity < self.settings.opens {
            return;
        }
        join(incident, alert, seen.now_ms, events);
    }

    /// The newest live incident that an alert belongs to.
    fn related(&self, alert: &Alert) -> Option<usize> {
        let live = || self.all.iter().enumerate().filter(|(_, i)| i.is_live());
        let near = |i: &Incident| {
            let news = i.alerts.iter().map(|a| a.fired_ms.unwrap_or(a.since_ms));
            let last = news.max().unwrap_or(i.opened_ms);
            (alert.since_ms - last).abs() <= NEAR_MS
        };
        let fits =
            |i: &Incident| i.alerts.iter().any(|a| touch(&a.subject, &alert.subject)) || near(i);
        let found = live().rfind(|(_, i)| fits(i));
        let full = live().count() >= OPEN_MAX && alert.severity >= self.settings.opens;
        let found = found.or_else(|| live().next_back().filter(|_| full));
        found.map(|(index, _)| index)
    }

    fn open(&mut self, alert: &Alert, seen: &Seen<'_>, events: &mut Vec<IncidentEvent>) -> usize {
        let now_ms = seen.now_ms;
        if self.all.len() >= INCIDENTS_MAX {
            let closed = self.all.iter().position(|i| !i.is_live());
            self.all.remove(closed.unwrap_or(0));
        }
        let mut incident = Incident {
            id: self.next_id(now_ms),
            title: safe::line(&alert.summary, safe::LINE_CHARS_MAX),
            onset_ms: Impact::hurt_since(seen.record, alert.since_ms.min(now_ms)),
            opened_ms: now_ms,
            ..Incident::default()
        };
        let text = format!("opened by {}", alert.name.label());
        incident.enter(Entry {
            actor: "plimsoll".to_owned(),
            ..Entry::new(now_ms, EntryKind::Incident, &text)
        });
        events.push(IncidentEvent::Opened(incident.id.clone()));
        for warning in std::mem::take(&mut self.warnings) {
            match touch(&warning.subject, &alert.subject) {
                true => join(&mut incident, &warning, now_ms, &mut Vec::new()),
                false => self.warnings.push(warning),
            }
        }
        self.all.push(incident);
        self.all.len() - 1
    }

    /// The day, and the first number that no incident of that day had.
    fn next_id(&self, now_ms: i64) -> String {
        let day = utc::date(now_ms);
        let numbers = self.all.iter().filter_map(|i| {
            let number = i.id.strip_prefix(&day)?.strip_prefix('-')?;
            number.parse::<u32>().ok()
        });
        let next = numbers.max().unwrap_or(0).min(NUMBER_MAX) + 1;
        format!("{day}-{next}")
    }

    fn forget_carried(&mut self, now_ms: i64) {
        let over = self
            .resumed_ms
            .is_some_and(|at| now_ms - at >= self.settings.quiet_ms);
        if !over || self.carried.is_empty() {
            return;
        }
        let carried = std::mem::take(&mut self.carried);
        for incident in self.all.iter_mut().filter(|i| i.is_live()) {
            for alert in &mut incident.alerts {
                if alert.state == AlertState::Firing && carried.contains(&alert.key) {
                    alert.state = AlertState::Resolved;
                    alert.resolved_ms = self.resumed_ms;
                }
            }
            let text = "alerts of before the restart did not come back";
            incident.enter(Entry::new(now_ms, EntryKind::Incident, text));
        }
    }
}
