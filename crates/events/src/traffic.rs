//! What is measured beside the pools: which applications and addresses ask, how
//! each database server and the way to it behave, and who waited for whom.
//!
//! Whatever is keyed by what clients choose is bounded: the largest rows, and
//! the rest in one row named [`OTHER`]. Counters are monotonic but for two
//! cases: a row that gave its place to another begins at zero again, and
//! [`OTHER`] falls when one of its parts gets a row of its own. Who takes
//! differences takes a fall for zero.

use crate::{Histogram, PinCounts, Time};
use std::sync::Arc;

/// Most rows of applications, beside the one of the others.
pub const APPLICATIONS_MAX: usize = 64;
/// Most rows of client addresses, beside the one of the others.
pub const SOURCES_MAX: usize = 32;
/// Most SQLSTATEs that are told apart, beside the others.
pub const ERRORS_MAX: usize = 32;
/// Most waits told per pool, and in all.
pub const WAITS_PER_POOL_MAX: usize = 8;
/// See [`WAITS_PER_POOL_MAX`].
pub const WAITS_MAX: usize = 64;
/// The name of what is not told apart.
pub const OTHER: &str = "other";

/// What one application did: all clients whose names come to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationRow {
    /// Database as in the row of its pool; empty for the others.
    pub database: String,
    /// User as in the row of its pool; empty for the others.
    pub user: String,
    /// Its application_name without what differs between its processes; empty
    /// when it gives none, [`OTHER`] for those that are not told apart.
    pub kind: Arc<str>,
    /// Clients logged in now.
    pub clients: u32,
    /// Of these, the ones that hold a server connection now.
    pub active: u32,
    /// Of these, the ones that wait for a server connection now.
    pub waiting: u32,
    /// Of the active, those for whom the server has waited inside a transaction
    /// for a second or longer.
    pub silent: u32,
    /// Logins that succeeded.
    pub logins: u64,
    /// Arrivals: requests for a server connection, however they ended.
    pub checkouts: u64,
    /// Time that it held server connections, of leases that ended, microseconds.
    pub hold_us: u64,
    /// Time that it waited for server connections that it got, microseconds.
    pub wait_us: u64,
    /// How long its oldest lease lasts, microseconds; 0 without one.
    pub oldest_hold_us: u64,
    /// Its statements that asked to keep the connection for their session state.
    pub pins: PinCounts,
}

/// What came from one client address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRow {
    /// The IP address, "unix", or [`OTHER`].
    pub address: String,
    /// Connections open now, logged in or not.
    pub clients: u32,
    /// Connections accepted, and those turned away at the door.
    pub accepts: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that were refused or broken off by us: wrong password, no such
    /// database, no proper start-up packet, too slow, too many. A client that
    /// leaves before it has logged in counts as neither.
    pub login_failures: u64,
}

/// One database server and the way to it.
#[derive(Clone, Debug, Default)]
pub struct UpstreamRow {
    /// As [`BudgetRow::upstream`](crate::snapshot::BudgetRow::upstream).
    pub upstream: String,
    /// It is reached over loopback, a unix socket or an address of this machine:
    /// an intermediary may stand there, so TCP figures cannot acquit the network.
    pub local: bool,
    /// Connections opened and logged in.
    pub opened: u64,
    /// Connections that did not come up: refused, timed out, broken off, or the
    /// server said that it starts or stops.
    pub connect_failed: u64,
    /// Logins that the server refused.
    pub login_failed: u64,
    /// Connections for which the server had no slot (53300).
    pub full: u64,
    /// Logged-in connections that the server ended, with FATAL or without a word.
    pub ended_by_server: u64,
    /// The last refused login or FATAL; its SQLSTATE and no text.
    pub last_error: Option<ServerError>,
    /// Errors of clients' statements by SQLSTATE, the most frequent first; at
    /// most [`ERRORS_MAX`], the rest as [`OTHER`].
    pub errors: Vec<(String, u64)>,
    /// TCP towards the server.
    pub tcp: TcpRow,
    /// Round trips of a trivial query on the monitor session. Each includes up to
    /// one turn of the event loop that sends and reads it.
    pub probe: Histogram,
    /// The last of them, microseconds.
    pub probe_last_us: Option<u64>,
    /// When that was sent.
    pub probe_at: Option<Time>,
    /// What the server was seen to do; `None` without a monitor session.
    pub activity: Option<Activity>,
}

