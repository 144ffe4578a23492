//! One worker's clients and server connections.

use crate::auth::Cache;
use crate::client::{Client, NONE, Phase};
use crate::directory::{Directory, PoolInfo, PoolKey};
use crate::errors::{self, Report, Trouble};
use crate::large::Large;
use crate::leases::Watch;
use crate::monitor::{Monitor, Watched};
use crate::outbox::{Command, Outbox, Peer};
use crate::params::Interner;
use crate::pools::Pools;
use crate::requests::Io;
use crate::seeds::Seeds;
use crate::server::{Server, ServerPhase, Transfer};
use crate::slots::Slots;
use crate::statements::Texts;
use crate::stats::{PoolStats, WorkerStats};
use crate::taping::Shown;
use crate::traffic::Traffic;
use events::{ClientId, CloseReason, ConnId, RefuseReason, Time, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a worker keeps per pool.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Counts DDL seen in its database; statements prepared before are parsed anew.
    pub(crate) ddl: u64,
    /// Its clients have written, and whether the pool knows.
    pub(crate) wrote: bool,
    pub(crate) wrote_told: bool,
    pub(crate) stats: PoolStats,
}

/// Marks a number of a schema that only one client sees, and how far such are
/// counted before the worker's number.
pub(crate) const OWN_SCHEMA: u64 = 1 << 63;
pub(crate) const OWN_COUNT: u64 = (1 << 40) - 1;

/// One worker's sessions. See the crate's description.
pub struct Hub {
    pub(crate) worker: WorkerId,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clients: Slots<Client>,
    pub(crate) servers: Slots<Server>,
    pub(crate) texts: Texts,
    pub(crate) interner: Interner,
    pub(crate) locals: Vec<Local>,
    pub(crate) stats: WorkerStats,
    pub(crate) cache: Cache,
    pub(crate) seeds: Seeds,
    pub(crate) nonces: u64,
    pub(crate) generations: u32,
    /// The last number given to a connection: [`Hub::number_with`].
    pub(crate) ids: Arc<AtomicU64>,
    /// Schemas that only one client sees, counted.
    pub(crate) own_schemas: u64,
    /// Leases so far.
    pub(crate) leases: u64,
    /// Clients that have not logged in yet, for their deadline.
    pub(crate) logins: Vec<(u32, u32)>,
    /// Buffers for held input, used again.
    pub(crate) spare: Vec<Vec<u8>>,
    /// Large unnamed statements between leases.
    pub(crate) large: Large,
    /// The monitor sessions that live here.
    pub(crate) monitors: Vec<Monitor>,
    pub(crate) watched: BTreeMap<PoolKey, Watched>,
    pub(crate) draining: bool,
    /// Nobody is let in any more but to the console: the process ends when those who are here are done.
    pub(crate) closed_to_new: bool,
    /// The process ends when all server connections are back, and so does everybody's turn.
    pub(crate) releasing: bool,
    /// Clients below this slot were looked at in this second.
    pub(crate) ticked: u32,
    pub(crate) watch: Watch,
    /// Statements of recorded leases, as they are shown.
    pub(crate) shown: Shown,
    pub(crate) traffic: Traffic,
}

/// Unsent bytes to a peer above which its sender is not read, and the level
/// at which reading resumes.
pub(crate) const BACKLOG_HIGH: usize = 256 * 1024;
pub(crate) const BACKLOG_LOW: usize = 64 * 1024;

impl Hub {
    /// A worker without connections.
    pub fn new(worker: WorkerId, directory: Arc<Directory>, seeds: Seeds) -> Hub {
        Hub {
            worker,
            directory,
            clients: Slots::default(),
            servers: Slots::default(),
            texts: Texts::new(seeds.hash),
            interner: Interner::default(),
            locals: Vec::new(),
            stats: WorkerStats::default(),
            cache: Cache::default(),
            seeds,
            nonces: 0,
            generations: 0,
            ids: Arc::default(),
            own_schemas: 0,
            leases: 0,
            logins: Vec::new(),
            spare: Vec::new(),
            large: Large::default(),
            monitors: Vec::new(),
            watched: BTreeMap::new(),
            draining: false,
            closed_to_new: false,
            releasing: false,
            ticked: 0,
            watch: Watch::default(),
            shown: Shown::default(),
            traffic: Traffic::default(),
        }
    }

