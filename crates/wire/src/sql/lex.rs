//! PostgreSQL's lexical rules: where a token starts and ends, never what it means.
//!
//! Follows the server's scanner, with three deliberate differences that cannot change where a
//! statement ends: operators come one byte at a time, numbers take the wider syntax of
//! PostgreSQL 16 (`0x1F`, `1_000`), and what the server refuses as a whole comes as [`Kind::Bad`].

use memchr::{memchr, memchr2, memmem};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or an identifier without quotes.
    Word,
    /// `"name"`.
    Quoted,
    /// `U&"name"`.
    UnicodeQuoted,
    /// `'text'`, or `N'text'`.
    Text,
    /// `E'text'`, and `'text'` when standard_conforming_strings is off.
    EscapeText,
    /// `U&'text'`.
    UnicodeText,
    /// `B'01'` and `X'1F'`.
    Bits,
    /// `$tag$text$tag$`.
    Dollar,
    /// Any number, without its sign.
    Number,
    /// `$1`.
    Parameter,
    /// One byte of punctuation or of an operator.
    Mark(u8),
    /// From here to the end the text cannot be read; the server refuses all of it.
    Bad,
}

impl Kind {
    /// A constant whose text may be a secret.
    pub(super) fn is_literal(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Text | EscapeText | UnicodeText | Bits | Dollar | Number
        )
    }

    /// A string constant that SQL accepts wherever it wants one (not bit strings).
    pub(super) fn is_string(self) -> bool {
        use Kind::*;
        matches!(self, Text | EscapeText | UnicodeText | Dollar)
    }

    /// An identifier in any of its forms.
    pub(super) fn is_name(self) -> bool {
        matches!(self, Kind::Word | Kind::Quoted | Kind::UnicodeQuoted)
    }
}

