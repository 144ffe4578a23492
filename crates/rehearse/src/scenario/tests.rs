//! Scenarios as people write them, and what is said of those that cannot run.

use super::*;

const GOOD: &str = r#"
seed = 7
thresholds = ["p(99) < 50ms", "pay: p(95) < 20ms"]

[variables]
scale = 10

[load]
connections = 20
timeout = "5s"
arrivals = "even"
phases = [
  { rate = "100/s", for = "30s" },
  { from = "100/s", to = "400/s", for = "1min" },
  { rate = "60/min", for = "500ms" },
]

[[class]]
name = "browse"
weight = 9
sql = "select :scale"

[[class]]
name = "pay"
script = "pay.sql"
"#;

fn files(name: &str) -> Result<String, String> {
    match name {
        "pay.sql" => Ok("begin;\nupdate t set n = n + 1;\ncommit;\n".to_owned()),
        "bad.sql" => Ok("select 1;\n\\if x\n".to_owned()),
        _ => Err("no such file".to_owned()),
    }
}

fn wrong(text: &str) -> Vec<String> {
    Scenario::parse(text, &files).expect_err(text).lines
}

#[test]
fn connections_are_opened_once_unless_each_request_is_to_have_one() {
    for (written, connect) in [
        ("", Connect::Once),
        ("connect = \"once\"\n", Connect::Once),
        ("connect = \"each\"\n", Connect::Each),
    ] {
        let text = GOOD.replace(
            "connections = 20\n",
            &format!("connections = 20\n{written}"),
        );
        let scenario = Scenario::parse(&text, &files).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(scenario.connect, connect, "{written}");
    }
    let given = Given {
        connect: Some(Connect::Each),
        ..Given::default()
    };
    let scenario = given.scenario(Some(GOOD), &files).expect("sound");
    assert_eq!(scenario.connect, Connect::Each);
    let never = GOOD.replace("connections = 20\n", "connect = \"never\"\n");
    assert!(wrong(&never).join("\n").contains("never"));
}

#[test]
fn variables_that_are_no_numbers_are_refused() {
    for number in ["nan", "inf", "-inf"] {
        let text = GOOD.replace("scale = 10", &format!("scale = {number}"));
        let said = wrong(&text).join("\n");
        assert!(said.contains("variables.scale"), "{said}");
    }
}

#[test]
fn a_whole_scenario_is_read() {
    let scenario = Scenario::parse(GOOD, &files).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((scenario.seed, scenario.connections), (7, 20));
    assert_eq!(scenario.timeout, Duration::from_secs(5));
    assert_eq!(scenario.arrivals, Arrivals::Even);
    assert_eq!(
        scenario.phases[1],
        Phase {
            from: 100.0,
            to: 400.0,
            lasts: Duration::from_secs(60)
        }
    );
    assert_eq!(
        scenario.phases[2],
        Phase::hold(1.0, Duration::from_millis(500))
    );
    let classes: Vec<(&str, u32, usize)> = scenario
        .classes
        .iter()
        .map(|c| (c.script.name.as_str(), c.weight, c.script.steps.len()))
        .collect();
    assert_eq!(classes, [("browse", 9, 1), ("pay", 1, 3)]);
    assert_eq!(scenario.thresholds[1].class.as_deref(), Some("pay"));
    // 30 s at 100, 60 s at 250 in the mean, half a second at 1.
    assert_eq!(scenario.schedule().expected(), 18_000.5);
}

#[test]
fn little_is_needed() {
    let least = "[load]\nphases = [{ rate = \"1\", for = \"1s\" }]\n[[class]]\nname = \"one\"\nsql = \"select 1\"\n";
    let scenario = Scenario::parse(least, &files).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((scenario.seed, scenario.connections), (1, 50));
    assert_eq!(scenario.arrivals, Arrivals::Poisson);
    assert_eq!(scenario.timeout, Duration::from_secs(30));
}

/// The good one with a part replaced.
fn with(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    wrong(&GOOD.replace(from, to))
}

