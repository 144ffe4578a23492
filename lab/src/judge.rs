//! Right or wrong: one row for each case, and their sums.

use crate::case::Case;
use crate::run::{Asked, Outcome};
use diagnose::{Cause, State, Verdict};
use serde::{Deserialize, Serialize};

/// The first answer where there is none, or where no question was answered.
pub const UNKNOWN: &str = "unknown";
/// The first answer where it says that nobody suffers.
pub const CALM: &str = "nothing";

/// One case, judged. What a report is made of, and what `--json` writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// The case's number.
    pub number: u32,
    /// Its kinds.
    pub name: String,
    /// What stood beside.
    pub beside: String,
    /// The causes; none: nothing was wrong.
    pub truths: Vec<String>,
    /// Causes that look the same from here, and are taken too.
    pub or: Vec<String>,
    /// Why it does not count: it failed to run, or did not hurt.
    pub void: Option<String>,
    /// The first answer.
    pub first: String,
    /// Every answer in order, with how sure.
    pub answers: Vec<(String, u8)>,
    /// The first answer is right.
    pub right: bool,
    /// It is right only because evidence lacked and it said so.
    pub honest_unknown: bool,
    /// Of two causes both were named.
    pub both: bool,
    /// A true cause was ruled out.
    pub ruled_out_truth: bool,
    /// Causes ruled out.
    pub rejections: u32,
    /// Of these, without a figure.
    pub without_figure: u32,
    /// The plain baseline's first answer.
    pub plain: Option<String>,
    /// Seconds from the hurt to the first answer that names a cause.
    pub answer_after_s: Option<f64>,
    /// Seconds from the hurt to the first of the right answers that then stood.
    pub right_after_s: Option<f64>,
    /// The slowest question, milliseconds.
    pub took_ms: u64,
    /// Seconds from the blow to the hurt.
    pub hurt_after_s: Option<f64>,
    /// Calm and trouble: 90th percentiles, milliseconds, and the share that failed in the trouble.
    pub felt: [f64; 3],
    /// Units of work in a second, calm and trouble.
    pub per_s: [f64; 2],
    /// Failures that clients saw.
    pub failures: Vec<(String, u64)>,
    /// Why no verdict came.
    pub error: Option<String>,
    /// The moment that the verdict speaks of, UTC, milliseconds since 1970.
    pub judged_at_ms: Option<i64>,
    /// "unknown" is an honest answer: evidence lacks.
    pub unknown_is_honest: bool,
    /// The verdict's summary.
    pub summary: String,
    /// The share of the machine's processor time taken in the calm, percent: where others
    /// take it, cases are not what they claim to be.
    pub busy: f64,
    /// How long the case took, seconds.
    pub seconds: f64,
}

/// Judges a case.
pub fn judge(case: &Case, outcome: &Result<Outcome, String>) -> Row {
    let mut row = Row {
        number: case.number,
        name: case.name(),
        beside: case.beside(),
        truths: case
            .truths()
            .iter()
            .map(|cause| cause.label().to_owned())
            .collect(),
        or: case.or().iter().map(|c| c.label().to_owned()).collect(),
        first: UNKNOWN.to_owned(),
        unknown_is_honest: case.unknown_is_honest(),
        ..Row::default()
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            row.void = Some(error.clone());
            return row;
        }
    };
    row.felt = [
        outcome.calm.p90_ms,
        outcome.trouble.p90_ms,
        outcome.trouble.failed,
    ];
    row.per_s = [outcome.calm.per_s, outcome.trouble.per_s];
    row.failures.clone_from(&outcome.failures);
    row.hurt_after_s = outcome.hurt_after_s;
    row.seconds = outcome.seconds;
    row.busy = outcome.busy;
    if !case.nothing() && outcome.hurt_after_s.is_none() {
        row.void = Some("it did not hurt".to_owned());
    }
    answers(case, outcome, &mut row);
    row
}

