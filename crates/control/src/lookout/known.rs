//! What the lookout knows beside the figures: from the settings, from the
//! keeper of the settings, and of secrets.

use crate::settings::Figures;
use config::{Plan, PoolSize};
use diagnose::Verdict;
use diagnose::alert::{
    AlertName, AlertSettings, CertificateFact, Facts, Owner, PoolFacts, RolledBack,
};
use events::snapshot::{SecretFigures, Snapshot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A secret that was refused is a fact for so long.
const REFUSED_MS: i64 = 3_600_000;
/// Pools whose settings are looked up.
const POOLS_MAX: usize = 10_000;

/// Kept from second to second; made anew where the plan changed.
#[derive(Default)]
pub(super) struct Known {
    pub(super) settings: AlertSettings,
    plan: Option<Arc<Plan>>,
    owners: BTreeMap<String, Owner>,
    pools: BTreeMap<(String, String), PoolFacts>,
    deadlines: BTreeMap<String, u64>,
    certificates: Vec<CertificateFact>,
    /// When secrets were refused, and how many had been by then.
    refused: VecDeque<(i64, u64)>,
    refused_seen: u64,
    drift_since_ms: Option<i64>,
    rolled_back: Option<RolledBack>,
    rolled_back_seen: Option<u64>,
}

impl Known {
    /// Follows the settings. Says whether those of alerts may have changed.
    pub(super) fn follow(&mut self, plan: Option<Arc<Plan>>, snapshot: &Snapshot) -> bool {
        let Some(plan) = plan else { return false };
        let same = self
            .plan
            .as_ref()
            .is_some_and(|old| Arc::ptr_eq(old, &plan));
        if same && self.pools.len() > snapshot.pools.len().min(POOLS_MAX) {
            return false;
        }
        self.pools = pools(&plan, snapshot);
        if same {
            return false;
        }
        self.settings = alert_settings(&plan);
        let owner = |o: &config::Ownership| Owner {
            team: o.team.clone().unwrap_or_default(),
            channel: o.channel.clone().unwrap_or_default(),
            escalation: o.escalation.clone().unwrap_or_default(),
        };
        self.owners = plan
            .owners
            .iter()
            .map(|(name, o)| (name.clone(), owner(o)))
            .collect();
        let stated = plan.applications.iter();
        let stated = stated.filter_map(|(name, a)| Some((name.clone(), millis(a.wait_timeout?))));
        self.deadlines = stated.collect();
        self.plan = Some(plan);
        true
    }

    pub(super) fn secrets(&mut self, secrets: &SecretFigures, now_ms: i64) {
        let rows = secrets.certificates.iter();
        self.certificates = rows
            .map(|row| CertificateFact {
                side: row.side.to_owned(),
                role: row.role.to_owned(),
                file: row.file.clone(),
                expires_ms: row.expires_at.saturating_mul(1_000),
            })
            .collect();
        let refused: u64 = secrets.refused.iter().map(|(_, n)| n).sum();
        let more = refused.saturating_sub(self.refused_seen);
        self.refused_seen = refused;
        if more > 0 {
            self.refused.push_back((now_ms, more));
        }
        while self
            .refused
            .front()
            .is_some_and(|(at, _)| now_ms.saturating_sub(*at) > REFUSED_MS)
        {
            self.refused.pop_front();
        }
        self.refused.truncate(1_000);
    }

    pub(super) fn settings_now(&mut self, figures: Option<&Figures>, now_ms: i64) {
        let Some(figures) = figures else { return };
        let drift = figures
            .flags()
            .iter()
            .any(|(name, on)| *name == "drift" && *on);
        self.drift_since_ms = match drift {
            true => self.drift_since_ms.or(Some(now_ms)),
            false => None,
        };
        let back = figures
            .ends()
            .into_iter()
            .filter(|e| e.end == "rolled_back" && e.count > 0);
        let back: Vec<_> = back.collect();
        let count = back.iter().map(|e| e.count).sum();
        let before = self.rolled_back_seen.replace(count);
        if before.is_some_and(|before| count > before) {
            let why = back.iter().map(|e| e.reason.replace('_', " "));
            self.rolled_back = Some(RolledBack {
                at_ms: now_ms,
                version: 0,
                why: why.collect::<Vec<_>>().join(", "),
            });
        }
    }

    pub(super) fn facts<'a>(&'a self, verdict: Option<&'a Verdict>) -> Facts<'a> {
        Facts {
            drift_since_ms: self.drift_since_ms,
            rolled_back: self.rolled_back.as_ref(),
            certificates: &self.certificates,
            secrets_refused: self.refused.iter().map(|(_, n)| n).sum(),
            owners: Some(&self.owners),
            pools: Some(&self.pools),
            deadlines: Some(&self.deadlines),
            verdict,
        }
    }
}

/// `None`: for ever.
fn millis(span: Option<Duration>) -> u64 {
    span.map_or(u64::MAX, |span| {
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    })
}

fn alert_settings(plan: &Plan) -> AlertSettings {
    let alerts = &plan.alerts;
    AlertSettings {
        enabled: alerts.enabled,
        silenced: alerts
            .silence
            .iter()
            .filter_map(|name| AlertName::of_label(name))
            .collect(),
        wait_objective_ms: millis(Some(alerts.wait_objective)),
        wait_target: alerts.target(),
        runbook_base: alerts.runbook_base.clone(),
        ..AlertSettings::default()
    }
}

fn pools(plan: &Plan, snapshot: &Snapshot) -> BTreeMap<(String, String), PoolFacts> {
    let general = PoolFacts {
        deadline_ms: plan.query_wait_timeout.map(|span| millis(Some(span))),
        ..PoolFacts::default()
    };
    let mut all = BTreeMap::from([((String::new(), String::new()), general)]);
    for row in snapshot.pools.iter().take(POOLS_MAX) {
        let Some(database) = plan.database(&row.database) else {
            continue;
        };
        let effective = plan.effective(database, &row.user);
        let facts = PoolFacts {
            deadline_ms: effective.wait_timeout.map(|span| millis(Some(span))),
            ceiling: row
                .sizing
                .filter(|_| effective.size == PoolSize::Auto)
                .map(|s| s.ceiling),
            session: row.mode == "session",
        };
        all.insert((row.database.clone(), row.user.clone()), facts);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_refused_is_a_fact_for_an_hour() {
        let mut known = Known::default();
        let refused = |n| SecretFigures {
            refused: vec![("unreadable", n)],
            ..SecretFigures::default()
        };
        let mut told = Vec::new();
        for (at, n) in [
            (0, 0),
            (1_000, 2),
            (2_000, 3),
            (REFUSED_MS + 1_500, 3),
            (2 * REFUSED_MS, 3),
        ] {
            known.secrets(&refused(n), at);
            told.push(known.facts(None).secrets_refused);
        }
        assert_eq!(told, [0, 2, 3, 1, 0]);
    }
}
