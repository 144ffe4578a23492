//! The settings' own figures: version, drift, and how changes ended.

use super::encode::{Encoder, Unit};
use crate::settings::Figures;

pub(super) fn families(e: &mut Encoder, figures: &Figures) {
    e.gauges(
        "plimsoll_settings_version",
        Unit::None,
        "The version of the settings that serves, as `plimsoll history` numbers them.",
    )
    .add(&[], figures.version());
    let mut family = e.gauges(
        "plimsoll_settings_state",
        Unit::None,
        "1 while a change is on its way (open), the settings file says something that does not serve (drift), or the settings keep the instance from being ready (held_back).",
    );
    for (state, holds) in figures.flags() {
        family.add(&[("state", state)], u64::from(holds));
    }
    let mut family = e.counters(
        "plimsoll_settings_changes",
        Unit::None,
        "Changes of the settings by how they ended, and why.",
    );
    for ends in figures.ends() {
        family.add(&[("end", ends.end), ("reason", ends.reason)], ends.count);
    }
}
