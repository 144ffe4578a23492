//! Whether a statement can be true.

use super::Own;
use crate::sealed::WINDOW_MS;
use crate::statement::Statement;

/// No figure of a server is above this: settings allow no line of that length.
const FIGURE_MAX: u32 = 1_000_000;

/// Why a peer is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// Its fleet has another name.
    Fleet,
    /// It has our name, and is not us.
    OurName,
    /// Two instances that run have one name.
    Twice,
    /// Its clock is off.
    Clock,
    /// Its share is above the line.
    Share,
    /// A figure is larger than any can be.
    Figures,
    /// It started later than its own clock says it is.
    Start,
}

impl Doubt {
    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Doubt::Fleet => "it belongs to a fleet with another name",
            Doubt::OurName => "it has our name and is not us: two instances with one host name",
            Doubt::Twice => "two instances have its name",
            Doubt::Clock => "its clock and ours differ by more than a minute",
            Doubt::Share => "it states a share above the line",
            Doubt::Figures => "it states figures that cannot be",
            Doubt::Start => "it says that it starts in the future",
        }
    }
}

/// What is impossible in a statement that is not our own.
pub(super) fn doubt(own: &Own, said: &Statement, clock_ms: i64) -> Option<Doubt> {
    let near = |a: i64, b: i64| (-WINDOW_MS..=WINDOW_MS).contains(&a.saturating_sub(b));
    let mut servers = said.servers.iter();
    let huge = |n: u32| n > FIGURE_MAX;
    if said.fleet != own.fleet {
        Some(Doubt::Fleet)
    } else if said.instance == own.instance {
        Some(Doubt::OurName)
    } else if !near(said.clock_ms, clock_ms) {
        Some(Doubt::Clock)
    } else if said.started_ms > said.clock_ms.saturating_add(WINDOW_MS) {
        Some(Doubt::Start)
    } else if servers.clone().any(|s| s.share > s.line) {
        Some(Doubt::Share)
    } else if servers.any(|s| [s.line, s.held, s.wanted].into_iter().any(huge)) {
        Some(Doubt::Figures)
    } else {
        None
    }
}
