//! How much a database carries: a search over rates, and what its steps tell.
//!
//! ```text
//!   grow ─ doubles until a step fails, twice ─► halve ─ until 5 % are left ─► fill ─► fit
//!            │ the first fails: a quarter            between what held         rates below,
//!            ▼                                       and what failed           for the curve
//!         too much at once
//! ```
//!
//! A step fails where the answers fall behind what is offered, where more requests
//! fail than may, where a threshold breaks, or where the generator lagged. The
//! last says nothing about the database, and is never told as its limit.
//!
//! Pure: the shell asks [`Search::next_rate`] for a rate, runs it, and records it.

mod fit;
#[cfg(test)]
mod tests;

pub use fit::{Capacity, Fit, NoFit};

use crate::measured::{Invalid, Run};
use crate::report::units::{percent, rate, shown};
use crate::schedule::RATE_MAX;
use crate::threshold::Measured;
use crate::threshold::Threshold;
use crate::verdict::{Outcome, Verdict};

/// Answers below this part of what is offered have fallen behind.
pub const BEHIND: f64 = 0.95;
/// Share of failures beyond which a step failed, where nothing else is asked for.
pub const ERRORS_MAX: f64 = 0.01;
/// Above this share of failures it is they that end a step, whatever was answered.
const MOST: f64 = 0.5;
/// By how much each next rate is more, while it grows.
const GROWTH: f64 = 2.0;
/// Where even the first rate is too much: by how much less, and how often.
const SHRINK: f64 = 0.25;
const SHRINKS_MAX: u32 = 4;
/// The search ends where what failed is at most so much more than what held.
const PRECISION: f64 = 1.05;
/// Parts of the highest rate that held at which the curve is looked at.
const FILL: [f64; 5] = [0.3, 0.5, 0.65, 0.8, 0.9];
/// A step is near enough to one of these within this part.
const NEAR: f64 = 0.06;
/// Most steps: each takes tens of seconds.
const STEPS_MAX: usize = 48;
/// The part of a step in which it settles, which is not measured.
const SETTLING: f64 = 0.2;
/// Part of the knee that is recommended: bursts of a quarter more stay below it.
pub const HEADROOM: f64 = 0.8;

/// Between which rates to search, and what a step must keep beside its goodput.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// The first rate, requests per second.
    from: f64,
    /// The highest that is tried.
    to: f64,
    /// The share of requests that may fail.
    pub errors_max: f64,
}

/// One rate, tried.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Requests per second that were asked for.
    pub rate: f64,
    /// Requests per second that were due, once it had settled: chance makes it differ.
    pub offered: f64,
    /// Answers per second in that time.
    pub goodput: f64,
    /// Median latency, microseconds.
    pub p50_us: f64,
    /// 99th percentile of latency.
    pub p99_us: f64,
    /// 99th percentile of the wait for a connection.
    pub wait_p99_us: f64,
    /// Share of requests that failed.
    pub errors: f64,
    /// The first threshold that did not hold, as it was written.
    pub broken: Option<String>,
    /// Why its figures are worth nothing; `None`: they hold.
    pub invalid: Option<String>,
}

/// Why a step failed.
#[derive(Clone, PartialEq, Debug)]
pub enum Why {
    /// Answers fell behind what was offered.
    Behind,
    /// More requests failed than may.
    Errors,
    /// This threshold did not hold.
    Threshold(String),
    /// The generator could not: this says nothing about the database.
    Generator(String),
}

/// How a search ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// Between what held and what failed there is little left.
    Found {
        /// The highest rate that held.
        held: f64,
        /// The lowest above it that failed.
        failed: f64,
        /// Why that one failed.
        why: Why,
    },
    /// The highest rate of the bounds held: the limit lies above.
    Above(f64),
    /// Even the lowest rate that was tried failed.
    Below(f64, Why),
    /// It is not over.
    Open,
}

#[derive(Clone, PartialEq, Debug)]
enum State {
    /// `again`: this rate failed once, which may have been chance.
    Growing {
        rate: f64,
        held: Option<f64>,
        again: bool,
    },
    Shrinking {
        rate: f64,
        failed: f64,
        why: Why,
        left: u32,
    },
    Halving {
        held: f64,
        failed: f64,
        why: Why,
    },
    Filling {
        rates: Vec<f64>,
        end: End,
    },
    Over(End),
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: Bounds,
    steps: Vec<Step>,
    state: State,
}

impl Bounds {
    /// From a rate to another, with the usual share of failures.
    ///
    /// # Errors
    /// What is wrong with the rates, and what to write instead.
    pub fn new(from: f64, to: f64) -> Result<Bounds, String> {
        let sound = from > 0.0 && from <= to && to <= RATE_MAX;
        sound
            .then_some(Bounds {
                from,
                to,
                errors_max: ERRORS_MAX,
            })
            .ok_or_else(|| {
                format!(
                    "a search from {from}/s to {to}/s has no rates; write a lower one above 0 and \
                     a higher one of at most {RATE_MAX}/s"
                )
            })
    }
}

