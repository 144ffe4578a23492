//! What a worker knows of the settings: databases, users and pools.
//!
//! The shell compiles this from the checked plan and swaps it whole.

use crate::admission::HostRules;
use crate::params::ParamSet;
use crate::session_attrs::SessionAttrs;
use crate::trail::StatementText;
use events::UpstreamId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wire::scram;

/// A pool's number in this process. Dense: workers keep per-pool state by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PoolKey(pub u32);

/// How long a client keeps a server connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PoolMode {
    /// Until it disconnects.
    Session,
    /// Until its transaction ends.
    #[default]
    Transaction,
    /// Until its statement ends.
    Statement,
}

impl PoolMode {
    /// As settings and console write it.
    pub const fn label(self) -> &'static str {
        match self {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        }
    }
}

/// What of a server's log a client follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Replication {
    /// Nothing: it is an ordinary client.
    #[default]
    None,
    /// The whole log, of no database.
    Physical,
    /// The changes of one database.
    Logical,
}

impl Replication {
    /// As the console writes it.
    pub const fn label(self) -> &'static str {
        match self {
            Replication::None => "none",
            Replication::Physical => "physical",
            Replication::Logical => "logical",
        }
    }

    /// It is some.
    pub const fn is_on(self) -> bool {
        !matches!(self, Replication::None)
    }

    /// The start-up parameter's value towards a server; `None`: it is not sent.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Replication::None => None,
            Replication::Physical => Some("true"),
            Replication::Logical => Some("database"),
        }
    }

    /// From that value; PostgreSQL takes any spelling of a truth value.
    pub(crate) fn read(value: &str) -> Option<Replication> {
        match value.to_ascii_lowercase().as_str() {
            "database" => Some(Replication::Logical),
            "true" | "on" | "yes" | "1" => Some(Replication::Physical),
            "false" | "off" | "no" | "0" => Some(Replication::None),
            _ => None,
        }
    }
}

/// Which texts and codes clients see for errors of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ErrorStyle {
    /// 53300 and friends with DETAIL and HINT; a logged-in client keeps its session.
    #[default]
    Plimsoll,
    /// PgBouncer's texts, FATAL 08P01.
    Pgbouncer,
}

/// How clients prove who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Auth {
    /// SCRAM-SHA-256, and -PLUS over TLS.
    #[default]
    Scram,
    /// md5, or SCRAM where the stored secret is a SCRAM one.
    Md5,
    /// The password in the clear.
    Plain,
    /// No proof; the user must exist.
    Trust,
    /// No proof, any name.
    Any,
    /// A TLS client certificate with the user's name.
    Cert,
    /// The other side of the unix socket is a process of that user.
    Peer,
    /// None: it is refused.
    Reject,
}

/// A query that finds a user's secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthQuery {
    /// The query; `$1` is the user's name.
    pub query: Box<str>,
    /// Who runs it.
    pub user: Box<str>,
    /// Where, by the name that clients use; `None`: the client's own database.
    pub database: Option<Box<str>>,
}

/// How the pooler proves to a server who it is.
#[derive(Clone, Default)]
pub struct ServerAuth {
    /// The password in the clear, or an md5 hash `md5…`.
    pub password: Option<Box<str>>,
    /// SCRAM keys, where known without a password.
    pub keys: Option<scram::Keys>,
}

impl std::fmt::Debug for ServerAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerAuth(…)")
    }
}

/// Everything that the hub needs to know of one pool.
#[derive(Debug)]
pub struct PoolInfo {
    /// Its number.
    pub key: PoolKey,
    /// The database server that it is on.
    pub upstream: UpstreamId,
    /// Database name as clients know it.
    pub database: Box<str>,
    /// User name at the server.
    pub user: Box<str>,
    /// Database name at the server.
    pub server_database: Box<str>,
    /// Server address for people: `host:port` or a path.
    pub address: Box<str>,
    /// Proof for the server.
    pub auth: ServerAuth,
    /// Start-up parameters sent to the server.
    pub parameters: ParamSet,
    /// How long clients keep connections.
    pub mode: PoolMode,
    /// Its connections are for replication: each is opened for one client, with
    /// that client's start-up parameters, and never used again.
    pub replication: Replication,
    /// Run once on each new server connection.
    pub connect_query: Option<Box<str>>,
    /// What a server must be to serve it.
    pub session_attrs: SessionAttrs,
    /// Most connections of the pool, for error texts.
    pub size: u32,
    /// Pins that may exist at once.
    pub pins_max: u32,
    /// What a server of this pool reported at its last login, over all workers
    /// and descriptions; a login that comes while every connection is lent is
    /// answered from it. Locked at logins only.
    pub greeting: Arc<Mutex<Option<Arc<ParamSet>>>>,
    /// Pins that exist, over all workers and descriptions of this pool. Touched when a client's first pin
    /// begins and its last ends.
    pub pins: Arc<AtomicU32>,
}

