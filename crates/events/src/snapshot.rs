//! What the data plane publishes: figures and rows, folded by metrics,
//! console, page and diagnosis. A snapshot is a value; it holds no secret and
//! no statement literal.

mod unknown;

pub use unknown::{CROWDED, VIEW_ROWS_MAX};

use crate::sizing::{AdviceRow, SizingRow};
use crate::traffic::{ApplicationRow, SourceRow, TcpRow, UpstreamRow, WaitExemplar};
use crate::{
    CloseReason, Guard, GuardCounts, GuardMode, Guards, Histogram, LeakFigures, LeaseRow,
    RefuseReason, Time,
};
use std::net::{IpAddr, SocketAddr};

/// The whole data plane at one moment: the sum of all workers.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counted up at each publication; every figure derived names it.
    pub version: u64,
    /// Monotonic time of the fold.
    pub at: Time,
    /// One row per pool.
    pub pools: Vec<PoolRow>,
    /// One row per database server.
    pub budgets: Vec<BudgetRow>,
    /// One row per client connection; empty unless asked for.
    pub clients: Vec<ClientRow>,
    /// One row per server connection; empty unless asked for.
    pub servers: Vec<ServerRow>,
    /// One row per lent connection, the oldest lease first; without statements
    /// unless asked for.
    pub leases: Vec<LeaseRow>,
    /// One row per worker.
    pub workers: Vec<WorkerRow>,
    /// Closed connections by reason, in the order of [`CloseReason::ALL`].
    pub closes: Vec<u64>,
    /// Refused requests by reason, in the order of [`RefuseReason::ALL`].
    pub refusals: Vec<u64>,
    /// Client logins that succeeded.
    pub logins: u64,
    /// Client connections accepted.
    pub accepts: u64,
    /// Cancel requests received.
    pub cancels: u64,
    /// What Plimsoll may do by itself.
    pub guards: GuardsRow,
    /// A person captures statements with their values.
    pub tapped: bool,
    /// Secrets and certificates, which are not settings.
    pub secrets: SecretFigures,
    /// What applications do, those with the most arrivals and clients first; the
    /// others are the last row.
    pub applications: Vec<ApplicationRow>,
    /// What comes from which address, those with the most connections first; the
    /// others are the last row.
    pub sources: Vec<SourceRow>,
    /// One row per database server.
    pub upstreams: Vec<UpstreamRow>,
    /// TCP towards clients.
    pub clients_tcp: TcpRow,
    /// The worst waits of the last ten seconds, the longest first.
    pub waits: Vec<WaitExemplar>,
}

impl Snapshot {
    /// How often connections were closed for `reason`.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closes.get(reason as usize).copied().unwrap_or(0)
    }

    /// How often clients were refused for `reason`.
    pub fn refused(&self, reason: RefuseReason) -> u64 {
        self.refusals.get(reason as usize).copied().unwrap_or(0)
    }
}

/// Rotations of secrets and certificates. It holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFigures {
    /// Rotations that were taken, by what was rotated: "password", "certificate".
    pub rotations: Vec<(&'static str, u64)>,
    /// Those that were refused, by what was wrong; the old stayed in service.
    pub refused: Vec<(&'static str, u64)>,
    /// Certificates in service.
    pub certificates: Vec<CertificateRow>,
}

/// One file of certificates in service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRow {
    /// "client" for TLS towards clients, "server" towards servers.
    pub side: &'static str,
    /// "own" for what we show, "authority" for what others are checked against.
    pub role: &'static str,
    /// The file.
    pub file: String,
    /// When it ends, in seconds since 1970 UTC: the first of a chain, the last
    /// of several authorities.
    pub expires_at: i64,
}

/// The guards: their settings, the switch, and what they did.
#[derive(Clone, Debug, Default)]
pub struct GuardsRow {
    /// As the settings say.
    pub set: Guards,
    /// The switch, while it is thrown.
    pub off: Option<GuardsOff>,
    /// Over all pools.
    pub counts: GuardCounts,
}

impl GuardsRow {
    /// The mode that holds now.
    pub fn mode(&self, guard: Guard) -> GuardMode {
        match self.off {
            Some(_) => self.set.observing().mode(guard),
            None => self.set.mode(guard),
        }
    }
}

/// All guards only watch for a while, because a person said so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardsOff {
    /// Since when.
    pub since: Time,
    /// It ends by itself then.
    pub until: Time,
    /// Who threw the switch.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// One (database, user) pool.
