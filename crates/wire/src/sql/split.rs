//! Where one statement of a text ends and the next begins.

use super::lex::{Kind, Lexer, Token};
use super::{Quoting, Verb};

/// The statements of `text`, each from its first token to its last, empty ones left out.
///
/// A semicolon inside parentheses (CREATE RULE) or inside BEGIN ATOMIC … END (CREATE FUNCTION)
/// ends nothing.
pub fn statements(text: &[u8], quoting: Quoting) -> impl Iterator<Item = &[u8]> {
    Pieces::new(text, quoting).map(|piece| piece.text)
}

/// One statement, and whether it can be lexed to its end.
pub(super) struct Piece<'a> {
    pub(super) text: &'a [u8],
    pub(super) broken: bool,
}

pub(super) struct Pieces<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(text: &'a [u8], quoting: Quoting) -> Self {
        Pieces {
            text,
            lexer: Lexer::new(text, quoting),
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let mut nesting = Nesting::default();
        let mut span: Option<(usize, usize)> = None;
        let mut broken = false;
        while let Some(token) = self.lexer.next() {
            if token.kind == Kind::Mark(b';') && nesting.outside() {
                if span.is_some() {
                    break;
                }
                continue;
            }
            nesting.pass(token, self.lexer.bytes(token));
            span = Some((span.map_or(token.start, |(start, _)| start), token.end));
            broken |= token.kind == Kind::Bad;
        }
        let (start, end) = span?;
        let text = self.text.get(start..end).unwrap_or_default();
        Some(Piece { text, broken })
    }
}

/// How deep in parentheses and in the blocks of a function's SQL body we are.
#[derive(Default)]
struct Nesting {
    parentheses: u32,
    blocks: u32,
    head: Head,
    /// The last word was BEGIN: ATOMIC after it opens a body.
    begin: bool,
}

/// How far the statement's first words go towards CREATE [OR REPLACE] FUNCTION or PROCEDURE.
#[derive(Default, PartialEq)]
enum Head {
    #[default]
    Start,
    Create,
    CreateOr,
    CreateOrReplace,
    Routine,
    No,
}

impl Nesting {
    fn outside(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }

    fn pass(&mut self, token: Token, bytes: &[u8]) {
        match token.kind {
            Kind::Mark(b'(') => self.parentheses = self.parentheses.saturating_add(1),
            Kind::Mark(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Word if self.head == Head::Routine => return self.body_word(bytes),
            Kind::Word if self.head != Head::No => self.head = self.head.after(bytes),
            _ if self.head != Head::Routine => self.head = Head::No,
            _ => {}
        }
        self.begin = false;
    }

    /// Only BEGIN ATOMIC opens a body, and only CASE nests in it: both end with END.
    fn body_word(&mut self, word: &[u8]) {
        let is = |text: &[u8]| word.eq_ignore_ascii_case(text);
        if self.parentheses > 0 {
            return;
        }
        if self.begin && is(b"atomic") || self.blocks > 0 && is(b"case") {
            self.blocks = self.blocks.saturating_add(1);
        } else if is(b"end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
        self.begin = is(b"begin");
    }
}

impl Head {
    fn after(&self, word: &[u8]) -> Head {
        let is = |text: &[u8]| word.eq_ignore_ascii_case(text);
        let routine = is(b"function") || is(b"procedure");
        match self {
            Head::Start if Verb::of(word) == Verb::Create => Head::Create,
            Head::Create if is(b"or") => Head::CreateOr,
            Head::CreateOr if is(b"replace") => Head::CreateOrReplace,
            Head::Create | Head::CreateOrReplace if routine => Head::Routine,
            _ => Head::No,
        }
    }
}
