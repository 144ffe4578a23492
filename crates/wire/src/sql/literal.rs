//! What string constants stand for, and how to write them again.

use super::cursor::inner;
use super::lex::{Kind, is_space, line_end};

/// The text of a string constant; none when the server would refuse it, or it is not UTF-8.
pub(super) fn decode(kind: Kind, token: &[u8]) -> Option<String> {
    let bytes = match kind {
        Kind::Text => segments(prefix(token, b'\'')?, false),
        Kind::EscapeText => return escapes(&segments(prefix(token, b'\'')?, true)),
        Kind::UnicodeText => {
            let raw = String::from_utf8(segments(prefix(token, b'\'')?, false)).ok()?;
            return unicode(&raw);
        }
        Kind::Dollar => {
            let tag = memchr::memchr(b'$', token.get(1..)?)? + 2;
            inner(token, tag, tag)?.to_vec()
        }
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

/// Adds `text` as a constant that means the same whatever `standard_conforming_strings` is.
pub(super) fn quote(text: &str, out: &mut String) {
    if text.contains('\\') {
        out.push('E');
    }
    out.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('\'');
}

/// `a""b` with `"` doubled becomes `a"b`.
pub(super) fn undouble(bytes: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        out.push(byte);
        if byte == quote {
            bytes.next_if_eq(&quote);
        }
    }
    out
}

/// What follows the opening quote.
fn prefix(token: &[u8], quote: u8) -> Option<&[u8]> {
    token.get(memchr::memchr(quote, token)? + 1..)
}

/// Joins the parts of a constant that goes on over several lines, and undoubles its quotes.
/// `escaped` keeps backslashes and what follows them as they are.
fn segments(body: &[u8], escaped: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match byte {
            b'\\' if escaped => {
                out.extend(body.get(at..at + 2).unwrap_or_default());
                at += 2;
            }
            b'\'' if body.get(at + 1) == Some(&b'\'') => {
                out.push(b'\'');
                at += 2;
            }
            b'\'' => at = next_segment(body, at + 1),
            other => {
                out.push(*other);
                at += 1;
            }
        }
    }
    out
}

/// Past the white space between two parts, and the opening quote of the second.
fn next_segment(body: &[u8], mut at: usize) -> usize {
    loop {
        match body.get(at) {
            Some(b'-') => at = line_end(body, at),
            Some(byte) if is_space(*byte) => at += 1,
            _ => return at + 1,
        }
    }
}

/// Resolves the backslashes of `E'…'`.
fn escapes(bytes: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut surrogate = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if *byte != b'\\' {
            out.push(*byte);
            surrogate.is_none().then_some(())?;
            continue;
        }
        let letter = *bytes.get(at)?;
        at += 1;
        let digits = match letter {
            b'u' => 4,
            b'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let text = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?;
            at += digits;
            push_code(hex(text)?, &mut surrogate, &mut out)?;
            continue;
        }
        surrogate.is_none().then_some(())?;
        let (value, used) = match letter {
            b'b' => (8, 0),
            b'f' => (12, 0),
            b'n' => (b'\n', 0),
            b'r' => (b'\r', 0),
            b't' => (b'\t', 0),
            b'v' => (11, 0),
            b'0'..=b'7' => radix(bytes, at - 1, 3, 8, 1),
            b'x' if bytes.get(at).is_some_and(u8::is_ascii_hexdigit) => radix(bytes, at, 2, 16, 0),
            other => (other, 0),
        };
        at += used;
        out.push(value);
    }
    (surrogate.is_none() && !out.contains(&0)).then_some(())?;
    String::from_utf8(out).ok()
}

/// A byte given by up to `most` digits from `at`; `already` of them have been passed.
fn radix(bytes: &[u8], at: usize, most: usize, base: u32, already: usize) -> (u8, usize) {
    let mut value = 0u32;
    let mut used = 0;
    while used < most {
        let digit = bytes
            .get(at + used)
            .and_then(|byte| char::from(*byte).to_digit(base));
        let Some(digit) = digit else { break };
        value = value * base + digit;
        used += 1;
    }
    // The server keeps the low eight bits as well.
    ((value & 0xff) as u8, used.saturating_sub(already))
}

/// Resolves the backslashes of `U&'…'` and `U&"…"`, with the default escape character.
pub(super) fn unicode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut surrogate = None;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, tail) = rest.split_at(at);
        if !plain.is_empty() {
            surrogate.is_none().then_some(())?;
            out.extend(plain.as_bytes());
        }
        let tail = tail.get(1..)?;
        if let Some(after) = tail.strip_prefix('\\') {
            surrogate.is_none().then_some(())?;
            out.push(b'\\');
            rest = after;
            continue;
        }
        let (digits, length) = match tail.strip_prefix('+') {
            Some(_) => (tail.get(1..7)?, 7),
            None => (tail.get(..4)?, 4),
        };
        push_code(hex(digits)?, &mut surrogate, &mut out)?;
        rest = tail.get(length..)?;
    }
    if !rest.is_empty() {
        surrogate.is_none().then_some(())?;
    }
    out.extend(rest.as_bytes());
    surrogate.is_none().then_some(())?;
    String::from_utf8(out).ok()
}

fn hex(digits: &str) -> Option<u32> {
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| all)
}

/// Adds a code point. The halves of a surrogate pair come one after the other.
fn push_code(code: u32, surrogate: &mut Option<u32>, out: &mut Vec<u8>) -> Option<()> {
    let code = match (surrogate.take(), code) {
        (None, 0xd800..=0xdbff) => {
            *surrogate = Some(code);
            return Some(());
        }
        (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00),
        (Some(_), _) | (None, 0) => return None,
        (None, code) => code,
    };
    let mut buffer = [0; 4];
    out.extend(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    Some(())
}