    /// Takes new settings; sessions follow at their next request.
    pub fn reconfigure(&mut self, directory: Arc<Directory>) {
        self.cache.clear();
        self.directory = directory;
    }

    /// A pool's description changed.
    pub fn pool_changed(&mut self, info: &Arc<PoolInfo>) {
        for slot in self.clients.slots() {
            if let Some(c) = self.clients.get_mut(slot)
                && c.pool.as_ref().is_some_and(|p| p.key == info.key)
            {
                c.pool = Some(Arc::clone(info));
            }
        }
        for slot in self.servers.slots() {
            if let Some(s) = self.servers.get_mut(slot)
                && s.pool.key == info.key
            {
                s.pool = Arc::clone(info);
            }
        }
    }

    /// Whether the shell may read from a peer now.
    pub fn may_read(&mut self, peer: Peer) -> bool {
        let allowed = match peer {
            Peer::Client(slot) => self.may_read_client(slot),
            Peer::Server(slot) => match self.servers.get(slot) {
                Some(s) if s.is_linked() => self
                    .clients
                    .get(s.link)
                    .is_none_or(|c| c.backlog < BACKLOG_HIGH),
                _ => true,
            },
        };
        if !allowed {
            match peer {
                Peer::Client(slot) => drop(self.clients.get_mut(slot).map(|c| c.paused = true)),
                Peer::Server(slot) => drop(self.servers.get_mut(slot).map(|s| s.paused = true)),
            }
        }
        allowed
    }

    pub(crate) fn may_read_client(&self, slot: u32) -> bool {
        let Some(client) = self.clients.get(slot) else {
            return true;
        };
        match &client.phase {
            Phase::Waiting { .. } | Phase::Preparing | Phase::Held { .. } => false,
            Phase::Console { busy, .. } => !busy,
            Phase::Login(login) => !login.is_busy(),
            _ => match self.servers.get(client.link) {
                Some(s) => {
                    s.backlog < BACKLOG_HIGH && s.expected.len() < crate::expect::EXPECTED_MAX
                }
                None => true,
            },
        }
    }

    /// The shell could not write everything to `peer`: `unsent` bytes are
    /// left (0: all is out).
    pub fn backlog(
        &mut self,
        now: Time,
        peer: Peer,
        unsent: usize,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        match peer {
            Peer::Client(slot) => {
                let Some(client) = self.clients.get_mut(slot) else {
                    return;
                };
                client.backlog = unsent;
                if unsent <= BACKLOG_LOW
                    && let Some(server) = self.servers.get_mut(client.link)
                    && std::mem::take(&mut server.paused)
                {
                    out.command(Command::Resume(Peer::Server(client.link)));
                }
            }
            Peer::Server(slot) => {
                let Some(server) = self.servers.get_mut(slot) else {
                    return;
                };
                server.backlog = unsent;
                let link = server.link;
                if unsent <= BACKLOG_LOW {
                    self.resume_client(link, out);
                }
                if unsent == 0 {
                    self.maybe_release(now, slot, pools, out);
                }
            }
        }
    }

    pub(crate) fn resume_client(&mut self, slot: u32, out: &mut Outbox) {
        if let Some(client) = self.clients.get_mut(slot)
            && std::mem::take(&mut client.paused)
        {
            out.command(Command::Resume(Peer::Client(slot)));
        }
    }

