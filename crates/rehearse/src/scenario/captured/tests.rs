//! Scenarios that send captured traffic again.

use crate::scenario::{Given, Scenario};
use crate::workload::{Due, Requests};
use std::time::Duration;

const SHAPE: &str = "plimsoll-shape 2\nserver 9 0 20 2000000\nclass 0 =other\nclass 1 =pay UPDATE t\n\
                     pool =app =anna 9 9\nwindow 0 1000000 0\nr 100 0 2000 1 1\nr 500000 0 4000 1 1 0 0 1 1000\nend 2\n";

fn files(name: &str) -> Result<String, String> {
    match name {
        "a.shape" => Ok(SHAPE.to_owned()),
        "cut.shape" => Ok(SHAPE.trim_end_matches("end 2\n").to_owned()),
        "new.shape" => Ok("plimsoll-shape 3\n".to_owned()),
        "empty.shape" => Ok("plimsoll-shape 2\nend 0\n".to_owned()),
        _ => Err("no such file".to_owned()),
    }
}

fn scenario(load: &str, rest: &str) -> Result<Scenario, Vec<String>> {
    let text = format!("[load]\n{load}\n{rest}");
    Scenario::parse(&text, &files).map_err(|error| error.lines)
}

#[test]
fn a_shape_takes_the_place_of_phases_and_of_classes() {
    let scenario = scenario("shape = \"a.shape\"", "").expect("a scenario");
    let captured = scenario.captured.clone().expect("captured");
    assert_eq!(
        (captured.scale, captured.lasts),
        (1.0, Duration::from_secs(2))
    );
    let classes: Vec<_> = (scenario.classes.iter())
        .map(|c| (c.script.name.as_str(), c.stand_in))
        .collect();
    assert_eq!(classes, [("other", true), ("pay", true)]);
    // Two were recorded, twenty were counted.
    assert!((scenario.expected() - 20.0).abs() < 1e-6);
    let all: Vec<Due> = Requests::new(&scenario).collect();
    assert!((18..=22).contains(&all.len()), "{}", all.len());
    let pay = all[1].hold.expect("a hold");
    assert_eq!(
        (all[1].class, pay.busy, pay.idle.as_millis()),
        (1, Duration::from_millis(3), 1)
    );
}

#[test]
fn a_class_may_have_a_script_and_then_no_hold() {
    let load = "shape = \"a.shape\"\nscale = 2.0\nfor = \"10s\"";
    let rest = "[[class]]\nname = \"pay\"\nsql = \"select 1\"\n";
    let scenario = scenario(load, rest).expect("a scenario");
    assert_eq!(
        (scenario.lasts(), scenario.classes.len()),
        (Duration::from_secs(10), 2)
    );
    assert!(!scenario.classes[1].stand_in && scenario.classes[1].script.steps.len() == 1);
    for due in Requests::new(&scenario) {
        assert_eq!(due.hold.is_some(), due.class == 0);
    }
}

#[test]
fn thresholds_may_name_classes_of_the_shape() {
    let text = |class: &str| {
        format!("thresholds = [\"{class}: p(99) < 5ms\"]\n[load]\nshape = \"a.shape\"\n")
    };
    assert!(Scenario::parse(&text("pay"), &files).is_ok());
    assert!(Scenario::parse(&text("pays"), &files).is_err());
}

#[test]
fn a_shape_alone_is_a_scenario() {
    let given = Given {
        lasts: Some("4s".to_owned()),
        scale: Some(0.5),
        ..Given::default()
    };
    let scenario = given.scenario(Some(SHAPE), &files).expect("a scenario");
    assert_eq!(scenario.lasts(), Duration::from_secs(4));
    assert!(
        (scenario.expected() - 20.0).abs() < 1e-6,
        "{}",
        scenario.expected()
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let class = "[[class]]\nname = \"one\"\nweight = 2\nsql = \"select 1\"\n";
    let told = |load: &str, rest: &str| scenario(load, rest).expect_err(load);
    let load = "shape = \"a.shape\"\nscale = 0.0\nfor = \"soon\"\narrivals = \"even\"";
    assert_eq!(
        told(load, class),
        [
            "load.arrivals: when requests come, the shape says; leave it out",
            "load.scale: above 0 and up to 100",
            "load.for: `soon` is no time up to a week; write, for example, 500ms, 30s, 5min or 2h",
            "class one: how often it is sent, the shape says; leave `weight` out",
            "class one: the shape has no class of this name; it has other, pay",
        ]
    );
    let phases = "phases = [{ rate = \"1/s\", for = \"10s\" }]";
    let class = "[[class]]\nname = \"one\"\nsql = \"select 1\"\n";
    for (load, first) in [
        ("shape = \"no.shape\"", "load.shape: no.shape: no such file"),
        (
            "shape = \"cut.shape\"",
            "load.shape: cut.shape: no traffic shape: it is cut off: its last line, `end`, is missing",
        ),
        (
            "shape = \"new.shape\"",
            "load.shape: new.shape: no traffic shape: line 1: written by another version",
        ),
        (
            "shape = \"empty.shape\"\nfor = \"1s\"",
            "load.shape: empty.shape: no request was recorded in it",
        ),
        ("connections = 5", "load: name one of `phases` and `shape`"),
        (
            &format!("{phases}\nshape = \"a.shape\""),
            "load: name one of `phases` and `shape`",
        ),
        (
            &format!("{phases}\nscale = 2.0\nfor = \"1s\""),
            "load.scale: it goes with `shape`, not with `phases`",
        ),
    ] {
        assert_eq!(told(load, class)[0], first);
    }
}
