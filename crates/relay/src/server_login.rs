//! Logging in to a server.

mod doubted;
pub use doubted::Doubt;
mod fit;
mod other_way;
mod scram;

use crate::auth::is_scram;
use crate::client::NONE;
use crate::directory::PoolInfo;
use crate::expect::Expected;
use crate::health::{self, Code};
use crate::hub::Hub;
use crate::outbox::{Command, Outbox, Peer};
use crate::params::ParamSet;
use crate::requests::Io;
use crate::server::{Server, ServerPhase};
use crate::statements::Prepared;
use crate::tally::NOWHERE;
use crate::trail::Trail;
use events::snapshot::Address;
use events::{CloseReason, ConnId, Time};
use std::sync::Arc;
use wire::back::{self, Authentication, ErrorFields, Status};
use wire::frame;
use wire::scram::client as scram_client;
use wire::sql::Value;
use wire::{front, md5};

/// Largest message of a server's login.
const MESSAGE_MAX: usize = 64 * 1024;
/// Most bytes that a login may take in all.
const LOGIN_MAX: usize = 256 * 1024;

/// No slot is left at the server, or for the role, or in the database.
const TOO_MANY_CONNECTIONS: &str = "53300";
/// Where the server raises it for the limit of a role and of a database: its
/// texts are translated, the names of its functions are not.
const OWN_LIMITS: [&[u8]; 2] = [b"InitializeSessionUserId", b"CheckMyDatabase"];

/// A login at a server in progress.
pub(crate) struct ServerLogin {
    pub(crate) stage: Stage,
    params: ParamSet,
    taken: usize,
    /// tls-server-end-point data of the server's certificate.
    binding: Option<Box<[u8]>>,
    error: Option<(Box<str>, bool)>,
    /// The shell can connect again, with TLS instead of plain or the other way round.
    other_way: bool,
    /// The server had no slot left: whether the role's or the database's own.
    full: Option<bool>,
    /// The shell has another host to try.
    more_hosts: bool,
    /// What the server said to the first way, once it refused that.
    refusal: Option<Box<str>>,
    /// The shell can read the secret again, and how often it was asked to.
    rereadable: bool,
    doubts: u8,
    /// What the server said, while the secret is read again.
    doubt: Option<Box<str>>,
    /// The SQLSTATE of the server's last error.
    code: Option<Code>,
}

pub(crate) enum Stage {
    /// The socket is being connected.
    Connecting,
    /// The server's question or consent is awaited.
    Asked,
    /// SCRAM: our first message is out.
    First(scram_client::ClientFirst),
    /// SCRAM: keys are being derived elsewhere.
    Deriving(scram_client::NeedKeys),
    /// SCRAM: our proof is out.
    Final(scram_client::ClientFinal),
    /// Accepted: parameters and key are coming.
    Accepted,
    /// `connect_query` runs.
    Query,
    /// Refused: the shell is to connect the other way.
    Refused,
    /// Refused: the shell is to read the secret again.
    Doubted,
    /// It must not serve, for this reason: the shell is to try the next host.
    Unfit(Box<str>),
}

impl std::fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerLogin(…)")
    }
}

/// Whether a login goes on, or why not: text, and whether the server refused it.
type Outcome = Result<(), (String, bool)>;

