//! What charts say: steps, gaps, edges.

use super::*;
use events::sample::{Gauge, Marker, MarkerKind, Times};
use std::collections::VecDeque;

const SECOND: i64 = 1_000;

fn pool(database: &str, used: u32) -> PoolSample {
    PoolSample {
        database: database.into(),
        user: "web".into(),
        size: 9,
        used: Gauge::of(used),
        transactions: 10,
        refused: 1,
        wait: Times {
            count: 2,
            sum_us: 600,
            ..Times::default()
        },
        ..PoolSample::default()
    }
}

fn second(at_s: i64, pools: Vec<PoolSample>) -> Sample {
    Sample {
        at_ms: at_s * SECOND,
        span_ms: 1_000,
        refusals: vec![("wait_timeout".into(), 3)],
        pools,
        ..Sample::default()
    }
}

/// Seconds 100 to 199, without 140 to 149; `hidden` is a row only before 120.
fn record() -> Record {
    let at = (100..200).filter(|s| !(140..150).contains(s));
    let seconds = at.map(|s| {
        let mut pools = vec![pool("shop", (s % 10) as u32), pool(OTHER, 1)];
        if s < 120 {
            pools.push(pool("hi\u{1b}dden", 2));
        }
        second(s, pools)
    });
    Record {
        seconds: seconds.collect::<VecDeque<_>>(),
        ..Record::default()
    }
}

fn asked(pool: &str, from_s: i64, until_s: i64, points: u32) -> Asked<'_> {
    Asked {
        pool,
        from_ms: from_s * SECOND,
        until_ms: until_s * SECOND,
        points,
    }
}

#[test]
fn steps_are_bounded_round_and_cover_all() {
    for (from, until, points) in [
        (0, 900_000, 300),
        (123, 456, 1),
        (123, 456, 2),
        (0, 1, 1_200),
        (1_763_000_000_123, 1_763_003_600_456, 1_200),
        (5_000, 5_000, 300),
        (0, 4_102_444_800_000, 1_200),
        (999, 1_001, 2),
    ] {
        for base in [1_000, 60_000] {
            let asked = Asked {
                pool: "",
                from_ms: from,
                until_ms: until,
                points,
            };
            let steps = Steps::of(&asked, base);
            let what = format!("{from}..{until} in {points}: {steps:?}");
            assert!((1..=points as usize).contains(&steps.count), "{what}");
            assert!(steps.begin_ms <= from, "{what}");
            let end = steps.begin_ms + steps.step_ms * steps.count as i64;
            assert!(end >= until, "{what}");
            if points > 1 {
                assert_eq!(steps.step_ms % base, 0, "{what}");
                assert_eq!(steps.begin_ms % steps.step_ms, 0, "{what}");
            }
            if until > from {
                assert_eq!(steps.place(until), Some(steps.count - 1), "{what}");
            }
        }
    }
}

#[test]
fn a_gap_is_a_gap() {
    let chart = chart(&record(), &asked("shop/web", 130, 160, 31));
    assert_eq!(chart.step_ms, 1_000);
    assert_eq!(chart.at_ms.len(), 30);
    assert_eq!((chart.at_ms[0], chart.at_ms[29]), (131_000, 160_000));
    let used: Vec<_> = chart.used.iter().map(Option::is_some).collect();
    // The seconds that end at 140 to 149 were not measured.
    assert_eq!(
        used,
        [vec![true; 9], vec![false; 10], vec![true; 11]].concat()
    );
    assert_eq!(chart.used[0], Some(1));
    assert_eq!(chart.size[0], Some(9));
    assert_eq!(chart.wait_us[0], Some(300.0));
    assert_eq!(chart.service_us[0], None, "nobody was served");
    assert_eq!(chart.transactions_per_s[0], Some(10.0));
    assert_eq!(chart.refused_per_s[0], Some(1.0));
    assert_eq!(chart.transactions_per_s[15], None);
    for list in [chart.waiting.len(), chart.silent.len(), chart.size.len()] {
        assert_eq!(list, chart.at_ms.len());
    }
}