    /// A client that waits for a server connection, and is not read meanwhile.
    /// The shell tells it gone when its socket ends: nobody waits for the answer.
    pub fn is_waiting(&self, slot: u32) -> bool {
        self.clients.get(slot).is_some_and(|c| match &c.phase {
            Phase::Waiting { .. } => true,
            Phase::Login(login) => login.waits_for_server(),
            _ => false,
        })
    }

    /// The id of a client's session.
    pub fn client_id(&self, slot: u32) -> Option<ClientId> {
        let generation = self.clients.get(slot)?.generation;
        Some(ClientId {
            worker: self.worker,
            generation,
            slot,
        })
    }

    /// How logs call the session at a slot.
    pub fn client_name(&self, slot: u32) -> Option<crate::ClientName> {
        self.clients.get(slot).map(Client::name)
    }

    /// How logs call the server connection at a slot.
    pub fn server_name(&self, slot: u32) -> Option<crate::ServerName> {
        self.servers.get(slot).map(|server| server.name())
    }

    /// The slot of a session that is still the one meant.
    pub(crate) fn live(&self, client: ClientId) -> Option<u32> {
        (self.client_id(client.slot) == Some(client)).then_some(client.slot)
    }

    pub(crate) fn local(&mut self, pool: PoolKey) -> &mut Local {
        let index = pool.0 as usize;
        if self.locals.len() <= index {
            self.locals.resize_with(index + 1, Local::default);
        }
        &mut self.locals[index]
    }

    pub(crate) fn report(&self, trouble: &Trouble<'_>) -> Report {
        errors::report(self.directory.settings.error_style, trouble)
    }

