//! Sessions end: errors that close a client, sockets that ended.

use crate::client::{Client, NONE, Phase};
use crate::directory::PoolMode;
use crate::errors::{Report, Trouble};
use crate::expect::Expect;
use crate::hub::Hub;
use crate::outbox::{Command, Outbox, Peer};
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::{CloseReason, Time};

/// What a client was told at its end.
type Said = Option<Box<str>>;

impl Hub {
    /// Tells a client what is wrong, FATAL, and closes it.
    pub(crate) fn fail_client(
        &mut self,
        slot: u32,
        trouble: &Trouble<'_>,
        reason: CloseReason,
        io: &mut Io<'_>,
    ) {
        let mut report = self.report(trouble);
        report.fatal = true;
        self.fail_client_with(slot, &report, reason, io);
    }

    pub(crate) fn fail_client_with(
        &mut self,
        slot: u32,
        report: &Report,
        reason: CloseReason,
        io: &mut Io<'_>,
    ) {
        if self.clients.get(slot).is_none() {
            return;
        }
        if !self.mid_message(slot) {
            self.tell(slot, report, io.out);
        }
        self.client_ended(slot, reason, Some(report.message.as_str().into()), io);
    }

    /// Writes an error of ours to a client.
    pub(crate) fn tell(&self, slot: u32, report: &Report, out: &mut Outbox) {
        out.write(Peer::Client(slot), |v| report.write(v));
        self.note_told(slot, report, out);
    }

    /// The same for one that reaches the client another way: only the log is told.
    pub(crate) fn note_told(&self, slot: u32, report: &Report, out: &mut Outbox) {
        if let (true, Some(client)) = (self.directory.settings.log_errors, self.clients.get(slot)) {
            out.command(Command::Told {
                slot,
                name: client.name(),
                code: report.code,
                text: report.message.as_str().into(),
            });
        }
    }

    /// The client has got only a part of a server's message: whatever is
    /// written now would be taken for the rest of it.
    pub(crate) fn mid_message(&self, slot: u32) -> bool {
        self.clients
            .get(slot)
            .and_then(|c| self.servers.get(c.link))
            .is_some_and(|s| s.stream_left > 0 && !s.stream_drop)
    }

    /// A client's socket ended.
    pub fn client_gone(&mut self, now: Time, slot: u32, pools: &mut dyn Pools, out: &mut Outbox) {
        self.client_left(slot, CloseReason::ClientGone, &mut Io { now, pools, out });
    }

    /// A client's session ends, whoever wished it.
    pub(crate) fn client_left(&mut self, slot: u32, reason: CloseReason, io: &mut Io<'_>) {
        self.client_ended(slot, reason, None, io);
    }

    /// The same, after it was told this.
    fn client_ended(&mut self, slot: u32, reason: CloseReason, said: Said, io: &mut Io<'_>) {
        let id = self.client_id(slot);
        let Some(mut client) = self.clients.remove(slot) else {
            return;
        };
        self.stats.closes[reason as usize] += 1;
        self.traffic.left(&client, reason);
        let name = client.name();
        io.out.command(Command::CloseClient {
            slot,
            name,
            reason,
            said,
        });
        self.logins.retain(|(s, _)| *s != slot);
        if matches!(client.phase, Phase::Console { .. }) {
            io.pools.console_out(&client.user);
        }
        let held = std::mem::take(&mut client.held);
        self.recycle(held);
        let pins = client.has_pins();
        if let Some(pool) = client.ext.as_mut().and_then(|e| e.pinned.take()) {
            pool.give_pin();
        }
        if let Some(info) = &client.pool {
            if let Some(id) = id
                && !client.is_linked()
                && waits(&client)
            {
                io.pools.cancel_wait(io.now, info.key, id);
            }
            if joined(&client) {
                io.pools.leave(info.key, client.flow);
            }
        }
        let Some(server) = self.servers.get_mut(client.link) else {
            return;
        };
        let link = client.link;
        self.traffic
            .held(client.application, server.lent_at, io.now);
        self.tell_tape(link, Some(client.request_at), io);
        let Some(server) = self.servers.get_mut(link) else {
            return;
        };
        server.link = NONE;
        if std::mem::take(&mut server.paused) {
            io.out.command(Command::Resume(Peer::Server(link)));
        }
        let session = server.pool.mode == PoolMode::Session;
        // What is still to be answered may change the session, and nobody will
        // follow it: neither SETs under way nor a transaction with some.
        let tracked = client.ext.as_ref().is_some_and(|e| e.tracker.is_some());
        server.unsure |= tracked || server.expected.iter().any(Expect::changes_session);
        let reset = session
            || pins
            || server.dirty
            || server.unsure
            || self.directory.settings.reset_always;
        if matches!(server.phase, ServerPhase::Lent) {
            if reset || !server.at_rest() || server.cancels > 0 {
                self.start_cleaning(link, reset, io);
            } else {
                let key = server.pool.key;
                self.give_back(io.now, link, key, None, io.pools, io.out);
            }
        }
    }

