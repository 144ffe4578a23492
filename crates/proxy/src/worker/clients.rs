//! Accepting clients, and TLS with them.

use super::{Kind, LINGER, LINGER_MAX, Lingering, Worker, token};
use crate::mail::Mail;
use crate::observer::{UNWATCHED, Watch};
use crate::socket::{Conn, Stream};
use crate::tap;
use crate::tls::{self, TlsStream};
use events::snapshot::Address;
use events::{CloseReason, ConnId, WorkerId};
use mio::Interest;
use relay::{Peer, PoolKey};
use rustls::server::UnbufferedServerConnection;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Clients accepted in a row, so that a flood of logins does not starve the served.
const ACCEPTS_MAX: usize = 64;
/// Connections beyond max_client_conn that are heard out: cancel requests and
/// administrators come in, and others are refused where every client reads it.
pub(crate) const OVER_LIMIT_MAX: u32 = 32;
/// Pause after the process ran out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Between two lines of the log about that.
const ACCEPT_LINE_PAUSE: Duration = Duration::from_secs(10);

impl Worker {
    pub(super) fn accept(&mut self, listener: usize) {
        // Each client that comes during the pause is an event, too.
        if self.draining || self.suspended || self.accept_pause.is_some() {
            return;
        }
        for _ in 0..ACCEPTS_MAX {
            let Some(Some(found)) = self.listeners.get(listener) else {
                return;
            };
            match found.accept() {
                Ok((stream, addr, local_addr)) => self.assign(stream, addr, local_addr),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    if self.now >= self.next_accept_line {
                        tracing::error!(%error, "cannot accept clients; trying again until it works");
                        self.next_accept_line = self.now.after(ACCEPT_LINE_PAUSE);
                    }
                    self.accept_pause = Some(self.now.after(ACCEPT_PAUSE));
                    return;
                }
            }
        }
        self.accept_again = true;
    }

    /// Gives a client to the worker with the fewest.
    fn assign(&mut self, stream: Stream, addr: Address, local_addr: Address) {
        let boxes = &self.common.mailboxes;
        let all: u32 = boxes
            .iter()
            .map(|m| m.clients.load(Ordering::Relaxed))
            .sum();
        let limit = self.common.read().plan.max_client_conn;
        if all >= limit.saturating_add(OVER_LIMIT_MAX) {
            return self.turn_away(stream, &addr);
        }
        let over = all >= limit;
        let mine = self.mailbox.clients.load(Ordering::Relaxed);
        let fewest = boxes
            .iter()
            .enumerate()
            .min_by_key(|(i, m)| {
                (
                    m.clients.load(Ordering::Relaxed),
                    *i != usize::from(self.id.0),
                )
            })
            .filter(|(_, m)| m.clients.load(Ordering::Relaxed) < mine)
            .map_or(usize::from(self.id.0), |(i, _)| i);
        if let Some(mailbox) = boxes.get(fewest) {
            mailbox.clients.fetch_add(1, Ordering::Relaxed);
        }
        if fewest == usize::from(self.id.0) {
            self.adopt(stream, addr, local_addr, over);
        } else {
            self.common.post(
                WorkerId(fewest as u16),
                Mail::Client {
                    stream,
                    addr,
                    local_addr,
                    over,
                },
            );
        }
    }

    /// Too many clients: says so and closes.
    fn turn_away(&mut self, stream: Stream, addr: &Address) {
        self.hub.turned_away(addr);
        let report = self.hub.too_many_clients();
        let mut conn = Conn::new(stream);
        let _ = conn.write(&report);
        self.linger(conn, None);
    }

    /// A client of this worker's.
    pub(super) fn adopt(&mut self, stream: Stream, addr: Address, local_addr: Address, over: bool) {
        let watch = self.common.watch.as_ref();
        let watched_as = watch.map(|w| w.came(&addr, &local_addr));
        let slot = self
            .hub
            .accept(self.now, relay::PeerInfo { addr, local_addr });
        if over {
            self.hub.over_limit(slot);
        }
        if stream.peer_is_owner() {
            self.hub.same_owner(slot);
        }
        if let Some(uid) = stream.peer_uid() {
            self.hub.peer_user(slot, uid);
        }
        let mut conn = Box::new(Conn::new(stream));
        conn.watched_as = watched_as.unwrap_or(UNWATCHED);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let result = self.poll.registry().register(
            &mut conn.stream,
            token(Kind::Client, slot as usize),
            interest,
        );
        put(&mut self.clients, slot, conn);
        if let Err(error) = result {
            tracing::error!(%error, "cannot watch a client's socket");
            self.gone(Peer::Client(slot), None);
        }
    }

    /// Tells whoever watches what a client sent.
    #[inline]
    pub(super) fn observe_input(&self, slot: u32, input: &[u8]) {
        let conn = self.clients.get(slot as usize).and_then(Option::as_deref);
        if let Some(conn) = conn
            && let Some(watch) = self.watch_of(conn)
        {
            watch.observer().said(conn.watched_as, input);
        }
    }

    /// Passes on to a capture what a client sent.
    #[cold]
    pub(super) fn tap_input(&mut self, slot: u32, input: &[u8]) {
        let conn = self
            .clients
            .get_mut(slot as usize)
            .and_then(Option::as_deref_mut);
        if let Some(conn) = conn {
            let (tap, client) = (&self.common.tap, (&self.hub, slot));
            tap::said(
                tap,
                &mut self.seen,
                &mut conn.tapped,
                client,
                self.now,
                input,
            );
        }
    }

    fn watch_of(&self, conn: &Conn) -> Option<&Watch> {
        let watch = self.common.watch.as_ref();
        watch.filter(|_| conn.watched_as != UNWATCHED)
    }

    /// The hub closed a client: what is unsent still goes out.
    pub(super) fn close_client(&mut self, slot: u32, reason: CloseReason) {
        let Some(conn) = self.clients.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if let Some(watch) = self.watch_of(&conn) {
            watch.observer().left(conn.watched_as, reason);
        }
        if self.common.tap.is_on() {
            tap::left(&self.common.tap, &mut self.seen, conn.tapped, self.now);
        }
        let before = self.mailbox.clients.fetch_sub(1, Ordering::Relaxed);
        if before == 1 && self.clients.iter().all(Option::is_none) {
            // The table of a burst is given back. The hub's own count says less: it has let go
            // of all clients already when the first of many is closed here.
            self.clients = Vec::new();
        }
        if matches!(
            reason,
            CloseReason::ClientTerminate | CloseReason::ClientGone
        ) && conn.tls.is_none()
        {
            // It wants nothing more; closing the socket ends its watch too.
            return drop(conn);
        }
        self.linger(*conn, None);
    }

    /// Lets a connection go once its bytes are out. Closing a socket with
    /// unread input would reset it and destroy an error that is on its way.
    pub(super) fn linger(&mut self, mut conn: Conn, charge: Option<(PoolKey, ConnId)>) {
        let left = conn.flush();
        if let Some(tls) = &mut conn.tls {
            let _ = tls.close(&mut conn.stream);
        }
        // A server's file is counted with its charge, a client's is not.
        let no_file = charge.is_none() && !self.common.file_to_linger();
        if left.is_none() || self.lingering.len() >= LINGER_MAX || no_file {
            return self.let_go(conn, charge);
        }
        let shut = left == Some(0);
        if shut {
            conn.stream.shutdown_write();
        }
        let entry = self.lingering.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        // A client that was turned away was never registered.
        let watched = registry
            .reregister(&mut conn.stream, token(Kind::Lingering, slot), interest)
            .or_else(|_| {
                registry.register(&mut conn.stream, token(Kind::Lingering, slot), interest)
            });
        if watched.is_err() {
            return self.let_go(conn, charge);
        }
        self.mailbox.lingering.fetch_add(1, Ordering::Relaxed);
        entry.insert(Lingering {
            conn,
            until: self.now.after(LINGER),
            charge,
            shut,
        });
        self.linger_ready(slot);
    }

    fn let_go(&mut self, mut conn: Conn, charge: Option<(PoolKey, ConnId)>) {
        let _ = self.poll.registry().deregister(&mut conn.stream);
        drop(conn);
        if let Some((key, id)) = charge {
            self.port.closed(self.now, key, id);
            self.settle(&[]);
        }
    }

    pub(super) fn linger_ready(&mut self, slot: usize) {
        let mut scrap = [0; 4096];
        let Some(entry) = self.lingering.get_mut(slot) else {
            return;
        };
        let mut over = match entry.conn.flush() {
            None => true,
            Some(0) => {
                if !std::mem::replace(&mut entry.shut, true) {
                    entry.conn.stream.shutdown_write();
                }
                false
            }
            Some(_) => false,
        };
        /// Reads per wake-up: a flood from a closed client is not worth more.
        const READS: usize = 16;
        for _ in 0..READS {
            match io::Read::read(&mut entry.conn.stream, &mut scrap) {
                Ok(0) => over = true,
                Ok(_) => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => over = true,
            }
            break;
        }
        if over {
            let entry = self.lingering.remove(slot);
            self.mailbox.lingering.fetch_sub(1, Ordering::Relaxed);
            self.let_go(entry.conn, entry.charge);
        }
    }

    pub(super) fn tick_lingering(&mut self) {
        let late: Vec<usize> = self
            .lingering
            .iter()
            .filter(|(_, l)| self.now > l.until)
            .map(|(i, _)| i)
            .collect();
        for slot in late {
            let entry = self.lingering.remove(slot);
            self.mailbox.lingering.fetch_sub(1, Ordering::Relaxed);
            self.let_go(entry.conn, entry.charge);
        }
    }

    /// A session with the certificate of now, and the channel binding of that.
    fn own_tls(&self) -> (Option<UnbufferedServerConnection>, Option<Arc<[u8]>>) {
        let Some(own) = self.client_tls.clone() else {
            return (None, None);
        };
        (
            UnbufferedServerConnection::new(own.config).ok(),
            own.binding,
        )
    }

    /// The hub agreed to TLS.
    pub(super) fn start_tls(&mut self, slot: u32) {
        let peer = Peer::Client(slot);
        let (session, binding) = self.own_tls();
        let (Some(conn), Some(session)) = (self.conn(peer), session) else {
            return self.gone(peer, None);
        };
        conn.tls = Some(Box::new(TlsStream::new(session)));
        conn.binding = binding;
        conn.handshaking = true;
        conn.readable = true;
        self.look_again(peer);
    }

    /// The first byte is a TLS handshake's: TLS without SSLRequest.
    pub(super) fn direct_tls(&mut self, peer: Peer, input: &[u8]) -> bool {
        let (session, binding) = self.own_tls();
        let (Some(conn), Some(session)) = (self.conn(peer), session) else {
            self.gone(peer, None);
            return false;
        };
        let mut stream = Box::new(TlsStream::new(session));
        if stream.feed(input).is_err() {
            self.gone(peer, None);
            return false;
        }
        conn.tls = Some(stream);
        conn.binding = binding;
        conn.handshaking = true;
        conn.direct = true;
        conn.readable = true;
        self.client_handshake(peer);
        false
    }

    pub(super) fn client_handshake(&mut self, peer: Peer) {
        let Peer::Client(slot) = peer else { return };
        let Some(conn) = self.conn(peer) else { return };
        let Some(tls_stream) = conn.tls.as_mut() else {
            return;
        };
        match tls_stream.handshake(&mut conn.stream) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                conn.readable = false;
                return;
            }
            Err(error) => {
                let client = self.hub.client_name(slot).map(|n| n.id);
                tracing::debug!(client, %error, "TLS with a client failed");
                return self.gone(peer, Some(error));
            }
        }
        if std::mem::take(&mut conn.direct) && !tls::speaks_postgresql(tls_stream.connection()) {
            tracing::debug!("a client began TLS at once without asking for PostgreSQL (ALPN)");
            return self.gone(peer, None);
        }
        conn.handshaking = false;
        conn.fresh = false;
        conn.readable = true;
        let session = tls_stream.connection();
        let (description, names) = (tls::describe(session), tls::peer_names(session));
        let binding = conn.binding.take();
        self.hub.tls_established(slot, &description, names);
        self.hub.bind_channel(slot, binding);
        self.look_again(peer);
    }
}

pub(super) fn put(table: &mut Vec<Option<Box<Conn>>>, slot: u32, conn: Box<Conn>) {
    let index = slot as usize;
    if table.len() <= index {
        table.resize_with(index + 1, || None);
    }
    table[index] = Some(conn);
}
