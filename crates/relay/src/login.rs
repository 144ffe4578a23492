//! A client's login: start-up packet, proof, welcome.

mod packet;
mod proof;

use crate::auth::{self, Login, Stage};
use crate::client::{Client, NONE, PeerInfo, Phase};
use crate::directory::{Route, Target};
use crate::errors::Trouble;
use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::{Command, Peer};
use crate::requests::{Io, Step};
use crate::server::{Capture, ServerPhase};
use events::{ClientId, CloseReason, FlowId, Time};
use pool::Checkout;
use std::sync::Arc;
use std::time::Duration;
use wire::back::{self, Status};
use wire::front;
use wire::sql::Value;

/// The console's database.
pub(crate) const CONSOLE: &str = "pgbouncer";
/// Largest message during the proof.
const PROOF_MAX: usize = 8 * 1024;

impl Hub {
    /// A client connected. Returns its slot.
    pub fn accept(&mut self, now: Time, peer: PeerInfo) -> u32 {
        let generation = self.next_generation();
        let empty: Arc<str> = Arc::from("");
        let client = Client {
            generation,
            phase: Phase::Login(Box::new(Login::new())),
            link: NONE,
            skip: false,
            refused: false,
            paused: false,
            pool: None,
            flow: FlowId(0),
            params: Arc::default(),
            startup: Arc::default(),
            held: Vec::new(),
            stream_left: 0,
            stream_drop: false,
            backlog: 0,
            ext: None,
            user: Arc::clone(&empty),
            database: empty,
            peer: Box::new(peer),
            connected_at: now,
            request_at: now,
            id: self.next_id(),
        };
        self.stats.accepts += 1;
        let slot = self.clients.insert(Box::new(client));
        self.logins.push((slot, generation));
        slot
    }

    /// TLS with a client is up.
    pub fn tls_established(&mut self, slot: u32, description: &str, common_name: Option<&str>) {
        if let Some(login) = self.login_mut(slot) {
            login.tls = Some(description.into());
            login.common_name = common_name.map(Into::into);
            login.stage = Stage::Startup;
        }
    }

    fn login_mut(&mut self, slot: u32) -> Option<&mut Login> {
        match self.clients.get_mut(slot).map(|c| &mut c.phase) {
            Some(Phase::Login(login)) => Some(login),
            _ => None,
        }
    }

    fn login_stage(&mut self, slot: u32, stage: Stage) {
        if let Some(login) = self.login_mut(slot) {
            login.stage = stage;
        }
    }

    pub(crate) fn login_input(&mut self, slot: u32, input: &[u8], io: &mut Io<'_>) {
        let max = self.directory.settings.startup_max.max(PROOF_MAX);
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        if client.held.len() + input.len() > max {
            return self.bad_login(slot, "start-up packet is too long", io);
        }
        client.held.extend_from_slice(input);
        self.login_go_on(slot, io);
    }

    /// Handles what a client in login has sent, as far as it is whole.
    pub(crate) fn login_go_on(&mut self, slot: u32, io: &mut Io<'_>) {
        loop {
            let Some(client) = self.clients.get_mut(slot) else {
                return;
            };
            let Phase::Login(login) = &client.phase else {
                return self.after_login(slot, io);
            };
            if login.is_busy() || client.held.is_empty() {
                return;
            }
            let held = std::mem::take(&mut client.held);
            let consumed = match login.stage {
                Stage::Startup => self.start_up(slot, &held, io),
                _ => self.proof(slot, &held, io),
            };
            if let Some(client) = self.clients.get_mut(slot) {
                client.held = held.get(consumed..).unwrap_or_default().to_vec();
            }
            if consumed == 0 {
                return;
            }
        }
    }

    fn after_login(&mut self, slot: u32, io: &mut Io<'_>) {
        match self.clients.get(slot).map(|c| &c.phase) {
            Some(Phase::Ready) => self.go_on(slot, io),
            Some(Phase::Console { .. }) => self.console_go_on(slot, io),
            _ => {}
        }
    }

    fn bad_login(&mut self, slot: u32, what: &str, io: &mut Io<'_>) {
        self.fail_client(
            slot,
            &Trouble::BadPacket(what),
            CloseReason::ClientProtocol,
            io,
        );
    }

