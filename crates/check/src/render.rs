//! A report for people, programs and code review.

mod github;
mod json;
mod sarif;
mod text;

pub use github::github;
pub use json::{json, quoted};
pub use sarif::sarif;
pub use text::{Style, text};
