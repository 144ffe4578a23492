//! What an answer is worth, and what is kept for the debrief.

use super::super::debrief::{ActionTaken, Debrief, Hypothesis, PathTold};
use super::super::{Effect, Ending};
use super::{FIGURES_MAX, NOTED_MAX, Session, seconds};
use diagnose::{Cause, State, Verdict};
use std::time::Duration;

/// Figures of a verdict ripen for so long.
const RIPE_AFTER: Duration = Duration::from_secs(4);

impl Session {
    /// Judges an answer, with the figure that speaks for or against it.
    pub(super) fn suspect(&mut self, at: Duration, cause: Cause, verdict: &Verdict) -> String {
        // When clients are well again the figures of the trouble count, not those of now.
        let hurts = verdict.state == State::Hurt && !verdict.summary.is_empty();
        let verdict = match (&self.verdict, hurts) {
            (Some(kept), false) => kept,
            _ => verdict,
        };
        let near = self.drill.near.iter().find(|(c, _)| *c == cause);
        let right = self.drill.causes.contains(&cause);
        let (word, figure, text) = if right {
            let figure = supporting(verdict, cause);
            let shown = figure
                .as_ref()
                .map_or(String::new(), |f| format!(" The figures: {f}."));
            let next = match self.well.is_some() {
                true => "",
                false => " Now mend it.",
            };
            let text = format!("Yes: {}.{shown}{next}", cause.title());
            ("right", figure.unwrap_or_default(), text)
        } else if let Some((_, lacks)) = near {
            ("near", (*lacks).to_owned(), format!("Nearly. {lacks}"))
        } else {
            let figure = contradicting(verdict, cause);
            let text = match &figure {
                Some(figure) => format!("No. Against it speaks: {figure}"),
                None => "No. No figure rules it out yet; it is not what was done here.".to_owned(),
            };
            ("wrong", figure.unwrap_or_default(), text)
        };
        if right {
            self.named.get_or_insert(at);
        }
        if self.hypotheses.len() < NOTED_MAX {
            self.hypotheses.push(Hypothesis {
                at_s: seconds(at),
                cause: cause.label().to_owned(),
                verdict: word.to_owned(),
                figure,
            });
        }
        text
    }

    /// Keeps what the diagnosis said while it hurt. The first verdict that names
    /// the right cause is kept, or one of the next seconds: their figures are ripe,
    /// and later ones may be those of an action.
    pub(super) fn note(&mut self, at: Duration, verdict: &Verdict) {
        if verdict.state != State::Hurt {
            return;
        }
        let right = |v: &Verdict| v.cause().is_some_and(|c| self.drill.causes.contains(&c));
        if right(verdict) {
            self.diagnosis_right.get_or_insert(at);
        }
        let better = match &self.verdict {
            None => true,
            Some(kept) if right(kept) => {
                let first = self.diagnosis_right.unwrap_or_default();
                right(verdict) && at.saturating_sub(first) <= RIPE_AFTER
            }
            Some(_) => true,
        };
        if better {
            self.verdict = Some(verdict.clone());
        }
    }

    /// What is told at the end.
    pub fn debrief(&self, at: Duration, ending: Ending) -> Debrief {
        let drill = self.drill;
        let wrong = |a: &&ActionTaken| matches!(a.effect, Effect::Nothing | Effect::Harmed);
        let kept = self.verdict.as_ref();
        let path = |path: &super::super::Path| PathTold {
            what: path.what.to_owned(),
            why: path.why.to_owned(),
            taken: self.walked(path),
        };
        Debrief {
            drill: drill.name.to_owned(),
            title: drill.title.to_owned(),
            difficulty: drill.level.label().to_owned(),
            report: drill.report.to_owned(),
            is_the_reports_outage: drill.itself,
            ending,
            seconds: seconds(at),
            causes: drill.causes.iter().map(|c| c.label().to_owned()).collect(),
            done: drill.done.to_owned(),
            cure: drill.cure.to_owned(),
            first_right_s: self.named.map(seconds),
            well_s: self.well.map(seconds),
            hypotheses: self.hypotheses.clone(),
            wrong_hypotheses: self
                .hypotheses
                .iter()
                .filter(|h| h.verdict == "wrong")
                .count(),
            actions: self.actions.clone(),
            wrong_actions: self.actions.iter().filter(wrong).count(),
            hints: self.hints.clone(),
            usual: self.usual,
            worst: self.worst,
            diagnosis: kept.map_or(String::new(), |v| v.summary.clone()),
            diagnosis_right_s: self.diagnosis_right.map(seconds),
            figures: kept.map_or(Vec::new(), cited),
            misleading: drill.paths.iter().map(path).collect(),
            in_the_report: drill
                .story
                .iter()
                .map(|(when, what)| ((*when).to_owned(), (*what).to_owned()))
                .collect(),
            report_minutes_to_cause: drill.minutes_to_cause,
            chapter: drill
                .causes
                .first()
                .map_or(String::new(), |c| c.label().to_owned()),
        }
    }

    fn walked(&self, path: &super::super::Path) -> bool {
        let suspected = |h: &Hypothesis| path.causes.iter().any(|c| c.label() == h.cause);
        let tried = |a: &ActionTaken| {
            let verb = a.action.split(' ').next().unwrap_or_default();
            // What mended it misled nobody.
            path.actions.contains(&verb) && a.effect != Effect::Mended
        };
        self.hypotheses.iter().any(suspected) || self.actions.iter().any(tried)
    }
}

fn supporting(verdict: &Verdict, cause: Cause) -> Option<String> {
    let finding = verdict.findings.iter().find(|f| f.cause == cause)?;
    let figures: Vec<String> = finding
        .figures
        .iter()
        .take(3)
        .map(ToString::to_string)
        .collect();
    (!figures.is_empty()).then(|| figures.join("; "))
}

/// What rules a cause out; else why it is seen all the same, or what lacks.
fn contradicting(verdict: &Verdict, cause: Cause) -> Option<String> {
    if let Some(one) = verdict.ruled_out.iter().find(|r| r.cause == cause) {
        return Some(match one.text.is_empty() {
            true => one.figure.to_string(),
            false => one.text.clone(),
        });
    }
    if let Some(figure) = supporting(verdict, cause) {
        return Some(format!(
            "it is seen, but as what follows from the cause: {figure}"
        ));
    }
    let unknown = verdict.unknown.iter().find(|u| u.cause == cause);
    unknown.map(|u| u.lacks.clone())
}

/// The figures that a verdict cites, of symptoms and of its first finding.
fn cited(verdict: &Verdict) -> Vec<String> {
    let first = verdict.findings.first();
    let figures = first.map_or(&[][..], |f| f.figures.as_slice());
    let all = verdict.symptoms.iter().chain(figures);
    let mut lines: Vec<String> = Vec::new();
    for figure in all {
        let line = figure.to_string();
        if !lines.contains(&line) && lines.len() < 2 * FIGURES_MAX {
            lines.push(line);
        }
    }
    lines
}
