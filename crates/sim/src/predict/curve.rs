//! How long leases last, by how many there are at once.

/// Leases that make a point, at least, and as a share of all.
const POINT_LEASES: usize = 30;
const POINT_SHARE: usize = 40;
/// From one point to the next, the load grows by this factor.
const STEP: f64 = 1.25;
/// From so much difference in load on, the points say how the curve goes on.
const TELLING: f64 = 1.5;
/// How much the exponent may be off where the points tell it.
const EXPONENT_ERROR: f64 = 0.2;

/// Which of the ways the curve may go on where nothing was recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beyond {
    /// As the points suggest; in between where they suggest nothing.
    Guess,
    /// Leases last as short as is plausible.
    Kind,
    /// As long as is plausible.
    Harsh,
}

/// Mean hold by load, never falling: more leases at once never make one shorter.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// Load, mean hold in microseconds, and its relative error.
    points: Vec<(f64, f64, f64)>,
    pub leases: usize,
}

impl Curve {
    /// From leases: load at the grant, mean load while it lasted, and hold.
    ///
    /// Leases are grouped by the load that they found, which they have no part in,
    /// and a group stands at the mean load that its leases then had: a load that is
    /// unusual soon becomes usual again, the more so the longer a lease lasts.
    pub fn fit(leases: impl Iterator<Item = (u32, f32, u32)>) -> Curve {
        let mut all: Vec<(u32, f32, u32)> = leases.collect();
        all.sort_by_key(|(load, ..)| *load);
        let least = POINT_LEASES.max(all.len() / POINT_SHARE);
        let mut bins: Vec<Bin> = Vec::new();
        for (load, mean_load, hold) in &all {
            let load = f64::from(*load);
            // Leases of one load stay together: cut among them, they would be cut by length.
            let full = |bin: &Bin| load > bin.last && bin.n >= least && load > bin.first * STEP;
            if bins.last().is_none_or(full) {
                bins.push(Bin {
                    first: load,
                    ..Bin::default()
                });
            }
            if let Some(bin) = bins.last_mut() {
                bin.n += 1;
                bin.last = load;
                bin.load += f64::from(mean_load.max(1.0));
                bin.hold += f64::from(*hold);
                bin.squares += f64::from(*hold).powi(2);
            }
        }
        if bins.len() > 1
            && let Some(last) = bins.pop_if(|bin| bin.n < least)
            && let Some(before) = bins.last_mut()
        {
            before.join(&last);
        }
        for bin in &mut bins {
            let mean = bin.load / bin.n as f64;
            bin.ends = (mean, mean);
        }
        bins.sort_by(|a, b| a.ends.0.total_cmp(&b.ends.0));
        // Pool adjacent violators: the nearest curve that never falls. What chance
        // may have made is no rise either.
        let mut rising: Vec<Bin> = Vec::new();
        for bin in bins {
            rising.push(bin);
            while let [.., before, last] = rising.as_mut_slice()
                && before.mean() + before.error().hypot(last.error()) > last.mean()
            {
                let last = std::mem::take(last);
                before.join(&last);
                rising.pop();
            }
        }
        // Where it does not rise, both ends are known.
        let mut points = Vec::new();
        for bin in &rising {
            let hold = bin.mean().max(1.0);
            points.push((bin.ends.0, hold, bin.error() / hold));
            if bin.ends.1 > bin.ends.0 {
                points.push((bin.ends.1, hold, bin.error() / hold));
            }
        }
        Curve {
            points,
            leases: all.len(),
        }
    }

    /// How long a lease was, in multiples of the mean at its load.
    pub fn units(&self, load: f32, hold_us: u32) -> f32 {
        let mean = self.hold_us(f64::from(load.max(1.0)), Beyond::Guess);
        (f64::from(hold_us) / mean) as f32
    }

    /// The loads between which it is known.
    pub fn known(&self) -> (f64, f64) {
        let at = |point: Option<&(f64, f64, f64)>| point.map_or(0.0, |p| p.0);
        (at(self.points.first()), at(self.points.last()))
    }

