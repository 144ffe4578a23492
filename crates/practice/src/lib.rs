//! Outages that are gone through on purpose: replayed in the lab, practised in a drill.
//!
//! All is pure. It starts no process, opens no socket and reads no clock: the
//! commands `lab`, `drill` and `demo` do, and tell it. It never makes a figure up: what
//! is told was measured, or is marked as somebody's guess.
//!
//! The invariant: what is done, and when, depends on the scenario, its seed and what
//! is told of the run; and whatever a trainee types has an answer.
//!
//! ```text
//!   scenario.toml ─► Scenario ─► Course: what is due now ─► shell: processes, load
//!                                                              │ samples
//!             docs/lab.md, JSON, charts ◄─ Row ◄─ Figures ◄────┘
//! ```
//!
//! ```
//! use practice::drill;
//! let drill = drill::named("004").unwrap();
//! assert_eq!(drill.title, "The main service");
//! ```

pub mod outage;

pub mod drill;
pub mod show;
