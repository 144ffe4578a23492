//! The end of a lease: a connection goes back to its pool.

use crate::client::{NONE, Phase};
use crate::directory::{PoolKey, PoolMode};
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::{CloseReason, Time};
use pool::Checkin;
use wire::back::Status;

impl Hub {
    /// Returns a connection if its lease is over.
    pub(crate) fn maybe_release(
        &mut self,
        now: Time,
        slot: u32,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let mut io = Io { now, pools, out };
        match server.phase {
            ServerPhase::Cleaning(cleaning) => self.clean(slot, cleaning, &mut io),
            ServerPhase::Lent if server.at_rest() => self.lease_at_rest(slot, &mut io),
            ServerPhase::Lent
                if server.pool.mode == PoolMode::Statement
                    && server.status != Status::Idle
                    && server.expected.is_empty() =>
            {
                self.forbidden(slot, &mut io);
            }
            _ => {}
        }
    }

    /// A transaction block in statement mode ends the session that began it.
    pub(crate) fn forbidden(&mut self, slot: u32, io: &mut Io<'_>) {
        if let Some(link) = self.servers.get(slot).map(|s| s.link) {
            let (trouble, reason) = (
                Trouble::StatementModeTransaction,
                CloseReason::ClientProtocol,
            );
            self.fail_client(link, &trouble, reason, io);
        }
    }

    fn lease_at_rest(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let pin = self.directory.settings.pin;
        let Some(client) = self.clients.get_mut(server.link) else {
            return;
        };
        if !matches!(client.phase, Phase::Ready) || client.stream_left > 0 {
            return;
        }
        let link = server.link;
        // An end that waits for the server connections waits for sessions, too.
        if server.pool.mode == PoolMode::Session && (!self.draining || self.releasing) {
            return;
        }
        if pin
            && let Some(ext) = client.ext.as_mut()
            && std::mem::take(&mut ext.unkept)
        {
            ext.pins.leave_behind();
        }
        if pin && client.has_pins() {
            return self.ask_settings(slot, io);
        }
        if let Some(pool) = client.ext.as_mut().and_then(|e| e.pinned.take()) {
            pool.give_pin();
        }
        let key = server.pool.key;
        let cancels = server.cancels;
        let reset = server.dirty || server.unsure || self.directory.settings.reset_always;
        let held = io.now.since(server.lent_at);
        self.traffic
            .held(client.application, server.lent_at, io.now);
        if self.is_notable(held) {
            self.learn_lease(slot, held);
        }
        self.large.keep(link, &mut self.clients);
        self.tell_tape(slot, None, io);
        self.unlink(slot, io.out);
        if reset || cancels > 0 {
            self.start_cleaning(slot, reset, io);
        } else {
            self.give_back(io.now, slot, key, None, io.pools, io.out);
        }
        if self.draining {
            self.fail_client(link, &self.parting(), CloseReason::Shutdown, io);
        }
    }

    /// Returns a clean connection to its pool, which may keep it or not.
    pub(crate) fn give_back(
        &mut self,
        now: Time,
        slot: u32,
        key: PoolKey,
        close: Option<CloseReason>,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.phase = ServerPhase::Idle;
        server.link = NONE;
        let close = close.or(server.doomed);
        match pools.checkin(now, key, server.conn, close) {
            Checkin::Kept => {}
            Checkin::Close(reason) => self.close_server(slot, reason, out),
        }
    }
}
