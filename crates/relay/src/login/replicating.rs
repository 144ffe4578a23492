//! Replication: the client keeps the connection that was opened for it alone.

use crate::hub::Hub;
use crate::requests::Io;
use std::sync::Arc;

impl Hub {
    /// A login got its connection. For replication that is its own, from now until
    /// one of the two ends; what the client asked for stood in the connection's
    /// start-up packet. False: it is no replication.
    pub(super) fn begin_replication(
        &mut self,
        slot: u32,
        server_slot: u32,
        io: &mut Io<'_>,
    ) -> bool {
        let (Some(client), Some(server)) = (
            self.clients.get_mut(slot),
            self.servers.get_mut(server_slot),
        ) else {
            return false;
        };
        if !server.pool.replication.is_on() {
            return false;
        }
        client.link = server_slot;
        server.link = slot;
        server.params = Arc::clone(&client.params);
        server.holds = client.application;
        self.leases += 1;
        server.lease = self.leases;
        server.lent_at = io.now;
        server.query_at = io.now;
        server.xact_at = io.now;
        let waited = io.now.since(client.request_at).as_micros() as u64;
        let key = server.pool.key;
        let totals = &mut self.local(key).stats.totals;
        totals.server_assignments += 1;
        totals.wait_us += waited;
        self.welcome(slot, io);
        true
    }
}
