//! A data plane of some workers that take a plan one after the other, and the
//! traffic on it: whoever finds a pool too small waits.

use super::world::{Fault, Step, World};
use crate::rng::Rng;
use config::{Class, Plan, PoolSize};
use events::snapshot::{GuardsOff, PoolRow, Snapshot};
use events::{CloseReason, Histogram, RefuseReason, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Checkouts of a pool, a second.
const RATE: u64 = 50;
/// Checkouts that one look folds at most.
const FOLDED_MAX: u64 = 100;

/// What serves.
#[derive(Debug)]
pub(super) struct Plane {
    pub workers: Vec<Arc<Plan>>,
    /// What the whole of it was told last.
    pub plan: Arc<Plan>,
    /// Connections that each pool needs.
    pub needs: BTreeMap<String, u32>,
    /// The one switch.
    pub off: bool,
    totals: BTreeMap<String, PoolRow>,
    refusals: Vec<u64>,
    at: Time,
}

impl Plane {
    /// Begins with a plan that all workers serve.
    pub fn new(rng: &mut Rng, plan: Arc<Plan>, workers: usize, now: Time) -> Plane {
        let needs =
            ["app", "jobs", "reports", "*"].map(|n| (n.to_owned(), rng.range(1, 14) as u32));
        Plane {
            workers: vec![Arc::clone(&plan); workers],
            plan,
            needs: needs.into(),
            off: false,
            totals: BTreeMap::new(),
            refusals: vec![0; RefuseReason::COUNT],
            at: now,
        }
    }

    /// The traffic until now, folded.
    pub fn snapshot(&mut self, now: Time) -> Arc<Snapshot> {
        let span = now.since(self.at);
        self.at = now;
        let count = (span.as_millis() as u64 * RATE / 1000).min(FOLDED_MAX);
        let mut rows = Vec::new();
        let plan = Arc::clone(&self.plan);
        for database in &plan.databases {
            let need = self.needs.get(&database.name).copied().unwrap_or(1);
            let held = plan.effective(database, "u");
            let size = match held.size {
                PoolSize::Fixed(n) => n.min(plan.line),
                PoolSize::Auto => need,
            };
            let row = self.totals.entry(database.name.clone()).or_default();
            row.database.clone_from(&database.name);
            row.user = "u".into();
            let short = need.saturating_sub(size);
            // The queue in front of a pool grows with what it lacks.
            let wait = Duration::from_millis(400 * u64::from(short));
            row.cl_waiting = short * 8;
            row.maxwait_us = wait.as_micros() as u64;
            let refused = held.wait_timeout.is_some_and(|longest| wait > longest);
            for _ in 0..count {
                row.service.record(Duration::from_millis(2));
                row.wait.record(wait);
            }
            if refused && let Some(n) = self.refusals.get_mut(RefuseReason::WaitTimeout as usize) {
                *n += count;
            }
            rows.push(row.clone());
        }
        let mut snapshot = Snapshot {
            at: now,
            pools: rows,
            closes: vec![0; CloseReason::COUNT],
            refusals: self.refusals.clone(),
            ..Snapshot::default()
        };
        snapshot.guards.set = plan.guards;
        snapshot.guards.off = self.off.then(|| GuardsOff {
            since: Time::ZERO,
            until: Time::FAR,
            actor: String::new(),
            reason: String::new(),
        });
        Arc::new(snapshot)
    }

    /// A pool of this plan is smaller than what its clients need.
    pub fn lacks(&self, plan: &Plan) -> bool {
        plan.databases.iter().any(|d| {
            let need = self.needs.get(&d.name).copied().unwrap_or(1);
            matches!(plan.effective(d, "u").size, PoolSize::Fixed(n) if n < need)
        })
    }

    /// Forgets the waits of long ago.
    pub fn calm(&mut self) {
        for row in self.totals.values_mut() {
            (row.wait, row.service) = (Histogram::new(), Histogram::new());
        }
    }
}

/// Why a plan does not serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refuses {
    /// This time, for a certificate that cannot be read.
    Once,
    /// It needs a restart.
    Restart,
}

impl World {
    /// Lets a plan serve, whole, or says why not: as the proxy does it.
    pub fn adopt(&mut self, mut plan: Plan) -> Step<Result<(), Refuses>> {
        config::keep_fixed(&self.plane.plan, &mut plan);
        if self.rng.permille(self.weather.refuses) {
            self.hit("adoptions refused: at random");
            self.check.adopted(false, &self.plane);
            return Ok(Err(Refuses::Once));
        }
        let changes = config::diff(&self.plane.plan, &plan);
        if changes.iter().any(|c| c.class == Class::RestartOnly) {
            self.hit("adoptions refused: restart only");
            self.check.adopted(false, &self.plane);
            return Ok(Err(Refuses::Restart));
        }
        let plan = Arc::new(plan);
        self.plane.plan = Arc::clone(&plan);
        let all = self.plane.workers.len();
        let taken = match self.fault {
            Some(Fault::HalfTheWorkers) => all.div_ceil(2),
            _ => all,
        };
        for worker in 0..taken {
            self.point()?;
            if let Some(at) = self.plane.workers.get_mut(worker) {
                *at = Arc::clone(&plan);
            }
            self.check.took(&plan, worker);
        }
        self.hit("adoptions");
        self.check.adopted(true, &self.plane);
        Ok(Ok(()))
    }
}
