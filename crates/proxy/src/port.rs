//! The pools as a worker sees them: one short lock per call.

use crate::helpers::Clock;
use crate::mail::Mail;
use crate::mail::Mailbox;
use crate::registry::{Place, Shared, UpstreamCell};
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, Time, UpstreamId, WorkerId};
use pool::{Action, Checkin, Checkout, Upstream};
use relay::{PoolInfo, PoolKey, Pools, Route, Target};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};

/// What all workers share.
pub(crate) struct Common {
    pub(crate) registry: Shared,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) clock: Clock,
    /// Statements for the console's thread.
    pub(crate) console: SyncSender<ConsoleJob>,
}

/// A console statement.
pub(crate) struct ConsoleJob {
    pub(crate) client: ClientId,
    pub(crate) admin: bool,
    pub(crate) text: Box<[u8]>,
}

impl Common {
    /// Hands a statement to the console's thread.
    pub(crate) fn console(&self, client: ClientId, admin: bool, text: Box<[u8]>) {
        if self
            .console
            .try_send(ConsoleJob {
                client,
                admin,
                text,
            })
            .is_err()
        {
            let mut reply = Vec::new();
            crate::columns::error(&mut reply, "53300", "the console is busy");
            self.post(client.worker, Mail::Console { client, reply });
        }
    }

    pub(crate) fn post(&self, worker: WorkerId, mail: crate::mail::Mail) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(worker.0)) {
            mailbox.post(mail);
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

/// A worker's own view: places by pool, so that the registry is asked once
/// per pool, and actions for this worker that wait for the end of the dispatch.
pub(crate) struct Port {
    common: Arc<Common>,
    worker: WorkerId,
    places: Vec<Option<(Arc<UpstreamCell>, PoolId)>>,
    pub(crate) actions: VecDeque<(UpstreamId, Action)>,
}

impl Port {
    pub(crate) fn new(common: Arc<Common>, worker: WorkerId) -> Port {
        Port {
            common,
            worker,
            places: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    fn place(&mut self, key: PoolKey) -> Option<(Arc<UpstreamCell>, PoolId)> {
        let index = key.0 as usize;
        if let Some(Some(place)) = self.places.get(index) {
            return Some(place.clone());
        }
        let place: Place = self.common.read().place(key)?.clone();
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        self.places[index] = Some((Arc::clone(&place.upstream), place.pool));
        self.places[index].clone()
    }

    /// Runs `f` on the pool's upstream under its lock, then takes what the
    /// pool wants done: for this worker into the list, for others by mail.
    fn with<R>(&mut self, key: PoolKey, f: impl FnOnce(&mut Upstream, PoolId) -> R) -> Option<R> {
        let index = key.0 as usize;
        if !matches!(self.places.get(index), Some(Some(_))) {
            self.place(key)?;
        }
        let (cell, pool) = self.places.get(index)?.as_ref()?;
        let mut upstream = cell.lock();
        let result = f(&mut upstream, *pool);
        while let Some(action) = upstream.poll() {
            let worker = worker_of(&action);
            if worker == self.worker {
                self.actions.push_back((cell.id, action));
            } else {
                self.common.post(worker, Mail::Pool(cell.id, action));
            }
        }
        Some(result)
    }

    /// The end of file of a connection was seen: its charge ends.
    pub(crate) fn closed(&mut self, now: Time, key: PoolKey, conn: ConnId) {
        self.with(key, |u, _| u.closed(now, conn));
    }

    /// Contains a panic: everything of the pool is refused and closed.
    pub(crate) fn fail_pool(&mut self, now: Time, key: PoolKey) {
        self.with(key, |u, pool| u.fail_pool(now, pool));
    }

    /// Deadlines and retries of every upstream.
    pub(crate) fn tick(&mut self, now: Time) {
        let cells: Vec<_> = self.common.read().upstreams().to_vec();
        for cell in cells {
            let mut upstream = cell.lock();
            upstream.tick(now);
            while let Some(action) = upstream.poll() {
                let worker = worker_of(&action);
                if worker == self.worker {
                    self.actions.push_back((cell.id, action));
                } else {
                    self.common.post(worker, Mail::Pool(cell.id, action));
                }
            }
        }
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
    let mut upstream = cell.lock();
    let result = f(&mut upstream);
    while let Some(action) = upstream.poll() {
        common.post(worker_of(&action), Mail::Pool(cell.id, action));
    }
    result
}

fn worker_of(action: &Action) -> WorkerId {
    match action {
        Action::Grant { worker, .. }
        | Action::Handover { worker, .. }
        | Action::Open { worker, .. }
        | Action::Close { worker, .. }
        | Action::Refuse { worker, .. } => *worker,
    }
}

impl Pools for Port {
    fn route(&mut self, _now: Time, target: Target<'_>) -> Route {
        self.common.write().route(&target)
    }

    fn auth_pool(&mut self, _now: Time, database: &str) -> Option<Arc<PoolInfo>> {
        self.common.write().auth_pool(database)
    }

    fn auth_query(&self, database: &str) -> Option<Box<str>> {
        let registry = self.common.read();
        let settings = registry.database(database)?;
        settings.auth_query.as_deref().map(Into::into)
    }

    fn join(&mut self, key: PoolKey, flow: &str) -> FlowId {
        let id = self
            .with(key, |u, pool| u.flow(pool, flow))
            .unwrap_or(FlowId(0));
        self.common.write().join(key, id, flow);
        id
    }

    fn leave(&mut self, key: PoolKey, flow: FlowId) {
        self.common.write().leave(key, flow);
        self.with(key, |u, pool| u.drop_flow(pool, flow));
    }

    fn checkout(&mut self, now: Time, key: PoolKey, client: ClientId, flow: FlowId) -> Checkout {
        self.with(key, |u, pool| u.checkout(now, pool, client, flow))
            .unwrap_or(Checkout::Refused(events::RefuseReason::Disabled))
    }

    fn failure(&mut self, key: PoolKey) -> Option<Arc<str>> {
        self.with(key, |u, pool| u.failure(pool)).flatten()
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

    fn open_failed(&mut self, now: Time, key: PoolKey, conn: ConnId, text: Arc<str>, login: bool) {
        self.with(key, |u, _| u.open_failed(now, conn, login, text));
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
