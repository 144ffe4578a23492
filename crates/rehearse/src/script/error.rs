//! Why a file is no script.

use std::fmt;

/// Why a file is no script: where, what, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError {
    /// The script's name.
    pub script: String,
    /// Line, from 1; 0: the whole.
    pub line: usize,
    /// What is wrong, with what helps.
    pub what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.script, self.what),
            line => write!(f, "{}:{line}: {}", self.script, self.what),
        }
    }
}

impl std::error::Error for ScriptError {}