impl PoolInfo {
    pub(crate) fn greeting(&self) -> Option<Arc<ParamSet>> {
        self.greeting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn learn_greeting(&self, greeting: &Arc<ParamSet>) {
        *self.greeting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(greeting));
    }

    /// Takes one of the pins, if the share allows it.
    pub(crate) fn take_pin(&self) -> bool {
        self.pins
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < self.pins_max).then_some(n + 1)
            })
            .is_ok()
    }

    pub(crate) fn give_pin(&self) {
        let _ = self
            .pins
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    }
}

/// Where a (database, user) pair of a login leads.
#[derive(Clone, Debug)]
pub enum Route {
    /// The console.
    Console,
    /// A pool.
    Pool(Arc<PoolInfo>),
    /// There is no such database.
    NoDatabase,
    /// The database is disabled.
    Disabled,
    /// A limit on clients is reached: its name.
    Full(&'static str),
}

/// Where a login's client goes, asked of the shell, which creates pools.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Database named by the client.
    pub database: &'a str,
    /// User named by the client.
    pub user: &'a str,
    /// Its stored secret, for pools that log in to the server as their clients.
    pub secret: Option<&'a str>,
    /// SCRAM keys that its login revealed, for the same.
    pub keys: Option<&'a scram::Keys>,
    /// The replication that it asks for, with its start-up parameters: a pool
    /// for it alone.
    pub replication: Option<(Replication, &'a ParamSet)>,
}

/// Timeouts of one user; `None`: the general one holds, `Some(None)`: none does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UserLimits {
    /// Longest query.
    pub query: Option<Option<Duration>>,
    /// Longest transaction.
    pub transaction: Option<Option<Duration>>,
    /// Longest silence in a transaction.
    pub idle_transaction: Option<Option<Duration>>,
    /// Longest silence outside one.
    pub client_idle: Option<Option<Duration>>,
}

/// The timeouts that hold for one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) query: Option<Duration>,
    pub(crate) transaction: Option<Duration>,
    pub(crate) idle_transaction: Option<Duration>,
    pub(crate) client_idle: Option<Duration>,
}

