//! Who waits in vain is told at once, and what refused clients are told.

use super::Upstream;
use crate::figures::{ConnState, Plight};
use crate::one_pool::Mode;
use crate::predict;
use crate::queue::Waiter;
use events::{FlowId, Guard, GuardMode, PoolId, Time};
use std::time::Duration;

/// Holders named to a refused client, at most.
const HOLDERS_MAX: usize = 3;

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
        match self.counters.guards.decided(Guard::Shed, mode) {
            true => Outlook::Shed,
            false => Outlook::WouldShed,
        }
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
