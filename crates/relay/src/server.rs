//! A server connection's session.

use crate::client::NONE;
use crate::directory::{PoolInfo, PoolKey, PoolMode, Stored};
use crate::expect::Expected;
use crate::outbox::ServerName;
use crate::params::ParamSet;
use crate::server_login::ServerLogin;
use crate::statements::{Prepared, Statement};
use crate::trail::Trail;
use events::snapshot::Address;
use events::{ConnId, Time};
use std::net::IpAddr;
use std::sync::Arc;
use wire::back::Status;

/// What a server connection is doing.
#[derive(Debug)]
pub(crate) enum ServerPhase {
    /// Connecting and logging in.
    Login(Box<ServerLogin>),
    /// In the pool.
    Idle,
    /// Lent to the client in `link`.
    Lent,
    /// The pooler's own monitor session has it.
    Monitor,
    /// Nobody's: what the last client left is being taken back, until the deadline.
    Cleaning(Cleaning),
}

/// Taking back what a client left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cleaning {
    pub(crate) deadline: Time,
    /// A reset of the whole session is due after the rollback.
    pub(crate) reset: bool,
    /// A cancel request was sent because a statement was still running.
    pub(crate) cancelled: bool,
}

/// A server connection's session.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) generation: u32,
    pub(crate) conn: ConnId,
    pub(crate) pool: Arc<PoolInfo>,
    pub(crate) phase: ServerPhase,
    /// Slot of the client that holds it, or [`NONE`].
    pub(crate) link: u32,
    pub(crate) status: Status,
    pub(crate) expected: Expected,
    /// Messages were sent that only a Sync will conclude.
    pub(crate) unsynced: bool,
    /// It takes COPY data; Sync is ignored by the server meanwhile.
    pub(crate) copy_in: bool,
    /// The client's message is only half sent.
    pub(crate) half_sent: bool,
    /// Number of the batch being sent.
    pub(crate) batch: u64,
    /// A frame that is not whole yet.
    pub(crate) held: Vec<u8>,
    /// Bytes of the current message still to be passed on.
    pub(crate) stream_left: usize,
    /// They are dropped instead.
    pub(crate) stream_drop: bool,
    /// Bytes that the shell could not write yet.
    pub(crate) backlog: usize,
    /// The shell was told not to read.
    pub(crate) paused: bool,
    /// Parameters set beyond its login.
    pub(crate) params: Arc<ParamSet>,
    /// Parameters that it reported at login.
    pub(crate) greeting: Arc<ParamSet>,
    pub(crate) prepared: Prepared,
    /// The statement that is the unnamed one there, where known.
    pub(crate) unnamed: Option<Arc<Statement>>,
    /// Session state may be there that only a reset ends.
    pub(crate) dirty: bool,
    /// Its parameters are not known for sure; only a reset ends that.
    pub(crate) unsure: bool,
    /// The parameters that the pooler's own statement is about to set.
    pub(crate) coming: Option<Arc<ParamSet>>,
    /// What its client sent last.
    pub(crate) trail: Trail,
    /// The client that holds it has used it in this lease.
    pub(crate) used: bool,
    /// Cancel requests for it that have not ended.
    pub(crate) cancels: u32,
    pub(crate) pid: i32,
    pub(crate) cancel_key: Box<[u8]>,
    /// The text of an error of the pooler's own statement.
    pub(crate) own_error: Option<Box<str>>,
    /// Rows of the pooler's own query, where they are wanted.
    pub(crate) capture: Option<Capture>,
    /// Close at return, for this reason.
    pub(crate) doomed: Option<events::CloseReason>,
    pub(crate) addr: Box<(Address, Address)>,
    pub(crate) tls: Box<str>,
    pub(crate) opened_at: Time,
    /// Number of the lease, on this worker; from 1.
    pub(crate) lease: u64,
    /// When it was lent.
    pub(crate) lent_at: Time,
    /// Where the application is counted that holds it, or held it last.
    pub(crate) holds: u16,
    /// What that was called, where it was counted on another worker.
    pub(crate) holder: Option<Arc<str>>,
    /// When bytes last came from it.
    pub(crate) used_at: Time,
    pub(crate) query_at: Time,
    pub(crate) xact_at: Time,
    pub(crate) id: u64,
}