fn answers(case: &Case, outcome: &Outcome, row: &mut Row) {
    for asked in &outcome.asked {
        row.took_ms = row.took_ms.max(asked.took.as_millis() as u64);
        let Ok(verdict) = &asked.verdict else {
            continue;
        };
        let after_s = asked.after_s + asked.took.as_secs_f64();
        if verdict.cause().is_some() && row.answer_after_s.is_none() {
            row.answer_after_s = Some(after_s);
        }
        row.right_after_s = match (row.is_right(verdict), row.right_after_s) {
            (false, _) => None,
            (true, None) => Some(after_s),
            (true, earlier) => earlier,
        };
    }
    // Where nothing is wrong every answer counts; else the last one given while clients
    // suffered: a guard may have healed it since.
    let accuses = |a: &&Asked| a.verdict.as_ref().is_ok_and(|v| v.cause().is_some());
    let false_alarm = outcome
        .asked
        .iter()
        .find(accuses)
        .filter(|_| case.nothing());
    let hurting = outcome.asked.iter().rfind(|asked| asked.hurting);
    let Some(last) = false_alarm.or(hurting).or(outcome.asked.last()) else {
        return;
    };
    match &last.verdict {
        Ok(verdict) => row.take(verdict),
        Err(error) => row.error = Some(error.clone()),
    }
}

impl Row {
    fn is_right(&self, verdict: &Verdict) -> bool {
        match verdict.cause() {
            None if self.truths.is_empty() => {
                matches!(verdict.state, State::Calm | State::Strained)
            }
            None => self.unknown_is_honest,
            Some(cause) => self.is_true(cause) || self.or.iter().any(|or| or == cause.label()),
        }
    }

    fn is_true(&self, cause: Cause) -> bool {
        self.truths.iter().any(|truth| truth == cause.label())
    }

    /// Takes this verdict as the one that counts.
    pub fn take(&mut self, verdict: &Verdict) {
        self.judged_at_ms = Some(verdict.at_ms);
        self.summary.clone_from(&verdict.summary);
        let answer = |f: &diagnose::Finding| (f.cause.label().to_owned(), f.sure);
        self.answers = verdict.findings.iter().map(answer).collect();
        self.first = match (verdict.cause(), verdict.state) {
            (Some(cause), _) => cause.label().to_owned(),
            (None, State::Calm | State::Strained) => CALM.to_owned(),
            (None, _) => UNKNOWN.to_owned(),
        };
        self.right = self.is_right(verdict);
        self.honest_unknown = self.right && verdict.cause().is_none() && !self.truths.is_empty();
        let named = |truth: &String| self.answers.iter().any(|(label, _)| label == truth);
        self.both = self.truths.len() > 1 && self.truths.iter().all(named);
        self.ruled_out_truth = verdict.ruled_out.iter().any(|r| self.is_true(r.cause));
        self.rejections = verdict.ruled_out.len() as u32;
        let bare =
            |r: &&diagnose::Rejection| r.figure.name.is_empty() || !r.figure.value.is_finite();
        self.without_figure = verdict.ruled_out.iter().filter(bare).count() as u32;
    }
}

/// A share with its 95 % interval after Wilson (1927), in percent.
pub fn wilson(hits: usize, of: usize) -> (f64, f64, f64) {
    if of == 0 {
        return (0.0, 0.0, 100.0);
    }
    const Z: f64 = 1.959_964;
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let below = 1.0 + Z * Z / n;
    let percent = |x: f64| (100.0 * x).clamp(0.0, 100.0);
    (
        percent(p),
        percent((middle - half) / below),
        percent((middle + half) / below),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_the_published_one() {
        let (p, low, high) = wilson(190, 200);
        assert!((p - 95.0).abs() < 1e-9);
        assert!((low - 91.04).abs() < 0.02, "{low}");
        assert!((high - 97.26).abs() < 0.02, "{high}");
        assert_eq!(wilson(0, 0), (0.0, 0.0, 100.0));
    }
}
