//! What the rules are told beside samples: settings, and facts of elsewhere.

use super::{AlertName, Owner};
use crate::{Subject, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Clients that may wait for longer than this are batches: a queue of minutes
/// is how they are meant to run.
const PATIENT_MS: u64 = 5 * 60_000;

/// When alerts begin and end. Slow windows are counted in minutes of
/// `minute_ms`, so that a test may let an hour pass in a minute.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// Off: nothing is looked at.
    pub enabled: bool,
    /// Alerts that nobody wants.
    pub silenced: BTreeSet<AlertName>,
    /// Waits longer than this are beyond the objective; must be what the samples counted by.
    pub wait_objective_ms: u64,
    /// The share of waits that is to stay within it.
    pub wait_target: f64,
    /// How long a minute of the slow windows is, milliseconds.
    pub minute_ms: i64,
    /// After the first sample nothing fires for so long.
    pub grace_ms: i64,
    /// Where the playbook stands; the section is added.
    pub runbook_base: String,
}

impl Default for AlertSettings {
    fn default() -> AlertSettings {
        AlertSettings {
            enabled: true,
            silenced: BTreeSet::new(),
            wait_objective_ms: 100,
            wait_target: 0.999,
            minute_ms: 60_000,
            grace_ms: 30_000,
            runbook_base: String::from("docs/playbook.md"),
        }
    }
}

/// What samples do not hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Since when the settings file says what does not serve.
    pub drift_since_ms: Option<i64>,
    /// The last change of settings that was taken back.
    pub rolled_back: Option<&'a RolledBack>,
    /// Other instances serve other settings now.
    pub split: Option<&'a SettingsSplit>,
    /// Certificates in service.
    pub certificates: &'a [CertificateFact],
    /// Secrets and certificates that could not be taken into service within the last hour.
    pub secrets_refused: u64,
    /// Who looks after an application or a database, by its name; `*` for all others.
    pub owners: Option<&'a BTreeMap<String, Owner>>,
    /// What the settings say of pools, by database and user; `("", "")` for all others.
    pub pools: Option<&'a BTreeMap<(String, String), PoolFacts>>,
    /// How long clients of an application may wait, milliseconds, where its settings say so.
    /// A `*` at the end of a name stands for the rest.
    pub deadlines: Option<&'a BTreeMap<String, u64>>,
    /// The newest diagnosis.
    pub verdict: Option<&'a Verdict>,
}

/// What the settings say of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFacts {
    /// How long a client may wait, milliseconds; `None`: for ever.
    pub deadline_ms: Option<u64>,
    /// An automatic size may grow up to here.
    pub ceiling: Option<u32>,
    /// Connections are lent for whole sessions.
    pub session: bool,
}

impl Default for PoolFacts {
    fn default() -> PoolFacts {
        PoolFacts {
            deadline_ms: Some(30_000),
            ceiling: None,
            session: false,
        }
    }
}

/// A change that did not stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// When, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// The version that was taken back; 0 where not known.
    pub version: u64,
    /// Why, in words.
    pub why: String,
}

/// Instances of a fleet that serve different settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsSplit {
    /// This instance.
    pub here: String,
    /// Those that serve others than this one.
    pub others: Vec<String>,
    /// How many different settings serve.
    pub versions: u32,
    /// How many instances serve them, this one included.
    pub instances: u32,
}

/// A certificate in service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFact {
    /// "client" or "server": towards whom it is used.
    pub side: String,
    /// "own" or "authority".
    pub role: String,
    /// The file.
    pub file: String,
    /// When it ends, UTC, milliseconds since 1970.
    pub expires_ms: i64,
}

impl Facts<'_> {
    /// What the settings say of this pool.
    pub fn pool(&self, database: &str, user: &str) -> PoolFacts {
        let Some(pools) = self.pools else {
            return PoolFacts::default();
        };
        let key = (database.to_owned(), user.to_owned());
        let general = || pools.get(&(String::new(), String::new()));
        pools
            .get(&key)
            .or_else(general)
            .copied()
            .unwrap_or_default()
    }

    /// How long this application may wait in this pool; `None`: for ever.
    pub fn deadline_ms(&self, pool: &PoolFacts, application: &str) -> Option<u64> {
        let own = self.deadlines.and_then(|all| {
            let starts = |(name, _): &(&String, &u64)| {
                name.strip_suffix('*')
                    .is_some_and(|start| application.starts_with(start))
            };
            let exact = all.get(application);
            exact.or_else(|| all.iter().filter(starts).map(|(_, ms)| ms).next_back())
        });
        own.copied().or(pool.deadline_ms)
    }

    /// It is a batch: it may wait for minutes and is well.
    pub fn patient(&self, pool: &PoolFacts, application: &str) -> bool {
        self.deadline_ms(pool, application)
            .is_none_or(|ms| ms > PATIENT_MS)
    }

    /// Who looks after this.
    pub fn owner(&self, subject: &Subject) -> Option<Owner> {
        let owners = self.owners?;
        [&subject.application, &subject.database, &String::from("*")]
            .into_iter()
            .filter(|name| !name.is_empty())
            .find_map(|name| owners.get(name.as_str()).cloned())
    }
}
