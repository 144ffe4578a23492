//! Templates in YAML: ERB's `<%= … %>` and Helm's `{{ … }}`, put out of the
//! parser's way. Every byte keeps its place; a tag's literal default stays
//! where it stands, the rest becomes space or a neutral word.

use std::ops::Range;

/// Tags beyond these are left as they are.
const TAGS_MAX: usize = 5_000;

/// A text without its tags.
pub(crate) struct Plain {
    /// As long as the original, in bytes.
    pub text: String,
    /// Defaults that were kept, and the variables that would replace them.
    pub defaults: Vec<(Range<usize>, String)>,
    /// Whether there were any tags.
    pub templated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Erb,
    Helm,
}

/// What becomes of a tag.
enum Fate {
    /// Nothing is left of it.
    Blank,
    /// Its default stays; the variable, where it has a name.
    Keep(Range<usize>, Option<String>),
    /// A word that is no number and no secret.
    Neutral,
}

/// Takes the tags out.
pub(crate) fn plain(text: &str) -> Plain {
    let mut bytes = text.as_bytes().to_vec();
    let mut defaults = Vec::new();
    let mut from = 0;
    let mut count = 0;
    while let Some((tag, dialect)) = next(text, from) {
        from = tag.end;
        count += 1;
        if count > TAGS_MAX {
            break;
        }
        let fate = fate(text, &tag, dialect);
        let keep = match &fate {
            Fate::Keep(range, _) => range.clone(),
            Fate::Blank | Fate::Neutral => tag.start..tag.start,
        };
        let neutral = matches!(fate, Fate::Neutral);
        for (at, byte) in bytes.iter_mut().enumerate().take(tag.end).skip(tag.start) {
            *byte = match *byte {
                b'\n' => b'\n',
                kept if keep.contains(&at) => kept,
                _ if neutral && at == tag.start => b'$',
                _ if neutral => b'_',
                _ => b' ',
            };
        }
        if let Fate::Keep(range, Some(name)) = fate {
            defaults.push((range, name));
        }
    }
    Plain {
        // Tags end at character boundaries, so this cannot fail.
        text: String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned()),
        defaults,
        templated: count > 0,
    }
}

/// The next whole tag at or after `from`.
fn next(text: &str, from: usize) -> Option<(Range<usize>, Dialect)> {
    let bytes = text.as_bytes().get(from..)?;
    let opening = |pair: &[u8]| pair == b"<%" || pair == b"{{";
    let start = from + bytes.windows(2).position(opening)?;
    let rest = text.get(start..)?;
    let (close, dialect) = match rest.starts_with('<') {
        true => ("%>", Dialect::Erb),
        false => ("}}", Dialect::Helm),
    };
    let end = start + rest.find(close)? + close.len();
    Some((start..end, dialect))
}

fn fate(text: &str, tag: &Range<usize>, dialect: Dialect) -> Fate {
    let body = text.get(tag.clone()).unwrap_or("");
    let before = text.as_bytes().get(..tag.start).unwrap_or(&[]);
    let after = text.as_bytes().get(tag.end..).unwrap_or(&[]);
    let visible = |b: &&u8| **b != b' ' && **b != b'\t' && **b != b'\r';
    let line_end = |b: Option<&u8>| b.is_none_or(|b| *b == b'\n');
    let alone = line_end(before.iter().rev().find(visible)) && line_end(after.iter().find(visible));
    if alone || body.contains('\n') || is_statement(body, dialect) {
        return Fate::Blank;
    }
    let opens = |b: &u8| b" \t\n\"'[,".contains(b);
    let closes = |b: &u8| b" \t\r\n\"'],".contains(b);
    let whole = before.last().is_none_or(opens) && after.first().is_none_or(closes);
    let found = match dialect {
        Dialect::Erb => erb(body),
        Dialect::Helm => helm(body),
    };
    match found {
        Some((range, name)) if whole => {
            Fate::Keep(tag.start + range.start..tag.start + range.end, name)
        }
        _ => Fate::Neutral,
    }
}

/// A tag that prints nothing.
fn is_statement(body: &str, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Erb => !body.starts_with("<%="),
        Dialect::Helm => {
            let words = body.trim_start_matches(['{', '-']).trim_start();
            let first = words.split(|c: char| !c.is_ascii_alphabetic()).next();
            let silent = ["if", "else", "end", "range", "with", "define", "block"];
            words.starts_with("/*")
                || first.is_some_and(|word| silent.contains(&word))
                || (words.starts_with('$') && words.contains(":="))
        }
    }
}

/// The default of `ENV.fetch("X") { 5 }`, `ENV.fetch("X", 5)`, `ENV["X"] || 5`,
/// or a plain literal.
fn erb(body: &str) -> Option<(Range<usize>, Option<String>)> {
    let inner_end = body.len().checked_sub(2)?;
    let Some(env) = body.find("ENV") else {
        let (range, end) = literal(body, 3..inner_end)?;
        let plain = body
            .get(end..inner_end)?
            .trim_matches([' ', '-'])
            .is_empty();
        return plain.then_some((range, None));
    };
    let (name, mut after) = literal(body, env..inner_end)?;
    let (mut range, mut end) = literal(body, after..inner_end)?;
    // `ENV["A"] || ENV.fetch("B", 5)`: the last default holds.
    while body.get(after..range.start)?.contains("ENV") {
        after = end;
        (range, end) = literal(body, after..inner_end)?;
    }
    let between = body.get(after..range.start)?;
    let is_default = [",", "{", "||"].iter().any(|mark| between.contains(mark));
    let rest = body.get(end..inner_end)?;
    let computed = ["+", "*", "/", " - ", "ENV", "?"]
        .iter()
        .any(|mark| rest.contains(mark));
    let name = body.get(name)?.to_owned();
    (is_default && !computed).then_some((range, Some(name)))
}