    /// Mean hold at a load.
    pub fn hold_us(&self, load: f64, beyond: Beyond) -> f64 {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return 1.0;
        };
        if load <= first.0 {
            // Fewer at once: as long as it was is the harsh view.
            let exponent = match beyond {
                Beyond::Guess => self.exponent(false).0,
                Beyond::Kind => self.exponent(false).2,
                Beyond::Harsh => self.exponent(false).1,
            };
            return first.1 * (load / first.0).powf(exponent);
        }
        if load >= last.0 {
            let exponent = match beyond {
                Beyond::Guess => self.exponent(true).0,
                Beyond::Kind => self.exponent(true).1,
                Beyond::Harsh => self.exponent(true).2,
            };
            return last.1 * (load / last.0).powf(exponent);
        }
        let after = self.points.partition_point(|p| p.0 < load);
        let (Some(a), Some(b)) = (self.points.get(after - 1), self.points.get(after)) else {
            return last.1;
        };
        a.1 + (b.1 - a.1) * (load - a.0) / (b.0 - a.0)
    }

    /// Hold ∝ load^exponent at the curve's upper or lower end: the guess, the
    /// least and the most that is plausible. 0: the server serves them side by
    /// side; 1: it does no more however many there are.
    fn exponent(&self, upper: bool) -> (f64, f64, f64) {
        let end = match upper {
            true => self.points.last(),
            false => self.points.first(),
        };
        let Some(end) = end else {
            return (0.5, 0.0, 1.0);
        };
        let far = |p: &&(f64, f64, f64)| (p.0 / end.0).max(end.0 / p.0) >= TELLING;
        let other = match upper {
            true => self.points.iter().rev().find(far),
            false => self.points.iter().find(far),
        };
        let Some(other) = other else {
            return (0.5, 0.0, 1.0);
        };
        let apart = (end.0 / other.0).ln();
        let slope = ((end.1 / other.1).ln() / apart).clamp(0.0, 1.0);
        let error = EXPONENT_ERROR + 2.0 * end.2.hypot(other.2) / apart.abs();
        (slope, (slope - error).max(0.0), (slope + error).min(1.0))
    }
}

#[derive(Clone, Default)]
struct Bin {
    first: f64,
    last: f64,
    n: usize,
    /// Mean loads of the lowest and the highest of what was joined.
    ends: (f64, f64),
    load: f64,
    hold: f64,
    squares: f64,
}

impl Bin {
    fn mean(&self) -> f64 {
        self.hold / self.n as f64
    }

    /// Standard error of the mean.
    fn error(&self) -> f64 {
        let n = self.n as f64;
        ((self.squares / n - self.mean().powi(2)).max(0.0) / n).sqrt()
    }

    fn join(&mut self, other: &Bin) {
        self.n += other.n;
        self.ends = (self.ends.0.min(other.ends.0), self.ends.1.max(other.ends.1));
        self.load += other.load;
        self.hold += other.hold;
        self.squares += other.squares;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(u32, u32)]) -> Curve {
        let lease = |p: &(u32, u32)| (p.0, p.0 as f32, p.1);
        Curve::fit(points.iter().flat_map(|p| [lease(p); 40]))
    }

    #[test]
    fn between_the_points_it_is_their_line_and_beyond_them_their_trend() {
        let c = curve(&[(2, 1000), (4, 1000), (8, 2000), (16, 4000)]);
        let at = |load, beyond| c.hold_us(load, beyond).round();
        assert_eq!(at(12.0, Beyond::Guess), 3000.0);
        assert_eq!(at(1.0, Beyond::Guess), 1000.0);
        assert_eq!(at(32.0, Beyond::Guess), 8000.0);
        assert_eq!(at(32.0, Beyond::Kind), (4000.0 * 2f64.powf(0.8)).round());
        assert_eq!(at(32.0, Beyond::Harsh), 8000.0);
        assert_eq!(c.known(), (2.0, 16.0));
    }

    #[test]
    fn one_point_tells_nothing_beyond_itself() {
        let c = curve(&[(20, 800)]);
        let at = |load, beyond| c.hold_us(load, beyond).round();
        assert_eq!(at(5.0, Beyond::Harsh), 800.0);
        assert_eq!(at(5.0, Beyond::Kind), 200.0);
        assert_eq!(at(5.0, Beyond::Guess), 400.0);
    }

    #[test]
    fn it_never_falls() {
        let c = curve(&[(1, 900), (4, 300), (9, 600)]);
        let at = |load| c.hold_us(load, Beyond::Guess);
        assert!(at(1.0) <= at(4.0) && at(4.0) <= at(9.0), "{c:?}");
        assert_eq!(
            Curve::fit(std::iter::empty()).hold_us(3.0, Beyond::Guess),
            1.0
        );
    }
}
