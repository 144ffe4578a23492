//! Counters of one worker. Plain memory: no lock, no atomic.

use crate::health::Health;
use events::snapshot::Totals;
use events::{CloseReason, Histogram, RefuseReason};

/// What a worker counts for one pool.
#[derive(Clone, Debug, Default)]
pub struct PoolStats {
    /// Monotonic counters.
    pub totals: Totals,
    /// Time from a query to its ReadyForQuery.
    pub service: Histogram,
    /// Queries that ended in vain: cancelled, timed out, lost to others.
    pub in_vain: u64,
    /// Texts too long to be read for their effects on the session.
    pub unread: u64,
    /// Requests refused, at once or after a wait.
    pub refused: u64,
    /// How its server treats us.
    pub health: Health,
}

/// What a worker counts apart from pools.
#[derive(Clone, Debug)]
pub struct WorkerStats {
    /// Closed connections, in the order of [`CloseReason::ALL`].
    pub closes: [u64; CloseReason::COUNT],
    /// Refusals, in the order of [`RefuseReason::ALL`].
    pub refusals: [u64; RefuseReason::COUNT],
    /// Client connections accepted.
    pub accepts: u64,
    /// Client logins that succeeded.
    pub logins: u64,
    /// Cancel requests received.
    pub cancels: u64,
    /// Server connections sent to another worker.
    pub handovers: u64,
}

impl Default for WorkerStats {
    fn default() -> Self {
        WorkerStats {
            closes: [0; CloseReason::COUNT],
            refusals: [0; RefuseReason::COUNT],
            accepts: 0,
            logins: 0,
            cancels: 0,
            handovers: 0,
        }
    }
}
