//! The checked plan: what a settings file says, after every check.
//!
//! A plan in hand is valid; the only way to one is through this crate's readers.

mod endpoints;
mod process;
mod secrets;
mod session_attrs;

use crate::alerting::Alerting;
use crate::keeping::Keeping;
use events::Guards;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use endpoints::{
    Host, Keepalive, ListenAddress, PEERS_MAX, Peer, Peering, Sockets, SslMode, StartUp, Tls,
    TlsVersions, is_abstract,
};
pub use process::{FACILITIES, LogStyle, OnSignal, Process};
pub use secrets::{Secret, SecretCommand, SecretRef};
pub use session_attrs::SessionAttrs;

/// How long a client keeps a server connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PoolMode {
    /// Until it disconnects.
    Session,
    /// Until its transaction ends.
    #[default]
    Transaction,
    /// Until its statement ends; transactions of several statements are refused.
    Statement,
}

/// Most server connections of one pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolSize {
    /// So many.
    Fixed(u32),
    /// As many as bring throughput, between the floor and the ceiling of [`AutoSize`].
    Auto,
}

/// How clients prove who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AuthType {
    /// SCRAM-SHA-256 (and -PLUS over TLS).
    #[default]
    Scram,
    /// md5, or SCRAM where the stored secret is a SCRAM one (as PgBouncer).
    Md5,
    /// The password in the clear.
    Plain,
    /// No proof, the user must exist.
    Trust,
    /// No proof, any user name; databases must force a user (PgBouncer's `any`).
    Any,
    /// A TLS client certificate with the user's name.
    Cert,
    /// As the first fitting line of the host-based rules says.
    Hba,
}

/// Host-based rules, and where they are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostRules {
    /// Their file.
    pub file: Option<PathBuf>,
    /// The file of the ident maps that they name.
    pub ident_file: Option<PathBuf>,
    /// What these say; `None` with every other [`AuthType`] than `Hba`.
    pub rules: Option<Arc<crate::Hba>>,
}

/// One database that clients may name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Database {
    /// The name that clients use; `*` serves any other name.
    pub name: String,
    /// Where its server listens.
    pub host: Host,
    /// Of several hosts the first that answers is taken, instead of each in its turn.
    pub hosts_in_order: bool,
    /// Which of them may serve.
    pub session_attrs: SessionAttrs,
    /// The server's port.
    pub port: u16,
    /// The name at the server; `None`: the client's.
    pub dbname: Option<String>,
    /// User at the server in place of the client's.
    pub user: Option<String>,
    /// That user's password (or, without `user`, every user's).
    pub password: Option<Secret>,
    /// Where that is kept; `None`: it stands in the settings, or there is none.
    pub password_from: Option<SecretRef>,
    /// User that runs `auth_query`.
    pub auth_user: Option<String>,
    /// Database that `auth_query` runs in, by its client-side name; `None`: the same one.
    pub auth_dbname: Option<String>,
    /// Overrides the general query.
    pub auth_query: Option<String>,
    /// Overrides the general pool mode.
    pub pool_mode: Option<PoolMode>,
    /// Overrides the general pool size.
    pub pool_size: Option<PoolSize>,
    /// Overrides the general minimum.
    pub min_pool_size: Option<u32>,
    /// Overrides the general reserve.
    pub reserve_pool_size: Option<u32>,
    /// Most server connections for this database over all users.
    pub max_db_connections: Option<u32>,
    /// Most clients of this database.
    pub max_db_client_connections: Option<u32>,
    /// Overrides the general longest wait for a connection.
    pub wait_timeout: Option<Option<Duration>>,
    /// Overrides the general lifetime; zero: as there.
    pub server_lifetime: Option<Option<Duration>>,
    /// Set on connect: a query run once on each new server connection.
    pub connect_query: Option<String>,
    /// Overrides server start-up parameters: client_encoding, datestyle, timezone, application_name.
    pub parameters: BTreeMap<String, String>,
}

