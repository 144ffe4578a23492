//! The pools as a worker sees them: one short lock per call.

use crate::actions::Actions;
use crate::budget::BudgetLog;
use crate::following;
use crate::helpers::Clock;
use crate::letters::with_pools;
use crate::mail::Mail;
use crate::mail::Mailbox;
use crate::observer::Watch;
use crate::registry::{Shared, UpstreamCell};
use crate::tap::Tap;
use events::{
    ClientId, CloseReason, ConnId, FlowId, GuardMode, PoolId, Time, UpstreamId, WorkerId,
};
use pool::{
    Action, Checkin, Checkout, Lesson, MonitorStep, Place, Purpose, Reading, Role, SilentLease,
    Unwanted, Upstream,
};
use relay::{NoLookUp, PoolInfo, PoolKey, Pools, Route, Target};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What all workers share.
pub(crate) struct Common {
    pub(crate) registry: Shared,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) clock: Clock,
    pub(crate) secrets: crate::secrets::Secrets,
    /// Statements for the console's thread.
    pub(crate) console: SyncSender<ConsoleJob>,
    /// Statements that came to the console so far; PgBouncer counts them as those of a database.
    pub(crate) console_statements: AtomicU64,
    /// Console statements that have no answer yet.
    pub(crate) waits: crate::console::waiting::Waits,
    /// What the names of servers lead to, for the console.
    pub(crate) resolved: crate::names::Resolved,
    /// Who watches what clients say and hear.
    pub(crate) watch: Option<Watch>,
    /// Whether an administrator captures what clients send.
    pub(crate) tap: Tap,
    /// What happened, for the timeline.
    pub(crate) actions: Actions,
    /// Tests only: the next request for a connection of this database panics.
    #[cfg(test)]
    pub(crate) panic_in: std::sync::Mutex<Option<String>>,
}

/// A console statement.
pub(crate) struct ConsoleJob {
    pub(crate) client: ClientId,
    pub(crate) admin: bool,
    /// The user that logged in.
    pub(crate) user: String,
    /// Who sends it and from where, for the log.
    pub(crate) actor: String,
    pub(crate) text: Box<[u8]>,
}

impl Common {
    /// Hands a statement to the console's thread.
    pub(crate) fn console(&self, job: ConsoleJob) {
        let client = job.client;
        self.console_statements.fetch_add(1, Ordering::Relaxed);
        if self.console.try_send(job).is_err() {
            let mut reply = Vec::new();
            crate::columns::error(&mut reply, "53300", "the console is busy");
            self.post(client.worker, Mail::Console { client, reply });
        }
    }

    /// Whether a closed client may keep its file for its last bytes: those that
    /// the limit on clients leaves, and a few more.
    pub(crate) fn file_to_linger(&self) -> bool {
        let files = |m: &Arc<Mailbox>| {
            let held = m.clients.load(Ordering::Relaxed);
            u64::from(held) + u64::from(m.lingering.load(Ordering::Relaxed))
        };
        let used: u64 = self.mailboxes.iter().map(files).sum();
        let clients = u64::from(self.read().plan.max_client_conn);
        used < clients + crate::listen::LINGERING_FILES
    }

    pub(crate) fn post(&self, worker: WorkerId, mail: crate::mail::Mail) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(worker.0)) {
            mailbox.post(mail);
        }
    }

    #[cfg(test)]
    fn panic_if_asked(&self, key: PoolKey) {
        let database = self.read().place(key).map(|p| p.info.database.to_string());
        let asked = {
            let mut asked = self.panic_in.lock().unwrap_or_else(PoisonError::into_inner);
            match *asked == database && database.is_some() {
                true => asked.take(),
                false => None,
            }
        };
        if let Some(database) = asked {
            panic!("planted by a test in database {database}");
        }
    }

    pub(crate) fn read(&self) -> std::sync::RwLockReadGuard<'_, crate::registry::Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> std::sync::RwLockWriteGuard<'_, crate::registry::Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a pool is, as far as that never changes.
struct Known {
    upstream: Arc<UpstreamCell>,
    pool: PoolId,
    clients: Arc<AtomicU32>,
    monitor: bool,
    taken: Option<Arc<AtomicBool>>,
}

