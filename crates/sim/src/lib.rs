//! The whole data plane in virtual time.
mod client;
pub mod rng;
pub mod run;
pub mod scenario;
mod script;
pub mod session;
pub mod stats;
pub mod world;

pub use run::{Failure, Report, run, traced};
pub use scenario::Scenario;

pub(crate) fn world_find(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|w| w == needle)
}
