//! Settings that cannot take the site down: their history, and the gate that
//! each change passes.

mod content;
mod gate;
pub mod keeper;
pub mod store;

pub use content::{Content, Secrets, short};
pub use gate::{Findings, Prediction, check};
