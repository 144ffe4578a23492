//! Leases: who holds which connection, since when, and who has fallen silent.

use crate::client::{Client, Phase};
use crate::directory::PoolKey;
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::{Server, ServerPhase};
use crate::trail::{Known, StatementText};
use events::{ClientId, CloseReason, ConnId, ExemptReason, LeaseRow, LeaseState, Suspicion, Time};
use pool::{LeaseClass, Lesson, NOTABLE, REPORT_MAX, SilentLease, names};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::back::Status;

/// A client is silent when it has been so for this long.
const SILENT: Duration = Duration::from_secs(1);
/// Ticks between two reports of who is silent: a second.
const REPORT_TICKS: u32 = 10;
/// Long leases and silences looked at closely in one tick: at most some hundred microseconds.
const NOTABLE_PER_TICK: u32 = 32;
/// Short leases looked at closely in one tick, to know what is usual.
const SAMPLES_PER_TICK: u32 = 4;

/// What is told to the pools with the next ticks.
#[derive(Default)]
pub(crate) struct Watch {
    ticks: u32,
    /// Leases that may still be looked at closely in this tick: long ones, short ones.
    notable: u32,
    samples: u32,
    lessons: BTreeMap<PoolKey, Vec<Lesson>>,
    /// Silent leases by pool; an empty entry says that there were some before.
    silent: BTreeMap<PoolKey, Vec<SilentLease>>,
}

/// What the pool wants taken back.
#[derive(Clone, Copy, Debug)]
pub struct Reclaim {
    /// Who holds it.
    pub client: ClientId,
    /// The connection.
    pub conn: ConnId,
    /// Where it lives.
    pub slot: u32,
    /// Since when the client was silent.
    pub silent_since: Time,
    /// False: only ask whether it would be done.
    pub enforce: bool,
    /// Why, and how sure.
    pub suspicion: Suspicion,
}

impl Hub {
    /// One row per lease of this worker; with `text`, statements too.
    pub fn lease_rows(&self, text: bool, rows: &mut Vec<LeaseRow>) {
        for (slot, _) in self.servers.iter() {
            rows.extend(self.lease_row(slot, text));
        }
    }

    fn lease_row(&self, slot: u32, text: bool) -> Option<LeaseRow> {
        let server = self.servers.get(slot)?;
        let client = lessee(server, &self.clients)?;
        let tags = server.trail.tags();
        let (application, kind) = application(client, &tags);
        let statement = match text {
            true => self.statement_of(slot),
            false => String::new(),
        };
        let tags_shown: Vec<String> = tags
            .iter()
            .map(|t| format!("{}={}", t.key, t.value))
            .collect();
        Some(LeaseRow {
            client: client.id,
            server: server.id,
            pool: server.pool.key.0,
            conn: server.conn,
            remote_pid: server.pid as u32,
            addr: client.peer.addr.clone(),
            user: client.user.to_string(),
            database: client.database.to_string(),
            release: release(&application, &tags).unwrap_or_default().to_owned(),
            application,
            kind: kind.into(),
            since: server.lent_at,
            state: state(server, client),
            silent_since: silent_since(server, client),
            statement,
            tags: tags_shown.join(","),
            exempt: self.exempt(server, client),
            suspicion: None,
        })
    }

    /// The last statement at a server connection, as far as the settings show it.
    pub(crate) fn statement_of(&self, slot: u32) -> String {
        let Some(server) = self.servers.get(slot) else {
            return String::new();
        };
        match self.directory.settings.statement_text {
            StatementText::Off => String::new(),
            StatementText::Normalised => server.trail.shown(answered(server)),
            StatementText::Fingerprint => {
                format!("{:016x}", server.trail.fingerprint(answered(server)))
            }
        }
    }

    /// The client at this slot holds the connection.
    pub(crate) fn is_lent_to(&self, server: &Server, client: u32) -> bool {
        server.link == client && lessee(server, &self.clients).is_some()
    }

