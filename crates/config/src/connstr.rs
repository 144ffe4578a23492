//! PgBouncer's connection strings: `key=value` pairs, values in `'…'` with `''` for a quote.

use std::ops::Range;

/// One pair. Ranges are bytes of the whole string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pair {
    pub key: String,
    pub key_at: Range<usize>,
    pub value: String,
    pub value_at: Range<usize>,
}

/// The pairs up to the end, or up to the place where the form breaks.
pub(crate) fn pairs(text: &str) -> (Vec<Pair>, Option<(usize, &'static str)>) {
    let mut pairs = Vec::new();
    let mut at = skip_blank(text, 0);
    while at < text.len() {
        match pair(text, at) {
            Ok((pair, end)) => {
                pairs.push(pair);
                at = skip_blank(text, end);
            }
            Err((at, what)) => return (pairs, Some((at, what))),
        }
    }
    (pairs, None)
}

fn skip_blank(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest.len() - rest.trim_start_matches([' ', '\t']).len()
}

fn pair(text: &str, at: usize) -> Result<(Pair, usize), (usize, &'static str)> {
    let rest = &text[at..];
    let key_len = rest.find(['=', ' ', '\t']).unwrap_or(rest.len());
    let is_password = &rest[..key_len] == "password";
    let equals = skip_blank(text, at + key_len);
    if key_len == 0 || !text[equals..].starts_with('=') {
        return Err((at, "expected key=value"));
    }
    let start = skip_blank(text, equals + 1);
    let (value, end) = if text[start..].starts_with('\'') {
        unquote(text, start).ok_or((start, "the quote is not closed"))?
    } else {
        let rest = &text[start..];
        let len = rest.find(' ').unwrap_or(rest.len());
        // `user= password=x` names a user "password=x" in PgBouncer: a slip that would show a secret.
        if !is_password && rest[..len].contains("password=") {
            return Err((start, "a value or a blank is missing before password="));
        }
        (rest[..len].to_owned(), start + len)
    };
    if value.is_empty() {
        return Err((start, "a value is missing"));
    }
    let key_at = at..at + key_len;
    let key = rest[..key_len].to_owned();
    Ok((
        Pair {
            key,
            key_at,
            value,
            value_at: start..end,
        },
        end,
    ))
}

fn unquote(text: &str, start: usize) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text[start..].char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return Some((value, start + at + 1));
        }
    }
    None
}

/// What of a connection string may not be shown: passwords, values of unknown
/// keys (a mistyped `password`), and all that follows where the form breaks.
pub(crate) fn secrets(text: &str, known: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let (pairs, broken) = pairs(text);
    let hidden = |p: &Pair| p.key == "password" || !known(&p.key);
    let doubtful = broken.is_some() || pairs.iter().any(|p| !known(&p.key));
    let first = pairs.iter().find(|p| hidden(p));
    match (first, broken) {
        // What follows a doubtful password may be the rest of it.
        (Some(first), _) if doubtful => std::iter::once(first.value_at.start..text.len()).collect(),
        (None, Some((at, _))) => std::iter::once(at..text.len()).collect(),
        _ => pairs
            .iter()
            .filter(|p| hidden(p))
            .map(|p| p.value_at.clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let (pairs, broken) = pairs(text);
        assert_eq!(broken, None, "{text}");
        pairs.into_iter().map(|p| (p.key, p.value)).collect()
    }

    #[test]
    fn quotes_and_blanks_as_pgbouncer_reads_them() {
        let got = read(" host=h  port = 1 password='a ''b'' c' user=x");
        let want = [
            ("host", "h"),
            ("port", "1"),
            ("password", "a 'b' c"),
            ("user", "x"),
        ];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(read("").is_empty());
    }

    #[test]
    fn broken_forms_are_found() {
        for text in [
            "host",
            "=x",
            "host=",
            "password='abc",
            "a=b c",
            "host='' port=1",
        ] {
            assert!(pairs(text).1.is_some(), "{text}");
        }
    }
}
