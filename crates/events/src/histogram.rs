//! A histogram of durations that costs a few nanoseconds to record.
//!
//! Buckets are log-linear: each power of two of microseconds is cut in four,
//! so a value is known within 25 %. The same bounds everywhere make histograms
//! of several workers addable.

use std::time::Duration;

const SUB_BITS: u32 = 2;
const SUB: usize = 1 << SUB_BITS;
/// Up to 2^36 µs, about 19 hours; longer is counted in the last bucket.
const OCTAVES: usize = 35;
const BUCKETS: usize = SUB + OCTAVES * SUB;

/// Counts of durations by size, with their sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    sum_us: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        Histogram {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            sum_us: 0,
            max_us: 0,
        }
    }

    /// Counts one duration.
    pub fn record(&mut self, span: Duration) {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.buckets[index(us)] += 1;
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
    }

    /// How many were counted since the start.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in microseconds.
    pub fn sum_micros(&self) -> u64 {
        self.sum_us
    }

    /// The longest, in microseconds.
    pub fn max_micros(&self) -> u64 {
        self.max_us
    }

    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
    }

    /// What was counted after `earlier`, a copy of this histogram. The longest
    /// is known at bucket precision only. For a view of the last seconds.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut later = Histogram::new();
        for (i, n) in later.buckets.iter_mut().enumerate() {
            *n = self.buckets[i].saturating_sub(earlier.buckets[i]);
            if *n > 0 {
                later.max_us = upper_bound(i).min(self.max_us);
            }
        }
        later.count = self.count.saturating_sub(earlier.count);
        later.sum_us = self.sum_us.saturating_sub(earlier.sum_us);
        later
    }

    /// The upper bound, in microseconds, of the bucket that holds the
    /// `q`-quantile (0 to 1); zero when nothing was counted.
    pub fn quantile_micros(&self, q: f64) -> u64 {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= rank && *n > 0 {
                return upper_bound(i).min(self.max_us);
            }
        }
        self.max_us
    }

    /// How many were at most `micros`, at bucket precision: counts every
    /// bucket whose upper bound does not exceed it.
    pub fn count_at_most(&self, micros: u64) -> u64 {
        (0..BUCKETS)
            .take_while(|i| upper_bound(*i) <= micros)
            .map(|i| self.buckets[i])
            .sum()
    }
}

fn index(us: u64) -> usize {
    if us < SUB as u64 {
        return us as usize;
    }
    let octave = 63 - us.leading_zeros();
    let sub = (us >> (octave - SUB_BITS)) as usize & (SUB - 1);
    (SUB + (octave - SUB_BITS) as usize * SUB + sub).min(BUCKETS - 1)
}

/// The largest value, in microseconds, that falls in bucket `i`.
fn upper_bound(i: usize) -> u64 {
    if i < SUB {
        return i as u64;
    }
    let octave = (i - SUB) / SUB;
    let sub = (i - SUB) % SUB;
    (((SUB + sub + 1) as u64) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        for us in (0..5000).chain([1 << 20, (1 << 30) + 7, 1 << 35]) {
            let i = index(us);
            assert!(us <= upper_bound(i), "{us} in {i}");
            assert!(i == 0 || us > upper_bound(i - 1), "{us} in {i}");
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_a_quarter() {
        let mut h = Histogram::new();
        for us in 1..=1000 {
            h.record(Duration::from_micros(us));
        }
        let p50 = h.quantile_micros(0.5);
        assert!((500..=640).contains(&p50), "{p50}");
        assert_eq!(h.quantile_micros(1.0), 1000);
        assert_eq!(h.sum_micros(), 500_500);
    }

    #[test]
    fn what_came_since_is_seen_alone() {
        let mut h = Histogram::new();
        h.record(Duration::from_secs(9));
        let earlier = h.clone();
        assert_eq!(h.since(&earlier), Histogram::new());
        for us in [10, 11, 300] {
            h.record(Duration::from_micros(us));
        }
        let later = h.since(&earlier);
        assert_eq!((later.count(), later.sum_micros()), (3, 321));
        // The nine seconds before are not in it.
        assert!((300..=384).contains(&later.max_micros()));
        assert_eq!(later.quantile_micros(0.5), 11);
    }

    #[test]
    fn merging_equals_recording_together() {
        let (mut a, mut b, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for us in [1, 90, 4000] {
            a.record(Duration::from_micros(us));
            both.record(Duration::from_micros(us));
        }
        for us in [2, 1_000_000] {
            b.record(Duration::from_micros(us));
            both.record(Duration::from_micros(us));
        }
        a.merge(&b);
        assert_eq!(a, both);
    }
}
