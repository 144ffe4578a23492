//! A drill played through with figures of our own.

use diagnose::{Cause, Figure, Finding, Rejection, State, Subject, Unit, Verdict};
use practice::drill::{
    Answer, Command, Deed, Drill, Effect, Ending, Felt, Now, Session, named, text,
};
use std::time::Duration;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn felt(failed_percent: f64, p95_ms: f64) -> Felt {
    Felt {
        per_s: 120.0,
        failed_percent,
        p95_ms,
        longest_ms: p95_ms * 2.0,
        waiting: 20,
        used: 12,
        limit: 12,
    }
}

fn verdict() -> Verdict {
    Verdict {
        state: State::Hurt,
        summary: "Connections are borrowed and not returned.".to_owned(),
        symptoms: vec![Figure::new("waiting", 20.0, Unit::Count).of("shop/app")],
        findings: vec![Finding {
            cause: Cause::Leak,
            sure: 90,
            subject: Subject::default(),
            text: "checkout/2.4.1 holds 9 connections, all silent".to_owned(),
            figures: vec![Figure::new("silent_leases", 9.0, Unit::Count).against("usual", 0.0)],
            change: None,
            next: Vec::new(),
        }],
        ruled_out: vec![Rejection {
            cause: Cause::Network,
            text: "a trivial query is as quick as ever: probe p50 200 µs (usual 190 µs)".to_owned(),
            figure: Figure::new("probe_p50", 200.0, Unit::Micros).against("usual", 190.0),
        }],
        ..Verdict::default()
    }
}

fn drill() -> &'static Drill {
    named("004").expect("it is there")
}

fn say(session: &mut Session, when: u64, line: &str, felt: &Felt, verdict: &Verdict) -> Answer {
    let command = Session::read(line).expect("understood").expect("a command");
    let now = Now {
        felt,
        complaints: &["checkout: 40 of 50 requests failed".to_owned()],
        verdict,
        addresses: "the page is there",
    };
    session.handle(at(when), &command, now)
}

fn words(answer: Answer) -> String {
    match answer {
        Answer::Say(text) | Answer::Reveal(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn from_the_pager_to_the_debrief() {
    let (usual, bad, verdict) = (felt(0.0, 20.0), felt(60.0, 3000.0), verdict());
    let mut session = Session::new(drill(), usual, false);
    assert!(session.pager().contains("503"));
    session.feel(at(1), &bad, Some(&verdict));
    let looked = words(say(&mut session, 2, "look", &bad, &verdict));
    assert!(looked.contains("checkout: 40 of 50"), "{looked}");
    assert!(!looked.contains("leak"), "a look gives no answer: {looked}");

    let wrong = words(say(&mut session, 5, "suspect network", &bad, &verdict));
    assert!(wrong.contains("probe p50 200 µs (usual 190 µs)"), "{wrong}");
    let near = words(say(
        &mut session,
        6,
        "suspect limit-too-small",
        &bad,
        &verdict,
    ));
    assert!(near.starts_with("Nearly."), "{near}");
    words(say(&mut session, 7, "hint", &bad, &verdict));

    let deed = Deed::RestartDatabase;
    assert_eq!(
        say(&mut session, 8, "do restart-database", &bad, &verdict),
        Answer::Do(deed.clone())
    );
    let told = session.did(
        at(12),
        &deed,
        Ok("PostgreSQL was restarted.".to_owned()),
        (bad, bad),
    );
    assert!(told.contains(Effect::Nothing.words()), "{told}");

    let right = words(say(&mut session, 20, "suspect leak", &bad, &verdict));
    assert!(right.contains("silent leases 9 (usual 0)"), "{right}");
    assert_eq!(session.over(at(20)), None, "it still hurts");

    let deed = Deed::RollBackRelease("checkout".to_owned());
    session.did(at(26), &deed, Ok("2.4.0 again".to_owned()), (bad, usual));
    assert_eq!(session.feel(at(26), &usual, None), None);
    assert!(session.feel(at(30), &usual, None).is_some());
    assert_eq!(session.over(at(30)), Some(Ending::Solved));

    let debrief = session.debrief(at(30), Ending::Solved);
    assert_eq!(debrief.first_right_s, Some(20.0));
    assert_eq!(debrief.well_s, Some(26.0));
    assert_eq!((debrief.wrong_hypotheses, debrief.wrong_actions), (1, 1));
    assert_eq!(debrief.diagnosis_right_s, Some(1.0));
    let taken = |what: &str| debrief.misleading.iter().any(|p| p.what == what && p.taken);
    assert!(taken("the network") && taken("a restart of the database"));
    assert!(!taken("clearing caches"));
    let told = text(&debrief);
    for part in [
        "solved",
        "suspected network, wrong: a trivial query",
        "did restart-database: it changed nothing",
        "the network (you went there)",
        "silent leases 9",
        "02:25  the network is diagnosed",
        "the cause after 90 min",
        "plimsoll playbook leak",
    ] {
        assert!(told.contains(part), "no `{part}` in:\n{told}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&serde_json::to_string(&debrief).expect("JSON")).expect("JSON");
    assert_eq!(json["ending"], "solved");
    assert_eq!(json["actions"][1]["effect"], "mended");
    assert_eq!(json["hypotheses"][0]["verdict"], "wrong");
}

#[test]
fn luck_is_not_enough() {
    let (usual, bad, verdict) = (felt(0.0, 20.0), felt(60.0, 3000.0), verdict());
    let mut session = Session::new(drill(), usual, false);
    session.feel(at(1), &bad, Some(&verdict));
    session.feel(at(5), &usual, None);
    let said = session.feel(at(10), &usual, None).expect("news");
    assert!(said.contains("What was it?"), "{said}");
    assert_eq!(session.over(at(10)), None);
    // Named afterwards, the figures of the trouble count.
    let calm = Verdict::default();
    let right = words(say(&mut session, 12, "suspect leak", &usual, &calm));
    assert!(right.contains("silent leases 9"), "{right}");
    assert_eq!(session.over(at(12)), Some(Ending::Solved));
}

#[test]
fn the_last_hint_is_the_diagnosis() {
    let (usual, bad, verdict) = (felt(0.0, 20.0), felt(60.0, 3000.0), verdict());
    let mut session = Session::new(drill(), usual, false);
    for _ in drill().hints {
        assert!(matches!(
            say(&mut session, 1, "hint", &bad, &verdict),
            Answer::Say(_)
        ));
    }
    match say(&mut session, 2, "hint", &bad, &verdict) {
        Answer::Reveal(text) => assert!(text.contains("checkout/2.4.1 holds 9"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_line_has_an_answer() {
    let (usual, verdict) = (felt(0.0, 20.0), verdict());
    let mut session = Session::new(drill(), usual, true);
    for line in ["look", "status", "page", "help", "causes", "suspect locks"] {
        assert!(
            !words(say(&mut session, 1, line, &usual, &verdict)).is_empty(),
            "{line}"
        );
    }
    assert_eq!(
        say(&mut session, 1, "wait 3s", &usual, &verdict),
        Answer::Wait(Some(at(3)))
    );
    assert_eq!(Session::read("give up"), Ok(Some(Command::GiveUp)));
}
