//! The fast path: is this text certainly one ordinary statement that leaves the session as it was?
//!
//! It does not find tokens. A text that begins with an ordinary verb can only change the session
//! by what some rare piece of text must spell out, so it looks for these pieces, sixteen bytes at
//! a time, wherever they stand. A hit in a string or a comment is a false alarm and costs only the
//! slow path.

use super::Verb;
use super::lex::{block_comment_end, is_space, line_end};

/// A semicolon: there may be a second statement.
pub(super) const SEMICOLON: u8 = 1;
/// `temp` as (the end of) a word: a temporary table.
pub(super) const TEMP: u8 = 2;
/// A part of `set_config` or of an advisory lock function's name.
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

const STEP: usize = 16;
/// The longest piece looks at five bytes after its first.
const WINDOW: usize = STEP + 5;

/// Written so that the compiler makes vector code of it: no branch, fixed lengths.
fn window_pieces(window: &[u8; WINDOW]) -> u8 {
    let mut low = [0u8; WINDOW];
    for (to, from) in low.iter_mut().zip(window) {
        *to = from | 0x20;
    }
    let mut hits = [0u8; STEP];
    for (i, hit) in hits.iter_mut().enumerate() {
        let semicolon = u8::from(low[i] == b';') * SEMICOLON;
        let temp = u8::from(
            (low[i] == b't') & (low[i + 1] == b'e') & (low[i + 2] == b'm') & (low[i + 3] == b'p'),
        ) * TEMP;
        // The underscore with the bit of lower case set is 0x7f.
        let config = u8::from(
            (low[i] == b't') & (low[i + 1] == 0x7f) & (low[i + 2] == b'c') & (low[i + 5] == b'f'),
        ) * CALL;
        let advisory = u8::from(
            (low[i] == b'd') & (low[i + 1] == b'v') & (low[i + 3] == b's') & (low[i + 4] == b'o'),
        ) * CALL;
        let name = u8::from((low[i] == b'&') & (low[i + 1] == b'"')) * UNICODE_NAME;
        *hit = semicolon | temp | config | advisory | name;
    }
    hits.iter().fold(0, |all, hit| all | hit)
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
    let mut word = [0u8; 7];
    let mut length = 0;
    for byte in rest {
        if !super::lex::is_word(*byte) {
            break;
        }
        *word.get_mut(length)? = byte | 0x20;
        length += 1;
    }
    Some(match word.get(..length)? {
        b"select" => Verb::Select,
        b"insert" => Verb::Insert,
        b"update" => Verb::Update,
        b"delete" => Verb::Delete,
        b"with" => Verb::With,
        b"values" => Verb::Values,
        b"merge" => Verb::Merge,
        b"table" => Verb::Table,
        b"fetch" => Verb::Fetch,
        b"move" => Verb::Move,
        b"show" => Verb::Show,
        b"execute" => Verb::Execute,
        _ => return None,
    })
}
