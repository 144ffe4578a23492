//! The rows of a sample.

use super::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number that was looked at now and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Gauge {
    /// The least that was seen.
    pub least: u32,
    /// The most that was seen.
    pub most: u32,
    /// The last that was seen.
    pub last: u32,
    /// The sum of what was seen.
    pub sum: u64,
    /// How often it was looked at.
    pub looks: u32,
}

impl Gauge {
    /// One look.
    pub const fn of(value: u32) -> Gauge {
        Gauge {
            least: value,
            most: value,
            last: value,
            sum: value as u64,
            looks: 1,
        }
    }

    /// The mean of what was seen; 0 without a look.
    pub fn mean(&self) -> f64 {
        match self.looks {
            0 => 0.0,
            n => self.sum as f64 / f64::from(n),
        }
    }
}

/// Durations that ended within the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Their sum, microseconds.
    pub sum_us: u64,
    /// Their median, microseconds; of a roll-up, the mean of its parts weighted by count.
    pub p50_us: u64,
    /// Their 99th percentile, microseconds; of a roll-up as the median.
    pub p99_us: u64,
    /// The longest, microseconds.
    pub most_us: u64,
    /// How many were longer than the objective for waits (see `PoolSample::wait`).
    pub beyond: u64,
}

impl Times {
    /// Their mean, microseconds; `None` when none ended.
    pub fn mean_us(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_us as f64 / self.count as f64)
    }
}

/// One pool over the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolSample {
    /// The database as clients know it.
    pub database: Name,
    /// The user at the server.
    pub user: Name,
    /// The label of its server.
    pub upstream: Name,
    /// Most server connections it may hold.
    pub size: u32,
    /// Server connections lent to clients. `least` is the floor of held connections.
    pub used: Gauge,
    /// Server connections that are idle.
    pub idle: Gauge,
    /// Clients connected to the pool, waiting ones included.
    pub clients: Gauge,
    /// Clients that wait for a connection.
    pub waiting: Gauge,
    /// The longest current wait, microseconds.
    pub oldest_wait_us: u64,
    /// Requests for a connection that were granted.
    pub arrivals: u64,
    /// Transactions finished.
    pub transactions: u64,
    /// Queries finished.
    pub queries: u64,
    /// Waits for a connection; `beyond` counts those above the objective.
    pub wait: Times,
    /// From the grant of a connection to its return.
    pub hold: Times,
    /// From a query to its ReadyForQuery.
    pub service: Times,
    /// Requests refused.
    pub refused: u64,
    /// Leases whose client is silent inside a transaction.
    pub silent: u32,
    /// Of these, suspected leaks.
    pub suspects: u32,
    /// Leases taken back, or that would have been.
    pub reclaimed: u64,
    /// The oldest lease, microseconds.
    pub oldest_hold_us: u64,
    /// An administrator has paused or disabled it.
    pub paused: bool,
}

/// One application in one pool over the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApplicationSample {
    /// The database of its pool.
    pub database: Name,
    /// The user of its pool.
    pub user: Name,
    /// Its name without what differs between its processes.
    pub name: Name,
    /// Client connections.
    pub clients: Gauge,
    /// Those that hold a server connection.
    pub used: Gauge,
    /// Those that wait for one.
    pub waiting: Gauge,
    /// Those that hold one in a transaction and are silent.
    pub silent: Gauge,
    /// Logins.
    pub logins: u64,
    /// Requests for a connection.
    pub arrivals: u64,
    /// Sum of the holds that ended, microseconds.
    pub hold_us: u64,
    /// Sum of the waits, microseconds.
    pub wait_us: u64,
    /// Its oldest lease, microseconds.
    pub oldest_hold_us: u64,
    /// The release that its newest leases name; empty where none tells.
    pub release: Name,
    /// The fingerprint of the last statement of most of its silent leases; 0 for none.
    pub silent_statement: u64,
}

/// One client address over the span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SourceSample {
    /// The address without its port, or "unix".
    pub address: Name,
    /// Client connections.
    pub clients: u32,
    /// Connections accepted.
    pub accepts: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that failed.
    pub login_failures: u64,
}

/// All clients over the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClientsSample {
    /// Client connections.
    pub connected: Gauge,
    /// Most that may connect; 0 where that is not known.
    pub limit: u32,
    /// Connections accepted.
    pub accepts: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins refused for wrong credentials.
    pub login_failures: u64,
    /// Connections that clients left, without a good-bye too.
    pub left: u64,
    /// TCP towards clients.
    pub tcp: TcpSample,
}

/// What the system says of sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TcpSample {
    /// Sockets that were looked at; 0: nothing is known.
    pub sockets: u32,
    /// The least smoothed round trip, microseconds.
    pub rtt_us_least: u64,
    /// The median of the smoothed round trips, microseconds.
    pub rtt_us: u64,
    /// The longest smoothed round trip, microseconds.
    pub rtt_us_most: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Longest time with data that the other side has not acknowledged, microseconds.
    pub unanswered_us: u64,
}

