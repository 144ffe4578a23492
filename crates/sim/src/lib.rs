//! The whole data plane in virtual time.
pub mod rng;
pub mod session;
pub mod scenario;
pub mod stats;
pub mod run;
pub mod world;
mod client;
mod script;

pub use run::{Failure, Report, run, traced};
pub use scenario::Scenario;

pub(crate) fn world_find(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|w| w == needle)
}

pub(crate) fn world_stage(stage: &world::Stage) -> &'static str {
    match stage {
        world::Stage::Startup => "startup",
        world::Stage::Ready(session) if session.sleeps() => "sleeps",
        world::Stage::Ready(_) => "ready",
        world::Stage::Gone => "gone",
        _ => "login",
    }
}
