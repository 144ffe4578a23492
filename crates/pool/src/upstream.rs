//! The interface of the pool.
#![allow(missing_docs, unused_variables, dead_code)]
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, RefuseReason, Time, WorkerId};
use std::sync::Arc;
use std::time::Duration;

/// Settings of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Most server connections, ≥ 1. There is no "unlimited".
    pub size: u32,
    /// Connections kept open even when idle.
    pub min: u32,
    /// Further connections allowed once a client waited `reserve_after`.
    pub reserve: u32,
    pub reserve_after: Duration,
    /// Longest wait for a connection.
    pub wait_timeout: Option<Duration>,
    /// Most clients in the queue.
    pub queue_max: u32,
    /// Idle server connections are closed after this.
    pub idle_timeout: Option<Duration>,
    /// Server connections are closed, once returned, after this age.
    pub lifetime: Option<Duration>,
}

/// Settings of the database server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The line: most server connections open at once, over all pools and workers.
    pub line: u32,
    /// Connections being opened at the same time, at most.
    pub connects_max: u32,
    /// Pause between a failed connect and the next try (PgBouncer's server_login_retry).
    pub login_retry: Duration,
}

/// Answer to [`Upstream::checkout`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkout {
    /// Lent at once: a connection of the client's own worker. `slot` is where that worker keeps it.
    Granted { conn: ConnId, slot: u32 },
    /// The client waits; a [`Action::Grant`], [`Action::Arrive`] or [`Action::Refuse`] follows.
    Queued,
    /// Refused at once.
    Refused(RefuseReason),
}

/// What the workers must do. Each names the worker that does it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// `client` (of that worker) now holds `conn`, which lives at `slot` of the same worker.
    Grant { worker: WorkerId, client: ClientId, conn: ConnId, slot: u32, waited: Duration },
    /// Take `conn` out of `slot` and send it to `to.worker`, which calls [`Upstream::arrived`].
    /// When it is found dead instead: [`Upstream::closing`] / [`Upstream::closed`]; its waiter then
    /// goes back to the head of the queue.
    Handover { worker: WorkerId, conn: ConnId, slot: u32, to: ClientId },
    /// Open a server connection for `pool` on `worker`; answer with `opened` or `open_failed`.
    Open { worker: WorkerId, conn: ConnId, pool: PoolId },
    /// Close an idle connection; answer with `closed` at its end of file.
    Close { worker: WorkerId, conn: ConnId, slot: u32, reason: CloseReason },
    /// Tell a waiting client no. `text` is the server's own message for ServerDown.
    Refuse { worker: WorkerId, client: ClientId, reason: RefuseReason, waited: Duration, text: Option<Arc<str>> },
}

/// Figures of one pool at one moment.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct PoolFigures {
    pub size: u32,
    pub opening: u32,
    pub idle: u32,
    pub lent: u32,
    pub moving: u32,
    pub closing: u32,
    pub waiting: u32,
    pub oldest_wait: Duration,
    pub paused: bool,
    pub disabled: bool,
}

// The impl below shows signatures only.
