//! Who waits in vain is told at once, and what refused clients are told.

use super::Upstream;
use crate::figures::{ConnState, Plight};
use crate::names;
use crate::one_pool::Mode;
use crate::predict;
use crate::queue::Waiter;
use events::{FlowId, Guard, GuardMode, PoolId, Time};
use std::sync::Arc;
use std::time::Duration;

/// Holders named to a refused client, at most.
const HOLDERS_MAX: usize = 3;
/// Applications counted apart per pool, of those that wait in vain.
const SHED_NAMES_MAX: usize = 32;

/// What a client that is about to wait has to expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outlook {
    /// It waits: its turn is expected to come in time, or nothing is known.
    Wait,
    /// It waits, because the guard only watches.
    WouldShed,
    /// It is refused at once.
    Shed,
}

impl Upstream {
    /// Predicts the wait of a client that joins `flow`, and asks the guard.
    /// What is predicted, from which evidence and with which margin stands in
    /// [`predict`]. Nobody is sent away from a flow in which nobody waits, from
    /// a paused pool, or where the wait has no end.
    pub(super) fn outlook(&mut self, now: Time, p: usize, flow: u32) -> Outlook {
        let pool = self.at_mut(p);
        let mode = pool.settings.guards.mode(Guard::Shed);
        if mode == GuardMode::Off
            || pool.mode != Mode::Open
            || pool.queue.flows.get(flow).waiters.is_empty()
        {
            return Outlook::Wait;
        }
        let Some(deadline) = pool.wait_timeout_of(flow) else {
            return Outlook::Wait;
        };
        let connections = pool.prospects();
        let evidence = pool.queue.flows.evidence(now, flow, connections);
        let Some(predicted) = predict::wait(&evidence).filter(|p| predict::hopeless(*p, deadline))
        else {
            return Outlook::Wait;
        };
        pool.queue.flows.get_mut(flow).foreseen = predicted;
        self.count_shed(p, flow, mode == GuardMode::Enforce);
        match self.counters.guards.decided(Guard::Shed, mode) {
            true => Outlook::Shed,
            false => Outlook::WouldShed,
        }
    }

    fn count_shed(&mut self, p: usize, flow: u32, enforced: bool) {
        let pool = self.at_mut(p);
        let key = pool.queue.flows.key(flow).unwrap_or("other");
        // By user and application; the user is the pool's.
        let name = key
            .split_once('\0')
            .map_or(key, |(_, application)| application);
        let kind = names::kind(name);
        let rows = &mut pool.shed;
        let known = rows.iter().any(|(row, ..)| **row == *kind);
        let name = match known || rows.len() < SHED_NAMES_MAX {
            true => &*kind,
            false => "other",
        };
        let at = rows.iter().position(|(row, ..)| **row == *name);
        let at = at.unwrap_or_else(|| {
            rows.push((name.into(), 0, 0));
            rows.len() - 1
        });
        if let Some((_, done, would)) = rows.get_mut(at) {
            *done += u64::from(enforced);
            *would += u64::from(!enforced);
        }
    }

    /// Waiters of a pool that were refused as hopeless, and those that would have
    /// been, by application.
    pub fn shed(&self, pool: PoolId) -> &[(Arc<str>, u64, u64)] {
        self.pool(pool).map_or(&[], |pool| pool.shed.as_slice())
    }

    /// A waiter of pool `p` gets its connection. Would it have been refused,
    /// and needlessly: without that anybody gave up before it?
    pub(super) fn served_after_all(&mut self, p: usize, waiter: &Waiter) {
        if let Some(gave_up) = waiter.doomed
            && gave_up == self.at(p).queue.flows.get(waiter.flow).gave_up
        {
            self.counters.guards.proved_needless(Guard::Shed);
        }
    }

    /// A client asks to keep its connection beyond the pool's share of such: how far
    /// the guard goes. It counts what it decides.
    pub fn beyond_pins(&mut self, pool: PoolId) -> GuardMode {
        let mode = self
            .pool(pool)
            .map_or(GuardMode::Enforce, |p| p.settings.guards.mode(Guard::Pin));
        self.counters.guards.decided(Guard::Pin, mode);
        mode
    }

    /// How full the pool is for a client of `flow`; with `holders`, who holds most.
    pub fn plight(&self, pool: PoolId, flow: FlowId, holders: bool) -> Plight {
        let Some(pool) = self.pool(pool) else {
            return Plight::default();
        };
        let flows = &pool.queue.flows;
        let flow = flows.checked(flow.0);
        let mut most: Vec<(Box<str>, u32)> = Vec::new();
        if holders {
            most = flows.holders().map(|(k, n)| (k.into(), n)).collect();
            most.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            most.truncate(HOLDERS_MAX);
        }
        Plight {
            size: pool.settings.size,
            in_use: pool.count(ConnState::Lent) + pool.count(ConnState::Moving),
            waiting: pool.queue.len(),
            deadline: pool.wait_timeout_of(flow),
            predicted: flows.get(flow).foreseen,
            holders: most,
        }
    }

    /// The wait predicted for a client that would join `flow` now; `None`
    /// where too little is known.
    pub fn predicted_wait(&mut self, now: Time, pool: PoolId, flow: FlowId) -> Option<Duration> {
        let pool = self.pool_mut(pool)?;
        let connections = pool.prospects();
        let flow = pool.queue.flows.checked(flow.0);
        predict::wait(&pool.queue.flows.evidence(now, flow, connections))
    }
}
