//! A running server, as its own SQL describes it, beside the files.
//!
//! The caller asks the server; here the answers become a listing in the form of
//! a postgresql.conf, so that findings point into it as into any file.

use std::fmt::Write as _;

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Live {
    /// For findings, in place of a path: "db.example:5432/shop". No secret in it.
    pub label: String,
    /// Remarks for the head of the listing: the version, what could not be read.
    pub remarks: Vec<String>,
    /// `pg_settings`, as far as they bound something, and those that wait for a restart.
    pub settings: Vec<LiveSetting>,
    /// `pg_file_settings`: lines that did not apply, or say other than what runs.
    pub lines: Vec<LiveLine>,
    /// CONNECTION LIMIT of the role or the database, whichever is less, and whose it is.
    pub own_limit: Option<(u64, String)>,
    /// Connections that others hold now.
    pub others: u64,
    /// Who the others are: "other users than app".
    pub others_are: String,
}

/// A row of `pg_settings`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LiveSetting {
    /// Its name.
    pub name: String,
    /// Its value with its unit; empty when it is none of ours to show.
    pub value: String,
    /// `default`, `configuration file`, `database`, `user` …
    pub source: String,
    /// File and line, where this user may see them.
    pub written: Option<(String, u64)>,
    /// Changed in a file, and in force after a restart only.
    pub pending: bool,
}

/// A row of `pg_file_settings`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveLine {
    /// File and line.
    pub written: (String, u64),
    /// The setting; empty where the line could not be read.
    pub name: String,
    /// Its value; empty when it is none of ours to show.
    pub value: String,
    /// Why the server cannot apply it.
    pub error: Option<String>,
}

impl LiveSetting {
    /// Nobody wrote it.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.source.as_str(), "default" | "")
    }
}

impl Live {
    /// The listing: remarks, one line for each setting, one for each fault.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for remark in &self.remarks {
            let _ = writeln!(out, "# {}", line(remark));
        }
        for s in &self.settings {
            let from = match &s.written {
                Some((file, at)) => format!("{}:{at}", line(file)),
                None => line(&s.source),
            };
            let value = match s.value.is_empty() {
                true => "…".to_owned(),
                false => format!("{:<8}", line(&s.value)),
            };
            let wait = if s.pending {
                ", another value waits for a restart"
            } else {
                ""
            };
            let _ = writeln!(out, "{} = {value} # {from}{wait}", line(&s.name));
        }
        if let Some((limit, whose)) = &self.own_limit {
            let _ = writeln!(out, "# connection limit = {limit} # {}", line(whose));
        }
        for l in &self.lines {
            let (file, at) = &l.written;
            let _ = writeln!(
                out,
                "# {}:{at}: {} = {}",
                line(file),
                line(&l.name),
                line(&l.value)
            );
        }
        if self.others > 0 {
            let _ = writeln!(
                out,
                "# held now by {}: {}",
                line(&self.others_are),
                self.others
            );
        }
        out
    }
}

/// On one line, whatever a server sends.
fn line(text: &str) -> String {
    let short = text.chars().take(200);
    short
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