/// The last error of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// When it came.
    pub at: Time,
    /// How many with this SQLSTATE have come since another one did.
    pub count: u64,
}

/// What the system tells of TCP sockets (TCP_INFO); all zero where it tells
/// nothing: unix sockets, and systems other than Linux. At most 64 sockets of a
/// worker are looked at in a second, in turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpRow {
    /// Sockets looked at in the last second.
    pub sockets: u32,
    /// Smallest of their smoothed round-trip times, microseconds.
    pub rtt_us_min: u64,
    /// The middle one.
    pub rtt_us_p50: u64,
    /// The largest.
    pub rtt_us_max: u64,
    /// Segments sent again since the start, as far as they were seen: those of a
    /// connection's last second may be missing.
    pub retransmits: u64,
    /// Segments that count as lost now.
    pub lost: u32,
    /// Longest time for which data stands unacknowledged without any
    /// acknowledgement coming in, microseconds.
    pub unanswered_us: u64,
}

/// What a database server was doing when it was asked. It holds no statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// When the answer came.
    pub at: Time,
    /// The monitor's role may see what others do (pg_read_all_stats). Without it
    /// all that is told of backends is of its own role's, and worth nothing.
    pub permitted: bool,
    /// Client backends that run a statement, without the monitor's.
    pub active: u32,
    /// Client backends inside a transaction that wait for their client.
    pub idle_in_transaction: u32,
    /// The active ones by what they wait for (`wait_event_type`), most first;
    /// "cpu" for those that wait for nothing that the server knows.
    pub waiting: Vec<(String, u32)>,
    /// Active ones that belong neither to this instance nor, as far as addresses
    /// tell, to a peer.
    pub others_active: u32,
    /// Client backends that wait for a lock.
    pub blocked: u32,
    /// Backends that block those; of the first 20 blocked, at most 5 s before.
    pub blockers: u32,
    /// The one at the root that has been longest in its transaction.
    pub oldest_blocker: Option<Blocker>,
    /// Age of the oldest transaction of a client backend, milliseconds.
    pub longest_xact_ms: u64,
    /// It is a standby.
    pub in_recovery: bool,
    /// When it was started, seconds since 1970 UTC.
    pub started_at_unix: i64,
    /// Transactions committed, over all databases.
    pub commits: u64,
    /// Transactions rolled back.
    pub rollbacks: u64,
    /// Blocks read into the cache.
    pub blks_read: u64,
    /// Blocks found there.
    pub blks_hit: u64,
    /// Deadlocks.
    pub deadlocks: u64,
    /// Bytes written to temporary files.
    pub temp_bytes: u64,
}

/// A backend that others wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocker {
    /// Its process; 0 for a prepared transaction.
    pub pid: u32,
    /// Its application_name, at most 64 bytes, without control characters.
    pub application: String,
    /// Its state as the server names it ("idle in transaction"), else its kind
    /// ("autovacuum worker"); empty when it may not be seen.
    pub state: String,
    /// Age of its transaction, milliseconds.
    pub xact_age_ms: u64,
    /// How many wait for it directly, of those looked at; the others stand behind those.
    pub blocked: u32,
}

/// One of the worst waits of the last ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitExemplar {
    /// Its pool: the index in [`Snapshot::pools`](crate::snapshot::Snapshot::pools).
    pub pool: u32,
    /// Who waited, as [`ApplicationRow::kind`].
    pub application: Arc<str>,
    /// The client's IP address, or "unix".
    pub address: String,
    /// How long, microseconds.
    pub wait_us: u64,
    /// When the wait ended.
    pub granted_at: Time,
    /// It got a connection; else it was refused.
    pub granted: bool,
    /// Who had the connection before, or, where nobody had, who has held one of
    /// the pool for longest; `None` where that is not known.
    pub holder: Option<Arc<str>>,
    /// For how long, microseconds.
    pub held_us: u64,
    /// The fingerprint of the holder's last statement, or 0.
    pub statement: u64,
}