/// The default of `default 5 .Values.x` and `.Values.x | default 5`.
fn helm(body: &str) -> Option<(Range<usize>, Option<String>)> {
    let inner_end = body.len().checked_sub(2)?;
    let computed = ["mul ", "add ", "sub ", "div ", "printf", "max ", "min "];
    if computed.iter().any(|word| body.contains(word)) {
        return None;
    }
    let at = body.find("default ")? + "default ".len();
    let first = body.get(at..inner_end)?.trim_start().chars().next()?;
    if !(first.is_ascii_digit() || first == '"') {
        return None;
    }
    let (range, _) = literal(body, at..inner_end)?;
    let value = body.find(".Values.").and_then(|n| {
        let rest = body.get(n + 1..)?;
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c)));
        rest.get(..end.unwrap_or(rest.len()))
    });
    Some((range, value.map(str::to_owned)))
}

/// The first number or quoted text in a stretch: its content, and where it ends.
fn literal(body: &str, within: Range<usize>) -> Option<(Range<usize>, usize)> {
    let stretch = body.get(within.clone())?;
    let quote_or_digit = |c: char| c == '"' || c == '\'' || c.is_ascii_digit();
    let at = stretch.find(quote_or_digit)?;
    let start = within.start + at;
    let first = stretch.get(at..)?.chars().next()?;
    if first.is_ascii_digit() {
        let rest = body.get(start..within.end)?;
        let length = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'));
        let length = length.unwrap_or(rest.len());
        // `5.to_i`: the dot is Ruby's.
        let length = rest.get(..length)?.trim_end_matches('.').len();
        return Some((start..start + length, start + length));
    }
    let length = body.get(start + 1..within.end)?.find(first)?;
    Some((start + 1..start + 1 + length, start + 2 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_their_default_or_a_neutral_word_of_the_same_length() {
        for (text, expected, variable) in [
            (
                "pool: <%= ENV.fetch(\"RAILS_MAX_THREADS\") { 5 } %>\nx: 1",
                "pool: 5\nx: 1",
                Some("RAILS_MAX_THREADS"),
            ),
            ("pool: <%= ENV.fetch('P', 7) %>", "pool: 7", Some("P")),
            (
                "pool: <%= ENV.fetch(\"P\", \"7\").to_i %>",
                "pool: 7",
                Some("P"),
            ),
            ("pool: <%= ENV['P'] || 7 %>", "pool: 7", Some("P")),
            ("pool: <%= 9 %>", "pool: 9", None),
            (
                "pool: <%= ENV['P'] || ENV.fetch('Q', 4) %>",
                "pool: 4",
                Some("P"),
            ),
            ("pool: <%= ENV['P'] || ENV['Q'] %>", "pool: $_", None),
            ("pool: <%= ENV['P'] %>", "pool: $_", None),
            ("pool: <%= ENV.fetch('P', 7).to_i * 2 %>", "pool: $_", None),
            ("u: a<%= ENV.fetch('P', 7) %>", "u: a$_", None),
            ("<% if x %>\na: 1\n<% end %>", "\na: 1\n", None),
            (
                "replicas: {{ .Values.n | default 3 }}",
                "replicas: 3",
                Some("Values.n"),
            ),
            (
                "replicas: {{ default 3 .Values.n }}",
                "replicas: 3",
                Some("Values.n"),
            ),
            ("name: {{ .Release.Name }}-x", "name: $_-x", None),
            ("{{- if .Values.x }}\na: 1\n{{- end }}", "\na: 1\n", None),
            ("a: ü {{ über }} b", "a: ü $_ b", None),
            ("a: <%= never closed", "a: <%= never closed", None),
        ] {
            let found = plain(text);
            assert_eq!(found.text.len(), text.len(), "{text}");
            let squeezed = |s: &str| {
                let lines = s.split('\n').map(|l| {
                    let words: Vec<_> = l.split_whitespace().collect();
                    words.join(" ")
                });
                let mut all = lines.collect::<Vec<_>>().join("\n");
                while all.contains("__") {
                    all = all.replace("__", "_");
                }
                all
            };
            assert_eq!(squeezed(&found.text), expected, "{text}");
            let name = found.defaults.first().map(|(_, name)| name.as_str());
            assert_eq!(name, variable, "{text}");
            if let Some((range, _)) = found.defaults.first() {
                assert_eq!(text[range.clone()], found.text[range.clone()]);
            }
        }
    }

    #[test]
    fn many_tags_end() {
        let text = "a: {{ x }}\n".repeat(TAGS_MAX + 5);
        assert_eq!(plain(&text).text.len(), text.len());
        assert_eq!(plain("{{{{{{").text, "{{{{{{");
    }
}
