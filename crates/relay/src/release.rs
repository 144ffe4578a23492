//! The end of a lease: connections go back clean, or not at all.

use crate::client::{Client, NONE, Phase};
use crate::directory::{ErrorStyle, PoolKey, PoolMode};
use crate::errors::{Outage, Report, Trouble};
use crate::expect::{Expect, Purpose};
use crate::hub::{Hub, Pools};
use crate::outbox::{Command, Outbox, Peer};
use crate::requests::{Io, Step};
use crate::server::{Cleaning, ServerPhase};
use events::{CloseReason, RefuseReason, Time};
use pool::Checkin;
use std::sync::Arc;
use std::time::Duration;
use wire::back::{self, Status};
use wire::{front, sql};

/// How long the server may take to confirm that a client's leavings are gone;
/// then the connection is closed instead.
pub(crate) const CLEAN_MAX: Duration = Duration::from_secs(10);

impl Hub {
    /// Returns a connection if its lease is over.
    pub(crate) fn maybe_release(
        &mut self,
        now: Time,
        slot: u32,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let mut io = Io { now, pools, out };
        match server.phase {
            ServerPhase::Cleaning(cleaning) => self.clean(slot, cleaning, &mut io),
            ServerPhase::Lent if server.at_rest() => self.lease_at_rest(slot, &mut io),
            ServerPhase::Lent
                if server.pool.mode == PoolMode::Statement
                    && server.status != Status::Idle
                    && server.expected.is_empty() =>
            {
                let link = server.link;
                self.fail_client(
                    link,
                    &Trouble::StatementModeTransaction,
                    CloseReason::ClientProtocol,
                    &mut io,
                );
            }
            _ => {}
        }
    }

    fn lease_at_rest(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let pin = self.directory.settings.pin;
        let Some(client) = self.clients.get_mut(server.link) else {
            return;
        };
        if !matches!(client.phase, Phase::Ready) || client.stream_left > 0 {
            return;
        }
        let link = server.link;
        if server.pool.mode == PoolMode::Session && !self.draining {
            return;
        }
        if pin && client.has_pins() {
            return;
        }
        if let Some(ext) = client.ext.as_mut()
            && std::mem::take(&mut ext.pinned)
        {
            server.pool.give_pin();
        }
        let key = server.pool.key;
        let cancels = server.cancels;
        let reset = server.dirty || self.directory.settings.reset_always;
        Hub::forget_large(client);
        self.unlink(slot, io.out);
        if reset || cancels > 0 {
            self.start_cleaning(slot, reset, io);
        } else {
            self.give_back(io.now, slot, key, None, io.pools, io.out);
        }
        if self.draining {
            self.fail_client(link, &Trouble::Shutdown, CloseReason::Shutdown, io);
        }
    }

    /// Returns a clean connection to its pool, which may keep it or not.
    pub(crate) fn give_back(
        &mut self,
        now: Time,
        slot: u32,
        key: PoolKey,
        close: Option<CloseReason>,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.phase = ServerPhase::Idle;
        server.link = NONE;
        let close = close.or(server.doomed);
        match pools.checkin(now, key, server.conn, close) {
            Checkin::Kept => {}
            Checkin::Close(reason) => self.close_server(slot, reason, out),
        }
    }

    /// Begins to take back what the last client left.
    fn start_cleaning(&mut self, slot: u32, reset: bool, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.link = NONE;
        if std::mem::take(&mut server.paused) {
            io.out.command(Command::Resume(Peer::Server(slot)));
        }
        if server.half_sent || server.doomed.is_some() {
            // Half a message stands at the server: nothing can follow it.
            return self.drop_server(slot, CloseReason::ClientLeftTransaction, io);
        }
        let cleaning = Cleaning {
            deadline: io.now.after(CLEAN_MAX),
            reset,
            cancelled: false,
        };
        server.phase = ServerPhase::Cleaning(cleaning);
        server.own_error = None;
        self.clean(slot, cleaning, io);
    }