#[derive(Clone, Debug, Default)]
pub struct PoolRow {
    /// Database name as clients know it.
    pub database: String,
    /// User name as the server knows it.
    pub user: String,
    /// "transaction", "session" or "statement".
    pub mode: &'static str,
    /// Server address, `host:port` or a socket's path.
    pub upstream: String,
    /// Most server connections this pool may hold.
    pub size: u32,
    /// Server connections that it keeps open even when idle.
    pub idle_min: u32,
    /// Clients linked to a server connection or idle (PgBouncer's `cl_active`).
    pub cl_active: u32,
    /// Clients that wait for a server connection.
    pub cl_waiting: u32,
    /// Clients whose cancel request waits to be forwarded.
    pub cl_waiting_cancel: u32,
    /// Clients whose cancel request was forwarded, its end not yet seen.
    pub cl_active_cancel: u32,
    /// Server connections lent to a client.
    pub sv_active: u32,
    /// Server connections kept back while a cancel request for them ends.
    pub sv_being_canceled: u32,
    /// Idle server connections.
    pub sv_idle: u32,
    /// Server connections under the pooler's own statement: reset or check.
    pub sv_tested: u32,
    /// Server connections that are being opened.
    pub sv_login: u32,
    /// Connections that carry a cancel request to the server.
    pub sv_active_cancel: u32,
    /// How long the oldest waiter has waited, in microseconds.
    pub maxwait_us: u64,
    /// Monotonic counters of the pool.
    pub totals: Totals,
    /// Time from the request for a connection to its grant.
    pub wait: Histogram,
    /// Time from the grant of a connection to its return.
    pub hold: Histogram,
    /// Time from a query to its ReadyForQuery.
    pub service: Histogram,
    /// Time from the decision to open a server connection until it was logged in.
    pub create: Histogram,
    /// Leaks, and what was done about them.
    pub leaks: LeakFigures,
    /// Waiters that were refused for their predicted wait, and those that would have
    /// been, by application; the last may be `other`.
    pub shed: Vec<(std::sync::Arc<str>, u64, u64)>,
    /// How it sizes itself; `None`: its size is fixed.
    pub sizing: Option<SizingRow>,
    /// What size would have served the last hour; only where asked for.
    pub advice: Option<AdviceRow>,
    /// The pool refuses to lend: paused by an administrator.
    pub paused: bool,
    /// The pool refuses clients: disabled by an administrator.
    pub disabled: bool,
    /// Requests of its clients that were refused, at once or after a wait.
    pub refused: u64,
    /// Server connections opened and logged in.
    pub opened: u64,
}

/// The line of one database server, with what it is made of.
#[derive(Clone, Debug, Default)]
pub struct BudgetRow {
    /// Server address, `host:port` or a socket's path.
    pub upstream: String,
    /// "known", "unknown", "asking", "stale", "shrunk" or "resting".
    pub state: &'static str,
    /// Most connections that this instance may open now.
    pub line: u32,
    /// Connections charged to it, from the decision to open one until its end of file.
    pub used: u32,
    /// Of these, being opened.
    pub opening: u32,
    /// Of these, being closed.
    pub closing: u32,
    /// The line that the settings state, or the default.
    pub stated: u32,
    /// The server's `max_connections`; 0 before the first reading, as all parts.
    pub max_connections: u32,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u32,
    /// `reserved_connections`.
    pub reserved: u32,
    /// What the provider keeps for itself.
    pub provider_reserved: u32,
    /// Connections of neither this instance nor a peer.
    pub others: u32,
    /// Monitor sessions of the fleet.
    pub monitors: u32,
    /// Left free for whoever logs in.
    pub headroom: u32,
    /// What the whole fleet may hold.
    pub fleet_line: u32,
    /// The fleet's name; empty without a monitor.
    pub fleet: String,
    /// Other instances of the fleet.
    pub peers: u32,
    /// This instance's share.
    pub share: u32,
    /// Its share as its peers see it.
    pub published: u32,
    /// What it lacks beyond its share.
    pub wants: u32,
    /// The peers' shares.
    pub peers_share: u32,
    /// Connections that the peers hold.
    pub peers_held: u32,
    /// What the peers lack.
    pub peers_want: u32,
    /// How it stands in the ledger; `None`: the fleet shares by the view, or not at all.
    pub ledger: Option<LedgerRow>,
    /// Sessions of the fleet that share the line otherwise than this instance.
    pub strangers: u32,
    /// The settings that peers turned down: the first 24 bits of each hash.
    pub peers_rejected: Vec<u32>,
    /// Where the peers' monitor sessions come from.
    pub peers_at: Vec<IpAddr>,
    /// Age of the last reading in microseconds; `None` before the first.
    pub reading_age_us: Option<u64>,
    /// Connections for which the server had no slot (53300).
    pub full: u64,
    /// Connections closed so that another pool could open one.
    pub evictions: u64,
    /// The most that the settings of one pool ask for.
    pub largest_pool: u32,
}