/// Per-user overrides, and secrets from the user file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct User {
    /// Plain password, `md5…` or `SCRAM-SHA-256$…`, from the user file.
    pub secret: Option<Secret>,
    /// Where that is kept; `None`: it stands in the settings, or there is none.
    pub secret_from: Option<SecretRef>,
    /// Overrides.
    pub pool_mode: Option<PoolMode>,
    /// Overrides.
    pub pool_size: Option<PoolSize>,
    /// Overrides.
    pub reserve_pool_size: Option<u32>,
    /// Most server connections of this user over all databases.
    pub max_user_connections: Option<u32>,
    /// Most clients of this user.
    pub max_user_client_connections: Option<u32>,
    /// Overrides the longest wait for a connection.
    pub wait_timeout: Option<Option<Duration>>,
    /// Overrides the longest query.
    pub query_timeout: Option<Option<Duration>>,
    /// Overrides the longest transaction.
    pub transaction_timeout: Option<Option<Duration>>,
    /// Overrides the longest silence in a transaction.
    pub idle_transaction_timeout: Option<Option<Duration>>,
    /// Overrides the longest silence outside a transaction.
    pub client_idle_timeout: Option<Option<Duration>>,
    /// Its share of a pool against others that wait; unset: 1.
    pub weight: Option<u32>,
}

/// What holds for an application, by the name that it gives at login.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Application {
    /// Overrides the longest wait for a connection.
    pub wait_timeout: Option<Option<Duration>>,
    /// Its share of a pool against others that wait; unset: its user's.
    pub weight: Option<u32>,
}

/// Whom the pooler's errors name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ErrorDetail {
    /// The client's own pool and its figures.
    #[default]
    Own,
    /// Also who holds most of its connections.
    Full,
}

/// What is done with session state that cannot be replayed at another server connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pin {
    /// The client keeps its server connection while the state lasts.
    #[default]
    On,
    /// As PgBouncer: no pin; counted.
    Off,
}

/// How much of a lease's last statement is shown, in the console, the log and the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StatementText {
    /// Its text without literals.
    #[default]
    Normalised,
    /// A number that statements share when they differ only in literals.
    Fingerprint,
    /// Nothing.
    Off,
}

/// Whether an administrator may capture statements with their values ([`crate::Api`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StatementCapture {
    /// Nobody may.
    #[default]
    Off,
    /// The API's admin role may.
    Allow,
}

/// How servers are watched: the monitor session, which reads their limits, how the
/// line is shared, and their names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Monitor {
    /// User that reads the server's limits and who is connected; `None`: the line is the stated one.
    pub user: Option<String>,
    /// Database at the server that it logs in to; `None`: the first that a client asks for.
    pub database: Option<String>,
    /// Between two readings, at most.
    pub interval: Duration,
    /// Without clients for so long, the monitor session ends; `None`: never.
    pub idle_stop: Option<Duration>,
    /// Slots left free at the server.
    pub headroom: u32,
    /// Instances with this name share the line.
    pub fleet: String,
    /// Longest use of a host name's address; `None`: names of servers in use are
    /// not looked up again.
    pub dns_max_ttl: Option<Duration>,
    /// A name that could not be looked up is not asked for again so long; `None`: it is,
    /// at each connection.
    pub dns_nxdomain_ttl: Option<Duration>,
    /// Sessions end with their transaction where their server connection is to be replaced.
    pub fast_close: bool,
}

/// Bounds of automatic sizes, and where they start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AutoSize {
    /// An automatic size is never smaller.
    pub floor: u32,
    /// An automatic size is never larger; `None`: the line alone.
    pub ceiling: Option<u32>,
    /// Processor cores of the database server; `None`: unknown, and an
    /// automatic size starts from the floor.
    pub server_cores: Option<u32>,
}

/// Leases, and those that look forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leaks {
    /// How much of a lease's last statement is shown.
    pub statement_text: StatementText,
    /// Several leases of one kind that were silent for this long are a leak, if nothing else is
    /// known of them.
    pub after: Duration,
    /// The same of a single lease whose kind is known.
    pub single_after: Duration,
    /// Users and applications whose leases are never taken back.
    pub exempt: Vec<String>,
}

