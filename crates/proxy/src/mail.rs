//! What threads tell each other.

use crate::Leave;
use crate::address::Remote;
use crate::admin::Stillness;
use crate::letters::Letters;
use crate::socket::{Conn, Stream};
use crate::tcp::Seen;
use events::snapshot::{Address, ClientRow, ServerRow, WorkerRow};
use events::{
    Acted, ApplicationRow, ClientAct, ClientId, ConnId, LeaseRow, LeaseStatement, SourceRow,
    UpstreamId, WaitExemplar,
};
use pool::Action;
use relay::stats::{PoolStats, WorkerStats};
use relay::{Directory, Peer, PoolKey, Transfer, Watched};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::mpsc::Sender;
use wire::scram;

/// A message to a worker.
pub(crate) enum Mail {
    /// A new client.
    Client {
        stream: Stream,
        addr: Address,
        local_addr: Address,
        /// It is beyond max_client_conn.
        over: bool,
    },
    /// The pool wants something of this worker.
    Pool(UpstreamId, Action),
    /// A server connection, for a client here.
    Arrival(Box<Arrival>),
    /// Keys were derived.
    Derived {
        peer: Peer,
        generation: u32,
        keys: scram::Keys,
    },
    /// A host name was looked up.
    Resolved {
        ticket: u64,
        result: Result<Vec<Remote>, String>,
    },
    /// A cancel request for a client here.
    Cancel {
        requester: ClientId,
        pid: i32,
        key: Box<[u8]>,
        forwarded: bool,
    },
    /// A cancel request that came in here was carried out.
    CancelDone { requester: ClientId },
    /// DDL was seen.
    Ddl(PoolKey),
    /// A console statement's answer.
    Console { client: ClientId, reply: Vec<u8> },
    /// New settings.
    Settings(
        Arc<Directory>,
        crate::registry::Reconfigured,
        Option<crate::secrets::ClientTls>,
    ),
    /// A server refused a login, and its secret was read again.
    Judged {
        slot: u32,
        conn: ConnId,
        verdict: crate::secrets::Verdict,
    },
    /// Report figures.
    Report { detail: bool, to: Sender<Report> },
    /// A person does something to one client; who has it answers.
    Act {
        client: u64,
        act: ClientAct,
        to: Sender<Acted>,
    },
    /// The last statements of these clients' leases; the ids are sorted.
    Statements {
        clients: Arc<[u64]>,
        to: Sender<Vec<LeaseStatement>>,
    },
    /// Close clients of these console ids, or of a pool.
    Kill(Target),
    /// A second hold on each listening socket.
    Lend(Sender<std::io::Result<std::os::fd::OwnedFd>>),
    /// Another process accepts clients from now on. Answered when none can follow.
    Retire(Sender<()>),
    /// Read nobody but consoles, and accept nobody.
    Suspend,
    /// The end of that.
    GoOn,
    /// How far a suspension is; with `force`, connections that hold it up are closed.
    Stillness { force: bool, to: Sender<Stillness> },
    /// Finish transactions, then close.
    Drain,
    /// Close everything and end.
    Stop,
    /// Accept no further client but in the console; those that are here are served on, or sent home as they come to
    /// rest.
    Deafen(Leave),
}

/// Which clients are killed.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// One client, by its console id.
    Client(u64),
    /// All of a pool.
    Pool(PoolKey),
    /// All of a pool, after a panic on another worker.
    Failed(PoolKey),
}

/// A server connection between two workers.
pub(crate) struct Arrival {
    pub(crate) transfer: Transfer,
    pub(crate) conn: Conn,
    pub(crate) to: ClientId,
}

/// Figures of one worker.
pub(crate) struct Report {
    pub(crate) worker: u16,
    pub(crate) row: WorkerRow,
    pub(crate) stats: WorkerStats,
    pub(crate) pools: Vec<(PoolKey, PoolStats)>,
    pub(crate) counts: Vec<(PoolKey, relay::rows::PoolCounts)>,
    pub(crate) clients: Vec<ClientRow>,
    pub(crate) servers: Vec<ServerRow>,
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) measured: Measured,
}

/// What one worker measured of who asks and who answers.
pub(crate) struct Measured {
    pub(crate) applications: Vec<ApplicationRow>,
    pub(crate) sources: Vec<SourceRow>,
    pub(crate) waits: Vec<WaitExemplar>,
    /// By the pools of monitor sessions.
    pub(crate) watched: Vec<(PoolKey, Watched)>,
    /// Processes at the other ends of our connections.
    pub(crate) pids: Vec<(PoolKey, u32)>,
    pub(crate) clients_tcp: Seen,
    pub(crate) servers_tcp: BTreeMap<UpstreamId, Seen>,
}

/// A worker's letter box. Any thread may post; the worker empties it at each turn.
pub(crate) struct Mailbox {
    letters: Letters<Mail>,
    waker: mio::Waker,
    /// Clients that the worker serves, for the acceptor.
    pub(crate) clients: AtomicU32,
    /// Connections that the worker has closed and that still take their last bytes.
    pub(crate) lingering: AtomicU32,
    /// Turns of the loop, for `/livez`.
    pub(crate) turns: AtomicU64,
}

impl Mailbox {
    pub(crate) fn new(waker: mio::Waker) -> Mailbox {
        Mailbox {
            letters: Letters::new(),
            waker,
            clients: AtomicU32::new(0),
            lingering: AtomicU32::new(0),
            turns: AtomicU64::new(0),
        }
    }

    pub(crate) fn post(&self, mail: Mail) {
        // A failed wake-up is made up for by the worker's next tick.
        self.letters.post(mail, || drop(self.waker.wake()));
    }

    /// Takes all letters. A letter posted after this wakes the worker again.
    pub(crate) fn collect(&self, into: &mut Vec<Mail>) {
        self.letters.collect(into);
    }

    /// The worker ends, and nobody must wait for an answer of its.
    pub(crate) fn close(&self) {
        self.letters.close();
    }
}
