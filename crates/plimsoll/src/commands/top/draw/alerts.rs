//! Alerts and incidents as rows.

use super::super::model::Model;
use super::super::paper::{Grid, Paper, Piece, Tone, figure, piece, text as words};
use super::super::rows;
use super::super::text;
use super::tables::{plain, titled};
use diagnose::alert::{AlertState, Severity};

/// How bad something is.
pub fn severity_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical | Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Plain,
    }
}

/// Alerts, then incidents: one list to walk through.
pub fn write(model: &Model, paper: &mut Paper<'_>, top: usize, height: usize) {
    let keys = rows::keys(model);
    let chosen = model.chosen(&keys);
    let alerts = alert_grid(model);
    let of_alerts = alerts.rows.len();
    let mut incidents = incident_grid(model);
    let room = height.saturating_sub(1);
    let wanted = (of_alerts.max(1) + 1).min(room);
    let least = (incidents.rows.len().max(1) + 1).min(room / 2);
    let height_of_alerts = wanted.min(room - least);
    let mut first = alerts;
    first.chosen = chosen.filter(|at| *at < of_alerts);
    incidents.chosen = chosen.and_then(|at| at.checked_sub(of_alerts));
    first.write(paper, top, height_of_alerts);
    if of_alerts == 0 && height_of_alerts > 1 {
        paper.put(2, top + 1, paper.width(), "no alert", Tone::Dim);
    }
    let y = top + height_of_alerts + 1;
    let left = (top + height).saturating_sub(y);
    incidents.write(paper, y, left);
    if incidents.rows.is_empty() && left > 1 {
        let words = match model.known().lacks.is_empty() {
            true => "no incident".to_owned(),
            false => text::prose(&model.known().lacks),
        };
        paper.put(2, y + 1, paper.width(), &words, Tone::Dim);
    }
}

fn alert_grid(model: &Model) -> Grid {
    let known = model.known();
    let at_ms = known.live.as_ref().map_or(model.now_ms, |live| live.at_ms);
    let mut rows: Vec<Vec<Piece>> = Vec::new();
    for alert in &known.alerts {
        if !rows::wanted(model, &[alert.name.label(), &alert.summary]) {
            continue;
        }
        let state = match alert.state {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        };
        let tone = severity_tone(alert.severity);
        rows.push(vec![
            piece(alert.severity.label(), tone),
            plain(state),
            plain(text::between(alert.since_ms, at_ms)),
            piece(alert.name.label(), tone),
            plain(text::prose(&alert.summary)),
        ]);
    }
    // A moment of the past has the alerts of its second only.
    if known.alerts.is_empty() {
        for alert in known.live.iter().flat_map(|live| &live.alerts) {
            rows.push(vec![
                plain(text::name(&alert.severity)),
                plain(text::name(&alert.state)),
                plain(text::between(alert.since_ms, at_ms)),
                plain(text::name(&alert.name)),
                plain(text::prose(&alert.summary)),
            ]);
        }
    }
    Grid {
        title: titled("ALERTS", rows.len(), 0),
        columns: vec![
            words("severity", 9, 0),
            words("state", 8, 1),
            figure("for", 7, 1),
            words("alert", 20, 0),
            words("what", 20, 2),
        ],
        rows,
        chosen: None,
    }
}

fn incident_grid(model: &Model) -> Grid {
    let known = model.known();
    let incidents = known.incidents.iter();
    let incidents = incidents.filter(|i| rows::wanted(model, &[&i.id, &i.title]));
    let rows: Vec<Vec<Piece>> = incidents
        .map(|incident| {
            let cause = incident
                .cause
                .map_or("cause unknown", |cause| cause.title());
            vec![
                plain(text::name(&incident.id)),
                plain(incident.standing.label()),
                piece(incident.severity.label(), severity_tone(incident.severity)),
                piece(diagnose::utc::moment(incident.onset_ms), Tone::Dim),
                plain(text::seconds(incident.duration_ms.max(0) as f64 / 1e3)),
                plain(text::prose(&incident.title)),
                piece(cause, Tone::Dim),
                piece(incident.notes.to_string(), Tone::Dim),
            ]
        })
        .collect();
    Grid {
        title: titled("INCIDENTS", rows.len(), 0),
        columns: vec![
            words("incident", 13, 0),
            words("standing", 8, 1),
            words("severity", 8, 2),
            words("began", 20, 3),
            figure("took", 7, 1),
            words("what", 15, 0),
            words("cause", 12, 4),
            figure("notes", 5, 5),
        ],
        rows,
        chosen: None,
    }
}