    /// Forgets a server connection; the shell closes its socket.
    pub(crate) fn close_server(&mut self, slot: u32, reason: CloseReason, out: &mut Outbox) {
        let Some(server) = self.servers.remove(slot) else {
            return;
        };
        self.stats.closes[reason as usize] += 1;
        if matches!(reason, CloseReason::ServerGone | CloseReason::ServerFatal) {
            self.local(server.pool.key).stats.health.ended_by_server += 1;
        }
        out.command(Command::CloseServer {
            slot,
            conn: server.conn,
            pool: server.pool.key,
            reason,
            name: server.name(),
        });
    }

    /// The same, for one that the pool does not know to be ending.
    pub(crate) fn drop_server(&mut self, slot: u32, reason: CloseReason, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        if let Some(client) = self.clients.get(server.link) {
            self.traffic
                .held(client.application, server.lent_at, io.now);
        }
        let (key, conn) = (server.pool.key, server.conn);
        self.tell_tape(slot, None, io);
        io.pools.closing(io.now, key, conn);
        self.close_server(slot, reason, io.out);
    }

    /// A server's socket ended, or failed with this error.
    pub fn server_gone(
        &mut self,
        now: Time,
        slot: u32,
        error: Option<&str>,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let mut io = Io { now, pools, out };
        if matches!(server.phase, ServerPhase::Login(_)) {
            return self.server_login_gone(slot, error, &mut io);
        }
        self.server_over(slot, CloseReason::ServerGone, &mut io);
    }

    /// A server connection that was logged in ended. After FATAL its client
    /// knows why already.
    pub(crate) fn server_over(&mut self, slot: u32, reason: CloseReason, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let link = server.link;
        let lent = matches!(server.phase, ServerPhase::Lent);
        let preparing = |c: &Client| matches!(c.phase, Phase::Preparing);
        if lent && self.clients.get(link).is_some_and(preparing) {
            return self.lost_while_preparing(slot, reason, io);
        }
        let cut = lent && self.mid_message(link);
        self.drop_server(slot, reason, io);
        let Some(client) = self.clients.get_mut(link).filter(|_| lent) else {
            return;
        };
        client.link = NONE;
        match &client.phase {
            Phase::Login(_) => self.login_server_lost(link, io),
            _ if cut || reason == CloseReason::ServerFatal => self.client_left(link, reason, io),
            _ if reason == CloseReason::ServerMoved => {
                self.fail_client(link, &Trouble::ServerMoved, reason, io);
            }
            _ => self.fail_client(link, &Trouble::ServerGone, reason, io),
        }
    }
}

fn waits(client: &Client) -> bool {
    match &client.phase {
        Phase::Waiting { .. } => true,
        Phase::Login(login) => login.waits_for_server(),
        _ => false,
    }
}

/// The client's flow is counted in its pool.
fn joined(client: &Client) -> bool {
    match &client.phase {
        Phase::Login(login) => login.joined(),
        Phase::Console { .. } | Phase::Cancelling => false,
        _ => true,
    }
}