#[test]
fn a_step_keeps_the_most_and_the_mean() {
    let one = chart(&record(), &asked("shop/web", 100, 199, 1));
    assert_eq!(
        (one.at_ms.as_slice(), one.used.as_slice()),
        (&[199_000][..], &[Some(9)][..])
    );
    assert_eq!(one.transactions_per_s, [Some(10.0)]);
    let all = chart(&record(), &asked("", 100, 199, 1));
    // Its own nine, one of the others, and the two that were hidden meanwhile.
    assert_eq!(all.used, [Some(12)]);
    assert_eq!(all.size, [None], "together they have no limit");
    assert_eq!(
        all.refused_per_s,
        [Some(3.0)],
        "also those that no pool refused"
    );
}

#[test]
fn a_pool_among_the_others_is_not_known() {
    let record = record();
    let shown = name("hi\u{1b}dden/web");
    let hidden = chart(&record, &asked("hi\u{1b}dden/web", 110, 130, 21));
    assert_eq!(hidden.used.iter().flatten().count(), 9);
    assert!(!hidden.pool.contains('\u{1b}'));
    // By its cleaned name it is found while it is among the newest rows.
    let young = Record {
        seconds: record.seconds.iter().take(19).cloned().collect(),
        ..Record::default()
    };
    assert_eq!(
        chart(&young, &asked(&shown, 100, 119, 20))
            .used
            .iter()
            .flatten()
            .count(),
        18
    );
    for nobody in [
        "other/web",
        "other/other",
        "gone/web",
        "shop",
        "shop/",
        "/",
        "shop/web/x",
    ] {
        let chart = chart(&record, &asked(nobody, 100, 199, 10));
        assert!(chart.used.iter().all(Option::is_none), "{nobody}");
        assert!(!chart.at_ms.is_empty());
    }
}

#[test]
fn what_is_older_than_the_seconds_is_told_in_minutes() {
    let mut record = record();
    let minute = |at_s: i64| Sample {
        span_ms: 60_000,
        ..second(at_s, vec![pool("shop", 5)])
    };
    record.minutes = [minute(-3_600), minute(60), minute(119)].into();
    let chart = chart(&record, &asked("shop/web", -4_000, 199, 1_200));
    assert_eq!(chart.step_ms, 60_000);
    let told: Vec<(i64, u32)> = chart
        .at_ms
        .iter()
        .zip(&chart.used)
        .filter_map(|(at, used)| Some((*at / 1_000, (*used)?)))
        .collect();
    // The minute that ends at 119 is told by its seconds, once.
    assert_eq!(told, [(-3_600, 5), (60, 5), (120, 9), (180, 9), (199, 9)]);
    // Within the seconds it is as fine as they are.
    assert_eq!(
        super::chart(&record, &asked("", 150, 199, 300)).step_ms,
        1_000
    );
}

#[test]
fn changes_are_those_within() {
    let mut record = record();
    for at_s in [90, 150, 120, 300] {
        record.markers.push(Marker {
            at_ms: at_s * SECOND,
            kind: MarkerKind::Release,
            subject: "web\u{202e}".into(),
            text: "web \u{1b}[2J 2".to_owned(),
            actor: "".into(),
        });
    }
    let chart = chart(&record, &asked("", 100, 199, 10));
    let at: Vec<i64> = chart.markers.iter().map(|m| m.at_ms / SECOND).collect();
    assert_eq!(at, [120, 150]);
    assert!(
        chart
            .markers
            .iter()
            .all(|m| m.text == "web ?[2J 2" && &*m.subject == "web?")
    );
}

#[test]
fn an_empty_record_has_an_empty_chart() {
    let chart = chart(&Record::default(), &asked("", 0, 900, 300));
    assert!(chart.used.iter().all(Option::is_none) && chart.markers.is_empty());
    assert!(chart.at_ms.len() <= 300 && !chart.at_ms.is_empty());
}
