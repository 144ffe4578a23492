//! A console statement taken apart: words, quoted names, assignments.

/// Most characters of a statement that an answer repeats.
const REPEATED_MAX: usize = 200;

/// The words of a statement, without the semicolon at its end. A name in double
/// quotes is one word, and its quotes are gone. Where quotes are out of place, they are
/// left, and the second value is `false`: no name is meant so.
pub fn words(text: &str) -> (Vec<String>, bool) {
    let mut rest = text.trim().trim_end_matches(';').trim_end();
    let (mut words, mut whole) = (Vec::new(), true);
    while !rest.is_empty() {
        let (word, after) = quoted(rest).unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            whole &= !word.contains('"');
            (word.to_owned(), after)
        });
        words.push(word);
        rest = after.trim_start();
    }
    (words, whole)
}

/// A quoted name at the beginning, and what follows it; `None`: there is none, or
/// its end is not a word's.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if after.is_empty() || after.starts_with(char::is_whitespace) => {
                return Some((name, after));
            }
            None => return None,
        }
    }
}

/// What an answer may repeat of a text: not much of it, and no control characters.
pub fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.trim().chars().take(REPEATED_MAX).map(plain).collect();
    if text.trim().chars().nth(REPEATED_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// `SET key = value`, also with TO, the value bare or in quotes.
pub fn assignment(text: &str) -> Option<(String, String)> {
    let rest = text.trim().trim_end_matches(';').trim_end();
    let rest = rest.get(3..)?.trim_start();
    let end = rest.find(|c: char| c == '=' || c.is_whitespace())?;
    let (key, rest) = rest.split_at(end);
    let rest = rest.trim_start();
    let value = match rest.strip_prefix('=') {
        Some(value) => value,
        None => rest
            .get(..2)
            .filter(|word| word.eq_ignore_ascii_case("to"))
            .and_then(|_| rest.get(2..))
            .filter(|value| value.starts_with(char::is_whitespace))?,
    };
    let value = value.trim();
    let value = match value.strip_prefix('\'') {
        Some(quoted) => quoted.strip_suffix('\'')?.replace("''", "'"),
        None => value.to_owned(),
    };
    Some((key.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_quoted() {
        let table: [(&str, &[&str]); 9] = [
            ("pause shop;", &["pause", "shop"]),
            (" PAUSE\t\"My shop\" ; ", &["PAUSE", "My shop"]),
            (r#"kill "a""b""#, &["kill", "a\"b"]),
            (r#"pause """#, &["pause", ""]),
            (r#"pause "open"#, &["pause", "\"open"]),
            (r#"pause "a"b"#, &["pause", "\"a\"b"]),
            ("pause; resume", &["pause;", "resume"]),
            (" ; ", &[]),
            ("", &[]),
        ];
        for (text, expected) in table {
            let (seen, whole) = words(text);
            assert_eq!(seen, expected, "{text}");
            let broken = ["\"open", "\"a\"b"];
            assert_eq!(whole, !seen.iter().any(|w| broken.contains(&w.as_str())));
        }
    }

    #[test]
    fn little_of_a_text_is_repeated() {
        assert_eq!(shown(" a\x1b[1mb\n"), "a [1mb");
        assert_eq!(shown(&"ä".repeat(70_000)).chars().count(), 201);
    }

    #[test]
    fn set_is_read_in_each_of_its_forms() {
        let table = [
            ("SET a = 1", Some(("a", "1"))),
            ("set A=1;", Some(("a", "1"))),
            ("SET a TO 'x y'", Some(("a", "x y"))),
            ("SET q = 'it''s';", Some(("q", "it's"))),
            ("SET a = ", Some(("a", ""))),
            ("SET a = ''", Some(("a", ""))),
            ("SET a", None),
            ("SET a b", None),
            ("SET a = 'open", None),
            ("SET", None),
        ];
        for (text, expected) in table {
            let read = assignment(text);
            let read = read.as_ref().map(|(k, v)| (k.as_str(), v.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }

    /// Any pieces in any order: nothing panics, what is taken apart is whole.
    #[test]
    fn hostile_texts_are_taken_apart_without_a_panic() {
        let pieces = [
            "SET",
            "set ",
            "é",
            "=",
            "'",
            "''",
            "\"",
            "\"\"",
            " ",
            "\t",
            ";",
            "to",
            " TO ",
            "a",
            "\u{a0}",
            "\u{feff}",
            "\0",
            "e\u{301}",
            "\u{1f4a3}",
            "--",
            "1",
            "-1",
        ];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut read = 0;
        for _ in 0..200_000 {
            let mut text = String::new();
            for _ in 0..seed % 9 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                text.push_str(pieces[(seed >> 20) as usize % pieces.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (words, _) = words(&text);
            assert!(words.iter().all(|w| w.len() <= text.len()), "{text:?}");
            assert!(shown(&text).chars().all(|c| !c.is_control()), "{text:?}");
            if let Some((key, value)) = assignment(&text) {
                assert!(!key.contains('=') && value.len() <= text.len(), "{text:?}");
                read += 1;
            }
        }
        assert!(read > 100, "{read} assignments");
    }
}
