//! How a file stands: one table over what should be there and what is.

use super::observe::{Observed, Unseen};
use super::store::Known;
use serde::Serialize;

/// How a file stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Never seen: what it says is taken as accepted.
    Adopt,
    /// As accepted.
    Same,
    /// Another content than the accepted one.
    Drift,
    /// A file where none was accepted.
    Appeared,
    /// The accepted content's file is gone.
    Vanished,
    /// It cannot be read; in words.
    Unreadable(String),
}

impl Verdict {
    /// A word for lists.
    pub fn label(&self) -> &'static str {
        match self {
            Verdict::Adopt => "adopted",
            Verdict::Same => "same",
            Verdict::Drift => "drift",
            Verdict::Appeared => "appeared",
            Verdict::Vanished => "vanished",
            Verdict::Unreadable(_) => "unreadable",
        }
    }
}

/// `root_adopted`: it belongs to a directory, or to an including file, whose
/// files were all adopted before.
pub fn judge(known: &Known, seen: &Result<Observed, Unseen>, root_adopted: bool) -> Verdict {
    match (known, seen) {
        (_, Err(Unseen::Unreadable(why))) => Verdict::Unreadable(why.clone()),
        (Known::Never, Ok(_)) if !root_adopted => Verdict::Adopt,
        (Known::Never | Known::Absent, Ok(_)) => Verdict::Appeared,
        (Known::Absent, Err(Unseen::Absent)) => Verdict::Same,
        (Known::Never | Known::Accepted(_), Err(Unseen::Absent)) => Verdict::Vanished,
        (Known::Accepted(version), Ok(seen)) if version.hash == seen.hash => Verdict::Same,
        (Known::Accepted(_), Ok(_)) => Verdict::Drift,
    }
}
