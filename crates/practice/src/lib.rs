//! Practice: outages that people go through on purpose, in a sandbox.
//!
//! All is pure: stories, what is done, what counts as an answer, how it is told
//! afterwards. Shells do to a sandbox what is decided here, and bring figures back.
//! It never makes a figure up: what is told was measured, or is marked as
//! somebody's guess. The one invariant: whatever a trainee types has an answer.
//!
//! ```
//! use practice::drill;
//! let drill = drill::named("004").unwrap();
//! assert_eq!(drill.title, "The main service");
//! ```

pub mod drill;
pub mod show;
