//! What the hubs and the pool ask of the shell, and what sockets do.

use super::ports::WAIT;
use super::{Cancel, Client, Moving, Place, Server, World, marks};
use events::snapshot::Address;
use events::{ClientId, CloseReason};
use pool::Action;
use relay::{CancelOutcome, Command, Hub, Peer};
use std::sync::Arc;
use std::time::Duration;
use wire::scram::Keys;

impl World {
    pub(super) fn command(&mut self, w: u16, command: Command) {
        match command {
            Command::CloseClient { slot, .. } => {
                let gone = self.clients.remove(&(w, slot));
                assert!(gone.is_some(), "a client was closed twice");
            }
            Command::CloseServer { slot, conn, .. } => {
                let gone = self.servers.remove(&(w, slot));
                assert!(
                    gone.is_some_and(|s| s.conn == conn),
                    "another server connection was closed"
                );
                self.ending.push(conn);
            }
            Command::ServerFailed { slot, conn, .. } => {
                let gone = self.servers.remove(&(w, slot));
                assert!(gone.is_some_and(|s| s.conn == conn));
            }
            Command::StartTls { slot } => {
                self.hubs[usize::from(w)].tls_established(slot, "TLSv1.3", None);
            }
            Command::Resume(Peer::Client(slot)) => {
                if let Some(client) = self.clients.get_mut(&(w, slot)) {
                    client.paused = false;
                }
            }
            Command::Resume(Peer::Server(_))
            | Command::LoggedIn { .. }
            | Command::LoginAttempt { .. }
            | Command::LookUpFailed { .. }
            | Command::Misconfigured { .. }
            | Command::Told { .. } => {}
            Command::Derive {
                peer,
                generation,
                job,
            } => self.jobs.push((w, peer, generation, job)),
            Command::Cancel { slot, pid, key, .. } => self.cancel(w, slot, pid, &key),
            Command::CancelServer { slot, conn, .. } => {
                let holder = self.ports.up.conn(conn).and_then(|row| row.lease);
                let of = holder
                    .and_then(|l| self.numbers.get(&l.client))
                    .map(|n| format!("c{n:04}"));
                let place = (w, slot);
                self.cancels.push(Cancel { place, conn, of });
            }
            Command::Console { client, .. } => self.consoles.push(client),
            Command::Ddl { pool } => {
                for hub in &mut self.hubs {
                    hub.ddl_seen(pool);
                }
            }
        }
    }

    fn cancel(&mut self, w: u16, slot: u32, pid: i32, key: &[u8]) {
        let Some(requester) = self.hubs[usize::from(w)].client_id(slot) else {
            return;
        };
        let target = usize::from(Hub::worker_of(pid).0);
        let outcome = match self.hubs.get_mut(target) {
            // Another worker would get it by mail; that changes only when it happens.
            Some(hub) if target == usize::from(w) => {
                hub.cancel(self.now, pid, key, &mut self.ports, &mut self.out)
            }
            _ => CancelOutcome::Ignored,
        };
        match outcome {
            CancelOutcome::Sent(conn) => self.requesters.push((conn, requester)),
            _ => self.requester_done(w, requester),
        }
    }

    fn requester_done(&mut self, w: u16, requester: ClientId) {
        let hub = &mut self.hubs[usize::from(w)];
        if hub.client_id(requester.slot) == Some(requester) {
            hub.cancel_requester_done(self.now, requester.slot, &mut self.ports, &mut self.out);
        }
    }

    pub(super) fn action(&mut self, w: u16, action: Action) {
        let hub = &mut self.hubs[usize::from(w)];
        self.ports.worker.0 = w;
        match action {
            Action::Grant {
                client, conn, slot, ..
            } => hub.granted(self.now, client, slot, conn, &mut self.ports, &mut self.out),
            Action::Handover { conn, slot, to, .. } => self.hand_over(w, conn, slot, to),
            Action::Open { conn, pool, .. } => {
                let at = self.ports.pools.iter().position(|p| *p == pool);
                if let Some(info) = at.map(|i| Arc::clone(&self.ports.infos[i])) {
                    let slot = hub.open(self.now, conn, info);
                    let mut server = Server::new(conn, self.ask_password);
                    server.wild = !self.strict;
                    let before = self.servers.insert((w, slot), server);
                    assert!(before.is_none(), "a slot in use was given out");
                }
            }
            Action::Close {
                conn, slot, reason, ..
            } => hub.evict(slot, conn, reason, &mut self.out),
            // No server moves in this world.
            Action::Leave { .. } | Action::Oust { .. } => {}
            Action::Reclaim {
                client,
                conn,
                slot,
                silent_since,
                enforce,
                suspicion,
                ..
            } => drop(hub.reclaim(
                self.now,
                &relay::Reclaim {
                    client,
                    conn,
                    slot,
                    silent_since,
                    enforce,
                    suspicion,
                },
                &mut self.ports,
                &mut self.out,
            )),
            Action::Refuse {
                client,
                reason,
                waited,
                text,
                ..
            } => hub.refused(
                self.now,
                client,
                reason,
                waited,
                text.as_deref(),
                &mut self.ports,
                &mut self.out,
            ),
        }
    }

