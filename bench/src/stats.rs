//! The few statistics that the report needs: medians, ratios of paired rounds, their bootstrap intervals.

/// A small seeded generator (SplitMix64): the order of runs and the bootstrap repeat for a given seed.
pub struct Rng(u64);

impl Rng {
    /// A generator that gives the same sequence for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the modulo bias is far below what a benchmark can see.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The middle value; the mean of the two middle ones for an even count. `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mid = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted.get(mid).copied()
    } else {
        Some((sorted.get(mid.checked_sub(1)?)? + sorted.get(mid)?) / 2.0)
    }
}

/// The value below which the share `q` of a sorted slice lies (nearest rank).
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// An estimate with the 95 % interval that the bootstrap gives.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The estimate itself.
    pub mid: f64,
    /// 2.5th percentile of the resampled estimates.
    pub low: f64,
    /// 97.5th percentile of the resampled estimates.
    pub high: f64,
    /// How many paired rounds stand behind it.
    pub rounds: usize,
}

/// Resamples per interval: enough that the ends do not move in the third digit.
const RESAMPLES: usize = 2000;

/// The median over the rounds of `ours / theirs`, with its interval. Each pair comes from the same round.
pub fn paired_ratio(pairs: &[(f64, f64)], rng: &mut Rng) -> Option<Interval> {
    geometric_mean_of_ratios(&[pairs.to_vec()], rng)
}

/// The geometric mean over cells of each cell's median ratio; every cell is resampled on its own.
pub fn geometric_mean_of_ratios(cells: &[Vec<(f64, f64)>], rng: &mut Rng) -> Option<Interval> {
    let ratios: Vec<Vec<f64>> = cells
        .iter()
        .map(|pairs| {
            pairs
                .iter()
                .filter(|p| p.1 > 0.0)
                .map(|p| p.0 / p.1)
                .collect()
        })
        .filter(|ratios: &Vec<f64>| !ratios.is_empty())
        .collect();
    let rounds = ratios.iter().map(Vec::len).min()?;
    let mean = |sets: &[Vec<f64>]| -> Option<f64> {
        let logs: Option<Vec<f64>> = sets.iter().map(|s| median(s).map(f64::ln)).collect();
        let logs = logs?;
        Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
    };
    let mid = mean(&ratios)?;
    let mut estimates = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let resampled: Vec<Vec<f64>> = ratios
            .iter()
            .map(|set| (0..set.len()).map(|_| set[rng.below(set.len())]).collect())
            .collect();
        estimates.push(mean(&resampled)?);
    }
    estimates.sort_by(f64::total_cmp);
    Some(Interval {
        mid,
        low: quantile(&estimates, 0.025)?,
        high: quantile(&estimates, 0.975)?,
        rounds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn quantile_takes_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), Some(99.0));
        assert_eq!(quantile(&values, 0.5), Some(50.0));
        assert_eq!(quantile(&values[..1], 0.99), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_constant_ratio_has_an_interval_of_no_width() {
        let pairs: Vec<(f64, f64)> = (1..=9)
            .map(|i| (f64::from(i) * 0.5, f64::from(i)))
            .collect();
        let got = paired_ratio(&pairs, &mut Rng::new(1)).unwrap();
        assert_eq!((got.mid, got.low, got.high, got.rounds), (0.5, 0.5, 0.5, 9));
    }

    #[test]
    fn the_interval_holds_the_estimate_and_spans_the_noise() {
        let pairs: Vec<(f64, f64)> = [0.8, 1.2, 0.9, 1.1, 1.0, 0.95, 1.05, 1.0, 0.9]
            .iter()
            .map(|r| (*r, 1.0))
            .collect();
        let got = paired_ratio(&pairs, &mut Rng::new(1)).unwrap();
        assert!(got.low <= got.mid && got.mid <= got.high);
        assert!(got.low >= 0.8 && got.high <= 1.2 && got.low < got.high);
    }

    #[test]
    fn the_geometric_mean_balances_half_and_double() {
        let cells = [vec![(1.0, 2.0)], vec![(2.0, 1.0)]];
        let got = geometric_mean_of_ratios(&cells, &mut Rng::new(1)).unwrap();
        assert!((got.mid - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean_of_ratios(&[vec![]], &mut Rng::new(1)), None);
    }

    #[test]
    fn one_seed_gives_one_order() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..8).collect();
            Rng::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
