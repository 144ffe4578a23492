//! Two settings beside each other: which is better, and how sure that is.
//!
//! The sides take turns, round by round, each round with the same requests. A
//! round's two runs are minutes apart, so what drifts (a cache that warms up, a
//! neighbour that wakes) drifts for both. What is judged is the logarithm of the
//! ratio of a round's two figures, and an interval around its mean over the
//! rounds by Student's t: a paired t interval.
//!
//! Why this one: five rounds are too few for a bootstrap, and a rank test of five
//! can never be surer than 1 in 32. Within a round the sides are drawn into an
//! order, so if they are equal the ratio's logarithm is as likely above zero as
//! below, whatever the noise; and for such symmetric values t errs on the careful
//! side, also with heavy tails (B. Efron, "Student's t-test under symmetry
//! conditions", JASA 64, 1969). Intervals over whole runs instead of one run's
//! requests: A. Georges and others, "Statistically rigorous Java performance
//! evaluation", OOPSLA 2007.
//!
//! Two intervals are told. The one of 95 % is for reading. A word ("better",
//! "worse") is said only where a wider one excludes zero: all words on the gated
//! figures of two equal sides together are wrong at most once in 300 comparisons
//! (Bonferroni), in either direction; so are all words on the others.

mod student;
#[cfg(test)]
mod tests;

use crate::measured::{Ended, Run, Tally};
use crate::report::units::{self, shown};
use crate::threshold::{Measured, Of, Span};
use crate::verdict::Outcome;
use sim::rng::{Rng, mix};
use std::collections::BTreeMap;

/// Fewest rounds that are judged: with fewer even a doubling can be chance.
pub const ROUNDS_MIN: usize = 5;
/// Most rounds.
pub const ROUNDS_MAX: usize = 100;
/// How often the gate may blame one of two equal sides.
pub const FALSE_ALARMS: f64 = 1.0 / 300.0;
/// The interval for reading leaves out this much on each side.
const READING: f64 = 0.025;
/// How surely "the least difference that would have shown" would have: four times in five.
const MISSED: f64 = 0.2;
/// Histograms keep one part in a thousand: a ratio is not known better.
const RESOLUTION: f64 = 1e-3;
/// Waits below this are none: a ratio of two of them says nothing. Microseconds.
const WAIT_US_MIN: f64 = 100.0;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// What is there.
    A,
    /// What is to come in its place.
    B,
}

/// Which side of each round runs first: drawn by the seed, and as often one as the
/// other in every two rounds, so that no side has the warmer cache.
pub fn order(rounds: usize, seed: u64) -> Vec<[Side; 2]> {
    let mut rng = Rng::new(seed);
    let mut out = Vec::with_capacity(rounds + 1);
    while out.len() < rounds {
        let pair = [[Side::A, Side::B], [Side::B, Side::A]];
        let first = usize::from(rng.permille(500));
        out.extend([pair[first], pair[1 - first]]);
    }
    out.truncate(rounds);
    out
}

/// The seed of both runs of a round, counted from 0: the sides get the same requests,
/// and each round gets others.
pub fn round_seed(seed: u64, round: usize) -> u64 {
    let mut state = seed ^ (round as u64).rotate_left(32);
    mix(&mut state)
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Median latency.
    P50,
    /// 95th percentile of latency.
    P95,
    /// 99th percentile of latency.
    P99,
    /// Mean latency.
    Mean,
    /// 99th percentile of the wait for a connection.
    WaitP99,
    /// Share of requests that failed. Its difference is in shares, not relative:
    /// the usual share is none.
    Errors,
    /// Requests answered per second: of all while the schedule ran; of a class
    /// whenever that was.
    Goodput,
}

