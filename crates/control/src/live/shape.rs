//! What goes over the wire, as types: the contract between the pooler, its page
//! and `plimsoll top`. Names of clients' choosing are cleaned before they get in
//! here; the page escapes them all the same.

use diagnose::Verdict;
use events::sample::Marker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One second, or one moment of the past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Live {
    /// The end of the second, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// It is a moment of the past, and leases are not known.
    pub past: bool,
    /// The snapshot that it was folded from.
    pub snapshot: u64,
    /// The time that rates cover, milliseconds.
    pub span_ms: u32,
    /// The instance, as `shop-1:4711`.
    pub instance: String,
    /// The fleet's name; empty: none.
    pub fleet: String,
    /// The version of the binary.
    pub version: String,
    /// Since it started, seconds.
    pub uptime_s: u64,
    /// Why it is not ready; empty: it is.
    pub not_ready: String,
    /// What is wrong, and what it is not.
    pub verdict: Verdict,
    /// Alerts that fire, the worst first.
    pub alerts: Vec<AlertLine>,
    /// How many fire.
    pub alerts_firing: u32,
    /// The incident that is open.
    pub incident: Option<IncidentNow>,
    /// What Plimsoll may do by itself.
    pub guards: Vec<GuardLine>,
    /// All pools together.
    pub totals: Totals,
    /// Pools, those in trouble first, then the busiest.
    pub pools: Vec<PoolLine>,
    /// How many there are.
    pub pools_total: u32,
    /// Database servers.
    pub servers: Vec<ServerLine>,
    /// Applications that hold or wait for the most.
    pub applications: Vec<ApplicationLine>,
    /// The oldest leases.
    pub leases: Vec<LeaseLine>,
    /// How many there are.
    pub leases_total: u32,
    /// What changed, the newest first.
    pub markers: Vec<Marker>,
    /// It is a demonstration, with buttons for outages.
    pub demo: bool,
    /// There is a channel to the fleet's other instances: `/v1/fleet` shows them.
    pub channel: bool,
}

/// An alert that fires.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlertLine {
    /// Its name, as `PlimsollPoolExhausted`.
    pub name: String,
    /// "critical", "error", "warning" or "info".
    pub severity: String,
    /// "pending" or "firing".
    pub state: String,
    /// Since when, UTC, milliseconds since 1970.
    pub since_ms: i64,
    /// One sentence.
    pub summary: String,
    /// Its chapter of the playbook.
    pub chapter: String,
}

/// The incident under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IncidentNow {
    /// As `2026-11-21-1`.
    pub id: String,
    /// One sentence.
    pub title: String,
    /// Since when, UTC, milliseconds since 1970.
    pub since_ms: i64,
}

/// One guard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuardLine {
    /// "reclaim", "shed" …
    pub name: String,
    /// "observe" or "enforce".
    pub mode: String,
    /// What it did.
    pub acted: u64,
    /// What it would have done.
    pub would_have: u64,
}

/// All pools together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Totals {
    /// Clients connected.
    pub clients: u32,
    /// Most that may connect; 0: not known.
    pub clients_limit: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// The longest current wait, microseconds.
    pub oldest_wait_us: u64,
    /// Connections lent.
    pub used: u32,
    /// Connections that are idle.
    pub idle: u32,
    /// Requests for a connection, per second.
    pub arrivals_per_s: f64,
    /// Transactions, per second.
    pub transactions_per_s: f64,
    /// Requests refused, per second.
    pub refused_per_s: f64,
    /// Mean wait of those who got a connection, microseconds; `None`: nobody asked.
    pub wait_us: Option<f64>,
    /// Mean service time, from a query to its answer, microseconds.
    pub service_us: Option<f64>,
}

/// One pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolLine {
    /// The database as clients know it.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// The label of its server.
    pub server: String,
    /// "transaction", "session" or "statement".
    pub mode: String,
    /// The limit.
    pub size: u32,
    /// Lent.
    pub used: u32,
    /// Idle.
    pub idle: u32,
    /// Clients connected to it.
    pub clients: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// The longest current wait, microseconds.
    pub oldest_wait_us: u64,
    /// Requests for a connection, per second.
    pub arrivals_per_s: f64,
    /// Transactions, per second.
    pub transactions_per_s: f64,
    /// Refused, per second.
    pub refused_per_s: f64,
    /// Mean wait, microseconds.
    pub wait_us: Option<f64>,
    /// Mean service time, microseconds.
    pub service_us: Option<f64>,
    /// Mean time that a connection was kept, microseconds.
    pub hold_us: Option<f64>,
    /// Leases whose client is silent inside a transaction.
    pub silent: u32,
    /// Of these, suspected leaks.
    pub suspects: u32,
    /// When it will be full at this pace, seconds; `None`: not in sight.
    pub full_in_s: Option<u64>,
    /// "paused" or "disabled" by an administrator; empty: neither.
    pub held_back: String,
    /// "full", "waiting", "filling", "leaking", "paused" or "well": why it stands where it does.
    pub standing: String,
}

