//! The files in the guide to pool settings pass the check.

use check::{Files, Options, Severity, check, render};

#[test]
fn what_the_guide_recommends_is_not_found_fault_with() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/guides/pool-settings.md"
    );
    let guide = std::fs::read_to_string(path).expect("the guide");
    let mut seen = 0;
    for part in guide.split("<!-- check: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n").expect("a name");
        let code = rest.split_once('\n').expect("a fence").1;
        let (code, _) = code.split_once("\n```").expect("the fence's end");
        let mut files = Files::default();
        files.add(name, format!("{code}\n"));
        let options = Options {
            max_connections: Some(100),
            ..Options::default()
        };
        let report = check(&files, &options);
        assert!(!report.facts().pools.is_empty(), "{name}: nothing was read");
        assert!(
            report.worst() < Some(Severity::Warning),
            "{name}\n{}",
            render::text(&report, render::Style::Plain)
        );
        seen += 1;
    }
    assert_eq!(seen, 7);
}