    fn hand_over(&mut self, w: u16, conn: events::ConnId, slot: u32, to: ClientId) {
        let hub = &mut self.hubs[usize::from(w)];
        let place = (w, slot);
        let key = hub.server_pool(slot, conn);
        let quiet = self
            .servers
            .get(&place)
            .is_some_and(|s| s.conn == conn && s.outbox.is_empty() && !s.backlog);
        let transfer = if quiet { hub.detach(slot, conn) } else { None };
        match (transfer, key) {
            (Some(transfer), _) => {
                if let Some(server) = self.servers.remove(&place) {
                    self.moving.push(Moving {
                        transfer,
                        server,
                        to,
                    });
                }
            }
            (None, Some(_)) => {
                hub.evict(slot, conn, CloseReason::ServerGone, &mut self.out);
                self.ports.up.closing(self.now, conn);
                self.ports.up.closed(self.now, conn);
                self.ports.take_actions();
            }
            (None, None) => {}
        }
    }

    /// A connection on its way between workers arrives, or is found dead.
    pub(crate) fn arrive(&mut self, nth: usize) -> bool {
        if self.moving.is_empty() {
            return false;
        }
        let Moving {
            transfer,
            server,
            to,
        } = self.moving.remove(nth % self.moving.len());
        let w = to.worker.0;
        let slot = self.hubs[usize::from(w)].attach(transfer);
        let before = self.servers.insert((w, slot), server);
        assert!(before.is_none(), "a slot in use was given out");
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            hub.arrived(now, slot, to, ports, out);
        });
        true
    }

    /// The socket of a server connection is connected, or cannot be.
    pub(crate) fn connected(&mut self, place: Place, fine: bool) {
        let Some(server) = self.servers.get_mut(&place).filter(|s| !s.connected) else {
            return;
        };
        server.connected = true;
        let (w, slot) = place;
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            if fine {
                let addr = (Address::Unix, Address::Unix);
                hub.server_connected(slot, addr, "", None, out);
            } else {
                hub.server_gone(now, slot, Some("connection refused"), ports, out);
            }
        });
    }

    /// The hub reads up to `most` bytes of a client, if it wants to.
    pub(crate) fn read_client(&mut self, place: Place, most: usize) {
        let (w, slot) = place;
        let Some(client) = self.clients.get_mut(&place) else {
            return;
        };
        if client.unread.is_empty() {
            return;
        }
        if !self.hubs[usize::from(w)].may_read(Peer::Client(slot)) {
            client.paused = true;
            return;
        }
        let most = most.clamp(1, super::CHUNK_MAX).min(client.unread.len());
        let input: Vec<u8> = client.unread.drain(..most).collect();
        let origin = Some(Peer::Client(slot));
        self.dispatch(w, origin, &input, |hub, now, ports, out| {
            hub.client_input(now, slot, &input, ports, out);
        });
    }

    /// The hub reads up to `most` bytes of a server, if it wants to.
    pub(crate) fn read_server(&mut self, place: Place, most: usize) {
        let (w, slot) = place;
        let Some(server) = self.servers.get_mut(&place) else {
            return;
        };
        let most = most.clamp(1, super::CHUNK_MAX).min(server.outbox.len());
        if most == 0 || !self.hubs[usize::from(w)].may_read(Peer::Server(slot)) {
            return;
        }
        let input: Vec<u8> = server.outbox.drain(..most).collect();
        let origin = Some(Peer::Server(slot));
        self.dispatch(w, origin, &input, |hub, now, ports, out| {
            hub.server_input(now, slot, &input, ports, out);
        });
    }

    pub(crate) fn client_gone(&mut self, (w, slot): Place) {
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            hub.client_gone(now, slot, ports, out);
        });
    }

    pub(crate) fn server_gone(&mut self, (w, slot): Place, error: bool) {
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            let text = error.then_some("connection reset by peer");
            hub.server_gone(now, slot, text, ports, out);
        });
    }

    /// The end of file of a closed connection is seen.
    pub(crate) fn end(&mut self, nth: usize) -> bool {
        if self.ending.is_empty() {
            return false;
        }
        let conn = self.ending.remove(nth % self.ending.len());
        self.ports.up.closed(self.now, conn);
        self.after_pool();
        true
    }

    /// Takes what the pool wants done after it was called directly.
    pub(crate) fn after_pool(&mut self) {
        self.ports.take_actions();
        while let Some(action) = self.ports.actions.pop_front() {
            self.ports.mail.push_back(action);
        }
    }

    /// Keys are derived for the oldest wish.
    pub(crate) fn derive(&mut self) -> bool {
        if self.jobs.is_empty() {
            return false;
        }
        let (w, peer, generation, job) = self.jobs.remove(0);
        // Fewer rounds than asked for; the clients here do the same.
        let keys = Keys::derive(job.password.as_bytes(), &job.salt, job.iterations.min(2));
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            hub.derived(now, peer, generation, keys, ports, out);
        });
        true
    }

    /// A cancel request reaches the server, and its connection ends.
    pub(crate) fn end_cancel(&mut self, nth: usize) -> bool {
        if self.cancels.is_empty() {
            return false;
        }
        let Cancel { place, conn, of } = self.cancels.remove(nth % self.cancels.len());
        if let Some(server) = self.servers.get_mut(&place).filter(|s| s.conn == conn) {
            let running = marks(&server.inbox);
            assert!(
                !self.strict || running.is_empty() || of.is_none_or(|of| of.as_bytes() == running),
                "the statement of another client is cancelled"
            );
            server.fail_next |= !running.is_empty();
        }
        let (w, slot) = place;
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            hub.cancel_ended(now, slot, conn, ports, out);
        });
        let done: Vec<_> = self
            .requesters
            .extract_if(.., |(c, _)| *c == conn)
            .collect();
        for (_, requester) in done {
            let w = requester.worker.0;
            self.requester_done(w, requester);
            self.dispatch(w, None, &[], |_, _, _, _| {});
        }
        true
    }

    /// The console answers its oldest statement.
    pub(crate) fn console(&mut self) -> bool {
        if self.consoles.is_empty() {
            return false;
        }
        let client = self.consoles.remove(0);
        let mut reply = Vec::new();
        wire::back::command_complete(&mut reply, "SHOW");
        self.dispatch(client.worker.0, None, &[], |hub, now, ports, out| {
            hub.console_reply(now, client, &reply, ports, out);
        });
        true
    }

    /// Time passes in one step, with the ticks of all.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.ports.up.tick(self.now);
        self.after_pool();
        for w in 0..self.workers() {
            self.dispatch(w, None, &[], |hub, now, ports, out| {
                hub.tick(now, ports, out)
            });
        }
    }

    pub(crate) fn backlog(&mut self, w: u16, peer: Peer, unsent: usize) {
        self.dispatch(w, None, &[], |hub, now, ports, out| {
            hub.backlog(now, peer, unsent, ports, out);
        });
    }

    /// Everybody does what they owe, and time passes: nothing may be left hanging.
    pub(crate) fn come_to_rest(&mut self) {
        for pool in self.ports.pools.clone() {
            self.ports.up.resume(self.now, pool);
        }
        self.after_pool();
        self.clear_backlogs();
        for _ in 0..60 {
            self.one_round();
            self.pass(Duration::from_secs(1));
            self.check();
        }
        self.at_rest();
    }

    fn clear_backlogs(&mut self) {
        let clients: Vec<Place> = self.clients.keys().copied().collect();
        for (w, slot) in clients {
            if let Some(client) = self.clients.get_mut(&(w, slot))
                && std::mem::take(&mut client.backlog)
            {
                self.backlog(w, Peer::Client(slot), 0);
            }
        }
        let servers: Vec<Place> = self.servers.keys().copied().collect();
        for (w, slot) in servers {
            if let Some(server) = self.servers.get_mut(&(w, slot))
                && std::mem::take(&mut server.backlog)
            {
                self.backlog(w, Peer::Server(slot), 0);
            }
        }
    }

    fn one_round(&mut self) {
        for _ in 0..64 {
            let mut moved = self.read_mail() | self.arrive(0) | self.end(0);
            moved |= self.end_cancel(0) | self.derive() | self.console();
            let servers: Vec<Place> = self.servers.keys().copied().collect();
            for place in servers {
                self.connected(place, true);
                if let Some(server) = self.servers.get_mut(&place) {
                    server.respond(100);
                    moved |= !server.outbox.is_empty();
                }
                self.read_server(place, usize::MAX);
            }
            let clients: Vec<Place> = self.clients.keys().copied().collect();
            for place in clients {
                // Only a client that the hub asked for is read: a lost Resume must show.
                let ready = |c: &Client| !c.paused && !c.unread.is_empty();
                if self.clients.get(&place).is_some_and(ready) {
                    self.read_client(place, usize::MAX);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn at_rest(&mut self) {
        if !self.strict {
            return;
        }
        for hub in &self.hubs {
            let (mut clients, mut servers) = (Vec::new(), Vec::new());
            hub.client_rows(self.now, &mut clients);
            hub.server_rows(&mut servers);
            for client in &clients {
                // Others may hold all connections, but a request is refused in time.
                let waited = Duration::from_micros(client.wait_us);
                assert!(waited < WAIT * 2, "a client has waited for {waited:?}");
            }
            for server in &servers {
                let rests = server.state == "idle" || server.link != 0;
                assert!(rests, "a server connection stays {:?}", server.state);
            }
        }
        let left: Vec<Place> = self
            .clients
            .iter()
            .filter(|(_, c)| c.paused && !c.unread.is_empty())
            .map(|(place, _)| *place)
            .collect();
        for (w, slot) in left {
            assert!(
                !self.hubs[usize::from(w)].may_read(Peer::Client(slot)),
                "client {slot} may be read, and nobody was told"
            );
        }
    }
}