/// The first rows of a query of the pooler's own: one of an `auth_query`.
pub(crate) struct Capture {
    rows: Vec<Row>,
    max: usize,
}

/// The values of a row.
pub(crate) type Row = Vec<Option<Box<[u8]>>>;

impl Default for Capture {
    fn default() -> Self {
        Capture::rows(1)
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Capture(…)")
    }
}

impl Capture {
    /// Of so many rows.
    pub(crate) fn rows(max: usize) -> Capture {
        Capture {
            rows: Vec::new(),
            max,
        }
    }

    /// Takes a DataRow, if it is one of the first.
    pub(crate) fn take(&mut self, body: &[u8]) {
        if self.rows.len() < self.max
            && let Ok(values) = wire::back::data_row_values(body)
        {
            let row = values.into_iter().map(|v| v.map(Into::into)).collect();
            self.rows.push(row);
        }
    }

    /// The first row, if one came.
    pub(crate) fn first(self) -> Option<Row> {
        self.rows.into_iter().next()
    }

    /// The rows that came.
    pub(crate) fn all(&self) -> &[Row] {
        &self.rows
    }

    /// The secret in (name, secret), if the name is the one asked for.
    pub(crate) fn secret(&self, user: &str) -> Option<Stored> {
        let row = self.rows.first()?;
        let [Some(name), secret, ..] = row.as_slice() else {
            return None;
        };
        if **name != *user.as_bytes() {
            return None;
        }
        let secret = secret.as_ref().and_then(|s| std::str::from_utf8(s).ok());
        Some(Stored(secret.map(Into::into)))
    }
}

/// A server connection on its way to another worker.
#[derive(Debug)]
pub struct Transfer(pub(crate) Box<Server>);

impl Transfer {
    /// Its id in the pool.
    pub fn conn(&self) -> ConnId {
        self.0.conn
    }

    /// Its pool.
    pub fn pool(&self) -> PoolKey {
        self.0.pool.key
    }
}

impl Server {
    /// How logs call it.
    pub(crate) fn name(&self) -> ServerName {
        ServerName {
            id: self.id,
            since: self.opened_at,
        }
    }

    /// Nothing is owed, unsent or unread: it may change hands.
    pub(crate) fn at_rest(&self) -> bool {
        self.status == Status::Idle
            && self.expected.is_empty()
            && !self.expected.is_skipping()
            && !self.unsynced
            && !self.half_sent
            && self.stream_left == 0
            && self.held.is_empty()
            && self.backlog == 0
    }

    /// A Query ends the batch before it. Without a Sync between them the server of PostgreSQL 18 fails the first statement
    /// after the next Sync, though it says that it is idle: that must not be another client's.
    pub(crate) fn end_batch_unsynced(&mut self) {
        if std::mem::take(&mut self.unsynced) {
            self.doomed
                .get_or_insert(events::CloseReason::ClientProtocol);
        }
    }

    /// A statement of the pooler's may run before the client's next: the last
    /// ones are answered, and it would not be refused with the transaction.
    pub(crate) fn between_statements(&self) -> bool {
        self.status != Status::Failed
            && self.expected.is_empty()
            && !self.unsynced
            && !self.expected.is_skipping()
    }

    /// The client that holds it would lose something with it: an open
    /// transaction, or its session.
    pub(crate) fn in_use(&self) -> bool {
        self.status != Status::Idle || self.pool.mode == PoolMode::Session && self.used
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.link != NONE
    }

    /// The address that it leads to; `None`: a unix socket.
    pub(crate) fn place(&self) -> Option<IpAddr> {
        match &self.addr.0 {
            Address::Tcp(address) => Some(address.ip().to_canonical()),
            Address::Unix => None,
        }
    }

    /// It leads over loopback, a unix socket, or to an address of this machine.
    pub(crate) fn is_near(&self) -> bool {
        match &*self.addr {
            (Address::Tcp(there), Address::Tcp(here)) => {
                there.ip().to_canonical().is_loopback() || there.ip() == here.ip()
            }
            _ => true,
        }
    }
}
