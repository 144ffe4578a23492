//! What a rehearsal comes to, and the exit code that says it to a script.
//!
//! | code | outcome | what it means |
//! |---|---|---|
//! | 0 | kept | it was measured, and every limit held |
//! | 1 | broken | it was measured, and a limit did not hold |
//! | 2 | could not | it was not measured to its end: no connection, or a person ended it |
//! | 3 | invalid | it was measured, and the figures are worth nothing: the generator lagged |
//!
//! So a job that tries again after 2 and 3, and never after 1, hides no fault.

use crate::measured::{Ended, Invalid, Run};
use crate::report::units::{shown, time};
use crate::threshold::{Judged, Measured, Of, Span, Threshold};

/// What a rehearsal comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every limit held.
    Kept,
    /// A limit did not hold.
    Broken,
    /// It was not measured to its end: why.
    CouldNot(String),
    /// The figures are worth nothing: why.
    Invalid(String),
}

impl Outcome {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Kept => 0,
            Outcome::Broken => 1,
            Outcome::CouldNot(_) => 2,
            Outcome::Invalid(_) => 3,
        }
    }

    /// Its name for programs.
    pub fn label(&self) -> &'static str {
        match self {
            Outcome::Kept => "kept",
            Outcome::Broken => "broken",
            Outcome::CouldNot(_) => "could_not",
            Outcome::Invalid(_) => "invalid",
        }
    }

    /// Why there is no judgement; `None`: there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Kept | Outcome::Broken => None,
            Outcome::CouldNot(why) | Outcome::Invalid(why) => Some(why),
        }
    }
}

/// One run, judged.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// What it comes to.
    pub outcome: Outcome,
    /// Each threshold as it was met, also where the outcome does not follow from them.
    pub thresholds: Vec<Judged>,
    /// What would help, where there is no judgement; else nothing.
    pub help: Vec<String>,
}

impl Verdict {
    /// The verdict of a run.
    ///
    /// What hinders a judgement goes before it: a run without a connection, with
    /// a generator that lagged, or ended by a person, neither keeps nor breaks a limit.
    pub fn of(run: &Run, thresholds: &[Threshold]) -> Verdict {
        let judged: Vec<Judged> = thresholds.iter().map(|t| judge(run, t)).collect();
        let broken = judged.iter().any(|one| !one.kept);
        let (outcome, help) = match (&run.ended, run.invalid()) {
            (Ended::NoConnection(why), _) => (
                Outcome::CouldNot(format!("no connection: {}", shown(why))),
                vec![format!("see whether {} accepts logins", shown(&run.target))],
            ),
            (Ended::Interrupted, _) => (
                Outcome::CouldNot(format!(
                    "a person ended it after {} of {}",
                    time(run.lasted.as_micros() as f64),
                    time(run.planned.as_micros() as f64)
                )),
                Vec::new(),
            ),
            (_, Some(why)) => (Outcome::Invalid(why.to_string()), help(&why, run)),
            (Ended::Whole, None) if run.all.answered == 0 => (
                Outcome::CouldNot(format!("no request was answered{}", most_failed(run))),
                vec!["look at the failures, and send one request by hand".to_owned()],
            ),
            (Ended::Aborted(_), None) => (Outcome::Broken, Vec::new()),
            (Ended::Whole, None) if broken => (Outcome::Broken, Vec::new()),
            (Ended::Whole, None) => (Outcome::Kept, Vec::new()),
        };
        Verdict {
            outcome,
            thresholds: judged,
            help,
        }
    }

    /// How many thresholds did not hold.
    pub fn broken(&self) -> usize {
        self.thresholds.iter().filter(|one| !one.kept).count()
    }
}

/// Why most of them failed.
fn most_failed(run: &Run) -> String {
    let most = run.all.failed.iter().max_by_key(|(_, count)| **count);
    most.map_or(String::new(), |(why, _)| {
        format!(": {}", shown(&why.to_string()))
    })
}

/// The threshold on errors that the rest of a run cannot mend: broken, were every
/// request to come answered. `due`, `failed`: so far; `expected`: in all.
pub fn lost(thresholds: &[Threshold], due: u64, failed: u64, expected: f64) -> Option<String> {
    let best = Best {
        due: due.max(expected as u64),
        failed,
    };
    let of_all = thresholds
        .iter()
        .filter(|one| one.class.is_none() && one.is_on_errors());
    let mut judged = of_all.map(|one| one.judge(&best));
    judged
        .find(|one| !one.kept && failed > 0)
        .map(|one| one.text)
}

