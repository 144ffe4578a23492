//! Captured traffic: readings of a running pooler put together to one shape of
//! bounded size, what such a shape says in figures, and how two of them differ.
//!
//! ```text
//!   readings ─► Collector ─► Shape ─► text (a file) ─► Shape ─► Replay
//!   seconds ──►     │                                    │
//!                   └─► head, for people        Figures ─┴─► Difference
//! ```

mod collect;
mod figures;
mod head;

pub use collect::{Collector, ReadingError};
pub use figures::{ClassFigures, Difference, Figures, compare};
pub use head::head;

#[cfg(test)]
mod tests;
