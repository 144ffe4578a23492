//! The families of the watch itself: alerts, incidents, notices, what the
//! diagnosis says, and whether measuring works.

use super::encode::{Encoder, Unit};
use crate::Watched;
use diagnose::Cause;
use diagnose::alert::{AlertName, AlertState};

pub(super) fn families(e: &mut Encoder, watched: &Watched) {
    alerts(e, watched);
    diagnosis(e, watched);
    notices(e, watched);
    incidents(e, watched);
    e.counters(
        "plimsoll_measure_store_failures",
        Unit::None,
        "Times that figures could not be written to the state directory.",
    )
    .add(&[], watched.measures.store_failures());
    e.counters(
        "plimsoll_measure_panics",
        Unit::None,
        "Panics contained in the measurements, alerts and incidents.",
    )
    .add(&[], watched.measures.panics());
}

fn alerts(e: &mut Encoder, watched: &Watched) {
    let alerts = watched.lookout.alerts();
    let mut family = e.gauges(
        "plimsoll_alerts",
        Unit::None,
        "Built-in alerts that are seen, by name; the names are those of the exported rules.",
    );
    for name in AlertName::ALL {
        for (state, label) in [
            (AlertState::Pending, "pending"),
            (AlertState::Firing, "firing"),
        ] {
            let these = alerts
                .iter()
                .filter(|a| a.name == *name && a.state == state);
            let labels = [
                ("alert", name.label()),
                ("severity", name.severity().label()),
                ("state", label),
            ];
            family.add(&labels, these.count() as u64);
        }
    }
    e.counters(
        "plimsoll_alerts_dropped",
        Unit::None,
        "Alerts that were too many to follow.",
    )
    .add(&[], watched.lookout.dropped());
}

fn diagnosis(e: &mut Encoder, watched: &Watched) {
    let verdict = watched.lookout.newest().unwrap_or_default();
    let mut family = e.gauges(
        "plimsoll_diagnosis_sure_percent",
        Unit::None,
        "How sure the newest diagnosis is of each cause; 0: it is not found.",
    );
    for cause in Cause::ALL {
        let found = verdict.findings.iter().find(|f| f.cause == *cause);
        let sure = found.map_or(0, |f| u32::from(f.sure));
        family.add(&[("cause", cause.label())], sure);
    }
}

fn incidents(e: &mut Encoder, watched: &Watched) {
    let (open, recovering) = watched.incidents.live();
    let mut family = e.gauges(
        "plimsoll_incidents",
        Unit::None,
        "Incidents that are not closed: open while an alert of theirs fires, then recovering.",
    );
    for (state, n) in [("open", open), ("recovering", recovering)] {
        family.add(&[("state", state)], n as u64);
    }
    e.counters(
        "plimsoll_incident_store_failures",
        Unit::None,
        "Times that incidents could not be written to the state directory, or read from it.",
    )
    .add(&[], watched.incidents.store_failures());
}

fn notices(e: &mut Encoder, watched: &Watched) {
    let figures = watched.notify.as_ref().map(|n| n.figures());
    let figures = figures.unwrap_or_default();
    let mut family = e.counters(
        "plimsoll_notices",
        Unit::None,
        "Messages about alerts: taken by the other side, failed attempts, alerts given up.",
    );
    for line in &figures {
        for (result, n) in [
            ("sent", line.sent),
            ("failed", line.failed),
            ("dropped", line.dropped),
        ] {
            family.add(&[("notifier", &line.name), ("result", result)], n);
        }
    }
    let mut family = e.gauges(
        "plimsoll_notices_queued",
        Unit::None,
        "Alerts that wait to be sent.",
    );
    for line in &figures {
        family.add(&[("notifier", &line.name)], line.queued as u64);
    }
}

#[cfg(test)]
mod tests;
