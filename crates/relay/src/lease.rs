//! A lease: a client gets a server connection, and the connection gets its parameters.

use crate::client::{NONE, Phase};
use crate::directory::PoolMode;
use crate::errors::{Report, Trouble};
use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::{Command, Outbox, Peer};
use crate::params;
use crate::pools::Pools;
use crate::requests::{Io, Step};
use crate::server::ServerPhase;
use crate::traffic::WAIT_US;
use events::{ClientId, CloseReason, GuardMode, PinFate, PinKind, RefuseReason, Time};
use pool::Checkout;
use std::sync::Arc;
use std::time::Duration;
use wire::back::Status;
use wire::front;

impl Hub {
    /// Makes sure that the client holds a server connection which is ready
    /// for it. `Wait`: it is queued, or the pooler's own statements run first,
    /// or replies to come must be known first.
    pub(crate) fn ensure_server(&mut self, slot: u32, io: &mut Io<'_>) -> Step {
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        if let Some(server) = self.servers.get(client.link) {
            // What it sends now could act with another login's parameters.
            let unsure = server.expected.resets() && !server.unsynced;
            let same = Arc::ptr_eq(&server.params, &client.params);
            if !unsure && (same || !server.between_statements()) {
                return Step::Done;
            }
            let ready = match unsure {
                true => !self.hold_client(slot, io.out),
                false => self.prepare(slot, io),
            };
            return if ready { Step::Done } else { Step::Wait };
        }
        self.checkout(slot, io)
    }

    fn checkout(&mut self, slot: u32, io: &mut Io<'_>) -> Step {
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        let Some(info) = &client.pool else {
            return Step::Closed;
        };
        let (key, flow) = (info.key, client.flow);
        let id = ClientId {
            worker: self.worker,
            generation: client.generation,
            slot,
        };
        client.request_at = io.now;
        let (mut application, renamed) = (client.application, client.renamed);
        if renamed {
            application = self.name_client(slot);
        }
        self.traffic.arrived(application);
        match io.pools.checkout(io.now, key, id, flow) {
            Checkout::Granted {
                conn,
                slot: server_slot,
                taped,
            } => match self.servers.get_mut(server_slot).filter(|s| s.conn == conn) {
                Some(server) => {
                    server.phase = ServerPhase::Lent;
                    if self.attach_client(slot, server_slot, taped, io) {
                        Step::Done
                    } else {
                        Step::Wait
                    }
                }
                None => Step::Wait,
            },
            Checkout::Queued => {
                self.begins_to_wait(slot);
                Step::Wait
            }
            Checkout::Refused(reason) => {
                let text = io.pools.failure(key);
                self.begins_to_wait(slot);
                self.refuse_now(slot, reason, Duration::ZERO, text.as_deref(), io)
            }
        }
    }

    fn begins_to_wait(&mut self, slot: u32) {
        if let Some(client) = self.clients.get_mut(slot) {
            client.phase = Phase::Waiting { notified: false };
        }
    }

    /// Links a client and a server connection that the pool lent to it.
    /// True when the client's statements may be sent at once.
    fn attach_client(&mut self, slot: u32, server_slot: u32, taped: bool, io: &mut Io<'_>) -> bool {
        let Some(client) = self.clients.get_mut(slot) else {
            return false;
        };
        let waited = io.now.since(client.request_at).as_micros() as u64;
        let application = client.application;
        client.link = server_slot;
        if waited > 0 {
            self.traffic.waited(application, waited);
            if waited > WAIT_US {
                self.note_wait(slot, Some(server_slot), io.now, waited);
            }
        }
        let Some(server) = self.servers.get_mut(server_slot) else {
            return false;
        };
        server.holds = application;
        server.link = slot;
        self.leases += 1;
        server.lease = self.leases;
        server.lent_at = io.now;
        server.half_sent = false;
        server.used = false;
        server.trail.begin(taped);
        let key = server.pool.key;
        let totals = &mut self.local(key).stats.totals;
        totals.server_assignments += 1;
        totals.wait_us += waited;
        self.prepare(slot, io)
    }

    /// Called by the shell, through `granted`, for a client that waited.
    pub(crate) fn link(
        &mut self,
        now: Time,
        slot: u32,
        server_slot: u32,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let mut io = Io { now, pools, out };
        if matches!(
            self.clients.get(slot).map(|c| &c.phase),
            Some(Phase::Login(_))
        ) {
            return self.login_granted(slot, server_slot, &mut io);
        }
        if let Some(client) = self.clients.get_mut(slot) {
            client.phase = Phase::Ready;
        }
        let server = self.servers.get(server_slot).map(|s| (s.pool.key, s.conn));
        // It has waited: there is time to ask.
        let taped = server.is_some_and(|(key, conn)| io.pools.is_taped(key, conn));
        if self.attach_client(slot, server_slot, taped, &mut io) {
            self.go_on(slot, &mut io);
        }
    }

    /// A client may continue: first with what it held back, then from its socket.
    pub(crate) fn go_on(&mut self, slot: u32, io: &mut Io<'_>) {
        self.pump_held(slot, io);
        if matches!(self.clients.get(slot).map(|c| &c.phase), Some(Phase::Ready)) {
            self.resume_client(slot, io.out);
        }
    }

