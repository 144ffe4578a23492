//! From conditions to alerts: pending, firing, resolved.

use super::past::Past;
use super::{
    Alert, AlertName, AlertSettings, AlertState, Facts, Forecast, Severity, budget_squeezed,
    credential_failing, fleet_split_settings, leak, limit_upstream, pool_exhausted,
    pool_exhaustion_forecast, pool_too_small, server_refusing, settings_changes, wait_objective,
};
use crate::{Cause, Figure, State, Step, Subject, Verdict};
use events::sample::{PoolSample, Sample};
use std::collections::BTreeMap;

/// Most alerts at a time, pending ones included; more are counted.
pub const ALERTS_MAX: usize = 100;
/// An alert that comes back within this time stays twice as long the next time.
const FLAP_MINUTES: i64 = 10;
/// Longest time that an alert stays after its condition ended, minutes.
const STAY_MINUTES_MAX: i64 = 30;
/// A pending alert may miss one look: a sample can fall between two grants.
const PENDING_GAP_MS: i64 = 1_500;
/// A verdict older than this explains nothing.
const VERDICT_AGE_MAX_MS: i64 = 120_000;
/// Most characters of a name in a text.
const NAME_MAX: usize = 64;

/// An alert that began to fire, grew worse, or was resolved: a copy as it stands.
pub type AlertChange = Alert;

/// What a rule sees.
pub(super) struct Seen<'a> {
    pub sample: &'a Sample,
    pub facts: &'a Facts<'a>,
    pub settings: &'a AlertSettings,
    pub now_ms: i64,
    /// A minute of the slow windows has just ended.
    pub minute: bool,
}

impl Seen<'_> {
    pub fn minutes(&self, n: i64) -> i64 {
        n.saturating_mul(self.settings.minute_ms)
    }

    /// Pools that clients may use, each with what the settings say of it.
    pub fn pools(&self) -> impl Iterator<Item = (&PoolSample, super::PoolFacts)> {
        let rows = self.sample.pools.iter();
        rows.filter(|p| !p.paused && p.size > 0 && &*p.database != events::sample::OTHER)
            .map(|p| (p, self.facts.pool(&p.database, &p.user)))
    }
}

/// A condition that holds now.
pub(super) struct Condition {
    pub name: AlertName,
    pub subject: Subject,
    pub severity: Severity,
    pub summary: String,
    pub figures: Vec<Figure>,
    pub forecast: Option<Forecast>,
    pub next: Vec<Step>,
    /// It must hold so long before it fires.
    pub for_ms: i64,
    /// It must be gone for so long before it is over.
    pub stay_ms: i64,
}

impl Condition {
    pub fn new(name: AlertName, subject: Subject, summary: String) -> Condition {
        Condition {
            name,
            subject,
            severity: name.severity(),
            summary,
            figures: Vec::new(),
            forecast: None,
            next: Vec::new(),
            for_ms: 0,
            stay_ms: 30_000,
        }
    }

    /// Not before it has held for so long; over only after being gone for so long.
    pub fn lasting(mut self, for_ms: i64, stay_ms: i64) -> Condition {
        (self.for_ms, self.stay_ms) = (for_ms, stay_ms);
        self
    }

    pub fn figure(mut self, figure: Figure) -> Condition {
        self.figures.push(figure);
        self
    }

    pub fn step(mut self, text: &str, command: &str) -> Condition {
        self.next.push(Step {
            text: text.to_owned(),
            command: command.to_owned(),
        });
        self
    }
}

/// The pool, as a subject.
pub(super) fn subject_of(pool: &PoolSample) -> Subject {
    Subject {
        database: clean(&pool.database),
        user: clean(&pool.user),
        server: clean(&pool.upstream),
        ..Subject::default()
    }
}

/// A name that others chose, fit for a terminal and a message: without what
/// moves a cursor or turns the direction of writing, and not too long.
pub(super) fn clean(name: &str) -> String {
    let fit = |c: char| match c {
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        c if c.is_control() => '?',
        c => c,
    };
    name.chars().take(NAME_MAX).map(fit).collect()
}

struct Tracked {
    alert: Alert,
    seen_ms: i64,
    stay_ms: i64,
}

