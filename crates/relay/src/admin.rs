//! What an administrator, or a contained panic, does to sessions.

use crate::client::Phase;
use crate::directory::{PoolInfo, PoolKey};
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::{Outbox, Peer};
use crate::pools::Pools;
use crate::requests::Io;
use events::{CloseReason, ConnId, Time};
use std::sync::Arc;

impl Hub {
    /// The error for a client beyond `max_client_conn`, which gets no session.
    pub fn too_many_clients(&mut self) -> Vec<u8> {
        self.stats.refusals[events::RefuseReason::TooManyClients as usize] += 1;
        let mut out = Vec::new();
        self.report(&Trouble::TooManyClients {
            limit: "max_client_conn",
        })
        .write(&mut out);
        out
    }

    /// The pool of a server connection, if it is still the one meant.
    pub fn server_pool(&self, slot: u32, conn: ConnId) -> Option<PoolKey> {
        self.servers
            .get(slot)
            .filter(|s| s.conn == conn)
            .map(|s| s.pool.key)
    }

    /// The same for whatever connection is at a slot.
    pub fn pool_of(&self, slot: u32) -> Option<PoolKey> {
        self.servers.get(slot).map(|s| s.pool.key)
    }

    /// Closes the client with this console id.
    pub fn kill_client(&mut self, now: Time, id: u64, pools: &mut dyn Pools, out: &mut Outbox) {
        let slot = self
            .clients
            .iter()
            .find(|(_, c)| c.id == id)
            .map(|(s, _)| s);
        if let Some(slot) = slot {
            self.fail_client(
                slot,
                &Trouble::Killed,
                CloseReason::AdminKill,
                &mut Io { now, pools, out },
            );
        }
    }

    /// Closes every client and server connection of a pool.
    pub fn kill_pool(&mut self, now: Time, key: PoolKey, pools: &mut dyn Pools, out: &mut Outbox) {
        let mut io = Io { now, pools, out };
        self.end_pool(key, &Trouble::PoolKilled, CloseReason::AdminKill, &mut io);
    }

    /// Whether this is a session of the console: SUSPEND leaves it as it is.
    pub fn is_console(&self, slot: u32) -> bool {
        let client = self.clients.get(slot);
        client.is_some_and(|c| matches!(c.phase, Phase::Console { .. }))
    }

    /// The bytes for this peer do not get out within `suspend_timeout`: it is closed, and
    /// a server connection's client with it. There is no use in telling it why.
    pub fn stuck(&mut self, now: Time, peer: Peer, pools: &mut dyn Pools, out: &mut Outbox) {
        let (reason, mut io) = (CloseReason::SuspendTimeout, Io { now, pools, out });
        match peer {
            Peer::Client(slot) => self.client_left(slot, reason, &mut io),
            Peer::Server(slot) => {
                let client = self.unlink(slot, io.out);
                self.drop_server(slot, reason, &mut io);
                if let Some(client) = client {
                    self.client_left(client, reason, &mut io);
                }
            }
        }
    }

    /// After a contained panic, here or on another worker: ends the pool.
    pub fn fail_pool(&mut self, now: Time, key: PoolKey, pools: &mut dyn Pools, out: &mut Outbox) {
        let mut io = Io { now, pools, out };
        self.end_pool(key, &Trouble::Panic, CloseReason::Panic, &mut io);
    }

    /// After a contained panic: ends the pool of the session that it was in.
    /// Its sessions may be in any state, so all of them end.
    pub fn fail_pool_of(
        &mut self,
        now: Time,
        peer: Peer,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) -> Option<PoolKey> {
        let key = match peer {
            Peer::Client(slot) => self
                .clients
                .get(slot)
                .and_then(|c| c.pool.as_ref())
                .map(|p| p.key),
            Peer::Server(slot) => self.servers.get(slot).map(|s| s.pool.key),
        };
        let mut io = Io { now, pools, out };
        match (key, peer) {
            (Some(key), _) => self.end_pool(key, &Trouble::Panic, CloseReason::Panic, &mut io),
            (None, Peer::Client(slot)) => {
                self.fail_client(slot, &Trouble::Panic, CloseReason::Panic, &mut io)
            }
            (None, Peer::Server(_)) => {}
        }
        key
    }

    /// A pool's clients go to another pool, on another server: at once, or,
    /// where they hold a connection, with their next transaction.
    pub fn pool_moved(
        &mut self,
        now: Time,
        old: PoolKey,
        info: &Arc<PoolInfo>,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        for slot in self.clients.slots() {
            let id = self.client_id(slot);
            let (Some(client), Some(id)) = (self.clients.get_mut(slot), id) else {
                continue;
            };
            if client.pool.as_ref().is_none_or(|p| p.key != old) {
                continue;
            }
            let (waits, lookup) = match &client.phase {
                Phase::Waiting { .. } => (true, None),
                Phase::Ready | Phase::Preparing | Phase::Held { .. } => (false, None),
                Phase::Login(login) if login.waits_for_server() => (true, Some(login.looks_up())),
                // A look-up that runs already ends where it began.
                _ => continue,
            };
            if waits {
                pools.cancel_wait(now, old, id);
            }
            pools.leave(old, client.flow);
            let application = client.params.text("application_name").unwrap_or_default();
            let application = client.without_origin(application);
            let flow = match lookup {
                Some(true) => "auth_query".to_owned(),
                _ => format!("{}\0{application}", client.user),
            };
            client.flow = pools.join(info.key, &flow);
            client.pool = Some(Arc::clone(info));
            client.renamed = true;
            let mut io = Io { now, pools, out };
            if let Some(lookup) = lookup {
                self.login_again(slot, lookup, &mut io);
            } else if waits {
                client.phase = Phase::Ready;
                self.go_on(slot, &mut io);
            }
        }
    }

    fn end_pool(
        &mut self,
        key: PoolKey,
        trouble: &Trouble<'_>,
        reason: CloseReason,
        io: &mut Io<'_>,
    ) {
        // Servers first: a client that leaves has nothing to clean up then. Its
        // own pool may be another one by now.
        for slot in self.servers.slots() {
            if self.servers.get(slot).is_none_or(|s| s.pool.key != key) {
                continue;
            }
            let cut = self
                .servers
                .get(slot)
                .is_some_and(|s| self.mid_message(s.link));
            let client = self.unlink(slot, io.out);
            self.drop_server(slot, reason, io);
            match client {
                Some(client) if cut => self.client_left(client, reason, io),
                Some(client) => self.fail_client(client, trouble, reason, io),
                None => {}
            }
        }
        for slot in self.clients.slots() {
            if self
                .clients
                .get(slot)
                .is_some_and(|c| c.pool.as_ref().is_some_and(|p| p.key == key))
            {
                self.fail_client(slot, trouble, reason, io);
            }
        }
    }
}
