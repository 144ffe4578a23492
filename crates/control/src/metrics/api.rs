//! Requests to the HTTP API.

use super::encode::{Encoder, Unit};
use crate::api::{Figures, Refused};

pub(super) fn families(e: &mut Encoder, figures: &Figures) {
    let mut family = e.counters(
        "plimsoll_api_requests",
        Unit::None,
        "Requests to the HTTP API that were answered, by class of status.",
    );
    for (class, count) in figures.answers() {
        family.add(&[("class", class)], count);
    }
    let mut family = e.counters(
        "plimsoll_api_refused",
        Unit::None,
        "Requests and connections that the HTTP API turned away, by reason.",
    );
    for reason in Refused::ALL {
        family.add(&[("reason", reason.label())], figures.refused(*reason));
    }
}
