//! Trends that a few odd minutes do not bend, and how many connections a load needs.

/// Most points of one trend: pairs grow with the square.
const POINTS_MAX: usize = 64;

/// A straight line through points at 0, 1, 2, …
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    /// The median of the slopes of all pairs (Theil 1950, Sen 1968).
    pub slope: f64,
    /// Slopes that nine in ten pairs lie between.
    pub slope_low: f64,
    pub slope_high: f64,
    /// The line at the last point.
    pub now: f64,
    /// How sure the direction is, in standard deviations (Mann 1945, Kendall 1975).
    pub sure: f64,
}

/// `None` for fewer than 4 points. Of more than 64 the last ones are taken.
pub(super) fn trend(points: &[f64]) -> Option<Trend> {
    let points = &points[points.len().saturating_sub(POINTS_MAX)..];
    let n = points.len();
    if n < 4 {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    let mut score = 0.0;
    for (i, a) in points.iter().enumerate() {
        for (j, b) in points.iter().enumerate().skip(i + 1) {
            slopes.push((b - a) / (j - i) as f64);
            score += f64::from(u8::from(b > a)) - f64::from(u8::from(b < a));
        }
    }
    slopes.sort_by(f64::total_cmp);
    let slope = quantile(&slopes, 0.5);
    let mut rests: Vec<f64> = points
        .iter()
        .enumerate()
        .map(|(i, p)| p - slope * i as f64)
        .collect();
    rests.sort_by(f64::total_cmp);
    let size = n as f64;
    let spread = (size * (size - 1.0) * (2.0 * size + 5.0) / 18.0).sqrt();
    Some(Trend {
        slope,
        slope_low: quantile(&slopes, 0.05),
        slope_high: quantile(&slopes, 0.95),
        now: quantile(&rests, 0.5) + slope * (size - 1.0),
        sure: score / spread,
    })
}

/// Of sorted values; 0 of none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(at.round() as usize).copied().unwrap_or(0.0)
}

/// The share of requests that wait longer than `wait` holds, with `servers`
/// connections and `load` of them busy on average (Erlang C, exponential holds).
pub(super) fn waits_beyond(servers: u32, load: f64, wait: f64) -> f64 {
    let c = f64::from(servers);
    if load >= c {
        return 1.0;
    }
    if load <= 0.0 {
        return 0.0;
    }
    // The inverse of Erlang B by its recursion; it stays finite.
    let mut inverse = 1.0;
    for n in 1..=servers {
        inverse = 1.0 + inverse * f64::from(n) / load;
        if !inverse.is_finite() {
            return 0.0;
        }
    }
    let blocked = 1.0 / inverse;
    let waits = blocked * c / (c - load * (1.0 - blocked));
    waits * (-(c - load) * wait).exp()
}

/// The fewest connections of which no more than `share` wait longer than `wait`
/// holds; `most` when even that is too few.
pub(super) fn needed(load: f64, wait: f64, share: f64, most: u32) -> u32 {
    let first = (load.floor().max(0.0) as u32).saturating_add(1).min(most);
    (first..=most)
        .find(|servers| waits_beyond(*servers, load, wait) <= share)
        .unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_minutes_do_not_bend_a_trend() {
        let mut points: Vec<f64> = (0..20).map(|i| 3.0 + 0.5 * f64::from(i)).collect();
        points[4] = 90.0;
        points[15] = 0.0;
        let found = trend(&points).expect("a trend");
        assert!((found.slope - 0.5).abs() < 0.05, "{found:?}");
        assert!((found.now - 12.5).abs() < 0.5, "{found:?}");
        assert!(found.sure > 3.0);
        assert_eq!(trend(&[1.0, 2.0, 3.0]), None);
        let flat = trend(&[5.0; 10]).expect("a trend");
        assert_eq!((flat.slope, flat.sure, flat.now), (0.0, 0.0, 5.0));
    }

    #[test]
    fn erlang_c_as_in_its_tables() {
        // 10 erlangs on 12 servers: 44.9 % wait; on 20: 0.37 %.
        assert!((waits_beyond(12, 10.0, 0.0) - 0.449).abs() < 0.002);
        assert!((waits_beyond(20, 10.0, 0.0) - 0.0037).abs() < 0.0003);
        assert_eq!(waits_beyond(10, 10.0, 0.0), 1.0);
        assert_eq!(waits_beyond(10, 0.0, 0.0), 0.0);
        let n = needed(10.0, 0.0, 0.01, 100);
        assert_eq!(n, 19);
        assert_eq!(needed(50.0, 0.0, 0.01, 20), 20);
    }
}
