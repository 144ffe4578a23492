//! Settings that cannot take the site down: their history, and the gate that
//! each change passes.

mod content;
mod figures;
mod follow;
mod gate;
pub mod keeper;
pub mod store;

pub use content::{Content, Secrets, short};
pub use figures::{Ends, Figures, OwnSettings};
pub use follow::Followed;
pub use gate::{Findings, Prediction, check};
