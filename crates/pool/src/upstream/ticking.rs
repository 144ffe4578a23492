//! What time alone changes.

use super::steps::{idle_due, old_at};
use super::{Fault, Upstream};
use crate::figures::ConnState;
use crate::list::NIL;
use crate::one_pool::Pool;
use events::{CloseReason, RefuseReason, Time};

impl Upstream {
    /// Does what is due: deadlines of waiters, idle and old connections, the
    /// minimum, the reserve, further tries and evictions. Call it at
    /// [`Upstream::next_tick`]; earlier does no harm.
    pub fn tick(&mut self, now: Time) {
        if now < self.wake {
            return;
        }
        self.wake = Time::FAR;
        self.tick_budget(now);
        self.oust(now);
        for p in 0..self.pools.len() {
            if self.pools[p].is_some() {
                self.tick_pool(now, p);
            }
        }
        self.feed(now);
        self.share(now);
        #[cfg(debug_assertions)]
        if self.conns.end() < 64 && !cfg!(test) {
            debug_assert_eq!(self.check_invariants(), Ok(()));
        }
    }

    /// When [`Upstream::tick`] has something to do; it may find that it was
    /// done meanwhile.
    pub fn next_tick(&self) -> Option<Time> {
        (self.wake != Time::FAR).then_some(self.wake)
    }

    fn tick_pool(&mut self, now: Time, p: usize) {
        if !self.faulty(Fault::NoDeadlines) {
            self.refuse_late(now, p);
        }
        self.tell_outage(now, p);
        self.tick_squeeze(now, p);
        if self.at(p).next_scan <= now {
            self.scan_idle(now, p);
        }
        self.pump(now, p);
        let pool = self.at(p);
        let next = pool
            .next_scan
            .min(pool.next_deadline().unwrap_or(Time::FAR));
        self.wake_at(next);
    }

    /// Refuses those whose deadline has come.
    fn refuse_late(&mut self, now: Time, p: usize) {
        let pool = self.at(p);
        if pool.queue.flows.wait_alike() {
            let due = |pool: &Pool| pool.next_deadline().is_some_and(|at| at <= now);
            while due(self.at(p)) {
                self.refuse_oldest(now, p, RefuseReason::WaitTimeout);
            }
            return;
        }
        if pool.next_late > now {
            return;
        }
        // Arrival says nothing about deadlines that differ: all are looked at.
        let mut late = Vec::new();
        let mut next = Time::FAR;
        for i in pool.queue.by_age() {
            let waiter = pool.queue.get(i);
            if let Some(timeout) = pool.wait_timeout_of(waiter.flow) {
                match waiter.arrived.after(timeout) {
                    at if at <= now => late.push(i),
                    at => next = next.min(at),
                }
            }
        }
        self.at_mut(p).next_late = next;
        for i in late {
            self.refuse_waiter(now, p, i, RefuseReason::WaitTimeout);
        }
    }

    /// The server has been away for too long: those who still wait are told,
    /// unless the next attempt is due or under way.
    fn tell_outage(&mut self, now: Time, p: usize) {
        let grace = self.grace();
        let pool = self.at(p);
        if !pool.is_pausing(now) || pool.count(ConnState::Opening) > 0 {
            return;
        }
        if self.is_down(now, p) {
            self.refuse_queue(now, p, RefuseReason::ServerDown);
        } else if let Some(failure) = &pool.failure {
            let told_at = failure.since.after(grace);
            if told_at > now {
                self.wake_at(told_at);
            }
        }
    }

    /// Closes the idle connections of pool `p` that are too old or idle for too long.
    fn scan_idle(&mut self, now: Time, p: usize) {
        let mut next_scan = Time::FAR;
        for worker in 0..self.at(p).idle.len() {
            let mut at = self.at(p).idle[worker].last().unwrap_or(NIL);
            while at != NIL {
                let i = at;
                at = self.conns.idle_links.prev(i);
                let pool = self.at(p);
                let conn = self.conns.get(i);
                let old = old_at(pool, conn, i);
                let above_min = pool.live() > pool.min();
                if old <= now {
                    self.detach(now, i);
                    self.close(now, i, CloseReason::ServerLifetime);
                } else if above_min && idle_due(pool, conn, conn.since, i) <= now {
                    self.detach(now, i);
                    self.close(now, i, CloseReason::ServerIdleTimeout);
                } else if above_min {
                    next_scan = next_scan.min(idle_due(pool, conn, conn.since, i));
                } else {
                    next_scan = next_scan.min(old);
                }
            }
        }
        self.at_mut(p).next_scan = next_scan;
    }
}
