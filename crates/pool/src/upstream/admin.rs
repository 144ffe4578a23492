//! What operators and settings change, and what they may read.

use super::{Cap, Upstream};
use crate::conns::State;
use crate::figures::{ConnRow, ConnState, Counters, Lease, Outage, PoolFigures, WaiterRow};
use crate::list::NIL;
use crate::one_pool::{Mode, Pool};
use crate::settings::{CapId, PoolSettings, UpstreamSettings};
use events::{
    CloseReason, ConnId, FlowId, Guard, GuardMode, Histogram, PoolId, RefuseReason, Time, WorkerId,
};
use std::sync::Arc;

impl Upstream {
    // --- settings ---

    /// A further pool. The id of a removed pool may be used again.
    pub fn add_pool(&mut self, settings: PoolSettings) -> PoolId {
        let free = self.pools.iter().position(Option::is_none);
        let mut pool = Pool::new(each_cap_once(settings));
        pool.apply_sizer(self.capacity);
        let pool = Some(pool);
        let p = match free {
            Some(p) => {
                self.pools[p] = pool;
                p
            }
            None => {
                self.pools.push(pool);
                self.pools.len() - 1
            }
        };
        self.wake = Time::ZERO;
        PoolId(p as u32)
    }

    /// New settings for a pool. Growing acts at once; after shrinking, idle
    /// connections beyond the size are closed now and lent ones at their return.
    pub fn configure_pool(&mut self, now: Time, pool: PoolId, settings: PoolSettings) {
        let p = pool.0 as usize;
        let Some(old) = self.pool(pool) else {
            return;
        };
        let settings = each_cap_once(settings);
        // A guard that is switched off leaves the size where it is.
        let kept = (old.sized
            && settings.auto.is_some()
            && settings.guards.mode(Guard::AutoSize) != GuardMode::Enforce)
            .then_some(old.settings.size);
        if old.settings.caps != settings.caps {
            let (charged, live) = (old.charged(), old.live());
            self.count_caps(p, |cap| {
                cap.charged -= charged;
                cap.live -= live;
            });
            self.at_mut(p).configure(settings);
            self.count_caps(p, |cap| {
                cap.charged += charged;
                cap.live += live;
            });
        } else {
            self.at_mut(p).configure(settings);
        }
        let capacity = self.capacity;
        let pool = self.at_mut(p);
        pool.apply_sizer(capacity);
        if let Some(size) = kept {
            pool.settings.size = size;
        }
        self.at_mut(p).next_scan = Time::ZERO;
        self.settings_changed(now);
    }