/// A worker's own view: places by pool, so that the registry is asked once
/// per pool, and actions for this worker that wait for the end of the dispatch.
pub(crate) struct Port {
    common: Arc<Common>,
    worker: WorkerId,
    places: Vec<Option<Known>>,
    pub(crate) actions: VecDeque<(UpstreamId, Action)>,
    size_log: crate::sizing::SizeLog,
    lines: BudgetLog,
}

impl Port {
    pub(crate) fn new(common: Arc<Common>, worker: WorkerId) -> Port {
        Port {
            common,
            worker,
            places: Vec::new(),
            actions: VecDeque::new(),
            size_log: crate::sizing::SizeLog::default(),
            lines: BudgetLog::default(),
        }
    }

    /// A pool's place; the registry is asked once, because it never changes.
    fn known(&mut self, key: PoolKey) -> Option<&Known> {
        let index = key.0 as usize;
        if !matches!(self.places.get(index), Some(Some(_))) {
            let place = self.common.read().place(key)?.clone();
            if self.places.len() <= index {
                self.places.resize_with(index + 1, || None);
            }
            self.places[index] = Some(Known {
                upstream: place.upstream,
                pool: place.pool,
                clients: place.clients,
                monitor: place.monitor,
                taken: place.taken,
            });
        }
        self.places.get(index)?.as_ref()
    }

    /// Runs `f` on the pool's upstream under its lock, then takes what the
    /// pool wants done: for this worker into the list, for others by mail.
    fn with<R>(&mut self, key: PoolKey, f: impl FnOnce(&mut Upstream, PoolId) -> R) -> Option<R> {
        self.known(key)?;
        let known = self.places.get(key.0 as usize)?.as_ref()?;
        let (cell, pool) = (&known.upstream, known.pool);
        let hand_on = hand_on(self.worker, cell.id, &self.common, &mut self.actions);
        Some(with_pools(&cell.pools, |u| f(u, pool), hand_on))
    }

    /// The end of file of a connection was seen: its charge ends.
    pub(crate) fn closed(&mut self, now: Time, key: PoolKey, conn: ConnId) {
        self.with(key, |u, _| u.closed(now, conn));
    }

    /// Contains a panic: everything of the pool is refused and closed.
    pub(crate) fn fail_pool(&mut self, now: Time, key: PoolKey) {
        self.with(key, |u, pool| u.fail_pool(now, pool));
    }

    /// Deadlines and retries of every upstream. Gives those whose name is to be
    /// looked up now.
    pub(crate) fn tick(&mut self, now: Time) -> Vec<Arc<UpstreamCell>> {
        let mut asked = Vec::new();
        let cells: Vec<_> = self.common.read().upstreams().to_vec();
        self.lines.look(now, &cells);
        for cell in cells {
            let hand_on = hand_on(self.worker, cell.id, &self.common, &mut self.actions);
            let turn = |u: &mut Upstream| {
                u.tick(now);
                u.sample(now);
                // Empty nearly always, and then without memory.
                let resized = std::iter::from_fn(|| u.poll_resized()).collect::<Vec<_>>();
                (resized, u.name_is_due(now), following::News::take(u))
            };
            let (resized, due, news) = with_pools(&cell.pools, turn, hand_on);
            self.size_log.tell(now, cell.id, &resized, &self.common);
            news.tell(&cell, &self.common.actions);
            if due {
                asked.push(cell);
            }
        }
        asked
    }

    /// What this worker counted, for pools that size themselves.
    pub(crate) fn note_service(&mut self, key: PoolKey, service: pool::Service) {
        let worker = self.worker;
        self.with(key, |u, pool| u.note_service(pool, worker, service));
    }

    /// What the name of a pool's server leads to.
    pub(crate) fn named(&mut self, now: Time, key: PoolKey, addresses: &[IpAddr]) {
        self.with(key, |u, _| u.named(now, addresses));
    }

    /// How old an answer of the resolver may be for a connection of this pool.
    pub(crate) fn name_age_max(&mut self, now: Time, key: PoolKey) -> Option<Duration> {
        self.with(key, |u, _| u.name_age_max(now))
    }

    /// The server of a pool.
    pub(crate) fn upstream_of(&mut self, key: PoolKey) -> Option<UpstreamId> {
        Some(self.known(key)?.upstream.id)
    }

    /// The key of an upstream's pool.
    pub(crate) fn key_of(&self, upstream: UpstreamId, pool: PoolId) -> Option<PoolKey> {
        self.common.read().key_of(upstream, pool)
    }

