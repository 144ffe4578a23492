//! What is told at the end, for people and programs.

use super::{Effect, Felt};
use serde::Serialize;

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The cause was named and clients are well.
    Solved,
    /// The trainee gave up.
    GaveUp,
    /// The time was over.
    TimeOver,
    /// A signal, or the end of the input.
    Interrupted,
}

impl Ending {
    /// A sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Ending::Solved => "solved: the cause was named, and clients are well again",
            Ending::GaveUp => "given up",
            Ending::TimeOver => "the time was over",
            Ending::Interrupted => "interrupted",
        }
    }
}

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hypothesis {
    /// Seconds after the pager.
    pub at_s: f64,
    /// The cause's label.
    pub cause: String,
    /// "right", "near" or "wrong".
    pub verdict: String,
    /// Which figure spoke for or against it.
    pub figure: String,
}

/// An action that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionTaken {
    /// Seconds after the pager.
    pub at_s: f64,
    /// As it was typed.
    pub action: String,
    /// What was done, in words.
    pub done: String,
    /// How clients fared before.
    pub before: Felt,
    /// And after.
    pub after: Felt,
    /// What it therefore did.
    pub effect: Effect,
}

/// A hint that was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HintTaken {
    /// Seconds after the pager.
    pub at_s: f64,
    /// The hint.
    pub text: String,
}

/// A misleading path, and whether it was walked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathTold {
    /// What people think or do.
    pub what: String,
    /// Why it looks right, and what shows that it is not.
    pub why: String,
    /// It was suspected or tried here.
    pub taken: bool,
}

/// The whole debrief.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Debrief {
    /// The drill's name.
    pub drill: String,
    /// Whose outage it is.
    pub title: String,
    /// "easy", "medium" or "hard".
    pub difficulty: String,
    /// The number of the report.
    pub report: String,
    /// Whether it is that outage, or one that looks like it.
    pub is_the_reports_outage: bool,
    /// How it ended.
    pub ending: Ending,
    /// From the pager to the end, seconds.
    pub seconds: f64,
    /// Labels of the right answers.
    pub causes: Vec<String>,
    /// What was done to the sandbox.
    pub done: String,
    /// What mends it.
    pub cure: String,
    /// From the pager to the first right answer, seconds.
    pub first_right_s: Option<f64>,
    /// From the pager until clients were well for good, seconds.
    pub well_s: Option<f64>,
    /// Answers in order.
    pub hypotheses: Vec<Hypothesis>,
    /// How many of them were wrong.
    pub wrong_hypotheses: usize,
    /// Actions in order.
    pub actions: Vec<ActionTaken>,
    /// How many of them changed nothing, or harmed.
    pub wrong_actions: usize,
    /// Hints in order.
    pub hints: Vec<HintTaken>,
    /// How clients fared before it began.
    pub usual: Felt,
    /// At its worst.
    pub worst: Felt,
    /// What the pooler's diagnosis said while it hurt; empty: it named nothing.
    pub diagnosis: String,
    /// From the pager until it named the right cause, seconds.
    pub diagnosis_right_s: Option<f64>,
    /// The figures that it cited.
    pub figures: Vec<String>,
    /// What misleads.
    pub misleading: Vec<PathTold>,
    /// What the report's people did: when, and what.
    pub in_the_report: Vec<(String, String)>,
    /// In the report, minutes to the cause.
    pub report_minutes_to_cause: Option<u32>,
    /// The chapter of the playbook to read.
    pub chapter: String,
}