    /// What keeps a lease from being taken back by default.
    fn exempt(&self, server: &Server, client: &Client) -> Option<ExemptReason> {
        let ext = client.ext.as_deref();
        if ext.is_some_and(|e| e.replication.is_on()) {
            return Some(ExemptReason::Replication);
        }
        if let Some(reason) = ext.and_then(|e| e.pins.exempt()) {
            return Some(reason);
        }
        if let Some(reason) = server.trail.exempt() {
            return Some(reason);
        }
        let known = match &server.trail.known {
            Some(known) => known.clone(),
            None => know(server, client),
        };
        let list = &self.directory.settings.reclaim_exempt;
        let listed = |name: &str| !list.is_empty() && list.contains(name);
        let name = || client.params.plain("application_name").unwrap_or_default();
        if listed(&known.class.kind)
            || listed(&client.user)
            || listed(client.without_origin(&name()))
        {
            return Some(ExemptReason::Settings);
        }
        known.exempt
    }

    /// A client speaks again inside its transaction, after so long.
    #[cold]
    pub(crate) fn learn_silence(&mut self, slot: u32, silent: Duration) {
        if self.watch.notable > 0 {
            self.watch.notable -= 1;
            self.learn(slot, None, Some(silent));
        }
    }

    /// A lease ended by itself, after so long.
    #[cold]
    pub(crate) fn learn_lease(&mut self, slot: u32, held: Duration) {
        let left = match held >= NOTABLE {
            true => &mut self.watch.notable,
            false => &mut self.watch.samples,
        };
        if *left > 0 {
            *left -= 1;
            self.learn(slot, Some(held), None);
        }
    }

    /// Whether the end of a lease after so long is worth a closer look.
    #[inline]
    pub(crate) fn is_notable(&self, held: Duration) -> bool {
        held >= NOTABLE || self.watch.samples > 0
    }

    fn learn(&mut self, slot: u32, held: Option<Duration>, silent: Option<Duration>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let Some(client) = lessee(server, &self.clients) else {
            return;
        };
        let class = know(server, client).class;
        let lesson = Lesson {
            class,
            held,
            silent,
        };
        let key = server.pool.key;
        self.watch.lessons.entry(key).or_default().push(lesson);
    }

    /// Tells the pools what was seen, and once a second who is silent.
    pub(crate) fn tell_leases(&mut self, io: &mut Io<'_>) {
        self.watch.notable = NOTABLE_PER_TICK;
        self.watch.samples = SAMPLES_PER_TICK;
        for (key, lessons) in std::mem::take(&mut self.watch.lessons) {
            io.pools.learn(io.now, key, &lessons);
        }
        self.watch.ticks += 1;
        if self.watch.ticks.is_multiple_of(REPORT_TICKS) {
            for slot in self.servers.slots() {
                self.look_at_lease(slot, io.now);
            }
            for (key, silent) in std::mem::take(&mut self.watch.silent) {
                // An empty one is told once: those of before are silent no more.
                if !silent.is_empty() {
                    self.watch.silent.insert(key, Vec::new());
                }
                io.pools.silent(io.now, key, silent);
            }
        }
    }