impl Step {
    /// What a run at this rate measured.
    ///
    /// Offers and answers are counted over the same seconds, after the first fifth:
    /// so what was under way at the begin stands for what is at the end.
    pub fn of(rate: f64, run: &Run, verdict: &Verdict) -> Step {
        let planned = (run.planned.as_secs() as usize).min(run.seconds.len());
        let first = (planned as f64 * SETTLING).ceil() as usize;
        let settled = &run.seconds[first.min(planned)..planned];
        let per_s = |sum: u64| sum as f64 / settled.len().max(1) as f64;
        let percentile = |percent| run.all.latency_us(percent).map_or(0.0, |us| us as f64);
        // A rate that must be answered breaks at each lower one: no limit of the database.
        let on_rate = |text: &str| Threshold::parse(text).is_ok_and(|one| one.is_on_rate());
        let mut judged = verdict.thresholds.iter();
        let broken = judged.find(|one| !one.kept && !on_rate(&one.text));
        Step {
            rate,
            offered: per_s(settled.iter().map(|second| second.due).sum()),
            goodput: per_s(settled.iter().map(|second| second.goodput).sum()),
            p50_us: percentile(50.0),
            p99_us: percentile(99.0),
            wait_p99_us: run.all.wait.value_at_quantile(0.99) as f64,
            errors: run.all.errors() as f64 / run.all.due.max(1) as f64,
            broken: match run.all.due {
                0 => Some("no request was due".to_owned()),
                _ => broken.map(|one| one.text.clone()),
            },
            invalid: match run.invalid() {
                Some(why @ Invalid::Lagged { .. }) => Some(why.to_string()),
                Some(Invalid::Nothing) | None => None,
            },
        }
    }

    /// Why it failed; `None`: it held.
    pub fn failed(&self, bounds: &Bounds) -> Option<Why> {
        if let Some(why) = &self.invalid {
            return Some(Why::Generator(why.clone()));
        }
        // Where most fail, that they are not answered says nothing of a capacity.
        if self.errors > MOST {
            return Some(Why::Errors);
        }
        if self.goodput < self.offered * BEHIND {
            return Some(Why::Behind);
        }
        if self.errors > bounds.errors_max {
            return Some(Why::Errors);
        }
        self.broken.clone().map(Why::Threshold)
    }
}

impl Search {
    /// A search that begins with the lowest rate.
    pub fn new(bounds: Bounds) -> Search {
        Search {
            bounds,
            steps: Vec::new(),
            state: State::Growing {
                rate: bounds.from,
                held: None,
                again: false,
            },
        }
    }

    /// The rate to try next; `None`: it is over.
    pub fn next_rate(&self) -> Option<f64> {
        if self.steps.len() >= STEPS_MAX {
            return None;
        }
        match &self.state {
            State::Growing { rate, .. } | State::Shrinking { rate, .. } => Some(*rate),
            State::Halving { held, failed, .. } => Some((held * failed).sqrt()),
            State::Filling { rates, .. } => rates.last().copied(),
            State::Over(_) => None,
        }
    }

    /// What came of the rate that was to be tried.
    pub fn record(&mut self, step: Step) {
        let Some(rate) = self.next_rate() else { return };
        let failed = step.failed(&self.bounds);
        self.steps.push(step);
        let state = std::mem::replace(&mut self.state, State::Over(End::Open));
        self.state = self.after(state, rate, failed);
    }

    /// Every step so far, in the order of trying.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How it ended.
    pub fn end(&self) -> End {
        match &self.state {
            State::Over(end) | State::Filling { end, .. } => end.clone(),
            State::Halving { held, failed, why } if self.steps.len() >= STEPS_MAX => End::Found {
                held: *held,
                failed: *failed,
                why: why.clone(),
            },
            _ => End::Open,
        }
    }

    /// All transitions.
    fn after(&self, state: State, rate: f64, failed: Option<Why>) -> State {
        match (state, failed) {
            (State::Growing { .. }, None) if rate >= self.bounds.to => self.fill(End::Above(rate)),
            (State::Growing { .. }, None) => State::Growing {
                rate: (rate * GROWTH).min(self.bounds.to),
                held: Some(rate),
                again: false,
            },
            (
                State::Growing {
                    held, again: false, ..
                },
                Some(_),
            ) => State::Growing {
                rate,
                held,
                again: true,
            },
            (
                State::Growing {
                    held: Some(held), ..
                },
                Some(why),
            ) => self.halve(held, rate, why),
            (State::Growing { held: None, .. }, Some(why)) => State::Shrinking {
                rate: rate * SHRINK,
                failed: rate,
                why,
                left: SHRINKS_MAX,
            },
            (State::Shrinking { failed, why, .. }, None) => self.halve(rate, failed, why),
            (State::Shrinking { left: 0, .. }, Some(why)) => State::Over(End::Below(rate, why)),
            (State::Shrinking { left, .. }, Some(why)) => State::Shrinking {
                rate: rate * SHRINK,
                failed: rate,
                why,
                left: left - 1,
            },
            (State::Halving { failed, why, .. }, None) => self.halve(rate, failed, why),
            (State::Halving { held, .. }, Some(why)) => self.halve(held, rate, why),
            (State::Filling { mut rates, end }, _) => {
                rates.pop();
                match rates.is_empty() {
                    true => State::Over(end),
                    false => State::Filling { rates, end },
                }
            }
            (State::Over(end), _) => State::Over(end),
        }
    }