    /// Finds the user's secret: in the directory, or by `auth_query`.
    fn identify(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let (user, database) = (Arc::clone(&client.user), Arc::clone(&client.database));
        let console = self.login_mut(slot).is_some_and(|l| l.console);
        let known = self.directory.users.get(&*user).cloned();
        if known.is_some() || console || self.directory.settings.auth_query.is_none() {
            return self.challenge(slot, known, io);
        }
        let ttl = self.directory.settings.auth_query_ttl;
        if let Some(answer) = self.cache.looked_up(&user, io.now, ttl) {
            return self.challenge(slot, answer, io);
        }
        let Some(info) = io.pools.auth_pool(io.now, &database) else {
            return self.challenge(slot, None, io);
        };
        let flow = io.pools.join(info.key, "auth_query");
        if let Some(client) = self.clients.get_mut(slot) {
            client.pool = Some(info);
            client.flow = flow;
        }
        if let Some(login) = self.login_mut(slot) {
            login.joined = true;
        }
        self.login_checkout(slot, Stage::Lookup, io);
    }

    /// Asks the pool for a server connection on behalf of a login.
    fn login_checkout(&mut self, slot: u32, stage: Stage, io: &mut Io<'_>) {
        self.login_stage(slot, stage);
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let Some(info) = client.pool.clone() else {
            return;
        };
        client.request_at = io.now;
        let id = ClientId {
            worker: self.worker,
            generation: client.generation,
            slot,
        };
        match io.pools.checkout(io.now, info.key, id, client.flow) {
            Checkout::Granted {
                conn,
                slot: server_slot,
            } => {
                if let Some(server) = self.servers.get_mut(server_slot).filter(|s| s.conn == conn) {
                    server.phase = ServerPhase::Lent;
                    self.login_granted(slot, server_slot, io);
                }
            }
            Checkout::Queued => {}
            Checkout::Refused(reason) => {
                let text = io.pools.failure(info.key);
                let step = self.refuse_now(slot, reason, Duration::ZERO, text.as_deref(), io);
                debug_assert!(step == Step::Closed);
            }
        }
    }

    /// A login got the server connection that it waited for.
    pub(crate) fn login_granted(&mut self, slot: u32, server_slot: u32, io: &mut Io<'_>) {
        let Some(key) = self.servers.get(server_slot).map(|s| s.pool.key) else {
            return;
        };
        let lookup = self
            .login_mut(slot)
            .is_some_and(|l| matches!(l.stage, Stage::Lookup));
        if !lookup {
            self.give_back(io.now, server_slot, key, None, io.pools, io.out);
            return self.welcome(slot, io);
        }
        let user = self.clients.get(slot).map(|c| Arc::clone(&c.user));
        let query = self
            .directory
            .settings
            .auth_query
            .as_ref()
            .map(|q| q.query.clone());
        let (Some(user), Some(query), Some(server)) =
            (user, query, self.servers.get_mut(server_slot))
        else {
            return;
        };
        server.link = slot;
        server.lent_at = io.now;
        server.query_at = io.now;
        server.capture = Some(Capture::default());
        server.expected.push(Expect::OwnQuery(Purpose::AuthQuery));
        let text = auth::fill_query(&query, &user);
        io.out.write(Peer::Server(server_slot), |v| {
            front::query(v, text.as_bytes())
        });
        if let Some(client) = self.clients.get_mut(slot) {
            client.link = server_slot;
        }
        self.login_stage(slot, Stage::Looking);
    }

    /// `auth_query` was answered.
    pub(crate) fn auth_query_done(
        &mut self,
        server_slot: u32,
        failed: Option<Box<str>>,
        io: &mut Io<'_>,
    ) {
        let Some(server) = self.servers.get_mut(server_slot) else {
            return;
        };
        let capture = server.capture.take().unwrap_or_default();
        let key = server.pool.key;
        let Some(slot) = self.unlink(server_slot) else {
            return;
        };
        self.give_back(io.now, server_slot, key, None, io.pools, io.out);
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        client.pool = None;
        let flow = client.flow;
        let user = Arc::clone(&client.user);
        if let Some(login) = self.login_mut(slot) {
            login.joined = false;
        }
        io.pools.leave(key, flow);
        if failed.is_some() {
            return self.fail_client(
                slot,
                &Trouble::ServerDown {
                    text: "auth_query failed",
                },
                CloseReason::ClientAuthentication,
                io,
            );
        }
        let answer = capture.secret(&user);
        self.cache.keep_looked_up(&user, answer.clone(), io.now);
        self.challenge(slot, answer, io);
        self.login_go_on(slot, io);
        self.resume_client(slot, io.out);
    }

