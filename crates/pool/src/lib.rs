//! Who gets which server connection, when, and why not.
//!
//! An [`Upstream`] is one database server: its budget, and the pools on it.
//! It decides; it never opens a socket, reads a clock, or takes a lock. The
//! shell puts one short lock around it: one for each checkout and return.
//!
//! The invariant: a connection is charged to the budget from the decision to
//! open it until its end of file was seen, and it is lent to at most one
//! client at a time.
//!
//! ```text
//!  Opening ─► Idle ⇄ Lent ─► (checkin) ─► Idle
//!     │         │ ▲      │
//!     │         ▼ │      │        Moving: on its way to another worker
//!     │       Moving     │
//!     └──► Closing ◄─────┘        charged until `closed`
//! ```
mod upstream;
pub use upstream::*;
