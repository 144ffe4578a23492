//! One finding.

use crate::place::Place;
use crate::rules::Rule;

/// How bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing; the exit code stays 0.
    Note,
    /// Hurts under conditions that will come.
    Warning,
    /// Takes the site down, or already does not do what it says.
    Error,
}

impl Severity {
    /// The word in every output.
    pub fn label(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// What is wrong at one place.
#[derive(Clone, Debug)]
pub struct Finding {
    /// By which rule.
    pub rule: &'static Rule,
    /// How bad, here.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Why it hurts, with the figures.
    pub why: String,
    /// How to mend it.
    pub help: String,
    /// Further places that it rests on, with words.
    pub related: Vec<(Place, String)>,
    /// The reason that somebody gave for leaving it so.
    pub suppressed: Option<String>,
}

impl Finding {
    /// A finding of the rule's usual severity.
    pub fn new(rule: &'static Rule, place: Place, message: impl Into<String>) -> Finding {
        Finding {
            rule,
            severity: rule.severity,
            place,
            message: message.into(),
            why: String::new(),
            help: String::new(),
            related: Vec::new(),
            suppressed: None,
        }
    }

    /// Of another severity than usual.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Finding {
        self.severity = severity;
        self
    }

    /// Why it hurts.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Finding {
        self.why = why.into();
        self
    }

    /// How to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = help.into();
        self
    }

    /// A further place.
    #[must_use]
    pub fn beside(mut self, place: Option<&Place>, words: impl Into<String>) -> Finding {
        if let Some(place) = place {
            self.related.push((place.clone(), words.into()));
        }
        self
    }
}