    /// The server connection of a login's look-up was lost.
    pub(crate) fn login_server_lost(&mut self, slot: u32, io: &mut Io<'_>) {
        self.fail_client(slot, &Trouble::ServerGone, CloseReason::ServerGone, io);
    }

    /// The client is who it says: where does it lead?
    fn proven(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let (user, database) = (Arc::clone(&client.user), Arc::clone(&client.database));
        let Some(login) = self.login_mut(slot) else {
            return;
        };
        if login.console {
            return self.console_welcome(slot, &user, io);
        }
        if login.replication {
            return self.fail_client(
                slot,
                &Trouble::ReplicationMode,
                CloseReason::ClientRefused,
                io,
            );
        }
        let secret = login.secret.as_ref().and_then(|s| s.0.clone());
        let keys = login.keys.clone();
        let target = Target {
            database: &database,
            user: &user,
            secret: secret.as_deref(),
            keys: keys.as_ref(),
        };
        let trouble = match io.pools.route(io.now, target) {
            Route::Pool(info) => return self.enter(slot, info, io),
            Route::NoDatabase | Route::Console => Trouble::NoSuchDatabase(&database),
            Route::Disabled => Trouble::DatabaseDisabled(&database),
            Route::Full(limit) => Trouble::TooManyClients { limit },
        };
        self.fail_client(slot, &trouble, CloseReason::ClientRefused, io);
    }

    fn enter(&mut self, slot: u32, info: Arc<crate::directory::PoolInfo>, io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let application = client.params.text("application_name").unwrap_or_default();
        client.flow = io
            .pools
            .join(info.key, &format!("{}\0{application}", client.user));
        let key = info.key;
        client.pool = Some(info);
        if let Some(login) = self.login_mut(slot) {
            login.joined = true;
        }
        if self.local(key).greeting.is_some() {
            self.welcome(slot, io);
        } else {
            self.login_checkout(slot, Stage::Greeting, io);
        }
    }

    /// AuthenticationOk, the parameters, the key, ReadyForQuery.
    fn welcome(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(key) = self.pool_key(slot) else {
            return;
        };
        let greeting = self.local(key).greeting.clone().unwrap_or_default();
        self.local(key).stats.totals.client_logins += 1;
        self.stats.logins += 1;
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let Phase::Login(login) = &mut client.phase else {
            return;
        };
        let (minor, tls) = (login.minor, login.tls.take());
        client.phase = Phase::Ready;
        client.request_at = io.now;
        if let Some(tls) = tls {
            client.extra().tls = tls;
        }
        let (params, generation) = (Arc::clone(&client.params), client.generation);
        let secret = self.cancel_secret(slot, generation, if minor >= 2 { 32 } else { 4 });
        let pid = self.process_number(slot);
        io.out.write(Peer::Client(slot), |v| {
            back::auth_ok(v);
            for (name, value) in greeting.iter() {
                let value = params.value(name).unwrap_or(value);
                let (Value::Guc(text) | Value::Fragment(text)) = value;
                back::parameter_status(v, reported_name(name), &**text);
            }
            back::backend_key(v, pid, &secret);
            back::ready(v, Status::Idle);
        });
        if let Some(client) = self.client_id(slot) {
            io.out.command(Command::LoggedIn { client });
        }
        self.login_go_on(slot, io);
        self.resume_client(slot, io.out);
    }

    /// Bytes that nobody can foresee: a hash of the worker's seed and a counter.
    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        use sha2::{Digest, Sha256};
        self.nonces += 1;
        let mut hash = Sha256::new();
        hash.update(self.seeds.nonce);
        hash.update(self.nonces.to_be_bytes());
        let digest = hash.finalize();
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        out
    }

    pub(crate) fn nonce(&mut self) -> String {
        self.random::<18>()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }
}

/// The spelling in which PostgreSQL reports a parameter; drivers compare it exactly.
pub(crate) fn reported_name(folded: &str) -> &str {
    match folded {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}
