//! One database server: lending and taking back.
//!
//! `steps` are the parts that these are made of, `opening` decides when
//! connections are opened, `sharing` who makes room, `admin` holds what operators and
//! settings change, `ticking` what time alone changes, `budgeting` follows the
//! line, and `check` states what must hold after each of them.

mod admin;
mod budgeting;
mod cap;
mod check;
mod fault;
mod following;
mod leasing;
mod ledger;
mod opening;
mod sharing;
mod shedding;
mod sizing;
mod steps;
mod taping;
mod ticking;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

#[cfg(not(feature = "plant"))]
use fault::Fault;
#[cfg(feature = "plant")]
pub use fault::Fault;
pub(crate) use following::Left;
pub use opening::RETRY_DELAY_MAX;
pub use sharing::{BORROW_IDLE, EVICT_PAUSE};
use shedding::Outlook;
pub(crate) use sizing::Meter;
pub use sizing::{Resized, Service};

use crate::action::{Action, Checkin, Checkout};
use crate::budget::Budget;
use crate::conns::{Conns, State};
use crate::figures::{ConnState, Counters};
use crate::list::{List, NIL};
use crate::moves::{Move, Moves};
use crate::one_pool::{Mode, Pool};
use crate::settings::UpstreamSettings;
use crate::tape::{Mark, Tape};
use cap::Cap;
use events::shape::End;
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, RefuseReason, Time, WorkerId};
use std::collections::VecDeque;
use std::time::Duration;

/// One database server: its budget, and all pools on it.
#[derive(Clone, Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
    budget: Budget,
    /// Where the peers' monitor sessions come from.
    peers_at: Vec<std::net::IpAddr>,
    /// The budget's limits: nothing is opened at or above the first, what is
    /// above the second is closed. Both include the monitor session.
    line: u32,
    /// What the server could give at best, as the pools know it.
    capacity: Option<u32>,
    keep: u32,
    /// The pool of the monitor session.
    monitor: Option<usize>,
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
    /// Of all of them, those at an address that the server's name has left.
    left: Left,
    moves: Moves,
    told_moves: VecDeque<Move>,
    /// Since when another server serves than those that were left behind.
    ousting: Option<Time>,
    next_doubt: Time,
    /// Which database it is, and one that it suddenly was.
    system: Option<u64>,
    other_database: Option<(u64, u64)>,
    /// Pools that want to open a connection and are held back by a shared bound.
    hungry: VecDeque<u32>,
    next_evict: Time,
    /// Hungry pools without any connection whose clients' patience has ended,
    /// as of the last tick.
    starving: u32,
    /// Minimums leave nothing for the first of them, and give way.
    undercuts: bool,
    /// A pool with so many connections gives up the next that is returned to it;
    /// [`u32::MAX`]: none does.
    giving: u32,
    /// Slots given away while pools starved: decides whose turn is next.
    turns: u32,
    /// No idle connection was found for another pool; not looked again before.
    next_look: Time,
    /// Nothing is due before this: a lower bound of the next tick.
    wake: Time,
    shutdown: bool,
    /// The process ends: nothing of it is connected any more.
    gone: bool,
    /// A connection was opened once: a server that is away now may be restarting.
    reached: bool,
    actions: VecDeque<Action>,
    /// Pools are not sampled before this.
    next_sample: Time,
    resized: VecDeque<Resized>,
    /// What requests looked like.
    tape: Tape,
    /// Time that opening connections took, microseconds, and how many.
    opens_took: (u64, u64),
    counters: Counters,
    #[cfg(any(test, feature = "plant"))]
    fault: Option<Fault>,
}

impl Upstream {
    /// A server without pools.
    pub fn new(settings: UpstreamSettings) -> Upstream {
        Upstream {
            budget: Budget::new(settings.line),
            peers_at: Vec::new(),
            line: settings.line,
            capacity: Some(settings.line),
            keep: settings.line,
            monitor: None,
            settings,
            pools: Vec::new(),
            conns: Conns::default(),
            caps: Vec::new(),
            on_worker: vec![0],
            charged: 0,
            opening: 0,
            closing: 0,
            left: Left::default(),
            moves: Moves::default(),
            told_moves: VecDeque::new(),
            ousting: None,
            next_doubt: Time::ZERO,
            system: None,
            other_database: None,
            hungry: VecDeque::new(),
            next_evict: Time::ZERO,
            starving: 0,
            undercuts: false,
            giving: u32::MAX,
            turns: 0,
            next_look: Time::ZERO,
            wake: Time::FAR,
            shutdown: false,
            gone: false,
            reached: false,
            actions: VecDeque::new(),
            next_sample: Time::ZERO,
            resized: VecDeque::new(),
            tape: Tape::default(),
            opens_took: (0, 0),
            counters: Counters::default(),
            #[cfg(any(test, feature = "plant"))]
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

    /// A client asks for a connection. It must neither hold one of this pool nor
    /// wait for one.
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
            self.conns.get_mut(i).mark = match self.tape.is_on() {
                true => self.taped_lease(now, p, client, flow),
                false => Mark::NONE,
            };
            return Checkout::Granted {
                conn: self.conns.id(i),
                slot: self.conns.get(i).slot,
                taped: self.conns.get(i).mark.is_set(),
            };
        }
        self.enqueue(now, p, client, flow)
    }

