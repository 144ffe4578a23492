//! End-to-end proof: a private PostgreSQL, the pooler before it, and real bytes between them.
//!
//! What it never does: touch a server that it did not start, listen beyond loopback, or pass by waiting a fixed time.
//!
//! The invariant: whatever a client sees through the pooler, it would have seen from PostgreSQL itself, but for the
//! differences that [`normalise`] lists with a reason each.
//!
//! ```text
//!   script (text) ──► raw client ──────────────► PostgreSQL ──► transcript ┐
//!                └──► raw client ──► pooler ──► PostgreSQL ──► transcript ┴► equal?
//! ```
//!
//! ```
//! use plimsoll_e2e::script;
//! let cases = script::parse("== greeting\nQ select 1\n=\n").unwrap();
//! assert_eq!(cases[0].name, "greeting");
//! ```
//!
//! Environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `PLIMSOLL_E2E_POOLER` | pooler binary; a name that starts with `pgbouncer` is run as PgBouncer |
//! | `PLIMSOLL_E2E_POOL_MODE` | overrides the pool mode of the oracle and the drivers |
//! | `PLIMSOLL_E2E_SEEDS`, `PLIMSOLL_E2E_SEED` | how many random scripts; one seed alone |
//! | `PLIMSOLL_E2E_KEEP` | keep directories of passed tests too |
//! | `PGBIN` | directory of the PostgreSQL that is started; `cargo xtask pg-matrix` sets it |
//! | `PLIMSOLL_E2E_DRIVERS` | drivers that take minutes to build are built; `cargo xtask drivers` sets it |
//! | `E2E_FULL` | the long runs |
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::print_stderr)] // What tests say goes to standard error.

pub mod etcd;
pub mod pooler;
pub mod server;

pub mod generate;
pub mod normalise;
pub mod oracle;
pub mod script;

pub mod raw;

pub mod checklist;
pub mod sandbox;
pub mod toolchain;

/// The duration that so many of a hundred of these (in microseconds) stay below, in milliseconds. 0 of none.
pub fn percentile_ms(micros: &[u32], percent: usize) -> f64 {
    let mut all = micros.to_vec();
    all.sort_unstable();
    let at = (all.len() * percent / 100).min(all.len().saturating_sub(1));
    all.get(at)
        .map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
}
