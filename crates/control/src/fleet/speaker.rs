//! What this instance says of itself: made once a second, of the second's snapshot.

use super::Fleet;
use crate::measure::Listener;
use crate::notify::NotifierFigures;
use crate::settings::OwnSettings;
use crate::{Health, Source};
use ::fleet::{AlertSays, ServerSays, Statement, TurnedDown};
use diagnose::alert::{Alert, AlertState};
use events::sample::{Marker, Record};
use events::snapshot::{BudgetRow, Snapshot};
use std::sync::Arc;

/// Listens to the measurements; to be told after the lookout.
pub struct Speaker {
    fleet: Fleet,
    source: Arc<dyn Source>,
}

impl Speaker {
    /// Speaks of what `source` shows.
    pub fn new(fleet: Fleet, source: Arc<dyn Source>) -> Speaker {
        Speaker { fleet, source }
    }
}

impl Listener for Speaker {
    fn second(&mut self, _: &Record, snapshot: &Arc<Snapshot>) -> Vec<Marker> {
        let settings = self.source.settings().map(|figures| figures.own());
        let watched = self.source.watched();
        let alerts = watched.as_ref().map(|w| w.lookout.alerts());
        let notify = watched.and_then(|w| w.notify);
        let mute = notify.is_none_or(|notify| is_mute(&notify.figures()));
        let ready = self.source.ready();
        let clients_at = self.source.clients_at();
        let mut state = self.fleet.state();
        let alerts = says(&alerts.unwrap_or_default(), mute, |key| {
            state.duties.tells(key)
        });
        let OwnSettings {
            serves,
            alike,
            turned_down,
        } = settings.unwrap_or_default();
        let down = |(hash, reason)| TurnedDown { hash, reason };
        let (ready, ready_reason) = match ready {
            Health::Good => (true, String::new()),
            Health::Bad(reason) => (false, reason),
        };
        let pools = snapshot.pools.iter();
        let waiting = pools.clone().map(|p| u64::from(p.cl_waiting)).sum();
        state.own = Statement {
            settings: serves,
            alike,
            turned_down: turned_down.map(down).into_iter().collect(),
            ready,
            ready_reason,
            servers: snapshot.budgets.iter().map(server).collect(),
            alerts,
            clients: snapshot.workers.iter().map(|w| u64::from(w.clients)).sum(),
            waiting,
            clients_at: clients_at.map(|a| a.to_string()).unwrap_or_default(),
            ..std::mem::take(&mut state.own)
        };
        Vec::new()
    }
}

/// It has nobody to tell, or reaches none of them: others need not wait for it. It
/// tries all the same.
fn is_mute(notifiers: &[NotifierFigures]) -> bool {
    notifiers.iter().all(|n| !n.last_error.is_empty())
}

fn says(alerts: &[Alert], mute: bool, tells: impl Fn(&str) -> bool) -> Vec<AlertSays> {
    let firing = alerts.iter().filter(|a| a.state == AlertState::Firing);
    firing
        .map(|alert| AlertSays {
            key: alert.key.clone(),
            since_ms: alert.since_ms,
            told: tells(&alert.key),
            mute,
        })
        .collect()
}

fn server(row: &BudgetRow) -> ServerSays {
    // With a monitor session the fleet's line is read; else the stated one is our own.
    let line = match row.fleet_line {
        0 => row.line,
        line => line,
    };
    ServerSays {
        server: row.upstream.clone(),
        line,
        // While the line falls the share may be above it for a moment.
        share: row.line.min(line),
        held: row.used,
        wanted: row.wants,
        sees: matches!(row.state, "known" | "shrunk"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reaches_nobody_is_mute() {
        let notifier = |error: &str| NotifierFigures {
            last_error: error.to_owned(),
            ..NotifierFigures::default()
        };
        assert!(is_mute(&[]));
        assert!(is_mute(&[notifier("it answered 503")]));
        assert!(!is_mute(&[notifier("it answered 503"), notifier("")]));
    }

    #[test]
    fn a_share_is_never_stated_above_its_line() {
        let row = |line, fleet_line| BudgetRow {
            line,
            fleet_line,
            ..BudgetRow::default()
        };
        for (line, fleet_line, expected) in [(30, 90, (30, 90)), (90, 0, (90, 90)), (9, 5, (5, 5))]
        {
            let says = server(&row(line, fleet_line));
            assert_eq!((says.share, says.line), expected);
        }
    }
}
