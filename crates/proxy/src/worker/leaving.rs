//! A server's name leads elsewhere: connections that are being opened to where it led.

use super::Worker;
use crate::address::{Endpoint, Remote};
use crate::outgoing::Purpose;
use events::UpstreamId;
use relay::PoolKey;
use std::net::IpAddr;
use std::time::Duration;

/// How old an answer of the resolver may be for whoever has no pool to ask.
const AGE_MAX: Duration = Duration::from_secs(5);

impl Worker {
    /// How old an answer of the resolver may be for this connection.
    pub(super) fn name_age_max(&mut self, slot: usize) -> Duration {
        let key = self.outgoing_pool(slot);
        key.and_then(|key| self.port.name_age_max(self.now, key))
            .unwrap_or(AGE_MAX)
    }

    /// A name was looked up for this connection: what it leads to is news for the
    /// pools too. Of a server with several names each is only a part.
    pub(super) fn name_told(&mut self, slot: usize, addresses: &[IpAddr]) {
        let Some(key) = self.outgoing_pool(slot) else {
            return;
        };
        let endpoint = self.common.read().place(key).map(|p| p.upstream.endpoint());
        if endpoint.is_some_and(|e| e.name().is_some()) {
            self.port.named(self.now, key, addresses);
        }
    }

    fn outgoing_pool(&self, slot: usize) -> Option<PoolKey> {
        match &self.outgoing.get(slot)?.purpose {
            Purpose::Server { slot, conn } => self.hub.server_pool(*slot, *conn),
            Purpose::Cancel { pool, .. } => Some(*pool),
            Purpose::Forward { .. } => None,
        }
    }

    /// Gives up what is being opened at these addresses: who waits for it must not
    /// wait for a server that is gone.
    pub(super) fn leave(&mut self, upstream: UpstreamId, from: &[IpAddr]) {
        const WHY: &str = "the server's name leads to another address by now";
        let there = |remote: &Option<Remote>| match remote {
            Some(Remote::Tcp(address)) => from.contains(&address.ip().to_canonical()),
            _ => false,
        };
        let connecting = self.outgoing.iter().filter(|(_, o)| there(&o.remote));
        let connecting: Vec<usize> = connecting.map(|(slot, _)| slot).collect();
        for slot in connecting {
            let key = match self.purpose_of(slot) {
                Some(Purpose::Server { .. }) => self.outgoing_pool(slot),
                _ => None,
            };
            if key.is_some_and(|key| self.port.upstream_of(key) == Some(upstream)) {
                self.outgoing_left(slot, WHY);
            }
        }
        for (slot, key) in self.hub.logins_at(from) {
            if self.port.upstream_of(key) == Some(upstream) {
                let (port, out) = (&mut self.port, &mut self.out);
                self.hub.server_gone(self.now, slot, Some(WHY), port, out);
            }
        }
    }

    /// One that is being connected is given up, with its further addresses.
    fn outgoing_left(&mut self, slot: usize, why: &str) {
        if let Some(outgoing) = self.outgoing.get_mut(slot) {
            outgoing.remotes.clear();
            outgoing.others = Vec::<Endpoint>::new();
            self.outgoing_failed(slot, why);
        }
    }
}