    /// One step of cleaning, whenever the server has answered the last one.
    /// Idle in transaction: ROLLBACK. Unsynced batch: Sync. COPY in: CopyFail.
    /// Running or COPY out: cancel. Session state: reset.
    fn clean(&mut self, slot: u32, cleaning: Cleaning, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        if server.doomed.is_some() {
            return self.drop_server(slot, CloseReason::ClientLeftTransaction, io);
        }
        let to = Peer::Server(slot);
        if server.copy_in {
            server.copy_in = false;
            io.out
                .write(to, |v| front::copy_fail(v, "the client is gone"));
            if server
                .expected
                .front()
                .is_some_and(|e| matches!(e, Expect::Query(_)))
            {
                return;
            }
        }
        if server.unsynced || server.expected.is_skipping() {
            server.unsynced = false;
            server.expected.push(Expect::OwnSync);
            io.out.write(to, front::sync);
        }
        if !server.expected.is_empty()
            || server.backlog > 0
            || server.stream_left > 0
            || !server.held.is_empty()
        {
            let theirs = server.expected.iter().any(|e| !e.is_own());
            if theirs && !cleaning.cancelled {
                server.phase = ServerPhase::Cleaning(Cleaning {
                    cancelled: true,
                    ..cleaning
                });
                self.send_cancel(slot, io.out);
            }
            return;
        }
        if server.cancels > 0 {
            return;
        }
        let purpose = if server.status != Status::Idle {
            Purpose::Rollback
        } else if cleaning.reset {
            server.phase = ServerPhase::Cleaning(Cleaning {
                reset: false,
                ..cleaning
            });
            Purpose::Reset
        } else {
            let key = server.pool.key;
            return self.give_back(io.now, slot, key, None, io.pools, io.out);
        };
        server.expected.push(Expect::OwnQuery(purpose));
        let reset = &self.directory.settings.reset_query;
        io.out.write(to, |v| match purpose {
            Purpose::Rollback => front::query(v, b"ROLLBACK"),
            _ => front::query(v, reset.as_bytes()),
        });
    }

    /// A statement of the pooler's own was answered.
    pub(crate) fn own_done(&mut self, slot: u32, purpose: Purpose, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let failed = server.own_error.take();
        if purpose == Purpose::Parameters
            && let Some(params) = server.coming.take()
            && failed.is_none()
        {
            server.params = params;
        }
        match purpose {
            Purpose::Check | Purpose::Parameters => self.prepared(slot, purpose, failed, io),
            Purpose::Rollback if failed.is_some() => {
                self.drop_server(slot, CloseReason::ServerUnresponsive, io);
            }
            Purpose::Rollback => {}
            Purpose::Reset if failed.is_some() => {
                self.drop_server(slot, CloseReason::ServerUnresponsive, io)
            }
            Purpose::Reset => self.session_reset(slot, io),
            Purpose::AuthQuery => self.auth_query_done(slot, failed, io),
        }
    }

    fn session_reset(&mut self, slot: u32, io: &mut Io<'_>) {
        let text = &self.directory.settings.reset_query;
        let script = sql::read(text.as_bytes(), sql::Quoting::default());
        let does = |wanted: &sql::Change| script.effects.iter().any(|e| e.change == *wanted);
        let all = does(&sql::Change::Discard(sql::Discard::All));
        let parameters = does(&sql::Change::ResetAll);
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.dirty = false;
        server.unnamed = None;
        if all {
            server.unsure = false;
            server.params = Arc::default();
            server.prepared.clear();
            return;
        }
        server.prepared.all_stale();
        if server.unsure {
            // The reset query leaves open what is set there now.
            return self.drop_server(slot, CloseReason::ClientLeftTransaction, io);
        }
        if parameters {
            // RESET ALL leaves roles as they are.
            let kept = server
                .params
                .iter()
                .filter(|(name, _)| matches!(*name, "role" | "session_authorization"));
            let mut set = crate::params::ParamSet::default();
            for (name, value) in kept {
                set.set(name, Some(value.clone()));
            }
            server.params = Arc::new(set);
        }
    }

