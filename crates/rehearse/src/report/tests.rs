//! Reports beside the files under `golden/`. PLIMSOLL_BLESS=1 writes those anew.

use super::markup::fault;
use super::{Format, Rehearsal, Style, example, render};
use crate::measured::{ClassTally, Ended, Failure, Run, StandIns, Tally};
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
    let began_unix_s = 1_795_337_490;
    let compare = |tolerate| Rehearsal::Compare {
        began_unix_s,
        comparison: example::comparison(tolerate),
    };
    let limit = |to| Rehearsal::Limit {
        began_unix_s,
        limit: example::limit(to),
    };
    vec![
        ("single", single(example::run())),
        ("invalid", invalid()),
        ("compare", compare(None)),
        ("compare-gated", compare(Some(0.05))),
        ("limit", limit(1e6)),
        ("limit-of-generator", limit(600.0)),
    ]
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
fn holds_that_came_out_too_long_are_said_where_they_are_not_few() {
    for (too_short, said) in [(0, false), (99, false), (2_500, true)] {
        let mut run = example::run();
        run.generator.stand_ins = Some(StandIns {
            played: 10_000,
            too_short,
            shortest_us: 28,
        });
        let text = render(&single(run), Format::Text(Style::Plain));
        let found = text.lines().find(|line| line.starts_with("stand-ins"));
        assert_eq!(found.is_some(), said, "{text}");
        let words = ["25.0", "10\u{202f}000 holds", "28"];
        let line = found.unwrap_or_default();
        assert!(
            !said || words.iter().all(|word| line.contains(word)),
            "{line}"
        );
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

#[test]
fn build_servers_get_cases() {
    for (name, rehearsal) in all() {
        let xml = render(&rehearsal, Format::Junit);
        assert_eq!(fault(&xml), None, "{name}");
        assert!(!xml.chars().any(|c| c.is_control() && c != '\n'), "{name}");
        same_as_file(&format!("{name}.xml"), &xml);
    }
    let xml = render(&invalid(), Format::Junit);
    assert!(
        xml.contains("tests=\"5\" failures=\"0\" errors=\"1\" skipped=\"4\""),
        "{xml}"
    );
}

#[test]
fn pages_are_whole_load_nothing_and_run_nothing() {
    for (name, rehearsal) in all() {
        let page = render(&rehearsal, Format::Html);
        assert_eq!(fault(&page), None, "{name}");
        for banned in [
            "<script", "http:", "https:", "url(", "@import", " on", "src=", "NaN", "inf",
        ] {
            let at = page.find(banned).filter(|at| {
                // Words may have these letters; attributes may not.
                banned != " on" && banned != "inf" || page[*at..].starts_with(" onclick=")
            });
            assert_eq!(at, None, "{name}: {banned}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("light-dark("));
        let charts = page.matches("role=\"img\"").count();
        assert_eq!(charts, page.matches("<desc").count());
        same_as_file(&format!("{name}.html"), &page);
    }
}

#[test]
fn an_hour_takes_no_more_than_a_page() {
    let mut run = example::run();
    run.seconds = run.seconds.iter().cycle().take(3_600).copied().collect();
    run.classes = (0..100)
        .map(|i| ClassTally {
            name: format!("class {i} {}", "x".repeat(150)),
            ..run.classes[0].clone()
        })
        .collect();
    let bytes = render(&single(run), Format::Html).len();
    assert!(bytes < 200_000, "{bytes}");
}

#[test]
fn whatever_a_name_holds_it_is_no_markup() {
    let names = [
        "</title><script>alert(1)</script>",
        "\" onload=\"x",
        "]]>&amp;&#0;",
        "\u{0}\u{8}\u{fffe}\u{ffff}\u{85}",
        "-->",
        "&",
    ];
    for name in names {
        let mut run = example::run();
        run.target = name.to_owned();
        run.classes[0].name = name.to_owned();
        run.connections.refusal = Some(name.to_owned());
        run.all.fail(&Failure::Script(name.to_owned()));
        let rehearsal = single(run);
        for format in [Format::Html, Format::Junit] {
            let text = render(&rehearsal, format);
            assert_eq!(fault(&text), None, "{name}");
            assert!(
                !text.contains("<script") && !text.contains("onload=\"x"),
                "{name}"
            );
        }
        let json = render(&rehearsal, Format::Json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["target"], name);
    }
}

#[test]
fn a_run_without_an_answer_has_reports() {
    let mut run = example::run();
    run.all = Tally::new(run.planned);
    run.all.due = 3;
    run.all.fail(&Failure::NeverSent);
    run.classes.clear();
    run.seconds.clear();
    run.ended = Ended::NoConnection("refused".to_owned());
    let rehearsal = single(run);
    assert_eq!(rehearsal.outcome().exit_code(), 2);
    for format in [
        Format::Text(Style::Plain),
        Format::Json,
        Format::Junit,
        Format::Html,
    ] {
        let text = render(&rehearsal, format);
        assert!(
            text.contains("no connection: refused") && !text.contains("NaN"),
            "{text}"
        );
    }
}

#[test]
fn a_queue_that_grew_is_told() {
    let mut run = example::run();
    let text = |run: &Run| render(&single(run.clone()), Format::Text(Style::Plain));
    assert!(!text(&run).contains("fell behind"));
    // Half of the answers came in the minute after the schedule.
    for second in &mut run.seconds {
        second.goodput = 100;
    }
    run.seconds.extend(run.seconds.clone());
    let text = text(&run);
    assert!(
        text.contains("Answers fell behind: 100/s of 200/s offered."),
        "{text}"
    );
}
