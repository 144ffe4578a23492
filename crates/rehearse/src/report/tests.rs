//! Reports beside the files under `golden/`. PLIMSOLL_BLESS=1 writes those anew.

use super::{Format, Rehearsal, Style, example, render};
use crate::measured::Run;
use crate::threshold::Threshold;
use crate::verdict::Verdict;

fn same_as_file(name: &str, text: &str) {
    let path = format!("{}/src/report/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{path}; PLIMSOLL_BLESS=1 writes it anew");
}

pub(super) fn single(run: Run) -> Rehearsal {
    let texts = [
        "p(99) < 50ms",
        "errors < 2%",
        "browse: wait p(50) < 1ms",
        "rate > 150",
    ];
    let thresholds = texts.map(|text| Threshold::parse(text).unwrap());
    let verdict = Verdict::of(&run, &thresholds);
    Rehearsal::Single { run, verdict }
}

fn invalid() -> Rehearsal {
    let mut run = example::run();
    example::lag(&mut run);
    single(run)
}

fn all() -> Vec<(&'static str, Rehearsal)> {
    vec![("single", single(example::run())), ("invalid", invalid())]
}

/// One thing on a line, and points of time cut short: a difference can be read.
fn readable(json: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    for figures in ["result", "not_a_result"] {
        if let Some(points) = value.pointer_mut(&format!("/{figures}/seconds")) {
            let points = points.as_array_mut().expect("points");
            assert_eq!(points.len(), 60);
            points.drain(2..58);
        }
    }
    serde_json::to_string_pretty(&value).expect("written") + "\n"
}

#[test]
fn texts_are_as_written_down() {
    for (name, rehearsal) in all() {
        let text = render(&rehearsal, Format::Text(Style::Plain));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{name}: {widest:?}\n{text}");
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text}"
        );
        same_as_file(&format!("{name}.txt"), &text);
    }
}

#[test]
fn colours_change_no_word() {
    for (name, rehearsal) in all() {
        let mut text = render(&rehearsal, Format::Text(Style::Colour));
        assert!(text.contains('\u{1b}'));
        for code in ["1;31", "1;32", "1;33", "1", "0"] {
            text = text.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(
            text,
            render(&rehearsal, Format::Text(Style::Plain)),
            "{name}"
        );
    }
}

#[test]
fn objects_are_as_written_down() {
    for (name, rehearsal) in all() {
        let json = render(&rehearsal, Format::Json);
        assert_eq!(json.lines().count(), 1);
        same_as_file(&format!("{name}.json"), &readable(&json));
    }
}

#[test]
fn an_invalid_run_has_no_result() {
    let json: serde_json::Value = serde_json::from_str(&render(&invalid(), Format::Json)).unwrap();
    assert!(json["result"].is_null() && json["not_a_result"].is_object());
    assert!(
        json["thresholds"]
            .as_array()
            .unwrap()
            .iter()
            .all(|t| t["kept"].is_null())
    );
    let text = render(&invalid(), Format::Text(Style::Plain));
    let (why, figures) = (text.find("INVALID").unwrap(), text.find("p99.9").unwrap());
    assert!(why < figures && text.contains("NOT RESULTS"), "{text}");
    assert!(!text.contains("users would have seen"), "{text}");
}
