//! Scenarios as people write them, right and wrong.

use super::*;

/// A scenario to try things with.
pub(in super::super) fn scenario(fault: &str) -> Scenario {
    match Scenario::parse(&text(fault)) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{error}"),
    }
}

fn text(fault: &str) -> String {
    format!(
        r#"
title = "An update cuts the pool"
report = "000"
{fault}
cause = ["upstream_pool_too_small"]
[database]
max_connections = 60
cores = 1
[pooler]
pgbouncer = "pooler/pgbouncer.ini"
plimsoll = "pooler/plimsoll.toml"
[[service]]
name = "web"
files = "app"
command = ["serve", "{{port}}"]
ready = "/health"
[load]
users = 50
rate = 30.0
timeout = "5s"
retries = 1
[[load.phase]]
at = "60s"
times = 3.0
[[load.request]]
name = "menu"
weight = 3
path = "/menu/{{n}}"
[[load.request]]
name = "order"
method = "POST"
path = "/orders/{{user}}"
[steady]
served = 0.99
p99 = "1s"
[[method]]
at = "20s"
does = "update"
copy = {{ from = "update", to = "web" }}
[[method]]
at = "20s"
restart = "web"
[person]
minutes_per_second = 2.0
cause_min = 60
suspected = ["network"]
[[person.repair]]
after_min = 15
does = "roll back"
copy = {{ from = "app", to = "web", only = ["settings.py"] }}
[run]
calm = "20s"
lasts = "120s"
[[gate]]
name = "check"
command = ["false"]
mended = ["true"]
"#
    )
}

#[test]
fn what_is_written_is_what_is_put_on_the_stage() {
    let scenario = scenario("fault = \"application\"");
    assert_eq!(scenario.causes, [Cause::UpstreamPoolTooSmall]);
    assert_eq!(scenario.lasts, Duration::from_secs(120));
    let rates: Vec<(f64, u64)> = (scenario.load.phases.iter())
        .map(|phase| (phase.to, phase.lasts.as_secs()))
        .collect();
    assert_eq!(rates, [(30.0, 60), (90.0, 60)]);
    assert_eq!(scenario.blow(&Column::Own), Duration::from_secs(20));
    assert_eq!(scenario.person.repair[0].at, Duration::from_millis(7_500));
    assert!(scenario.has(&Column::Own));
    assert!(!scenario.has(&Column::from("odyssey".to_owned())));
}

#[test]
fn every_mistake_is_told() {
    let good = text("fault = \"application\"");
    for (from, to, told) in [
        (
            "calm = \"20s\"",
            "calm = \"20\"",
            "a time is written with its unit",
        ),
        (
            "calm = \"20s\"",
            "calm = \"3min\"",
            "the calm ends before the run does",
        ),
        (
            "upstream_pool_too_small",
            "limit_downstream",
            "there is no such cause; there are limit_",
        ),
        ("rate = 30.0", "rate = 1e9", "load.rate"),
        ("rate = 30.0", "rate = nan", "load.rate"),
        ("times = 3.0", "times = -3.0", "load.phase"),
        ("at = \"60s\"", "at = \"10s\"", "load.phase"),
        ("users = 50", "users = 0", "load.users"),
        ("retries = 1", "retries = 99", "load.retries: at most 5"),
        (
            "path = \"/menu/{n}\"",
            "path = \"/menu /\"",
            "request menu: a method in capitals",
        ),
        (
            "path = \"/menu/{n}\"",
            "path = \"/a\\r\\nX: y\"",
            "request menu: a method in capitals",
        ),
        (
            "method = \"POST\"",
            "method = \"post\"",
            "request order: a method in capitals",
        ),
        (
            "restart = \"web\"",
            "restart = \"wbe\"",
            "method 2: there is no service wbe; there are web and pooler",
        ),
        (
            "restart = \"web\"",
            "restart = \"web\"\nreload = \"pooler\"",
            "method 2: exactly one of",
        ),
        (
            "restart = \"web\"",
            "reload = \"web\"",
            "method 2: web cannot be reloaded",
        ),
        (
            "after_min = 15",
            "at = \"15s\"",
            "person.repair 1: say when, as `after_min = 15`",
        ),
        (
            "minutes_per_second = 2.0",
            "minutes_per_second = 0",
            "person.minutes_per_second",
        ),
        (
            "ready = \"/health\"",
            "ready = \"health\"",
            "service web: a command, and a path",
        ),
        ("served = 0.99", "served = 99", "steady.served"),
        (
            "max_connections = 60",
            "max_connections = 0",
            "database.max_connections",
        ),
        ("users = 50", "user = 50", "unknown field `user`"),
        ("name = \"web\"", "name = \"pooler\"", "the name is taken"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Scenario::parse(&good.replacen(from, to, 1));
        let error = error.expect_err(to).to_string();
        assert!(error.contains(told), "{to}: {error}");
    }
    let long = "#".repeat(FILE_MAX + 1);
    assert!(
        Scenario::parse(&long)
            .unwrap_err()
            .to_string()
            .contains("at most 256 KiB")
    );
}

#[test]
fn steps_that_are_not_for_a_column_are_left_out() {
    let step = |action| Step {
        at: Duration::ZERO,
        does: String::new(),
        action,
        columns: None,
    };
    let (own, bouncer) = (Column::Own, Column::from("pgbouncer".to_owned()));
    let plimsoll = Column::from("plimsoll".to_owned());
    let mark = step(Action::MarkRelease {
        app: "a".to_owned(),
        version: "1".to_owned(),
    });
    let is = |step: &Step| [&own, &bouncer, &plimsoll].map(|column| step.is_for(column));
    assert_eq!(is(&mark), [false, false, true]);
    assert_eq!(is(&step(Action::Reload)), [false, true, true]);
    let restart = step(Action::Restart(Place::Service("web".to_owned())));
    assert_eq!(is(&restart), [true, true, true]);
    let named = Step {
        columns: Some(vec![Column::Own]),
        ..restart
    };
    assert_eq!(is(&named), [true, false, false]);
}

#[test]
fn a_fault_of_the_pooler_s_needs_a_pooler() {
    let only_pooler = text("fault = \"pooler\"");
    let scenario = Scenario::parse(&only_pooler).unwrap();
    assert!(!scenario.has(&Column::Own));
    assert!(scenario.has(&Column::from("pgbouncer".to_owned())));
    // Unless it says what is the same there.
    let both = only_pooler.replace(
        "does = \"update\"",
        "does = \"update\"\ncolumns = [\"own\"]",
    );
    assert!(Scenario::parse(&both).unwrap().has(&Column::Own));
}
