//! One statement's tokens, with one token of look-ahead and the questions that readers ask.

use super::Quoting;
use super::lex::{Kind, Lexer, Token};

/// The server cuts longer names (NAMEDATALEN − 1).
const NAME_BYTES_MAX: usize = 63;

/// Copying it is how one looks further ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    lexer: Lexer<'a>,
    ahead: Option<Token>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(statement: &'a [u8], quoting: Quoting) -> Self {
        Cursor::over(Lexer::new(statement, quoting))
    }

    fn over(mut lexer: Lexer<'a>) -> Self {
        let ahead = lexer.next();
        Cursor { lexer, ahead }
    }

    /// The same place, but what lies more than `bytes` ahead is out of sight.
    pub(super) fn within(&self, bytes: usize) -> Self {
        Cursor {
            lexer: self.lexer.within(bytes),
            ..*self
        }
    }

    pub(super) fn peek(&self) -> Option<Token> {
        self.ahead
    }

    pub(super) fn peek_kind(&self) -> Option<Kind> {
        self.ahead.map(|token| token.kind)
    }

    pub(super) fn at_end(&self) -> bool {
        self.ahead.is_none()
    }

    pub(super) fn bytes(&self, token: Token) -> &'a [u8] {
        self.lexer.bytes(token)
    }

    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.ahead?;
        self.ahead = self.lexer.next();
        Some(token)
    }

    /// Whether the next token is this keyword; `word` is in lower case.
    pub(super) fn sees(&self, word: &str) -> bool {
        self.sees_any(&[word])
    }

    pub(super) fn sees_any(&self, words: &[&str]) -> bool {
        match self.ahead {
            Some(token) if token.kind == Kind::Word => {
                let bytes = self.bytes(token);
                words
                    .iter()
                    .any(|word| bytes.eq_ignore_ascii_case(word.as_bytes()))
            }
            _ => false,
        }
    }

    pub(super) fn sees_mark(&self, mark: u8) -> bool {
        self.peek_kind() == Some(Kind::Mark(mark))
    }

    /// Takes the keyword if it comes next.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        self.eat_any(&[word])
    }

    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        let seen = self.sees_any(words);
        if seen {
            self.take();
        }
        seen
    }

    /// Takes all of the keywords, or none.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let mut ahead = *self;
        let all = words.iter().all(|word| ahead.eat(word));
        if all {
            *self = ahead;
        }
        all
    }

    pub(super) fn eat_mark(&mut self, mark: u8) -> bool {
        let seen = self.sees_mark(mark);
        if seen {
            self.take();
        }
        seen
    }

    /// Takes an identifier, folded and cut as the server does it.
    pub(super) fn name(&mut self) -> Option<Box<str>> {
        let token = self.ahead.filter(|token| token.kind.is_name())?;
        self.take();
        name_of(token.kind, self.bytes(token))
    }

    /// Takes `a`, `a.b`, `a.b.c`.
    pub(super) fn qualified(&mut self) -> Option<Vec<Box<str>>> {
        let mut parts = vec![self.name()?];
        while self.sees_mark(b'.') && parts.len() < 8 {
            self.take();
            parts.push(self.name()?);
        }
        Some(parts)
    }

    /// Takes a string constant and gives what it stands for; none if that cannot be told.
    pub(super) fn string(&mut self) -> Option<String> {
        let token = self.ahead.filter(|token| token.kind.is_string())?;
        self.take();
        if self.sees("uescape") {
            return None;
        }
        super::literal::decode(token.kind, self.bytes(token))
    }
}

/// The name that an identifier token spells.
pub(super) fn name_of(kind: Kind, bytes: &[u8]) -> Option<Box<str>> {
    let mut name = match kind {
        Kind::Word => {
            let head = bytes.get(..bytes.len().min(4 * NAME_BYTES_MAX))?;
            to_text(head.to_ascii_lowercase())
        }
        Kind::Quoted => to_text(super::literal::undouble(inner(bytes, 1, 1)?, b'"')),
        Kind::UnicodeQuoted => {
            let raw = super::literal::undouble(inner(bytes, 3, 1)?, b'"');
            super::literal::unicode(&to_text(raw))?
        }
        _ => return None,
    };
    if name.len() > NAME_BYTES_MAX {
        let cut = (0..=NAME_BYTES_MAX)
            .rev()
            .find(|i| name.is_char_boundary(*i));
        name.truncate(cut.unwrap_or(0));
    }
    Some(name.into_boxed_str())
}

/// `bytes` without its first `head` and last `tail` bytes.
pub(super) fn inner(bytes: &[u8], head: usize, tail: usize) -> Option<&[u8]> {
    bytes.get(head..bytes.len().checked_sub(tail)?)
}

/// Text in another encoding becomes one character for each byte, so that different names stay
/// different.
fn to_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect())
}
