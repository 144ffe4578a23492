//! What the tokens of an event loop mean.

use mio::Token;

/// What a token means: two bits of kind, the rest a slot.
const KIND_SHIFT: u32 = usize::BITS - 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Client,
    Server,
    Outgoing,
    Lingering,
    Listener,
    Waker,
}

pub(super) fn token(kind: Kind, slot: usize) -> Token {
    Token((kind as usize) << KIND_SHIFT | slot)
}

pub(super) fn parts(token: Token) -> (Kind, usize) {
    let kind = match token.0 >> KIND_SHIFT {
        0 => Kind::Client,
        1 => Kind::Server,
        2 => Kind::Outgoing,
        3 => Kind::Lingering,
        4 => Kind::Listener,
        _ => Kind::Waker,
    };
    (kind, token.0 & ((1 << KIND_SHIFT) - 1))
}

/// The waker's token, for the mailbox.
pub(crate) fn waker_token() -> Token {
    token(Kind::Waker, 0)
}
