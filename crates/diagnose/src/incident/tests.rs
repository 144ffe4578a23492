//! Stories of incidents: what opens, joins, closes and reopens them.

use super::*;
use crate::{Finding, Unit};
use events::sample::{Gauge, Name, PoolSample, Record, Sample, Times};

const MINUTE: i64 = 60_000;

fn alert(name: AlertName, key: &str, state: AlertState, at_ms: i64) -> Alert {
    Alert {
        state,
        resolved_ms: (state == AlertState::Resolved).then_some(at_ms),
        subject: Subject {
            database: key.to_owned(),
            ..Subject::default()
        },
        ..Alert::firing(name, &format!("{}/{key}", name.label()), at_ms)
    }
}

fn marker(at_ms: i64, kind: MarkerKind, text: &str) -> Marker {
    Marker {
        at_ms,
        kind,
        subject: Name::from(""),
        text: text.to_owned(),
        actor: Name::from("anna"),
    }
}

/// Looks once, with these changes.
fn look(incidents: &mut Incidents, record: &Record, changes: &[Alert], now_ms: i64) -> usize {
    let seen = Seen {
        record,
        changes,
        verdict: None,
        now_ms,
    };
    incidents.look(&seen).len()
}

#[test]
fn one_opens_joins_recovers_comes_back_and_closes() {
    let record = Record::default();
    let mut incidents = Incidents::default();
    let exhausted = |state, at| alert(AlertName::PoolExhausted, "shop", state, at);
    look(
        &mut incidents,
        &record,
        &[exhausted(AlertState::Firing, MINUTE)],
        MINUTE,
    );
    let small = alert(
        AlertName::PoolTooSmall,
        "shop",
        AlertState::Firing,
        30 * MINUTE,
    );
    look(&mut incidents, &record, &[small], 30 * MINUTE);
    assert_eq!(incidents.all().len(), 1);
    assert_eq!(incidents.all()[0].alerts.len(), 2);
    let small = alert(
        AlertName::PoolTooSmall,
        "shop",
        AlertState::Resolved,
        31 * MINUTE,
    );
    let over = exhausted(AlertState::Resolved, 32 * MINUTE);
    look(&mut incidents, &record, &[small, over], 32 * MINUTE);
    assert_eq!(incidents.all()[0].standing, Standing::Recovering);
    look(
        &mut incidents,
        &record,
        &[exhausted(AlertState::Firing, 34 * MINUTE)],
        34 * MINUTE,
    );
    let incident = &incidents.all()[0];
    assert_eq!((incident.standing, incident.reopened), (Standing::Open, 1));
    let over = exhausted(AlertState::Resolved, 35 * MINUTE);
    look(&mut incidents, &record, &[over], 35 * MINUTE);
    look(&mut incidents, &record, &[], 39 * MINUTE);
    assert!(incidents.all()[0].is_live());
    look(&mut incidents, &record, &[], 40 * MINUTE);
    assert_eq!(incidents.all()[0].standing, Standing::Closed);
    // Much later it is another one.
    look(
        &mut incidents,
        &record,
        &[exhausted(AlertState::Firing, 60 * MINUTE)],
        60 * MINUTE,
    );
    let ids: Vec<&str> = incidents.all().iter().map(|i| i.id.as_str()).collect();
    assert_eq!(ids, ["1970-01-01-1", "1970-01-01-2"]);
}

#[test]
fn a_warning_opens_nothing_and_joins_what_opens_later() {
    let record = Record::default();
    let mut incidents = Incidents::default();
    let warning = alert(AlertName::PoolTooSmall, "shop", AlertState::Firing, MINUTE);
    look(&mut incidents, &record, &[warning], MINUTE);
    assert!(incidents.all().is_empty());
    let other = alert(AlertName::Leak, "stock", AlertState::Firing, 20 * MINUTE);
    look(&mut incidents, &record, &[other], 20 * MINUTE);
    assert_eq!(incidents.all()[0].alerts.len(), 1);
    let ours = alert(
        AlertName::PoolExhausted,
        "shop",
        AlertState::Firing,
        40 * MINUTE,
    );
    look(&mut incidents, &record, &[ours], 40 * MINUTE);
    assert_eq!(incidents.all().len(), 2);
    assert_eq!(incidents.all()[1].alerts.len(), 2);
    assert_eq!(incidents.all()[1].severity, Severity::Critical);
}