impl Metric {
    /// Every one, in the order of reports.
    pub const ALL: [Metric; 7] = [
        Metric::P50,
        Metric::P95,
        Metric::P99,
        Metric::Mean,
        Metric::WaitP99,
        Metric::Errors,
        Metric::Goodput,
    ];
    /// Those that decide, of all requests: few, because each more makes each less sure.
    pub const GATED: [Metric; 4] = [Metric::P50, Metric::P99, Metric::Errors, Metric::Goodput];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Metric::P50 => "latency p50",
            Metric::P95 => "latency p95",
            Metric::P99 => "latency p99",
            Metric::Mean => "latency mean",
            Metric::WaitP99 => "wait p99",
            Metric::Errors => "failed",
            Metric::Goodput => "answered",
        }
    }

    /// A value as people read it.
    pub fn say(self, value: f64) -> String {
        match self {
            Metric::Errors => units::share(value),
            Metric::Goodput => units::rate(value),
            _ => units::time(value),
        }
    }

    /// A value as the logarithm of which differences are taken, or itself.
    fn scale(self, value: f64) -> f64 {
        match self {
            Metric::Errors => value,
            Metric::WaitP99 => value.max(WAIT_US_MIN).ln(),
            Metric::Goodput => value.max(1e-3).ln(),
            _ => value.max(1.0).ln(),
        }
    }

    /// A difference on that scale as a relative one.
    fn relative(self, difference: f64) -> f64 {
        match self {
            Metric::Errors => difference,
            _ => difference.exp_m1(),
        }
    }
}

/// One run's figures: all that a comparison keeps of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Figures {
    /// Why they are worth nothing; `None`: they hold.
    pub unusable: Option<String>,
    /// Of all, then of each class.
    of: Vec<(Option<String>, Numbers)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Numbers {
    /// p50, p95, p99, mean, wait p99; `None`: nothing was answered.
    times_us: Option<[f64; 5]>,
    failed: u64,
    due: u64,
    per_s: f64,
}

impl Figures {
    /// The figures of a run.
    pub fn of(run: &Run) -> Figures {
        let unusable = match (&run.ended, run.invalid()) {
            (Ended::NoConnection(why), _) => Some(format!("no connection: {}", shown(why))),
            (_, Some(why)) => Some(why.to_string()),
            (Ended::Interrupted, None) => Some("a person ended it".to_owned()),
            (Ended::Aborted(why), None) => Some(format!("ended by `{}`", shown(why))),
            (Ended::Whole, None) => None,
        };
        let all = Numbers {
            per_s: run.goodput(),
            ..Numbers::of(&run.all)
        };
        let classes = run.classes.iter();
        let classes = classes.map(|one| (Some(one.name.clone()), Numbers::of(&one.tally)));
        Figures {
            unusable,
            of: [(None, all)].into_iter().chain(classes).collect(),
        }
    }
}

impl Numbers {
    fn of(tally: &Tally) -> Numbers {
        let time = |span, of| tally.time_us(span, of).unwrap_or(0.0);
        let latency = |percent| time(Span::Latency, Of::Percentile(percent));
        Numbers {
            times_us: (!tally.latency.is_empty()).then(|| {
                [
                    latency(50.0),
                    latency(95.0),
                    latency(99.0),
                    time(Span::Latency, Of::Mean),
                    time(Span::Wait, Of::Percentile(99.0)),
                ]
            }),
            failed: tally.errors(),
            due: tally.due,
            per_s: tally.rate(),
        }
    }

    fn value(&self, metric: Metric) -> Option<f64> {
        let time = |i: usize| self.times_us.map(|times| times[i]);
        match metric {
            Metric::P50 => time(0),
            Metric::P95 => time(1),
            Metric::P99 => time(2),
            Metric::Mean => time(3),
            Metric::WaitP99 => time(4),
            Metric::Errors if self.due == 0 => None,
            Metric::Errors => Some(self.failed as f64 / self.due as f64),
            Metric::Goodput => (self.due > 0).then_some(self.per_s),
        }
    }

    /// What counting alone makes a share of failures vary, squared.
    fn variance(&self) -> f64 {
        let n = self.due.max(1) as f64;
        // One half more of each: none seen is not none possible.
        let share = (self.failed as f64 + 0.5) / (n + 1.0);
        share * (1.0 - share) / n
    }
}

