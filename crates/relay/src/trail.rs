//! The last statement of a lease, kept as it came and read only when somebody asks.
//!
//! Noting it costs each query a copy of some bytes and no allocation. Its
//! literals never leave here: what is shown was normalised first, and what
//! cannot be read for sure shows its first word alone.

use crate::statements::Statement;
use events::ExemptReason;
use pool::LeaseClass;
use std::sync::Arc;
use std::time::Duration;
use wire::back::Status;
use wire::sql::{self, Change, Quoting, Tags, Verb};

/// So much of a long text is kept from its beginning,
const HEAD_MAX: usize = 1024;
/// and so much from its end, where tags may stand.
const TAIL_MAX: usize = 512;
/// A prepared statement is shared up to this length; of a longer one the ends are kept.
const SHARED_MAX: usize = 16 * 1024;
/// Longest statement that is shown, bytes.
pub(crate) const SHOWN_MAX: usize = 512;

/// How much of the last statement is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StatementText {
    /// Its text without literals.
    #[default]
    Normalised,
    /// A number that statements share when they differ only in literals.
    Fingerprint,
    /// Nothing.
    Off,
}

/// Where the last statement stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Last {
    /// There was none but BEGIN and its like.
    #[default]
    Nothing,
    /// In `raw`, whole.
    Text,
    /// In `raw`: so many bytes of its beginning, then some of its end.
    Ends(u16),
    /// In `statement`.
    Prepared,
    /// A function called by its number.
    Call,
}

/// What silence of the same lease was found to be, until the client speaks.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) class: Arc<LeaseClass>,
    /// What its statement and its name exempt it for.
    pub(crate) exempt: Option<ExemptReason>,
}

/// What a client sent last in its lease.
#[derive(Default)]
pub(crate) struct Trail {
    raw: Vec<u8>,
    last: Last,
    /// Kept beyond its lease, so that the same statement costs nothing next time.
    statement: Option<Arc<Statement>>,
    /// What its transactions did that keeps the lease from being taken back.
    marks: u8,
    /// The pool records this lease.
    pub(crate) taped: bool,
    /// How often the client sent something and was answered in this lease.
    pub(crate) rounds: u32,
    /// How long the server waited for the client, inside its transactions.
    pub(crate) idle: Duration,
    pub(crate) known: Option<Known>,
}

impl std::fmt::Debug for Trail {
    /// Without the text, which holds literals.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trail({:?}, marks {})", self.last, self.marks)
    }
}

const DDL: u8 = 1;
const COPY: u8 = 2;
const SNAPSHOT: u8 = 4;

impl Trail {
    /// A lease begins; the pool records it, or not.
    #[inline]
    pub(crate) fn begin(&mut self, taped: bool) {
        self.last = Last::Nothing;
        self.marks = 0;
        self.known = None;
        self.taped = taped;
        self.rounds = 0;
        self.idle = Duration::ZERO;
    }

    /// A statement's text; of one that is not all here (`whole` unset), its beginning.
    #[inline]
    pub(crate) fn text(&mut self, text: &[u8], whole: bool) {
        self.known = None;
        self.raw.clear();
        if whole && text.len() <= HEAD_MAX + TAIL_MAX {
            self.raw.extend_from_slice(text);
            self.last = Last::Text;
        } else {
            self.ends(text, whole);
        }
    }

    fn ends(&mut self, text: &[u8], whole: bool) {
        let head = text.get(..HEAD_MAX).unwrap_or(text);
        self.raw.extend_from_slice(head);
        if whole && let Some(at) = text.len().checked_sub(TAIL_MAX) {
            self.raw
                .extend_from_slice(text.get(at..).unwrap_or_default());
        }
        self.last = Last::Ends(head.len() as u16);
    }

    /// A prepared statement is used.
    #[inline]
    pub(crate) fn prepared(&mut self, statement: &Arc<Statement>) {
        if let Some(script) = &statement.script {
            if is_control(script) {
                return;
            }
            self.mark(&script.effects);
        }
        self.known = None;
        self.last = Last::Prepared;
        if !self
            .statement
            .as_ref()
            .is_some_and(|s| Arc::ptr_eq(s, statement))
        {
            self.share(statement);
        }
    }