    fn enqueue(&mut self, now: Time, p: usize, client: ClientId, flow: FlowId) -> Checkout {
        if self.at_mut(p).queue.find(client).is_some() {
            return Checkout::Queued;
        }
        if self.at(p).is_pausing(now) && self.is_down(now, p) {
            return self.turned_away(now, p, client, flow.0, RefuseReason::ServerDown);
        }
        let pool = self.at_mut(p);
        let at_once =
            pool.mode == Mode::Open && pool.queue.queued() == 0 && pool.count(ConnState::Idle) > 0;
        if !at_once && pool.queue.len() >= pool.settings.queue_max {
            return self.turned_away(now, p, client, flow.0, RefuseReason::QueueFull);
        }
        let flow = pool.queue.flows.checked(flow.0);
        let outlook = self.outlook(now, p, flow);
        if outlook == Outlook::Shed {
            return self.turned_away(now, p, client, flow, RefuseReason::Shed);
        }
        let pool = self.at_mut(p);
        let waiter = pool.queue.push(now, client, flow);
        if self.tape.is_on() {
            self.tape_waiter(now, p, client, flow, waiter);
        }
        let pool = self.at_mut(p);
        if outlook == Outlook::WouldShed {
            pool.queue.doom(waiter);
        }
        if let Some(timeout) = pool.wait_timeout_of(flow) {
            let deadline = now.after(timeout);
            pool.next_late = pool.next_late.min(deadline);
            self.wake_at(deadline);
        }
        self.awake(now);
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
            .or_else(|| self.given_up(now, i))
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
        let took = now.since(self.conns.get(i).opened_at);
        self.note_open(took);
        self.settle_on(i, worker, slot);
        self.conns.get_mut(i).opened_at = now;
        let p = self.conns.get(i).pool as usize;
        let pool = self.at_mut(p);
        pool.create.record(took);
        pool.failure = None;
        self.reached = true;
        if self.is_monitor(p) {
            self.budget.connected();
        }
        self.settle(now, i);
        self.pump(now, p);
        self.feed(now);
    }

    /// A connection is being closed by its worker, from any state; still charged.
    pub fn closing(&mut self, now: Time, conn: ConnId) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        if !self.conns.get(i).left {
            self.moves.uneasy(now);
        }
        self.detach(now, i);
        self.set_state(now, i, State::Closing);
        let p = self.conns.get(i).pool as usize;
        self.monitor_lost(now, p);
        self.pump(now, p);
    }

    /// The end of file of a connection was seen, in any state: its charge ends.
    pub fn closed(&mut self, now: Time, conn: ConnId) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        let p = self.conns.get(i).pool as usize;
        if self.conns.get(i).state.kind() != ConnState::Closing {
            self.moves.uneasy(now);
        }
        let left = self.conns.get(i).left;
        self.detach(now, i);
        self.release(now, i);
        if !left {
            self.monitor_lost(now, p);
        }
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
        let left = self.conns.get(i).doom == Some(CloseReason::ServerMoved);
        let p = self.conns.get(i).pool as usize;
        let pool = self.at_mut(p);
        pool.handovers += 1;
        if waiter != NIL && !left && pool.queue.get(waiter).client == client {
            let waiter = pool.queue.finish(waiter);
            pool.wait.record(now.since(waiter.arrived));
            pool.grants += 1;
            self.served_after_all(p, &waiter);
            self.conns.get_mut(i).mark = waiter.mark;
            self.set_state(
                now,
                i,
                State::Lent {
                    client,
                    flow: waiter.flow,
                },
            );
            self.tape_grant(now, i);
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
    pub fn cancel_wait(&mut self, now: Time, client: ClientId, pool: PoolId) -> bool {
        let Some(found) = self.pool(pool).and_then(|pool| pool.queue.find(client)) else {
            return false;
        };
        let gone = self.drop_waiter(pool.0 as usize, found);
        if gone.mark.is_set() {
            self.tape.ended(now, gone.mark, End::Left);
        }
        true
    }
}
