//! What the rules of alerts are told beside samples: from the settings, the
//! snapshot and what was marked.
//!
//! ```
//! use control::alerting::{Standing, alert_settings};
//! use diagnose::alert::Alerts;
//! let files = config::Memory::default().file("p.toml", "[database.app]\nhost = \"h\"\n");
//! let plan = config::load("p.toml".as_ref(), &files).unwrap();
//! let mut alerts = Alerts::new(alert_settings(&plan));
//! let mut standing = Standing::of(&plan);
//! // Once a second:
//! standing.second(&Default::default(), &Default::default(), None, 0);
//! let changes = alerts.look(&Default::default(), &standing.facts(None), 0);
//! assert!(changes.is_empty());
//! ```

use crate::settings::Figures;
use config::Plan;
use diagnose::Verdict;
use diagnose::alert::{
    AlertName, AlertSettings, CertificateFact, Facts, Owner, PoolFacts, RolledBack, SettingsSplit,
};
use events::sample::{MarkerKind, Record};
use events::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a refused secret is news, milliseconds.
const REFUSED_MS: i64 = 3_600_000;

/// What a plan says of alerts.
pub fn alert_settings(plan: &Plan) -> AlertSettings {
    let silenced = plan.alerts.silence.iter();
    AlertSettings {
        enabled: plan.alerts.enabled,
        silenced: silenced.filter_map(|n| AlertName::of_label(n)).collect(),
        wait_objective_ms: millis(plan.alerts.wait_objective),
        wait_target: plan.alerts.target(),
        runbook_base: plan.alerts.runbook_base.clone(),
        grace_ms: i64::try_from(plan.alerts.grace.as_millis()).unwrap_or(i64::MAX),
        ..AlertSettings::default()
    }
}

/// Facts that last for longer than a second.
#[derive(Debug, Default)]
pub struct Standing {
    owners: BTreeMap<String, Owner>,
    /// By database, by user, general: how long clients may wait.
    waits: Waits,
    deadlines: BTreeMap<String, u64>,
    pools: BTreeMap<(String, String), PoolFacts>,
    certificates: Vec<CertificateFact>,
    rolled_back: Option<RolledBack>,
    drift_since_ms: Option<i64>,
    split: Option<SettingsSplit>,
    /// All that were refused, when that last grew, and by how much.
    refused: (Option<u64>, i64, u64),
}

#[derive(Debug, Default)]
struct Waits {
    databases: BTreeMap<String, Option<Duration>>,
    users: BTreeMap<String, Option<Duration>>,
    general: Option<Duration>,
}

impl Standing {
    /// Of these settings.
    pub fn of(plan: &Plan) -> Standing {
        let mut standing = Standing::default();
        standing.set(plan);
        standing
    }

    /// Other settings; what was seen stays.
    pub fn set(&mut self, plan: &Plan) {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        let owner = |o: &config::Ownership| Owner {
            team: text(&o.team),
            channel: text(&o.channel),
            escalation: text(&o.escalation),
        };
        let owners = plan.alerts.owners.iter();
        self.owners = owners.map(|(name, o)| (name.clone(), owner(o))).collect();
        let databases = plan.databases.iter();
        let users = plan.users.iter();
        self.waits = Waits {
            databases: databases
                .filter_map(|d| Some((d.name.clone(), d.wait_timeout?)))
                .collect(),
            users: users
                .filter_map(|(name, u)| Some((name.clone(), u.wait_timeout?)))
                .collect(),
            general: plan.query_wait_timeout,
        };
        // Without an end: as long as can be said.
        let applications = plan.applications.iter().filter_map(|(name, a)| {
            let wait = a.wait_timeout?;
            Some((name.clone(), wait.map_or(u64::MAX, millis)))
        });
        self.deadlines = applications.collect();
    }