    fn share(&mut self, statement: &Arc<Statement>) {
        if statement.text.len() <= SHARED_MAX {
            self.statement = Some(Arc::clone(statement));
        } else {
            self.text(&statement.text, true);
        }
    }

    /// A function is called by its number.
    pub(crate) fn call(&mut self) {
        self.known = None;
        self.last = Last::Call;
    }

    /// Notes what a text did that others may build on.
    pub(crate) fn mark(&mut self, effects: &[sql::Effect]) {
        for effect in effects {
            self.marks |= match effect.change {
                Change::Ddl => DDL,
                Change::Copy => COPY,
                Change::ExportSnapshot => SNAPSHOT,
                _ => 0,
            };
        }
    }

    /// What the lease's statements exempt it for.
    pub(crate) fn exempt(&self) -> Option<ExemptReason> {
        let reasons = [
            (SNAPSHOT, ExemptReason::ExportedSnapshot),
            (DDL, ExemptReason::Ddl),
            (COPY, ExemptReason::Copy),
        ];
        let found = reasons.iter().find(|(mark, _)| self.marks & mark != 0);
        found.map(|(_, reason)| *reason)
    }

    /// The text that is here, whether all of it is, and its end apart.
    fn parts(&self) -> (&[u8], bool, &[u8]) {
        match self.last {
            Last::Nothing | Last::Call => (&[], true, &[]),
            Last::Text => (&self.raw, true, &[]),
            Last::Prepared => {
                let text: &[u8] = self.statement.as_ref().map_or(&[], |s| &s.text);
                let head = text.get(..HEAD_MAX + TAIL_MAX).unwrap_or(text);
                let end = text.len().saturating_sub(TAIL_MAX);
                let whole = head.len() == text.len();
                let tail = if whole {
                    &[]
                } else {
                    text.get(end..).unwrap_or_default()
                };
                (head, whole, tail)
            }
            Last::Ends(head) => {
                let (head, tail) = self.raw.split_at(self.raw.len().min(usize::from(head)));
                (head, false, tail)
            }
        }
    }

    /// The statement's tags.
    pub(crate) fn tags(&self) -> Tags {
        let (text, _, tail) = self.parts();
        let tags = sql::tags(text);
        if tags.is_empty() && !tail.is_empty() {
            return sql::tags(tail);
        }
        tags
    }

    /// The statement without literals. `status` is the server's after it, if it
    /// has answered: what it has accepted was read as it reads it.
    pub(crate) fn shown(&self, status: Option<Status>) -> String {
        let mut out = String::new();
        match (self.last, self.readable(status)) {
            (Last::Nothing, _) => {}
            (Last::Call, _) => out.push_str("function call"),
            (_, Some(text)) => sql::normalise(text, Quoting::default(), SHOWN_MAX, &mut out),
            (_, None) => out = self.first_word(),
        }
        if matches!(self.last, Last::Ends(_)) && !out.ends_with('…') {
            out.push_str(" …");
        }
        out
    }

    /// What statements share that differ in literals only.
    pub(crate) fn fingerprint(&self, status: Option<Status>) -> u64 {
        match (self.last, self.readable(status)) {
            (Last::Nothing, _) => 0,
            (Last::Call, _) => 1,
            (_, Some(text)) => sql::fingerprint(text, Quoting::default()),
            (_, None) => sql::fingerprint(self.first_word().as_bytes(), Quoting::default()),
        }
    }

    /// As much of the text as can be read for sure.
    fn readable(&self, status: Option<Status>) -> Option<&[u8]> {
        let (text, whole, _) = self.parts();
        let (on, off) = (
            Quoting::default(),
            Quoting {
                standard_conforming_strings: false,
            },
        );
        let text = match whole {
            true => text,
            // A quote too many, far behind, would show in the whole text only.
            false if status == Some(Status::Transaction) => sql::whole_tokens(text, on),
            false => return None,
        };
        // How backslashes are read depends on a setting, as it was then.
        let doubt =
            text.contains(&b'\\') && sql::fingerprint(text, on) != sql::fingerprint(text, off);
        (!doubt).then_some(text)
    }

