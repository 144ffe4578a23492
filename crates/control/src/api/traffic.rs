//! `/v1/traffic/shape`: what the traffic looked like, for captures.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Kind, Parameter, Route, Shape};

pub(super) const ROUTES: &[Route] = &[Route::read(
    "/v1/traffic/shape",
    "The traffic's shape: sampled requests, with no literal and no secret (docs/capture.md).",
    &[Parameter {
        name: "since_us",
        kind: Kind::Number {
            min: 0,
            max: u64::MAX >> 1,
        },
        meaning: "Only windows that began then or later, microseconds of the pooler's own clock; else all that are kept.",
    }],
    Shape::Media("text/plain; charset=utf-8"),
    shape,
)];

fn shape(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let absent = || Failure::absent("data plane to ask", "it ends with the pooler");
    let hands = parts.hands.as_deref().ok_or_else(absent)?;
    let text = hands.shape(call.number("since_us").unwrap_or(0));
    Ok(Answer::media("text/plain; charset=utf-8", text))
}