#[test]
fn changes_of_the_minutes_before_are_part_of_the_story_once() {
    let mut record = Record::default();
    record
        .markers
        .push(marker(MINUTE, MarkerKind::Settings, "long before"));
    record
        .markers
        .push(marker(70 * MINUTE, MarkerKind::Release, "2.4.1"));
    let mut incidents = Incidents::default();
    let fires = alert(
        AlertName::PoolExhausted,
        "shop",
        AlertState::Firing,
        80 * MINUTE,
    );
    look(&mut incidents, &record, &[fires], 80 * MINUTE);
    record
        .markers
        .push(marker(81 * MINUTE, MarkerKind::Action, "KILL shop"));
    for second in 0..30 {
        look(&mut incidents, &record, &[], 81 * MINUTE + second * 1_000);
    }
    let told: Vec<&str> = incidents.all()[0]
        .timeline
        .iter()
        .filter(|e| e.kind.is_change())
        .map(|e| e.text.as_str())
        .collect();
    assert_eq!(told, ["2.4.1", "KILL shop"]);
}

fn verdict(at_ms: i64, cause: Cause, ruled_out: &[Cause]) -> Verdict {
    Verdict {
        at_ms,
        state: State::Hurt,
        findings: vec![Finding {
            cause,
            sure: 80,
            subject: Subject::default(),
            text: format!("it is {}", cause.title()),
            figures: vec![Figure::new("used", 5.0, Unit::Count)],
            change: None,
            next: Vec::new(),
        }],
        ruled_out: ruled_out
            .iter()
            .map(|cause| Rejection {
                cause: *cause,
                text: "measured".to_owned(),
                figure: Figure::new("rtt", 300.0, Unit::Micros),
            })
            .collect(),
        ..Verdict::default()
    }
}

#[test]
fn the_answer_is_the_last_one_that_stood() {
    let record = Record::default();
    let mut incidents = Incidents::default();
    let think = |incidents: &mut Incidents, changes: &[Alert], verdict: &Verdict| {
        incidents.look(&Seen {
            record: &record,
            changes,
            verdict: Some(verdict),
            now_ms: verdict.at_ms,
        });
    };
    let fires = alert(AlertName::PoolExhausted, "shop", AlertState::Firing, MINUTE);
    think(
        &mut incidents,
        &[fires],
        &verdict(MINUTE, Cause::Network, &[]),
    );
    think(
        &mut incidents,
        &[],
        &verdict(2 * MINUTE, Cause::Leak, &[Cause::Network]),
    );
    // One second before it is over, something else for a moment.
    think(
        &mut incidents,
        &[],
        &verdict(10 * MINUTE - 1_000, Cause::Growth, &[Cause::Network]),
    );
    let over = alert(
        AlertName::PoolExhausted,
        "shop",
        AlertState::Resolved,
        10 * MINUTE,
    );
    look(&mut incidents, &record, &[over], 10 * MINUTE);
    let incident = &incidents.all()[0];
    assert_eq!(incident.cause().map(|h| h.cause), Some(Cause::Leak));
    let network = incident
        .hypotheses
        .iter()
        .find(|h| h.cause == Cause::Network);
    let rejected = network.and_then(|h| h.rejected.as_ref());
    assert_eq!(rejected.map(|(at, _)| *at), Some(2 * MINUTE));
}