/// One token: `start..end` in the text it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads tokens from left to right. Copying it is how one looks ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether a backslash in `'text'` is an escape.
    backslashes: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], quoting: super::Quoting) -> Self {
        Lexer {
            text,
            at: 0,
            backslashes: !quoting.standard_conforming_strings,
        }
    }

    /// The bytes of a token that this lexer (or a copy) has returned.
    pub(super) fn bytes(&self, token: Token) -> &'a [u8] {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// The same lexer, blind to everything that lies more than `bytes` ahead. Bounds a look-ahead.
    pub(super) fn within(mut self, bytes: usize) -> Self {
        let end = self.at.saturating_add(bytes).min(self.text.len());
        self.text = self.text.get(..end).unwrap_or(self.text);
        self
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    fn token(&mut self, kind: Kind, start: usize, end: usize) -> Token {
        self.at = end;
        Token { kind, start, end }
    }

    fn bad(&mut self, start: usize) -> Token {
        let end = self.text.len();
        self.token(Kind::Bad, start, end)
    }

    /// Moves past white space and comments. False when a comment does not end.
    fn skip_blank(&mut self) -> bool {
        loop {
            match self.byte(self.at) {
                Some(byte) if is_space(byte) => self.at += 1,
                Some(b'-') if self.byte(self.at + 1) == Some(b'-') => {
                    self.at = line_end(self.text, self.at + 2);
                }
                Some(b'/') if self.byte(self.at + 1) == Some(b'*') => {
                    match block_comment_end(self.text, self.at) {
                        Some(end) => self.at = end,
                        None => return false,
                    }
                }
                _ => return true,
            }
        }
    }

    fn word(&mut self, start: usize) -> Token {
        let (first, second) = (self.byte(start), self.byte(start + 1));
        match (first, second) {
            (Some(b'e' | b'E'), Some(b'\'')) => {
                return self.string(Kind::EscapeText, start, start + 2, true);
            }
            (Some(b'b' | b'B' | b'x' | b'X'), Some(b'\'')) => {
                return self.string(Kind::Bits, start, start + 2, false);
            }
            (Some(b'n' | b'N'), Some(b'\'')) => {
                let backslashes = self.backslashes;
                return self.string(text_kind(backslashes), start, start + 2, backslashes);
            }
            (Some(b'u' | b'U'), Some(b'&')) => match self.byte(start + 2) {
                Some(b'\'') => return self.string(Kind::UnicodeText, start, start + 3, false),
                Some(b'"') => return self.quoted(Kind::UnicodeQuoted, start, start + 3),
                _ => {}
            },
            _ => {}
        }
        let length = self
            .rest(start)
            .iter()
            .position(|byte| !is_word(*byte))
            .unwrap_or(self.text.len() - start);
        self.token(Kind::Word, start, start + length)
    }

    /// A string whose opening quote ends at `from`, with its continuations on later lines.
    fn string(&mut self, kind: Kind, start: usize, from: usize, backslashes: bool) -> Token {
        let mut at = from;
        loop {
            let rest = self.rest(at);
            let found = if backslashes {
                memchr2(b'\'', b'\\', rest)
            } else {
                memchr(b'\'', rest)
            };
            let Some(offset) = found else {
                return self.bad(start);
            };
            at += offset;
            if self.byte(at) == Some(b'\\') || self.byte(at + 1) == Some(b'\'') {
                at += 2;
                continue;
            }
            at += 1;
            match self.continuation(at) {
                Some(next) => at = next,
                None => return self.token(kind, start, at),
            }
        }
    }

    /// Where a string goes on after its closing quote: SQL joins strings that are separated by
    /// white space with at least one newline. Line comments count as white space, others do not.
    fn continuation(&self, from: usize) -> Option<usize> {
        let mut at = from;
        let mut newline = false;
        loop {
            match self.byte(at)? {
                b'\n' | b'\r' => {
                    newline = true;
                    at += 1;
                }
                byte if is_space(byte) => at += 1,
                b'-' if self.byte(at + 1) == Some(b'-') => at = line_end(self.text, at + 2),
                b'\'' if newline => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn quoted(&mut self, kind: Kind, start: usize, from: usize) -> Token {
        let mut at = from;
        loop {
            let Some(offset) = memchr(b'"', self.rest(at)) else {
                return self.bad(start);
            };
            at += offset + 1;
            if self.byte(at) != Some(b'"') {
                return self.token(kind, start, at);
            }
            at += 1;
        }
    }

    /// `$1`, `$tag$…$tag$`, or a lone dollar sign.
    fn dollar(&mut self, start: usize) -> Token {
        let digits = count(self.rest(start + 1), |byte| byte.is_ascii_digit());
        if digits > 0 {
            return self.token(Kind::Parameter, start, start + 1 + digits);
        }
        let tag = count(self.rest(start + 1), |byte| byte != b'$' && is_word(byte));
        let open = start + 1 + tag;
        if self.byte(open) != Some(b'$') {
            return self.token(Kind::Mark(b'$'), start, start + 1);
        }
        let mark = self.text.get(start..=open).unwrap_or_default();
        match memmem::find(self.rest(open + 1), mark) {
            Some(offset) => self.token(Kind::Dollar, start, open + 1 + offset + mark.len()),
            None => self.bad(start),
        }
    }

    fn number(&mut self, start: usize) -> Token {
        let radix = match (self.byte(start), self.byte(start + 1)) {
            (Some(b'0'), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B')) => {
                count(self.rest(start + 2), |byte| {
                    byte == b'_' || byte.is_ascii_hexdigit()
                })
            }
            _ => 0,
        };
        if radix > 0 {
            return self.token(Kind::Number, start, start + 2 + radix);
        }
        let digit = |byte: u8| byte == b'_' || byte.is_ascii_digit();
        let mut at = start + count(self.rest(start), digit);
        // `1..10` is two numbers and a range, not `1.` and `.10`.
        if self.byte(at) == Some(b'.') && self.byte(at + 1) != Some(b'.') {
            at += 1;
            at += count(self.rest(at), digit);
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(at + 1), Some(b'+' | b'-')));
            let digits = count(self.rest(at + 1 + sign), digit);
            if digits > 0 {
                at += 1 + sign + digits;
            }
        }
        self.token(Kind::Number, start, at)
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if !self.skip_blank() {
            let start = self.at;
            return Some(self.bad(start));
        }
        let start = self.at;
        let first = self.byte(start)?;
        Some(match first {
            b'\'' => {
                let backslashes = self.backslashes;
                self.string(text_kind(backslashes), start, start + 1, backslashes)
            }
            b'"' => self.quoted(Kind::Quoted, start, start + 1),
            b'$' => self.dollar(start),
            b'0'..=b'9' => self.number(start),
            b'.' if self.byte(start + 1).is_some_and(|b| b.is_ascii_digit()) => self.number(start),
            byte if is_word(byte) => self.word(start),
            byte if byte.is_ascii_graphic() => self.token(Kind::Mark(byte), start, start + 1),
            _ => self.bad(start),
        })
    }
}

fn text_kind(backslashes: bool) -> Kind {
    if backslashes {
        Kind::EscapeText
    } else {
        Kind::Text
    }
}

/// Where the block comment that opens at `from` ends; comments nest.
pub(super) fn block_comment_end(text: &[u8], from: usize) -> Option<usize> {
    let mut depth = 1u64;
    let mut at = from + 2;
    loop {
        let rest = text.get(at..)?;
        at += memchr2(b'*', b'/', rest)?;
        match (text.get(at), text.get(at + 1)) {
            (Some(b'*'), Some(b'/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            (Some(b'/'), Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// Where the line that holds `from` ends: at its newline, or at the end of the text.
pub(super) fn line_end(text: &[u8], from: usize) -> usize {
    match memchr2(b'\n', b'\r', text.get(from..).unwrap_or_default()) {
        Some(offset) => from + offset,
        None => text.len(),
    }
}

fn count(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(**byte)).count()
}

const SPACE: u8 = 1;
const WORD: u8 = 2;

/// The vertical tab is white space from PostgreSQL 16 on, and an error before.
const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => SPACE,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..=0xff => WORD,
            _ => 0,
        };
        byte += 1;
    }
    table
};

pub(super) fn is_space(byte: u8) -> bool {
    CLASS[usize::from(byte)] == SPACE
}

/// A byte that continues a word. The first byte is neither a digit nor a dollar sign as well.
pub(super) fn is_word(byte: u8) -> bool {
    CLASS[usize::from(byte)] == WORD
}
