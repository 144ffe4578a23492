//! The data plane without IO: client and server sessions of one worker.
//!
//! A [`Hub`] is what one event loop knows: its clients, its server
//! connections, and who is linked to whom. Bytes go in, bytes and
//! [`Command`]s come out; it never opens a socket, reads a clock, takes a lock
//! or draws a random number. The proxy drives it with real sockets, the
//! simulator with virtual ones.
//!
//! The invariant: every reply of a server has an owner, in order. A server
//! connection is returned to its pool only at ReadyForQuery "idle" with
//! nothing owed, unsent or unread.
//!
//! ```text
//!            client_input ──► frames ──► checkout? ──► forward to server
//!   Pools ◄── checkout / checkin ──┐        │ push Expect
//!                                  ▼        ▼
//!            server_input ──► frames ──► pop Expect ──► forward or swallow
//! ```
//!
//! Bytes that pass through are named by their range in the caller's buffer
//! ([`Outbox`]), so that the shell writes them from where it read them.

mod acting;
mod admin;
mod admission;
mod asking;
mod auth;
mod cancel;
mod cleaning;
mod client;
mod closing;
mod console;
mod directory;
mod effects;
mod errors;
mod expect;
mod extended;
pub mod health;
mod holding;
mod hub;
mod large;
mod lease;
mod leases;
mod login;
mod monitor;
mod moved;
mod outbox;
mod params;
mod pins;
mod pools;
mod refusing;
mod release;
mod replies;
mod requests;
pub mod rows;
mod seeds;
mod server;
mod server_login;
mod session_attrs;
mod simple;
mod slots;
mod statements;
pub mod stats;
mod survey;
mod tally;
mod taping;
mod tapping;
#[cfg(test)]
mod tests;
pub mod ticks;
mod traffic;
mod trail;

pub use admission::{Caller, CertificateNames, HostRules, Ruling};
pub use cancel::CancelOutcome;
pub use client::PeerInfo;
pub use console::statement;
pub use directory::{
    Auth, AuthQuery, Directory, ErrorStyle, PoolInfo, PoolKey, PoolMode, Replication, Route,
    ServerAuth, Settings, Stored, Target, UserLimits,
};
pub use expect::KINDS as REPLY_KINDS;
pub use hub::Hub;
pub use leases::Reclaim;
pub use monitor::Watched;
pub use outbox::{
    ClientName, Command, DeriveJob, LoginNote, Outbox, Peer, Segment, ServerName, Source,
};
pub use params::ParamSet;
pub use pools::{NoLookUp, Pools};
pub use seeds::Seeds;
pub use server::Transfer;
pub use server_login::Doubt;
pub use session_attrs::SessionAttrs;
pub use tapping::Tappable;
pub use trail::StatementText;
