//! Outages on a stage: what happens in them, what was measured, what it comes to.
//!
//! All is pure. It starts no process, opens no socket and reads no clock: the
//! commands `lab` and `drill` do, and tell it.
//!
//! The invariant: what is done, and when, depends on the scenario, its seed and
//! what is told of the run; so two columns of the same row meet the same outage.
//!
//! ```text
//!   scenario.toml ─► Scenario ─► Course: what is due now ─► shell: processes, load
//!                                                              │ samples
//!             docs/lab.md, JSON, charts ◄─ Row ◄─ Figures ◄────┘
//! ```

pub mod outage;
