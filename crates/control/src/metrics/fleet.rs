//! The other instances: how many in which state, and what was refused.

use super::encode::{Encoder, Unit};
use crate::fleet::Fleet;

pub(super) fn families(e: &mut Encoder, fleet: &Fleet) {
    let figures = fleet.figures();
    let mut family = e.gauges(
        "plimsoll_fleet_peers",
        Unit::None,
        "Other instances of the fleet, by how it stands with them.",
    );
    for (state, count) in figures.peers {
        family.add(&[("state", state)], count);
    }
    e.gauges(
        "plimsoll_fleet_settings_versions",
        Unit::None,
        "How many different settings serve in the fleet, this instance included; 0: none come from a file.",
    )
    .add(&[], figures.settings_versions);
    e.gauges(
        "plimsoll_fleet_alerts_told",
        Unit::None,
        "Alerts that this instance tells people of, for all that have them.",
    )
    .add(&[], figures.telling);
    let mut family = e.counters(
        "plimsoll_fleet_refused",
        Unit::None,
        "Messages of other instances that were refused, by reason.",
    );
    for (reason, count) in figures.refused {
        family.add(&[("reason", reason)], count);
    }
}
