//! When connections are opened.

use super::sharing::{EVICT_PAUSE, caught_up_at};
use super::{Fault, Upstream};
use crate::action::Action;
use crate::figures::ConnState;
use crate::list::NIL;
use crate::moves::PROMOTION_PAUSE;
use crate::one_pool::{Failure, Mode, Pool};
use crate::queue::Pick;
use events::{ClientId, CloseReason, ConnId, PoolId, RefuseReason, Time, WorkerId};
use std::sync::Arc;
use std::time::Duration;

/// Pauses after refused logins stop growing here, unless `login_retry` is longer.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(15);
/// Not even `login_retry = 0` tries faster than this.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);

/// Whether a pool may open a connection now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    Yes,
    /// Not before this time.
    Later(Time),
    /// Its own size is reached; only its own events change that.
    PoolFull,
    /// Another attempt after a failure is under way.
    Trying,
    /// Too many are being opened at the same time.
    Connects,
    /// The line or a shared cap is reached.
    Shared,
}

/// First pause after a failure that a restart of the server may explain.
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// Pauses of a server that is away grow to `login_retry`, but not below the first
/// of these and not above the second: who is back is to be noticed soon.
const RESTART_DELAY_MAX: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// When no attempt was made for so long, the next failure begins a new outage.
const OUTAGE_GAP: Duration = Duration::from_secs(10);

/// The pause after the `count`th failure in a row of a server that is away: it
/// grows with the outage, so that a short one is noticed soon.
pub(super) fn restart_delay(login_retry: Duration, count: u32) -> Duration {
    let first = login_retry.clamp(RETRY_DELAY_MIN, RESTART_DELAY);
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(16));
    let [least, most] = RESTART_DELAY_MAX;
    doubled.min(login_retry.clamp(least, most))
}

/// The pause after the `count`th refused login in a row.
pub(super) fn retry_delay(login_retry: Duration, count: u32) -> Duration {
    let first = login_retry.max(RETRY_DELAY_MIN);
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(16));
    doubled.min(RETRY_DELAY_MAX.max(first))
}

impl Upstream {
    /// What the server refused may be mended: there is another secret. The next
    /// attempt does not wait for the pause after the last one.
    pub fn secret_changed(&mut self, now: Time, pool: PoolId) {
        if self.forget_failure(pool) {
            self.pump(now, pool.0 as usize);
            self.feed(now);
        }
    }

    /// The same, before a client asks. `false`: there is no such pool.
    pub fn forget_failure(&mut self, pool: PoolId) -> bool {
        let Some(known) = self.pool_mut(pool) else {
            return false;
        };
        known.failure = None;
        true
    }

    /// A connection could not be opened; its charge ends. `text` is what
    /// clients are told.
    ///
    /// `fatal_login`: the server refused the login in a way that waiting does
    /// not mend (wrong password, no such database). Any other failure may be a
    /// restart: tries follow at growing pauses as long as somebody waits. When
    /// nobody can be served, the waiters are refused, and so are new ones until
    /// the next try: at once after a refused login and when the server was never
    /// reached, else after [`login_retry`](crate::UpstreamSettings::login_retry) of failures.
    pub fn open_failed(&mut self, now: Time, conn: ConnId, fatal_login: bool, text: Arc<str>) {
        self.open_failed_with(now, conn, fatal_login, text, None);
    }

    /// The server refused the login for good, with this SQLSTATE.
    pub fn open_refused(&mut self, now: Time, conn: ConnId, text: Arc<str>, code: [u8; 5]) {
        self.open_failed_with(now, conn, true, text, Some(code));
    }

