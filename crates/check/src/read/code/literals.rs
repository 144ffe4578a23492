//! Literals of the three languages.

use std::ops::Range;

/// What stands between the quotes of a literal. `None`: it does not end.
pub(super) fn quoted(literal: &str) -> Option<Range<usize>> {
    let start = literal.find(['"', '\'', '`'])?;
    let quote = literal.get(start..start + 1)?;
    // Prefixes of Python's texts: r, f, b, u and pairs of them.
    let is_prefix = |b: u8| b.is_ascii_alphabetic();
    if start > 2 || !literal.bytes().take(start).all(is_prefix) {
        return None;
    }
    let triple = quote.repeat(3);
    let body = literal.get(start..)?;
    let marks = match body.starts_with(&triple) && body.len() >= 6 {
        true => 3,
        false => 1,
    };
    let ends = body.len() >= 2 * marks && body.ends_with(quote);
    ends.then(|| start + marks..literal.len() - marks)
}

/// A number of any of the three languages.
pub(super) fn number(literal: &str) -> Option<f64> {
    let plain = literal.replace('_', "").to_ascii_lowercase();
    if let Some(hex) = plain.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok().map(f64::from);
    }
    plain
        .trim_end_matches(['n', 'l'])
        .parse()
        .ok()
        .filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_every_kind_come_off() {
        for (literal, inside) in [
            ("'a'", Some("a")),
            ("\"\"", Some("")),
            ("rb'x'", Some("x")),
            ("\"\"\"a\nb\"\"\"", Some("a\nb")),
            ("`a ${b}`", Some("a ${b}")),
            ("'", None),
            ("'a", None),
            ("\"\"\"", Some("\"")),
            ("abc'x'", None),
            ("", None),
            ("'ü'", Some("ü")),
        ] {
            let found = quoted(literal).map(|range| &literal[range]);
            assert_eq!(found, inside, "{literal}");
        }
    }

    #[test]
    fn numbers_of_every_kind_are_read() {
        for (literal, value) in [
            ("30_000", Some(30_000.0)),
            ("0x1F", Some(31.0)),
            ("1.5", Some(1.5)),
            ("1e3", Some(1_000.0)),
            ("10n", Some(10.0)),
            ("1e999", None),
            ("0xffffffffffff", None),
            ("", None),
        ] {
            assert_eq!(number(literal), value, "{literal}");
        }
    }
}
