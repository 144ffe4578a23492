//! What the diagnosis thought, and when: one row for each cause.

use super::{Entry, EntryKind, Hypothesis, Incident, VERDICTS_MAX};
use crate::{Cause, Figure, State, Subject, Verdict, safe};

/// Most figures that are kept of a finding.
const FIGURES_MAX: usize = 8;
/// Of the verdicts, so many of the first are kept; of the rest, the newest.
const FIRST_KEPT: usize = 4;

impl Incident {
    /// Takes in what the diagnosis says now.
    pub(super) fn think(&mut self, verdict: &Verdict) -> bool {
        for finding in &verdict.findings {
            let row = self.hypothesis(finding.cause);
            row.named_ms.get_or_insert(verdict.at_ms);
            row.last_named_ms = Some(verdict.at_ms);
            row.sure = finding.sure;
            row.text = safe::line(&finding.text, safe::LINE_CHARS_MAX);
            row.figures = finding.figures.iter().take(FIGURES_MAX).map(tidy).collect();
            row.subject = finding.subject.clone();
            row.change = finding.change.as_ref().map(Entry::from);
            row.lacks = None;
        }
        for rejection in &verdict.ruled_out {
            let row = self.hypothesis(rejection.cause);
            row.lacks = None;
            // The moment at which it was first ruled out stays, unless it was named since.
            let since = row.rejected.as_ref().map(|(at, _)| *at);
            let again = since.is_some_and(|at| row.last_named_ms.is_some_and(|named| named > at));
            if since.is_none() || again {
                let mut rejection = rejection.clone();
                rejection.text = safe::line(&rejection.text, safe::LINE_CHARS_MAX);
                rejection.figure = tidy(&rejection.figure);
                row.rejected = Some((verdict.at_ms, rejection));
            }
        }
        for unknown in &verdict.unknown {
            let row = self.hypothesis(unknown.cause);
            if row.named_ms.is_none() && row.rejected.is_none() {
                row.lacks = Some(safe::line(&unknown.lacks, safe::LINE_CHARS_MAX));
            }
        }
        let onset = verdict.onset_ms.filter(|at| *at < self.onset_ms);
        // What hurt an hour before the alert was another matter.
        if let Some(onset) = onset.filter(|at| self.opened_ms - at <= 3_600_000) {
            self.onset_ms = onset;
        }
        self.remember(verdict)
    }

    /// `true`: the answer is another one than before.
    fn remember(&mut self, verdict: &Verdict) -> bool {
        let same = |a: &Verdict, b: &Verdict| {
            let named = |v: &Verdict| v.findings.iter().map(|f| f.cause).collect::<Vec<_>>();
            let ruled = |v: &Verdict| {
                let mut causes: Vec<_> = v.ruled_out.iter().map(|r| r.cause).collect();
                causes.sort();
                causes
            };
            a.state == b.state && named(a) == named(b) && ruled(a) == ruled(b)
        };
        let before = self.verdicts.last();
        if before.is_some_and(|v| same(v, verdict)) {
            return false;
        }
        let other = before.map(Verdict::cause) != Some(verdict.cause());
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.remove(FIRST_KEPT);
        }
        self.verdicts.push(verdict.clone());
        if other {
            self.enter(told(verdict));
        }
        true
    }

    fn hypothesis(&mut self, cause: Cause) -> &mut Hypothesis {
        // A closed set: no bound is needed.
        let at = match self.hypotheses.iter().position(|h| h.cause == cause) {
            Some(at) => at,
            None => {
                self.hypotheses.push(Hypothesis {
                    cause,
                    named_ms: None,
                    last_named_ms: None,
                    sure: 0,
                    text: String::new(),
                    figures: Vec::new(),
                    subject: Subject::default(),
                    change: None,
                    rejected: None,
                    lacks: None,
                });
                self.hypotheses.len() - 1
            }
        };
        &mut self.hypotheses[at]
    }
}

fn tidy(figure: &Figure) -> Figure {
    Figure {
        of: safe::name(&figure.of),
        ..figure.clone()
    }
}

fn told(verdict: &Verdict) -> Entry {
    let text = match (verdict.findings.first(), verdict.state) {
        (Some(first), _) => format!(
            "{} ({} % sure): {}",
            first.cause.title(),
            first.sure,
            first.text
        ),
        (None, State::Calm) => "nobody waits or fails beyond what is usual".to_owned(),
        (None, _) => "the cause is unknown: the figures support none".to_owned(),
    };
    Entry {
        actor: "plimsoll".to_owned(),
        ..Entry::new(verdict.at_ms, EntryKind::Verdict, &text)
    }
}
