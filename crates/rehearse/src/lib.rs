//! Rehearsals: load as production's, sent to a database through a pooler or
//! without one, and a verdict.
//!
//! All is pure but `drive/`: what a scenario says, when its requests are due, what
//! they send, what a run comes to, and how that is told. `drive/` opens the
//! connections that a [`drive::Connector`] gives it, and keeps the time.
//!
//! It never shows figures of a run in which the generator itself was late as results.
//! Its other half, [`leaks`], judges what a program did with its connections;
//! `plimsoll leaks` is the shell of that.
//!
//! The invariant: the moments at which requests are due depend on the scenario
//! and its seed alone, never on what became of earlier requests.
//!
//! ```text
//!   scenario.toml, scripts ─► Scenario ─► Due ─► drive ─► PostgreSQL, any pooler
//!                                                  │
//!                   text, JSON, JUnit, HTML ◄─ Verdict ◄─ Run (what was measured)
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

pub mod captured;
pub mod drive;
pub mod leaks;
pub mod replay;
pub mod statements;

pub mod expression;
pub mod measured;
pub mod workload;

pub mod compare;
pub mod limit;
pub mod markup;
pub mod progress;
pub mod report;
pub mod verdict;

mod text;
