//! Outages of the reports in small, on a real server: who watches says in time
//! what it is, and the incident's report says the same without a person.

use super::{Load, Watched};
use crate::common::{alone, full, server, skip};
use plimsoll_e2e::sandbox::{until, until_deadline};
use std::time::Duration;

/// Statements that keep a connection without using a processor.
const WORK: &str = "select pg_sleep(0.4)";

/// Other settings, past every guard, as a person in a hurry would.
pub(super) fn apply(watched: &Watched, from: &str, to: &str) {
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
    let _alone = alone();
    let Some(watched) = Watched::start(10, "") else {
        return;
    };
    // What is usual is learned with the load, from the first second on.
    let load = Load::with(&watched, 8, WORK);
    watched.settles();
    // On a busy machine the start alone may look like trouble.
    until("a calm diagnosis", || {
        let (code, _) = watched.say(&["diagnose"]);
        (code == 0).then_some(())
    });
    load.more(40);
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

/// 001: a deploy script overwrites the settings file; nothing of it serves.
#[test]
fn a_file_that_a_script_overwrote_is_told_of_and_nothing_of_it_serves() {
    let _alone = alone();
    let deploy = [("source = \"store\"", "source = \"deploy\"")];
    let Some(watched) = Watched::start_as(10, "", None, &deploy) else {
        return;
    };
    let load = Load::start(&watched, 2);
    let file = watched.dir.path().join("plimsoll.toml");
    let good = std::fs::read_to_string(&file).expect("settings");
    // Nobody listens on port 1.
    let port = format!("port = {}\n", server().port());
    std::fs::write(&file, good.replace(&port, "port = 1\n")).expect("written");
    let status = until("the gate's word", || {
        let (code, text) = watched.say(&["status"]);
        (code != 0).then_some(text)
    });
    assert!(status.contains("refused as version 2 (probe)"), "{status}");
    let alert = until_deadline(Duration::from_secs(30), &mut || {
        let told = watched.json(&["alerts"]);
        let fires = |a: &&serde_json::Value| a["state"] == "firing";
        told["alerts"].as_array()?.iter().find(fires).cloned()
    });
    let alert = alert.unwrap_or_else(|| panic!("no alert\n{}", watched.log()));
    assert_eq!(alert["name"], "PlimsollSettingsDrift", "{alert}");
    assert_eq!(alert["cause"], serde_json::Value::Null, "{alert}");
    let verdict = watched.json(&["diagnose"]);
    assert_ne!(
        verdict["findings"][0]["cause"], "database_down",
        "{verdict:#}"
    );
    std::fs::write(&file, &good).expect("put back");
    until("the file says what serves", || {
        let (code, _) = watched.say(&["status"]);
        (code == 0).then_some(())
    });
    load.more(50);
    load.end();
    let told = watched.json(&["alerts", "--last", "10m"]);
    let recent = told["recent"].as_array().expect("a list");
    let text = recent.first().and_then(|m| m["text"].as_str());
    assert!(text.is_some_and(|t| t.contains("settings file")), "{told}");
    let markers = watched.get("/v1/markers");
    let markers = markers.as_array().expect("a list");
    assert!(markers.iter().any(|m| m["kind"] == "drift"), "{markers:?}");
}

/// 002: a pool without a sensible limit, and a surge: the line holds at the server.
#[test]
fn a_surge_on_a_pool_without_a_limit_stops_at_the_line() {
    if !full() {
        return skip(
            "a_surge_on_a_pool_without_a_limit_stops_at_the_line",
            "only with E2E_FULL",
        );
    }
    let _alone = alone();
    const LINE: u64 = 6;
    let line = [("line = 60", "line = 6")];
    let Some(watched) = Watched::start_as(1_000, "", None, &line) else {
        return;
    };
    let usual = Load::with(&watched, 1, WORK);
    watched.settles();
    let surge = Load::with(&watched, 40, WORK);
    let verdict = first_answer(&watched);
    assert_eq!(verdict["findings"][0]["cause"], "growth", "{verdict:#}");
    // The paths that were followed in vain then are none here.
    for wrong in ["server_saturated", "slow_statements", "abusive_source"] {
        let findings = verdict["findings"].as_array().expect("a list");
        let named = findings.iter().any(|f| f["cause"] == wrong);
        assert!(!named, "{wrong}: {verdict:#}");
    }
    let series = watched.get("/v1/series");
    let samples = series["samples"].as_array().expect("samples");
    let used = samples
        .iter()
        .flat_map(|s| s["pools"].as_array().expect("pools"));
    let most = used.filter_map(|p| p["used"]["most"].as_u64()).max();
    assert!(most.is_some_and(|n| (2..=LINE).contains(&n)), "{most:?}");
    usual.end();
    surge.end();
    let report = report(&watched);
    assert!(report.contains("outgrown its limit"), "{report}");
}

/// 003: traffic grows past the limit.
#[test]
fn traffic_that_outgrew_its_limit_is_named() {
    if !full() {
        return skip(
            "traffic_that_outgrew_its_limit_is_named",
            "only with E2E_FULL",
        );
    }
    let _alone = alone();
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
