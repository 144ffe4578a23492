//! The control plane: what people and monitors see of the pooler.
//!
//! It runs on one thread of its own with its own runtime, and reads figures
//! only through [`Source`]. It never touches a client's or a server's
//! connection and never holds a lock of the data plane while it waits. The one
//! invariant: whatever happens here (a panic, a flood of requests, a full disk
//! under the log), queries keep flowing.
//!
//! ```text
//!   data plane ── Snapshot, Health ──► Source ──► server ──► /metrics /livez /readyz
//!       └───────── log lines ─────────► log (bounded queue, drops and counts) ──► file
//! ```
//!
//! ```
//! use control::{Control, Health, Source};
//! use events::snapshot::Snapshot;
//! use std::sync::Arc;
//!
//! struct Idle;
//! impl Source for Idle {
//!     fn snapshot(&self, _detail: bool) -> Arc<Snapshot> { Arc::default() }
//!     fn live(&self) -> Health { Health::Good }
//!     fn ready(&self) -> Health { Health::Bad("draining".into()) }
//! }
//!
//! let control = control::start(([127, 0, 0, 1], 0).into(), Arc::new(Idle))?;
//! assert_ne!(control.local_addr().port(), 0);
//! control.stop();
//! # std::io::Result::Ok(())
//! ```

// A shell: files, clocks and threads live here.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod alerting;
pub mod api;
pub mod bundle;
pub mod fleet;
pub mod guard;
pub mod incidents;
pub mod live;
pub mod log;
pub mod lookout;
pub mod measure;
pub mod metrics;
pub mod notify;
mod page;
pub mod predict;
mod process;
pub mod secrets;
mod server;
pub mod settings;
pub mod state;
pub mod watch;

pub use lookout::Watched;
pub use server::{Control, Health, Source, start, start_guard};
