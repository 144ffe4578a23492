//! Small readings of text that several parts share.

/// Most characters of somebody's text in a message.
const HEAD_CHARS: usize = 30;

/// The begin of a text, for a message: no control characters, and not much of it.
pub(crate) fn head(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(HEAD_CHARS).collect()
}

/// A number with one of these units behind it: its digits, and how many of the
/// least unit one is. `None`: there is no such unit, or no digit before it.
pub(crate) fn with_unit<'a>(text: &'a str, units: &[(&str, f64)]) -> Option<(&'a str, f64)> {
    units.iter().find_map(|(unit, each)| {
        let digits = text.strip_suffix(unit)?.trim_end();
        let sound = digits.ends_with(|c: char| c.is_ascii_digit());
        sound.then_some((digits, *each))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_needs_a_number_before_it() {
        let units = [("ms", 1.0), ("s", 1e3)];
        for (text, found) in [
            ("5ms", Some(("5", 1.0))),
            ("5 s", Some(("5", 1e3))),
            ("1.5s", Some(("1.5", 1e3))),
            ("ms", None),
            ("xs", None),
            ("5", None),
        ] {
            assert_eq!(with_unit(text, &units), found, "{text}");
        }
    }

    #[test]
    fn a_message_shows_little_and_nothing_odd() {
        assert_eq!(head("a\u{1b}[2Jb"), "a[2Jb");
        assert_eq!(head(&"x".repeat(99)).len(), HEAD_CHARS);
    }
}
