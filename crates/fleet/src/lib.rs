//! Who the other instances are, what they say, and what follows from it.
//!
//! The shell carries bytes between instances; here it is decided what they are
//! worth. Nothing here opens a socket, reads a clock or draws a random number,
//! and nothing that a peer says is ever done on its behalf: a statement is read,
//! kept, shown and compared. The one invariant: a peer that is silent, lies or
//! cannot be believed changes nothing about what this instance serves.
//!
//! ```text
//!   bytes ──► Gate (seal, fleet, clock, replay) ──► Statement ──► Book
//!                │ Refusal, with its reason                       │ states, news
//!                ▼                                                ▼
//!              401 and a count                    Duties: who tells people of an alert
//! ```
//!
//! ```
//! use events::Time;
//! use fleet::{Book, Own, PeerState, Statement};
//! let own = Own { fleet: "shop".into(), instance: "a:1".into(), started_ms: 1 };
//! let mut book = Book::new(own, 7);
//! let said = Statement {
//!     protocol: fleet::PROTOCOL, fleet: "shop".into(), instance: "b:1".into(), clock_ms: 5_000,
//!     ..Statement::default()
//! };
//! book.heard(Time::ZERO, 5_000, said, None).expect("it is plausible");
//! assert_eq!(book.peers().next().map(|p| p.state), Some(PeerState::Ok));
//! ```

mod book;
mod duty;
mod sealed;
mod statement;

pub use book::{
    Ask, Book, Doubt, Failure, Heard, News, Own, PEERS_MAX, Peer, PeerState, SILENT_AFTER, Spread,
};
pub use duty::{Duties, HOLD, Over, PATIENCE, Says};
pub use sealed::{
    Draft, Gate, Key, MESSAGE_MAX, Nonce, Opened, Refusal, Refused, Trust, WINDOW_MS,
};
pub use statement::{
    AlertSays, BODY_MAX, Malformed, PROTOCOL, ServerSays, Statement, TurnedDown, tame,
};