    /// A second is over.
    pub fn second(
        &mut self,
        record: &Record,
        snapshot: &Snapshot,
        settings: Option<&Figures>,
        now_ms: i64,
    ) {
        self.pools = snapshot
            .pools
            .iter()
            .map(|row| {
                let facts = PoolFacts {
                    deadline_ms: self.waits.of(&row.database, &row.user).map(millis),
                    ceiling: row.sizing.as_ref().map(|s| s.ceiling),
                    session: row.mode == "session",
                };
                ((row.database.clone(), row.user.clone()), facts)
            })
            .collect();
        let certificates = snapshot.secrets.certificates.iter();
        self.certificates = certificates
            .map(|row| CertificateFact {
                side: row.side.to_owned(),
                role: row.role.to_owned(),
                file: row.file.clone(),
                expires_ms: row.expires_at.saturating_mul(1_000),
            })
            .collect();
        let refused: u64 = snapshot.secrets.refused.iter().map(|(_, n)| n).sum();
        match self.refused.0.replace(refused) {
            Some(before) if refused > before => {
                (self.refused.1, self.refused.2) = (now_ms, refused - before);
            }
            _ => {}
        }
        if now_ms.saturating_sub(self.refused.1) > REFUSED_MS {
            self.refused.2 = 0;
        }
        let back = |m: &&events::sample::Marker| m.kind == MarkerKind::RolledBack;
        let last = record.markers.iter().rev().find(back);
        self.rolled_back = last.map(|m| RolledBack {
            at_ms: m.at_ms,
            version: 0,
            why: m.text.clone(),
        });
        let drift = settings.is_some_and(|f| f.flags().contains(&("drift", true)));
        self.drift_since_ms = drift.then(|| self.drift_since_ms.unwrap_or(now_ms));
    }

    /// What the other instances serve by now, beside what serves here.
    pub fn others(&mut self, split: Option<SettingsSplit>) {
        self.split = split;
    }

    /// For [`Alerts::look`](diagnose::alert::Alerts::look).
    pub fn facts<'a>(&'a self, verdict: Option<&'a Verdict>) -> Facts<'a> {
        Facts {
            drift_since_ms: self.drift_since_ms,
            rolled_back: self.rolled_back.as_ref(),
            split: self.split.as_ref(),
            certificates: &self.certificates,
            secrets_refused: self.refused.2,
            owners: Some(&self.owners),
            pools: Some(&self.pools),
            deadlines: Some(&self.deadlines),
            verdict,
        }
    }
}

impl Waits {
    /// A user's own, else the database's, else the general one.
    fn of(&self, database: &str, user: &str) -> Option<Duration> {
        let any = || self.databases.get("*");
        let of_database = self.databases.get(database).or_else(any);
        let found = self.users.get(user).or(of_database);
        found.copied().unwrap_or(self.general)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::sample::Marker;
    use events::snapshot::{PoolRow, SecretFigures};

    fn standing(text: &str) -> Standing {
        let text = format!("[database.app]\nhost = \"h\"\n{text}");
        let files = config::Memory::default().file("p.toml", text);
        let plan = config::load("p.toml".as_ref(), &files).unwrap_or_else(|e| panic!("{e:?}"));
        Standing::of(&plan)
    }

    #[test]
    fn deadlines_are_those_of_the_settings() {
        let mut standing = standing(
            "wait_timeout = \"20s\"\n[[user]]\nname = \"batch\"\nwait_timeout = \"1h\"\n\
             [application.\"etl-*\"]\nwait_timeout = \"off\"\n",
        );
        let row = |user: &str| PoolRow {
            database: "app".into(),
            user: user.into(),
            mode: "session",
            ..PoolRow::default()
        };
        let snapshot = Snapshot {
            pools: vec![row("web"), row("batch")],
            ..Snapshot::default()
        };
        standing.second(&Record::default(), &snapshot, None, 0);
        let facts = standing.facts(None);
        let web = facts.pool("app", "web");
        assert_eq!((web.deadline_ms, web.session), (Some(20_000), true));
        assert!(!facts.patient(&web, "shop"));
        assert!(facts.patient(&web, "etl-orders"));
        assert!(facts.patient(&facts.pool("app", "batch"), "any"));
    }

    #[test]
    fn what_was_refused_before_the_start_is_no_news() {
        let mut standing = standing("");
        let with = |n| Snapshot {
            secrets: SecretFigures {
                refused: vec![("unreadable", n)],
                ..SecretFigures::default()
            },
            ..Snapshot::default()
        };
        let mut record = Record::default();
        standing.second(&record, &with(3), None, 0);
        assert_eq!(standing.facts(None).secrets_refused, 0);
        standing.second(&record, &with(4), None, 1_000);
        assert_eq!(standing.facts(None).secrets_refused, 1);
        record.markers.push(Marker {
            at_ms: 5,
            kind: MarkerKind::RolledBack,
            subject: "".into(),
            text: "version 4: it hurts".into(),
            actor: "".into(),
        });
        standing.second(&record, &with(4), None, REFUSED_MS + 2_000);
        let facts = standing.facts(None);
        assert_eq!(facts.secrets_refused, 0);
        assert_eq!(
            facts.rolled_back.map(|r| r.why.as_str()),
            Some("version 4: it hurts")
        );
    }
}
