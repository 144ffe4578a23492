//! The curve of latency over load, and where it bends.
//!
//! Capacity is what the steps that fell behind still answered. Below it the 99th
//! percentile of latency is taken as
//!
//! ```text
//!   p99 = unloaded + growth · ρ^b / (1 − ρ)      ρ = rate / capacity
//! ```
//!
//! the form of the mean wait at several servers (H. Sakasegawa, "An approximation
//! formula Lq ≃ α·ρ^β/(1−ρ)", Ann. Inst. Statist. Math. 29, 1977; b = √(2(c+1)) − 1
//! for c servers). `unloaded` and `growth` come from least squares of the relative
//! residuals, b from the c that leaves least.
//!
//! The knee is the rate at which p99 is twice the unloaded one. For one server that
//! is the point of most power, rate over latency (L. Kleinrock, "Power and
//! deterministic rules of thumb", ICC 1979); with more servers it lies nearer to
//! the capacity, as it should. Where latency does not grow at all below it, as with
//! many servers, the knee is the capacity itself.

use super::{Step, Why};
use std::fmt;

/// Fewest steps below capacity for three unknowns and a residual.
const STEPS_MIN: usize = 5;
/// Beyond this part of the capacity a step ends before its queue has settled.
const SETTLED: f64 = 0.95;
/// Servers that are tried for the form of the curve.
const SERVERS: [f64; 12] = [
    1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0, 100.0, 250.0, 600.0,
];
/// Residuals beyond this are no curve.
const RESIDUAL_MAX: f64 = 0.25;
/// Latencies that differ by less are level: a fall among them is chance.
const LEVEL: f64 = 0.08;
/// A knee that moves by more than this when one step is left out is none.
const MOVES_MAX: f64 = 0.2;
/// A rate that failed, so far below one that held, contradicts it.
const CONTRADICTS: f64 = 0.9;
/// Of these one may be chance.
const CONTRADICTIONS_MAX: usize = 1;
/// Answers below this part of the capacity have collapsed under the load.
const COLLAPSED: f64 = 0.9;
/// The knee is where latency has grown so many times.
const KNEE: f64 = 2.0;

/// The curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fit {
    /// What the database answers at most, requests per second.
    pub capacity: f64,
    /// The rate at which p99 is twice the unloaded one.
    pub knee: f64,
    /// The least and the greatest knee when any one step is left out.
    pub knee_range: [f64; 2],
    /// p99 without load, microseconds.
    pub unloaded_us: f64,
    /// Root of the weighed mean square of what the curve is off, relative.
    pub residual: f64,
    /// Steps that it was fitted to.
    pub steps: usize,
    growth_us: f64,
    power: f64,
}

/// Why there is no curve.
#[derive(Clone, PartialEq, Debug)]
pub enum NoFit {
    /// No step fell behind, so the capacity is unknown.
    NotSaturated,
    /// So many steps below capacity are too few.
    TooFew(usize),
    /// Rates failed far below one that held.
    Contradicts {
        /// The highest rate that failed below.
        failed: f64,
        /// The highest rate that held.
        held: f64,
    },
    /// The steps lie on no such curve: how far off they are, relative.
    Scattered(f64),
    /// Latency falls as load grows.
    Falls,
    /// The knee depends on single steps: the least and the greatest.
    Unsure([f64; 2]),
}

impl fmt::Display for NoFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoFit::NotSaturated => f.write_str("no step fell behind, so the capacity is unknown"),
            NoFit::TooFew(steps) => {
                write!(
                    f,
                    "{steps} steps below capacity are too few, {STEPS_MIN} are needed"
                )
            }
            NoFit::Contradicts { failed, held } => {
                write!(
                    f,
                    "the steps contradict each other: {failed:.0}/s failed and {held:.0}/s held"
                )
            }
            NoFit::Scattered(residual) => write!(
                f,
                "the steps lie on no curve: they are {:.0} % off",
                residual * 100.0
            ),
            NoFit::Falls => f.write_str("latency falls as load grows"),
            NoFit::Unsure([low, high]) => write!(
                f,
                "the knee depends on single steps: {low:.0}/s to {high:.0}/s"
            ),
        }
    }
}