    /// Brings the connection to the client's parameters, and checks one that
    /// was idle for long. True when nothing had to be sent.
    fn prepare(&mut self, slot: u32, io: &mut Io<'_>) -> bool {
        let (Some(client), delay) = (
            self.clients.get_mut(slot),
            self.directory.settings.check_delay,
        ) else {
            return false;
        };
        let link = client.link;
        let Some(server) = self.servers.get_mut(link) else {
            return false;
        };
        let suspect = server.status == Status::Idle
            && delay.is_some_and(|d| io.now.since(server.used_at) > d);
        let same = Arc::ptr_eq(&server.params, &client.params);
        if same && !suspect {
            return true;
        }
        let mut sql = Vec::new();
        let differs =
            !same && params::difference(&server.params, &client.params, &server.greeting, &mut sql);
        if !differs {
            server.params = Arc::clone(&client.params);
            if !suspect {
                return true;
            }
        }
        let check = &self.directory.settings.check_query;
        io.out.write(Peer::Server(link), |v| {
            if suspect {
                front::query(v, check.as_bytes());
            }
            if differs {
                front::query(v, &sql);
            }
        });
        if suspect {
            server
                .expected
                .push(Expect::OwnQuery(crate::expect::Purpose::Check));
        }
        if differs {
            server
                .expected
                .push(Expect::OwnQuery(crate::expect::Purpose::Parameters));
            server.coming = Some(Arc::clone(&client.params));
        }
        server.query_at = io.now;
        server.unnamed = None;
        client.phase = Phase::Preparing;
        false
    }

    /// The pooler's statements before a client's are done.
    pub(crate) fn prepared(
        &mut self,
        slot: u32,
        purpose: Purpose,
        failed: Option<Box<str>>,
        io: &mut Io<'_>,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let link = server.link;
        let Some(client) = self
            .clients
            .get_mut(link)
            .filter(|c| matches!(c.phase, Phase::Preparing))
        else {
            return;
        };
        match (purpose, failed) {
            (Purpose::Check, Some(_)) => {
                self.lost_while_preparing(slot, CloseReason::ServerUnresponsive, io);
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

    /// A connection is lost while the pooler's own statements run. A client
    /// that had nothing there gets another one.
    pub(crate) fn lost_while_preparing(
        &mut self,
        server_slot: u32,
        reason: CloseReason,
        io: &mut Io<'_>,
    ) {
        let Some(server) = self.servers.get(server_slot) else {
            return;
        };
        let (link, in_use) = (server.link, server.in_use());
        let cut = self.mid_message(link);
        self.drop_server(server_slot, reason, io);
        if cut {
            // The rest of a notification will not come.
            return self.client_left(link, CloseReason::ServerGone, io);
        }
        let Some(client) = self.clients.get_mut(link) else {
            return;
        };
        client.link = NONE;
        client.phase = Phase::Ready;
        if client.has_pins() || in_use {
            let reason = CloseReason::ServerGone;
            return self.fail_client(link, &Trouble::ServerGone, reason, io);
        }
        self.go_on(link, io);
    }

    /// Tells a waiting client no, and goes on with what it sent after.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn refuse(
        &mut self,
        now: Time,
        slot: u32,
        reason: RefuseReason,
        waited: Duration,
        text: Option<&str>,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let mut io = Io { now, pools, out };
        if self.refuse_now(slot, reason, waited, text, &mut io) == Step::Again {
            self.go_on(slot, &mut io);
        }
    }

    /// Frees a link on both sides.
    pub(crate) fn unlink(&mut self, server_slot: u32, out: &mut Outbox) -> Option<u32> {
        let server = self.servers.get_mut(server_slot)?;
        let slot = std::mem::replace(&mut server.link, NONE);
        let paused = std::mem::take(&mut server.paused);
        if paused {
            // Whoever comes next must find it read.
            out.command(Command::Resume(Peer::Server(server_slot)));
        }
        let client = self.clients.get_mut(slot)?;
        client.link = NONE;
        Some(slot)
    }

    /// A client is about to make state that pins: it gets a pin, or the state stays
    /// with the connection. False: the share is used up, and the statement is refused.
    pub(crate) fn take_pin(&mut self, slot: u32, kind: PinKind, io: &mut Io<'_>) -> bool {
        let pin = self.directory.settings.pin;
        let Some(client) = self.clients.get_mut(slot) else {
            return false;
        };
        let Some(info) = client.pool.clone() else {
            return false;
        };
        if info.mode == PoolMode::Session {
            return true;
        }
        let has_one = client.ext.as_ref().is_some_and(|e| e.pinned.is_some());
        let fate = match pin {
            false => PinFate::Unkept,
            true if has_one || info.take_pin() => PinFate::Kept,
            true => match io.pools.beyond_pins(info.key) {
                GuardMode::Enforce => PinFate::Refused,
                GuardMode::Observe | GuardMode::Off => PinFate::Unkept,
            },
        };
        self.traffic.asked_to_pin(client.application, kind, fate);
        match fate {
            PinFate::Kept if has_one => {}
            PinFate::Kept => {
                let ext = client.extra();
                ext.pinned = Some(info);
                ext.unkept = false;
            }
            PinFate::Unkept => {
                client.extra().unkept = true;
                // Another client must not act in its role.
                if pin
                    && kind == PinKind::Setting
                    && let Some(server) = self.servers.get_mut(client.link)
                {
                    server.dirty = true;
                }
            }
            PinFate::Refused => {
                self.stats.refusals[RefuseReason::PinShare as usize] += 1;
                self.local(info.key).stats.refused += 1;
            }
        }
        fate != PinFate::Refused
    }

    pub(crate) fn pin_report(&self, slot: u32, what: PinKind) -> Report {
        let client = self.clients.get(slot);
        let info = client.and_then(|c| c.pool.as_ref());
        self.report(&Trouble::PinShare {
            what: what.words(),
            database: client.map_or("", |c| &c.database),
            user: info.map_or("", |p| &p.user),
            max: info.map_or(0, |p| p.pins_max),
        })
    }
}
