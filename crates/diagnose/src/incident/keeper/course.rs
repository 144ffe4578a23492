//! The course of one incident: what joins it, and where it stands.

use super::super::{ALERTS_MAX, Ended, Entry, EntryKind, Incident, Standing};
use super::{IncidentEvent, IncidentSettings, LATE_MS, Seen};
use crate::alert::{Alert, AlertState};
use crate::{Subject, safe};
use events::sample::MarkerKind;

/// Changes so long before the onset are part of the story.
const BEFORE_MS: i64 = 30 * 60_000;

/// An alert as it stands now becomes part of an incident.
pub(super) fn join(
    incident: &mut Incident,
    alert: &Alert,
    now_ms: i64,
    events: &mut Vec<IncidentEvent>,
) {
    let before = incident.alerts.iter().position(|a| a.key == alert.key);
    let was = before
        .and_then(|at| incident.alerts.get(at))
        .map(|a| a.state);
    let room = incident.alerts.len() < ALERTS_MAX;
    match before.and_then(|at| incident.alerts.get_mut(at)) {
        Some(row) => {
            // When it first fired tells how soon it was noticed.
            let first = row.fired_ms.into_iter().chain(alert.fired_ms).min();
            *row = alert.clone();
            row.fired_ms = first;
        }
        None if room => incident.alerts.push(alert.clone()),
        None => incident.timeline_dropped = incident.timeline_dropped.saturating_add(1),
    }
    incident.severity = incident.severity.max(alert.severity);
    if incident.standing == Standing::Open && alert.state == AlertState::Firing {
        incident.onset_ms = incident.onset_ms.min(alert.since_ms);
    }
    let word = match (alert.state, was) {
        (AlertState::Resolved, _) => "resolved",
        (_, Some(AlertState::Firing)) => "worse",
        (_, Some(_)) => "firing again",
        (_, None) => "firing",
    };
    let at_ms = match alert.state {
        AlertState::Resolved => alert.resolved_ms,
        _ if was == Some(AlertState::Firing) => Some(now_ms),
        _ => alert.fired_ms,
    };
    let text = match alert.state {
        AlertState::Resolved => format!("{} {word}", alert.name.label()),
        _ => format!("{} {word}: {}", alert.name.label(), alert.summary),
    };
    incident.enter(Entry {
        subject: name_of(&alert.subject),
        ..Entry::new(at_ms.unwrap_or(now_ms), EntryKind::Alert, &text)
    });
    events.push(IncidentEvent::Grew(incident.id.clone()));
    if alert.state == AlertState::Firing && incident.standing != Standing::Open {
        incident.standing = Standing::Open;
        incident.reopened = incident.reopened.saturating_add(1);
        incident.closed_ms = None;
        incident.recovered_ms = None;
        incident.closed_by = Default::default();
        incident.ended = None;
        incident.enter(Entry::new(now_ms, EntryKind::Incident, "it is back"));
        events.push(IncidentEvent::Reopened(incident.id.clone()));
    }
}

/// Open, recovering or closed.
pub(super) fn settle(
    incident: &mut Incident,
    settings: &IncidentSettings,
    now_ms: i64,
    events: &mut Vec<IncidentEvent>,
) {
    let fires = |a: &Alert| a.state == AlertState::Firing;
    match incident.standing {
        Standing::Open if !incident.alerts.iter().any(fires) => {
            let resolved = incident.alerts.iter().filter_map(|a| a.resolved_ms).max();
            incident.recovered_ms = Some(resolved.unwrap_or(now_ms));
            incident.standing = Standing::Recovering;
            let text = "all alerts are resolved";
            incident.enter(Entry::new(now_ms, EntryKind::Incident, text));
            events.push(IncidentEvent::Recovered(incident.id.clone()));
        }
        Standing::Recovering => {
            let since = incident.recovered_ms.unwrap_or(now_ms);
            // What is marked a moment later may be what ended it.
            incident.ended = Some(Ended::of(incident, since));
            if now_ms - since >= settings.quiet_ms {
                incident.standing = Standing::Closed;
                incident.closed_ms = Some(now_ms);
                let minutes = settings.quiet_ms / 60_000;
                let text = format!("closed by itself: no alert for {minutes} minutes");
                incident.enter(Entry::new(now_ms, EntryKind::Incident, &text));
                events.push(IncidentEvent::Closed(incident.id.clone()));
            }
        }
        Standing::Open | Standing::Closed => {}
    }
}

/// Takes in what was marked: at first all since some minutes before the onset,
/// then what is new.
pub(super) fn collect(incident: &mut Incident, seen: &Seen<'_>, marked_from: i64) {
    let fresh = incident.opened_ms == seen.now_ms;
    let since = match fresh {
        true => incident.onset_ms - BEFORE_MS,
        false => marked_from.max(incident.onset_ms - BEFORE_MS),
    };
    let markers = seen.record.markers.iter().rev();
    let markers = markers
        .take_while(|m| m.at_ms >= since.saturating_sub(LATE_MS))
        .filter(|m| m.at_ms >= since && m.kind != MarkerKind::Alert);
    let entries: Vec<Entry> = markers.map(Entry::from).collect();
    for entry in entries.into_iter().rev() {
        incident.enter(entry);
    }
}

/// They may be about the same thing: nothing that both name differs, and
/// something that both name is the same, or one names nothing.
pub(super) fn touch(a: &Subject, b: &Subject) -> bool {
    let pairs = [
        (&a.database, &b.database),
        (&a.application, &b.application),
        (&a.server, &b.server),
        (&a.address, &b.address),
    ];
    let silent = |s: &Subject| {
        [&s.database, &s.application, &s.server, &s.address]
            .iter()
            .all(|n| n.is_empty())
    };
    let same = pairs.iter().any(|(a, b)| !a.is_empty() && a == b);
    same || silent(a) || silent(b)
}

fn name_of(subject: &Subject) -> String {
    let pool = match (subject.database.is_empty(), subject.user.is_empty()) {
        (false, false) => format!("{}/{}", subject.database, subject.user),
        _ => subject.database.clone(),
    };
    let names = [
        &subject.application,
        &pool,
        &subject.server,
        &subject.setting,
    ];
    let first = names.into_iter().find(|name| !name.is_empty());
    first.map(|name| safe::name(name)).unwrap_or_default()
}
