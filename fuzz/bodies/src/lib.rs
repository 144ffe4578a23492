//! What is fuzzed: one function per target, from bytes to a broken assertion or nothing.
//!
//! libFuzzer calls these functions (`fuzz/targets`), and `tests/replay.rs`
//! calls the same ones on every committed input, on the stable toolchain. They
//! never read a file, a clock or the environment, and never skip a check
//! because it is slow: an input is a few kilobytes.
//!
//! The invariant: a function returns, for any bytes. It panics only when a
//! promise of the crate under test is broken.
//!
//! ```text
//!   libFuzzer ──► fuzz/targets ──┐
//!                                ├──► TARGETS ──► wire, config, pool, relay, console, shapes, statements, fleet
//!   cargo test ──► fuzz/corpus ──┘
//! ```
//!
//! ```
//! let (_, body) = fuzz_bodies::TARGETS.iter().find(|(name, _)| *name == "sql").unwrap();
//! body(b"\x00select 1");
//! ```

mod console_text;
mod fleet_messages;
mod pool_ops;
mod relay_bytes;
mod relay_ops;
mod relay_world;
mod rules_text;
mod settings;
mod shape_text;
mod sql_text;
mod statements_text;
mod wire_bytes;

pub use console_text::console;
pub use fleet_messages::fleet;
pub use pool_ops::pool_ops;
pub use relay_bytes::relay_bytes;
pub use relay_ops::relay_ops;
pub use rules_text::hba;
pub use settings::config;
pub use shape_text::shape;
pub use sql_text::sql;
pub use statements_text::statements;
pub use wire_bytes::wire;

/// A body: it returns for any bytes.
pub type Body = fn(&[u8]);

/// All targets by name, as `fuzz/targets` and `fuzz/corpus` name them.
pub const TARGETS: [(&str, Body); 11] = [
    ("wire", wire),
    ("sql", sql),
    ("config", config),
    ("pool_ops", pool_ops),
    ("relay_bytes", relay_bytes),
    ("relay_ops", relay_ops),
    ("shape", shape),
    ("statements", statements),
    ("fleet", fleet),
    ("hba", hba),
    ("console", console),
];
