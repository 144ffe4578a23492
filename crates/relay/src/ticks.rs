//! Timeouts. Nothing is armed per message: a tick looks at what has a start time.

use crate::client::{NONE, Phase};
use crate::directory::{ErrorStyle, PoolMode};
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::{CloseReason, Time};
use std::time::Duration;
use wire::back::Status;

/// How often the shell calls `tick`.
pub const TICK: Duration = Duration::from_millis(100);

/// A part of the clients is looked at in each tick, all within a second.
const TICKS_PER_SECOND: u32 = 10;
/// So many are looked at in one tick anyway: some ten microseconds.
const CLIENTS_PER_TICK: u32 = 256;

impl Hub {
    /// Ends what has lasted too long.
    pub fn tick(&mut self, now: Time, pools: &mut dyn Pools, out: &mut Outbox) {
        let mut io = Io { now, pools, out };
        self.traffic.tick(now);
        self.late_logins(&mut io);
        if self.draining {
            // Those whose request was refused meanwhile.
            self.send_home(&mut io);
        }
        for slot in self.servers.slots() {
            self.server_tick(slot, &mut io);
        }
        self.tell_writers(&mut io);
        self.monitors_tick(&mut io);
        self.tell_leases(&mut io);
        let settings = &self.directory.settings;
        if settings.client_idle_timeout.is_some()
            || settings.wait_notify.is_some()
            || settings.query_timeout.is_some()
            || !settings.user_limits.is_empty()
        {
            for slot in self.clients_due() {
                self.client_tick(slot, &mut io);
            }
        }
    }

    /// The clients to look at in this tick: all, or of many the next part, so
    /// that each is seen within a second and no tick holds up the others long.
    fn clients_due(&mut self) -> std::ops::Range<u32> {
        let all = self.clients.slots().end;
        let part = (all / TICKS_PER_SECOND + 1).max(CLIENTS_PER_TICK);
        let start = if self.ticked < all { self.ticked } else { 0 };
        self.ticked = all.min(start + part);
        start..self.ticked
    }

    fn late_logins(&mut self, io: &mut Io<'_>) {
        let limit = self.directory.settings.login_timeout;
        let query = self.directory.settings.query_timeout;
        let (mut late, mut unserved) = (Vec::new(), Vec::new());
        self.logins.retain(|(slot, generation)| {
            let Some(c) = self
                .clients
                .get(*slot)
                .filter(|c| c.generation == *generation)
            else {
                return false;
            };
            // A login that waits for a server has the pool's deadline.
            let waits = match &c.phase {
                Phase::Login(login) => login.waits_for_server(),
                Phase::Cancelling => false,
                _ => return false,
            };
            if !waits && io.now.since(c.connected_at) > limit {
                late.push(*slot);
                return false;
            }
            // PgBouncer's query_timeout ends this wait as any other.
            if waits && query.is_some_and(|limit| io.now.since(c.request_at) > limit) {
                unserved.push(*slot);
                return false;
            }
            true
        });
        for slot in late {
            self.fail_client(
                slot,
                &Trouble::LoginTimeout,
                CloseReason::ClientLoginTimeout,
                io,
            );
        }
        for slot in unserved {
            let trouble = Trouble::QueryTimeoutWaiting;
            self.fail_client(slot, &trouble, CloseReason::QueryTimeout, io);
        }
    }

    fn server_tick(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(slot) else {
            return;
        };
        let now = io.now;
        let over =
            |start: Time, limit: Option<Duration>| limit.is_some_and(|l| now.since(start) > l);
        let settings = &self.directory.settings;
        match &server.phase {
            ServerPhase::Login(_)
                if over(server.opened_at, Some(settings.server_connect_timeout)) =>
            {
                self.server_login_gone(slot, Some("server_connect_timeout"), io);
            }
            ServerPhase::Cleaning(c) if now > c.deadline => {
                self.drop_server(slot, CloseReason::ServerUnresponsive, io);
            }
            // A stream is one statement that lasts as long as its client.
            ServerPhase::Lent if server.pool.replication.is_on() => {}
            ServerPhase::Lent
                if settings.fast_close
                    && server.pool.mode == PoolMode::Session
                    && server.at_rest() =>
            {
                let (link, key, conn) = (server.link, server.pool.key, server.conn);
                if io.pools.is_to_close(key, conn) {
                    let reason = CloseReason::SettingsChanged;
                    self.fail_client(link, &Trouble::ServerMoved, reason, io);
                }
            }
            ServerPhase::Lent => {
                let link = server.link;
                let busy = !server.expected.is_empty();
                let client = self.clients.get(link);
                let preparing = client.is_some_and(|c| matches!(c.phase, Phase::Preparing));
                let limits = settings.limits(client.map_or("", |c| &c.user));
                let trouble = if preparing {
                    if over(server.query_at, Some(settings.server_connect_timeout)) {
                        // The client gets another connection.
                        let reason = CloseReason::ServerUnresponsive;
                        return self.lost_while_preparing(slot, reason, io);
                    }
                    return;
                } else if busy && over(server.query_at, limits.query) {
                    (Trouble::QueryTimeout, CloseReason::QueryTimeout)
                } else if !busy
                    && server.status != Status::Idle
                    && over(server.used_at, limits.idle_transaction)
                {
                    (
                        Trouble::IdleTransaction,
                        CloseReason::IdleTransactionTimeout,
                    )
                } else if (busy || server.status != Status::Idle)
                    && over(server.xact_at, limits.transaction)
                {
                    (Trouble::TransactionTimeout, CloseReason::TransactionTimeout)
                } else {
                    return;
                };
                self.fail_client(link, &trouble.0, trouble.1, io);
            }
            _ => {}
        }
    }