    pub(crate) fn next_generation(&mut self) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        self.generations
    }

    /// Where a connection's number in the console comes from: one counter for clients and servers of all workers,
    /// as in PgBouncer, so that a larger number is the later connection.
    pub fn number_with(mut self, ids: Arc<AtomicU64>) -> Hub {
        self.ids = ids;
        self
    }

    /// Touched once per connection; the order among other memory does not matter.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A waiting client got `conn`, which lives here at `slot`.
    pub fn granted(
        &mut self,
        now: Time,
        client: ClientId,
        slot: u32,
        conn: ConnId,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        if self.servers.get(slot).is_none_or(|s| s.conn != conn) {
            return self.ask_again(now, client, pools, out);
        }
        let Some(client_slot) = self.live(client).filter(|c| self.waits(*c)) else {
            let key = self.servers.get(slot).map(|s| s.pool.key);
            if let Some(key) = key {
                self.give_back(now, slot, key, None, pools, out);
            }
            return;
        };
        let mut from = None;
        if let Some(server) = self.servers.get_mut(slot) {
            server.phase = ServerPhase::Lent;
            from = Some(server.pool.key);
        }
        self.cancel_other_wait(now, client_slot, client, from, pools);
        self.link(now, client_slot, slot, pools, out);
    }

    /// A pool's word is on its way while the client is moved, and now waits in
    /// another pool. The word holds, and the other wait is over too: its end
    /// would answer a later request.
    fn cancel_other_wait(
        &self,
        now: Time,
        slot: u32,
        client: ClientId,
        from: Option<PoolKey>,
        pools: &mut dyn Pools,
    ) {
        if let Some(pool) = self.clients.get(slot).and_then(|c| c.pool.as_ref())
            && from != Some(pool.key)
        {
            pools.cancel_wait(now, pool.key, client);
        }
    }

    /// The connection that was granted ended on its way: the client, which the
    /// pool no longer counts as waiting, asks for another.
    fn ask_again(&mut self, now: Time, client: ClientId, pools: &mut dyn Pools, out: &mut Outbox) {
        let Some(slot) = self.live(client).filter(|c| self.waits(*c)) else {
            return;
        };
        let mut io = Io { now, pools, out };
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        if let Phase::Login(login) = &client.phase {
            let lookup = login.looks_up();
            // Each wait has the pool's deadline; that there are no more and more
            // of them is the login's own.
            if now.since(client.connected_at) > self.directory.settings.login_timeout {
                let reason = CloseReason::ClientLoginTimeout;
                return self.fail_client(slot, &Trouble::LoginTimeoutServer, reason, &mut io);
            }
            return self.login_again(slot, lookup, &mut io);
        }
        client.phase = Phase::Ready;
        self.go_on(slot, &mut io);
    }

    fn waits(&self, slot: u32) -> bool {
        self.clients.get(slot).is_some_and(|c| {
            !c.is_linked()
                && match &c.phase {
                    Phase::Waiting { .. } => true,
                    Phase::Login(login) => login.waits_for_server(),
                    _ => false,
                }
        })
    }

    /// A waiting client is told no.
    #[allow(clippy::too_many_arguments)]
    pub fn refused(
        &mut self,
        now: Time,
        client: ClientId,
        reason: RefuseReason,
        waited: Duration,
        text: Option<&str>,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        if let Some(slot) = self.live(client).filter(|c| self.waits(*c)) {
            self.cancel_other_wait(now, slot, client, None, pools);
            self.refuse(now, slot, reason, waited, text, pools, out);
        }
    }

    /// Takes an idle connection out, to be sent to another worker. `None`, and
    /// the connection stays, when it is gone or not at rest.
    pub fn detach(&mut self, slot: u32, conn: ConnId) -> Option<Transfer> {
        let server = self.servers.get(slot)?;
        if server.conn != conn || !matches!(server.phase, ServerPhase::Idle) || !server.at_rest() {
            return None;
        }
        self.stats.handovers += 1;
        self.name_holder(slot);
        self.servers.remove(slot).map(Transfer)
    }

    /// Takes a connection in from another worker, meant for `client`.
    pub fn attach(&mut self, transfer: Transfer) -> u32 {
        let mut server = transfer.0;
        server.link = NONE;
        self.servers.insert(server)
    }

    /// Tells the pool that a connection arrived, and lends it.
    pub fn arrived(
        &mut self,
        now: Time,
        slot: u32,
        client: ClientId,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let (key, conn) = (server.pool.key, server.conn);
        if pools.arrived(now, key, conn, slot, client) {
            self.granted(now, client, slot, conn, pools, out);
        }
    }

    /// Closes an idle connection on the pool's wish.
    pub fn evict(&mut self, slot: u32, conn: ConnId, reason: CloseReason, out: &mut Outbox) {
        if self.servers.get(slot).is_some_and(|s| s.conn == conn) {
            self.close_server(slot, reason, out);
        }
    }

    /// DDL was seen by another worker.
    pub fn ddl_seen(&mut self, pool: PoolKey) {
        self.local(pool).ddl += 1;
    }

    /// Counters per pool, by [`PoolKey`].
    pub fn pool_stats(&self) -> impl Iterator<Item = (PoolKey, &PoolStats)> {
        self.locals
            .iter()
            .enumerate()
            .map(|(i, l)| (PoolKey(i as u32), &l.stats))
    }

    /// What automatic sizes need to know of each pool, by its key: sums since
    /// the start, with the queries under way.
    pub fn services(&self, now: Time, into: &mut Vec<pool::Service>) {
        into.clear();
        into.extend(self.locals.iter().map(|local| pool::Service {
            queries: local.stats.totals.queries,
            in_vain: local.stats.in_vain,
            busy_us: local.stats.totals.query_us,
        }));
        for (_, server) in self.servers.iter() {
            let at_work = matches!(server.phase, ServerPhase::Lent) && !server.expected.is_empty();
            if at_work && let Some(service) = into.get_mut(server.pool.key.0 as usize) {
                service.busy_us += now.since(server.query_at).as_micros() as u64;
            }
        }
    }

    /// Counters apart from pools.
    pub fn worker_stats(&self) -> &WorkerStats {
        &self.stats
    }

    /// Clients and server connections here.
    pub fn counts(&self) -> (u32, u32) {
        (self.clients.len(), self.servers.len())
    }
}
