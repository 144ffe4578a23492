//! What the hub asks of the pools.

use crate::directory::{PoolInfo, PoolKey, Route, Target};
use events::{ClientId, CloseReason, ConnId, FlowId, GuardMode, Time};
use pool::{
    Checkin, Checkout, Lesson, MonitorStep, Place, Purpose, Reading, Role, SilentLease, Unwanted,
};
use std::sync::Arc;

/// Why `auth_query` cannot be asked for a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoLookUp {
    /// The settings name no user that asks: nobody is looked up.
    Unasked,
    /// The database that it is to run in is not in the settings.
    NotConfigured(Box<str>),
    /// An administrator disabled that database.
    Disabled(Box<str>),
    /// It is the console, which runs no queries.
    Reserved,
}

impl NoLookUp {
    /// For the log, in PgBouncer's words.
    pub(crate) fn text(&self) -> String {
        match self {
            NoLookUp::Unasked => "no user is named that runs auth_query".to_owned(),
            NoLookUp::NotConfigured(name) => {
                format!("authentication database \"{name}\" is not configured.")
            }
            NoLookUp::Disabled(name) => format!("authentication database \"{name}\" is disabled"),
            NoLookUp::Reserved => {
                "cannot use the reserved \"pgbouncer\" database as an auth_dbname".to_owned()
            }
        }
    }
}

