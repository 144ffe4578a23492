//! A client's login: start-up packet, proof, welcome.

use crate::auth::{self, Demand, Login, Stage};
use crate::client::{Client, NONE, PeerInfo, Phase};
use crate::directory::{PoolKey, Route, Stored, Target};
use crate::errors::Trouble;
use crate::expect::{Expect, Purpose};
use crate::hub::{Hub, Pools};
use crate::outbox::{Command, DeriveJob, Outbox, Peer};
use crate::params::{self, ParamSet};
use crate::requests::{Io, Step};
use crate::server::{Capture, ServerPhase};
use events::{ClientId, CloseReason, FlowId, Time};
use pool::Checkout;
use std::sync::Arc;
use std::time::Duration;
use wire::back::{self, Status};
use wire::frame;
use wire::front;
use wire::scram::{self, ChannelBinding, Verifier};
use wire::sql::Value;
use wire::startup::{self, Startup};

/// The console's database.
pub(crate) const CONSOLE: &str = "pgbouncer";
/// Largest message during the proof.
const PROOF_MAX: usize = 8 * 1024;
/// Requests for encryption that are answered with no: one for TLS, one for GSSAPI.
const ASKED_MAX: u8 = 2;
/// Iterations of verifiers that we derive, PostgreSQL's default.
const ITERATIONS: u32 = 4096;