    fn client_tick(&mut self, slot: u32, io: &mut Io<'_>) {
        let settings = &self.directory.settings;
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let limits = settings.limits(&client.user);
        let (idle, notify) = (limits.client_idle, settings.wait_notify);
        // With PgBouncer a query's time runs while it waits for a server, too.
        let query = match settings.error_style {
            ErrorStyle::Pgbouncer => limits.query,
            ErrorStyle::Plimsoll => None,
        };
        let since = io.now.since(client.request_at);
        match &mut client.phase {
            Phase::Ready if client.link == NONE && idle.is_some_and(|l| since > l) => {
                self.fail_client(
                    slot,
                    &Trouble::IdleTimeout,
                    CloseReason::ClientIdleTimeout,
                    io,
                );
            }
            Phase::Waiting { .. } if query.is_some_and(|l| since > l) => {
                let trouble = Trouble::QueryTimeoutWaiting;
                self.fail_client(slot, &trouble, CloseReason::QueryTimeout, io);
            }
            Phase::Waiting { notified } if !*notified && notify.is_some_and(|n| since > n) => {
                *notified = true;
                self.notify_waiter(slot, since, io);
            }
            _ => {}
        }
    }

    /// The pooler is shutting down: clients without a server connection are
    /// closed now, the others at the end of their transaction.
    pub fn drain(&mut self, now: Time, pools: &mut dyn Pools, out: &mut Outbox) {
        self.draining = true;
        self.send_home(&mut Io { now, pools, out });
    }

    /// The process ends once its clients have left: those who come now are refused, but for the console.
    pub fn close_to_new(&mut self) {
        self.closed_to_new = true;
    }

    /// The process ends once its server connections are back: as `drain`, but the console stays to the end.
    pub fn release_all(&mut self, now: Time, pools: &mut dyn Pools, out: &mut Outbox) {
        self.closed_to_new = true;
        self.releasing = true;
        self.drain(now, pools, out);
    }

    /// What is said to a client that goes because the process does.
    pub(crate) fn parting(&self) -> Trouble<'static> {
        match self.releasing {
            true => Trouble::ServerShutdown,
            false => Trouble::Shutdown,
        }
    }

    fn send_home(&mut self, io: &mut Io<'_>) {
        for slot in self.clients.slots() {
            let Some(client) = self.clients.get(slot) else {
                continue;
            };
            match &client.phase {
                Phase::Ready if !client.is_linked() && client.held.is_empty() => {
                    self.fail_client(slot, &self.parting(), CloseReason::Shutdown, io);
                }
                Phase::Ready if client.is_linked() => {
                    let link = client.link;
                    self.maybe_release(io.now, link, io.pools, io.out);
                }
                Phase::Console { .. } | Phase::Login(_) if !self.releasing => {
                    self.fail_client(slot, &Trouble::Shutdown, CloseReason::Shutdown, io);
                }
                _ => {}
            }
        }
    }

    /// Closes every client now.
    pub fn close_all(&mut self, now: Time, pools: &mut dyn Pools, out: &mut Outbox) {
        let mut io = Io { now, pools, out };
        // PgBouncer says nothing at its end, and drivers know a connection that just closes better than its 08P01.
        let silent = self.directory.settings.error_style == ErrorStyle::Pgbouncer;
        for slot in self.clients.slots() {
            match silent {
                true => self.client_left(slot, CloseReason::Shutdown, &mut io),
                false => self.fail_client(slot, &Trouble::Shutdown, CloseReason::Shutdown, &mut io),
            }
        }
        for slot in self.servers.slots() {
            self.drop_server(slot, CloseReason::Shutdown, &mut io);
        }
    }
}