/// From where to where a difference lies: of B against A, relative (0.1: a tenth
/// more), or in shares for [`Metric::Errors`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// What can be said of a difference.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Says {
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// None could be told. So many rounds with such noise would have shown one of
    /// this size four times in five.
    Untold {
        /// In the unit of the difference.
        least: f64,
    },
}

/// One figure of both sides.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Of which class; `None`: all requests.
    pub class: Option<String>,
    /// Which figure.
    pub metric: Metric,
    /// It decides the outcome, where a tolerance was asked for.
    pub gated: bool,
    /// Rounds that had it on both sides.
    pub rounds: usize,
    /// Median over the rounds, of A and of B.
    pub medians: [f64; 2],
    /// B against A: the mean over the rounds.
    pub difference: f64,
    /// With 95 %: for reading.
    pub interval: Interval,
    /// What the word rests on: wider, for all figures at once.
    pub judged: Interval,
    /// The word.
    pub says: Says,
    /// B is worse by more than was tolerated.
    pub broken: bool,
}

/// Two settings beside each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// What the sides are called.
    pub names: [String; 2],
    /// Rounds that were run.
    pub rounds: usize,
    /// Of these, which were thrown away (counted from 1), and why.
    pub thrown_away: Vec<(usize, String)>,
    /// How much worse B may be, relative; `None`: nothing is gated.
    pub tolerate: Option<f64>,
    /// Every figure: of all requests, then of each class.
    pub rows: Vec<Row>,
    /// What it comes to. Without a tolerance a comparison that was made is kept.
    pub outcome: Outcome,
}

impl Comparison {
    /// Compares the sides over these rounds, each A's figures and B's.
    pub fn of(names: [&str; 2], rounds: &[[Figures; 2]], tolerate: Option<f64>) -> Comparison {
        let mut thrown_away = Vec::new();
        let mut kept = Vec::new();
        for (i, round) in rounds.iter().enumerate() {
            let sides = round.iter().zip(names);
            let why = sides.filter_map(|(f, name)| Some((name, f.unusable.as_ref()?)));
            match why.into_iter().next() {
                Some((name, why)) => {
                    thrown_away.push((i + 1, format!("{}: {}", shown(name), shown(why))))
                }
                None => kept.push(round),
            }
        }
        let mut out = Comparison {
            names: names.map(shown),
            rounds: rounds.len(),
            thrown_away,
            tolerate,
            rows: Vec::new(),
            outcome: Outcome::Kept,
        };
        if kept.len() < ROUNDS_MIN {
            let (left, thrown) = (kept.len(), out.thrown_away.len());
            out.outcome = Outcome::CouldNot(format!(
                "{left} rounds are left of {}, {thrown} thrown away; a comparison takes {ROUNDS_MIN}",
                rounds.len()
            ));
            return out;
        }
        out.rows = rows(&kept, tolerate);
        let lacking = Metric::GATED.iter().find(|metric| {
            let mut gated = out.rows.iter().filter(|row| row.gated);
            !gated.any(|row| row.metric == **metric)
        });
        if out.rows.iter().any(|row| row.broken) {
            out.outcome = Outcome::Broken;
        } else if let Some(metric) = lacking {
            // Two sides that answer nothing are equal, and prove nothing.
            out.outcome = Outcome::CouldNot(format!(
                "fewer than {ROUNDS_MIN} rounds have a {} of both sides",
                metric.label()
            ));
        }
        out
    }

