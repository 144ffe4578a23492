//! The lookout: each second it asks whether something needs a person, and what
//! is wrong.
//!
//! It listens to the measurements. Alerts are looked at every second; the
//! diagnosis runs while something stirs, and now and then when all is calm. What
//! comes of it goes to each [`Sink`] (incidents, notices) and waits here for the
//! API. All of it is on the thread that measures: no query waits for it.

use crate::Source;
use crate::alerting::{Standing, alert_settings};
use crate::incidents::Incidents;
use crate::measure::{Listener, Measures, now_ms};
use crate::notify::{Notify, NotifySettings};
use config::Plan;
use diagnose::Verdict;
use diagnose::alert::{Alert, AlertChange, AlertState, Alerts};
use events::sample::{Marker, MarkerKind, Name, Record, Sample};
use events::snapshot::Snapshot;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two diagnoses while nothing stirs.
const CALM: Duration = Duration::from_secs(15);
/// A diagnosis may take a twentieth of the time.
const SHARE: u32 = 20;

/// What is measured, who looks out, and who tells people. Clones share it.
#[derive(Clone)]
pub struct Watched {
    /// What is measured.
    pub measures: Measures,
    /// Alerts and the newest diagnosis.
    pub lookout: Arc<Lookout>,
    /// What happened, and what people noted.
    pub incidents: Incidents,
    /// Who tells people; `None`: nobody.
    pub notify: Option<Arc<Notify>>,
    /// The newest second, for the live page.
    pub feed: crate::live::Feed,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched(…)")
    }
}

/// What a second brought.
pub struct Second<'a> {
    /// All that was measured; the second is the newest.
    pub record: &'a Record,
    /// Alerts that began to fire, grew worse or ended.
    pub changes: &'a [AlertChange],
    /// Everything that is seen, pending and firing.
    pub alerts: &'a [Alert],
    /// The newest diagnosis.
    pub verdict: Option<&'a Verdict>,
    /// UTC, milliseconds since 1970.
    pub now_ms: i64,
}

/// Who makes something of it. Called on the thread that measures: it must return
/// at once.
pub trait Sink: Send {
    /// A second is over. Returns what is to be marked.
    fn second(&mut self, second: &Second<'_>) -> Vec<Marker>;

    /// Other settings serve; also told once at the begin.
    fn settings(&mut self, _plan: &Plan) {}
}

/// Tells people, through the notifiers of the settings.
pub struct Telling {
    /// Who we are, in messages.
    pub instance: String,
    /// The notifiers.
    pub notify: Arc<Notify>,
    /// Where several instances have one alert, who of them tells; `None`: this one.
    pub deciding: Option<crate::fleet::Deciding>,
}

impl Sink for Telling {
    fn second(&mut self, second: &Second<'_>) -> Vec<Marker> {
        match &mut self.deciding {
            None => self.notify.tell(second.changes),
            Some(deciding) => {
                let mute = self.notify.names().is_empty();
                let decided = deciding.second(second.alerts, second.changes, mute);
                self.notify.forget(&decided.forget);
                self.notify.adopt(&decided.adopt);
                self.notify.tell(&decided.tell);
            }
        }
        Vec::new()
    }

    fn settings(&mut self, plan: &Plan) {
        self.notify.set(NotifySettings::of(plan, &self.instance));
    }
}

/// What the lookout saw last, for whoever asks.
#[derive(Default)]
pub struct Lookout {
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    verdict: Option<Verdict>,
    alerts: Vec<Alert>,
    dropped: u64,
}

impl Lookout {
    /// The newest diagnosis; of the last quarter of a minute.
    pub fn newest(&self) -> Option<Verdict> {
        self.shared().verdict.clone()
    }

    /// Alerts that are seen.
    pub fn alerts(&self) -> Vec<Alert> {
        self.shared().alerts.clone()
    }

