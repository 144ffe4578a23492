//! A long run over time in few points.

use crate::measured::Second;

/// The seconds in at most so many points: where each begins, how many seconds it
/// holds, and those as one.
///
/// Counts are sums. A percentile of several seconds cannot be known from theirs:
/// the median is the median second's, the others are the worst second's.
pub(super) fn fold(seconds: &[Second], points_max: usize) -> Vec<(u64, u64, Second)> {
    let each = seconds.len().div_ceil(points_max.max(1)).max(1);
    let points = seconds.chunks(each).enumerate();
    points
        .map(|(i, chunk)| ((i * each) as u64, chunk.len() as u64, one(chunk)))
        .collect()
}

fn one(seconds: &[Second]) -> Second {
    let mut out = Second::default();
    let mut medians = Vec::with_capacity(seconds.len());
    for s in seconds {
        out.due += s.due;
        out.answered += s.answered;
        out.failed += s.failed;
        out.goodput += s.goodput;
        out.latency_p99_us = out.latency_p99_us.max(s.latency_p99_us);
        out.latency_max_us = out.latency_max_us.max(s.latency_max_us);
        out.wait_p99_us = out.wait_p99_us.max(s.wait_p99_us);
        out.busy_max = out.busy_max.max(s.busy_max);
        out.queued_max = out.queued_max.max(s.queued_max);
        if s.answered > 0 {
            medians.push(s.latency_p50_us);
        }
    }
    medians.sort_unstable();
    out.latency_p50_us = medians.get(medians.len() / 2).copied().unwrap_or(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_there_are_few() {
        let second = |n: u64| Second {
            due: n,
            answered: n,
            latency_p50_us: n,
            latency_p99_us: 10 * n,
            queued_max: n as u32,
            ..Second::default()
        };
        let seconds: Vec<Second> = (0..1_001).map(second).collect();
        let points = fold(&seconds, 100);
        assert_eq!(points.len(), 91);
        assert_eq!(points.iter().map(|p| p.1).sum::<u64>(), 1_001);
        assert_eq!(points.iter().map(|p| p.2.due).sum::<u64>(), 500_500);
        let (from, lasts, last) = points[90];
        assert_eq!((from, lasts, last.latency_p50_us), (990, 11, 995));
        assert_eq!((last.latency_p99_us, last.queued_max), (10_000, 1_000));
        assert_eq!(fold(&seconds, 2_000).len(), 1_001);
        assert_eq!(fold(&[], 5), []);
    }
}
