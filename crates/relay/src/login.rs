//! A client's login: the start-up packet.
//!
//! Then `lookup` finds the secret, `proof` asks for the proof, `welcome` lets in.

mod lookup;
mod proof;
mod replicating;
mod reported;
mod welcome;

use reported::as_reported;
pub(crate) use reported::reported_name;

use crate::admission::CertificateNames;
use crate::auth::{Login, Stage};
use crate::client::{Client, NONE, PeerInfo, Phase};
use crate::directory::Replication;
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::{Command, Outbox, Peer};
use crate::params::ParamSet;
use crate::requests::Io;
use crate::tally::NOWHERE;
use events::snapshot::Address;
use events::{CloseReason, FlowId, Time};
use std::sync::Arc;
use wire::back;
use wire::sql::Value;
use wire::startup::{self, Startup};

/// The console's database.
pub(crate) const CONSOLE: &str = "pgbouncer";
/// Largest message during the proof.
const PROOF_MAX: usize = 8 * 1024;
/// Requests for encryption that are answered with no: one for TLS, one for GSSAPI.
const ASKED_MAX: u8 = 2;

/// Start-up parameters that PgBouncer always follows.
const FOLLOWED: [&str; 5] = [
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
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
            long_key: false,
            paused: false,
            pool: None,
            flow: FlowId(0),
            application: NOWHERE,
            source: self.traffic.accepted(&peer.addr),
            renamed: false,
            host_added: false,
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
    pub fn tls_established(
        &mut self,
        slot: u32,
        description: &str,
        certificate: Option<CertificateNames>,
    ) {
        let binding = self.directory.settings.channel_binding.clone();
        if let Some(login) = self.login_mut(slot) {
            login.tls = Some(description.into());
            login.certificate = certificate.map(Box::new);
            login.binding = binding;
            login.stage = Stage::Startup;
        }
    }

    /// The certificate that this client was shown is not the settings' of now:
    /// its own channel binding. Call it after `tls_established`.
    pub fn bind_channel(&mut self, slot: u32, binding: Option<Arc<[u8]>>) {
        if let Some(login) = self.login_mut(slot) {
            login.binding = binding;
        }
    }

    /// A new client came over our unix socket from a process of the user that
    /// we run as: it may enter the console as user `pgbouncer` without a proof.
    pub fn same_owner(&mut self, slot: u32) {
        if let Some(login) = self.login_mut(slot) {
            login.owner = true;
        }
    }

    /// A new client came over our unix socket from a process of this user of the system.
    pub fn peer_user(&mut self, slot: u32, uid: u32) {
        if let Some(login) = self.login_mut(slot) {
            login.uid = Some(uid);
        }
    }

    /// A new client is one too many: it may cancel or enter the console, and
    /// is refused otherwise, once it can read the reason.
    pub fn over_limit(&mut self, slot: u32) {
        if let Some(login) = self.login_mut(slot) {
            login.over = true;
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
            Startup::Cancel {
                pid,
                key,
                forwarded,
            } => {
                self.stats.cancels += 1;
                if let Some(client) = self.clients.get_mut(slot) {
                    client.phase = Phase::Cancelling;
                }
                io.out.command(Command::Cancel {
                    slot,
                    pid,
                    key: key.into(),
                    forwarded,
                });
            }
            Startup::Start { minor, params } => {
                if let Err(trouble) = self.take_startup(slot, minor, params, io.out) {
                    self.fail_client(slot, &trouble.as_trouble(), CloseReason::ClientRefused, io);
                    return held.len();
                }
                if self.no_place_for(slot, io) {
                    return held.len();
                }
                self.identify(slot, io);
            }
        }
        len
    }

    /// There is no room for it, or no time. Whoever wants the console comes in always.
    fn no_place_for(&mut self, slot: u32, io: &mut Io<'_>) -> bool {
        let Some(login) = self.login_mut(slot).filter(|l| !l.console) else {
            return false;
        };
        let (trouble, reason) = match (login.over, self.closed_to_new) {
            (true, _) => {
                self.stats.refusals[events::RefuseReason::TooManyClients as usize] += 1;
                let limit = "max_client_conn";
                (
                    Trouble::TooManyClients { limit },
                    CloseReason::ClientRefused,
                )
            }
            (false, true) => (Trouble::Shutdown, CloseReason::Shutdown),
            (false, false) => return false,
        };
        self.fail_client(slot, &trouble, reason, io);
        true
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
        // Never at a unix socket: libpq does not even ask for TLS there.
        let client = self.clients.get(slot);
        let afar = client.is_none_or(|c| c.peer.addr != Address::Unix);
        if settings.client_tls_required && afar && !tls_on {
            return Err(StartTrouble::Tls);
        }
        let (mut user, mut database) = (None, None);
        let asked = params.iter().find(|(name, _)| *name == "replication");
        let replication = match asked {
            None => Replication::None,
            Some((_, value)) => Replication::read(value).ok_or_else(|| {
                let text = "invalid value for parameter \"replication\"";
                StartTrouble::Packet(text.to_owned())
            })?,
        };
        // Its own connection is opened with all that it asks for.
        let open = replication.is_on();
        let (mut set, mut unknown) = (ParamSet::default(), Vec::new());
        // As in a server, what a parameter says outdoes the options, wherever they stand.
        follow_options(&mut set, settings, params, open)?;
        for (name, value) in params.iter() {
            match name {
                "user" => user = Some(value),
                "database" => database = Some(value),
                "replication" | "options" => {}
                n if n.starts_with(startup::PROTOCOL_OPTION_PREFIX) => unknown.push(n),
                _ => follow(&mut set, settings, (name, value), false, open)?,
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
        if settings.add_host && database != CONSOLE {
            add_host(&mut set, self.clients.get_mut(slot));
        }
        let set = self.interner.intern(set);
        if let Some(client) = self.clients.get_mut(slot) {
            client.user = user.into();
            client.database = database.into();
            client.long_key = spoken >= 2;
            client.params = Arc::clone(&set);
            client.startup = set;
        }
        if let Some(login) = self.login_mut(slot) {
            login.console = database == CONSOLE;
            login.replication = replication;
        }
        Ok(())
    }
}

/// Says in the application's name where it comes from, as PgBouncer writes it.
fn add_host(set: &mut ParamSet, client: Option<&mut Client>) {
    let Some(client) = client else { return };
    client.host_added = true;
    let given = set.text("application_name").unwrap_or("app");
    let name = format!("{given}{}", client.origin());
    set.set("application_name", Some(Value::Guc(name.into())));
}

/// What is wrong with a start-up packet.
enum StartTrouble {
    Tls,
    NoUser,
    Packet(String),
    Options(String),
    Unsupported { name: String, in_options: bool },
}

impl StartTrouble {
    fn as_trouble(&self) -> Trouble<'_> {
        match self {
            StartTrouble::Tls => Trouble::TlsRequired,
            StartTrouble::NoUser => Trouble::NoUser,
            StartTrouble::Packet(text) => Trouble::BadPacket(text),
            StartTrouble::Options(text) => Trouble::BadOptions(text),
            StartTrouble::Unsupported { name, in_options } => Trouble::UnsupportedStartup {
                name,
                in_options: *in_options,
            },
        }
    }
}

/// Takes the parameters in `options`.
fn follow_options(
    set: &mut ParamSet,
    settings: &crate::directory::Settings,
    params: startup::Params<'_>,
    open: bool,
) -> Result<(), StartTrouble> {
    // What is known of them is followed all the same, as PgBouncer does.
    let lenient = settings.ignore_startup.contains("options") && !open;
    for (_, value) in params.iter().filter(|(name, _)| *name == "options") {
        for option in startup::options(value) {
            let (name, value) = match option {
                Ok(option) => option,
                Err(_) if lenient => break,
                Err(e) => return Err(StartTrouble::Options(e.to_string())),
            };
            if lenient && !is_followed(settings, &name.to_ascii_lowercase()) {
                continue;
            }
            follow(set, settings, (&name, &value), true, open)?;
        }
    }
    Ok(())
}

/// By PgBouncer too, or because the settings name it.
fn is_followed(settings: &crate::directory::Settings, folded: &str) -> bool {
    FOLLOWED.contains(&folded) || settings.track_startup.contains(folded)
}

/// Takes one start-up parameter; `open`: whatever it is.
fn follow(
    set: &mut ParamSet,
    settings: &crate::directory::Settings,
    (name, value): (&str, &str),
    in_options: bool,
    open: bool,
) -> Result<(), StartTrouble> {
    let folded = name.to_ascii_lowercase();
    let ignored = |name| settings.ignore_startup.contains(name);
    if !open && (ignored(name) || ignored(&folded)) {
        return Ok(());
    }
    if settings.strict_startup && !open && !is_followed(settings, &folded) {
        return Err(StartTrouble::Unsupported {
            name: name.to_owned(),
            in_options,
        });
    }
    let value = as_reported(&folded, value);
    set.set(&folded, Some(Value::Guc(value.into())));
    Ok(())
}
