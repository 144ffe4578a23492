//! The data plane with IO: event loops, sockets, TLS and timers that drive `relay`.
//!
//! It decides nothing that `relay` and `pool` can decide. It never parses a
//! message (beyond the answer to SSLRequest), and its workers never touch the disk. The
//! one invariant: everything that a dispatch wants written is written, or kept
//! for that peer, before the next dispatch reads.
//!
//! ```text
//!             ┌─ worker 0: listener, mio loop, Hub ─┐   mailbox    ┌─ worker 1 …
//!  clients ──►│ read ► Hub ► Outbox ► write ────────│◄────────────►│
//!             └────────┬────────────────────────────┘              └──
//!                      │ one short lock per checkout and return
//!                 Mutex<Upstream> (pool)        helpers: keys, names, console
//! ```
//!
//! ```no_run
//! let plan: config::Plan = config::from_url("postgres://app:secret@127.0.0.1/app").unwrap();
//! let proxy = proxy::Proxy::start(plan, Box::new(proxy::NoFile)).unwrap();
//! println!("{:?}", proxy.handle().addresses());
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // IO, time and threads live here.

mod actions;
mod address;
mod admin;
mod budget;
mod columns;
mod compile;
mod console;
mod folding;
mod following;
mod guards;
mod held;
mod helpers;
mod hosts;
mod leases;
mod ledger;
mod letters;
mod listen;
mod mail;
mod measures;
mod names;
mod observer;
mod outgoing;
mod passwd;
mod peers;
mod port;
mod registry;
mod rules;
mod secrets;
mod sizing;
mod socket;
mod statistics;
mod sync;
mod sys;
mod tap;
mod tcp;
pub mod tls;
mod unix;
mod users;
mod words;
mod worker;

/// What SHOW VERSION says where settings of PgBouncer are served: the version whose console and settings are copied,
/// and what copies them.
pub const PGBOUNCER_VERSION: &str = concat!(
    "PgBouncer 1.25.2 (Plimsoll ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

pub use admin::{Handle, Keeper, Leave, NoFile, Proxy, ReloadError, StartError};
pub use listen::Sockets;
pub use observer::Observer;
pub use secrets::{Disk, Refreshed};
pub use tap::Tapping;
pub use unix::{connect_unix, unix_address};
