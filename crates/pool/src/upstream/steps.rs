//! The parts that lending and taking back are made of. Each keeps all counts.

use super::{Cap, Fault, Upstream};
use crate::action::{Action, Checkout};
use crate::conns::{Conn, State};
use crate::figures::ConnState;
use crate::list::{List, NIL};
use crate::one_pool::{Mode, Pool};
use crate::queue::{Pick, Waiter};
use events::shape::End;
use events::{CloseReason, PoolId, RefuseReason, Time, WorkerId};
use std::time::Duration;

impl Upstream {
    /// Takes a waiter out; a connection on its way to it loses its target.
    pub(super) fn drop_waiter(&mut self, p: usize, i: u32) -> Waiter {
        let gone = self.at_mut(p).queue.cancel(i);
        if gone.reserved != NIL {
            self.conns.get_mut(gone.reserved).state = State::Moving { waiter: NIL };
        }
        gone
    }

    /// Ends what the present state means for others: the lease, the place in
    /// the idle list, the waiter it was meant for. A new state must follow.
    pub(super) fn detach(&mut self, now: Time, i: u32) {
        let conn = *self.conns.get(i);
        match conn.state {
            State::Idle => self.unlink_idle(i),
            State::Lent { flow, .. } => {
                let pool = self.at_mut(conn.pool as usize);
                let hold = now.since(conn.since);
                match conn.left {
                    // Nobody's habit: it hung, or ended with its server.
                    true => pool.queue.flows.release(flow),
                    false => {
                        pool.queue.flows.returned(flow, hold);
                        pool.hold.record(hold);
                    }
                }
                if conn.mark.is_set() {
                    self.tape.ended(now, conn.mark, End::Returned);
                }
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
    pub(super) fn settle(&mut self, now: Time, i: u32) {
        match self.unfit(now, i) {
            Some(reason) => self.close(now, i, reason),
            None => self.place(now, i),
        }
    }

    /// Where a detached, fit connection goes: to a waiter, or idle.
    pub(super) fn place(&mut self, now: Time, i: u32) {
        let forget = self.faulty(Fault::ForgetWaiters);
        let conn = *self.conns.get(i);
        #[cfg(any(test, feature = "plant"))]
        let planted = self
            .fault
            .and_then(|fault| fault.pick(self.at(conn.pool as usize), conn.worker));
        #[cfg(not(any(test, feature = "plant")))]
        let planted = None;
        let pool = self.at_mut(conn.pool as usize);
        if pool.queue.queued() > 0
            && !forget
            && let Some(pick) = planted.or_else(|| pool.queue.pick(now, Some(conn.worker)))
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
            // What is lent next stands in front.
            match pool.settings.round_robin {
                true => pool.idle[worker].push_back(&mut conns.idle_links, i),
                false => pool.idle[worker].push_front(&mut conns.idle_links, i),
            }
        }
    }

    /// A detached connection goes to the waiter picked for it, here or on another worker.
    pub(super) fn give(&mut self, now: Time, i: u32, pick: Pick) {
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
            self.served_after_all(conn.pool as usize, &waiter);
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
    pub(super) fn unfit(&self, now: Time, i: u32) -> Option<CloseReason> {
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
            Mode::Paused => return Some(CloseReason::Paused),
            Mode::Retired => return Some(CloseReason::SettingsChanged),
        }
        if pool.live() > pool.limit() || self.over_cap(pool) {
            return Some(CloseReason::SettingsChanged);
        }
        if self.over_line() && !self.is_monitor(conn.pool as usize) {
            return Some(self.above_line());
        }
        (old_at(pool, conn, i) <= now).then_some(CloseReason::ServerLifetime)
    }

    /// More connections are here to stay than the line allows.
    pub(super) fn over_line(&self) -> bool {
        self.here().saturating_sub(self.closing_here()) > self.keep
    }

    pub(super) fn over_cap(&self, pool: &Pool) -> bool {
        pool.settings.caps.iter().any(|cap| {
            self.caps
                .get(cap.0 as usize)
                .is_some_and(|cap| cap.live > cap.limit)
        })
    }

    /// Has a detached connection closed by its worker.
    pub(super) fn close(&mut self, now: Time, i: u32, reason: CloseReason) {
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

    pub(super) fn unlink_idle(&mut self, i: u32) {
        let Upstream { pools, conns, .. } = self;
        let conn = *conns.get(i);
        if let Some(Some(pool)) = pools.get_mut(conn.pool as usize)
            && let Some(list) = pool.idle.get_mut(conn.worker.0 as usize)
        {
            list.remove(&mut conns.idle_links, i);
        }
    }

    /// The one place where a connection changes its state; keeps all counts.
    pub(super) fn set_state(&mut self, now: Time, i: u32, state: State) {
        let conn = self.conns.get_mut(i);
        let (old, new) = (conn.state.kind(), state.kind());
        conn.state = state;
        conn.since = now;
        conn.lent |= new == ConnState::Lent;
        let p = conn.pool as usize;
        let pool = self.at_mut(p);
        *pool.count_mut(old) -= 1;
        *pool.count_mut(new) += 1;
        if new == ConnState::Lent {
            pool.meter.peak = pool.meter.peak.max(pool.count(ConnState::Lent));
        }
        if old == ConnState::Opening && new != ConnState::Opening {
            self.opening -= 1;
        }
        if new == ConnState::Closing && old != ConnState::Closing {
            self.closing += 1;
            if self.conns.get(i).left {
                self.left.closing += 1;
                self.at_mut(p).left.closing += 1;
            } else {
                self.counters.losses += 1;
                self.count_caps(p, |cap| cap.live -= 1);
            }
            if self.faulty(Fault::ChargeEndsEarly) {
                self.charged -= 1;
            }
        }
    }

    /// A detached connection is gone: its charge ends and its slot is free.
    pub(super) fn release(&mut self, now: Time, i: u32) {
        self.set_state(now, i, State::Closing);
        let conn = *self.conns.get(i);
        *self
            .at_mut(conn.pool as usize)
            .count_mut(ConnState::Closing) -= 1;
        if conn.left {
            self.left.gone();
            self.at_mut(conn.pool as usize).left.gone();
        } else {
            self.count_caps(conn.pool as usize, |cap| cap.charged -= 1);
        }
        self.closing -= 1;
        if !self.faulty(Fault::ChargeEndsEarly) {
            self.charged -= 1;
        }
        self.on_worker[conn.worker.0 as usize] -= 1;
        self.conns.remove(i);
        self.blind();
    }

    /// A connection now lives at `slot` of `worker`.
    pub(super) fn settle_on(&mut self, i: u32, worker: WorkerId, slot: u32) {
        self.know_worker(worker);
        let conn = self.conns.get_mut(i);
        self.on_worker[conn.worker.0 as usize] -= 1;
        self.on_worker[worker.0 as usize] += 1;
        conn.worker = worker;
        conn.slot = slot;
    }

    pub(super) fn know_worker(&mut self, worker: WorkerId) {
        if self.on_worker.len() <= worker.0 as usize {
            self.on_worker.resize(worker.0 as usize + 1, 0);
        }
    }

    pub(super) fn count_caps(&mut self, p: usize, change: impl Fn(&mut Cap)) {
        let Upstream { pools, caps, .. } = self;
        if let Some(Some(pool)) = pools.get(p) {
            for cap in &pool.settings.caps {
                if let Some(cap) = caps.get_mut(cap.0 as usize) {
                    change(cap);
                }
            }
        }
    }

    pub(super) fn refused(&mut self, reason: RefuseReason) -> Checkout {
        self.counters.refusals[reason as usize] += 1;
        Checkout::Refused(reason)
    }

    /// Refuses the waiter that has waited longest in pool `p`.
    pub(super) fn refuse_oldest(&mut self, now: Time, p: usize, reason: RefuseReason) -> bool {
        let Some(i) = self.at(p).queue.oldest() else {
            return false;
        };
        self.refuse_waiter(now, p, i, reason);
        true
    }

    pub(super) fn refuse_waiter(&mut self, now: Time, p: usize, i: u32, reason: RefuseReason) {
        let gone = self.drop_waiter(p, i);
        if gone.mark.is_set() {
            let end = match reason {
                RefuseReason::WaitTimeout => End::TimedOut,
                _ => End::Refused,
            };
            self.tape.ended(now, gone.mark, end);
        }
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
    }

    pub(super) fn refuse_queue(&mut self, now: Time, p: usize, reason: RefuseReason) {
        while self.refuse_oldest(now, p, reason) {}
    }

    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = self.wake.min(at);
    }

    pub(super) fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn pool_mut(&mut self, id: PoolId) -> Option<&mut Pool> {
        self.pools.get_mut(id.0 as usize)?.as_mut()
    }

    /// The pool at an index that a connection or a loop over the pools gave:
    /// pools with connections are never removed.
    pub(super) fn at(&self, p: usize) -> &Pool {
        self.pools[p]
            .as_ref()
            .expect("a pool that is in use was removed")
    }

    pub(super) fn at_mut(&mut self, p: usize) -> &mut Pool {
        self.pools[p]
            .as_mut()
            .expect("a pool that is in use was removed")
    }
}

/// When a connection reaches its lifetime. Connections are spread over the last
/// 6 % by their slot, so that those opened together do not end together.
pub(super) fn old_at(pool: &Pool, conn: &Conn, i: u32) -> Time {
    match pool.settings.lifetime {
        // One use: what nobody has used yet does not age.
        Some(Duration::ZERO) if !conn.lent => Time::FAR,
        Some(lifetime) => conn.opened_at.after(lifetime - lifetime / 256 * (i & 15)),
        None => Time::FAR,
    }
}

/// When a connection that is idle since `since` is due to be looked at.
pub(super) fn idle_due(pool: &Pool, conn: &Conn, since: Time, i: u32) -> Time {
    let idle = pool
        .settings
        .idle_timeout
        .map_or(Time::FAR, |timeout| since.after(timeout));
    idle.min(old_at(pool, conn, i))
}