impl Hub {
    /// The pool wants a connection opened: a session for it. The shell
    /// connects, and calls `server_connected` or `server_gone`.
    pub fn open(&mut self, now: Time, conn: ConnId, pool: Arc<PoolInfo>) -> u32 {
        let generation = self.next_generation();
        let login = ServerLogin {
            stage: Stage::Connecting,
            params: ParamSet::default(),
            taken: 0,
            binding: None,
            error: None,
            other_way: false,
            full: None,
            more_hosts: false,
            refusal: None,
            rereadable: false,
            doubts: 0,
            doubt: None,
            code: None,
        };
        let server = Server {
            generation,
            conn,
            pool,
            phase: ServerPhase::Login(Box::new(login)),
            link: NONE,
            status: Status::Idle,
            expected: Expected::default(),
            unsynced: false,
            copy_in: false,
            half_sent: false,
            batch: 0,
            held: Vec::new(),
            stream_left: 0,
            stream_drop: false,
            backlog: 0,
            paused: false,
            params: Arc::default(),
            greeting: Arc::default(),
            prepared: Prepared::default(),
            unnamed: None,
            trail: Trail::default(),
            dirty: false,
            unsure: false,
            coming: None,
            used: false,
            cancels: 0,
            pid: 0,
            cancel_key: Box::default(),
            own_error: None,
            capture: None,
            doomed: None,
            addr: Box::new((Address::Unix, Address::Unix)),
            tls: "".into(),
            opened_at: now,
            lease: 0,
            lent_at: now,
            holds: NOWHERE,
            holder: None,
            used_at: now,
            query_at: now,
            xact_at: now,
            id: self.next_id(),
        };
        self.servers.insert(Box::new(server))
    }

