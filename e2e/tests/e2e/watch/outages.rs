//! Outages of the reports in small, on a real server: who watches says in time
//! what it is, and the incident's report says the same without a person.

use super::{Load, Watched};
use plimsoll_e2e::sandbox::until;

/// Statements that keep a connection without using a processor.
const WORK: &str = "select pg_sleep(0.4)";

/// Other settings, past every guard, as a person in a hurry would.
fn apply(watched: &Watched, from: &str, to: &str) {
    let dir = watched.dir.path();
    let text = std::fs::read_to_string(dir.join("plimsoll.toml")).expect("settings");
    assert!(text.contains(from), "{text}");
    let new = dir.join("new.toml");
    std::fs::write(&new, text.replace(from, to)).expect("written");
    let new = new.to_str().expect("text");
    let (code, said) = watched.say(&["apply", new, "--now", "--reason", "an update"]);
    assert_eq!(code, 0, "{said}");
}

/// The first answer, as soon as an alert fires; that must be in time.
fn first_answer(watched: &Watched) -> serde_json::Value {
    watched.fires();
    watched.json(&["diagnose"])
}

/// The report of the only incident, once its alerts are over.
fn report(watched: &Watched) -> String {
    let id = until("an incident", || {
        let list = watched.json(&["incident", "list"]);
        Some(list.as_array()?.first()?["id"].as_str()?.to_owned())
    });
    let (code, report) = watched.say(&["incident", "report", &id]);
    assert_eq!(code, 0, "{report}");
    report
}

/// 000: a change cuts the limit; the usual traffic starves.
#[test]
fn a_limit_that_was_cut_is_named_with_the_change() {
    let Some(watched) = Watched::start(10, "") else {
        return;
    };
    watched.settles();
    let load = Load::with(&watched, 8, WORK);
    load.more(160);
    apply(&watched, "size = 10\n", "size = 1\n");
    let verdict = first_answer(&watched);
    let first = &verdict["findings"][0];
    assert_eq!(first["cause"], "settings_change", "{verdict:#}");
    let change = first["change"]["text"].as_str().unwrap_or("");
    assert!(change.contains("pool.size: 10 → 1"), "{verdict:#}");
    apply(&watched, "size = 1\n", "size = 10\n");
    load.more(40);
    load.end();
    let report = report(&watched);
    for words in ["a change of settings", "pool.size", "the network"] {
        assert!(report.contains(words), "{words}: {report}");
    }
}

/// 003: traffic grows past the limit.
#[test]
fn traffic_that_outgrew_its_limit_is_named() {
    let Some(watched) = Watched::start(2, "") else {
        return;
    };
    let usual = Load::with(&watched, 1, WORK);
    watched.settles();
    let more = Load::with(&watched, 40, WORK);
    let verdict = first_answer(&watched);
    assert_eq!(verdict["findings"][0]["cause"], "growth", "{verdict:#}");
    usual.end();
    more.end();
    let report = report(&watched);
    assert!(report.contains("outgrown"), "{report}");
}