impl Fit {
    /// p99 at a rate, microseconds; `None`: at or beyond capacity there is none.
    pub fn p99_us(&self, rate: f64) -> Option<f64> {
        let load = rate / self.capacity;
        (load < 1.0).then(|| self.unloaded_us + self.growth_us * bend(load, self.power))
    }

    /// Answers per second at a rate.
    pub fn goodput(&self, rate: f64) -> f64 {
        rate.min(self.capacity)
    }
}

fn bend(load: f64, power: f64) -> f64 {
    load.powf(power) / (1.0 - load)
}

/// What the database answers at most, whatever the latency.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Capacity {
    /// Requests per second.
    pub per_s: f64,
    /// Where the highest rates got less than nine tenths of it: how much, requests
    /// per second. More load then means fewer answers.
    pub collapses_to: Option<f64>,
}

/// The capacity that these steps show, which are sorted by their rate.
pub(super) fn capacity(steps: &[(Step, Option<Why>)]) -> Result<Capacity, NoFit> {
    let (mut held, mut carried) = (0.0f64, 0.0f64);
    let mut behind = Vec::new();
    for (step, why) in steps {
        match why {
            Some(Why::Behind) => behind.push(step),
            // The generator's own figures are nobody's.
            Some(Why::Generator(_)) => {}
            Some(Why::Errors | Why::Threshold(_)) | None => {
                held = held.max(step.offered);
                carried = carried.max(step.goodput);
            }
        }
    }
    let below = behind.iter().map(|step| step.offered);
    let below: Vec<f64> = below.filter(|at| *at < held * CONTRADICTS).collect();
    if below.len() > CONTRADICTIONS_MAX {
        let failed = below.into_iter().fold(0.0, f64::max);
        return Err(NoFit::Contradicts { failed, held });
    }
    behind.retain(|step| step.offered >= held * CONTRADICTS);
    let last = behind.last().ok_or(NoFit::NotSaturated)?;
    let mut answered: Vec<f64> = behind.iter().map(|step| step.goodput).collect();
    answered.sort_by(f64::total_cmp);
    // Where goodput falls under more load, the most that was ever carried counts.
    let median = answered[answered.len() / 2];
    let per_s = if median < carried * COLLAPSED {
        carried
    } else {
        median
    };
    Ok(Capacity {
        per_s,
        collapses_to: (last.goodput < per_s * COLLAPSED).then_some(last.goodput),
    })
}

/// The curve of these steps below their capacity.
pub(super) fn fit(steps: &[(Step, Option<Why>)]) -> Result<Fit, NoFit> {
    let capacity = capacity(steps)?.per_s;
    // The times of a step that broke a person's threshold are the database's all the
    // same. Those of one whose requests failed lack the slowest.
    let told = steps
        .iter()
        .filter(|(_, why)| matches!(why, None | Some(Why::Threshold(_))));
    let points = told.map(|(step, _)| [step.offered / capacity, step.p99_us]);
    let points: Vec<[f64; 2]> = points
        .filter(|[load, p99_us]| *load < SETTLED && *p99_us > 0.0)
        .collect();
    if points.len() < STEPS_MIN {
        return Err(NoFit::TooFew(points.len()));
    }
    let curve = curve(&points).ok_or(NoFit::Falls)?;
    if curve.residual > RESIDUAL_MAX {
        return Err(NoFit::Scattered(curve.residual));
    }
    let knee = curve.knee() * capacity;
    let knee_range = without_each(&points).fold([knee; 2], |[low, high], load| {
        [low.min(load * capacity), high.max(load * capacity)]
    });
    let moves = |edge: &f64| (edge / knee - 1.0).abs() > MOVES_MAX;
    if knee_range.iter().any(moves) {
        return Err(NoFit::Unsure(knee_range));
    }
    Ok(Fit {
        capacity,
        knee,
        knee_range,
        unloaded_us: curve.unloaded_us,
        residual: curve.residual,
        steps: points.len(),
        growth_us: curve.growth_us,
        power: curve.power,
    })
}