    /// What a pool may do by itself, from its next decision on.
    pub fn set_guards(&mut self, pool: PoolId, guards: events::Guards) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.settings.guards = guards;
        }
    }

    /// New settings for the server. A lower line closes idle connections now
    /// and lent ones at their return.
    pub fn configure(&mut self, now: Time, settings: UpstreamSettings) {
        self.settings = settings;
        self.budget.state(self.settings.line);
        self.rebudget(now);
        self.settings_changed(now);
    }

    /// A limit that pools can share by naming it in [`PoolSettings::caps`].
    pub fn add_cap(&mut self, limit: u32) -> CapId {
        self.caps.push(Cap {
            limit,
            charged: 0,
            live: 0,
        });
        CapId(self.caps.len() as u32 - 1)
    }

    /// A new value for a shared limit. A higher one acts at once; above a lower one,
    /// idle connections are closed now and lent ones at their return.
    pub fn configure_cap(&mut self, now: Time, cap: CapId, limit: u32) {
        if let Some(cap) = self.caps.get_mut(cap.0 as usize)
            && cap.limit != limit
        {
            cap.limit = limit;
            self.settings_changed(now);
        }
    }

    /// How many workers there are: connections for a pool's minimum are spread
    /// over them.
    pub fn set_workers(&mut self, count: u16) {
        self.know_worker(WorkerId(count.max(1) - 1));
    }

    fn settings_changed(&mut self, now: Time) {
        self.shed_idle(now);
        for p in 0..self.pools.len() {
            if self.pools[p].is_some() {
                self.pump(now, p);
            }
        }
        self.feed(now);
        self.wake = Time::ZERO;
    }

    /// The settings no longer name the pool: its queue is refused, its
    /// connections are closed now or as they come back.
    pub fn retire_pool(&mut self, now: Time, pool: PoolId) {
        if self.set_mode(pool, Mode::Retired) {
            self.refuse_queue(now, pool.0 as usize, RefuseReason::Disabled);
            self.doom(now, pool, CloseReason::SettingsChanged);
        }
    }

    /// Forgets a pool without connections; false while it has some.
    pub fn remove_pool(&mut self, pool: PoolId) -> bool {
        let p = pool.0 as usize;
        match self.pool(pool) {
            Some(found) if found.all() == 0 && found.queue.len() == 0 => {
                self.hungry.retain(|hungry| *hungry != pool.0);
                self.pools[p] = None;
                true
            }
            _ => false,
        }
    }

    // --- administrator ---

    /// Clients queue; idle connections are closed now, lent ones at their
    /// return. The pause is complete when the pool has no connection.
    pub fn pause(&mut self, now: Time, pool: PoolId) {
        if self.set_mode(pool, Mode::Paused) {
            self.close_idle(now, pool, CloseReason::Paused);
        }
    }

    /// Ends a pause.
    pub fn resume(&mut self, now: Time, pool: PoolId) {
        if self
            .pool(pool)
            .is_some_and(|pool| pool.mode == Mode::Paused)
        {
            self.set_mode(pool, Mode::Open);
            self.pump(now, pool.0 as usize);
        }
    }

    /// New checkouts are refused; clients that wait are still served.
    pub fn disable(&mut self, pool: PoolId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.disabled = true;
        }
    }

    /// Ends [`Upstream::disable`].
    pub fn enable(&mut self, pool: PoolId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.disabled = false;
        }
    }

    /// Replaces every connection of the pool: idle ones are closed now, others
    /// at their return, with `reason`.
    pub fn reconnect(&mut self, now: Time, pool: PoolId, reason: CloseReason) {
        if self.pool(pool).is_some() {
            self.doom(now, pool, reason);
            self.pump(now, pool.0 as usize);
        }
    }

    /// Pauses the pool, refuses its queue, and closes its connections. Those
    /// that are lent are closed at their return: the caller ends their clients,
    /// found with [`Upstream::conns`].
    pub fn kill(&mut self, now: Time, pool: PoolId) {
        if self.set_mode(pool, Mode::Paused) {
            self.refuse_queue(now, pool.0 as usize, RefuseReason::Disabled);
            self.doom(now, pool, CloseReason::AdminKill);
        }
    }

    /// After a panic in the handling of one pool was contained: its queue is
    /// refused and each of its connections is replaced, because what was under
    /// way on them is unknown. The pool goes on with new ones.
    pub fn fail_pool(&mut self, now: Time, pool: PoolId) {
        if self.pool(pool).is_some() {
            self.refuse_queue(now, pool.0 as usize, RefuseReason::Panic);
            self.reconnect(now, pool, CloseReason::Panic);
        }
    }

    /// Refuses all who wait and all who come; connections are closed as they
    /// come back. The monitor session ends last, and tells the fleet's others.
    pub fn shutdown(&mut self, now: Time) {
        self.shutdown = true;
        self.budget.leave();
        self.hungry.clear();
        for p in 0..self.pools.len() {
            if self.pools[p].is_some() {
                self.at_mut(p).hungry = false;
                self.refuse_queue(now, p, RefuseReason::Shutdown);
                self.close_idle(now, PoolId(p as u32), CloseReason::Shutdown);
            }
        }
    }

    /// False when there is no such pool, or it is retired, which is final.
    fn set_mode(&mut self, pool: PoolId, mode: Mode) -> bool {
        match self.pool_mut(pool) {
            Some(pool) if pool.mode != Mode::Retired => {
                pool.mode = mode;
                true
            }
            _ => false,
        }
    }

    /// Closes what of the pool nobody holds; nothing where there is no such pool.
    pub fn close_idle(&mut self, now: Time, pool: PoolId, reason: CloseReason) {
        if self.pool(pool).is_none() {
            return;
        }
        while let Some((_, i)) = self.longest_idle(pool.0 as usize) {
            self.detach(now, i);
            self.close(now, i, reason);
        }
    }

    /// Whether a connection is closed when it comes back.
    pub fn is_to_close(&self, conn: ConnId) -> bool {
        let found = self.conns.find(conn);
        found.is_some_and(|i| self.conns.get(i).doom.is_some())
    }

    fn doom(&mut self, now: Time, pool: PoolId, reason: CloseReason) {
        for i in 0..self.conns.end() {
            let conn = self.conns.get_mut(i);
            if conn.used && conn.pool == pool.0 {
                conn.doom.get_or_insert(reason);
            }
        }
        self.close_idle(now, pool, reason);
    }

    // --- figures ---

    /// Connections charged to the budget: in any state, closing included.
    pub fn charged(&self) -> u32 {
        self.charged
    }

    /// The most that may be charged when another one is opened.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Monotonic counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Ids of the pools.
    pub fn pools(&self) -> impl Iterator<Item = PoolId> + '_ {
        let ids = (0..self.pools.len() as u32).map(PoolId);
        ids.filter(|id| self.pool(*id).is_some())
    }

    /// The settings that a pool has now.
    pub fn pool_settings(&self, pool: PoolId) -> Option<&PoolSettings> {
        Some(&self.pool(pool)?.settings)
    }

    /// Figures of a pool; all zero when there is no such pool.
    pub fn figures(&self, pool: PoolId, now: Time) -> PoolFigures {
        self.pool(pool)
            .map(|pool| pool.figures(now))
            .unwrap_or_default()
    }

    /// Times from the request for a connection to its grant.
    pub fn waits(&self, pool: PoolId) -> Option<&Histogram> {
        Some(&self.pool(pool)?.wait)
    }

    /// Times from the grant of a connection to its return.
    pub fn holds(&self, pool: PoolId) -> Option<&Histogram> {
        Some(&self.pool(pool)?.hold)
    }

    /// Times from the decision to open a connection until it was ready.
    pub fn creates(&self, pool: PoolId) -> Option<&Histogram> {
        Some(&self.pool(pool)?.create)
    }

    /// Connections that the pool keeps open even when idle.
    pub fn idle_min(&self, pool: PoolId) -> u32 {
        self.pool(pool).map_or(0, |pool| pool.min())
    }

    /// What the server said when a connection could last not be opened; `None`
    /// when the last attempt succeeded.
    pub fn failure(&self, pool: PoolId) -> Option<Arc<str>> {
        Some(self.pool(pool)?.failure.as_ref()?.text.clone())
    }

    /// When and how the last attempts failed; `None` when the last one succeeded.
    pub fn outage(&self, pool: PoolId) -> Option<Outage> {
        let failure = self.pool(pool)?.failure.as_ref()?;
        Some(Outage {
            since: failure.since,
            last: failure.at,
            login: failure.fatal,
            code: failure.code,
        })
    }

    /// The name of a flow; `None` for the one that further names share.
    pub fn flow_key(&self, pool: PoolId, flow: FlowId) -> Option<&str> {
        self.pool(pool)?.queue.flows.key(flow.0)
    }

    /// Connections that a flow holds or that are on their way to it.
    pub fn flow_held(&self, pool: PoolId, flow: FlowId) -> u32 {
        self.pool(pool).map_or(0, |pool| {
            let flows = &pool.queue.flows;
            flows.get(flows.checked(flow.0)).held
        })
    }

    /// The state of a connection; `None` when it is gone.
    pub fn conn_state(&self, conn: ConnId) -> Option<ConnState> {
        Some(self.conns.get(self.conns.find(conn)?).state.kind())
    }

    /// One connection.
    pub fn conn(&self, conn: ConnId) -> Option<ConnRow> {
        Some(self.row(self.conns.find(conn)?))
    }

    /// All connections.
    pub fn conns(&self) -> impl Iterator<Item = ConnRow> + '_ {
        self.conns.iter().map(|(i, _)| self.row(i))
    }

    fn row(&self, i: u32) -> ConnRow {
        let conn = self.conns.get(i);
        let lease = match conn.state {
            State::Lent { client, flow } => Some(Lease {
                client,
                flow: FlowId(flow),
                since: conn.since,
            }),
            _ => None,
        };
        ConnRow {
            conn: self.conns.id(i),
            pool: PoolId(conn.pool),
            worker: conn.worker,
            slot: conn.slot,
            state: conn.state.kind(),
            opened_at: conn.opened_at,
            since: conn.since,
            close_needed: conn.doom,
            lease,
        }
    }

    /// The clients that wait, by arrival.
    pub fn waiters(&self, pool: PoolId) -> impl Iterator<Item = WaiterRow> + '_ {
        self.pool(pool).into_iter().flat_map(|pool| {
            pool.queue.by_age().map(|i| {
                let waiter = pool.queue.get(i);
                WaiterRow {
                    client: waiter.client,
                    flow: FlowId(waiter.flow),
                    since: waiter.arrived,
                    reserved: (waiter.reserved != NIL).then(|| self.conns.id(waiter.reserved)),
                }
            })
        })
    }
}

/// A cap named twice would be charged twice.
fn each_cap_once(mut settings: PoolSettings) -> PoolSettings {
    settings.caps.sort_unstable();
    settings.caps.dedup();
    settings
}
