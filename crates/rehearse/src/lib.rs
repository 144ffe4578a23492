//! Rehearsals: load as production's, sent to a database through a pooler or
//! without one, and a verdict.
//!
//! What is here so far is pure: what a scenario says, when its requests are due,
//! what they send, and whether a run kept its limits. It opens no connection and
//! reads no clock; the generator that does is still to come, and no command
//! reaches this half yet. The other half, [`leaks`], judges what a program did
//! with its connections; `plimsoll leaks` is its shell.
//!
//! The invariant: the moments at which requests are due depend on the scenario
//! and its seed alone, never on what became of earlier requests.
//!
//! ```text
//!   scenario.toml ─► Scenario ─► Schedule ─► due ─► (generator) ─► what was measured
//!   script.sql ───► Script ──────────────► text ───►     │                │
//!                                                        ▼                ▼
//!                                                    PostgreSQL     Threshold::judge
//! ```
//!
//! ```
//! use rehearse::scenario::Scenario;
//! let text = r#"
//!     thresholds = ["p(99) < 50ms"]
//!     [load]
//!     phases = [{ rate = "100/s", for = "30s" }]
//!     [[class]]
//!     name = "read"
//!     sql = "select 1"
//! "#;
//! let scenario = Scenario::parse(text, &|_| Err("no files here".to_owned())).unwrap();
//! assert_eq!(scenario.schedule().expected(), 3000.0);
//! ```

pub mod scenario;

pub mod schedule;
pub mod script;
pub mod threshold;

pub mod leaks;

pub mod expression;
pub mod measured;
pub mod workload;

mod text;