/// An instance in the ledger of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRow {
    /// "joined"; "joining", not in it yet; "failing", the last question had no answer;
    /// "away", for so long that the share stands; "forgotten", the store is not what it was.
    pub state: &'static str,
    /// Why the last question had no answer; empty: it had one.
    pub why: String,
    /// It reads the server.
    pub sits: bool,
    /// It allots.
    pub keeps: bool,
    /// Questions to the store since the start.
    pub asked: u64,
    /// Of these, without an answer.
    pub failed: u64,
    /// How often the store was not what it had been.
    pub forgotten: u64,
}

/// Monotonic counters; PgBouncer's SHOW STATS names them `total_…`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Server connections lent.
    pub server_assignments: u64,
    /// Transactions finished.
    pub xacts: u64,
    /// Queries finished (simple queries and Sync batches).
    pub queries: u64,
    /// Bytes received from clients.
    pub bytes_received: u64,
    /// Bytes sent to clients.
    pub bytes_sent: u64,
    /// Time in transactions, microseconds.
    pub xact_us: u64,
    /// Time in queries, microseconds.
    pub query_us: u64,
    /// Time that clients waited for a connection, microseconds.
    pub wait_us: u64,
    /// Parse messages from clients.
    pub client_parses: u64,
    /// Parse messages sent to servers.
    pub server_parses: u64,
    /// Bind messages from clients.
    pub binds: u64,
    /// Client logins.
    pub client_logins: u64,
}

impl Totals {
    /// Adds another worker's counters.
    pub fn add(&mut self, other: &Totals) {
        self.server_assignments += other.server_assignments;
        self.xacts += other.xacts;
        self.queries += other.queries;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.xact_us += other.xact_us;
        self.query_us += other.query_us;
        self.wait_us += other.wait_us;
        self.client_parses += other.client_parses;
        self.server_parses += other.server_parses;
        self.binds += other.binds;
        self.client_logins += other.client_logins;
    }
}

/// Where a peer of ours is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket; PgBouncer shows `unix`.
    Unix,
}

/// One client connection.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Unique for the life of the process.
    pub id: u64,
    /// User name given at login.
    pub user: String,
    /// Database name given at login.
    pub database: String,
    /// "active", "waiting", "idle", "login", "cancel".
    pub state: &'static str,
    /// The client's address.
    pub addr: Address,
    /// Our own address on that connection.
    pub local_addr: Address,
    /// When it connected.
    pub connected_at: Time,
    /// When its last request began.
    pub request_at: Time,
    /// How long it has waited for a server connection, microseconds.
    pub wait_us: u64,
    /// The server connection that it holds: [`ServerRow::id`], 0 for none.
    pub link: u64,
    /// TLS version and cipher, empty for plain.
    pub tls: String,
    /// Its application_name.
    pub application_name: String,
    /// Prepared statements it has.
    pub prepared_statements: u32,
    /// "none", "physical" or "logical": the replication that it asked for.
    pub replication: &'static str,
}

/// One server connection.
#[derive(Clone, Debug)]
pub struct ServerRow {
    /// Unique for the life of the process.
    pub id: u64,
    /// User name at the server.
    pub user: String,
    /// Database name as clients know it.
    pub database: String,
    /// "active", "idle", "login", "tested", "being_canceled".
    pub state: &'static str,
    /// The server's address.
    pub addr: Address,
    /// Our own address on that connection.
    pub local_addr: Address,
    /// When it was opened.
    pub connected_at: Time,
    /// When it was last lent.
    pub request_at: Time,
    /// It is closed at its next return.
    pub close_needed: bool,
    /// The client that holds it: [`ClientRow::id`], 0 for none.
    pub link: u64,
    /// The server process that it talks to.
    pub remote_pid: u32,
    /// TLS version and cipher, empty for plain.
    pub tls: String,
    /// application_name as set on the server connection.
    pub application_name: String,
    /// Prepared statements on it.
    pub prepared_statements: u32,
    /// "none", "physical" or "logical".
    pub replication: &'static str,
}

/// One event loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerRow {
    /// Client connections it serves.
    pub clients: u32,
    /// Server connections that live there.
    pub servers: u32,
    /// Turns of the loop; `/livez` watches that it advances.
    pub turns: u64,
    /// Panics contained.
    pub panics: u64,
    /// Server connections handed to another worker.
    pub handovers: u64,
    /// Cancel requests for clients of other instances: passed on to these, and dropped because
    /// as many were under way as may be.
    pub forwards: [u64; 2],
}
