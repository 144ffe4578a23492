//! The end of a run, and what must hold then.

use super::World;
use crate::client::State;
use events::{CloseReason, RefuseReason};
use std::sync::atomic::Ordering;

impl World {
    /// Every client gets a turn, to end its transaction.
    pub(crate) fn nudge(&mut self) {
        for i in 0..self.clients.len() as u32 {
            self.plan_act(i);
        }
    }

    /// Those who stand still in a transaction get another.
    pub(crate) fn nudge_idle(&mut self) {
        for i in 0..self.clients.len() {
            let c = &self.clients[i];
            let idle = matches!(c.state, State::Ready) && c.settled() && !c.acting;
            if idle && !c.model.is_free() {
                self.plan_act(i as u32);
            }
        }
    }

    /// How long it may take, µs, until all that was sent ahead is refused: each
    /// request waits for itself, where others keep their connections.
    pub(crate) fn refusals_due(&self) -> u64 {
        let most = self.clients.iter().map(|c| c.pending.len()).max();
        most.unwrap_or(0) as u64 * self.s.wait_timeout.as_micros() as u64
    }

    pub(crate) fn everybody_leaves(&mut self) {
        for i in 0..self.clients.len() as u32 {
            self.leave(i);
        }
    }

    /// Nobody is left: nothing may be held, waited for, or pinned.
    pub(crate) fn check_end(&mut self) {
        if let Err(error) = self.shop.up.check_invariants() {
            return self.fail(format!("at the end: {error}"));
        }
        for info in self.shop.infos.clone() {
            if self.s.plant == Some(crate::scenario::Plant::KeepPin) {
                info.pins.fetch_add(1, Ordering::Relaxed);
            }
            let pins = info.pins.load(Ordering::Relaxed);
            if pins != 0 {
                return self.fail(format!("at the end: {pins} pins of {}", info.database));
            }
            let now = self.time();
            let figures = self.shop.up.figures(events::PoolId(info.key.0), now);
            let shown = format!("{figures:?}");
            if self.shop.up.waiters(events::PoolId(info.key.0)).count() > 0 {
                return self.fail(format!("at the end somebody waits: {shown}"));
            }
        }
        let lent = self
            .shop
            .up
            .conns()
            .filter(|c| !matches!(c.state, pool::ConnState::Idle | pool::ConnState::Closing))
            .map(|c| format!("{c:?}"))
            .next();
        if let Some(row) = lent {
            return self.fail(format!("at the end a connection is not idle: {row}"));
        }
        let clients: u32 = self.hubs.iter().map(|h| h.counts().0).sum();
        if clients > 0 {
            self.fail(format!("at the end the hubs have {clients} clients"));
        }
    }

    /// Folds the hubs' own counters into the statistics.
    pub(crate) fn gather(&mut self) {
        self.stats.virtual_us = self.now;
        self.gather_survey();
        for reason in CloseReason::ALL {
            let n: u64 = self
                .hubs
                .iter()
                .map(|h| h.worker_stats().closes[*reason as usize])
                .sum();
            self.stats.more.insert(format!("closed: {reason}"), n);
        }
        for reason in RefuseReason::ALL {
            let n: u64 = self
                .hubs
                .iter()
                .map(|h| h.worker_stats().refusals[*reason as usize])
                .sum();
            self.stats.more.insert(format!("refused: {reason}"), n);
        }
    }

    /// After a drain: whoever is still here holds what only a connection has.
    pub(crate) fn is_drained(&self) -> bool {
        self.undrained().is_none()
    }

    fn undrained(&self) -> Option<usize> {
        self.clients.iter().position(|c| match c.state {
            State::Away => false,
            State::Ready => !(c.settled() && c.model.is_free() && c.model.has_state()),
            _ => true,
        })
    }

    pub(crate) fn check_drained(&mut self) {
        if let Some(i) = self.undrained() {
            let state = self.clients[i].state_name();
            self.fail(format!("client {i} is still here after the drain: {state}"));
        }
    }

    /// After the stop: nothing is left of anything.
    pub(crate) fn check_stopped(&mut self) {
        let (clients, servers) = self.hubs.iter().fold((0, 0), |(c, s), hub| {
            let counts = hub.counts();
            (c + counts.0, s + counts.1)
        });
        let charged = self.shop.up.charged();
        if (clients, servers, charged) != (0, 0, 0) {
            self.fail(format!(
                "stopped, with {clients} clients, {servers} servers and {charged} charged"
            ));
        }
        if let Some(i) = self
            .clients
            .iter()
            .position(|c| !matches!(c.state, State::Away))
        {
            self.fail(format!("client {i} was not told of the stop"));
        }
    }
}
