//! Which alerts this instance tells people of.

use super::*;
use ::fleet::AlertSays;
use diagnose::alert::{Alert, AlertName, AlertState, Severity};

const POOL: &str = "PlimsollPoolExhausted/app";

fn alert(state: AlertState) -> Alert {
    Alert {
        name: AlertName::PoolExhausted,
        key: POOL.to_owned(),
        subject: diagnose::Subject::default(),
        state,
        severity: Severity::Critical,
        since_ms: 0,
        fired_ms: Some(0),
        resolved_ms: None,
        summary: "it is full".to_owned(),
        figures: Vec::new(),
        cause: None,
        forecast: None,
        next: Vec::new(),
        runbook: String::new(),
        owner: None,
    }
}

/// One that is not started: what it hears is put into its book.
fn channel() -> Fleet {
    let plan = plan(free(), &[], KEY, "shop");
    Fleet::of(&plan, "b:1").expect("it listens")
}

fn hears(fleet: &Fleet, told: bool) {
    let said = Statement {
        alerts: vec![AlertSays {
            key: POOL.to_owned(),
            told,
            ..AlertSays::default()
        }],
        ..said("a:1")
    };
    let now = fleet.now();
    let heard = fleet.state().book.heard(now, clock_ms(), said, None);
    heard.expect("it is true");
}

#[test]
fn alone_it_tells_the_beginning_what_grows_worse_and_the_end() {
    let fleet = channel();
    let mut deciding = fleet.deciding();
    let (fires, over) = (alert(AlertState::Firing), alert(AlertState::Resolved));
    let all = std::slice::from_ref(&fires);
    let told = deciding.second(all, all, false).tell;
    assert_eq!(told, all);
    assert!(fleet.state().duties.tells(POOL));
    assert!(deciding.second(all, &[], false).tell.is_empty());
    let worse = [Alert {
        summary: "it is fuller".to_owned(),
        ..fires.clone()
    }];
    assert_eq!(deciding.second(&worse, &worse, false).tell, worse);
    let end = deciding.second(&[], std::slice::from_ref(&over), false);
    assert_eq!(end.tell, [over]);
    assert!(deciding.second(&[], &[], false).tell.is_empty());
}

#[test]
fn what_another_one_tells_is_not_told_here() {
    let fleet = channel();
    let mut deciding = fleet.deciding();
    hears(&fleet, true);
    let (fires, over) = (alert(AlertState::Firing), alert(AlertState::Resolved));
    let all = std::slice::from_ref(&fires);
    let first = deciding.second(all, all, false);
    assert!(first.tell.is_empty() && first.forget == [POOL]);
    let next = deciding.second(all, &[], false);
    assert!(next.tell.is_empty() && next.forget.is_empty());
    // It goes on there.
    let end = deciding.second(&[], &[over], false);
    assert!(end.tell.is_empty() && end.adopt.is_empty());
}

#[test]
fn who_has_nobody_to_tell_leaves_it_to_others() {
    let fleet = channel();
    let mut deciding = fleet.deciding();
    let fires = [alert(AlertState::Firing)];
    assert!(deciding.second(&fires, &fires, true).tell.is_empty());
    assert!(!fleet.state().duties.tells(POOL));
    // It has it and does not tell yet: this one waits for it a moment.
    hears(&fleet, false);
    assert!(deciding.second(&fires, &fires, false).tell.is_empty());
}
