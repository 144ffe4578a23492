//! The playbook: what to do, step by step, for each alert and each cause.
//!
//! The texts are written once. For the terminal they are filled with the names
//! and values of the installation that is asked ([`Context`]); for the docs with
//! placeholder names. It looks at nothing by itself and does nothing. The one
//! invariant: every alert and every cause has a chapter, under its own label.
//!
//! ```
//! use diagnose::playbook::{Context, Page, find, text};
//! let chapter = find("connection timeouts")[0];
//! let page = Page::of(chapter, &Context::default());
//! assert!(text(&page).contains("plimsoll diagnose"));
//! ```

mod alerts;
mod causes;
mod context;
mod document;
mod more_causes;
mod never;
mod render;
mod symptoms;

use crate::Cause;
use crate::alert::AlertName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use context::{Context, PoolNow, ServerNow};
pub use document::document;
pub use render::{markdown, text};
pub use symptoms::{Symptom, find, symptoms};

/// A step as it is written: what, and the command; `{names}` are filled in.
pub(crate) type Line = (&'static str, &'static str);
/// What not to do, and why.
pub(crate) type Never = (&'static str, &'static str);

/// One chapter as it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Chapter {
    /// The label of its alert or cause: the anchor in the docs.
    pub label: &'static str,
    /// A few words for people.
    pub title: &'static str,
    /// What is going on.
    pub about: &'static str,
    before: &'static [Line],
    during: &'static [Line],
    verify: &'static [Line],
    after: &'static [Line],
    never: &'static [Never],
    /// Labels of chapters that lead on.
    pub see: &'static [&'static str],
}

/// All chapters: those of alerts, then those of causes.
pub fn chapters() -> impl Iterator<Item = &'static Chapter> {
    alerts::ALL
        .iter()
        .chain(causes::ALL)
        .chain(more_causes::ALL)
}

/// The chapter with this label.
pub fn of_label(label: &str) -> Option<&'static Chapter> {
    chapters().find(|c| c.label.eq_ignore_ascii_case(label))
}

/// The chapter of an alert.
pub fn of_alert(alert: AlertName) -> Option<&'static Chapter> {
    of_label(alert.label())
}

/// The chapter of a cause.
pub fn of_cause(cause: Cause) -> Option<&'static Chapter> {
    of_label(cause.label())
}

/// A chapter filled in for one installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// The label of its alert or cause.
    pub label: String,
    /// A few words for people.
    pub title: String,
    /// What is going on.
    pub about: String,
    /// The values are those of a running pooler; else they are placeholders.
    pub live: bool,
    /// Where it stands now, in sentences; empty without a running pooler.
    pub now: Vec<String>,
    /// While it is calm.
    pub before: Vec<PageStep>,
    /// While it hurts.
    pub during: Vec<PageStep>,
    /// How to see that it worked.
    pub verify: Vec<PageStep>,
    /// When it is over.
    pub after: Vec<PageStep>,
    /// What not to do.
    pub never: Vec<PageNever>,
    /// Chapters that lead on.
    pub see: Vec<String>,
    /// Whom to call.
    pub contacts: Vec<String>,
    /// What to tell people who wait.
    pub message: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageStep {
    /// What, in words.
    pub text: String,
    /// The command; empty where there is none.
    pub command: String,
}

/// What not to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageNever {
    /// What.
    pub text: String,
    /// Why.
    pub why: String,
}

impl Page {
    /// The chapter, with this installation's names and values.
    pub fn of(chapter: &Chapter, context: &Context) -> Page {
        let steps = |lines: &[Line]| -> Vec<PageStep> {
            let step = |(text, command): &Line| PageStep {
                text: context.prose(text),
                command: context.command(command),
            };
            lines.iter().map(step).collect()
        };
        let never = chapter.never.iter().map(|(text, why)| PageNever {
            text: context.prose(text),
            why: context.prose(why),
        });
        Page {
            label: chapter.label.to_owned(),
            title: chapter.title.to_owned(),
            about: context.prose(chapter.about),
            live: context.live,
            now: context.now(),
            before: steps(chapter.before),
            during: steps(chapter.during),
            verify: steps(chapter.verify),
            after: steps(chapter.after),
            never: never.collect(),
            see: chapter.see.iter().map(|s| (*s).to_owned()).collect(),
            contacts: context.contacts(),
            message: context.message(chapter.title),
        }
    }
}

#[cfg(test)]
mod tests;
