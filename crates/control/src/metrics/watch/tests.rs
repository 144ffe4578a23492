//! The families of the watch, of a pooler with an incident.

use super::*;
use crate::incidents::Incidents;
use crate::lookout::{Lookout, Second};
use crate::measure::{Measures, Options};
use crate::metrics::Format;
use diagnose::alert::Alert;
use events::sample::Record;
use std::sync::Arc;

fn text(incidents: &Incidents) -> String {
    let watched = Watched {
        measures: Measures::new(&Options::default()),
        lookout: Arc::new(Lookout::default()),
        incidents: incidents.clone(),
        notify: None,
        feed: crate::live::Feed::default(),
    };
    let mut encoder = Encoder::new(Format::OpenMetrics);
    families(&mut encoder, &watched);
    encoder.finish()
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line}\n{text}");
}

#[test]
fn incidents_are_counted_by_their_state() {
    let incidents = Incidents::default();
    let quiet = text(&incidents);
    has(&quiet, "plimsoll_incidents{state=\"open\"} 0");
    has(&quiet, "plimsoll_incident_store_failures_total 0");

    let alert = Alert::firing(AlertName::PoolExhausted, "exhausted/shop", 1_000);
    incidents.sink().second(&Second {
        record: &Record::default(),
        changes: std::slice::from_ref(&alert),
        alerts: std::slice::from_ref(&alert),
        verdict: None,
        now_ms: 1_000,
    });
    let open = text(&incidents);
    has(&open, "plimsoll_incidents{state=\"open\"} 1");
    has(&open, "plimsoll_incidents{state=\"recovering\"} 0");

    incidents.close("last", "anna", "mended").expect("closed");
    has(&text(&incidents), "plimsoll_incidents{state=\"open\"} 0");
}
