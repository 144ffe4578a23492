//! `/v1/fleet`: the other instances.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Route, Shape, Verb};
use crate::fleet::FleetView;
use config::ApiRole;

pub(super) const ROUTES: &[Route] = &[Route {
    verb: Verb::Get,
    path: "/v1/fleet",
    role: ApiRole::Viewer,
    summary: "The other instances of the fleet, as this one knows them.",
    parameters: &[],
    body: None,
    answer: Shape::of::<FleetView>(),
    handle: fleet,
}];

fn fleet(parts: &Parts, _: &Call) -> Result<Answer, Failure> {
    let help = "name an address with `listen` in [fleet]: docs/fleet.md";
    let fleet = parts.source.fleet();
    let fleet = fleet.ok_or_else(|| Failure::absent("channel to other instances", help))?;
    Ok(Answer::json(&fleet.view()))
}