    /// Alerts that were too many to follow.
    pub fn dropped(&self) -> u64 {
        self.shared().dropped
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listener.
pub struct Watching {
    lookout: Arc<Lookout>,
    source: Arc<dyn Source>,
    alerts: Alerts,
    standing: Standing,
    /// What served at the last look.
    plan: Option<Arc<Plan>>,
    sinks: Vec<Box<dyn Sink>>,
    verdict: Option<Verdict>,
    next_verdict: Instant,
}

impl Watching {
    /// Watches over what `source` serves.
    pub fn new(
        lookout: Arc<Lookout>,
        source: Arc<dyn Source>,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Watching {
        Watching {
            lookout,
            source,
            alerts: Alerts::default(),
            standing: Standing::default(),
            plan: None,
            sinks,
            verdict: None,
            next_verdict: Instant::now(),
        }
    }

    /// Other settings may serve.
    fn follow(&mut self, plan: Option<Arc<Plan>>) {
        let Some(plan) = plan else { return };
        if self
            .plan
            .as_ref()
            .is_some_and(|old| Arc::ptr_eq(old, &plan))
        {
            return;
        }
        self.alerts.set(alert_settings(&plan));
        self.standing.set(&plan);
        for sink in &mut self.sinks {
            sink.settings(&plan);
        }
        self.plan = Some(plan);
    }

    fn diagnose(&mut self, record: &Record) {
        let begun = Instant::now();
        let judged = catch_unwind(AssertUnwindSafe(|| diagnose::diagnose(record, None)));
        match judged {
            Ok(verdict) => self.verdict = Some(verdict),
            Err(_) => tracing::error!("a panic was contained in the diagnosis"),
        }
        self.next_verdict = Instant::now() + begun.elapsed() * SHARE;
    }
}

impl Listener for Watching {
    fn second(&mut self, record: &Record, snapshot: &Arc<Snapshot>) -> Vec<Marker> {
        let Some(newest) = record.seconds.back() else {
            return Vec::new();
        };
        self.follow(self.source.plan());
        let settings = self.source.settings();
        self.standing
            .second(record, snapshot, settings.as_deref(), newest.at_ms);
        self.standing
            .others(self.source.fleet().and_then(|f| f.split()));
        let stirs = stirs(newest) || self.alerts.all().next().is_some();
        let due = self.next_verdict <= Instant::now();
        let old = self
            .verdict
            .as_ref()
            .is_none_or(|v| newest.at_ms.saturating_sub(v.at_ms) >= CALM.as_millis() as i64);
        if due && (stirs || old) {
            self.diagnose(record);
        }
        let facts = self.standing.facts(self.verdict.as_ref());
        let changes = self.alerts.look(newest, &facts, newest.at_ms);
        let alerts: Vec<Alert> = self.alerts.all().cloned().collect();
        let mut markers: Vec<Marker> = changes.iter().map(marker).collect();
        changes.iter().for_each(log);
        let second = Second {
            record,
            changes: &changes,
            alerts: &alerts,
            verdict: self.verdict.as_ref(),
            now_ms: now_ms(),
        };
        for sink in &mut self.sinks {
            match catch_unwind(AssertUnwindSafe(|| sink.second(&second))) {
                Ok(told) => markers.extend(told),
                Err(_) => tracing::error!("a panic was contained beside the alerts"),
            }
        }
        let mut shared = self.lookout.shared();
        shared.verdict.clone_from(&self.verdict);
        shared.alerts = alerts;
        shared.dropped = self.alerts.dropped();
        markers
    }
}

/// Somebody waits, is refused, or cannot be served.
fn stirs(second: &Sample) -> bool {
    let pools = second.pools.iter();
    let mut waits = pools.map(|p| u64::from(p.waiting.last) + p.refused + u64::from(p.suspects));
    let servers = second.servers.iter();
    let mut fails = servers.map(|s| s.connect_failed + s.login_failed + s.full + s.ended_by_server);
    waits.any(|n| n > 0) || fails.any(|n| n > 0) || !second.refusals.is_empty()
}

fn marker(alert: &AlertChange) -> Marker {
    let whom = [
        &alert.subject.application,
        &alert.subject.database,
        &alert.subject.server,
    ];
    let whom = whom.into_iter().find(|name| !name.is_empty());
    let what = match alert.state {
        AlertState::Resolved => "over",
        _ => "fires",
    };
    Marker {
        at_ms: alert
            .resolved_ms
            .or(alert.fired_ms)
            .unwrap_or(alert.since_ms),
        kind: MarkerKind::Alert,
        subject: Name::from(whom.map_or("", String::as_str)),
        text: format!("{} {what}: {}", alert.name.label(), alert.summary),
        actor: Name::from("plimsoll"),
    }
}

fn log(alert: &AlertChange) {
    let (name, summary) = (alert.name.label(), diagnose::clean(&alert.summary));
    let cause = alert.cause.as_ref().map_or("", |(cause, _)| cause.label());
    let (key, runbook) = (&alert.key, &alert.runbook);
    match alert.state {
        AlertState::Resolved => tracing::info!(alert = name, key, "alert over: {summary}"),
        _ => tracing::warn!(
            alert = name,
            severity = alert.severity.label(),
            key,
            cause,
            runbook,
            "alert: {summary}"
        ),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::plan as plan_of_tests;
