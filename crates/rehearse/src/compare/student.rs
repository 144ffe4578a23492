//! Student's t distribution: how far the mean of few rounds may stray.

/// Furthest quantile that is told apart; beyond it nothing is concluded anyway.
const QUANTILE_MAX: f64 = 1e6;

/// The value that t with so many degrees of freedom exceeds with this probability,
/// which is at most a half.
pub(super) fn quantile(upper: f64, degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, QUANTILE_MAX);
    // Bisection: the tail falls all the way, and sixty halvings exhaust the digits.
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        match tail(middle, degrees) > upper {
            true => low = middle,
            false => high = middle,
        }
    }
    f64::midpoint(low, high)
}

/// The probability that t exceeds this value, which is not negative: the finite sums
/// for whole degrees of freedom (Abramowitz and Stegun, "Handbook of Mathematical
/// Functions", 1964, 26.7.3 and 26.7.4).
fn tail(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    // 1 + 1/2 cos² + (1·3)/(2·4) cos⁴ …, or cos + 2/3 cos³ + (2·4)/(3·5) cos⁵ …
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = if odd && degrees < 3 { 0.0 } else { term };
    let first = if odd { 3 } else { 2 };
    for k in (first..degrees.saturating_sub(1)).step_by(2) {
        term *= cos * cos * (k as f64 - 1.0) / k as f64;
        sum += term;
    }
    let within = match odd {
        true => (angle + sin * sum) * std::f64::consts::FRAC_2_PI,
        false => sin * sum,
    };
    (1.0 - within) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (upper, degrees, expected) in [
            (0.025, 1, 12.706),
            (0.025, 2, 4.303),
            (0.025, 3, 3.182),
            (0.025, 4, 2.776),
            (0.025, 9, 2.262),
            (0.025, 19, 2.093),
            (0.025, 120, 1.980),
            (0.001, 4, 7.173),
            (0.001, 5, 5.893),
            (0.0005, 9, 4.781),
            (0.2, 9, 0.883),
            (0.5, 7, 0.0),
        ] {
            let found = quantile(upper, degrees);
            assert!(
                (found - expected).abs() < 6e-4,
                "{upper} {degrees}: {found}"
            );
        }
    }
}
