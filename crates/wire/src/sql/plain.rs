//! The fast path: is this text certainly one ordinary statement that leaves the session as it was?
//!
//! It does not find tokens. A text that begins with an ordinary verb can only change the session
//! by what some rare piece of text must spell out, so it looks for these pieces, eight bytes at
//! a time, wherever they stand. A hit in a string or a comment is a false alarm and costs only the
//! slow path.

use super::Verb;
use super::lex::{block_comment_end, is_space, line_end};

/// A semicolon: there may be a second statement.
pub(super) const SEMICOLON: u8 = 1;
/// `temp` as (the end of) a word: a temporary table.
pub(super) const TEMP: u8 = 2;
/// A part of `set_config`, of an advisory lock function's name, or of `pg_export_snapshot`.
pub(super) const CALL: u8 = 4;
/// `U&"`: a name that may spell anything.
const UNICODE_NAME: u8 = 8;

/// The verb of a plain text; none when the text may be anything else.
pub(super) fn plain_verb(text: &[u8]) -> Option<Verb> {
    let text = trim_end(text);
    let start = skip_lead(text)?;
    let rest = text.get(start..).unwrap_or_default();
    if rest.is_empty() {
        let parenthesis = memchr::memchr(b'(', text).is_some();
        return (!parenthesis).then_some(Verb::Empty);
    }
    let verb = leading_verb(rest)?;
    // The lead holds only white space, parentheses and comments: nothing in it can act.
    (pieces(rest, true) == 0).then_some(verb)
}

/// Which of the pieces occur in `text`, as a set of bits; with `any`, stops after the first.
pub(super) fn pieces(text: &[u8], any: bool) -> u8 {
    if !suspicious(text) {
        return 0;
    }
    let mut found = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let mut bits = match rest.first_chunk::<WINDOW>() {
            Some(window) => window_pieces(window),
            None => {
                let mut window = [0u8; WINDOW];
                for (to, from) in window.iter_mut().zip(rest) {
                    *to = *from;
                }
                window_pieces(&window)
            }
        };
        if bits & TEMP != 0 && !temp_word(text, at) {
            bits &= !TEMP;
        }
        if bits & UNICODE_NAME != 0 {
            bits |= TEMP | CALL;
        }
        found |= bits;
        if any && found != 0 {
            return found;
        }
        at += STEP;
    }
    found
}

/// Whether two bytes in a row of some piece occur anywhere. Most texts have none, so this is the
/// loop that each statement pays for: it has no branch, and the compiler makes vectors of it.
fn suspicious(text: &[u8]) -> bool {
    let mut hits = [0; LANES];
    let mut rest = text;
    while let Some(chunk) = rest.first_chunk() {
        pairs(chunk, &mut hits);
        rest = &rest[LANES..];
    }
    if !rest.is_empty() {
        match text.last_chunk() {
            // The last chunk again, as far from the start as it goes.
            Some(chunk) => pairs(chunk, &mut hits),
            None => {
                let mut chunk = [0; LANES + 1];
                chunk[..rest.len()].copy_from_slice(rest);
                pairs(&chunk, &mut hits);
            }
        }
        // A chunk compares pairs, so the last byte was the first of none.
        hits[0] |= u8::from(text.last() == Some(&b';'));
    }
    hits != [0; LANES]
}

/// Pairs that are compared at once.
const LANES: usize = 16;

/// Adds to `hits` where in the chunk a pair of some piece stands.
#[inline]
fn pairs(chunk: &[u8; LANES + 1], hits: &mut [u8; LANES]) {
    for (i, hit) in hits.iter_mut().enumerate() {
        // Letters in lower case; the underscore becomes 0x7f.
        let (a, b) = (chunk[i] | 0x20, chunk[i + 1] | 0x20);
        *hit |= u8::from(a == b';')
            | (u8::from(a == b'm') & u8::from(b == b'p'))
            | (u8::from(a == b't') & u8::from(b == 0x7f))
            | (u8::from(a == b'd') & u8::from(b == b'v'))
            | (u8::from(a == b'&') & u8::from(b == b'"'));
    }
}

/// The bytes of a machine word.
const STEP: usize = 8;
/// The longest piece looks at five bytes after its first.
const WINDOW: usize = 16;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Which pieces start in the window's first eight bytes; all eight are compared at once.
fn window_pieces(window: &[u8; WINDOW]) -> u8 {
    let text = u128::from_le_bytes(*window) | (u128::from(LOW) << 64 | u128::from(LOW)) << 5;
    // The lanes are zero where the byte `after` bytes on is `byte`.
    let differs = |after: u32, byte: u8| (text >> (8 * after)) as u64 ^ (LOW * u64::from(byte));
    let semicolon = differs(0, b';');
    let temp = differs(0, b't') | differs(1, b'e') | differs(2, b'm') | differs(3, b'p');
    // The underscore with the bit of lower case set is 0x7f.
    let config = differs(0, b't') | differs(1, 0x7f) | differs(2, b'c') | differs(5, b'f');
    let advisory = differs(0, b'd') | differs(1, b'v') | differs(3, b's') | differs(4, b'o');
    let snapshot = differs(0, b't')
        | differs(1, 0x7f)
        | differs(2, b's')
        | differs(3, b'n')
        | differs(5, b'p');
    let name = differs(0, b'&') | differs(1, b'"');
    // A lane that is zero borrows, which sets its high bit.
    let zeros = |lanes: u64| lanes.wrapping_sub(LOW) & !lanes & HIGH;
    let call = zeros(config) | zeros(advisory) | zeros(snapshot);
    if zeros(semicolon) | zeros(temp) | call | zeros(name) == 0 {
        return 0;
    }
    let bit = |lanes: u64, bit: u8| if lanes == 0 { 0 } else { bit };
    bit(zeros(semicolon), SEMICOLON)
        | bit(zeros(temp), TEMP)
        | bit(call, CALL)
        | bit(zeros(name), UNICODE_NAME)
}

