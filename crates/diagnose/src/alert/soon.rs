//! When a pool will be full at the pace of the last minutes.
//!
//! The forecast's alert looks at many minutes, because it wakes people. A page
//! that somebody looks at may say sooner, and less surely, where it leads.

use super::maths::trend;
use std::time::Duration;

/// Connections that the floor must have risen by, and this share of the pool.
const RISE_MIN: f64 = 3.0;
const RISE_SHARE: f64 = 0.1;
/// Standard deviations of the direction.
const SURE_MIN: f64 = 3.0;
/// What is further away is no news.
const HORIZON: Duration = Duration::from_secs(3_600);

/// When it will be full: `floors` are the fewest connections held at any time of
/// spans of `every`, the oldest first. `None`: it is full, or that is not in sight.
///
/// ```
/// use diagnose::alert::full_in;
/// use std::time::Duration;
/// let left = full_in(&[2, 3, 4, 5, 6, 7, 8], Duration::from_secs(10), 20);
/// assert_eq!(left, Some(Duration::from_secs(120)));
/// ```
pub fn full_in(floors: &[u32], every: Duration, size: u32) -> Option<Duration> {
    let (first, last) = (*floors.first()?, *floors.last()?);
    let needed = RISE_MIN.max(f64::from(size) * RISE_SHARE);
    // Most pools stand still: their points are not looked at any closer.
    if last >= size || f64::from(last.saturating_sub(first)) < needed {
        return None;
    }
    let points: Vec<f64> = floors.iter().copied().map(f64::from).collect();
    let line = trend(&points)?;
    let rise = line.slope * points.len().saturating_sub(1) as f64;
    if line.sure < SURE_MIN || rise < needed {
        return None;
    }
    let room = (f64::from(size) - line.now).max(0.0);
    let left = Duration::try_from_secs_f64(room / line.slope * every.as_secs_f64()).ok()?;
    (left <= HORIZON).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(10);

    fn seconds(floors: &[u32], size: u32) -> Option<u64> {
        full_in(floors, STEP, size).map(|left| left.as_secs())
    }

    #[test]
    fn only_what_rises_steadily_is_told() {
        // A leak of one connection in 10 s.
        assert_eq!(seconds(&[4, 5, 6, 7, 8, 9, 10, 11], 20), Some(90));
        // Two odd spans do not bend it.
        let odd = [4, 5, 0, 7, 8, 9, 10, 20, 12, 13, 14];
        assert!(seconds(&odd, 24).is_some_and(|s| (90..=110).contains(&s)));
        for calm in [
            &[][..],
            &[5],
            &[5, 6, 7],
            &[5; 30],
            &[9, 8, 7, 6, 5, 4, 3, 2],
            // It goes up and down.
            &[2, 9, 3, 8, 2, 9, 3, 8, 2, 9],
            // A rise by two is nothing.
            &[5, 5, 5, 6, 6, 6, 7, 7, 7, 7],
        ] {
            assert_eq!(seconds(calm, 20), None, "{calm:?}");
        }
    }

    #[test]
    fn what_is_full_or_far_away_is_not_told() {
        assert_eq!(seconds(&[14, 15, 16, 17, 18, 19, 20], 20), None);
        // Four connections in a minute, and room for ten thousand.
        assert_eq!(seconds(&[4, 5, 6, 7, 8, 9, 10, 11], 10_000), None);
        assert_eq!(seconds(&[4, 5, 6, 7, 8, 9, 10], 0), None);
    }
}
