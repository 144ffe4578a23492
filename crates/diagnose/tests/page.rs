//! The documentation says what the tables say.

#[test]
fn the_page_is_what_the_rules_are() {
    let stands = include_str!("../../../docs/diagnosis.md");
    let says = diagnose::page();
    let differs = says.lines().zip(stands.lines()).find(|(a, b)| a != b);
    assert!(
        says == stands,
        "docs/diagnosis.md is old; cargo run -p plimsoll-diagnose --example page > docs/diagnosis.md\n{differs:?}"
    );
    for cause in diagnose::Cause::ALL {
        let head = format!("### `{}`", cause.label());
        assert_eq!(stands.matches(&head).count(), 1, "{head}");
    }
}
