//! The start-up packet: who wants where, with which parameters.

use super::CONSOLE;
use crate::auth::Stage;
use crate::client::Phase;
use crate::directory::Settings;
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::{Command, Outbox, Peer};
use crate::params::ParamSet;
use crate::requests::Io;
use events::CloseReason;
use std::sync::Arc;
use wire::back;
use wire::sql::Value;
use wire::startup::{self, Startup};

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
    /// The start-up packet or what comes before it; returns the bytes used.
    pub(super) fn start_up(&mut self, slot: u32, held: &[u8], io: &mut Io<'_>) -> usize {
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
            Startup::Ssl | Startup::Gss => io.out.write(Peer::Client(slot), |v| v.push(b'N')),
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
    settings: &Settings,
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