    fn first_word(&self) -> String {
        let (text, ..) = self.parts();
        match sql::read(text, Quoting::default()).first {
            Verb::Empty | Verb::Other => "…".into(),
            verb => format!("{} …", verb.as_str()),
        }
    }
}

/// One statement, and all that it does is to begin or end a transaction.
pub(crate) fn is_control(script: &sql::Script) -> bool {
    script.first.controls_a_transaction() && script.statements <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Option<Status> = Some(Status::Transaction);

    fn shown(text: &str) -> String {
        let mut trail = Trail::default();
        trail.text(text.as_bytes(), true);
        trail.shown(DONE)
    }

    #[test]
    fn what_is_shown_has_no_literals() {
        let long = format!(
            "SELECT a FROM t WHERE b IN ('secret', {} 5)",
            "'secret', ".repeat(400)
        );
        let cut = format!(
            "SELECT {} FROM t WHERE b = 'secret{}'",
            "a, ".repeat(300),
            "x".repeat(2000)
        );
        let table = [
            ("SELECT 'secret', 5 FROM t", "SELECT ?, ? FROM t"),
            (
                "INSERT INTO t VALUES ('secret')",
                "INSERT INTO t VALUES (?)",
            ),
            // It depends on a setting where the string ends.
            (r"SELECT 'a\', secret, 'b'", "SELECT …"),
            (r"SELECT E'a\'secret'", "SELECT ?"),
            ("SELECT 'secret", "SELECT …"),
            ("", ""),
        ];
        for (text, wanted) in table {
            assert_eq!(shown(text), wanted, "{text}");
        }
        for text in [long, cut] {
            let shown = shown(&text);
            assert!(
                shown.starts_with("SELECT a") && shown.ends_with('…'),
                "{shown}"
            );
            assert!(
                !shown.contains("secret") && shown.len() <= SHOWN_MAX + 4,
                "{shown}"
            );
        }
    }

    #[test]
    fn a_long_text_that_failed_or_runs_shows_its_verb_only() {
        // The quote that is missing turns the rest inside out.
        let text = format!(
            "SELECT 'open, a FROM t WHERE b = ' secret '{}",
            " AND c".repeat(600)
        );
        let mut trail = Trail::default();
        trail.text(text.as_bytes(), true);
        for status in [None, Some(Status::Failed)] {
            assert_eq!(trail.shown(status), "SELECT …");
        }
    }

    #[test]
    fn tags_are_found_at_both_ends_of_a_long_text() {
        let text = format!(
            "SELECT {} 1 /*application='shop',release='7'*/",
            "1, ".repeat(5000)
        );
        let mut trail = Trail::default();
        trail.text(text.as_bytes(), true);
        let tags: Vec<String> = trail.tags().iter().map(|t| format!("{t:?}")).collect();
        assert_eq!(tags, ["application=\"shop\"", "release=\"7\""]);
        assert!(trail.raw.len() <= HEAD_MAX + TAIL_MAX);
        // Of a text that is not all here, the end is not known.
        trail.text(text.as_bytes(), false);
        assert!(trail.tags().is_empty());
    }

    #[test]
    fn marks_last_as_long_as_the_lease() {
        let mut trail = Trail::default();
        for (text, wanted) in [
            ("SELECT 1", None),
            ("COPY t FROM STDIN", Some(ExemptReason::Copy)),
            ("CREATE INDEX i ON t (a)", Some(ExemptReason::Ddl)),
            (
                "SELECT pg_export_snapshot()",
                Some(ExemptReason::ExportedSnapshot),
            ),
            ("SELECT 1", Some(ExemptReason::ExportedSnapshot)),
        ] {
            trail.mark(&sql::read(text.as_bytes(), Quoting::default()).effects);
            assert_eq!(trail.exempt(), wanted, "{text}");
        }
        trail.begin(false);
        assert_eq!(trail.exempt(), None);
        assert_eq!(trail.shown(DONE), "");
    }
}
