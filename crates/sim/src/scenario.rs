//! What a run is made of: how many of everything, and how often what goes wrong.

use crate::rng::Rng;
use relay::{Auth, PoolMode};
use std::time::Duration;

/// One database.
#[derive(Clone, Debug)]
pub struct PoolSpec {
    /// Its mode.
    pub mode: PoolMode,
    /// Its size.
    pub size: u32,
    /// Most pins.
    pub pins_max: u32,
    /// Most waiters.
    pub queue_max: u32,
    /// Idle server connections end after this.
    pub idle_timeout: Option<Duration>,
    /// All server connections end after this.
    pub lifetime: Option<Duration>,
    /// It has a `connect_query`.
    pub connect_query: bool,
}

/// A planted bug: proves that a checker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// Two clients' grants are exchanged.
    SwapGrants,
    /// A server forgets to take parameters back at DISCARD and RESET.
    KeepParameters,
    /// A cancel request is delivered to another server connection.
    MisdirectCancel,
    /// A reply to one client is delivered to another.
    CrossReplies,
    /// A notification goes to a session that does not listen.
    StrayNotification,
    /// A granted client is not told.
    LoseGrant,
    /// A server's reply loses its ReadyForQuery.
    LoseReady,
    /// A closed connection is reported gone at once while the server still has it.
    EarlyClosed,
    /// A pin is not given back.
    KeepPin,
    /// A peer's backlog is not told.
    HideBacklog,
    /// A connection is handed over with a statement still running.
    HandOverBusy,
    /// A statement is prepared with another one's text.
    WrongStatement,
    /// A commit is lost.
    LoseCommit,
    /// The pool lends a connection and keeps it in its idle list.
    LendTwice,
    /// The pool lets a returned connection lie idle although clients wait.
    ForgetWaiters,
    /// The hub panics.
    Panic,
    /// A lease that listens is taken back.
    ReclaimListener,
    /// The transaction of a lease that was taken back is committed.
    CommitReclaimed,
    /// Something of a session runs after its lease was taken back.
    RunAfterReclaim,
}

/// Timeouts that a run may set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Longest transaction.
    pub transaction: Option<Duration>,
    /// Longest silence in a transaction.
    pub idle_transaction: Option<Duration>,
    /// Longest silence outside of one.
    pub idle: Option<Duration>,
}

/// How often things go wrong, each per thousand fault turns.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Mean time between two fault turns, µs; 0: none.
    pub every: u64,
    /// Weights, in the order of [`crate::stats::FaultKind`].
    pub weights: [u32; crate::stats::FAULTS],
}

/// A run's shape.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Hubs.
    pub workers: usize,
    /// Virtual clients.
    pub clients: usize,
    /// The upstream's line.
    pub line: u32,
    /// Databases `app0`, `app1`, …
    pub pools: Vec<PoolSpec>,
    /// Client messages after which no more are made.
    pub ops: u64,
    /// Link latency, µs, from and to.
    pub latency: (u64, u64),
    /// Deliveries of a few bytes only, per thousand.
    pub drip: u32,
    /// Socket buffers, bytes.
    pub buffer: usize,
    /// Think time of clients, µs, at most.
    pub think: u64,
    /// Clients that read slowly, per thousand reads.
    pub slow: u32,
    /// Pipelining, per thousand acts.
    pub pipeline: u32,
    /// Statements that leave session state, per thousand.
    pub stateful: u32,
    /// Cancels of own sleeps, per thousand.
    pub cancels: u32,
    /// Sudden ends of a client, per thousand acts.
    pub leave: u32,
    /// Prepared statements per server connection.
    pub prepared_max: u32,
    /// Client authentication.
    pub auth: Auth,
    /// Users come from `auth_query`.
    pub auth_query: bool,
    /// Server authentication: 0 trust, 1 md5, 2 SCRAM, 3 plain.
    pub server_auth: u8,
    /// `server_reset_query_always`.
    pub reset_always: bool,
    /// Longest wait for a connection.
    pub wait_timeout: Duration,
    /// Longest query.
    pub query_timeout: Option<Duration>,
    /// A server connection unused for this long is checked.
    pub check_delay: Option<Duration>,
    /// Faults.
    pub faults: Faults,
    /// Mean time between two acts of an administrator, µs; 0: none.
    pub admin: u64,
    /// Weights, in the order of [`crate::stats::AdminKind`].
    pub admin_weights: [u32; crate::stats::ADMINS],
    /// Timeouts besides the one of queries.
    pub limits: Limits,
    /// A limit shared by the pools of one database.
    pub cap: Option<u32>,
    /// FunctionCalls, per thousand acts.
    pub functions: u32,
    /// Statements about roles, per thousand.
    pub roles: u32,
    /// Sockets that end while nobody reads them are noticed, as the proxy does.
    pub hangups: bool,
    /// The run ends with a drain.
    pub drain: bool,
    /// Clients that fall silent in a transaction, per thousand acts outside of one.
    pub silences: u32,
    /// How long silence lasts before it is acted upon.
    pub leaks: pool::LeakSettings,
    /// A planted bug.
    pub plant: Option<Plant>,
}

/// Kinds of faults that [`Scenario::plain`] draws.
const FIRST_FAULTS: usize = 19;

impl Scenario {
    /// A scenario drawn from a seed.
    pub fn random(seed: u64, ops: u64) -> Scenario {
        Scenario::plain(seed, ops).widened(seed)
    }