    fn halve(&self, held: f64, failed: f64, why: Why) -> State {
        match failed <= held * PRECISION {
            true => self.fill(End::Found { held, failed, why }),
            false => State::Halving { held, failed, why },
        }
    }

    /// Rates that the curve still lacks; the highest first in time, so last in the list.
    fn fill(&self, end: End) -> State {
        let (End::Found { held, .. } | End::Above(held)) = end else {
            return State::Over(end);
        };
        let rates = FILL.iter().map(|part| part * held);
        let lacking = rates.filter(|rate| {
            let mut tried = self.steps.iter();
            !tried.any(|step| (step.rate / rate - 1.0).abs() < NEAR && step.invalid.is_none())
        });
        let rates: Vec<f64> = lacking.collect();
        match rates.is_empty() {
            true => State::Over(end),
            false => State::Filling { rates, end },
        }
    }
}

/// What a search tells.
#[derive(Clone, PartialEq, Debug)]
pub struct Limit {
    /// Where it was sent, as a person named it, without secrets.
    pub target: String,
    /// Every step, by its rate; why it failed, or that it held.
    pub steps: Vec<(Step, Option<Why>)>,
    /// How the search ended.
    pub end: End,
    /// What is answered at most; `None`: no step showed it.
    pub capacity: Option<Capacity>,
    /// The curve, or why there is none.
    pub fit: Result<Fit, NoFit>,
    /// A rate to plan with, requests per second; `None`: nothing held.
    pub recommended: Option<f64>,
    /// What it comes to.
    pub outcome: Outcome,
}

impl Limit {
    /// Judges a search. `hindered`: why it could not go on, where it could not.
    pub fn of(target: &str, search: &Search, hindered: Option<&str>) -> Limit {
        let end = search.end();
        let judged = search.steps.iter().cloned();
        let mut steps: Vec<(Step, Option<Why>)> = judged
            .map(|step| {
                let why = step.failed(&search.bounds);
                (step, why)
            })
            .collect();
        steps.sort_by(|a, b| a.0.rate.total_cmp(&b.0.rate));
        let fit = fit::fit(&steps);
        let held = match end {
            End::Found { held, .. } | End::Above(held) => Some(held),
            End::Below(..) | End::Open => None,
        };
        let knee = fit.as_ref().map_or(f64::INFINITY, |fit| fit.knee);
        Limit {
            target: shown(target),
            recommended: held.map(|held| held.min(knee) * HEADROOM),
            outcome: outcome(&end, hindered),
            capacity: fit::capacity(&steps).ok(),
            steps,
            end,
            fit,
        }
    }

    /// What was found, in a sentence.
    pub fn sentence(&self) -> String {
        match &self.end {
            End::Found { held, failed, why } => match why {
                Why::Generator(_) => format!(
                    "It carried {}. At {} the generator lagged: that is the generator's limit, \
                     not the database's, which lies above.",
                    rate(*held),
                    rate(*failed)
                ),
                why => format!(
                    "It carried {}; at {} {}.",
                    rate(*held),
                    rate(*failed),
                    why.say()
                ),
            },
            End::Above(held) => format!(
                "It carried {}, the highest rate that was to be tried: the limit lies above.",
                rate(*held)
            ),
            End::Below(tried, why) => {
                format!("Even at {} {}.", rate(*tried), why.say())
            }
            End::Open => "The search did not come to its end.".to_owned(),
        }
    }
}

impl Why {
    /// What happened, after "at this rate".
    pub fn say(&self) -> String {
        match self {
            Why::Behind => format!("answers fell below {} of what was offered", percent(BEHIND)),
            Why::Errors => "too many requests failed".to_owned(),
            Why::Threshold(text) => format!("`{}` did not hold", shown(text)),
            Why::Generator(_) => "the generator lagged".to_owned(),
        }
    }
}

fn outcome(end: &End, hindered: Option<&str>) -> Outcome {
    if let Some(why) = hindered {
        return Outcome::CouldNot(shown(why));
    }
    match end {
        End::Found {
            why: Why::Generator(why),
            ..
        }
        | End::Below(_, Why::Generator(why)) => {
            Outcome::Invalid(format!("the generator's limit, not the database's: {why}"))
        }
        End::Found { .. } | End::Above(_) => Outcome::Kept,
        End::Below(rate_, why) => {
            Outcome::CouldNot(format!("even at {} {}", rate(*rate_), why.say()))
        }
        End::Open => Outcome::CouldNot("the search was ended early".to_owned()),
    }
}
