//! The vocabulary that every other crate shares: time, ids, reasons and snapshots.
//!
//! This crate holds plain values. It never reads a clock, opens a socket or
//! allocates per query. The one invariant: a close, refusal or reclaim carries
//! one of the reasons in [`reason`], and that same reason (with the same
//! label) appears in log, metric, page and report.
//!
//! ```text
//!   relay, pool ── memory of each worker ──► Snapshot ──► metrics, console, page
//!        └──────── state changes, refusals ─► Event ────► journal, log
//! ```
//!
//! ```
//! use events::{Histogram, Time};
//! let start = Time::from_micros(10);
//! let mut waits = Histogram::new();
//! waits.record(Time::from_micros(1_510).since(start));
//! assert_eq!(waits.count(), 1);
//! ```

mod acting;
mod guard;
mod histogram;
mod ids;
mod labelled;
mod lease;
pub mod pgbouncer;
mod pins;
pub mod reason;
pub mod sample;
pub mod shape;
pub mod sizing;
pub mod snapshot;
pub mod tap;
mod time;
pub mod traffic;

pub use acting::{Acted, ClientAct, LeaseStatement, Whose};
pub use guard::{Guard, GuardCounts, GuardMode, Guards};
pub use histogram::Histogram;
pub use ids::{ClientId, ConnId, FlowId, PoolId, UpstreamId, WorkerId};
pub use lease::{LeakFigures, LeaseRow, LeaseState, Suspicion};
pub use pins::{PinCounts, PinFate, PinKind};
pub use reason::{CloseReason, ExemptReason, Fault, ReclaimReason, RefuseReason};
pub use sizing::SizeReason;
pub use time::Time;
pub use traffic::{
    Activity, ApplicationRow, Blocker, ServerError, SourceRow, TcpRow, UpstreamRow, WaitExemplar,
};
