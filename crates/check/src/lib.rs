//! `plimsoll check`: would these settings take the site down?
//!
//! Files of many tools go in, findings come out: what is wrong, where, why it
//! hurts, and how to mend it. Nothing here opens a file, a socket or an
//! interpreter; code (Python, JavaScript, Ruby) is parsed, never run. The one
//! invariant: a finding names a place that the reader can open, and shows no
//! secret.
//!
//! ```text
//!   files ─► kind by name and content ─► readers ─► Facts ─► rules ─► Report
//!            (not what it seems: left      pools, servers,            text, JSON,
//!             alone)                       workloads, with            SARIF, GitHub
//!                                          their places
//! ```
//!
//! Readers know a tool and its defaults and judge nothing; rules judge and
//! know no tool's syntax. Between them stands [`facts`].
//!
//! ```
//! let mut files = check::Files::default();
//! files.add("pgbouncer.ini", "[databases]\nshop = host=db\n[pgbouncer]\nmax_db_connections = 0\n");
//! let report = check::check(&files, &check::Options::default());
//! assert!(report.findings().iter().any(|f| f.rule.id == "limit-missing"));
//! ```

mod engine;
pub mod facts;
mod files;
mod finding;
mod live;
pub mod measured;
mod place;
mod read;
pub mod render;
mod rules;
pub mod size;
mod suppress;
mod template;

pub use engine::{Options, Report, check};
pub use files::{FILE_BYTES_MAX, Files, Kind};
pub use finding::{Finding, Severity};
pub use live::{Live, LiveLine, LiveSetting};
pub use place::{FileId, Place, Position};
pub use rules::{RULES, Rule};
pub use template::{Numbers, TEMPLATES, Template};