    fn open_failed_with(
        &mut self,
        now: Time,
        conn: ConnId,
        fatal_login: bool,
        text: Arc<str>,
        code: Option<[u8; 5]>,
    ) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        let p = self.conns.get(i).pool as usize;
        self.counters.open_failures += 1;
        self.release(now, i);
        let (grace, login_retry) = (self.grace(), self.settings.login_retry);
        let longest = match self.moves.is_awaiting(now) {
            true => PROMOTION_PAUSE,
            false => Duration::MAX,
        };
        if !fatal_login {
            self.moves.uneasy(now);
        }
        let pool = self.at_mut(p);
        // An attempt of long ago says nothing about now.
        let last = pool
            .failure
            .take()
            .filter(|last| now < last.retry_at.after(login_retry.max(OUTAGE_GAP)));
        let since = last.as_ref().map_or(now, |last| last.since);
        // Attempts that were under way together count as one.
        let (count, retry_at) = match &last {
            Some(last) if now < last.retry_at => (last.count, last.retry_at),
            last => {
                let count = last.as_ref().map_or(0, |last| last.count) + 1;
                let pause = match fatal_login {
                    true => retry_delay(login_retry, count),
                    false => restart_delay(login_retry, count).min(longest),
                };
                (count, now.after(pause))
            }
        };
        pool.failure = Some(Failure {
            text,
            fatal: fatal_login,
            code,
            count,
            since,
            at: now,
            retry_at,
        });
        self.wake_at(since.after(grace).max(now));
        if self.is_down(now, p) {
            self.refuse_queue(now, p, RefuseReason::ServerDown);
        }
        self.monitor_lost(now, p);
        self.pump(now, p);
        self.feed(now);
    }

    /// How long a server may be away before its clients are told.
    pub(super) fn grace(&self) -> Duration {
        match self.reached || self.settings.patient {
            true => self.settings.login_retry,
            false => Duration::ZERO,
        }
    }

    /// Nobody who waits in pool `p` can be served: no new connection is expected, and none is there that serves
    /// again. One that closes at its return is of no use to who waits.
    pub(super) fn is_down(&self, now: Time, p: usize) -> bool {
        let pool = self.at(p);
        if !pool.has_given_up(now, self.grace()) {
            return false;
        }
        let doomed = (0..self.conns.end())
            .map(|i| self.conns.get(i))
            .filter(|c| c.used && !c.left && c.pool as usize == p && c.doom.is_some())
            .filter(|c| !matches!(c.state.kind(), ConnState::Opening | ConnState::Closing))
            .count() as u32;
        pool.usable() <= doomed
    }

    /// After anything that may help pool `p`: idle connections go to waiters,
    /// and connections are opened for the rest as far as allowed.
    pub(super) fn pump(&mut self, now: Time, p: usize) {
        if self.is_monitor(p) {
            return self.pump_monitor(now, p);
        }
        self.assign_idle(now, p);
        while self.demand(p) > 0 {
            match self.room(now, p) {
                Room::Yes if !self.hungry.is_empty() => {
                    // Others may wait for the same budget longer.
                    self.starve(p);
                    self.feed(now);
                    return;
                }
                Room::Yes => self.open(now, p),
                Room::Later(at) => return self.wake_at(at),
                Room::PoolFull => {
                    if let Some(at) = self.at(p).reserve_at().filter(|at| *at > now) {
                        self.wake_at(at);
                    }
                    return;
                }
                Room::Trying => return,
                Room::Connects => return self.starve(p),
                Room::Shared => {
                    self.starve(p);
                    self.evict_for(now, p);
                    return self.wake_at(now.after(EVICT_PAUSE.min(self.patience(p))));
                }
            }
        }
    }

    /// Budget came free, or grew: the hungry pools get it in turn.
    pub(super) fn feed(&mut self, now: Time) {
        self.feed_in_turns(now);
        let mut fruitless = 0;
        while fruitless < self.hungry.len() && self.here() < self.line && self.may_connect() {
            let Some(p) = self.hungry.pop_front() else {
                break;
            };
            self.at_mut(p as usize).hungry = false;
            if self.demand(p as usize) == 0 {
                continue;
            }
            match self.room(now, p as usize) {
                Room::Yes => {
                    self.open(now, p as usize);
                    fruitless = 0;
                    self.starve(p as usize);
                }
                Room::Shared | Room::Connects => {
                    fruitless += 1;
                    self.starve(p as usize);
                }
                Room::Later(at) => self.wake_at(at),
                Room::PoolFull | Room::Trying => self.pump(now, p as usize),
            }
        }
        if !self.hungry.is_empty() {
            self.wake_at(now.after(EVICT_PAUSE));
        }
    }

    pub(super) fn starve(&mut self, p: usize) {
        let pool = self.at_mut(p);
        if !std::mem::replace(&mut pool.hungry, true) {
            self.hungry.push_back(p as u32);
        }
    }

    /// Waiters take idle connections, in the fair order. Idle connections and
    /// queued clients meet only when a pool resumes or a handover failed.
    fn assign_idle(&mut self, now: Time, p: usize) {
        if self.faulty(Fault::ForgetWaiters) {
            return;
        }
        loop {
            let pool = self.at_mut(p);
            if pool.mode != Mode::Open
                || pool.queue.queued() == 0
                || pool.count(ConnState::Idle) == 0
            {
                return;
            }
            let Some(pick) = pool.queue.pick(now, None) else {
                return;
            };
            let Some(i) = idle_for(pool, pool.queue.get(pick.waiter).client.worker) else {
                return;
            };
            self.unlink_idle(i);
            self.give(now, i, Pick { passes: 0, ..pick });
        }
    }

    /// Connections that pool `p` lacks.
    pub(super) fn demand(&self, p: usize) -> u32 {
        let pool = self.at(p);
        if self.shutdown || pool.mode != Mode::Open {
            return 0;
        }
        let waiting = pool
            .queue
            .queued()
            .saturating_sub(pool.count(ConnState::Opening));
        waiting.max(pool.min().saturating_sub(pool.live()))
    }

    pub(super) fn may_connect(&self) -> bool {
        self.opening < self.settings.connects_max.max(1)
    }

    pub(super) fn room(&self, now: Time, p: usize) -> Room {
        let pool = self.at(p);
        if let Some(failure) = &pool.failure {
            if now < failure.retry_at {
                return Room::Later(failure.retry_at);
            }
            if pool.count(ConnState::Opening) > 0 {
                return Room::Trying;
            }
        }
        let limit = match pool.reserve_at() {
            Some(at) if at <= now => pool.limit(),
            _ => pool.settings.size,
        };
        if pool.charged() >= limit {
            return Room::PoolFull;
        }
        if let Some(at) = self.squeezed(pool) {
            return Room::Later(at);
        }
        if (self.here() >= self.line && !self.faulty(Fault::IgnoreLine)) || self.full_cap(pool) {
            return Room::Shared;
        }
        match self.may_connect() {
            true => Room::Yes,
            false => Room::Connects,
        }
    }

    fn full_cap(&self, pool: &Pool) -> bool {
        pool.settings.caps.iter().any(|cap| {
            self.caps
                .get(cap.0 as usize)
                .is_some_and(|cap| cap.charged >= cap.limit)
        })
    }

    pub(super) fn open(&mut self, now: Time, p: usize) {
        let worker = self.worker_for_open(p);
        let beyond = self.at(p).charged() >= self.at(p).settings.size && !self.is_monitor(p);
        let reserve = self.next_uncovered(p).filter(|_| beyond);
        self.know_worker(worker);
        let i = self.conns.insert(now, p as u32, worker);
        let pool = self.at_mut(p);
        if pool.charged() == 0 {
            pool.caught_up_at = caught_up_at(pool, now);
        }
        *pool.count_mut(ConnState::Opening) += 1;
        self.on_worker[worker.0 as usize] += 1;
        self.count_caps(p, |cap| {
            cap.charged += 1;
            cap.live += 1;
        });
        self.charged += 1;
        self.opening += 1;
        self.counters.opens += 1;
        if self.is_monitor(p) {
            // It stands beside the line: see `budget`.
            self.rebudget(now);
        }
        debug_assert!(
            self.here() <= self.line || self.is_monitor(p) || self.faulty(Fault::IgnoreLine),
            "opened above the line"
        );
        self.actions.push_back(Action::Open {
            worker,
            conn: self.conns.id(i),
            pool: PoolId(p as u32),
            reserve,
        });
    }

    /// The first waiter for whom nothing is being opened yet.
    fn next_uncovered(&self, p: usize) -> Option<ClientId> {
        let pool = self.at(p);
        let covered = pool.count(ConnState::Opening) as usize;
        let first = pool.queue.queued_by_age().nth(covered)?;
        Some(pool.queue.get(first).client)
    }

    /// The worker of the first waiter for whom nothing is being opened yet; for
    /// the minimum, the worker with the fewest connections.
    fn worker_for_open(&self, p: usize) -> WorkerId {
        if self.is_monitor(p) {
            return WorkerId(0);
        }
        if let Some(client) = self.next_uncovered(p) {
            return client.worker;
        }
        let fewest = self
            .on_worker
            .iter()
            .enumerate()
            .min_by_key(|(_, count)| **count);
        WorkerId(fewest.map_or(0, |(worker, _)| worker as u16))
    }

    /// The connection of pool `p` that is idle for longest, with its time.
    pub(super) fn longest_idle(&self, p: usize) -> Option<(Time, u32)> {
        let pool = self.pools.get(p)?.as_ref()?;
        pool.idle
            .iter()
            .filter_map(|list| list.last())
            .map(|i| (self.conns.get(i).since, i))
            .min()
    }

    /// Closes idle connections, those idle for longest first, until no more are
    /// here to stay than sizes, caps and the line allow.
    pub(super) fn shed_idle(&mut self, now: Time) {
        for p in 0..self.pools.len() {
            while self.pools[p]
                .as_ref()
                .is_some_and(|pool| pool.live() > pool.settings.size || self.over_cap(pool))
                && let Some((_, i)) = self.longest_idle(p)
            {
                self.detach(now, i);
                self.close(now, i, CloseReason::SettingsChanged);
            }
        }
        while self.over_line() {
            let oldest = (0..self.pools.len())
                .filter(|p| !self.is_monitor(*p))
                .filter_map(|p| self.longest_idle(p))
                .min();
            let Some((_, i)) = oldest else { return };
            self.detach(now, i);
            self.close(now, i, self.above_line());
        }
    }
}

/// The idle connection for a client of `worker`: its own worker's last used,
/// else the last used of the worker that has the most.
fn idle_for(pool: &Pool, worker: WorkerId) -> Option<u32> {
    let own = pool
        .idle
        .get(worker.0 as usize)
        .and_then(|list| list.first());
    own.or_else(|| {
        pool.idle
            .iter()
            .max_by_key(|list| list.len())
            .and_then(|list| list.first())
    })
    .filter(|i| *i != NIL)
}