    /// The gated figure that could hide most: a tolerance below this was not tested.
    pub fn blind_to(&self) -> Option<(Metric, f64)> {
        let relative = |row: &&Row| row.gated && row.metric != Metric::Errors;
        let least = self
            .rows
            .iter()
            .filter(relative)
            .filter_map(|row| match row.says {
                Says::Untold { least } => Some((row.metric, least)),
                Says::Better | Says::Worse => None,
            });
        least.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// The differences of one figure, round by round.
struct Pairs {
    class: Option<String>,
    metric: Metric,
    values: Vec<[f64; 2]>,
    /// What the figure's own resolution makes a difference vary, squared.
    floor: f64,
}

fn rows(rounds: &[&[Figures; 2]], tolerate: Option<f64>) -> Vec<Row> {
    let mut all: Vec<Pairs> = Vec::new();
    for (class, _) in rounds.first().map_or(&[][..], |round| &round[0].of) {
        all.extend(Metric::ALL.map(|metric| pairs(rounds, class.as_deref(), metric)));
    }
    all.retain(|pairs| pairs.values.len() >= ROUNDS_MIN);
    let gated = all.iter().filter(|pairs| pairs.is_gated()).count();
    let others = all.len() - gated;
    let mut reaches: BTreeMap<(usize, usize), Reaches> = BTreeMap::new();
    let row = |pairs: Pairs| {
        let family = if pairs.is_gated() { gated } else { others };
        let key = (pairs.values.len(), family);
        let reaches = reaches.entry(key).or_insert_with(|| {
            let wrong = FALSE_ALARMS / family as f64;
            let quantile = |upper| student::quantile(upper, key.0 - 1);
            Reaches {
                reading: quantile(READING),
                judged: quantile(wrong),
                shows: quantile(wrong) + quantile(MISSED),
            }
        });
        pairs.row(reaches, tolerate)
    };
    all.into_iter().map(row).collect()
}

/// How many standard errors an interval reaches to each side, and how many a
/// difference must have to be seen four times in five.
struct Reaches {
    reading: f64,
    judged: f64,
    shows: f64,
}

fn pairs(rounds: &[&[Figures; 2]], class: Option<&str>, metric: Metric) -> Pairs {
    let mut out = Pairs {
        class: class.map(str::to_owned),
        metric,
        values: Vec::with_capacity(rounds.len()),
        floor: 0.0,
    };
    for round in rounds {
        let both = round.each_ref().map(|side| {
            let found = side.of.iter().find(|(name, _)| name.as_deref() == class);
            found.map(|(_, numbers)| numbers)
        });
        let [Some(a), Some(b)] = both else { continue };
        if let (Some(of_a), Some(of_b)) = (a.value(metric), b.value(metric)) {
            out.values.push([of_a, of_b]);
            out.floor += match metric {
                Metric::Errors => a.variance() + b.variance(),
                _ => RESOLUTION * RESOLUTION,
            };
        }
    }
    out.floor /= out.values.len().max(1) as f64;
    out
}

impl Pairs {
    fn is_gated(&self) -> bool {
        self.class.is_none() && Metric::GATED.contains(&self.metric)
    }

    /// One row.
    fn row(self, reaches: &Reaches, tolerate: Option<f64>) -> Row {
        let (metric, n) = (self.metric, self.values.len());
        let differences = self.values.iter();
        let differences: Vec<f64> = differences
            .map(|[a, b]| metric.scale(*b) - metric.scale(*a))
            .collect();
        let mean = differences.iter().sum::<f64>() / n as f64;
        let spread = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        // Five equal differences are the histogram's steps, not a certainty.
        let error = (spread.max(self.floor) / n as f64).sqrt();
        let around = |reach: f64| Interval {
            low: metric.relative(mean - reach * error),
            high: metric.relative(mean + reach * error),
        };
        let (interval, judged) = (around(reaches.reading), around(reaches.judged));
        let more_is_better = metric == Metric::Goodput;
        let says = match (judged.low > 0.0, judged.high < 0.0) {
            (false, false) => Says::Untold {
                least: metric.relative(reaches.shows * error),
            },
            (more, _) if more == more_is_better => Says::Better,
            _ => Says::Worse,
        };
        let medians =
            [0, 1].map(|side| median(self.values.iter().map(|both| both[side]).collect()));
        let beyond = |tolerate: f64| match metric {
            Metric::Goodput => judged.high < -tolerate,
            Metric::Errors => judged.low > tolerate * medians[0],
            _ => judged.low > tolerate,
        };
        let gated = self.is_gated();
        Row {
            gated,
            class: self.class,
            metric,
            rounds: n,
            medians,
            difference: metric.relative(mean),
            interval,
            judged,
            says,
            broken: gated && tolerate.is_some_and(beyond),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n % 2 {
        1 => values[n / 2],
        _ => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}