    fn look_at_lease(&mut self, slot: u32, now: Time) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let Some(client) = lessee(server, &self.clients) else {
            return;
        };
        let Some(since) = silent_since(server, client).filter(|at| now.since(*at) >= SILENT) else {
            return;
        };
        if server.trail.known.is_none() {
            server.trail.known = Some(know(server, client));
        }
        let id = ClientId {
            worker: self.worker,
            generation: client.generation,
            slot: server.link,
        };
        let (key, conn) = (server.pool.key, server.conn);
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let (Some(client), Some(known)) = (lessee(server, &self.clients), &server.trail.known)
        else {
            return;
        };
        if self.exempt(server, client).is_some() {
            return;
        }
        let class = Arc::clone(&known.class);
        let silent = self.watch.silent.entry(key).or_default();
        if silent.len() < REPORT_MAX {
            silent.push(SilentLease {
                conn,
                client: id,
                slot,
                silent_since: since,
                class,
            });
        }
    }

    /// Takes a lease back, or only says that it would be. `None`: the client
    /// has spoken meanwhile, or what it did exempts it now.
    pub fn reclaim(
        &mut self,
        now: Time,
        asked: &Reclaim,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) -> Option<LeaseRow> {
        let mut io = Io { now, pools, out };
        let key = self.server_pool(asked.slot, asked.conn)?;
        let row = self
            .lease_row(asked.slot, true)
            .filter(|row| row.silent_since == Some(asked.silent_since) && row.exempt.is_none())
            .filter(|_| self.lessee_id(asked.slot) == Some(asked.client));
        if let Some(row) = &row
            && asked.enforce
        {
            let trouble = Trouble::Reclaimed {
                held: now.since(row.since),
                silent: now.since(asked.silent_since),
            };
            let slot = asked.client.slot;
            self.fail_client(slot, &trouble, CloseReason::Reclaimed, &mut io);
        }
        io.pools.reclaimed(
            now,
            key,
            asked.conn,
            asked.client,
            asked.enforce,
            row.is_some(),
        );
        row.map(|row| LeaseRow {
            suspicion: Some(asked.suspicion),
            ..row
        })
    }

    fn lessee_id(&self, slot: u32) -> Option<ClientId> {
        self.client_id(self.servers.get(slot)?.link)
    }
}

/// The client that a connection is lent to.
fn lessee<'a>(server: &Server, clients: &'a crate::slots::Slots<Client>) -> Option<&'a Client> {
    match server.phase {
        ServerPhase::Lent => clients.get(server.link),
        _ => None,
    }
}

/// The server's state after the last statement, if it has answered.
pub(crate) fn answered(server: &Server) -> Option<Status> {
    server.expected.is_empty().then_some(server.status)
}

/// Since when the server waits for the client inside a transaction, with
/// nothing of the client's under way or unread.
pub(crate) fn silent_since(server: &Server, client: &Client) -> Option<Time> {
    let inside = server.status != Status::Idle || server.unsynced;
    let quiet = server.expected.is_empty()
        && server.backlog == 0
        && server.stream_left == 0
        && server.held.is_empty()
        && server.cancels == 0
        && !server.half_sent
        && !server.copy_in
        && matches!(client.phase, Phase::Ready)
        && client.held.is_empty()
        && client.stream_left == 0
        && client.backlog == 0
        && !client.paused;
    (inside && quiet).then(|| server.used_at.max(client.request_at))
}

fn state(server: &Server, client: &Client) -> LeaseState {
    match (server.status, &client.phase) {
        (_, Phase::Preparing) => LeaseState::Preparing,
        _ if server.copy_in => LeaseState::Copy,
        _ if !server.expected.is_empty() => LeaseState::Active,
        (Status::Failed, _) => LeaseState::Failed,
        (Status::Transaction, _) => LeaseState::Idle,
        _ if server.unsynced => LeaseState::Batch,
        _ => LeaseState::Kept,
    }
}

/// Its name, and the name that all processes of the application share.
fn application(client: &Client, tags: &wire::sql::Tags) -> (String, String) {
    let given = client.params.plain("application_name").unwrap_or_default();
    let given = client.without_origin(&given);
    let name = match given.trim().is_empty() {
        true => tags.value("application").unwrap_or_default().to_owned(),
        false => given.chars().filter(|c| !c.is_control()).collect(),
    };
    let kind = names::kind(&name);
    (name, kind)
}

fn release<'a>(application: &'a str, tags: &'a wire::sql::Tags) -> Option<&'a str> {
    let tagged = tags.value("release").or_else(|| tags.value("version"));
    tagged.or_else(|| names::release(application))
}

/// What the last statement and the name tell of a lease.
fn know(server: &Server, client: &Client) -> Known {
    let tags = server.trail.tags();
    let (name, kind) = application(client, &tags);
    let status = answered(server);
    let migrates =
        || names::migrates(&server.trail.shown(status)).then_some(ExemptReason::Migration);
    Known {
        exempt: names::exempt(&name).or_else(migrates),
        class: Arc::new(LeaseClass {
            user: Arc::clone(&client.user),
            kind: kind.into(),
            statement: server.trail.fingerprint(status),
            release: release(&name, &tags).map(Into::into),
        }),
    }
}
