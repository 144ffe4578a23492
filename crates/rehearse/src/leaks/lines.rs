//! Tests that announce themselves in what the command prints.

use super::facts::{Line, Moment, Record};

/// Lines that are shown with a finding.
const SHOWN: usize = 3;
/// Lines before a moment in which a test's name is looked for.
const LOOK_BACK: usize = 400;

/// The test that a line says is about to run: Surefire's `Running shop.OrderTest`, Gradle's
/// `OrderTest > refund() STARTED`, JUnit's feed `OrderTest > refund() :: STARTED`, Go's
/// `=== RUN   TestRefund`, Rust's and CTest's like.
pub(crate) fn named(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = text.strip_prefix("[INFO] ").unwrap_or(text).trim();
    if let Some(name) = text.strip_prefix("=== RUN") {
        return sound(name);
    }
    if let Some(name) = text.strip_prefix("Running ") {
        // A sentence is no name.
        return sound(name).filter(|name| !name.contains(' '));
    }
    for end in [" :: STARTED", " STARTED"] {
        if let Some(name) = text.strip_suffix(end)
            && name.contains(" > ")
        {
            return sound(name);
        }
    }
    None
}

fn sound(name: &str) -> Option<&str> {
    let name = name.trim();
    (!name.is_empty()).then_some(name)
}

/// The lines that were printed before a moment.
fn before(record: &Record, at: Moment) -> &[Line] {
    let end = record.lines.partition_point(|line| line.at <= at);
    record.lines.get(..end).unwrap_or_default()
}

/// The test that was last announced before a moment.
pub(crate) fn test_at(record: &Record, at: Moment) -> Option<(String, Moment)> {
    let mut lines = before(record, at).iter().rev().take(LOOK_BACK);
    lines.find_map(|line| Some((named(&line.text)?.to_owned(), line.at)))
}

/// When the next test was announced after a moment.
pub(crate) fn next_test(record: &Record, after: Moment) -> Option<Moment> {
    let start = record.lines.partition_point(|line| line.at <= after);
    let later = record.lines.get(start..).unwrap_or_default();
    let next = later.iter().find(|line| named(&line.text).is_some());
    next.map(|line| line.at)
}

/// What was printed last before a moment.
pub(crate) fn printed(record: &Record, at: Moment) -> Vec<String> {
    let lines = before(record, at);
    let from = lines.len().saturating_sub(SHOWN);
    let last = lines.get(from..).unwrap_or_default();
    last.iter().map(|line| line.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_runner_announces_its_tests() {
        for (line, name) in [
            ("[INFO] Running shop.OrderTest", Some("shop.OrderTest")),
            ("OrderTest > refund() STARTED", Some("OrderTest > refund()")),
            (
                "JUnit Jupiter > OrderTest > refund() :: STARTED",
                Some("JUnit Jupiter > OrderTest > refund()"),
            ),
            ("=== RUN   TestRefund/twice", Some("TestRefund/twice")),
            ("Running 3 tests for fun", None),
            ("Server STARTED", None),
            ("", None),
        ] {
            assert_eq!(named(line), name, "{line}");
        }
    }
}