/// Pools, a page of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolTable {
    /// When, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// How many match.
    pub total: u32,
    /// Those asked for.
    pub rows: Vec<PoolLine>,
}

/// One database server and its line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerLine {
    /// `host:port` or a socket's path.
    pub server: String,
    /// "known", "unknown", "stale", "shrunk" …
    pub state: String,
    /// Most connections that this instance may open.
    pub line: u32,
    /// Connections charged to it.
    pub used: u32,
    /// The server's `max_connections`; 0: nothing was read.
    pub max_connections: u32,
    /// What the server keeps for itself and its provider.
    pub reserved: u32,
    /// Connections of neither this instance nor a peer; `None`: nothing was read.
    pub others: Option<u32>,
    /// Left free on purpose.
    pub headroom: u32,
    /// Other instances of the fleet.
    pub peers: u32,
    /// What they hold.
    pub peers_held: u32,
    /// The last round trip of a trivial query, microseconds.
    pub probe_us: Option<u64>,
    /// TCP round trip, microseconds; `None`: no socket was looked at.
    pub rtt_us: Option<u64>,
    /// Backends that work; `None`: not permitted or not read.
    pub active: Option<u32>,
    /// Backends that wait for locks.
    pub blocked: Option<u32>,
    /// Connections that failed or were refused, per second.
    pub failed_per_s: f64,
    /// SQLSTATE of the last; empty: none.
    pub last_error: String,
}

/// One application in one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApplicationLine {
    /// Its name without what differs between its processes; empty: it gives none.
    pub name: String,
    /// Its release; empty: none tells.
    pub release: String,
    /// The database of its pool.
    pub database: String,
    /// The user of its pool.
    pub user: String,
    /// Clients connected.
    pub clients: u32,
    /// Those that hold a connection.
    pub used: u32,
    /// Those that wait.
    pub waiting: u32,
    /// Those that hold one in a transaction and are silent.
    pub silent: u32,
    /// Requests, per second.
    pub arrivals_per_s: f64,
    /// Its oldest lease, microseconds.
    pub oldest_hold_us: u64,
}

/// One lease: who holds a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LeaseLine {
    /// The client's id, in hexadecimal: what actions name. (A number would not fit into a browser's.)
    pub client: String,
    /// The database that it logged in to.
    pub database: String,
    /// As whom.
    pub user: String,
    /// Its application.
    pub application: String,
    /// Its release; empty: none tells.
    pub release: String,
    /// The route or action of the statement's tags; empty: none.
    pub route: String,
    /// Where the client is.
    pub address: String,
    /// "active", "idle in transaction" …
    pub state: String,
    /// How long it holds the connection, microseconds.
    pub held_us: u64,
    /// For how long the client has been silent inside a transaction, microseconds.
    pub silent_us: Option<u64>,
    /// The last statement without literals, as far as the settings show it.
    pub statement: String,
    /// The statement's tags.
    pub tags: String,
    /// The server process.
    pub remote_pid: u32,
    /// Why it is never taken back by itself; empty: it may be.
    pub exempt: String,
    /// What it is suspected of; empty: nothing.
    pub suspicion: String,
    /// How sure, percent.
    pub sure: u8,
}

/// Leases, a page of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LeaseTable {
    /// When, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// How many match.
    pub total: u32,
    /// Those asked for.
    pub rows: Vec<LeaseLine>,
}

/// Curves over time: each list has one value for each moment of `at_ms`; `null`
/// where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Chart {
    /// The pool as `database/user`; empty: all together.
    pub pool: String,
    /// Between two values, milliseconds.
    pub step_ms: u32,
    /// The ends of the spans, UTC, milliseconds since 1970, ascending.
    pub at_ms: Vec<i64>,
    /// The limit (of one pool).
    pub size: Vec<Option<u32>>,
    /// The most that was lent.
    pub used: Vec<Option<u32>>,
    /// The most that waited.
    pub waiting: Vec<Option<u32>>,
    /// Mean wait, microseconds.
    pub wait_us: Vec<Option<f64>>,
    /// Mean service time, microseconds.
    pub service_us: Vec<Option<f64>>,
    /// Transactions, per second.
    pub transactions_per_s: Vec<Option<f64>>,
    /// Refused, per second.
    pub refused_per_s: Vec<Option<f64>>,
    /// Leases silent inside a transaction.
    pub silent: Vec<Option<u32>>,
    /// What changed within the span, the oldest first.
    pub markers: Vec<Marker>,
}