/// One database server over the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerSample {
    /// `host:port` or a socket's path.
    pub upstream: Name,
    /// The line: what may be opened there.
    pub line: LineSample,
    /// Connections opened.
    pub opened: u64,
    /// Connections that could not be opened.
    pub connect_failed: u64,
    /// Logins that the server refused.
    pub login_failed: u64,
    /// Connections for which it had no slot (53300).
    pub full: u64,
    /// Connections that it ended.
    pub ended_by_server: u64,
    /// SQLSTATE of the last refused login or FATAL within the span; empty for none.
    pub last_error: Name,
    /// Errors that clients got from it, by SQLSTATE; only those above zero.
    pub errors: Vec<(Name, u64)>,
    /// TCP towards it.
    pub tcp: TcpSample,
    /// It is reached by loopback or a unix socket, or through what the settings
    /// name: TCP figures say nothing of the way to the real server.
    pub intermediary: bool,
    /// The last round trip of a trivial query, microseconds.
    pub probe_us: Option<u64>,
    /// What its activity view says.
    pub activity: Option<ServerActivity>,
}

/// The line of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LineSample {
    /// "known", "unknown", "asking", "stale", "shrunk" or "resting".
    pub state: Name,
    /// Most connections that this instance may open.
    pub line: u32,
    /// Connections charged to it.
    pub used: u32,
    /// The server's `max_connections`; 0 where nothing was read.
    pub max_connections: u32,
    /// What the server keeps for itself and its provider.
    pub reserved: u32,
    /// Connections of neither this instance nor a peer; `None` where nothing was read.
    pub others: Option<u32>,
    /// What all peers hold.
    pub peers_held: u32,
    /// Other instances of the fleet.
    pub peers: u32,
    /// What it lacks beyond its share.
    pub wants: u32,
    /// The most that was charged to it in the span.
    pub used_most: u32,
    /// How long clients waited while all of the line was in use, milliseconds.
    pub held_ms: u32,
}

/// What the server's activity view says; sampled every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerActivity {
    /// How old the reading is, milliseconds.
    pub age_ms: u64,
    /// Others' rows may be seen. Without it, only counts of connections mean anything.
    pub permitted: bool,
    /// Client backends that work.
    pub active: u32,
    /// Client backends idle in a transaction.
    pub idle_in_transaction: u32,
    /// Active client backends by wait event type; "cpu" for none.
    pub waits: Vec<(Name, u32)>,
    /// Active client backends of nobody in this fleet.
    pub others_active: u32,
    /// Client backends that wait for a lock.
    pub blocked: u32,
    /// Who blocks the most of them.
    pub blocker: Option<Blocker>,
    /// Age of the oldest transaction, milliseconds.
    pub longest_transaction_ms: u64,
    /// It is a standby.
    pub in_recovery: bool,
    /// When it started, seconds since 1970.
    pub started_at: i64,
    /// Transactions committed and rolled back, by anybody, within the span.
    pub transactions: u64,
    /// Blocks read from outside its buffers within the span.
    pub blocks_read: u64,
    /// Blocks found in its buffers within the span.
    pub blocks_hit: u64,
    /// Deadlocks within the span.
    pub deadlocks: u64,
    /// Bytes of temporary files within the span.
    pub temp_bytes: u64,
}

impl ServerActivity {
    /// Active client backends with this wait event type.
    pub fn waits_for(&self, kind: &str) -> u32 {
        let found = self.waits.iter().find(|(name, _)| &**name == kind);
        found.map_or(0, |(_, n)| *n)
    }
}

/// A backend that others wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Blocker {
    /// Its process at the server.
    pub pid: u32,
    /// Its application_name.
    pub application: Name,
    /// What it does: "active", "idle in transaction".
    pub state: Name,
    /// Age of its transaction, milliseconds.
    pub transaction_ms: u64,
    /// How many wait for it.
    pub blocked: u32,
}

/// The machine that Plimsoll runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostSample {
    /// Processor time of all processes, per mille of all cores; `None` where not known.
    pub cpu_busy_permille: Option<u32>,
    /// Plimsoll's own processor time, per mille of one core.
    pub own_cpu_permille: Option<u32>,
    /// Time that Plimsoll was held back by its cgroup's quota, milliseconds.
    pub throttled_ms: Option<u32>,
    /// Turns of the slowest worker's loop; 0: it did not move.
    pub turns_least: Option<u64>,
    /// Cores that Plimsoll may use.
    pub cores: u32,
}

/// A wait worth a look, with who held the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitSample {
    /// The database of its pool.
    pub database: Name,
    /// The user of its pool.
    pub user: Name,
    /// Who waited.
    pub application: Name,
    /// From where.
    pub address: Name,
    /// How long, microseconds.
    pub wait_us: u64,
    /// It was refused in the end.
    pub refused: bool,
    /// Who held the connection that it got, or the oldest lease.
    pub holder: Name,
    /// How long that one held it, microseconds.
    pub held_us: u64,
    /// The fingerprint of that one's last statement; 0 where not known.
    pub statement: u64,
}