/// Which texts and codes clients see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ErrorStyle {
    /// 53300 and friends with DETAIL and HINT.
    #[default]
    Plimsoll,
    /// PgBouncer's texts, 08P01.
    Pgbouncer,
}

/// What is logged of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientLog {
    /// Each login.
    pub connections: bool,
    /// Each end, with its reason.
    pub disconnections: bool,
    /// Errors that the pooler itself sends.
    pub errors: bool,
    /// The line of statistics, each period.
    pub stats: bool,
    /// Period of averages and of the statistics line.
    pub stats_period: Duration,
}

/// A checked plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Addresses to listen on, TCP.
    pub listen: Vec<ListenAddress>,
    /// Directory for the unix socket, or `@name` in Linux's abstract namespace; `None`: none.
    pub unix_socket_dir: Option<PathBuf>,
    /// Permission bits of the unix socket.
    pub unix_socket_mode: u32,
    /// Backlog of the listening sockets.
    pub listen_backlog: u32,
    /// Address of /metrics, /livez and /readyz; `None`: none.
    pub metrics_listen: Option<SocketAddr>,
    /// The HTTP API.
    pub api: crate::api::Api,
    /// How instances of the fleet talk to each other.
    pub fleet: crate::fleet::FleetChannel,
    /// The store that instances may share the line by.
    pub etcd: crate::etcd::Etcd,
    /// How the settings themselves are kept.
    pub keeping: Keeping,
    /// Worker threads; `None`: from the CPU quota.
    pub workers: Option<u16>,
    /// Port that names the unix socket, `.s.PGSQL.PORT`.
    pub unix_socket_port: u16,

    /// Databases by name; `*` last.
    pub databases: Vec<Database>,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Applications by name; a `*` at the end stands for the rest of a name.
    pub applications: BTreeMap<String, Application>,
    /// Built-in alerts, whom they concern, and who is told.
    pub alerts: Alerting,
    /// How clients prove who they are.
    pub auth_type: AuthType,
    /// The user file, watched.
    pub auth_file: Option<PathBuf>,
    /// Host-based rules.
    pub hba: HostRules,
    /// User that runs `auth_query`.
    pub auth_user: Option<String>,
    /// Database that `auth_query` runs in, where a database names none of its own.
    pub auth_dbname: Option<String>,
    /// The settings are a pgbouncer.ini, so where habits differ PgBouncer's hold: its `[users]` only say what holds for
    /// those whom `auth_file` or `auth_query` knows, clients wait for a server that was not there yet, and a reload
    /// keeps the running value of what only a restart can change.
    pub drop_in: bool,
    /// The query for users that the file does not name: `$1` is the user.
    pub auth_query: Option<String>,
    /// How long its answer is kept.
    pub auth_query_ttl: Duration,
    /// Users who may do all in the console.
    pub admin_users: Vec<String>,
    /// Users who may SHOW in the console.
    pub stats_users: Vec<String>,

    /// TLS towards clients.
    pub client_tls: Tls,
    /// TLS towards servers.
    pub server_tls: Tls,

    /// The default mode.
    pub pool_mode: PoolMode,
    /// Most server connections per (database, user).
    pub default_pool_size: PoolSize,
    /// Bounds of automatic sizes.
    pub auto: AutoSize,
    /// Kept open per pool.
    pub min_pool_size: u32,
    /// Further connections after `reserve_pool_timeout`.
    pub reserve_pool_size: u32,
    /// See there.
    pub reserve_pool_timeout: Duration,
    /// Most server connections per database; `None`: the line alone.
    pub max_db_connections: Option<u32>,
    /// Most server connections per user; `None`: the line alone.
    pub max_user_connections: Option<u32>,
    /// Most clients.
    pub max_client_conn: u32,
    /// Most clients per user; `None`: `max_client_conn` alone.
    pub max_user_client_connections: Option<u32>,
    /// Most clients per database; `None`: `max_client_conn` alone.
    pub max_db_client_connections: Option<u32>,
    /// Most server connections per database server, over all pools.
    pub line: u32,
    /// Somebody stated the line; it bounds what the monitor reads.
    pub line_stated: bool,
    /// How the server's own figures are read.
    pub monitor: Monitor,
    /// Most clients that wait, per pool.
    pub queue_max: u32,
    /// Connections to one server being opened at a time.
    pub connects_max: u32,

    /// Longest wait for a connection; `None`: off.
    pub query_wait_timeout: Option<Duration>,
    /// Rounds of SCRAM keys that are made from plain passwords.
    pub scram_iterations: u32,
    /// SUSPEND closes connections that take no bytes after this; `None`: it waits.
    pub suspend_timeout: Option<Duration>,
    /// A NOTICE to clients that wait longer; `None`: off.
    pub query_wait_notify: Option<Duration>,
    /// Longest query; `None`: off.
    pub query_timeout: Option<Duration>,
    /// Longest transaction; `None`: off.
    pub transaction_timeout: Option<Duration>,
    /// Longest silence in a transaction; `None`: off.
    pub idle_transaction_timeout: Option<Duration>,
    /// Longest silence outside a transaction; `None`: off.
    pub client_idle_timeout: Option<Duration>,
    /// Longest login.
    pub client_login_timeout: Duration,
    /// Longest wait for a server's socket and login.
    pub server_connect_timeout: Duration,
    /// Pause after a failed server login.
    pub server_login_retry: Duration,
    /// Idle server connections are closed after this; `None`: off.
    pub server_idle_timeout: Option<Duration>,
    /// Age limit of server connections; `None`: off; zero: each is used once.
    pub server_lifetime: Option<Duration>,
    /// The connection that has been idle longest is lent first, and not the one used last.
    pub server_round_robin: bool,
    /// An idle server connection is checked with a query before it is lent, if unused this long; `None`: off.
    pub server_check_delay: Option<Duration>,
    /// The query for that.
    pub server_check_query: String,
    /// Longest wait for a cancel request's turn.
    pub cancel_wait_timeout: Duration,
    /// How the process itself behaves.
    pub process: Process,

    /// Run at the end of a session (session mode), or of every lease with `server_reset_always`.
    pub server_reset_query: String,
    /// See there. `reset = "always"`.
    pub server_reset_always: bool,
    /// Prepared statements kept per server connection; 0: protocol-level statements are passed through.
    pub max_prepared_statements: u32,
    /// State that cannot be replayed.
    pub pin: Pin,
    /// Percent of a pool that pins may take.
    pub pin_share_percent: u32,
    /// What is done with the start-up parameters of clients.
    pub start_up: StartUp,

    /// Leases and leaks.
    pub leaks: Leaks,

    /// Texts and codes of our own errors.
    pub error_style: ErrorStyle,
    /// Whom they name.
    pub error_detail: ErrorDetail,
    /// What Plimsoll may do by itself.
    pub guards: Guards,
    /// What is logged of clients.
    pub log: ClientLog,
    /// Log file; `None`: standard error.
    pub log_file: Option<PathBuf>,
    /// PID file.
    pub pid_file: Option<PathBuf>,

    /// TCP_NODELAY is always on; keepalive: on, idle, interval, count.
    pub tcp_keepalive: Keepalive,
    /// TCP_USER_TIMEOUT; `None`: the system's.
    pub tcp_user_timeout: Option<Duration>,
    /// How sockets are made.
    pub sockets: Sockets,
    /// Largest message of a client before it is authenticated, bytes.
    pub max_packet_size: u32,

    /// What SHOW CONFIG prints: key, value, default, changeable; in the file's own vocabulary.
    pub shown: Vec<ShownSetting>,
    /// Mistakes that do not stop the start: keys not supported yet, values clipped.
    pub warnings: Vec<String>,
    /// Old names of keys that the file still uses.
    pub outdated: Vec<crate::Outdated>,
}

/// How long a shutdown takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drain {
    /// Readiness is withdrawn and clients are still accepted.
    pub delay: Duration,
    /// After the delay: then what is left is closed.
    pub timeout: Duration,
}

/// One row of SHOW CONFIG.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownSetting {
    /// The key.
    pub key: String,
    /// Its value now, secrets replaced by an empty text.
    pub value: String,
    /// Its default.
    pub default: String,
    /// A reload changes it.
    pub changeable: bool,
}
