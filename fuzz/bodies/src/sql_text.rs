//! Reading SQL: it always ends, never shows a literal, and "plain" is a promise.

use wire::sql::{self, Change, Quoting};

/// Hides in a literal; nothing that is shown may hold it.
const MARKER: &str = "77340177";

/// A text is repeated up to this length, bytes.
const LONG: usize = 64 * 1024;

/// The properties of `wire::sql` on one text.
pub fn sql(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    // A zero byte ends a text in the protocol, so none is ever inside one.
    let text: Vec<u8> = text.iter().map(|b| (*b).max(1)).collect();
    let text = text.as_slice();
    let quoting = Quoting {
        standard_conforming_strings: choice & 1 == 0,
    };
    properties(text, quoting);
    if choice & 2 != 0 {
        planted(choice, text, quoting);
    }
    if choice & 4 != 0 {
        pieces(text, quoting);
    }
    if choice & 0xe0 == 0xe0 {
        // What takes quadratic time shows as an input that is too slow for the fuzzer.
        properties(&text.repeat(LONG / text.len().max(1)), quoting);
    }
}

fn properties(text: &[u8], quoting: Quoting) -> String {
    let script = sql::read(text, quoting);
    if sql::is_plain(text) {
        assert!(script.statements <= 1 && script.effects.is_empty());
        // What is plain stays so in a longer script: the full reader agrees.
        let longer = [text, b"\n;begin"].concat();
        let both = sql::read(&longer, quoting);
        let other = |e: &&sql::Effect| e.change != Change::Begin;
        if !both.broken {
            assert!(
                both.effects.iter().all(|e| !other(&e)),
                "a plain text has an effect: {:?}",
                both.effects
            );
        }
    }
    assert!(script.effects.len() <= sql::EFFECTS_MAX);
    assert!(
        script
            .effects
            .iter()
            .all(|e| e.statement < script.statements.max(1))
    );
    let pieces: usize = sql::statements(text, quoting).map(<[u8]>::len).sum();
    assert!(pieces <= text.len(), "statements do not overlap");
    for effect in &script.effects {
        replays(effect, quoting);
    }
    let (mut whole, mut cut) = (String::new(), String::new());
    sql::normalise(text, quoting, 1 << 20, &mut whole);
    sql::normalise(text, quoting, 40, &mut cut);
    assert!(cut.len() <= 40);
    let mut part = String::new();
    let half = text.get(..text.len() / 2).unwrap_or_default();
    sql::normalise(
        sql::whole_tokens(half, quoting),
        quoting,
        1 << 20,
        &mut part,
    );
    assert!(
        whole.len() <= 3 * text.len() + 16,
        "{} from {}",
        whole.len(),
        text.len()
    );
    assert_eq!(
        sql::fingerprint(text, quoting),
        sql::fingerprint(text, quoting)
    );
    format!("{whole} {cut} {part} {script:?} {:?}", sql::tags(text))
}

/// What is replayed reads back as the one change that it repeats.
fn replays(effect: &sql::Effect, quoting: Quoting) {
    let Change::Set { name, value, .. } = &effect.change else {
        return;
    };
    let mut out = Vec::new();
    sql::replay(name, value, &mut out);
    let again = sql::read(&out, quoting);
    let sets = |e: &sql::Effect| matches!(&e.change, Change::Set { name: n, local: false, .. } if n == name);
    assert!(
        again.statements == 1 && again.effects.len() == 1 && again.effects.iter().all(sets),
        "{name}: replayed as {:?}, which reads as {again:?}",
        String::from_utf8_lossy(&out)
    );
}

/// A literal with the marker, with the fuzzer's text before, inside and behind it, closed properly.
fn planted(choice: u8, text: &[u8], quoting: Quoting) {
    // What stands before must not swallow the literal's quotes: only words and marks without quotes.
    let head: String = text
        .iter()
        .take(40)
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b' ' | b'(' | b')' | b',' | b'=' | b'.' => char::from(*b),
            b'0'..=b'9' => ' ',
            _ => ',',
        })
        .collect();
    let inner: String = text
        .iter()
        .skip(40)
        .take(20)
        .filter(|b| b.is_ascii_alphanumeric() || b" ;-/*\"$(),".contains(b))
        .map(|b| char::from(*b))
        .collect();
    let tail = String::from_utf8_lossy(text.get(60..).unwrap_or_default()).into_owned();
    let plain = inner.replace(['$', '"'], "");
    let literal = match choice >> 3 & 7 {
        0 => format!("'{inner}{MARKER}{inner}'"),
        1 => format!("E'\\'{inner}{MARKER}\\\\'"),
        2 => format!("U&'{inner}{MARKER}'"),
        3 => format!("$t${plain}{MARKER}{inner}$t$"),
        4 => format!("'a'\n'{inner}{MARKER}'"),
        5 => format!("B'{MARKER}'"),
        6 => format!("/* {} {MARKER} */", plain.replace(['*', '/'], "")),
        _ => MARKER.to_owned(),
    };
    // A space keeps a word before it from becoming the literal's prefix or its dollar tag.
    let full = format!("{head} {literal} {tail}");
    let shown = properties(full.as_bytes(), quoting);
    assert!(
        !shown.contains(MARKER) || tail.contains(MARKER) || head.contains(MARKER),
        "{full:?} is shown as {shown}"
    );
}

/// A text put together from the words that the reader knows: what bytes alone find late.
fn pieces(data: &[u8], quoting: Quoting) {
    const WORDS: [&str; 64] = [
        "select",
        "set",
        "x",
        "=",
        "to",
        "set_config(",
        "pg_advisory_lock(",
        "temp",
        "into",
        "create",
        "function",
        "begin",
        "atomic",
        "case",
        "end",
        "role",
        "copy",
        "from",
        "local",
        "session",
        "update",
        "with",
        "u&",
        "e",
        "$",
        "$$",
        "$a$",
        "$1",
        "'",
        "\"",
        "\\",
        "/*",
        "*/",
        "--",
        "\n",
        ";",
        ",",
        "(",
        ")",
        "[",
        "]",
        "::",
        ".",
        "-",
        "1",
        "0x",
        "é",
        "explain",
        "analyze",
        "alter",
        "table",
        "pg_temp",
        "drop",
        "values",
        "hold",
        "declare",
        "cursor for",
        "listen",
        "discard all",
        "prepare",
        "execute",
        "deallocate",
        "rollback to",
        "savepoint",
    ];
    let mut text = String::new();
    for &pick in data {
        text.push_str(WORDS[usize::from(pick) % WORDS.len()]);
        if pick >= 128 {
            text.push(' ');
        }
    }
    properties(text.as_bytes(), quoting);
}
