//! The whole data plane in virtual time: hubs, pools, virtual PostgreSQL servers
//! and virtual clients, with everything that can go wrong between them.
//!
//! A run is a function of its seed and [`Scenario`]. It never reads a clock,
//! opens a socket or draws a number of its own.
//!
//! The invariant: each reply that a virtual client gets is the one that its own
//! model of a PostgreSQL session gives for what it sent, or a deviation that a
//! pooler is allowed (a refusal before anything was sent, its own cancel, a loss
//! that a fault explains and that it is told). The model is the same state
//! machine that the virtual servers run, so that whatever the pooler mixes up
//! between sessions shows: parameters, prepared statements, session state,
//! replies, cancels.
//!
//! ```text
//!  Script ─► Client ══ link ══► Hub × 1–4 ══ link ══► server: Session
//!              │ model: Session   │ ▲                     │
//!              ▼                  ▼ │ actions, mail       ▼
//!        reply = expected?      Shop: Upstream      held by whom? at rest?
//! ```
//!
//! ```
//! let scenario = sim::Scenario::random(7, 300);
//! let report = sim::run(7, &scenario);
//! assert!(report.failure.is_none(), "{:?}", report.failure);
//! assert_eq!(report.hash, sim::run(7, &scenario).hash);
//! ```

pub mod campaign;
mod client;
pub mod crowd;
pub mod fleet;
pub mod predict;
pub mod rng;
mod run;
pub mod scenario;
mod script;
pub mod session;
pub mod sizing;
pub mod stats;
pub mod world;

pub use campaign::{Budget, Campaign, campaign};
pub use run::{Failure, Report, run, traced};
pub use scenario::Scenario;
pub use stats::Stats;
