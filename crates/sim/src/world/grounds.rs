//! Why a client may be told that its session or its request is over.

use super::World;
use crate::scenario::Scenario;
use std::time::Duration;

/// The shortest limits that were ever in force, µs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Least {
    pub(crate) query: Option<u64>,
    pub(crate) transaction: Option<u64>,
    pub(crate) idle_transaction: Option<u64>,
    pub(crate) idle: Option<u64>,
}

impl Least {
    pub(crate) fn lower(&mut self, s: &Scenario) {
        let pairs = [
            (&mut self.query, s.query_timeout),
            (&mut self.transaction, s.limits.transaction),
            (&mut self.idle_transaction, s.limits.idle_transaction),
            (&mut self.idle, s.limits.idle),
        ];
        for (place, limit) in pairs {
            let limit = limit.map(|l: Duration| l.as_micros() as u64);
            *place = match (*place, limit) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
}

/// What may be said to a client now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grounds {
    pub(crate) now: u64,
    pub(crate) least: Least,
    /// A pool, or the client itself, was killed.
    pub(crate) killed: bool,
    /// A panic was contained in its pool.
    pub(crate) panicked: bool,
    /// Requests sent before this may be refused: the database is disabled or gone.
    pub(crate) closed_until: u64,
    pub(crate) drained: bool,
    pub(crate) wait_timeout: u64,
}

impl World {
    /// Tells a client what it may hear, before it reads.
    pub(super) fn give_grounds(&mut self, client: u32) {
        let c = &mut self.clients[client as usize];
        let record = super::shop::index_of(&c.database)
            .and_then(|db| self.records.get(db).copied())
            .unwrap_or_default();
        let since = |at: Option<u64>| at.is_some_and(|at| at + 1_000_000 >= c.connected_at);
        let killed = c.killed || since(record.killed);
        let closed_until = match c.retired {
            true => u64::MAX,
            false if since(record.killed) => u64::MAX,
            false => record.closed_until,
        };
        c.grounds = Grounds {
            now: self.now,
            least: self.least,
            killed,
            panicked: c.killed || since(record.panicked),
            closed_until,
            drained: self.drained,
            wait_timeout: self.s.wait_timeout.as_micros() as u64,
        };
    }
}
