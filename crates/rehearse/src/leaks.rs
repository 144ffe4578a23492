//! Leaks of a program's database connections: facts in, findings out.
//!
//! A [`journal::Journal`] is told what each client of the program says and hears,
//! and which test begins and ends when. What it wrote down is a [`facts::Record`],
//! and [`rules::findings`] judges that. It opens no socket and reads no clock; the
//! command `plimsoll leaks` does.
//!
//! The invariant: no literal of a statement gets into a record, so none can get out.
//!
//! ```text
//!   bytes ─► follow ─► journal ─► Record ─► rules ─► findings ─► report
//!   tests, processes, lines ──────┘   │
//!                                     └─► who: which test was it
//! ```

pub mod facts;

pub mod journal;
pub mod report;
pub mod rules;

mod follow;
mod held;
mod junit;
mod lines;
mod statement;
mod who;

#[cfg(test)]
mod tests;