/// Start-up parameters that PgBouncer follows.
const FOLLOWED: [&str; 6] = [
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
    "intervalstyle",
];

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

    /// The start-up packet or what comes before it; returns the bytes used.
    fn start_up(&mut self, slot: u32, held: &[u8], io: &mut Io<'_>) -> usize {
        let (packet, len) = match startup::parse(held, self.directory.settings.startup_max) {
            Ok(Some(found)) => found,
            Ok(None) => return 0,
            Err(error) => {
                self.bad_login(slot, &error.to_string(), io);
                return held.len();
            }
        };
        let tls_on = self.login_mut(slot).is_some_and(|l| l.tls.is_some());
        match packet {
            Startup::Ssl if self.directory.settings.client_tls && !tls_on => {
                if held.len() > len {
                    // Bytes behind the request could be taken for encrypted ones (CVE-2021-23214).
                    self.bad_login(slot, "unencrypted data after SSL request", io);
                    return held.len();
                }
                io.out.write(Peer::Client(slot), |v| v.push(b'S'));
                io.out.command(Command::StartTls { slot });
                self.login_stage(slot, Stage::Handshake);
            }
            Startup::Ssl | Startup::Gss => {
                // PostgreSQL answers each kind once, too.
                let asked = self.login_mut(slot).map_or(0, |login| {
                    login.asked += 1;
                    login.asked
                });
                if asked > ASKED_MAX {
                    self.bad_login(slot, "too many requests before the start-up packet", io);
                    return held.len();
                }
                io.out.write(Peer::Client(slot), |v| v.push(b'N'));
            }
            Startup::Cancel { pid, key } => {
                self.stats.cancels += 1;
                if let Some(client) = self.clients.get_mut(slot) {
                    client.phase = Phase::Cancelling;
                }
                io.out.command(Command::Cancel {
                    slot,
                    pid,
                    key: key.into(),
                });
            }
            Startup::Start { minor, params } => {
                if let Err(trouble) = self.take_startup(slot, minor, params, io.out) {
                    self.fail_client(slot, &trouble.as_trouble(), CloseReason::ClientRefused, io);
                    return held.len();
                }
                self.identify(slot, io);
            }
        }
        len
    }

    /// Reads the start-up parameters into the session.
    fn take_startup(
        &mut self,
        slot: u32,
        minor: u16,
        params: startup::Params<'_>,
        out: &mut Outbox,
    ) -> Result<(), StartTrouble> {
        let settings = Arc::clone(&self.directory);
        let settings = &settings.settings;
        let tls_on = self.login_mut(slot).is_some_and(|l| l.tls.is_some());
        if settings.client_tls_required && !tls_on {
            return Err(StartTrouble::Tls);
        }
        let (mut user, mut database, mut replication) = (None, None, false);
        let (mut set, mut unknown) = (ParamSet::default(), Vec::new());
        for (name, value) in params.iter() {
            match name {
                "user" => user = Some(value),
                "database" => database = Some(value),
                "replication" => replication = !matches!(value, "false" | "off" | "no" | "0"),
                "options" if !settings.ignore_startup.contains("options") => {
                    for option in startup::options(value) {
                        match option {
                            Ok((name, value)) => follow(&mut set, settings, &name, &value, true)?,
                            Err(e) => return Err(StartTrouble::Packet(e.to_string())),
                        }
                    }
                }
                "options" => {}
                n if n.starts_with(startup::PROTOCOL_OPTION_PREFIX) => unknown.push(n),
                _ => follow(&mut set, settings, name, value, false)?,
            }
        }
        let user = user.filter(|u| !u.is_empty()).ok_or(StartTrouble::NoUser)?;
        let database = database.filter(|d| !d.is_empty()).unwrap_or(user);
        let spoken = minor.min(startup::MINOR_MAX);
        if spoken != minor || !unknown.is_empty() {
            out.write(Peer::Client(slot), |v| {
                back::negotiate_version(v, spoken, unknown.iter().copied())
            });
        }
        let set = self.interner.intern(set);
        if let Some(client) = self.clients.get_mut(slot) {
            client.user = user.into();
            client.database = database.into();
            client.params = Arc::clone(&set);
            client.startup = set;
        }
        if let Some(login) = self.login_mut(slot) {
            login.minor = spoken;
            login.console = database == CONSOLE;
            login.replication = replication;
        }
        Ok(())
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
    pub(crate) fn login_checkout(&mut self, slot: u32, stage: Stage, io: &mut Io<'_>) {
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

    /// The connection that a login was granted ended on its way.
    pub(crate) fn login_again(&mut self, slot: u32, lookup: bool, io: &mut Io<'_>) {
        let stage = if lookup {
            Stage::Lookup
        } else {
            Stage::Greeting
        };
        self.login_checkout(slot, stage, io);
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
        let (Some(user), Some(query)) = (user, query) else {
            // The settings no longer ask for it.
            self.give_back(io.now, server_slot, key, None, io.pools, io.out);
            return self.wrong_password(slot, io);
        };
        let Some(server) = self.servers.get_mut(server_slot) else {
            return;
        };
        server.link = slot;
        server.lent_at = io.now;
        server.query_at = io.now;
        server.capture = Some(Capture::default());
        // Under the last client's search_path or role the look-up could be led astray.
        let mut resets = Vec::new();
        let none = ParamSet::default();
        if params::difference(&server.params, &none, &server.greeting, &mut resets) {
            server.params = Arc::default();
            server.expected.push(Expect::OwnQuery(Purpose::Parameters));
            io.out
                .write(Peer::Server(server_slot), |v| front::query(v, &resets));
        }
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
        let Some(slot) = self.unlink(server_slot, io.out) else {
            return;
        };
        self.give_back(io.now, server_slot, key, None, io.pools, io.out);
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        self.lookup_over(slot, key, io);
        if failed.is_some() {
            return self.fail_client(
                slot,
                &Trouble::ServerDown {
                    text: "auth_query failed",
                    outage: None,
                },
                CloseReason::ClientAuthentication,
                io,
            );
        }
        let answer = capture.secret(&user);
        self.cache.keep_looked_up(&user, answer.clone(), io.now);
        self.identified(slot, answer, io);
    }

    /// The login no longer uses the pool of the look-up.
    fn lookup_over(&mut self, slot: u32, key: PoolKey, io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        client.pool = None;
        let flow = client.flow;
        if let Some(login) = self.login_mut(slot) {
            login.joined = false;
        }
        io.pools.leave(key, flow);
    }

    /// The answer of a look-up is there: the login goes on.
    fn identified(&mut self, slot: u32, answer: Option<Stored>, io: &mut Io<'_>) {
        self.challenge(slot, answer, io);
        self.login_go_on(slot, io);
        self.resume_client(slot, io.out);
    }

    /// The server connection of a login's look-up was lost.
    pub(crate) fn login_server_lost(&mut self, slot: u32, io: &mut Io<'_>) {
        self.fail_client(slot, &Trouble::ServerGone, CloseReason::ServerGone, io);
    }

    /// Asks for a proof, or goes on where none is needed.
    fn challenge(&mut self, slot: u32, stored: Option<Stored>, io: &mut Io<'_>) {
        let directory = Arc::clone(&self.directory);
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        let Some(login) = self.login_mut(slot) else {
            return;
        };
        let common_name = login.common_name.clone();
        login.secret = stored.clone();
        let demand = auth::demand(
            directory.settings.auth,
            &user,
            stored.as_ref(),
            common_name.as_deref(),
            &directory.mock_seed,
        );
        match demand {
            Demand::Nothing => self.proven(slot, io),
            Demand::Fail => self.wrong_password(slot, io),
            Demand::Plain => {
                self.login_stage(slot, Stage::Plain);
                io.out.write(Peer::Client(slot), back::auth_cleartext);
            }
            Demand::Md5 => {
                let salt = self.random::<4>();
                self.login_stage(slot, Stage::Md5(salt));
                io.out
                    .write(Peer::Client(slot), |v| back::auth_md5(v, salt));
            }
            Demand::Scram(verifier) => self.offer_scram(slot, verifier, io.out),
            Demand::ScramFrom(password) => match self.cache.verifier(&user, &password).cloned() {
                Some(verifier) => self.offer_scram(slot, verifier, io.out),
                None => {
                    // The salt of an unknown user of this name: known and unknown look alike.
                    let salt = Verifier::mock(&user, &directory.mock_seed).salt().to_vec();
                    self.login_stage(slot, Stage::DerivingVerifier);
                    self.derive(slot, password, salt, ITERATIONS, io.out);
                }
            },
        }
    }

    fn derive(
        &mut self,
        slot: u32,
        password: Box<str>,
        salt: Vec<u8>,
        iterations: u32,
        out: &mut Outbox,
    ) {
        let Some(generation) = self.clients.get(slot).map(|c| c.generation) else {
            return;
        };
        let job = DeriveJob {
            password,
            salt: salt.into(),
            iterations,
        };
        out.command(Command::Derive {
            peer: Peer::Client(slot),
            generation,
            job,
        });
    }

    fn offer_scram(&mut self, slot: u32, verifier: Verifier, out: &mut Outbox) {
        let plus = self.can_bind(slot);
        self.login_stage(slot, Stage::Sasl(verifier));
        out.write(Peer::Client(slot), |v| {
            let both = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"];
            back::auth_sasl(v, both[usize::from(!plus)..].iter().copied());
        });
    }

    fn can_bind(&mut self, slot: u32) -> bool {
        self.directory.settings.channel_binding.is_some()
            && self.login_mut(slot).is_some_and(|l| l.tls.is_some())
    }

    /// Keys that were derived elsewhere.
    pub fn derived(
        &mut self,
        now: Time,
        peer: Peer,
        generation: u32,
        keys: scram::Keys,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let mut io = Io { now, pools, out };
        let slot = match peer {
            Peer::Server(slot) => return self.server_keys_derived(slot, generation, keys, &mut io),
            Peer::Client(slot) => slot,
        };
        if self
            .clients
            .get(slot)
            .is_none_or(|c| c.generation != generation)
        {
            return;
        }
        let directory = Arc::clone(&self.directory);
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        let Some(login) = self.login_mut(slot) else {
            return;
        };
        match std::mem::replace(&mut login.stage, Stage::Startup) {
            Stage::DerivingVerifier => {
                let password = login
                    .secret
                    .as_ref()
                    .and_then(|s| s.0.clone())
                    .unwrap_or_default();
                let salt = Verifier::mock(&user, &directory.mock_seed).salt().to_vec();
                let verifier = Verifier::from_keys(&keys, &salt, ITERATIONS);
                self.cache.keep_verifier(&user, &password, verifier.clone());
                self.offer_scram(slot, verifier, io.out);
            }
            Stage::DerivingCheck(verifier) if verifier.accepts(&keys) => self.proven(slot, &mut io),
            _ => self.wrong_password(slot, &mut io),
        }
        self.login_go_on(slot, &mut io);
        self.resume_client(slot, io.out);
    }

    /// A message of the proof; returns the bytes used.
    fn proof(&mut self, slot: u32, held: &[u8], io: &mut Io<'_>) -> usize {
        let frame = match frame::peek(held) {
            Ok(Some(f)) if f.len <= PROOF_MAX => f,
            Ok(None) => return 0,
            _ => {
                self.bad_login(slot, "password message is too long", io);
                return held.len();
            }
        };
        if frame.tag == b'X' {
            self.client_left(slot, CloseReason::ClientTerminate, io);
            return held.len();
        }
        if frame.tag != b'p' {
            self.bad_login(slot, "expected a password message", io);
            return held.len();
        }
        let Some(body) = held.get(frame::HEADER..frame.len) else {
            return 0;
        };
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return held.len();
        };
        let Some(login) = self.login_mut(slot) else {
            return held.len();
        };
        let secret = login.secret.clone();
        match std::mem::replace(&mut login.stage, Stage::Startup) {
            Stage::Plain => self.plain_given(slot, &user, secret, body, io),
            Stage::Md5(salt) => {
                let fits = front::Password::parse(body)
                    .is_ok_and(|p| auth::md5_fits(&user, secret.as_ref(), salt, p.password));
                if fits {
                    self.proven(slot, io)
                } else {
                    self.wrong_password(slot, io)
                }
            }
            Stage::Sasl(verifier) => self.sasl_first(slot, verifier, body, io),
            Stage::SaslFinal(first) => match first.finish(body) {
                Ok(proven) => {
                    io.out.write(Peer::Client(slot), |v| {
                        back::auth_sasl_final(v, proven.message.as_bytes())
                    });
                    if let Some(login) = self.login_mut(slot) {
                        login.keys = Some(proven.keys);
                    }
                    self.proven(slot, io);
                }
                Err(_) => self.wrong_password(slot, io),
            },
            _ => self.bad_login(slot, "unexpected password message", io),
        }
        frame.len
    }

    fn plain_given(
        &mut self,
        slot: u32,
        user: &str,
        secret: Option<Stored>,
        body: &[u8],
        io: &mut Io<'_>,
    ) {
        let Ok(given) = front::Password::parse(body) else {
            return self.bad_login(slot, "malformed password message", io);
        };
        let Some(secret) = secret.and_then(|s| s.0) else {
            return self.wrong_password(slot, io);
        };
        if let Ok(verifier) = secret.parse::<Verifier>() {
            let Ok(password) = std::str::from_utf8(given.password) else {
                return self.wrong_password(slot, io);
            };
            let (salt, iterations) = (verifier.salt().to_vec(), verifier.iterations());
            self.login_stage(slot, Stage::DerivingCheck(verifier));
            return self.derive(slot, password.into(), salt, iterations, io.out);
        }
        if auth::plain_fits(user, &secret, given.password) {
            self.proven(slot, io);
        } else {
            self.wrong_password(slot, io);
        }
    }

    fn sasl_first(&mut self, slot: u32, verifier: Verifier, body: &[u8], io: &mut Io<'_>) {
        let Ok(initial) = front::SaslInitial::parse(body) else {
            return self.bad_login(slot, "malformed SASL message", io);
        };
        let can_bind = self.can_bind(slot);
        let data = self.directory.settings.channel_binding.clone();
        let binding = match (initial.mechanism, can_bind, data.as_deref()) {
            ("SCRAM-SHA-256-PLUS", true, Some(data)) => ChannelBinding::EndPoint(data),
            ("SCRAM-SHA-256", true, _) => ChannelBinding::Unused,
            ("SCRAM-SHA-256", false, _) => ChannelBinding::Unavailable,
            _ => return self.bad_login(slot, "unknown SASL mechanism", io),
        };
        let nonce = self.nonce();
        match scram::server::ServerFirst::start(
            initial.data.unwrap_or_default(),
            &verifier,
            &nonce,
            binding,
        ) {
            Ok(first) => {
                io.out.write(Peer::Client(slot), |v| {
                    back::auth_sasl_continue(v, first.message().as_bytes())
                });
                self.login_stage(slot, Stage::SaslFinal(Box::new(first)));
            }
            Err(_) => self.fail_client(
                slot,
                &Trouble::SaslFailed,
                CloseReason::ClientAuthentication,
                io,
            ),
        }
    }

    fn wrong_password(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        self.fail_client(
            slot,
            &Trouble::WrongPassword { user: &user },
            CloseReason::ClientAuthentication,
            io,
        );
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
        let known = info.greeting().is_some();
        client.pool = Some(info);
        if let Some(login) = self.login_mut(slot) {
            login.joined = true;
        }
        if known {
            self.welcome(slot, io);
        } else {
            self.login_checkout(slot, Stage::Greeting, io);
        }
    }

    /// What a pool's server reports is known now: logins that wait for it need
    /// no connection of their own.
    pub(crate) fn welcome_waiting(&mut self, key: crate::directory::PoolKey, io: &mut Io<'_>) {
        for (slot, generation) in self.logins.clone() {
            let waits = self.clients.get(slot).is_some_and(|c| {
                c.generation == generation
                    && c.pool.as_ref().is_some_and(|p| p.key == key)
                    && matches!(&c.phase, Phase::Login(l) if matches!(l.stage, Stage::Greeting))
            });
            if waits && let Some(id) = self.client_id(slot) {
                io.pools.cancel_wait(io.now, key, id);
                self.welcome(slot, io);
            }
        }
    }

    /// AuthenticationOk, the parameters, the key, ReadyForQuery.
    fn welcome(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(key) = self.pool_key(slot) else {
            return;
        };
        let info = self.clients.get(slot).and_then(|c| c.pool.as_ref());
        let greeting = info.and_then(|p| p.greeting()).unwrap_or_default();
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
                let (Value::Guc(at_login) | Value::Fragment(at_login)) = value;
                let wish = params.value(name).unwrap_or(value);
                let (Value::Guc(text) | Value::Fragment(text)) = wish;
                if name == "datestyle" {
                    back::parameter_status(v, "DateStyle", date_style(text, at_login));
                } else {
                    back::parameter_status(v, reported_name(name), &**text);
                }
            }
            back::backend_key(v, pid, &secret);
            back::ready(v, Status::Idle);
        });
        if let Some(client) = self.clients.get(slot) {
            let name = client.name();
            io.out.command(Command::LoggedIn { name });
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

/// What is wrong with a start-up packet.
enum StartTrouble {
    Tls,
    NoUser,
    Packet(String),
    Unsupported { name: String, in_options: bool },
}

impl StartTrouble {
    fn as_trouble(&self) -> Trouble<'_> {
        match self {
            StartTrouble::Tls => Trouble::TlsRequired,
            StartTrouble::NoUser => Trouble::BadPacket("no user name in the start-up packet"),
            StartTrouble::Packet(text) => Trouble::BadPacket(text),
            StartTrouble::Unsupported { name, in_options } => Trouble::UnsupportedStartup {
                name,
                in_options: *in_options,
            },
        }
    }
}

