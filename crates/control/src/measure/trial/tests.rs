//! Verdicts, worst moments, and a history that is read beside who writes it.

use super::*;
use events::sample::{GuardSample, ServerSample};

fn sample(at_min: i64, guard: &str, would: u64, needless: u64) -> Sample {
    let label = |g: Guard| GuardSample {
        guard: g.label().into(),
        mode: "observe".into(),
        would: if g.label() == guard { would } else { 0 },
        needless: if g.label() == guard { needless } else { 0 },
        ..GuardSample::default()
    };
    let who = GuardedSample {
        guard: guard.into(),
        database: "shop".into(),
        user: "app".into(),
        application: "web".into(),
        why: "listen".into(),
        would,
        ..GuardedSample::default()
    };
    Sample {
        at_ms: at_min * 60_000,
        span_ms: 60_000,
        guards: Guard::ALL.into_iter().map(label).collect(),
        guarded: if would > 0 { vec![who] } else { Vec::new() },
        servers: vec![ServerSample {
            upstream: "db:5432".into(),
            line: LineSample {
                state: "known".into(),
                line: 9,
                used: 3,
                used_most: 9,
                held_ms: 500 * would as u32,
                ..LineSample::default()
            },
            ..ServerSample::default()
        }],
        ..Sample::default()
    }
}

fn of(samples: &[Sample]) -> Trial {
    let mut fold = Fold::new(0, i64::MAX);
    samples.iter().for_each(|s| fold.add(s));
    fold.finish()
}

fn guard(trial: &Trial, guard: Guard) -> &GuardTrial {
    let found = trial.guards.iter().find(|g| g.guard == guard.label());
    found.expect("every guard has a row")
}

#[test]
fn each_guard_has_its_verdict() {
    let day = |guard: &str, would, needless| {
        let mut all: Vec<Sample> = (0..24 * 60).map(|n| sample(n, guard, 0, 0)).collect();
        all.push(sample(2_000, guard, would, needless));
        of(&all)
    };
    for (of, would, needless, verdict, said) in [
        (Guard::Reclaim, 0, 0, "safe", "nothing"),
        (Guard::Reclaim, 3, 0, "mend first", "web (shop as app)"),
        (Guard::Shed, 100, 3, "safe", "plimsoll size"),
        (Guard::Shed, 100, 30, "mend first", "leave it watching"),
        (Guard::AutoSize, 2, 0, "look", "SHOW ADVICE"),
        (Guard::AutoRevert, 2, 0, "safe", "taken back"),
        (Guard::Drift, 2, 0, "look", "somebody else"),
        (Guard::Pin, 7, 0, "mend first", "pin_share_percent"),
    ] {
        let trial = day(of.label(), would, needless);
        let row = guard(&trial, of);
        assert_eq!(row.verdict, verdict, "{of:?}");
        assert!(row.advice.contains(said), "{}", row.advice);
        let others = trial.guards.iter().filter(|g| g.guard != of.label());
        assert!(others.clone().all(|g| g.verdict == "safe"), "{trial:?}");
    }
}

#[test]
fn the_worst_moment_and_whom_it_met_are_named() {
    let trial = of(&[
        sample(1, "pin", 2, 0),
        sample(2, "pin", 5, 0),
        sample(3, "pin", 1, 0),
    ]);
    let row = guard(&trial, Guard::Pin);
    assert_eq!((row.would, row.who.len(), row.who[0].would), (8, 1, 8));
    let worst = Worst {
        at_ms: 120_000,
        span_ms: 60_000,
        times: 5,
    };
    assert_eq!(row.worst, Some(worst));
    let server = &trial.servers[0];
    assert_eq!(
        (server.line, server.used_most, server.held_ms),
        (9, 9, 4_000)
    );
    assert_eq!(server.worst.map(|w| w.at_ms), Some(120_000));
    assert_eq!(trial.seen_ms, 180_000);
    // Of the others little was seen.
    assert_eq!(guard(&trial, Guard::Shed).verdict, "too early");
}

#[test]
fn what_acts_and_what_is_off_says_so() {
    let mut one = sample(1, "pin", 0, 0);
    for (row, mode) in one.guards.iter_mut().zip(["enforce", "off"]) {
        row.mode = mode.into();
        row.done = 4;
    }
    let trial = of(&[one]);
    assert_eq!(
        (trial.guards[0].verdict, trial.guards[1].verdict),
        ("acts", "off")
    );
    assert!(trial.guards[0].advice.contains("4 times"));
    // Minutes of a version that counted nothing of this.
    let old = of(&[Sample {
        span_ms: 60_000,
        ..Sample::default()
    }]);
    assert!(old.guards.iter().all(|g| g.verdict == "too early"));
}

#[test]
fn it_is_read_beside_who_writes_and_after_a_restart() {
    let dir = std::env::temp_dir().join(format!("plimsoll-trial-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    assert!(trial(&dir, 0, i64::MAX).is_err(), "no history");
    let days = Duration::from_secs(86_400 * 14);
    for n in 0..3 {
        // Each time another process.
        let store = super::super::MeasureStore::open(&dir, days).expect("opened");
        store.write(&sample(n, "pin", 2, 0)).expect("written");
        store
            .mark(&events::sample::Marker {
                at_ms: n * 60_000,
                kind: events::sample::MarkerKind::Started,
                subject: "".into(),
                text: "started".into(),
                actor: "plimsoll".into(),
            })
            .expect("marked");
        let found = trial(&dir, 0, i64::MAX).expect("read beside");
        assert_eq!(
            (found.starts, guard(&found, Guard::Pin).would),
            (n as u64 + 1, 2 * (n as u64 + 1))
        );
    }
    // Fewer rows after a day say the same.
    let store = super::super::MeasureStore::open(&dir, days).expect("opened");
    store.thin(86_400_000 * 2).expect("thinned");
    let found = trial(&dir, 0, i64::MAX).expect("read");
    assert_eq!(guard(&found, Guard::Pin).would, 6);
    let later = trial(&dir, 86_400_000, i64::MAX).expect("read");
    assert_eq!(guard(&later, Guard::Pin).would, 0);
    let _ = std::fs::remove_dir_all(&dir);
}
