//! One database server: lending and taking back.
//!
//! [`opening`] decides when connections are opened and evicted, [`admin`] holds
//! what operators and settings change, [`ticking`] what time alone changes, and
//! [`check`] states what must hold after each of them.

mod admin;
mod check;
mod opening;
mod ticking;

pub use opening::{BORROW_IDLE, EVICT_PAUSE, RETRY_DELAY_MAX};

use crate::action::{Action, Checkin, Checkout};
use crate::conns::{Conns, State};
use crate::figures::{ConnState, Counters};
use crate::list::{List, NIL};
use crate::one_pool::{Failure, Mode, Pool};
use crate::queue::Pick;
use crate::settings::UpstreamSettings;
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, RefuseReason, Time, WorkerId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A limit shared by several pools.
#[derive(Clone, Copy, Debug)]
struct Cap {
    limit: u32,
    /// Connections charged to it.
    charged: u32,
    /// Of these, the ones that are not being closed.
    live: u32,
}

/// One database server: its budget, and all pools on it.
#[derive(Clone, Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
    /// By [`PoolId`]; `None` where a pool was removed.
    pools: Vec<Option<Pool>>,
    conns: Conns,
    caps: Vec<Cap>,
    /// Connections by worker.
    on_worker: Vec<u32>,
    /// Connections that exist for the server, in any state: promise 1 bounds it.
    charged: u32,
    /// Of these, being opened.
    opening: u32,
    /// Of these, being closed.
    closing: u32,
    /// Pools that want to open a connection and are held back by a shared bound.
    hungry: VecDeque<u32>,
    next_evict: Time,
    /// Hungry pools without any connection whose clients have waited for
    /// [`BORROW_IDLE`], as of the last tick.
    starving: u32,
    /// Nothing is due before this: a lower bound of the next tick.
    wake: Time,
    shutdown: bool,
    actions: VecDeque<Action>,
    counters: Counters,
    #[cfg(test)]
    fault: Option<Fault>,
}

/// Bugs that tests plant, to prove that the checkers see them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    /// Opens although the line is reached.
    IgnoreLine,
    /// A returned connection goes idle although clients wait.
    ForgetWaiters,
    /// A waiter whose connection was lost is not queued again.
    LoseRequeued,
    /// Deadlines are not looked at.
    NoDeadlines,
    /// Newest waiter's flow first.
    Unfair,
    /// Local waiters pass without bound.
    LocalForever,
    /// The charge ends when closing begins.
    ChargeEndsEarly,
    /// A lent connection also stays in the idle list.
    LendTwice,
}

impl Upstream {
    /// A server without pools.
    pub fn new(settings: UpstreamSettings) -> Upstream {
        Upstream {
            settings,
            pools: Vec::new(),
            conns: Conns::default(),
            caps: Vec::new(),
            on_worker: vec![0],
            charged: 0,
            opening: 0,
            closing: 0,
            hungry: VecDeque::new(),
            next_evict: Time::ZERO,
            starving: 0,
            wake: Time::FAR,
            shutdown: false,
            actions: VecDeque::new(),
            counters: Counters::default(),
            #[cfg(test)]
            fault: None,
        }
    }

    /// The next thing that a worker must do. Drain it after every call.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    // --- flows ---

    /// The flow named `key`, with one more client in it: call
    /// [`Upstream::drop_flow`] when that client leaves. Beyond
    /// [`FLOWS_MAX`](crate::FLOWS_MAX) names, the rest share one flow.
    pub fn flow(&mut self, pool: PoolId, key: &str) -> FlowId {
        FlowId(
            self.pool_mut(pool)
                .map_or(0, |pool| pool.queue.flows.join(key)),
        )
    }