/// Whether a `temp` that starts in this step is more than a part of `attempt` or `template`.
fn temp_word(text: &[u8], at: usize) -> bool {
    (at..at + STEP).any(|start| {
        let Some(word) = text.get(start..start + 4) else {
            return false;
        };
        let before = start.checked_sub(1).and_then(|i| text.get(i));
        let after = text.get(start + 4);
        word.eq_ignore_ascii_case(b"temp")
            && !before.is_some_and(u8::is_ascii_alphanumeric)
            && after.is_none_or(|b| matches!(b, b'o' | b'O') || !b.is_ascii_alphanumeric())
    })
}

fn trim_end(text: &[u8]) -> &[u8] {
    let kept = text
        .iter()
        .rposition(|byte| *byte != b';' && !is_space(*byte))
        .map_or(0, |last| last + 1);
    text.get(..kept).unwrap_or(text)
}

/// Past white space, opening parentheses and comments. None for a comment that does not end.
fn skip_lead(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at) {
            Some(b'(') => at += 1,
            Some(byte) if is_space(*byte) => at += 1,
            Some(b'/') if text.get(at + 1) == Some(&b'*') => at = block_comment_end(text, at)?,
            Some(b'-') if text.get(at + 1) == Some(&b'-') => at = line_end(text, at + 2),
            _ => return Some(at),
        }
    }
}

fn leading_verb(rest: &[u8]) -> Option<Verb> {
    // The word as a number: its letters in lower case, the first one lowest.
    let mut word = 0;
    let mut shift = 0;
    for byte in rest {
        if !super::lex::is_word(*byte) {
            break;
        }
        if shift == u64::BITS {
            return None;
        }
        word |= u64::from(byte | 0x20) << shift;
        shift += u8::BITS;
    }
    VERBS
        .iter()
        .find_map(|(name, verb)| (*name == word).then_some(*verb))
}

/// The verbs of ordinary statements, the most frequent first.
const VERBS: [(u64, Verb); 12] = [
    (number(b"select"), Verb::Select),
    (number(b"update"), Verb::Update),
    (number(b"insert"), Verb::Insert),
    (number(b"delete"), Verb::Delete),
    (number(b"with"), Verb::With),
    (number(b"values"), Verb::Values),
    (number(b"merge"), Verb::Merge),
    (number(b"table"), Verb::Table),
    (number(b"fetch"), Verb::Fetch),
    (number(b"move"), Verb::Move),
    (number(b"show"), Verb::Show),
    (number(b"execute"), Verb::Execute),
];

const fn number(word: &[u8]) -> u64 {
    let mut number = 0;
    let mut i = word.len();
    while i > 0 {
        i -= 1;
        number = number << 8 | word[i] as u64;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chunks of the first look and the windows of the second begin elsewhere in each text.
    #[test]
    fn a_piece_is_seen_wherever_it_stands() {
        let table = [
            (";", SEMICOLON),
            (" temp ", TEMP),
            (" TEMPorary ", TEMP),
            ("Set_Config", CALL),
            ("pg_ADVISORY_lock", CALL),
            ("pg_Export_Snapshot", CALL),
            ("u&\"x\"", UNICODE_NAME),
        ];
        for (piece, bit) in table {
            for before in 0..40 {
                for after in 0..40 {
                    let text = [" ".repeat(before), piece.into(), " ".repeat(after)].concat();
                    let found = pieces(text.as_bytes(), false);
                    assert!(found & bit != 0, "{text:?}: {found:b}");
                }
            }
        }
    }

    #[test]
    fn pieces_of_pieces_are_none() {
        for text in [
            "",
            "t",
            "select attempt, template from t_con where dv = 'advice' and compute & 1",
            "select m, p, t, _, d, v, &, '\"'",
            "select t_const, timestamp, _ from pgbench_accounts where t_id = 1",
        ] {
            assert_eq!(pieces(text.as_bytes(), false), 0, "{text:?}");
        }
    }

    #[test]
    fn verbs_are_whole_words() {
        for text in [
            "select 1",
            "SELECT 1",
            "(select 1)",
            "/* x */ Values (1)",
            "table t",
        ] {
            assert!(plain_verb(text.as_bytes()).is_some(), "{text:?}");
        }
        for text in [
            "selects 1",
            "sel 1",
            "executes x",
            "selectselect 1",
            "set x = 1",
            "execut",
        ] {
            assert!(plain_verb(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