    /// The pooler's statements before a client's are done.
    fn prepared(&mut self, slot: u32, purpose: Purpose, failed: Option<Box<str>>, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let link = server.link;
        let server_used = server.used;
        let Some(client) = self
            .clients
            .get_mut(link)
            .filter(|c| matches!(c.phase, Phase::Preparing))
        else {
            return;
        };
        match (purpose, failed) {
            (Purpose::Check, Some(_)) => {
                self.drop_server(slot, CloseReason::ServerUnresponsive, io);
                self.lost_while_preparing(link, server_used, io);
            }
            (_, Some(text)) => {
                self.fail_client(
                    link,
                    &Trouble::ParametersRefused { text: &text },
                    CloseReason::ParametersRefused,
                    io,
                );
            }
            (_, None) if !server.expected.is_empty() => {}
            (_, None) => {
                server.params = Arc::clone(&client.params);
                client.phase = Phase::Ready;
                self.go_on(link, io);
            }
        }
    }

    /// A client is told no. `Again`: it keeps its session, and its request is
    /// dropped when it is looked at again.
    pub(crate) fn refuse_now(
        &mut self,
        slot: u32,
        reason: RefuseReason,
        waited: Duration,
        text: Option<&str>,
        io: &mut Io<'_>,
    ) -> Step {
        self.stats.refusals[reason as usize] += 1;
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        let Some(info) = client.pool.clone() else {
            return Step::Closed;
        };
        let login = matches!(client.phase, Phase::Login(_));
        let database = Arc::clone(&client.database);
        let trouble = match reason {
            RefuseReason::WaitTimeout | RefuseReason::Shed if text.is_none() => {
                Trouble::WaitTimeout {
                    waited,
                    database: &database,
                    user: &info.user,
                    size: info.size,
                }
            }
            RefuseReason::QueueFull => Trouble::QueueFull {
                database: &database,
                user: &info.user,
            },
            RefuseReason::Disabled => Trouble::DatabaseDisabled(&database),
            RefuseReason::Shutdown => Trouble::Shutdown,
            RefuseReason::Panic => Trouble::Panic,
            _ => Trouble::ServerDown {
                text: text.unwrap_or("no connection could be opened"),
                outage: io.pools.outage(info.key).map(|o| Outage {
                    lasts: io.now.since(o.since),
                    ago: io.now.since(o.last),
                    login: o.login,
                }),
            },
        };
        let style = self.directory.settings.error_style;
        if login || style == ErrorStyle::Pgbouncer || matches!(reason, RefuseReason::Shutdown) {
            let close = match reason {
                RefuseReason::Shutdown => CloseReason::Shutdown,
                RefuseReason::ServerDown => CloseReason::ServerConnectFailed,
                _ => CloseReason::QueryWaitTimeout,
            };
            self.fail_client(slot, &trouble, close, io);
            return Step::Closed;
        }
        let report = Report {
            fatal: false,
            ..self.report(&trouble)
        };
        io.out.write(Peer::Client(slot), |v| report.write(v));
        if let Some(client) = self.clients.get_mut(slot) {
            client.phase = Phase::Ready;
            client.refused = true;
        }
        Step::Again
    }

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
            io.out.write(Peer::Client(slot), |v| report.write(v));
        }
        self.client_left(slot, reason, io);
    }

    /// The client has got only a part of a server's message: whatever is
    /// written now would be taken for the rest of it.
    fn mid_message(&self, slot: u32) -> bool {
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
        let id = self.client_id(slot);
        let Some(mut client) = self.clients.remove(slot) else {
            return;
        };
        self.stats.closes[reason as usize] += 1;
        let name = client.name();
        io.out.command(Command::CloseClient { slot, name, reason });
        self.logins.retain(|(s, _)| *s != slot);
        let held = std::mem::take(&mut client.held);
        self.recycle(held);
        let pins = client.has_pins();
        if let Some(info) = &client.pool {
            if client.ext.as_ref().is_some_and(|e| e.pinned) {
                info.give_pin();
            }
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
        out.command(Command::CloseServer {
            slot,
            conn: server.conn,
            pool: server.pool.key,
            reason,
        });
    }

    /// The same, for one that the pool does not know to be ending.
    pub(crate) fn drop_server(&mut self, slot: u32, reason: CloseReason, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        io.pools.closing(io.now, server.pool.key, server.conn);
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
        let (link, used) = (server.link, server.used);
        let lent = matches!(server.phase, ServerPhase::Lent);
        let cut = lent && self.mid_message(link);
        self.drop_server(slot, reason, io);
        let Some(client) = self.clients.get_mut(link).filter(|_| lent) else {
            return;
        };
        client.link = NONE;
        match &client.phase {
            Phase::Preparing => self.lost_while_preparing(link, used, io),
            Phase::Login(_) => self.login_server_lost(link, io),
            _ if cut || reason == CloseReason::ServerFatal => self.client_left(link, reason, io),
            _ => self.fail_client(link, &Trouble::ServerGone, reason, io),
        }
    }

    /// A connection was lost while the pooler's own statements ran. A client
    /// that had nothing there gets another one.
    pub(crate) fn lost_while_preparing(&mut self, link: u32, used: bool, io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(link) else {
            return;
        };
        client.link = NONE;
        client.phase = Phase::Ready;
        let session = client
            .pool
            .as_ref()
            .is_some_and(|p| p.mode == PoolMode::Session);
        if client.has_pins() || session && used {
            let reason = CloseReason::ServerGone;
            return self.fail_client(link, &Trouble::ServerGone, reason, io);
        }
        self.go_on(link, io);
    }

    /// Takes a pin for a client that wants one; false when the share is used up.
    pub(crate) fn take_pin(&mut self, slot: u32) -> bool {
        let pin = self.directory.settings.pin;
        let Some(client) = self.clients.get_mut(slot) else {
            return false;
        };
        let Some(info) = client.pool.clone() else {
            return false;
        };
        if !pin {
            self.local(info.key).stats.unpinned += 1;
            return true;
        }
        if info.mode == PoolMode::Session || client.ext.as_ref().is_some_and(|e| e.pinned) {
            return true;
        }
        if !info.take_pin() {
            self.stats.refusals[RefuseReason::PinShare as usize] += 1;
            return false;
        }
        client.extra().pinned = true;
        true
    }

    pub(crate) fn pin_report(&self, slot: u32, what: &str) -> Report {
        let max = self
            .clients
            .get(slot)
            .and_then(|c| c.pool.as_ref())
            .map_or(0, |p| p.pins_max);
        self.report(&Trouble::PinShare { what, max })
    }

    /// A simple query that would pin beyond the share: refused before it is sent.
    pub(crate) fn refuse_pin_query(&mut self, slot: u32, what: &str, io: &mut Io<'_>) {
        let report = match self.in_failed_transaction(slot) {
            true => crate::extended::aborted(),
            false => self.pin_report(slot, what),
        };
        self.fail_at_server(slot, &report, io.out);
        let Some(link) = self.clients.get(slot).map(|c| c.link) else {
            return;
        };
        if let Some(server) = self.servers.get_mut(link) {
            server.expected.push(Expect::Sync);
            server.unsynced = false;
            server.batch += 1;
            io.out.write(Peer::Server(link), front::sync);
        }
    }

    /// `DEALLOCATE` of a statement that was prepared by protocol: ours to answer.
    pub(crate) fn own_deallocate(
        &mut self,
        slot: u32,
        script: &sql::Script,
        io: &mut Io<'_>,
    ) -> Option<Step> {
        let [
            sql::Effect {
                change: sql::Change::Deallocate { name },
                ..
            },
        ] = script.effects.as_slice()
        else {
            return None;
        };
        let client = self.clients.get_mut(slot)?;
        let server = self.servers.get_mut(client.link)?;
        if script.statements != 1 || server.status == Status::Failed {
            return None;
        }
        client.ext.as_mut()?.prepared.remove(name.as_bytes())?;
        let link = client.link;
        if server.expected.is_empty() {
            let status = server.status;
            io.out.write(Peer::Client(slot), |v| {
                back::command_complete(v, "DEALLOCATE");
                back::ready(v, status);
            });
        } else {
            server.expected.push(Expect::LocalDeallocate);
        }
        self.maybe_release(io.now, link, io.pools, io.out);
        Some(Step::Done)
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