/// Takes one start-up parameter.
fn follow(
    set: &mut ParamSet,
    settings: &crate::directory::Settings,
    name: &str,
    value: &str,
    in_options: bool,
) -> Result<(), StartTrouble> {
    let folded = name.to_ascii_lowercase();
    if settings.ignore_startup.contains(name) || settings.ignore_startup.contains(&*folded) {
        return Ok(());
    }
    if settings.strict_startup && !FOLLOWED.contains(&&*folded) {
        return Err(StartTrouble::Unsupported {
            name: name.to_owned(),
            in_options,
        });
    }
    set.set(&folded, Some(Value::Guc(value.into())));
    Ok(())
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

/// DateStyle as the server will report it: a wish for only a style or only an
/// order keeps the other part, and German alone means days first (PostgreSQL's
/// `check_datestyle`). What is not understood stays as it was given.
fn date_style(wish: &str, at_login: &str) -> String {
    let (mut style, mut order) = (None, None);
    for word in wish.split(',').map(|w| w.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "iso" => style = Some("ISO"),
            "sql" => style = Some("SQL"),
            "german" => style = Some("German"),
            w if w.starts_with("postgres") => style = Some("Postgres"),
            "ymd" => order = Some("YMD"),
            "dmy" => order = Some("DMY"),
            w if w.starts_with("euro") => order = Some("DMY"),
            "mdy" | "us" => order = Some("MDY"),
            w if w.starts_with("noneuro") => order = Some("MDY"),
            _ => return wish.to_owned(),
        }
    }
    let mut kept = at_login.split(',').map(str::trim);
    let (old_style, old_order) = (kept.next().unwrap_or("ISO"), kept.next().unwrap_or("MDY"));
    let order = match (order, style) {
        (Some(order), _) => order,
        (None, Some("German")) => "DMY",
        (None, _) => old_order,
    };
    format!("{}, {order}", style.unwrap_or(old_style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_style_is_completed_as_the_server_does() {
        let rows = [
            ("German", "ISO, MDY", "German, DMY"),
            ("iso", "ISO, MDY", "ISO, MDY"),
            ("SQL, dmy", "ISO, MDY", "SQL, DMY"),
            ("European", "ISO, MDY", "ISO, DMY"),
            ("ymd", "Postgres, DMY", "Postgres, YMD"),
            ("what", "ISO, MDY", "what"),
        ];
        for (wish, at_login, reported) in rows {
            assert_eq!(date_style(wish, at_login), reported, "{wish}");
        }
    }
}
