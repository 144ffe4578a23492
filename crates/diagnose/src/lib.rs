//! What is wrong, how that is known, and what it is not.
//!
//! Samples and markers come in, a [`Verdict`] goes out: causes of a closed set
//! ([`Cause`]) with the figures that support them, rejected causes with the
//! figure that contradicts each, and "unknown" where evidence lacks. Alerts say
//! that something needs a person, before or when it hurts ([`alert`]).
//!
//! It opens no socket and reads no clock: the same rules judge live data, a
//! recorded hour and a bundle of a colleague's. The one invariant: no verdict
//! without its measurements (promise 7).
//!
//! ```text
//!   Record (seconds, minutes, markers) ──► diagnose ──► Verdict: findings, ruled out, unknown
//!        └──────────────────────────────► alerts   ──► Alert: pending, firing, resolved
//!   alerts, verdicts, record ──────────► Incidents ──► Incident ──► Report
//!   names and values ──────────────────► playbook  ──► Page
//! ```

pub mod alert;
mod cause;
mod diagnose;
mod facts;
mod figure;
pub mod incident;
pub mod measurements;
mod onset;
mod page;
mod plain;
pub mod playbook;
mod rank;
mod render;
mod rule;
mod rules;
pub mod safe;
mod text;
pub mod utc;
mod verdict;
mod view;
mod window;

pub use cause::Cause;
pub use diagnose::{diagnose, diagnose_now};
pub use figure::{Figure, Unit};
pub use page::page;
pub use plain::plain;
pub use render::render;
pub use text::clean;
pub use verdict::{Finding, Rejection, State, Step, Subject, Unknown, Verdict};
