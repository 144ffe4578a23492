//! Figures and rows: what a snapshot reads.

use crate::budget::Parts;
use events::{
    ClientId, CloseReason, ConnId, FlowId, GuardCounts, PoolId, RefuseReason, Time, WorkerId,
};
use std::time::Duration;

/// Figures of one pool at one moment.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct PoolFigures {
    /// Most connections, without the reserve.
    pub size: u32,
    /// Connections that are being opened.
    pub opening: u32,
    /// Idle connections.
    pub idle: u32,
    /// Lent connections.
    pub lent: u32,
    /// Connections on their way to another worker.
    pub moving: u32,
    /// Connections being closed, still charged.
    pub closing: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Paused by an administrator: clients queue.
    pub paused: bool,
    /// Disabled by an administrator, or retired: clients are refused.
    pub disabled: bool,
    /// The last attempt to open a connection failed.
    pub failing: bool,
    /// Connections lent since the start.
    pub grants: u64,
    /// Those of them that came from another worker.
    pub handovers: u64,
}

/// Monotonic counters of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Connections decided to be opened.
    pub opens: u64,
    /// Opens that failed.
    pub open_failures: u64,
    /// Of these, the ones for which the server had no slot.
    pub full: u64,
    /// Connections that ended or began to.
    pub losses: u64,
    /// Connections closed for another pool's sake.
    pub evictions: u64,
    /// Times that a waiter was passed by a younger one of the connection's worker.
    pub passes: u64,
    /// Grants to a flow only because it had got nothing for too long.
    pub overdue: u64,
    /// Times that the server was found to have moved.
    pub moves: u64,
    /// Refusals, in the order of [`RefuseReason::ALL`].
    pub refusals: [u64; RefuseReason::COUNT],
    /// What the guards did.
    pub guards: GuardCounts,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            opens: 0,
            open_failures: 0,
            full: 0,
            losses: 0,
            evictions: 0,
            passes: 0,
            overdue: 0,
            moves: 0,
            refusals: [0; RefuseReason::COUNT],
            guards: GuardCounts::default(),
        }
    }
}

/// How well the line is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BudgetState {
    /// Without a monitor session, or without its first reading: the stated line holds.
    Unknown,
    /// The first reading is awaited.
    Asking,
    /// The last reading is fresh.
    Known,
    /// The last reading is old; its line holds and does not grow.
    Stale,
    /// Below the line: the server had no slot, or more is open than the line allows.
    Shrunk,
    /// Without clients: the monitor session is closed.
    Resting,
}

impl BudgetState {
    /// The word in log, metric and console.
    pub const fn label(self) -> &'static str {
        match self {
            BudgetState::Unknown => "unknown",
            BudgetState::Asking => "asking",
            BudgetState::Known => "known",
            BudgetState::Stale => "stale",
            BudgetState::Shrunk => "shrunk",
            BudgetState::Resting => "resting",
        }
    }
}

/// The line of one server, with what it is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BudgetFigures {
    /// How well it is known.
    pub state: BudgetState,
    /// A monitor session is to read it.
    pub monitored: bool,
    /// Most connections that this instance may open now, beside its monitor session.
    pub line: u32,
    /// Connections charged to it, in any state, without the monitor's.
    pub charged: u32,
    /// Of these, being opened.
    pub opening: u32,
    /// Of these, being closed.
    pub closing: u32,
    /// The stated line.
    pub stated: u32,
    /// The parts of the last reading; all zero before the first.
    pub parts: Parts,
    /// This instance's share.
    pub claim: u32,
    /// Its share as its peers see it.
    pub published: u32,
    /// What it lacks beyond its share.
    pub wants: u32,
    /// Other instances of the fleet.
    pub peers: u32,
    /// Their shares.
    pub peers_claim: u32,
    /// Connections that they hold.
    pub peers_held: u32,
    /// What they lack.
    pub peers_want: u32,
    /// The claim comes from a ledger.
    pub by_ledger: bool,
    /// Sessions of the fleet that share the line otherwise: all of it must use one way.
    pub strangers: u32,
    /// When the last reading was asked for.
    pub read_at: Option<Time>,
    /// Connections for which the server had no slot.
    pub full: u64,
    /// Connections closed for another pool's sake.
    pub evictions: u64,
    /// The most that the settings of one pool ask for.
    pub largest_pool: u32,
    /// The sum of the pools' minimums.
    pub minimums: u32,
}

/// The states of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnState {
    /// Being opened.
    Opening,
    /// Ready and lent to nobody.
    Idle,
    /// Lent to a client.
    Lent,
    /// On its way to another worker.
    Moving,
    /// Being closed: its end of file is awaited.
    Closing,
}

/// Who holds a lent connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The client.
    pub client: ClientId,
    /// Its flow.
    pub flow: FlowId,
    /// Since when.
    pub since: Time,
}

/// One server connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnRow {
    /// Its name.
    pub conn: ConnId,
    /// Its pool.
    pub pool: PoolId,
    /// Where it lives.
    pub worker: WorkerId,
    /// Where that worker keeps it; meaningless while it opens or moves.
    pub slot: u32,
    /// What it does.
    pub state: ConnState,
    /// When it was opened (decided to be opened, while it opens).
    pub opened_at: Time,
    /// Since when it is in this state.
    pub since: Time,
    /// It is closed, for this reason, once it is returned.
    pub close_needed: Option<CloseReason>,
    /// Who holds it.
    pub lease: Option<Lease>,
}

/// One waiting client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaiterRow {
    /// The client.
    pub client: ClientId,
    /// Its flow.
    pub flow: FlowId,
    /// Since when it waits.
    pub since: Time,
    /// The connection that is on its way to it.
    pub reserved: Option<ConnId>,
}

/// How full a pool is, for the words of a refusal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plight {
    /// Most connections of the pool.
    pub size: u32,
    /// Connections lent, or on their way to a client.
    pub in_use: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// The longest wait of the client's flow; `None` waits for ever.
    pub deadline: Option<Duration>,
    /// The wait for which a client of the flow was last refused at once.
    pub predicted: Duration,
    /// The flows that hold most, by their keys, where they are asked for.
    pub holders: Vec<(Box<str>, u32)>,
}

/// A server to which no connection can be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// The first of the failures in a row.
    pub since: Time,
    /// The last one.
    pub last: Time,
    /// The server can be reached, and refuses the login.
    pub login: bool,
    /// With this SQLSTATE.
    pub code: Option<[u8; 5]>,
}