    /// What came after the first scenarios, drawn apart from them: so the seeds
    /// that failed before still repeat.
    fn widened(mut self, seed: u64) -> Scenario {
        let r = &mut Rng::new(seed ^ 0x0ad0_b1de);
        for weight in &mut self.admin_weights {
            *weight = if r.permille(600) {
                r.below(100) as u32
            } else {
                0
            };
        }
        use crate::stats::AdminKind as A;
        self.admin_weights[A::Drain as usize] = 0;
        for kind in [A::Retire, A::Move, A::Panic, A::Kill] {
            self.admin_weights[kind as usize] /= 5;
        }
        self.admin = [0, 20_000, 200_000, 1_000_000][r.below(4) as usize];
        let some = |r: &mut Rng, values: [u64; 2]| {
            r.permille(250)
                .then(|| Duration::from_millis(values[r.below(2) as usize]))
        };
        self.limits = Limits {
            transaction: some(r, [30, 300]),
            idle_transaction: some(r, [20, 200]),
            idle: some(r, [20, 200]),
        };
        if r.permille(200) {
            self.query_timeout = Some(Duration::from_millis([10, 100][r.below(2) as usize]));
        }
        self.cap = r.permille(300).then(|| r.range(4, 12) as u32);
        self.functions = [0, 30][r.below(2) as usize];
        self.roles = [0, 50][r.below(2) as usize];
        self.hangups = true;
        self.drain = r.permille(250);
        if self.faults.every > 0 && r.permille(400) {
            self.faults.weights[crate::stats::FaultKind::SilentClient as usize] = 5;
        }
        if self.faults.every > 0 && r.permille(300) {
            self.faults.weights[crate::stats::FaultKind::Reject as usize] = 1;
            self.faults.weights[crate::stats::FaultKind::BadParameters as usize] = 5;
        }
        self
    }

    /// The first scenarios: without administrators and what else came later.
    pub fn plain(seed: u64, ops: u64) -> Scenario {
        let mut r = Rng::new(seed ^ 0x5ce4_a210);
        let databases = r.range(1, 3);
        let pools: Vec<PoolSpec> = (0..databases).map(|_| pool(&mut r)).collect();
        let calm = r.permille(300);
        let mut weights = [0; crate::stats::FAULTS];
        for w in &mut weights[..FIRST_FAULTS] {
            *w = if r.permille(600) {
                r.below(100) as u32
            } else {
                0
            };
        }
        // These hit everybody for a while: seldom.
        use crate::stats::FaultKind as F;
        for kind in [F::Restart, F::Refuse, F::Unreachable, F::SlowLogin] {
            weights[kind as usize] /= 30;
        }
        Scenario {
            workers: r.range(1, 4) as usize,
            clients: r.range(2, 40) as usize,
            line: 0,
            pools,
            ops,
            latency: match r.below(3) {
                0 => (1, 5),
                1 => (20, 200),
                _ => (1, 5000),
            },
            drip: [0, 0, 10, 200, 900][r.below(5) as usize],
            buffer: [512, 4096, 65536][r.below(3) as usize],
            think: [0, 1000, 50_000][r.below(3) as usize],
            slow: [0, 0, 20][r.below(3) as usize],
            pipeline: [0, 200, 700][r.below(3) as usize],
            stateful: [0, 30, 200][r.below(3) as usize],
            cancels: [0, 300, 900][r.below(3) as usize],
            leave: [0, 2, 20][r.below(3) as usize],
            prepared_max: [2, 5, 100][r.below(3) as usize],
            auth: [Auth::Trust, Auth::Md5, Auth::Scram, Auth::Plain][r.below(4) as usize],
            auth_query: r.permille(150),
            server_auth: r.below(4) as u8,
            reset_always: r.permille(100),
            wait_timeout: Duration::from_millis([300, 3000, 3000][r.below(3) as usize]),
            query_timeout: Some(Duration::from_secs(4)),
            check_delay: [
                None,
                Some(Duration::from_millis(1)),
                Some(Duration::from_millis(100)),
            ][r.below(3) as usize],
            faults: Faults {
                every: if calm {
                    0
                } else {
                    [2_000, 20_000, 100_000][r.below(3) as usize]
                },
                weights,
            },
            admin: 0,
            admin_weights: [0; crate::stats::ADMINS],
            limits: Limits::default(),
            cap: None,
            functions: 0,
            roles: 0,
            hangups: false,
            drain: false,
            silences: 0,
            leaks: pool::LeakSettings::default(),
            plant: None,
        }
        .with_line(r.range(2, 16) as u32)
    }

    /// A pool without a connection borrows one only after its clients waited
    /// two seconds: shorter deadlines need a line for all pools.
    fn with_line(mut self, line: u32) -> Scenario {
        let pools = self.pools.len() as u32 * 4;
        let short = self.wait_timeout < Duration::from_secs(2);
        self.line = if short { line.max(pools) } else { line };
        self
    }

    /// The same without anything that goes wrong.
    pub fn calm(mut self) -> Scenario {
        self.faults = Faults::default();
        self.leave = 0;
        self.admin = 0;
        self.limits = Limits::default();
        self
    }
}

fn pool(r: &mut Rng) -> PoolSpec {
    let size = r.range(1, 8) as u32;
    PoolSpec {
        mode: [
            PoolMode::Transaction,
            PoolMode::Transaction,
            PoolMode::Transaction,
            PoolMode::Session,
            PoolMode::Statement,
        ][r.below(5) as usize],
        size,
        pins_max: r.range(0, u64::from(size)) as u32,
        queue_max: [2, 1000, 1000][r.below(3) as usize],
        idle_timeout: [None, Some(Duration::from_millis(200))][r.below(2) as usize],
        lifetime: [None, Some(Duration::from_millis(700))][r.below(2) as usize],
        connect_query: r.permille(200),
    }
}
