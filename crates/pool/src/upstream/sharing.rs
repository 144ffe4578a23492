//! Who gives way when the line is full, and who gets what comes free.
//!
//! A pool *starves* when it has no connection at all and its clients' patience
//! has ended. For it the longest idle connection of any pool is closed, or,
//! where nothing is idle, one that is returned to a pool that has many. A pool
//! that has connections, but too few, waits for one that nobody needs, and while
//! others starve it has a share of the slots that come free.
//!
//! Minimums are kept while they leave room beside them. Where they fill the line,
//! or a cap, a pool that has nothing takes one all the same: it would else never be
//! served. And nobody's minimum takes the last connection of another pool, so that
//! the two do not take it from each other for ever.

use super::Upstream;
use super::opening::Room;
use crate::one_pool::Pool;
use crate::settings::CapId;
use events::{CloseReason, Time};
use std::time::Duration;

/// So long a client waits before another pool gives up a connection that it
/// uses, and so long a connection is idle before it counts as not used. Both
/// are shorter where clients would be refused before that.
pub const BORROW_IDLE: Duration = Duration::from_secs(2);
/// At most one connection of an upstream is closed for another pool in this time.
pub const EVICT_PAUSE: Duration = Duration::from_millis(100);
/// A connection idle for less is between two clients of a busy pool.
const GLANCE: Duration = Duration::from_millis(20);
/// Who gives the next one was looked for in vain: a pause, so that not every
/// return looks.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// A pool with connections is short of them when a client has waited so long.
const SHORT_WAIT: Duration = Duration::from_millis(50);
/// Of so many slots that come free while pools starve, one is for a short pool:
/// popular ones soon get back what a lull took, and the round of the
/// starving takes a third longer at most.
const SHORT_TURN: u32 = 4;
/// The same while a starving pool's client is near its deadline.
const SHORT_TURN_URGENT: u32 = 10;
/// After a starving pool's turn came, its first connection has this part of the
/// time waited to work off what had queued, before the pool counts as short.
const CATCH_UP: u32 = 4;

impl Upstream {
    /// Gives free slots away while pools starve, see [`SHORT_TURN`]. The others
    /// get what is left.
    pub(super) fn feed_in_turns(&mut self, now: Time) {
        if self.starving == 0 {
            return;
        }
        while self.here() < self.line && self.may_connect() {
            let Some(p) = self
                .next_turn(now)
                .and_then(|at| self.hungry.remove(at))
                .map(|p| p as usize)
            else {
                return;
            };
            self.turns = self.turns.wrapping_add(1);
            self.at_mut(p).hungry = false;
            self.open(now, p);
            if self.demand(p) > 0 {
                self.starve(p);
            }
        }
    }

    /// The place in the list of the pool that is next: the first of those without
    /// a connection, or the first short one.
    fn next_turn(&self, now: Time) -> Option<usize> {
        let may = |p: usize| self.demand(p) > 0 && self.room(now, p) == Room::Yes;
        let hungry = || self.hungry.iter().map(|p| *p as usize);
        let first = hungry().position(|p| self.at(p).charged() == 0 && may(p));
        let short = || hungry().position(|p| is_short(self.at(p), now) && may(p));
        let urgent = first.is_some_and(|at| is_urgent(self.at(self.hungry[at] as usize), now));
        let every = match urgent {
            true => SHORT_TURN_URGENT,
            false => SHORT_TURN,
        };
        match (self.turns % every) + 1 == every {
            true => short().or(first),
            false => first.or_else(short),
        }
    }

    /// Forgets who is hungry no more, and finds who makes room for the others.
    pub(super) fn share(&mut self, now: Time) {
        for _ in 0..self.hungry.len() {
            let Some(p) = self.hungry.pop_front() else {
                break;
            };
            self.at_mut(p as usize).hungry = false;
            if self.demand(p as usize) > 0 {
                self.starve(p as usize);
            }
        }
        let starving = self.hungry.iter().filter(|p| self.starves(now, **p));
        self.starving = starving.count() as u32;
        if self.starving <= self.closing_here() {
            self.giving = u32::MAX;
        }
        let first = self.hungry.iter().find(|p| self.starves(now, **p));
        self.undercuts = first.is_some_and(|p| self.minimums_fill(*p as usize));
        if self.hungry.is_empty() {
            return;
        }
        if now < self.next_evict {
            return self.wake_at(self.next_evict);
        }
        match self.idle_for_hungry(now) {
            Some(i) => self.evict(now, i),
            None if self.starving > self.closing_here() => self.ask_for_returned(),
            None => {}
        }
    }

    /// The connection to be closed for the first hungry pool for whom that
    /// helps: the one that is idle for longest.
    fn idle_for_hungry(&self, now: Time) -> Option<u32> {
        let pools = 0..self.pools.len();
        let mut idle: Vec<_> = pools.filter_map(|p| self.longest_idle(p)).collect();
        idle.sort_unstable();
        self.hungry.iter().find_map(|p| {
            let p = *p as usize;
            // What is being closed already will do.
            let (least, lacking) = match self.starves(now, p as u32) {
                true => (GLANCE.min(self.patience(p)), self.starving),
                false => (self.patience(p), self.demand(p)),
            };
            if self.closing_here() >= lacking || self.room(now, p) != Room::Shared {
                return None;
            }
            let long = idle.iter().take_while(|at| at.0.after(least) <= now);
            long.map(|(_, i)| *i).find(|i| {
                let q = self.conns.get(*i).pool as usize;
                q != p && self.helps(q, p)
            })
        })
    }