/// The pools, as the hub sees them. The proxy puts a lock behind it, the
/// simulator does not. What the pool wants done next comes to the hub as
/// calls of `granted`, `refused`, `open`, `detach` and `evict`, after the
/// dispatch.
pub trait Pools {
    /// Where a login leads; creates the pool when it is the first.
    fn route(&mut self, now: Time, target: Target<'_>) -> Route;
    /// The pool in which `auth_query` runs for logins to `database`.
    fn auth_pool(&mut self, now: Time, database: &str) -> Result<Arc<PoolInfo>, NoLookUp>;
    /// The query for logins to `database`, where it has one of its own.
    fn auth_query(&self, database: &str) -> Option<Box<str>> {
        let _ = database;
        None
    }
    /// A client begins to use a pool; its flow, by user and application.
    fn join(&mut self, pool: PoolKey, key: &str) -> FlowId;
    /// It stops using it.
    fn leave(&mut self, pool: PoolKey, flow: FlowId);
    /// A client enters the console; counted until `console_out`. Errors: the limit on clients that keeps it out, which
    /// is never asked of an administrator.
    fn console_in(&mut self, user: &str, admin: bool) -> Result<(), &'static str> {
        let _ = (user, admin);
        Ok(())
    }
    /// It left.
    fn console_out(&mut self, user: &str) {
        let _ = user;
    }
    /// Asks for a server connection.
    fn checkout(&mut self, now: Time, pool: PoolKey, client: ClientId, flow: FlowId) -> Checkout;
    /// What a `Refused(ServerDown)` rests on.
    fn failure(&mut self, pool: PoolKey) -> Option<Arc<str>>;
    /// When and how it failed; for the error's words.
    fn outage(&mut self, _pool: PoolKey) -> Option<pool::Outage> {
        None
    }
    /// How full the pool is, for the words of a refusal; with `holders`, who
    /// holds most.
    fn plight(&mut self, _pool: PoolKey, _flow: FlowId, _holders: bool) -> pool::Plight {
        pool::Plight::default()
    }
    /// A client asks for a pin beyond the pool's share: how far the guard goes.
    /// Counted.
    fn beyond_pins(&mut self, _pool: PoolKey) -> GuardMode {
        GuardMode::Enforce
    }
    /// Gives one back.
    fn checkin(
        &mut self,
        now: Time,
        pool: PoolKey,
        conn: ConnId,
        close: Option<CloseReason>,
    ) -> Checkin;
    /// Whether a lent connection is closed when it comes back.
    fn is_to_close(&mut self, _pool: PoolKey, _conn: ConnId) -> bool {
        false
    }
    /// A waiter is gone.
    fn cancel_wait(&mut self, now: Time, pool: PoolKey, client: ClientId);
    /// A connection is open and logged in.
    fn opened(&mut self, now: Time, pool: PoolKey, conn: ConnId, slot: u32);
    /// It could not be opened. `login`: the server refused the login.
    fn open_failed(&mut self, now: Time, pool: PoolKey, conn: ConnId, text: Arc<str>, login: bool);
    /// The server refused the login for good, with this SQLSTATE.
    fn open_refused(
        &mut self,
        now: Time,
        pool: PoolKey,
        conn: ConnId,
        text: Arc<str>,
        code: [u8; 5],
    ) {
        let _ = code;
        self.open_failed(now, pool, conn, text, true);
    }
    /// The server had no slot for it (53300), so that waiting helps. `own_limit`:
    /// it is the limit of its role or database.
    fn open_full(
        &mut self,
        now: Time,
        pool: PoolKey,
        conn: ConnId,
        text: Arc<str>,
        own_limit: bool,
    ) {
        let _ = own_limit;
        self.open_failed(now, pool, conn, text, false);
    }
    /// A connection has logged in, there, to a server of this role; told before
    /// `opened`. With a reason it must not serve, and `open_failed` follows.
    fn located(
        &mut self,
        _now: Time,
        _pool: PoolKey,
        _conn: ConnId,
        _at: Place,
        _role: Role,
    ) -> Option<Unwanted> {
        None
    }
    /// Clients of the pool have written.
    fn wrote(&mut self, _pool: PoolKey) {}
    /// A client's statement was answered 25006 on this connection.
    fn read_only(&mut self, _now: Time, _pool: PoolKey, _conn: ConnId) {}
    /// Which database the monitor session's server is.
    fn identified(&mut self, _pool: PoolKey, _system: u64) {}
    /// The pool is that of a monitor session.
    fn is_monitor(&self, _pool: PoolKey) -> bool {
        false
    }
    /// What the monitor session in this pool is to do.
    fn monitor_step(&mut self, _now: Time, _pool: PoolKey) -> MonitorStep {
        MonitorStep::Close
    }
    /// Its question was answered.
    fn monitor_heard(&mut self, _now: Time, _pool: PoolKey, _reading: &Reading) {}
    /// Its question failed.
    fn monitor_failed(&mut self, _now: Time, _pool: PoolKey) {}
    /// A connection is being closed outside of a return.
    fn closing(&mut self, now: Time, pool: PoolKey, conn: ConnId);
    /// A connection arrived from another worker, meant for `client`.
    fn arrived(
        &mut self,
        now: Time,
        pool: PoolKey,
        conn: ConnId,
        slot: u32,
        client: ClientId,
    ) -> bool;
    /// Whether the pool records this lease.
    fn is_taped(&mut self, pool: PoolKey, conn: ConnId) -> bool {
        let _ = (pool, conn);
        false
    }
    /// What a lease that is recorded was for; told before it ends.
    fn told(&mut self, now: Time, pool: PoolKey, conn: ConnId, purpose: &Purpose) {
        let _ = (now, pool, conn, purpose);
    }
    /// What was seen of leases that ended, and of silences that were broken.
    fn learn(&mut self, now: Time, pool: PoolKey, lessons: &[Lesson]) {
        let _ = (now, pool, lessons);
    }
    /// This worker's leases of the pool in which the client is silent, each
    /// second; empty once there are none any more.
    fn silent(&mut self, now: Time, pool: PoolKey, leases: Vec<SilentLease>) {
        let _ = (now, pool, leases);
    }
    /// A lease was taken back, or would have been; `done` unset: it is not
    /// silent any more.
    fn reclaimed(
        &mut self,
        now: Time,
        pool: PoolKey,
        conn: ConnId,
        client: ClientId,
        enforce: bool,
        done: bool,
    ) {
        let _ = (now, pool, conn, client, enforce, done);
    }
}
