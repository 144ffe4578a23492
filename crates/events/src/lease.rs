//! Who holds server connections: rows, and what they are suspected of.
//!
//! Statements stand here without literals, application names as clients gave them.

use crate::snapshot::Address;
use crate::{ConnId, ExemptReason, ReclaimReason, Time};
use std::sync::Arc;
use std::time::Duration;

/// One lease: a client holds a server connection.
#[derive(Clone, Debug)]
pub struct LeaseRow {
    /// The client: [`ClientRow::id`](crate::snapshot::ClientRow::id).
    pub client: u64,
    /// The server connection: [`ServerRow::id`](crate::snapshot::ServerRow::id).
    pub server: u64,
    /// Index of its pool in [`Snapshot::pools`](crate::snapshot::Snapshot::pools).
    pub pool: u32,
    /// The connection's name in the pool.
    pub conn: ConnId,
    /// The server process.
    pub remote_pid: u32,
    /// Where the client is.
    pub addr: Address,
    /// User name given at login.
    pub user: String,
    /// Database name given at login.
    pub database: String,
    /// application_name, else the application of the statement's tags.
    pub application: String,
    /// The same without what differs between processes of one application.
    pub kind: Arc<str>,
    /// Its version, where a tag or the name tells one.
    pub release: String,
    /// Since when it holds the connection.
    pub since: Time,
    /// What the transaction does.
    pub state: LeaseState,
    /// Since when the server waits for the client, inside a transaction.
    pub silent_since: Option<Time>,
    /// The last statement without literals, or its fingerprint, or nothing, as
    /// the settings say; also empty where nobody asked.
    pub statement: String,
    /// The last statement's tags, `key=value` and commas.
    pub tags: String,
    /// What keeps it from being taken back by default.
    pub exempt: Option<ExemptReason>,
    /// What it is suspected of.
    pub suspicion: Option<Suspicion>,
}

/// What the transaction of a lease does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LeaseState {
    /// The server works for the client, or the client sends.
    Active,
    /// The server waits for the client in a transaction.
    Idle,
    /// The same, in a transaction that has failed.
    Failed,
    /// The server waits for the rest of a batch.
    Batch,
    /// COPY data goes one way or the other.
    Copy,
    /// No transaction: session state or the pool's mode keeps the connection.
    Kept,
    /// The pooler's own statements run first.
    Preparing,
}

impl LeaseState {
    /// The words in the console.
    pub const fn label(self) -> &'static str {
        match self {
            LeaseState::Active => "active",
            LeaseState::Idle => "idle in transaction",
            LeaseState::Failed => "idle in transaction (aborted)",
            LeaseState::Batch => "batch not ended",
            LeaseState::Copy => "copy",
            LeaseState::Kept => "kept",
            LeaseState::Preparing => "preparing",
        }
    }
}

/// A lease that looks forgotten, and how sure that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suspicion {
    /// Alone, or as one of several of a kind.
    pub reason: ReclaimReason,
    /// How sure, in percent.
    pub sure: u8,
    /// Leases of its application and statement that are silent beyond the bound.
    pub leases: u32,
    /// The silence that its kind is known for, or what is taken for it.
    pub bound: Duration,
    /// The bound was learned.
    pub learned: bool,
    /// It began with a release, or with the first lease of a new version.
    pub with_release: bool,
}

/// What was done about leaks in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeakFigures {
    /// Silent leases that may be taken back by the rules.
    pub silent: u32,
    /// Those of them that are suspected.
    pub suspects: u32,
    /// Suspected leases whose clients spoke again or left.
    pub retracted: u64,
    /// Leases taken back, in the order of [`ReclaimReason::ALL`].
    pub reclaimed: [u64; ReclaimReason::COUNT],
    /// Leases that would have been, had the guard not only watched.
    pub observed: [u64; ReclaimReason::COUNT],
    /// Both, by application; the last may be `other`.
    pub applications: Vec<(Arc<str>, u64, u64)>,
}

impl LeakFigures {
    /// Adds another pool's figures, without those by application.
    pub fn add(&mut self, other: &LeakFigures) {
        self.silent += other.silent;
        self.suspects += other.suspects;
        self.retracted += other.retracted;
        for (sum, n) in self.reclaimed.iter_mut().zip(other.reclaimed) {
            *sum += n;
        }
        for (sum, n) in self.observed.iter_mut().zip(other.observed) {
            *sum += n;
        }
    }
}