#[derive(Clone, Copy)]
struct Curve {
    unloaded_us: f64,
    growth_us: f64,
    power: f64,
    residual: f64,
}

impl Curve {
    /// The load at which latency has grown so many times.
    fn knee(&self) -> f64 {
        let wanted = self.unloaded_us * (KNEE - 1.0) / self.growth_us;
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            match bend(middle, self.power) < wanted {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }
}

/// The curve with the least residual; `None`: latency falls.
fn curve(points: &[[f64; 2]]) -> Option<Curve> {
    let each = SERVERS.iter().filter_map(|servers| {
        let power = (2.0 * (servers + 1.0)).sqrt() - 1.0;
        line(points, power)
    });
    let best = each.min_by(|a, b| a.residual.total_cmp(&b.residual));
    best.or_else(|| level(points).filter(|level| level.residual < LEVEL))
}

/// The same latency at every load.
fn level(points: &[[f64; 2]]) -> Option<Curve> {
    let sum = |power: i32| {
        points
            .iter()
            .map(|[_, p99_us]| p99_us.powi(power))
            .sum::<f64>()
    };
    let unloaded_us = sum(-1) / sum(-2);
    let residual = residual(points, |_| unloaded_us);
    unloaded_us.is_finite().then_some(Curve {
        unloaded_us,
        growth_us: 0.0,
        power: 1.0,
        residual,
    })
}

/// What a point counts: the nearer to capacity, the longer its queue remembers, and
/// the less a step of some seconds knows of it.
fn weight(load: f64) -> f64 {
    1.0 - load
}

/// How far off a curve is, relative: the root of the weighed mean square.
fn residual(points: &[[f64; 2]], curve_us: impl Fn(f64) -> f64) -> f64 {
    let off = |load: f64, p99_us: f64| weight(load) * (curve_us(load) / p99_us - 1.0).powi(2);
    let squares: f64 = points
        .iter()
        .map(|[load, p99_us]| off(*load, *p99_us))
        .sum();
    let weights: f64 = points.iter().map(|[load, _]| weight(*load)).sum();
    (squares / weights).sqrt()
}

/// Least squares of relative residuals: two unknowns.
fn line(points: &[[f64; 2]], power: f64) -> Option<Curve> {
    // Sums of 1·1, 1·x, x·x, 1·y, x·y, each over y².
    let [mut n, mut x1, mut x2, mut y1, mut xy] = [0.0; 5];
    for [load, p99_us] in points {
        let x = bend(*load, power);
        let weight = weight(*load) / p99_us.powi(2);
        n += weight;
        x1 += weight * x;
        x2 += weight * x * x;
        y1 += weight * p99_us;
        xy += weight * x * p99_us;
    }
    let determinant = n * x2 - x1 * x1;
    let unloaded_us = (y1 * x2 - xy * x1) / determinant;
    let growth_us = (n * xy - x1 * y1) / determinant;
    if !(unloaded_us > 0.0 && growth_us > 0.0 && unloaded_us.is_finite() && growth_us.is_finite()) {
        return None;
    }
    let residual = residual(points, |load| unloaded_us + growth_us * bend(load, power));
    Some(Curve {
        unloaded_us,
        growth_us,
        power,
        residual,
    })
}

/// The knees of the curves that lack one point each.
fn without_each(points: &[[f64; 2]]) -> impl Iterator<Item = f64> {
    (0..points.len()).filter_map(|out| {
        let mut rest = points.to_vec();
        rest.remove(out);
        curve(&rest).map(|curve| curve.knee())
    })
}
