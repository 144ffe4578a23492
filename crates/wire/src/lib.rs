//! PostgreSQL's frontend/backend protocol, versions 3.0 and 3.2, as pure functions over bytes.
//!
//! It finds frames in a read buffer, gives borrowed views of the few messages that a pooler must
//! understand, appends messages to a write buffer, and runs both sides of the password exchanges.
//! It never reads a socket, a clock or a source of randomness (nonces and salts are arguments),
//! never copies a message body, and never allocates on the hot path.
//!
//! The one invariant: whatever bytes come in, every function returns. A lie in a message is an
//! error value, never a panic, and no builder can emit a frame whose length is wrong.
//!
//! ```text
//!            read buffer                                     write buffer
//!   client ──► startup::parse                front::*(out) ──► server
//!          ──► frame::peek ─► front::*::parse
//!   server ──► frame::peek ─► back::*::parse  back::*(out) ──► client
//!
//!   passwords:  md5,  scram::client ⇄ scram::server
//! ```
//!
//! ```
//! use wire::{back, frame, front, tag};
//!
//! let mut out = Vec::new();
//! front::query(&mut out, b"select 1");
//! let head = frame::peek(&out).unwrap().unwrap();
//! assert_eq!((head.tag, head.len), (tag::front::QUERY, out.len()));
//! assert_eq!(front::Query::parse(&out[frame::HEADER..]).unwrap().text, b"select 1");
//!
//! out.clear();
//! back::ready(&mut out, back::Status::Idle);
//! assert_eq!(back::ready_status(&out[frame::HEADER..]), Ok(back::Status::Idle));
//! ```

pub mod frame;
pub mod tag;

pub mod startup;

pub mod front;

pub mod back;

pub mod md5;
pub mod scram;

pub mod sql;

mod bytes;

pub use bytes::WireError;

#[cfg(test)]
mod hostile_tests;
