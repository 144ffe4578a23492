//! What is recorded of traffic, and what is read of it.

use super::Upstream;
use crate::action::Checkout;
use crate::figures::ConnState;
use crate::one_pool::Pool;
use crate::tape::{Asker, Mark, Purpose};
use events::shape::{ClassShape, End, FLOWS_MAX, POOLS_MAX, PoolShape, Row, Start, Window};
use events::{ClientId, ConnId, PoolId, RefuseReason, Time};
use std::collections::BTreeMap;
use std::time::Duration;

impl Upstream {
    /// A lease without a wait is recorded.
    #[cold]
    pub(super) fn taped_lease(&mut self, now: Time, p: usize, client: ClientId, flow: u32) -> Mark {
        let asker = Asker {
            pool: p,
            flow,
            client,
        };
        let mark = self.tape.asked(now, asker);
        let in_use = self.at(p).count(ConnState::Lent);
        self.tape.granted(now, mark, in_use);
        mark
    }

    #[cold]
    pub(super) fn tape_waiter(&mut self, now: Time, p: usize, client: ClientId, flow: u32, i: u32) {
        let asker = Asker {
            pool: p,
            flow,
            client,
        };
        let mark = self.tape.asked(now, asker);
        self.at_mut(p).queue.mark(i, mark);
    }

    /// A waiter got connection `i`.
    pub(super) fn tape_grant(&mut self, now: Time, i: u32) {
        let conn = self.conns.get(i);
        let (mark, p) = (conn.mark, conn.pool as usize);
        if mark.is_set() {
            let in_use = self.at(p).count(ConnState::Lent);
            self.tape.granted(now, mark, in_use);
        }
    }

    /// A client is refused at once.
    pub(super) fn turned_away(
        &mut self,
        now: Time,
        p: usize,
        client: ClientId,
        flow: u32,
        reason: RefuseReason,
    ) -> Checkout {
        if self.tape.is_on() {
            let asker = Asker {
                pool: p,
                flow,
                client,
            };
            let mark = self.tape.asked(now, asker);
            self.tape.ended(now, mark, End::Refused);
        }
        self.refused(reason)
    }

    /// Whether this lease is on the tape, and [`Upstream::told`] is of use before it ends.
    pub fn is_taped(&self, conn: ConnId) -> bool {
        let found = self.conns.find(conn).map(|i| self.conns.get(i).mark);
        found.is_some_and(Mark::is_set)
    }

    /// What a lease that is about to end was for.
    pub fn told(&mut self, conn: ConnId, purpose: &Purpose) {
        if let Some(i) = self.conns.find(conn) {
            self.tape.told(self.conns.get(i).mark, purpose);
        }
    }

    /// Requests since the pooler started, the monitor's own aside; those that
    /// left without an answer are not counted.
    pub fn asked(&self) -> u64 {
        let pools = self.pools.iter().enumerate();
        let pools = pools.filter(|(p, _)| Some(*p) != self.monitor);
        let of = |pool: &Pool| pool.grants + u64::from(pool.queue.len());
        let granted: u64 = pools.filter_map(|(_, pool)| pool.as_ref().map(of)).sum();
        granted + self.counters.refusals.iter().sum::<u64>()
    }

    pub(super) fn note_open(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.opens_took.0 = self.opens_took.0.saturating_add(us);
        self.opens_took.1 += 1;
    }

    /// Windows end and begin. Called with each sample.
    pub(super) fn turn_tape(&mut self, now: Time) {
        if !self.tape.turn(now) {
            return;
        }
        let monitor = self.monitor;
        let used = |pool: &Pool| pool.queue.flows.clients() > 0 || pool.charged() > 0;
        let starts: Vec<Start> = self
            .pools
            .iter()
            .enumerate()
            .filter(|(p, _)| Some(*p) != monitor)
            .filter_map(|(p, pool)| Some((p, pool.as_ref().filter(|pool| used(pool))?)))
            .take(POOLS_MAX)
            .map(|(p, pool)| Start {
                pool: p as u16,
                size: pool.settings.size,
                clients: pool.queue.flows.clients(),
                lent: pool.count(ConnState::Lent),
                waiting: pool.queue.len(),
            })
            .collect();
        if !starts.is_empty() {
            self.tape.begin(now, self.asked(), starts);
        }
    }

    // --- reading ---

    /// The oldest recorded window that began then or later; its pools are numbered
    /// by [`PoolId`], and the flows of a pool as [`Upstream::pool_shape`] numbers them.
    /// Taken one by one, so that each holds the lock for a short time only; and by
    /// their times, since between two of them a window may begin and another go.
    /// The classes are numbered as they first came in the window.
    pub fn window(&self, now: Time, since: Time) -> Option<(Window, Vec<ClassShape>)> {
        let mut places: BTreeMap<(u32, u32), u16> = BTreeMap::new();
        self.tape.window(now, since, |pool, flow| {
            *(places.entry((pool, flow))).or_insert_with(|| self.flow_place(pool, flow))
        })
    }

    /// Flow 0 is the shared one, here as in the shape.
    fn flow_place(&self, pool: u32, flow: u32) -> u16 {
        let flows = self.pool(PoolId(pool)).map(|pool| &pool.queue.flows);
        let place = flows.and_then(|flows| {
            let mut keys = flows.keys().take(FLOWS_MAX);
            keys.position(|(id, _)| id == flow)
        });
        place.map_or(0, |place| place as u16)
    }

    /// A pool's part of a shape, without its names.
    pub fn pool_shape(&self, pool: PoolId) -> Option<PoolShape> {
        let pool = self.pool(pool)?;
        let flows = pool.queue.flows.keys().take(FLOWS_MAX);
        let milli = |value: f64| (value * 1000.0).round() as u32;
        let rows = pool
            .meter
            .record
            .iter()
            .flat_map(|record| record.in_order());
        Some(PoolShape {
            size: pool.settings.size,
            clients: pool.queue.flows.clients(),
            flows: flows
                .map(|(_, key)| key.unwrap_or_default().to_owned())
                .collect(),
            rows: rows
                .map(|row| Row {
                    leases: row.leases as u32,
                    held_milli: milli(row.held),
                    queued_milli: milli(row.queued),
                    peak: row.peak,
                    size: row.size,
                })
                .collect(),
            ..PoolShape::default()
        })
    }

    /// Mean time to open a connection, microseconds; 0 when none was opened.
    pub fn open_us(&self) -> u32 {
        let (sum, count) = self.opens_took;
        u32::try_from(sum / count.max(1)).unwrap_or(u32::MAX)
    }
}