    /// The key and description of an upstream's pool.
    pub(crate) fn info(&self, upstream: UpstreamId, pool: PoolId) -> Option<Arc<PoolInfo>> {
        let registry = self.common.read();
        let key = registry.key_of(upstream, pool)?;
        registry.place(key).map(|p| Arc::clone(&p.info))
    }
}

/// Lets another thread act on an upstream and routes what follows by mail.
pub(crate) fn act<R>(
    common: &Common,
    cell: &UpstreamCell,
    f: impl FnOnce(&mut Upstream) -> R,
) -> R {
    with_pools(&cell.pools, f, |worker, action| {
        common.post(worker, Mail::Pool(cell.id, action));
    })
}

/// What the pool wants done: for this worker into its list, for others by mail.
fn hand_on<'a>(
    own: WorkerId,
    upstream: UpstreamId,
    common: &'a Common,
    actions: &'a mut VecDeque<(UpstreamId, Action)>,
) -> impl FnMut(WorkerId, Action) + use<'a> {
    move |worker, action| match worker == own {
        true => actions.push_back((upstream, action)),
        false => common.post(worker, Mail::Pool(upstream, action)),
    }
}

impl Pools for Port {
    fn route(&mut self, _now: Time, target: Target<'_>) -> Route {
        let known = self.common.read().known_route(&target);
        known.unwrap_or_else(|| self.common.write().route(&target))
    }

    fn auth_pool(&mut self, _now: Time, database: &str) -> Result<Arc<PoolInfo>, NoLookUp> {
        if let Some(known) = self.common.read().known_auth_pool(database)? {
            return Ok(known);
        }
        self.common.write().auth_pool(database)
    }

    fn auth_query(&self, database: &str) -> Option<Box<str>> {
        let registry = self.common.read();
        let settings = registry.database(database)?;
        settings.auth_query.as_deref().map(Into::into)
    }

    fn join(&mut self, key: PoolKey, flow: &str) -> FlowId {
        if let Some(place) = self.known(key) {
            place.clients.fetch_add(1, Ordering::Relaxed);
        }
        let id = self
            .with(key, |u, pool| u.flow(pool, flow))
            .unwrap_or(FlowId(0));
        self.common.read().join(key, id, flow);
        id
    }

    fn leave(&mut self, key: PoolKey, flow: FlowId) {
        if let Some(place) = self.known(key) {
            place.clients.fetch_sub(1, Ordering::Relaxed);
        }
        self.common.read().leave(key, flow);
        self.with(key, |u, pool| u.drop_flow(pool, flow));
        if let Some(taken) = self.known(key).and_then(|known| known.taken.clone()) {
            // Its connection is nobody else's, whether it is open already or will be.
            let now = self.common.clock.now();
            let reason = CloseReason::ServerLifetime;
            self.with(key, |u, pool| u.reconnect(now, pool, reason));
            taken.store(false, Ordering::Release);
        }
    }