/// The alerts of one pooler.
#[derive(Default)]
pub struct Alerts {
    settings: AlertSettings,
    past: Past,
    tracked: BTreeMap<String, Tracked>,
    /// When alerts were resolved, and how long they had stayed: for those that flap.
    resolved: BTreeMap<String, (i64, i64)>,
    started_ms: Option<i64>,
    now_ms: i64,
    dropped: u64,
}

impl Alerts {
    /// Nothing seen yet.
    pub fn new(settings: AlertSettings) -> Alerts {
        Alerts {
            settings,
            ..Alerts::default()
        }
    }

    /// Other settings; what was learned stays.
    pub fn set(&mut self, settings: AlertSettings) {
        self.settings = settings;
    }

    /// One more second. Returns what began to fire, grew worse or ended.
    /// A clock that goes backwards stands still.
    pub fn look(&mut self, sample: &Sample, facts: &Facts<'_>, now_ms: i64) -> Vec<AlertChange> {
        self.now_ms = self.now_ms.max(now_ms);
        let now_ms = self.now_ms;
        let started_ms = *self.started_ms.get_or_insert(now_ms);
        let mut found = Vec::new();
        if self.settings.enabled {
            let objective_us = self.settings.wait_objective_ms.saturating_mul(1_000);
            let clock = (now_ms, self.settings.minute_ms);
            let minute = self.past.add(sample, facts, clock, objective_us);
            let seen = Seen {
                sample,
                facts,
                settings: &self.settings,
                now_ms,
                minute,
            };
            rules(&seen, &mut self.past, &mut found);
            found.retain(|c: &Condition| !self.settings.silenced.contains(&c.name));
        }
        let mut changes = Vec::new();
        let quiet = now_ms - started_ms < self.settings.grace_ms;
        for condition in found {
            self.holds(condition, facts, quiet, &mut changes);
        }
        self.end(&mut changes);
        changes
    }

    /// What fires now.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        let all = self.tracked.values().map(|t| &t.alert);
        all.filter(|a| a.state == AlertState::Firing)
    }

    /// What is seen, firing or not yet.
    pub fn all(&self) -> impl Iterator<Item = &Alert> {
        self.tracked.values().map(|t| &t.alert)
    }

    /// Alerts beyond [`ALERTS_MAX`] that were not followed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn holds(
        &mut self,
        condition: Condition,
        facts: &Facts<'_>,
        quiet: bool,
        changes: &mut Vec<AlertChange>,
    ) {
        let now_ms = self.now_ms;
        let key = key_of(condition.name, &condition.subject);
        if !self.tracked.contains_key(&key) {
            if self.tracked.len() >= ALERTS_MAX {
                self.dropped = self.dropped.saturating_add(1);
                return;
            }
            let fresh = self.begin(&key, &condition, facts);
            self.tracked.insert(key.clone(), fresh);
        }
        let Some(tracked) = self.tracked.get_mut(&key) else {
            return;
        };
        tracked.seen_ms = now_ms;
        let alert = &mut tracked.alert;
        let worse = condition.severity > alert.severity;
        alert.severity = condition.severity;
        alert.summary = condition.summary;
        alert.figures = condition.figures;
        alert.forecast = condition.forecast;
        alert.next = condition.next;
        if let Some(verdict) = facts.verdict {
            let found = cause(verdict, &alert.subject, now_ms);
            alert.cause = found
                .filter(|(cause, _)| explains(alert.name, *cause))
                .or(alert.cause.take());
        }
        let due = !quiet && now_ms - alert.since_ms >= condition.for_ms;
        if alert.state == AlertState::Pending && due {
            alert.state = AlertState::Firing;
            alert.fired_ms = Some(now_ms);
            changes.push(alert.clone());
        } else if alert.state == AlertState::Firing && worse {
            changes.push(alert.clone());
        }
    }

    fn begin(&self, key: &str, condition: &Condition, facts: &Facts<'_>) -> Tracked {
        let now_ms = self.now_ms;
        let flap_ms = FLAP_MINUTES.saturating_mul(self.settings.minute_ms);
        let longest_ms = STAY_MINUTES_MAX.saturating_mul(self.settings.minute_ms);
        let stay_ms = match self.resolved.get(key) {
            Some((at_ms, stayed)) if now_ms - at_ms < flap_ms => {
                stayed.saturating_mul(2).min(longest_ms.max(*stayed))
            }
            _ => condition.stay_ms,
        };
        let label = condition.name.label();
        let base = &self.settings.runbook_base;
        Tracked {
            alert: Alert {
                name: condition.name,
                key: key.to_owned(),
                subject: condition.subject.clone(),
                state: AlertState::Pending,
                severity: condition.severity,
                since_ms: now_ms,
                fired_ms: None,
                resolved_ms: None,
                summary: String::new(),
                figures: Vec::new(),
                cause: None,
                forecast: None,
                next: Vec::new(),
                runbook: format!("{base}#{}", label.to_lowercase()),
                owner: facts.owner(&condition.subject),
            },
            seen_ms: now_ms,
            stay_ms,
        }
    }

    /// Ends what does not hold any more. What only pended is forgotten.
    fn end(&mut self, changes: &mut Vec<AlertChange>) {
        let now_ms = self.now_ms;
        let over = |t: &Tracked| match t.alert.state {
            AlertState::Firing => now_ms - t.seen_ms >= t.stay_ms.max(1),
            _ => now_ms - t.seen_ms > PENDING_GAP_MS,
        };
        let keys: Vec<String> = self
            .tracked
            .iter()
            .filter(|(_, t)| over(t))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let Some(mut tracked) = self.tracked.remove(&key) else {
                continue;
            };
            if tracked.alert.state != AlertState::Firing {
                continue;
            }
            tracked.alert.state = AlertState::Resolved;
            tracked.alert.resolved_ms = Some(now_ms);
            self.resolved.insert(key, (now_ms, tracked.stay_ms));
            changes.push(tracked.alert);
        }
        let flap_ms = FLAP_MINUTES.saturating_mul(self.settings.minute_ms);
        if self.resolved.len() > ALERTS_MAX {
            self.resolved
                .retain(|_, (at_ms, _)| now_ms - *at_ms < flap_ms);
        }
        while self.resolved.len() > ALERTS_MAX {
            self.resolved.pop_first();
        }
    }
}