/// Settings that the hub reads.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How clients prove who they are.
    pub auth: Auth,
    /// Says it for each login, in place of `auth`.
    pub rules: Option<Arc<dyn HostRules>>,
    /// Finds users that are not in the directory.
    pub auth_query: Option<AuthQuery>,
    /// How long its answers are kept.
    pub auth_query_ttl: Duration,
    /// TLS can be offered to clients.
    pub client_tls: bool,
    /// Clients must use TLS.
    pub client_tls_required: bool,
    /// tls-server-end-point data of our own certificate, for SCRAM-SHA-256-PLUS.
    pub channel_binding: Option<Arc<[u8]>>,
    /// A client that sends a simple query is disconnected.
    pub extended_only: bool,
    /// A session ends with its transaction where its server connection is to be replaced.
    pub fast_close: bool,
    /// Texts and codes of our errors.
    pub error_style: ErrorStyle,
    /// They name others who hold connections of the client's pool.
    pub error_detail_full: bool,
    /// Prepared statements kept per server connection; 0: passed through.
    pub prepared_max: u32,
    /// Pins hold the server connection; otherwise they are only counted.
    pub pin: bool,
    /// Run at the end of a session.
    pub reset_query: Box<str>,
    /// Run it at the end of every lease.
    pub reset_always: bool,
    /// Refuse start-up parameters that PgBouncer does not track.
    pub strict_startup: bool,
    /// Start-up parameters that are dropped.
    pub ignore_startup: BTreeSet<Box<str>>,
    /// Start-up parameters, in lower case, that are tracked beside PgBouncer's own.
    pub track_startup: BTreeSet<Box<str>>,
    /// The client's host and port are added to its application_name at login.
    pub add_host: bool,
    /// Largest start-up packet, bytes.
    pub startup_max: usize,
    /// Longest login of a client.
    pub login_timeout: Duration,
    /// Longest login at a server, connect included.
    pub server_connect_timeout: Duration,
    /// Longest query.
    pub query_timeout: Option<Duration>,
    /// Longest transaction.
    pub transaction_timeout: Option<Duration>,
    /// Longest silence in a transaction.
    pub idle_transaction_timeout: Option<Duration>,
    /// Longest silence outside one.
    pub client_idle_timeout: Option<Duration>,
    /// What holds for single users in place of these four.
    pub user_limits: BTreeMap<Box<str>, UserLimits>,
    /// The shell is told what errors of ours clients get, for the log.
    pub log_errors: bool,
    /// A server connection unused for this long is checked before it is lent.
    pub check_delay: Option<Duration>,
    /// The statement for that.
    pub check_query: Box<str>,
    /// A NOTICE to clients that wait longer.
    pub wait_notify: Option<Duration>,
    /// How much of the last statement of a lease is shown.
    pub statement_text: StatementText,
    /// Rounds of SCRAM keys that are made from plain passwords, and of those that
    /// unknown users are shown.
    pub scram_iterations: u32,
    /// Users and applications whose leases are never taken back.
    pub reclaim_exempt: BTreeSet<Box<str>>,
    /// Users who may do all in the console.
    pub admin_users: BTreeSet<Box<str>>,
    /// Users who may read in the console.
    pub stats_users: BTreeSet<Box<str>>,
}

impl Settings {
    /// The timeouts of a client that logged in as `user`.
    pub(crate) fn limits(&self, user: &str) -> Limits {
        let of = match self.user_limits.is_empty() {
            true => UserLimits::default(),
            false => self.user_limits.get(user).copied().unwrap_or_default(),
        };
        Limits {
            query: of.query.unwrap_or(self.query_timeout),
            transaction: of.transaction.unwrap_or(self.transaction_timeout),
            idle_transaction: of.idle_transaction.unwrap_or(self.idle_transaction_timeout),
            client_idle: of.client_idle.unwrap_or(self.client_idle_timeout),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            auth: Auth::Scram,
            rules: None,
            auth_query: None,
            auth_query_ttl: Duration::from_secs(30),
            client_tls: false,
            client_tls_required: false,
            channel_binding: None,
            extended_only: false,
            fast_close: false,
            error_style: ErrorStyle::Plimsoll,
            error_detail_full: false,
            prepared_max: 200,
            pin: true,
            reset_query: "DISCARD ALL".into(),
            reset_always: false,
            strict_startup: false,
            ignore_startup: BTreeSet::new(),
            track_startup: BTreeSet::from(["intervalstyle".into()]),
            add_host: false,
            startup_max: 10_000,
            login_timeout: Duration::from_secs(60),
            server_connect_timeout: Duration::from_secs(15),
            query_timeout: None,
            transaction_timeout: None,
            idle_transaction_timeout: None,
            client_idle_timeout: None,
            user_limits: BTreeMap::new(),
            log_errors: false,
            check_delay: Some(Duration::from_secs(30)),
            check_query: "select 1".into(),
            wait_notify: None,
            statement_text: StatementText::default(),
            scram_iterations: wire::scram::ITERATIONS_DEFAULT,
            reclaim_exempt: BTreeSet::new(),
            admin_users: BTreeSet::new(),
            stats_users: BTreeSet::new(),
        }
    }
}

/// Settings and users, swapped whole.
#[derive(Debug, Default)]
pub struct Directory {
    /// Settings.
    pub settings: Settings,
    /// Stored secrets by user: plain, `md5…` or `SCRAM-SHA-256$…`; `None`
    /// for a user without one.
    pub users: BTreeMap<Box<str>, Stored>,
    /// Seed of the salts shown for unknown users, so that they look like known ones.
    pub mock_seed: [u8; 32],
}

/// A stored secret. Its `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored(pub Option<Box<str>>);

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stored(…)")
    }
}
