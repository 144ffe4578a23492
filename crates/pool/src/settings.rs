//! What an operator sets, already checked by the caller.

use crate::auto::AutoSettings;
use crate::leaks::LeakSettings;
use crate::rules::FlowRules;
use events::Guards;
use std::sync::Arc;
use std::time::Duration;

/// A limit shared by several pools of one upstream, such as PgBouncer's
/// `max_db_connections` and `max_user_connections`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CapId(pub u32);

/// A stated size so many times what the server could give at best is no measured
/// one: the pool searches below it. Twice, since a number near the server's own
/// may be meant, and the line holds in any case.
pub const BEYOND: u32 = 2;

/// Settings of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Most server connections, ≥ 1. There is no "unlimited".
    pub size: u32,
    /// The size moves by itself within these bounds; `size` then holds where
    /// the guard does not act.
    pub auto: Option<AutoSettings>,
    /// `size` moves by itself within these bounds while it is [`BEYOND`] times
    /// what the server could give at best, or more: no person has measured
    /// such a number. Not used beside `auto`.
    pub beyond: Option<AutoSettings>,
    /// Connections kept open even when idle; never more than `size` count.
    pub min: u32,
    /// Further connections allowed once a client waited `reserve_after`.
    pub reserve: u32,
    /// How long a client must have waited before the reserve is used.
    pub reserve_after: Duration,
    /// Longest wait for a connection. `None` waits for ever.
    pub wait_timeout: Option<Duration>,
    /// Most clients in the queue.
    pub queue_max: u32,
    /// Idle server connections above `min` are closed after this.
    pub idle_timeout: Option<Duration>,
    /// Server connections are closed, once returned, after this age. Spread
    /// over up to 6 % less, so that connections opened together do not all
    /// end together. Zero: each is closed when its first lease ends.
    pub lifetime: Option<Duration>,
    /// The connection idle longest is lent first, and not the one used last.
    pub round_robin: bool,
    /// The shared limits that this pool counts against.
    pub caps: Vec<CapId>,
    /// What the pool may do by itself.
    pub guards: Guards,
    /// How long silence lasts before a lease is suspected.
    pub leaks: LeakSettings,
    /// Weights and deadlines of applications and users.
    pub rules: Arc<FlowRules>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        PoolSettings {
            size: 20,
            auto: None,
            beyond: None,
            min: 0,
            reserve: 0,
            reserve_after: Duration::from_secs(5),
            wait_timeout: Some(Duration::from_secs(30)),
            queue_max: 10_000,
            idle_timeout: Some(Duration::from_secs(600)),
            lifetime: Some(Duration::from_secs(3600)),
            round_robin: false,
            caps: Vec::new(),
            guards: Guards::default(),
            leaks: LeakSettings::default(),
            rules: Arc::default(),
        }
    }
}

/// Settings of the database server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The line: most server connections open at once, over all pools and workers.
    pub line: u32,
    /// Connections being opened at the same time, at most.
    pub connects_max: u32,
    /// PgBouncer's `server_login_retry`. After a refused login: the pause
    /// before the next try, doubled at each further one, up to
    /// [`RETRY_DELAY_MAX`](crate::RETRY_DELAY_MAX). For a server that is away:
    /// the longest pause, and the time after which its clients are told.
    pub login_retry: Duration,
    /// Clients wait that long also for a server that never was there yet, as PgBouncer's do: it may be starting
    /// beside the pooler. Otherwise they are told at once, since a wrong address is the likelier cause.
    pub patient: bool,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        UpstreamSettings {
            line: 50,
            connects_max: 10,
            login_retry: Duration::from_secs(1),
            patient: false,
        }
    }
}