fn rules(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    pool_exhausted::look(seen, past, found);
    pool_exhaustion_forecast::look(seen, past, found);
    pool_too_small::look(seen, past, found);
    budget_squeezed::look(seen, found);
    wait_objective::look(seen, past, found);
    leak::look(seen, past, found);
    limit_upstream::look(seen, past, found);
    settings_changes::look(seen, found);
    fleet_split_settings::look(seen, found);
    server_refusing::look(seen, past, found);
    credential_failing::look(seen, found);
}

/// The same for as long as the alert lasts, and for the same alert again later.
fn key_of(name: AlertName, subject: &Subject) -> String {
    let parts = [
        &subject.database,
        &subject.user,
        &subject.application,
        &subject.server,
        &subject.setting,
    ];
    let mut key = String::from(name.label());
    for part in parts {
        key.push('/');
        key.push_str(&part.replace('%', "%25").replace('/', "%2F"));
    }
    key.trim_end_matches('/').to_owned()
}

/// What the settings file says is no symptom: what else is wrong is not its cause.
fn explains(name: AlertName, cause: Cause) -> bool {
    let settings = [
        AlertName::SettingsDrift,
        AlertName::SettingsRolledBack,
        AlertName::FleetSplitSettings,
    ];
    !settings.contains(&name) || cause == Cause::SettingsChange
}

/// The first answer of a fresh diagnosis that is about this subject.
fn cause(verdict: &Verdict, subject: &Subject, now_ms: i64) -> Option<(Cause, String)> {
    let fresh = (now_ms - verdict.at_ms).abs() <= VERDICT_AGE_MAX_MS;
    if !fresh || matches!(verdict.state, State::Calm | State::Unknown) {
        return None;
    }
    let about = |other: &Subject| {
        let agrees = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        agrees(&other.database, &subject.database) && agrees(&other.server, &subject.server)
    };
    let finding = verdict.findings.iter().find(|f| about(&f.subject))?;
    Some((finding.cause, finding.text.clone()))
}