    /// The socket is connected, and TLS done where it was wanted.
    pub fn server_connected(
        &mut self,
        slot: u32,
        addr: (Address, Address),
        tls: &str,
        binding: Option<&[u8]>,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return;
        };
        login.stage = Stage::Asked;
        login.binding = binding.map(Into::into);
        *server.addr = addr;
        server.tls = tls.into();
        let info = Arc::clone(&server.pool);
        let near = server.is_near();
        self.local(info.key).stats.health.near = near;
        let own = [("user", &*info.user), ("database", &*info.server_database)];
        let own = own
            .into_iter()
            .chain(info.replication.word().map(|word| ("replication", word)));
        let more = info
            .parameters
            .iter()
            .filter_map(|(name, value)| match value {
                Value::Guc(text) => Some((name, &**text)),
                Value::Fragment(_) => None,
            });
        out.write(Peer::Server(slot), |v| {
            front::startup(v, 0, own.chain(more))
        });
    }

    pub(crate) fn server_login_input(&mut self, slot: u32, input: &[u8], io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return;
        };
        login.taken += input.len();
        if login.taken > LOGIN_MAX {
            return self.server_login_failed(slot, "the server's login is endless", false, io);
        }
        server.held.extend_from_slice(input);
        loop {
            let Some(server) = self.servers.get_mut(slot) else {
                return;
            };
            match &server.phase {
                ServerPhase::Login(login) if !login.is_over() => {}
                _ => return,
            }
            let frame = match frame::peek(&server.held) {
                Ok(Some(f)) if f.len <= MESSAGE_MAX => f,
                Ok(None) => return,
                _ => {
                    return self.server_login_failed(
                        slot,
                        "the server broke the protocol",
                        false,
                        io,
                    );
                }
            };
            if server.held.len() < frame.len {
                return;
            }
            let message: Vec<u8> = server.held.drain(..frame.len).collect();
            let body = message.get(frame::HEADER..).unwrap_or_default();
            if let Err((text, refused)) = self.server_login_message(slot, frame.tag, body, io) {
                return self.server_login_failed(slot, &text, refused, io);
            }
        }
    }

    fn server_login_message(
        &mut self,
        slot: u32,
        tag: u8,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Outcome {
        let nonsense = || ("the server broke the protocol".to_owned(), false);
        let Some(server) = self.servers.get_mut(slot) else {
            return Ok(());
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return Ok(());
        };
        match tag {
            b'R' => {
                let auth = Authentication::parse(body).map_err(|_| nonsense())?;
                self.server_authentication(slot, auth, io)?;
            }
            b'S' => {
                let status = back::ParameterStatus::parse(body).map_err(|_| nonsense())?;
                let name = String::from_utf8_lossy(status.name).to_ascii_lowercase();
                let value = String::from_utf8_lossy(status.value);
                login
                    .params
                    .set(&name, Some(Value::Guc(value.as_ref().into())));
            }
            b'K' => {
                let key = back::BackendKey::parse(body).map_err(|_| nonsense())?;
                server.pid = key.pid;
                server.cancel_key = key.key.into();
            }
            b'Z' => {
                if !matches!(login.stage, Stage::Accepted | Stage::Query) {
                    return Err(nonsense());
                }
                if let Some((text, _)) = login.error.take() {
                    return Err((text.into(), true));
                }
                self.server_login_ready(slot, io);
            }
            b'E' => {
                let fields = ErrorFields::parse(body).map_err(|_| nonsense())?;
                let text: Box<str> = fields.message().into();
                login.code = health::code_of(fields.code());
                if login.may_be_refused(fields.code()) {
                    login.stage = Stage::Refused;
                    login.refusal = Some(text);
                } else if login.may_be_doubted(fields.code()) {
                    login.stage = Stage::Doubted;
                    login.doubt = Some(text);
                } else if matches!(login.stage, Stage::Query) && fields.severity() != "FATAL" {
                    login.error = Some((text, true));
                } else {
                    if fields.code() == TOO_MANY_CONNECTIONS {
                        let routine = fields.field(b'R').unwrap_or_default();
                        login.full = Some(OWN_LIMITS.contains(&routine));
                    }
                    // Too many connections, starting up, shutting down: it may pass by itself.
                    let passing =
                        fields.code().starts_with("53") || fields.code().starts_with("57");
                    return Err((text.into(), !passing));
                }
            }
            b'N' | b'v' | b'C' | b'T' | b'D' | b'I' => {}
            _ => return Err(nonsense()),
        }
        Ok(())
    }

    fn server_authentication(
        &mut self,
        slot: u32,
        auth: Authentication<'_>,
        io: &mut Io<'_>,
    ) -> Outcome {
        let nonce = self.nonce();
        let Some(server) = self.servers.get_mut(slot) else {
            return Ok(());
        };
        let info = Arc::clone(&server.pool);
        let ServerPhase::Login(login) = &mut server.phase else {
            return Ok(());
        };
        let missing = || (scram::unusable(&info), true);
        let to = Peer::Server(slot);
        let stage = std::mem::replace(&mut login.stage, Stage::Asked);
        match (auth, stage) {
            (Authentication::Ok, Stage::Final(_)) => {
                return Err(("the server skipped its own proof (SCRAM)".into(), true));
            }
            (Authentication::Ok, _) => login.stage = Stage::Accepted,
            (Authentication::Cleartext, _) => {
                let password = info
                    .auth
                    .password
                    .as_deref()
                    .filter(|p| !md5::is_stored(p) && !is_scram(p))
                    .ok_or_else(missing)?;
                io.out
                    .write(to, |v| front::password(v, password.as_bytes()));
            }
            (Authentication::Md5(salt), _) => {
                let password = info.auth.password.as_deref();
                let password = password.filter(|p| !is_scram(p)).ok_or_else(missing)?;
                let answer = match md5::response_from_stored(password, salt) {
                    Some(answer) if md5::is_stored(password) => answer,
                    _ => md5::response(&info.user, password, salt),
                };
                io.out.write(to, |v| front::password(v, answer.as_bytes()));
            }
            (Authentication::Sasl(mechanisms), _) => {
                let plus = mechanisms.clone().any(|m| m == "SCRAM-SHA-256-PLUS");
                if !mechanisms.clone().any(|m| m == "SCRAM-SHA-256") && !plus {
                    let text = "the server offers no SASL mechanism that is known here";
                    return Err((text.into(), true));
                }
                login.stage =
                    scram::begin_scram(to, login.binding.as_deref(), plus, &nonce, io.out)?;
            }
            (Authentication::SaslContinue(data), Stage::First(first)) => {
                let need = first
                    .server_first(data)
                    .map_err(|e| (e.to_string(), true))?;
                return self.server_keys_needed(slot, &info, need, io.out);
            }
            (Authentication::SaslFinal(data), Stage::Final(last)) => {
                last.finish(data).map_err(|e| (e.to_string(), true))?;
            }
            _ => {
                let text = "the server asks for an authentication that is not known here";
                return Err((text.into(), true));
            }
        }
        Ok(())
    }

    /// ReadyForQuery of a login: into the pool, or first `connect_query`.
    fn server_login_ready(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return;
        };
        if let (Stage::Accepted, Some(query)) = (&login.stage, &server.pool.connect_query) {
            io.out
                .write(Peer::Server(slot), |v| front::query(v, query.as_bytes()));
            login.stage = Stage::Query;
            return;
        }
        if !self.server_fits(slot, io) {
            return;
        }
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return;
        };
        let greeting = Arc::new(std::mem::take(&mut login.params));
        server.greeting = Arc::clone(&greeting);
        server.phase = ServerPhase::Idle;
        server.used_at = io.now;
        let (key, conn) = (server.pool.key, server.conn);
        server.pool.learn_greeting(&greeting);
        self.local(key).stats.health.opened += 1;
        self.welcome_waiting(key, io);
        io.pools.opened(io.now, key, conn, slot);
        if io.pools.is_monitor(key) {
            self.monitor_up(key, io);
        }
        // What came behind it in the same read is no part of the login.
        if let Some(server) = self.servers.get_mut(slot) {
            let rest = std::mem::take(&mut server.held);
            if !rest.is_empty() {
                self.server_input(io.now, slot, &rest, io.pools, io.out);
            }
        }
    }

    /// A login's socket ended or could not be connected.
    pub(crate) fn server_login_gone(&mut self, slot: u32, error: Option<&str>, io: &mut Io<'_>) {
        self.server_login_failed(
            slot,
            error.unwrap_or("the server closed the connection"),
            false,
            io,
        );
    }

    fn server_login_failed(&mut self, slot: u32, text: &str, refused: bool, io: &mut Io<'_>) {
        self.server_login_ended(slot, text, refused, refused, io);
    }

    /// `for_good`: waiting does not mend it.
    fn server_login_ended(
        &mut self,
        slot: u32,
        text: &str,
        refused: bool,
        for_good: bool,
        io: &mut Io<'_>,
    ) {
        let Some(mut server) = self.servers.remove(slot) else {
            return;
        };
        let (refusal, full, code) = match &mut server.phase {
            ServerPhase::Login(login) => (login.refusal.take(), login.full, login.code),
            _ => (None, None, None),
        };
        let by_server = code.is_some();
        let for_good = for_good || (refusal.is_some() && !refused);
        let refused = refused || refusal.is_some();
        let both = refusal.map(|first| format!("{first}; and the other way of sslmode: {text}"));
        let text = both.as_deref().unwrap_or(text);
        let key = server.pool.key;
        let reason = if refused {
            self.cache.forget_server_keys(key);
            CloseReason::ServerLoginFailed
        } else if full.is_some() {
            CloseReason::ServerFull
        } else {
            CloseReason::ServerConnectFailed
        };
        self.stats.closes[reason as usize] += 1;
        self.local(key).stats.health.not_up(io.now, reason, code);
        io.out.command(Command::ServerFailed {
            slot,
            conn: server.conn,
            pool: key,
            reason,
            text: text.into(),
            name: server.name(),
            by_server,
        });
        let (now, conn, text) = (io.now, server.conn, text.into());
        match (full, code.filter(|_| for_good)) {
            (Some(own), _) => io.pools.open_full(now, key, conn, text, own),
            (None, Some(code)) => io.pools.open_refused(now, key, conn, text, code),
            (None, None) => io.pools.open_failed(now, key, conn, text, for_good),
        }
    }
}