    /// Nothing is idle: the pools with the most connections are to give the next
    /// that is returned, and at each further tick in vain also those with half
    /// as many. In the end any will do: long transactions hold nobody up.
    fn ask_for_returned(&mut self) {
        let pools = || self.pools.iter().flatten();
        let gives = |pool: &&Pool| self.undercuts || pool.live() > pool.min();
        let most = pools().filter(gives).map(Pool::live).max();
        self.giving = most.unwrap_or(1).min(self.giving / 2).max(1);
    }

    /// Whether a connection that is just returned is given up for a pool that
    /// starves. It may be the giver's last one, but not before that had time to
    /// work off what had queued; the two then take turns.
    pub(super) fn given_up(&mut self, now: Time, i: u32) -> Option<CloseReason> {
        if self.giving == u32::MAX || now < self.next_evict || self.starving <= self.closing_here()
        {
            return None;
        }
        let q = self.conns.get(i).pool as usize;
        let giver = self.at(q);
        if giver.live() < self.giving || giver.caught_up_at > now {
            return None;
        }
        let mut hungry = self.hungry.iter();
        if !hungry.any(|p| self.starves(now, *p) && self.helps(q, *p as usize)) {
            self.next_evict = now.after(LOOK_PAUSE);
            return None;
        }
        self.count_eviction(now);
        Some(CloseReason::Evicted)
    }

    /// Closes the connection idle for longest of another pool, so that `p` may
    /// open one. Not before `p`'s patience ends, and not faster than [`EVICT_PAUSE`].
    pub(super) fn evict_for(&mut self, now: Time, p: usize) {
        // What is being closed already will do.
        if now < self.next_evict
            || now < self.next_look
            || self.closing_here() >= self.demand(p)
            || self.at(p).queue.queued() == 0
        {
            return;
        }
        let patience = self.patience(p);
        let others = (0..self.pools.len()).filter(|q| *q != p && self.helps(*q, p));
        match others.filter_map(|q| self.longest_idle(q)).min() {
            Some((since, i)) if since.after(patience) <= now => self.evict(now, i),
            _ => self.next_look = now.after(EVICT_PAUSE.min(patience)),
        }
    }

    fn evict(&mut self, now: Time, i: u32) {
        self.count_eviction(now);
        self.detach(now, i);
        self.close(now, i, CloseReason::Evicted);
    }

    fn count_eviction(&mut self, now: Time) {
        self.counters.evictions += 1;
        self.next_evict = now.after(EVICT_PAUSE);
        self.wake_at(self.next_evict);
        self.giving = u32::MAX;
    }

    /// How long a connection must be idle, or a client of `p` have waited, before
    /// another pool gives up a connection for `p`. Half of the longest wait at
    /// most: in the other half the connection is to be closed and one opened.
    pub(super) fn patience(&self, p: usize) -> Duration {
        match self.at(p).wait_timeout_min() {
            Some(wait) => BORROW_IDLE.min(wait / 2),
            None => BORROW_IDLE,
        }
    }

    /// Whether the minimums of all leave nothing of the line, or of a full cap of
    /// `p`, for who has no connection.
    fn minimums_fill(&self, p: usize) -> bool {
        let pools = || self.pools.iter().flatten();
        let of_cap = |cap: &CapId| {
            let shares = pools().filter(|pool| pool.settings.caps.contains(cap));
            let sum: u64 = shares.map(|pool| u64::from(pool.min())).sum();
            let limit = self.caps.get(cap.0 as usize).map(|cap| cap.limit);
            limit.is_some_and(|limit| sum >= u64::from(limit))
        };
        let sum: u64 = pools().map(|pool| u64::from(pool.min())).sum();
        sum >= u64::from(self.line) || self.at(p).settings.caps.iter().any(of_cap)
    }

    /// Whether a connection less in pool `q` gives `p` what it lacks: `q` can spare
    /// it and shares every full cap of `p`.
    fn helps(&self, q: usize, p: usize) -> bool {
        let Some(Some(giver)) = self.pools.get(q) else {
            return false;
        };
        let taker = self.at(p);
        let keeps = match (taker.charged(), taker.queue.queued()) {
            (0, 1..) if self.undercuts => 0,
            (_, 1..) => giver.min(),
            // Only its minimum wants it.
            (_, 0) => giver.min().max(1),
        };
        !self.is_monitor(q)
            && giver.live() > keeps
            && taker.settings.caps.iter().all(|cap| {
                let full = self
                    .caps
                    .get(cap.0 as usize)
                    .is_some_and(|cap| cap.charged >= cap.limit);
                !full || giver.settings.caps.contains(cap)
            })
    }

    fn starves(&self, now: Time, p: u32) -> bool {
        let pool = self.at(p as usize);
        let patience = self.patience(p as usize);
        pool.charged() == 0
            && pool
                .lacking_since()
                .is_some_and(|at| at.after(patience) <= now)
            && self.room(now, p as usize) == Room::Shared
    }
}

/// Whether a pool has connections, but too few for those who wait.
fn is_short(pool: &Pool, now: Time) -> bool {
    let lacking = pool.lacking_since();
    pool.charged() > 0
        && pool.caught_up_at <= now
        && lacking.is_some_and(|at| at.after(SHORT_WAIT) <= now)
}

/// Whether a client of a starving pool has spent four fifths of its time.
fn is_urgent(pool: &Pool, now: Time) -> bool {
    let deadline = pool.lacking_since().zip(pool.wait_timeout_min());
    deadline.is_some_and(|(at, wait)| at.after(wait / 5 * 4) <= now)
}

/// When a pool that gets its first connection now will have worked off what
/// has queued, at the latest, if one connection is enough for it.
pub(super) fn caught_up_at(pool: &Pool, now: Time) -> Time {
    let waited = pool
        .lacking_since()
        .map_or(Duration::ZERO, |at| now.since(at));
    now.after(waited / CATCH_UP)
}
