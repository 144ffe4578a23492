//! Settings: text in, a checked [`Plan`] out, or an error that names file,
//! line, column and what to write instead. Never a default in place of a mistake.
mod plan;
pub use plan::*;