/// A run of which no further request fails.
struct Best {
    due: u64,
    failed: u64,
}

impl Measured for Best {
    fn time_us(&self, _: Span, _: Of) -> Option<f64> {
        None
    }

    fn requests(&self) -> u64 {
        self.due
    }

    fn errors(&self) -> u64 {
        self.failed
    }

    fn rate(&self) -> f64 {
        0.0
    }
}

/// A threshold on a class that no request had keeps nothing, as one on a run that sent nothing.
fn judge(run: &Run, threshold: &Threshold) -> Judged {
    match run.tally(threshold.class.as_deref()) {
        Some(tally) => threshold.judge(tally),
        None => Judged {
            text: threshold.text.clone(),
            kept: false,
            measured: "nothing".to_owned(),
        },
    }
}

/// What makes the next run's figures count.
fn help(why: &Invalid, run: &Run) -> Vec<String> {
    let starved = run.generator.starved.filter(|share| *share >= 0.01);
    match why {
        Invalid::Nothing => vec!["ask for a rate above zero, or for a longer run".to_owned()],
        Invalid::Lagged { .. } => vec![
            match starved {
                Some(share) => format!(
                    "give the generator more CPU: for {:.0} % of the time it wanted one and had none",
                    share * 100.0
                ),
                None => "give the generator more CPU".to_owned(),
            },
            "run it on another machine than the database and the pooler".to_owned(),
            "or ask for a lower rate".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;
    use std::time::Duration;

    fn thresholds(texts: &[&str]) -> Vec<Threshold> {
        let parsed = texts.iter().map(|text| Threshold::parse(text).unwrap());
        parsed.collect()
    }

    fn outcome(run: &Run, texts: &[&str]) -> (u8, Option<String>) {
        let verdict = Verdict::of(run, &thresholds(texts));
        let why = verdict.outcome.reason().map(str::to_owned);
        (verdict.outcome.exit_code(), why)
    }

    #[test]
    fn limits_decide_where_nothing_hinders() {
        let run = example::run();
        assert_eq!(outcome(&run, &["p(99) < 60min"]), (0, None));
        assert_eq!(outcome(&run, &[]), (0, None));
        assert_eq!(outcome(&run, &["p(99) < 60min", "p(99) < 1us"]), (1, None));
        assert_eq!(outcome(&run, &["nobody: errors < 5"]), (1, None));
    }

    #[test]
    fn a_run_is_lost_when_no_further_answer_could_mend_it() {
        let all = ["p(99) < 1us", "errors < 1%", "one: errors < 1"];
        let all: Vec<Threshold> = all.iter().map(|t| Threshold::parse(t).unwrap()).collect();
        let lost = |due, failed| lost(&all, due, failed, 1_000.0);
        // Times may still become better, and 9 of 1,000 are less than one in a hundred.
        assert_eq!((lost(10, 0), lost(10, 9)), (None, None));
        assert_eq!(lost(10, 10), Some("errors < 1%".to_owned()));
        // More came than were expected.
        assert_eq!(lost(2_000, 19), None);
    }

    #[test]
    fn what_hinders_a_judgement_goes_before_it() {
        let broken = ["p(99) < 1us"];
        let mut run = example::run();
        run.ended = Ended::Interrupted;
        run.lasted = Duration::from_secs(20);
        let why = "a person ended it after 20.0 s of 60.0 s".to_owned();
        assert_eq!(outcome(&run, &broken), (2, Some(why)));
        // Who ended it wants no other attempt, also where it lagged.
        example::lag(&mut run);
        assert_eq!(outcome(&run, &broken).0, 2);
        run.ended = Ended::Whole;
        assert_eq!(outcome(&run, &broken).0, 3);
        run.ended = Ended::NoConnection("server says\u{1b}[2J no".to_owned());
        let why = "no connection: server says?[2J no".to_owned();
        assert_eq!(outcome(&run, &broken), (2, Some(why)));
    }

    #[test]
    fn a_run_that_a_limit_ended_broke_it() {
        let mut run = example::run();
        run.ended = Ended::Aborted("errors < 1%".to_owned());
        assert_eq!(outcome(&run, &[]), (1, None));
    }

    #[test]
    fn a_generator_without_cpu_is_told_what_helps() {
        let mut run = example::run();
        example::lag(&mut run);
        let verdict = Verdict::of(&run, &[]);
        assert_eq!(
            verdict.help,
            [
                "give the generator more CPU: for 22 % of the time it wanted one and had none",
                "run it on another machine than the database and the pooler",
                "or ask for a lower rate",
            ]
        );
    }
}