#[test]
fn what_cannot_run_is_told_with_its_place() {
    for (from, to, said) in [
        (
            "\"100/s\", for = \"30s\"",
            "\"fast\", for = \"30s\"",
            "load.phases, the 1. of them: `fast` is no rate up to 1000000/s; write, for example, 300/s",
        ),
        (
            "\"100/s\", for = \"30s\"",
            "\"5/year\", for = \"30s\"",
            "load.phases, the 1. of them: `5/year` is no rate; write 300/s, 90/min or 10/h",
        ),
        (
            "\"100/s\", for = \"30s\"",
            "\"-1/s\", for = \"30s\"",
            "load.phases, the 1. of them: `-1/s` is no rate up to 1000000/s; write, for example, 300/s",
        ),
        (
            "\"60/min\", for = \"500ms\"",
            "\"60/min\", for = \"30\"",
            "load.phases, the 3. of them: `30` is no time up to a week; write, for example, 500ms, 30s, 5min or 2h",
        ),
        (
            "{ rate = \"60/min\",",
            "{ rate = \"60/min\", to = \"1/s\",",
            "load.phases, the 3. of them: write `rate`, or `from` and `to`",
        ),
        (
            "timeout = \"5s\"",
            "timeout = \"0s\"",
            "load.timeout: `0s` is no time up to a week; write, for example, 500ms, 30s, 5min or 2h",
        ),
        (
            "connections = 20",
            "connections = 0",
            "load.connections: between 1 and 10000",
        ),
        (
            "weight = 9",
            "weight = 0",
            "class browse: a weight is at least 1; leave the class out instead",
        ),
        (
            "name = \"pay\"",
            "name = \"browse\"",
            "class browse: there are two of this name",
        ),
        (
            "name = \"pay\"",
            "name = \"a:b\"",
            "class.name: 1 to 63 bytes, without `:`, `<`, `>` and control characters",
        ),
        (
            "script = \"pay.sql\"",
            "script = \"gone.sql\"",
            "class pay: gone.sql: no such file",
        ),
        (
            "script = \"pay.sql\"",
            "script = \"bad.sql\"",
            "class pay: bad.sql:2: `\\if` is not known here; `\\set` and `\\sleep` are",
        ),
        (
            "script = \"pay.sql\"",
            "script = \"pay.sql\"\nsql = \"select 1\"",
            "class pay: name one of `sql` and `script`",
        ),
        (
            "select :scale",
            "select :scales",
            "class browse: browse:1: the variable `scales` has no value at this place",
        ),
        (
            "pay: p(95)",
            "paid: p(95)",
            "thresholds: `paid: p(95) < 20ms` names no [[class]] of this scenario",
        ),
    ] {
        let lines = with(from, to);
        assert!(lines.iter().any(|line| line == said), "{to}: {lines:#?}");
    }
    let lines = with("p(99) < 50ms", "p99 under 50ms");
    assert!(
        lines[0].starts_with("thresholds: `p99 under 50ms` compares nothing"),
        "{lines:?}"
    );
    let none = wrong(
        &GOOD
            .replace("100/s", "0")
            .replace("400/s", "0")
            .replace("60/min", "0"),
    );
    assert_eq!(
        none,
        ["load.phases: they come to 0.0 requests; between 1 and 1000000000 can be sent"]
    );
}

#[test]
fn a_mistyped_key_is_pointed_at() {
    let lines = with("weight = 9", "wieght = 9").join("\n");
    assert!(
        lines.contains("line 20") && lines.contains("unknown field `wieght`"),
        "{lines}"
    );
    assert!(lines.contains("weight"), "{lines}");
    let lines = wrong("load = ").join("\n");
    assert!(lines.contains("line 1"), "{lines}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let lines = wrong(
        &GOOD
            .replace("\"30s\"", "\"soon\"")
            .replace("weight = 9", "weight = 0"),
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn the_example_of_the_reference_is_a_scenario() {
    let page = include_str!("../../../../docs/scenario.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let read = |name: &str| match name {
        "pay.sql" => Ok("\\set n random(1, :scale)\nselect :n, :client_id;".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let scenario = Scenario::parse(example, &read).expect("a scenario");
    assert_eq!((scenario.retries, scenario.classes.len()), (2, 2));
}

#[test]
fn the_examples_of_the_guide_are_scenarios() {
    let read = |name: &str| match name {
        "browse.sql" => {
            Ok(include_str!("../../../../docs/examples/rehearse/browse.sql").to_owned())
        }
        "order.sql" => Ok(include_str!("../../../../docs/examples/rehearse/order.sql").to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let text = include_str!("../../../../docs/examples/rehearse/shop.toml");
    let scenario = Scenario::parse(text, &read).expect("a scenario");
    assert!(
        scenario.schedule().lasts() <= std::time::Duration::from_secs(180),
        "a verdict within three minutes"
    );
}