    fn console_in(&mut self, user: &str, admin: bool) -> Result<(), &'static str> {
        self.common.read().console_in(user, admin)
    }

    fn console_out(&mut self, user: &str) {
        self.common.read().console_out(user);
    }

    fn checkout(&mut self, now: Time, key: PoolKey, client: ClientId, flow: FlowId) -> Checkout {
        #[cfg(test)]
        self.common.panic_if_asked(key);
        self.with(key, |u, pool| u.checkout(now, pool, client, flow))
            .unwrap_or(Checkout::Refused(events::RefuseReason::Disabled))
    }

    fn failure(&mut self, key: PoolKey) -> Option<Arc<str>> {
        self.with(key, |u, pool| u.failure(pool)).flatten()
    }

    fn outage(&mut self, key: PoolKey) -> Option<pool::Outage> {
        self.with(key, |u, pool| u.outage(pool)).flatten()
    }

    fn plight(&mut self, key: PoolKey, flow: FlowId, holders: bool) -> pool::Plight {
        self.with(key, |u, pool| u.plight(pool, flow, holders))
            .unwrap_or_default()
    }

    fn beyond_pins(&mut self, key: PoolKey) -> GuardMode {
        self.with(key, |u, pool| u.beyond_pins(pool))
            .unwrap_or_default()
    }

    fn checkin(
        &mut self,
        now: Time,
        key: PoolKey,
        conn: ConnId,
        close: Option<CloseReason>,
    ) -> Checkin {
        self.with(key, |u, _| u.checkin(now, conn, close))
            .unwrap_or(Checkin::Close(CloseReason::SettingsChanged))
    }

    fn cancel_wait(&mut self, now: Time, key: PoolKey, client: ClientId) {
        self.with(key, |u, pool| u.cancel_wait(now, client, pool));
    }

    fn opened(&mut self, now: Time, key: PoolKey, conn: ConnId, slot: u32) {
        let worker = self.worker;
        self.with(key, |u, _| u.opened(now, conn, worker, slot));
    }

    fn is_taped(&mut self, key: PoolKey, conn: ConnId) -> bool {
        self.with(key, |u, _| u.is_taped(conn)).unwrap_or(false)
    }

    fn told(&mut self, _: Time, key: PoolKey, conn: ConnId, purpose: &Purpose) {
        self.with(key, |u, _| u.told(conn, purpose));
    }

    fn learn(&mut self, now: Time, key: PoolKey, lessons: &[Lesson]) {
        self.with(key, |u, pool| u.learn(now, pool, lessons));
    }

    fn silent(&mut self, now: Time, key: PoolKey, leases: Vec<SilentLease>) {
        let worker = self.worker;
        self.with(key, |u, pool| u.silent(now, worker, pool, leases));
    }

    fn reclaimed(
        &mut self,
        _now: Time,
        key: PoolKey,
        conn: ConnId,
        client: ClientId,
        enforce: bool,
        done: bool,
    ) {
        self.with(key, |u, pool| {
            u.reclaimed(pool, conn, client, enforce, done)
        });
    }

    fn is_to_close(&mut self, key: PoolKey, conn: ConnId) -> bool {
        self.with(key, |u, _| u.is_to_close(conn)) == Some(true)
    }

    fn open_failed(&mut self, now: Time, key: PoolKey, conn: ConnId, text: Arc<str>, login: bool) {
        self.with(key, |u, _| u.open_failed(now, conn, login, text));
    }

    fn open_refused(
        &mut self,
        now: Time,
        key: PoolKey,
        conn: ConnId,
        text: Arc<str>,
        code: [u8; 5],
    ) {
        self.with(key, |u, _| u.open_refused(now, conn, text, code));
    }

    fn open_full(&mut self, now: Time, key: PoolKey, conn: ConnId, _: Arc<str>, own_limit: bool) {
        self.with(key, |u, _| u.open_full(now, conn, own_limit));
    }

    fn located(
        &mut self,
        now: Time,
        key: PoolKey,
        conn: ConnId,
        at: Place,
        role: Role,
    ) -> Option<Unwanted> {
        self.with(key, |u, _| u.located(now, conn, at, role))
            .flatten()
    }

    fn wrote(&mut self, key: PoolKey) {
        self.with(key, |u, pool| u.wrote(pool));
    }

    fn read_only(&mut self, now: Time, key: PoolKey, conn: ConnId) {
        self.with(key, |u, _| u.read_only(now, conn));
    }

    fn identified(&mut self, key: PoolKey, system: u64) {
        self.with(key, |u, _| u.identified(system));
    }

    fn is_monitor(&self, key: PoolKey) -> bool {
        let known = self.places.get(key.0 as usize).and_then(Option::as_ref);
        known.is_some_and(|known| known.monitor)
    }

    fn monitor_step(&mut self, now: Time, key: PoolKey) -> MonitorStep {
        self.with(key, |u, _| u.monitor_step(now))
            .unwrap_or(MonitorStep::Close)
    }

    fn monitor_heard(&mut self, now: Time, key: PoolKey, reading: &Reading) {
        self.with(key, |u, _| u.monitor_heard(now, reading));
    }

    fn monitor_failed(&mut self, now: Time, key: PoolKey) {
        self.with(key, |u, _| u.monitor_failed(now));
    }

    fn closing(&mut self, now: Time, key: PoolKey, conn: ConnId) {
        self.with(key, |u, _| u.closing(now, conn));
    }

    fn arrived(
        &mut self,
        now: Time,
        key: PoolKey,
        conn: ConnId,
        slot: u32,
        client: ClientId,
    ) -> bool {
        let worker = self.worker;
        self.with(key, |u, _| u.arrived(now, conn, worker, slot, client))
            .unwrap_or(false)
    }
}