    /// One client less in the flow. The id may name another flow afterwards.
    pub fn drop_flow(&mut self, pool: PoolId, flow: FlowId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.queue.flows.leave(flow.0);
        }
    }

    // --- lending ---

    /// A client asks for a connection. A client that already waits goes on waiting.
    pub fn checkout(
        &mut self,
        now: Time,
        pool: PoolId,
        client: ClientId,
        flow: FlowId,
    ) -> Checkout {
        let p = pool.0 as usize;
        let Some(pool) = self.pools.get_mut(p).and_then(Option::as_mut) else {
            return self.refused(RefuseReason::Disabled);
        };
        if self.shutdown {
            return self.refused(RefuseReason::Shutdown);
        }
        if pool.disabled || pool.mode == Mode::Retired {
            return self.refused(RefuseReason::Disabled);
        }
        let worker = client.worker.0 as usize;
        if pool.queue.queued() == 0
            && let Some(i) = pool.idle.get(worker).and_then(List::first)
        {
            let flow = pool.queue.flows.checked(flow.0);
            pool.queue.flows.hold(flow);
            pool.wait.record(Duration::ZERO);
            pool.grants += 1;
            if !self.faulty(Fault::LendTwice) {
                self.unlink_idle(i);
            }
            self.set_state(now, i, State::Lent { client, flow });
            return Checkout::Granted {
                conn: self.conns.id(i),
                slot: self.conns.get(i).slot,
            };
        }
        self.enqueue(now, p, client, flow)
    }

    fn enqueue(&mut self, now: Time, p: usize, client: ClientId, flow: FlowId) -> Checkout {
        let pool = self.at_mut(p);
        if pool.queue.find(client).is_some() {
            return Checkout::Queued;
        }
        let down = pool
            .failure
            .as_ref()
            .is_some_and(|failure| failure.fatal && now < failure.retry_at);
        if down && pool.usable() == 0 {
            return self.refused(RefuseReason::ServerDown);
        }
        let at_once =
            pool.mode == Mode::Open && pool.queue.queued() == 0 && pool.count(ConnState::Idle) > 0;
        if !at_once && pool.queue.len() >= pool.settings.queue_max {
            return self.refused(RefuseReason::QueueFull);
        }
        let flow = pool.queue.flows.checked(flow.0);
        pool.queue.push(now, client, flow);
        if let Some(deadline) = pool.next_deadline() {
            self.wake_at(deadline);
        }
        self.pump(now, p);
        Checkout::Queued
    }

    /// A client gives its connection back, ready for the next one; or with
    /// `close` when it is not fit to be lent again.
    pub fn checkin(&mut self, now: Time, conn: ConnId, close: Option<CloseReason>) -> Checkin {
        let Some(i) = self.conns.find(conn) else {
            return Checkin::Close(close.unwrap_or(CloseReason::ServerGone));
        };
        if self.conns.get(i).state.kind() != ConnState::Lent {
            debug_assert!(
                false,
                "checkin of a connection that is not lent: {:?}",
                self.conns.get(i)
            );
            return Checkin::Close(close.unwrap_or(CloseReason::ServerGone));
        }
        self.detach(now, i);
        match close
            .or_else(|| self.unfit(now, i))
            .or_else(|| self.starved(now, i))
        {
            Some(reason) => {
                self.set_state(now, i, State::Closing);
                // A place in the pool or a shared bound may have moved.
                self.pump(now, self.conns.get(i).pool as usize);
                Checkin::Close(reason)
            }
            None => {
                self.place(now, i);
                Checkin::Kept
            }
        }
    }

    /// A connection is open, logged in and ready.
    pub fn opened(&mut self, now: Time, conn: ConnId, worker: WorkerId, slot: u32) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        if self.conns.get(i).state != State::Opening {
            debug_assert!(false, "opened twice");
            return;
        }
        self.settle_on(i, worker, slot);
        self.conns.get_mut(i).opened_at = now;
        let p = self.conns.get(i).pool as usize;
        self.at_mut(p).failure = None;
        self.settle(now, i);
        self.pump(now, p);
        self.feed(now);
    }

    /// A connection could not be opened; its charge ends.
    ///
    /// `fatal_login`: the server refused the login in a way that waiting does
    /// not mend (wrong password, no such database). Then, unless the pool has
    /// another connection, its waiters are refused at once, and so are new
    /// ones until the next try. After any other failure they go on waiting,
    /// and tries follow at growing pauses as long as somebody waits. `text` is
    /// what clients are told.
    pub fn open_failed(&mut self, now: Time, conn: ConnId, fatal_login: bool, text: Arc<str>) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        let p = self.conns.get(i).pool as usize;
        self.counters.open_failures += 1;
        self.release(now, i);
        let login_retry = self.settings.login_retry;
        let pool = self.at_mut(p);
        // Attempts that were under way together count as one.
        let (count, retry_at) = match &pool.failure {
            Some(last) if now < last.retry_at => (last.count, last.retry_at),
            last => {
                let count = last.as_ref().map_or(0, |last| last.count) + 1;
                (count, now.after(opening::retry_delay(login_retry, count)))
            }
        };
        pool.failure = Some(Failure {
            text,
            fatal: fatal_login,
            count,
            retry_at,
        });
        if fatal_login && pool.usable() == 0 {
            self.refuse_queue(now, p, RefuseReason::ServerDown);
        }
        self.pump(now, p);
        self.feed(now);
    }

    /// A connection is being closed by its worker, from any state; still charged.
    pub fn closing(&mut self, now: Time, conn: ConnId) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        self.detach(now, i);
        self.set_state(now, i, State::Closing);
        self.pump(now, self.conns.get(i).pool as usize);
    }

    /// The end of file of a connection was seen, in any state: its charge ends.
    pub fn closed(&mut self, now: Time, conn: ConnId) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        let p = self.conns.get(i).pool as usize;
        self.detach(now, i);
        self.release(now, i);
        self.pump(now, p);
        self.feed(now);
    }

    /// A connection that was handed over has reached `worker`. True: it is
    /// lent to `client`. False: the client no longer waits; the connection is
    /// idle there, or an action gives it to another client or closes it.
    pub fn arrived(
        &mut self,
        now: Time,
        conn: ConnId,
        worker: WorkerId,
        slot: u32,
        client: ClientId,
    ) -> bool {
        let Some(i) = self.conns.find(conn) else {
            return false;
        };
        let State::Moving { waiter } = self.conns.get(i).state else {
            debug_assert!(false, "arrived without having moved");
            return false;
        };
        self.settle_on(i, worker, slot);
        let p = self.conns.get(i).pool as usize;
        let pool = self.at_mut(p);
        pool.handovers += 1;
        if waiter != NIL && pool.queue.get(waiter).client == client {
            let waiter = pool.queue.finish(waiter);
            pool.wait.record(now.since(waiter.arrived));
            pool.grants += 1;
            self.set_state(
                now,
                i,
                State::Lent {
                    client,
                    flow: waiter.flow,
                },
            );
            return true;
        }
        self.detach(now, i);
        self.settle(now, i);
        self.pump(now, p);
        false
    }

    /// A waiting client has vanished or was cancelled. False when it did not
    /// wait any more: then a grant or a refusal is under way to it, and a grant
    /// must be answered with [`Upstream::checkin`].
    pub fn cancel_wait(&mut self, _now: Time, client: ClientId, pool: PoolId) -> bool {
        let Some(found) = self.pool(pool).and_then(|pool| pool.queue.find(client)) else {
            return false;
        };
        self.drop_waiter(pool.0 as usize, found);
        true
    }

    // --- steps ---

    /// Takes a waiter out; a connection on its way to it loses its target.
    fn drop_waiter(&mut self, p: usize, i: u32) -> crate::queue::Waiter {
        let gone = self.at_mut(p).queue.cancel(i);
        if gone.reserved != NIL {
            self.conns.get_mut(gone.reserved).state = State::Moving { waiter: NIL };
        }
        gone
    }

    /// Ends what the present state means for others: the lease, the place in
    /// the idle list, the waiter it was meant for. A new state must follow.
    fn detach(&mut self, now: Time, i: u32) {
        let conn = *self.conns.get(i);
        match conn.state {
            State::Idle => self.unlink_idle(i),
            State::Lent { flow, .. } => {
                let pool = self.at_mut(conn.pool as usize);
                pool.queue.flows.release(flow);
                pool.hold.record(now.since(conn.since));
            }
            State::Moving { waiter } if waiter != NIL => {
                self.conns.get_mut(i).state = State::Moving { waiter: NIL };
                let faulty = self.faulty(Fault::LoseRequeued);
                let queue = &mut self.at_mut(conn.pool as usize).queue;
                match faulty {
                    true => drop(queue.cancel(waiter)),
                    false => queue.requeue(waiter),
                }
            }
            State::Opening | State::Moving { .. } | State::Closing => {}
        }
    }

    /// Where a detached, ready connection of its worker goes: away, to a waiter, or idle.
    fn settle(&mut self, now: Time, i: u32) {
        match self.unfit(now, i) {
            Some(reason) => self.close(now, i, reason),
            None => self.place(now, i),
        }
    }

    fn place(&mut self, now: Time, i: u32) {
        let forget = self.faulty(Fault::ForgetWaiters);
        let conn = *self.conns.get(i);
        let pool = self.at_mut(conn.pool as usize);
        if pool.mode == Mode::Open
            && pool.queue.queued() > 0
            && !forget
            && let Some(pick) = pool.queue.pick(now, Some(conn.worker))
        {
            self.give(now, i, pick);
            return;
        }
        let due = idle_due(pool, &conn, now, i);
        pool.next_scan = pool.next_scan.min(due);
        self.wake_at(due);
        self.set_state(now, i, State::Idle);
        let worker = conn.worker.0 as usize;
        let Upstream { pools, conns, .. } = self;
        if let Some(Some(pool)) = pools.get_mut(conn.pool as usize) {
            if pool.idle.len() <= worker {
                pool.idle.resize(worker + 1, List::EMPTY);
            }
            pool.idle[worker].push_front(&mut conns.idle_links, i);
        }
    }

    /// A detached connection goes to the waiter picked for it, here or on another worker.
    fn give(&mut self, now: Time, i: u32, pick: Pick) {
        self.counters.passes += u64::from(pick.passes);
        self.counters.overdue += u64::from(pick.overdue);
        let id = self.conns.id(i);
        let conn = *self.conns.get(i);
        let pool = self.at_mut(conn.pool as usize);
        let waiter = *pool.queue.get(pick.waiter);
        let client = waiter.client;
        if client.worker == conn.worker {
            pool.queue.take(pick.waiter);
            let waited = now.since(waiter.arrived);
            pool.wait.record(waited);
            pool.grants += 1;
            self.set_state(
                now,
                i,
                State::Lent {
                    client,
                    flow: waiter.flow,
                },
            );
            self.actions.push_back(Action::Grant {
                worker: conn.worker,
                client,
                conn: id,
                slot: conn.slot,
                waited,
            });
        } else {
            pool.queue.reserve(pick.waiter, i);
            self.set_state(
                now,
                i,
                State::Moving {
                    waiter: pick.waiter,
                },
            );
            self.actions.push_back(Action::Handover {
                worker: conn.worker,
                conn: id,
                slot: conn.slot,
                to: client,
            });
        }
    }

    /// Why a ready connection must not be lent again.
    fn unfit(&self, now: Time, i: u32) -> Option<CloseReason> {
        let conn = self.conns.get(i);
        let pool = self.at(conn.pool as usize);
        if conn.doom.is_some() {
            return conn.doom;
        }
        if self.shutdown {
            return Some(CloseReason::Shutdown);
        }
        match pool.mode {
            Mode::Open => {}
            Mode::Paused => return Some(CloseReason::AdminKill),
            Mode::Retired => return Some(CloseReason::SettingsChanged),
        }
        if pool.live() > pool.limit() || self.over_shared(pool) {
            return Some(CloseReason::SettingsChanged);
        }
        (old_at(pool, conn, i) <= now).then_some(CloseReason::ServerLifetime)
    }

    /// More connections are here to stay than the line or a cap of the pool allows.
    fn over_shared(&self, pool: &Pool) -> bool {
        self.charged - self.closing > self.settings.line || self.over_cap(pool)
    }

    fn over_cap(&self, pool: &Pool) -> bool {
        pool.settings.caps.iter().any(|cap| {
            self.caps
                .get(cap.0 as usize)
                .is_some_and(|cap| cap.live > cap.limit)
        })
    }

    /// Has a detached connection closed by its worker.
    fn close(&mut self, now: Time, i: u32, reason: CloseReason) {
        self.set_state(now, i, State::Closing);
        let conn = self.conns.get(i);
        let (worker, slot) = (conn.worker, conn.slot);
        self.actions.push_back(Action::Close {
            worker,
            conn: self.conns.id(i),
            slot,
            reason,
        });
    }

    fn unlink_idle(&mut self, i: u32) {
        let Upstream { pools, conns, .. } = self;
        let conn = *conns.get(i);
        if let Some(Some(pool)) = pools.get_mut(conn.pool as usize)
            && let Some(list) = pool.idle.get_mut(conn.worker.0 as usize)
        {
            list.remove(&mut conns.idle_links, i);
        }
    }

    /// The one place where a connection changes its state; keeps all counts.
    fn set_state(&mut self, now: Time, i: u32, state: State) {
        let conn = self.conns.get_mut(i);
        let (old, new) = (conn.state.kind(), state.kind());
        conn.state = state;
        conn.since = now;
        let p = conn.pool as usize;
        let pool = self.at_mut(p);
        *pool.count_mut(old) -= 1;
        *pool.count_mut(new) += 1;
        if old == ConnState::Opening && new != ConnState::Opening {
            self.opening -= 1;
        }
        if new == ConnState::Closing && old != ConnState::Closing {
            self.closing += 1;
            self.count_caps(p, |cap| cap.live -= 1);
            if self.faulty(Fault::ChargeEndsEarly) {
                self.charged -= 1;
            }
        }
    }

    /// A detached connection is gone: its charge ends and its slot is free.
    fn release(&mut self, now: Time, i: u32) {
        self.set_state(now, i, State::Closing);
        let conn = *self.conns.get(i);
        *self
            .at_mut(conn.pool as usize)
            .count_mut(ConnState::Closing) -= 1;
        self.count_caps(conn.pool as usize, |cap| cap.charged -= 1);
        self.closing -= 1;
        if !self.faulty(Fault::ChargeEndsEarly) {
            self.charged -= 1;
        }
        self.on_worker[conn.worker.0 as usize] -= 1;
        self.conns.remove(i);
    }

    /// A connection now lives at `slot` of `worker`.
    fn settle_on(&mut self, i: u32, worker: WorkerId, slot: u32) {
        self.know_worker(worker);
        let conn = self.conns.get_mut(i);
        self.on_worker[conn.worker.0 as usize] -= 1;
        self.on_worker[worker.0 as usize] += 1;
        conn.worker = worker;
        conn.slot = slot;
    }

    fn know_worker(&mut self, worker: WorkerId) {
        if self.on_worker.len() <= worker.0 as usize {
            self.on_worker.resize(worker.0 as usize + 1, 0);
        }
    }

    fn count_caps(&mut self, p: usize, change: impl Fn(&mut Cap)) {
        let Upstream { pools, caps, .. } = self;
        if let Some(Some(pool)) = pools.get(p) {
            for cap in &pool.settings.caps {
                if let Some(cap) = caps.get_mut(cap.0 as usize) {
                    change(cap);
                }
            }
        }
    }

    fn refused(&mut self, reason: RefuseReason) -> Checkout {
        self.counters.refusals[reason as usize] += 1;
        Checkout::Refused(reason)
    }

    /// Refuses the waiter that has waited longest in pool `p`.
    fn refuse_oldest(&mut self, now: Time, p: usize, reason: RefuseReason) -> bool {
        let Some(i) = self.at(p).queue.oldest() else {
            return false;
        };
        let gone = self.drop_waiter(p, i);
        self.counters.refusals[reason as usize] += 1;
        let text = self
            .at(p)
            .failure
            .as_ref()
            .map(|failure| failure.text.clone());
        let waited = now.since(gone.arrived);
        self.actions.push_back(Action::Refuse {
            worker: gone.client.worker,
            client: gone.client,
            reason,
            waited,
            text,
        });
        true
    }

    fn refuse_queue(&mut self, now: Time, p: usize, reason: RefuseReason) {
        while self.refuse_oldest(now, p, reason) {}
    }

    fn wake_at(&mut self, at: Time) {
        self.wake = self.wake.min(at);
    }

    fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.get(id.0 as usize)?.as_ref()
    }

    fn pool_mut(&mut self, id: PoolId) -> Option<&mut Pool> {
        self.pools.get_mut(id.0 as usize)?.as_mut()
    }

    /// The pool at an index that a connection or a loop over the pools gave:
    /// pools with connections are never removed.
    fn at(&self, p: usize) -> &Pool {
        self.pools[p]
            .as_ref()
            .expect("a pool that is in use was removed")
    }

    fn at_mut(&mut self, p: usize) -> &mut Pool {
        self.pools[p]
            .as_mut()
            .expect("a pool that is in use was removed")
    }

    #[cfg(test)]
    fn faulty(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    #[cfg(not(test))]
    const fn faulty(&self, _: Fault) -> bool {
        false
    }
}

/// When a connection reaches its lifetime. Connections are spread over the last
/// 6 % by their slot, so that those opened together do not end together.
fn old_at(pool: &Pool, conn: &crate::conns::Conn, i: u32) -> Time {
    match pool.settings.lifetime {
        Some(lifetime) => conn.opened_at.after(lifetime - lifetime / 256 * (i & 15)),
        None => Time::FAR,
    }
}

/// When a connection that is idle since `since` is due to be looked at.
fn idle_due(pool: &Pool, conn: &crate::conns::Conn, since: Time, i: u32) -> Time {
    let idle = pool
        .settings
        .idle_timeout
        .map_or(Time::FAR, |timeout| since.after(timeout));
    idle.min(old_at(pool, conn, i))
}
