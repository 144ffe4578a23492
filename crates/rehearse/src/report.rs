//! Reports of a rehearsal: for a terminal, for programs, for a build server, for a browser.
//!
//! ```text
//!   Run ─► Verdict ─┐
//!   rounds ─► Comparison ─► Rehearsal ─► render ─► text │ JSON │ JUnit │ one HTML page
//!   steps ─► Limit ─┘
//! ```
//!
//! Pure: the same rehearsal gives the same bytes. Whatever a name holds, it moves
//! no cursor and is no markup. Figures of a run that is invalid are nowhere shown
//! as results.

use crate::compare::Comparison;
use crate::limit::Limit;
use crate::measured::Run;
use crate::verdict::{Outcome, Verdict};

mod folded;
mod html;
mod json;
mod junit;
mod markup;
mod text;
mod words;

pub mod units;

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;

/// What was rehearsed, and what came of it.
#[expect(clippy::large_enum_variant, reason = "a process makes one of them")]
#[derive(Clone, Debug)]
pub enum Rehearsal {
    /// One run with thresholds.
    Single {
        /// What it measured.
        run: Run,
        /// What it comes to.
        verdict: Verdict,
    },
    /// Two settings beside each other.
    Compare {
        /// When it began: seconds since 1970, UTC.
        began_unix_s: u64,
        /// What it tells.
        comparison: Comparison,
    },
    /// A search for what is carried.
    Limit {
        /// When it began: seconds since 1970, UTC.
        began_unix_s: u64,
        /// What it tells.
        limit: Limit,
    },
}

/// For whom a report is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// People at a terminal; at most 100 columns.
    Text(Style),
    /// Programs: one object, see `json.rs`.
    Json,
    /// Build servers: JUnit's XML.
    Junit,
    /// A browser: one page that loads nothing and runs nothing.
    Html,
}

/// Colours, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Letters only.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Rehearsal {
    /// What it comes to.
    pub fn outcome(&self) -> &Outcome {
        match self {
            Rehearsal::Single { verdict, .. } => &verdict.outcome,
            Rehearsal::Compare { comparison, .. } => &comparison.outcome,
            Rehearsal::Limit { limit, .. } => &limit.outcome,
        }
    }
}

/// The report, ending in a line feed.
pub fn render(rehearsal: &Rehearsal, format: Format) -> String {
    match format {
        Format::Text(style) => text::text(rehearsal, style),
        Format::Json => json::json(rehearsal),
        Format::Junit => junit::junit(rehearsal),
        Format::Html => html::html(rehearsal),
    }
}

/// The report of a rehearsal that did not come to a run: why. Ends in a line feed.
pub fn render_could_not(reason: &str, format: Format) -> String {
    let outcome = Outcome::CouldNot(units::shown(reason));
    match format {
        Format::Text(style) => {
            let reason = outcome.reason().unwrap_or_default();
            format!("{}  {reason}\n", style.bad("COULD NOT RUN"))
        }
        Format::Json => json::could_not(&outcome),
        Format::Junit => junit::could_not(&outcome),
        Format::Html => html::could_not(&outcome),
    }
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    /// A trouble.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// All is well.
    fn good(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    /// Beware.
    fn warn(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// A heading.
    fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }
}