#[test]
fn a_restart_goes_on_with_what_was_kept() {
    let record = Record::default();
    let mut incidents = Incidents::default();
    let fires = alert(AlertName::PoolExhausted, "shop", AlertState::Firing, MINUTE);
    let other = alert(AlertName::Leak, "shop", AlertState::Firing, MINUTE);
    let other = Alert {
        key: "leak".to_owned(),
        ..other
    };
    look(&mut incidents, &record, &[fires.clone(), other], MINUTE);
    let kept = incidents.all().to_vec();
    let mut incidents = Incidents::default();
    incidents.restore(kept, 3 * MINUTE);
    look(&mut incidents, &record, &[fires], 4 * MINUTE);
    look(&mut incidents, &record, &[], 8 * MINUTE);
    let states: Vec<AlertState> = incidents.all()[0].alerts.iter().map(|a| a.state).collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Resolved]);
    assert_eq!(incidents.all()[0].standing, Standing::Open);
    assert_eq!(incidents.all().len(), 1);
}

#[test]
fn closed_by_hand_it_stays_so_unless_the_alert_fires_anew() {
    let record = Record::default();
    let mut incidents = Incidents::default();
    let fires = alert(AlertName::PoolExhausted, "shop", AlertState::Firing, MINUTE);
    look(
        &mut incidents,
        &record,
        std::slice::from_ref(&fires),
        MINUTE,
    );
    incidents
        .close("1970-01-01-1", "anna", "a drill", 2 * MINUTE)
        .expect("closed");
    assert_eq!(
        incidents.close("last", "anna", "", 2 * MINUTE),
        Err(IncidentError::Closed)
    );
    let over = alert(
        AlertName::PoolExhausted,
        "shop",
        AlertState::Resolved,
        3 * MINUTE,
    );
    look(&mut incidents, &record, &[over], 3 * MINUTE);
    assert_eq!(incidents.all()[0].standing, Standing::Closed);
    look(&mut incidents, &record, &[fires], 4 * MINUTE);
    assert_eq!(incidents.all()[0].standing, Standing::Open);
    assert_eq!(incidents.all().len(), 1);
}

#[test]
fn notes_are_cleaned_and_bounded() {
    let record = Record::default();
    let mut incidents = Incidents::default();
    let fires = alert(AlertName::PoolExhausted, "shop", AlertState::Firing, MINUTE);
    look(&mut incidents, &record, &[fires], MINUTE);
    let unknown = incidents.note("1999-01-01-1", ("anna", "x"), None, 0);
    assert_eq!(unknown, Err(IncidentError::Unknown));
    assert_eq!(
        incidents.note("last", ("anna", "  "), None, 0),
        Err(IncidentError::Empty)
    );
    let said = ("anna\x1b]0;x\x07", "is it\nthe network?");
    for _ in 0..NOTES_MAX {
        incidents
            .note("last", said, Some(Cause::Network), 2 * MINUTE)
            .expect("noted");
    }
    assert_eq!(
        incidents.note("last", said, None, 2 * MINUTE),
        Err(IncidentError::Full)
    );
    let note = &incidents.all()[0].notes[0];
    assert_eq!(
        (note.actor.as_str(), note.text.as_str()),
        ("anna?]0;x?", "is it the network?")
    );
}

#[test]
fn everything_is_bounded() {
    let mut record = Record::default();
    let mut incidents = Incidents::default();
    for n in 0..2_000_i64 {
        let at = n * 1_000;
        record
            .markers
            .push(marker(at, MarkerKind::Release, &n.to_string()));
        record.seconds.push_back(Sample {
            at_ms: at,
            span_ms: 1_000,
            pools: (0..100)
                .map(|p| PoolSample {
                    database: Name::from(p.to_string()),
                    waiting: Gauge::of(3),
                    wait: Times::default(),
                    ..PoolSample::default()
                })
                .collect(),
            ..Sample::default()
        });
        if record.seconds.len() > 10 {
            record.seconds.pop_front();
        }
        let key = format!("db{n}");
        let fires = alert(AlertName::PoolExhausted, &key, AlertState::Firing, at);
        look(&mut incidents, &record, &[fires], at);
    }
    assert!(incidents.all().len() <= INCIDENTS_MAX);
    for incident in incidents.all() {
        assert!(incident.timeline.len() <= TIMELINE_MAX);
        assert!(incident.alerts.len() <= ALERTS_MAX);
        assert!(incident.impact.pools.len() <= 32);
    }
}
