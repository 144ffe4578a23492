//! Alerts are silent on healthy days and early in trouble. The example
//! `alerts` runs the same over 30 days and more seeds.

#[path = "../examples/alerts/cases.rs"]
mod cases;
#[path = "../examples/alerts/rng.rs"]
mod rng;
#[path = "../examples/alerts/world.rs"]
mod world;

#[test]
fn two_healthy_days_without_an_alert() {
    let alerts = cases::healthy(7, 2);
    let texts: Vec<String> = alerts
        .iter()
        .map(|a| format!("{} {} {}", a.at, a.name, a.summary))
        .collect();
    assert!(texts.is_empty(), "{texts:#?}");
}

#[test]
fn every_trouble_is_told_in_time() {
    for (name, case, bound) in cases::ALL {
        let leads: Vec<_> = (1_001..=1_008)
            .filter_map(|seed| cases::of(*case, seed))
            .collect();
        let summary = cases::summary(&leads, *bound);
        assert_eq!((summary.seeds, summary.missed), (8, 0), "{name}: {summary}");
    }
}
