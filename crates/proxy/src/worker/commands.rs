//! What the hub and the pool ask of the worker.

use super::clients::put;
use super::{Kind, Worker, token};
use crate::mail::{Arrival, Mail};
use crate::outgoing::Purpose;
use crate::port::ConsoleJob;
use crate::socket::Conn;
use events::snapshot::Address;
use events::{ClientId, CloseReason, ConnId, PoolId, UpstreamId};
use mio::Interest;
use pool::Action;
use relay::{ClientName, Command, Peer, PoolKey, Pools, Reclaim};

impl Worker {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::CloseClient {
                slot, name, reason, ..
            } => self.client_closed(slot, &name, reason),
            Command::CloseServer {
                slot,
                conn,
                pool,
                reason,
                ..
            } => self.close_server(slot, conn, pool, reason),
            Command::ServerFailed { slot, pool, .. } => self.abandon(slot, pool),
            Command::StartTls { slot } => self.start_tls(slot),
            Command::Resume(peer) => self.look_again(peer),
            Command::Derive {
                peer,
                generation,
                job,
            } => self.helpers.derive(self.id, peer, generation, job),
            Command::Cancel {
                slot,
                pid,
                key,
                forwarded,
            } => self.route_cancel(slot, pid, key, forwarded),
            Command::CancelServer {
                slot,
                conn,
                pool,
                packet,
            } => {
                self.begin_cancel(Purpose::Cancel {
                    server: slot,
                    conn,
                    pool,
                    packet,
                });
            }
            Command::Console { client, text } => self.console(client, text),
            Command::Ddl { pool } => {
                for (i, mailbox) in self.common.mailboxes.iter().enumerate() {
                    if i != usize::from(self.id.0) {
                        mailbox.post(Mail::Ddl(pool));
                    }
                }
            }
            // The log was told already.
            Command::Told { .. }
            | Command::LoginAttempt { .. }
            | Command::LookUpFailed { .. }
            | Command::Misconfigured { .. } => {}
            Command::LoggedIn { name } => self.log_login(&name),
        }
    }

    fn client_closed(&mut self, slot: u32, name: &ClientName, reason: CloseReason) {
        if *name.database == *crate::held::ADMIN_DATABASE {
            self.common.waits.left(self.id, slot);
        }
        self.close_client(slot, reason);
    }

    fn console(&self, client: ClientId, text: Box<[u8]>) {
        self.common.console(ConsoleJob {
            client,
            admin: self.hub.console_is_admin(client),
            user: self.hub.console_user(client),
            actor: self.hub.console_actor(client),
            text,
        });
    }

    fn close_server(&mut self, slot: u32, conn: ConnId, pool: PoolKey, reason: CloseReason) {
        tracing::debug!(server = %conn, reason = reason.label(), "server connection closed");
        self.drop_outgoing(slot);
        match self.servers.get_mut(slot as usize).and_then(Option::take) {
            Some(mut socket) => {
                let mut bye = Vec::new();
                wire::front::terminate(&mut bye);
                let _ = socket.write(&bye);
                self.linger(*socket, Some((pool, conn)));
            }
            None => self.port.closed(self.now, pool, conn),
        }
    }

    /// Drops the socket of a connection that never was.
    fn abandon(&mut self, slot: u32, pool: PoolKey) {
        self.drop_outgoing(slot);
        if let Some(mut conn) = self.servers.get_mut(slot as usize).and_then(Option::take) {
            if let Some((endpoint, _)) = conn.dialled.as_deref() {
                self.host_failed(pool, &endpoint.host);
            }
            let _ = self.poll.registry().deregister(&mut conn.stream);
        }
    }

    pub(super) fn action(&mut self, upstream: UpstreamId, action: Action) {
        match action {
            Action::Grant {
                client, conn, slot, ..
            } => {
                self.hub
                    .granted(self.now, client, slot, conn, &mut self.port, &mut self.out);
            }
            Action::Handover { conn, slot, to, .. } => self.hand_over(upstream, conn, slot, to),
            Action::Open {
                conn,
                pool,
                reserve,
                ..
            } => self.open(upstream, pool, conn, reserve),
            Action::Close {
                conn, slot, reason, ..
            } => self.hub.evict(slot, conn, reason, &mut self.out),
            Action::Leave { from, .. } => self.leave(upstream, &from),
            Action::Oust {
                conn,
                slot,
                since,
                writes,
                ..
            } => {
                let (port, out) = (&mut self.port, &mut self.out);
                self.hub
                    .oust(self.now, (slot, conn), since, writes, port, out);
            }
            Action::Reclaim {
                client,
                conn,
                slot,
                silent_since,
                enforce,
                suspicion,
                ..
            } => self.reclaim(&Reclaim {
                client,
                conn,
                slot,
                silent_since,
                enforce,
                suspicion,
            }),
            Action::Refuse {
                client,
                reason,
                waited,
                text,
                ..
            } => {
                self.hub.refused(
                    self.now,
                    client,
                    reason,
                    waited,
                    text.as_deref(),
                    &mut self.port,
                    &mut self.out,
                );
            }
        }
    }

    fn open(
        &mut self,
        upstream: UpstreamId,
        pool: PoolId,
        conn: ConnId,
        reserve: Option<ClientId>,
    ) {
        if let Some(client) = reserve {
            self.log_reserve(client);
        }
        let Some(info) = self.port.info(upstream, pool) else {
            return tracing::error!(?upstream, ?pool, "a pool without a description");
        };
        let slot = self.hub.open(self.now, conn, info);
        self.connect(Purpose::Server { slot, conn });
    }

    /// Takes a lease back, or says that it would be. Each is one line, with its undo.
    fn reclaim(&mut self, asked: &Reclaim) {
        let told = self
            .hub
            .reclaim(self.now, asked, &mut self.port, &mut self.out);
        let Some(lease) = told else { return };
        let what = match asked.enforce {
            true => {
                "a lease was taken back from a client that had fallen silent in its transaction"
            }
            false => "a lease would be taken back: its client has fallen silent in its transaction",
        };
        let undo = match asked.enforce {
            true => "guards off, reclaim = \"observe\", or add it to leaks.exempt",
            false => "nothing was done",
        };
        tracing::warn!(
            guard = events::Guard::Reclaim.label(),
            reason = asked.suspicion.reason.label(),
            sure_percent = asked.suspicion.sure,
            client = lease.client,
            addr = %address_of(&lease.addr),
            database = %lease.database,
            user = %lease.user,
            application = %lease.application,
            release = %lease.release,
            statement = %lease.statement,
            held_s = self.now.since(lease.since).as_secs(),
            silent_s = self.now.since(asked.silent_since).as_secs(),
            of_its_kind = asked.suspicion.leases,
            usual_at_most_s = asked.suspicion.bound.as_secs(),
            learned = asked.suspicion.learned,
            with_release = asked.suspicion.with_release,
            undo,
            "{what}"
        );
    }

    /// Sends an idle connection to a client's worker.
    fn hand_over(&mut self, upstream: UpstreamId, conn: ConnId, slot: u32, to: ClientId) {
        let quiet = self
            .servers
            .get(slot as usize)
            .and_then(Option::as_ref)
            .is_some_and(|s| {
                s.unsent.is_empty()
                    && !s.readable
                    && !s.tls.as_ref().is_some_and(|t| t.wants_write())
            });
        let key = self.hub.server_pool(slot, conn);
        let transfer = if quiet {
            self.hub.detach(slot, conn)
        } else {
            None
        };
        match (transfer, self.servers.get_mut(slot as usize)) {
            (Some(transfer), Some(place)) if place.is_some() => {
                if let Some(mut socket) = place.take() {
                    let _ = self.poll.registry().deregister(&mut socket.stream);
                    self.handovers += 1;
                    self.common.post(
                        to.worker,
                        Mail::Arrival(Box::new(Arrival {
                            transfer,
                            conn: *socket,
                            to,
                        })),
                    );
                }
            }
            _ => {
                // Something came in on it, or it is gone: it is no loan for a stranger.
                tracing::debug!(server = %conn, ?upstream, "a connection could not be handed over");
                if let Some(key) = key {
                    self.hub
                        .evict(slot, conn, CloseReason::ServerGone, &mut self.out);
                    self.port.closing(self.now, key, conn);
                }
            }
        }
    }

    /// A server connection from another worker.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        let Arrival {
            transfer,
            mut conn,
            to,
        } = arrival;
        let slot = self.hub.attach(transfer);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = self.poll.registry().register(
            &mut conn.stream,
            token(Kind::Server, slot as usize),
            interest,
        );
        conn.queued = false;
        put(&mut self.servers, slot, Box::new(conn));
        if watched.is_err() {
            return self.gone(Peer::Server(slot), None);
        }
        self.hub
            .arrived(self.now, slot, to, &mut self.port, &mut self.out);
        self.settle(&[]);
    }

    /// A connected and, where wanted, encrypted socket becomes a server connection's.
    pub(super) fn server_up(&mut self, slot: u32, conn: Conn) {
        put(&mut self.servers, slot, Box::new(conn));
    }
}

pub(super) fn address_of(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix => "unix".into(),
    }
}
