//! Sums of literals, and the units of Go's times: what code says without being run.

use super::{Found, Scalar};
use crate::place::Place;

/// Both sides of an operator, as far as they are literals.
pub(super) fn binary(operator: &str, left: Found, right: Found, place: &Place) -> Found {
    use Scalar::{Nanoseconds, Null, Number, Unknown};
    let unknown = Found::new(Unknown, place);
    if matches!(operator, "or" | "||" | "??") {
        // What is not known here comes from outside; the other side is its default.
        return match left.what {
            Unknown | Null => Found {
                is_default: true,
                ..right
            },
            _ => left,
        };
    }
    let is_default = left.is_default || right.is_default;
    // Go multiplies a count by a unit; two units never.
    let (a, b, timed) = match (left.what, right.what) {
        (Number(a), Number(b)) => (a, b, false),
        (Nanoseconds(a), Number(b)) | (Number(a), Nanoseconds(b)) => (a, b, true),
        (Nanoseconds(a), Nanoseconds(b)) if operator != "*" => (a, b, operator != "/"),
        _ => return unknown,
    };
    let result = match operator {
        "*" => a * b,
        "+" => a + b,
        "-" => a - b,
        "/" if b != 0.0 => a / b,
        "//" if b != 0.0 => (a / b).floor(),
        "**" => a.powf(b),
        _ => return unknown,
    };
    if !result.is_finite() {
        return unknown;
    }
    Found {
        what: match timed {
            true => Nanoseconds(result),
            false => Number(result),
        },
        place: place.clone(),
        is_default,
    }
}

/// Go's units of time.
pub(super) fn nanoseconds(name: &str) -> Option<f64> {
    Some(match name {
        "time.Nanosecond" => 1.0,
        "time.Microsecond" => 1e3,
        "time.Millisecond" => 1e6,
        "time.Second" => 1e9,
        "time.Minute" => 60e9,
        "time.Hour" => 3_600e9,
        _ => return None,
    })
}
