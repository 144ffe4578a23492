//! What a worker does ten times a second.

use super::Worker;
use events::RefuseReason;
use relay::PoolKey;
use std::time::Duration;

impl Worker {
    pub(super) fn tick(&mut self) {
        self.tick_sizing();
        if self.id.0 == 0 {
            let due = self.port.tick(self.now);
            if self.common.read().plan.monitor.dns_max_ttl.is_some() {
                due.iter()
                    .for_each(|server| self.helpers.watch_name(server));
            }
        }
        self.hub.tick(self.now, &mut self.port, &mut self.out);
        self.settle(&[]);
        self.tick_memory();
        self.tick_refusals();
        self.tick_tcp();
        self.tick_outgoing();
        self.late_cancels();
        self.next_cancels();
        self.tick_lingering();
        if self.accept_pause.is_some_and(|t| self.now >= t) {
            self.accept_pause = None;
            self.accept_again = true;
        }
    }

    /// Tells the pools what their servers had to do, where that changed: once
    /// each half second and pool, never per query.
    fn tick_sizing(&mut self) {
        if self.now < self.next_services {
            return;
        }
        self.next_services = self.now.after(pool::AUTO_PERIOD);
        let mut services = std::mem::take(&mut self.spare_services);
        self.hub.services(self.now, &mut services);
        for (key, service) in services.iter().enumerate() {
            if self.services.get(key) != Some(service) {
                self.port.note_service(PoolKey(key as u32), *service);
            }
        }
        self.spare_services = std::mem::replace(&mut self.services, services);
    }

    /// Asks the system about the next sockets, once a second.
    fn tick_tcp(&mut self) {
        if !self.tcp.is_due(self.now) {
            return;
        }
        let (hub, port) = (&self.hub, &mut self.port);
        let (clients, servers) = (&mut self.clients, &mut self.servers);
        self.tcp.look(self.now, clients, servers, |slot| {
            port.upstream_of(hub.pool_of(slot)?)
        });
    }

    /// Says who was refused, by reason: a line a second, however many there are.
    fn tick_refusals(&mut self) {
        const PAUSE: Duration = Duration::from_secs(1);
        let counts = self.hub.worker_stats().refusals;
        if self.now < self.next_refusals || counts == self.refusals_told {
            return;
        }
        for ((reason, now), told) in RefuseReason::ALL.iter().zip(counts).zip(self.refusals_told) {
            if now > told {
                tracing::warn!(
                    reason = reason.label(),
                    requests = now - told,
                    worker = self.id.0,
                    "clients were refused"
                );
            }
        }
        self.refusals_told = counts;
        self.next_refusals = self.now.after(PAUSE);
    }

    /// After a burst has gone, its memory goes back to the system.
    fn tick_memory(&mut self) {
        /// Fewer clients than this are not worth the call.
        const BURST: u32 = 256;
        let clients = self.hub.counts().0;
        self.peak = self.peak.max(clients);
        if self.peak >= BURST && clients <= self.peak / 4 {
            self.peak = clients;
            crate::sys::give_memory_back();
        }
    }
}
