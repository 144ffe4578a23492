//! Console sessions: the protocol side. What a statement answers is the shell's.

pub mod statement;

use crate::client::Phase;
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::{Command, Outbox, Peer};
use crate::pools::Pools;
use crate::requests::Io;
use events::snapshot::Address;
use events::{ClientId, CloseReason, Time};
use wire::back::{self, Status};
use wire::frame;
use wire::front;

/// Largest console statement.
const STATEMENT_MAX: usize = 64 * 1024;

/// What the console reports at login; PgBouncer's clients look at these.
const REPORTED: [(&str, &str); 7] = [
    (
        "server_version",
        concat!(env!("CARGO_PKG_VERSION"), "/plimsoll"),
    ),
    ("client_encoding", "UTF8"),
    ("server_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("TimeZone", "GMT"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "on"),
];

impl Hub {
    /// A proven user enters the console, if it may; the owner of this process always.
    pub(crate) fn console_welcome(&mut self, slot: u32, user: &str, owner: bool, io: &mut Io<'_>) {
        let settings = &self.directory.settings;
        let admin = owner || settings.admin_users.contains(user);
        if !admin && !settings.stats_users.contains(user) {
            return self.fail_client(
                slot,
                &Trouble::ConsoleNotAllowed { user },
                CloseReason::ClientRefused,
                io,
            );
        }
        if let Err(limit) = io.pools.console_in(user, admin) {
            self.stats.refusals[events::RefuseReason::TooManyClients as usize] += 1;
            let trouble = Trouble::TooManyClients { limit };
            return self.fail_client(slot, &trouble, CloseReason::ClientRefused, io);
        }
        self.stats.logins += 1;
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        client.phase = Phase::Console { admin, busy: false };
        let secret = self.cancel_secret(slot);
        let pid = self.process_number(slot);
        io.out.write(Peer::Client(slot), |v| {
            back::auth_ok(v);
            for (name, value) in REPORTED {
                back::parameter_status(v, name, value);
            }
            back::backend_key(v, pid, &secret);
            back::ready(v, Status::Idle);
        });
    }

    pub(crate) fn console_input(&mut self, slot: u32, input: &[u8], io: &mut Io<'_>) {
        if let Some(client) = self.clients.get_mut(slot) {
            client.held.extend_from_slice(input);
        }
        self.console_go_on(slot, io);
    }

    pub(crate) fn console_go_on(&mut self, slot: u32, io: &mut Io<'_>) {
        loop {
            let Some(client) = self.clients.get_mut(slot) else {
                return;
            };
            let Phase::Console { busy: false, .. } = client.phase else {
                return;
            };
            let frame = match frame::peek(&client.held) {
                Ok(None) => return,
                Ok(Some(f)) if f.len <= STATEMENT_MAX => f,
                _ => {
                    return self.fail_client(
                        slot,
                        &Trouble::BadPacket("console message is too long"),
                        CloseReason::ClientProtocol,
                        io,
                    );
                }
            };
            if client.held.len() < frame.len {
                return;
            }
            let message: Vec<u8> = client.held.drain(..frame.len).collect();
            let body = message.get(frame::HEADER..).unwrap_or_default();
            self.console_message(slot, frame.tag, body, io);
        }
    }

    fn console_message(&mut self, slot: u32, tag: u8, body: &[u8], io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        match tag {
            b'Q' => {
                let Ok(query) = front::Query::parse(body) else {
                    return self.fail_client(
                        slot,
                        &Trouble::BadPacket("malformed Query"),
                        CloseReason::ClientProtocol,
                        io,
                    );
                };
                if let Phase::Console { busy, .. } = &mut client.phase {
                    *busy = true;
                }
                client.request_at = io.now;
                let id = ClientId {
                    worker: self.worker,
                    generation: client.generation,
                    slot,
                };
                io.out.command(Command::Console {
                    client: id,
                    text: query.text.into(),
                });
            }
            b'X' => self.client_left(slot, CloseReason::ClientTerminate, io),
            b'P' | b'B' | b'D' | b'E' | b'C' | b'F' => {
                if !std::mem::replace(&mut client.skip, true) {
                    let report = self.report(&Trouble::ConsoleExtended);
                    io.out.write(Peer::Client(slot), |v| report.write(v));
                }
            }
            b'S' => {
                client.skip = false;
                io.out
                    .write(Peer::Client(slot), |v| back::ready(v, Status::Idle));
            }
            b'H' => {}
            _ => self.fail_client(
                slot,
                &Trouble::BadPacket("invalid frontend message type"),
                CloseReason::ClientProtocol,
                io,
            ),
        }
    }

    /// Whether a console client may do more than SHOW.
    pub fn console_is_admin(&self, client: ClientId) -> bool {
        self.live(client)
            .and_then(|slot| self.clients.get(slot))
            .is_some_and(|c| matches!(c.phase, Phase::Console { admin: true, .. }))
    }

    /// The user that a console client logged in as.
    pub fn console_user(&self, client: ClientId) -> String {
        let client = self.live(client).and_then(|slot| self.clients.get(slot));
        client.map(|c| c.user.to_string()).unwrap_or_default()
    }

    /// Who a console client is, for the log: user, address, and the name that
    /// its program gives.
    pub fn console_actor(&self, client: ClientId) -> String {
        let Some(client) = self.live(client).and_then(|slot| self.clients.get(slot)) else {
            return String::new();
        };
        let from = match &client.peer.addr {
            Address::Tcp(address) => address.to_string(),
            Address::Unix => "unix socket".to_owned(),
        };
        match client.params.text("application_name") {
            Some(program) if !program.is_empty() => {
                format!("{} ({program}, {from})", client.user)
            }
            _ => format!("{} ({from})", client.user),
        }
    }

    /// The answer to a console statement, without its ReadyForQuery.
    pub fn console_reply(
        &mut self,
        now: Time,
        client: ClientId,
        reply: &[u8],
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(slot) = self.live(client) else {
            return;
        };
        if let Some(Phase::Console { busy, .. }) = self.clients.get_mut(slot).map(|c| &mut c.phase)
        {
            *busy = false;
            out.write(Peer::Client(slot), |v| {
                v.extend_from_slice(reply);
                back::ready(v, Status::Idle);
            });
            self.console_go_on(slot, &mut Io { now, pools, out });
            self.resume_client(slot, out);
        }
    }
}
