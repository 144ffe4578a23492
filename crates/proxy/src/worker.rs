//! One event loop.

mod cancelling;
mod clients;
mod commands;
mod connecting;
mod containing;
mod leaving;
mod letters;
mod refused;
mod suspending;
mod telling;
mod ticking;
mod tokens;
mod writing;

use crate::helpers::Helpers;
use crate::listen::Listener;
use crate::mail::{Mail, Mailbox};
use crate::outgoing::{Outgoing, Purpose};
use crate::port::{Common, Port};
use crate::socket::{Conn, Got};
use crate::tap::Seen;
use crate::tcp::TcpWatch;
use containing::Whose;
use events::{ClientId, ConnId, RefuseReason, Time, WorkerId};
use mio::{Events, Poll};
use relay::{Command, Hub, Outbox, Peer, PoolKey};
use slab::Slab;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
pub(crate) use tokens::waker_token;
use tokens::{Kind, parts, token};

/// Bytes read at a time; one buffer serves the whole worker.
const READ_BYTES: usize = 64 * 1024;
/// Reads from one connection in a row, so that a fast sender does not starve others.
const READS_MAX: usize = 8;
/// Events taken from the system at a time.
const EVENTS_MAX: usize = 1024;
/// The loop's longest sleep while something may time out.
const TICK: Duration = Duration::from_millis(100);
/// A closed connection is given this long to take its last bytes.
const LINGER: Duration = Duration::from_secs(5);
/// Closed connections that linger at a time.
const LINGER_MAX: usize = 4096;

/// A connection that the hub has forgotten, until its last bytes are out.
struct Lingering {
    conn: Conn,
    until: Time,
    /// The charge that ends with it.
    charge: Option<(PoolKey, ConnId)>,
    /// Our half is closed already.
    shut: bool,
}

/// One worker: its hub, its sockets, its buffers.
pub(crate) struct Worker {
    id: WorkerId,
    common: Arc<Common>,
    mailbox: Arc<Mailbox>,
    helpers: Helpers,
    poll: Poll,
    hub: Hub,
    port: Port,
    out: Outbox,
    /// By their tokens; `None`: closed.
    listeners: Vec<Option<Listener>>,
    clients: Vec<Option<Box<Conn>>>,
    servers: Vec<Option<Box<Conn>>>,
    outgoing: Slab<Outgoing>,
    /// Cancel requests that wait for others to end, and until when.
    cancels: VecDeque<(Time, Purpose)>,
    /// Cancel requests for other instances' clients: who asked, and how many instances were not
    /// told yet; and how many were passed on and dropped so far.
    forwards: Vec<(ClientId, usize)>,
    forwards_counted: [u64; 2],
    lingering: Slab<Lingering>,
    /// Errors of ours in the log: the end of the second, lines in it, and how many were left out.
    told: (Time, u32, u64),
    /// Connections to look at again in this turn.
    again: VecDeque<Peer>,
    client_tls: Option<crate::secrets::ClientTls>,
    buffer: Vec<u8>,
    letters: Vec<Mail>,
    /// What the hub asked for and is not done yet; survives a panic.
    commands: VecDeque<Command>,
    /// Peers that did not take all of a dispatch's bytes, and how many are kept;
    /// `None` for a broken one. Empty between dispatches.
    unwritten: Vec<(Peer, Option<usize>)>,
    /// Who asked for the cancel that is under way to a connection's server.
    requesters: BTreeMap<(u32, u32), Vec<ClientId>>,
    handovers: u64,
    panics: u64,
    /// Ticks in a row that ended in a panic.
    tick_panics: u32,
    now: Time,
    next_tick: Time,
    draining: bool,
    /// SUSPEND holds: nobody but consoles is read, and the clock stands still.
    suspended: bool,
    stopped: bool,
    accept_again: bool,
    /// Most clients since memory was last given back.
    peak: u32,
    /// Refusals by reason that the log has told, and when it may tell the next.
    refusals_told: [u64; RefuseReason::COUNT],
    next_refusals: Time,
    /// What the pools were told of their servers, a buffer to fill, and when
    /// they are told again.
    services: Vec<pool::Service>,
    spare_services: Vec<pool::Service>,
    next_services: Time,
    /// When the listener failed for lack of files: try again then.
    accept_pause: Option<Time>,
    /// The log may say so again then.
    next_accept_line: Time,
    /// Questions to the resolver so far: a late answer must not meet another question.
    questions: u32,
    tcp: TcpWatch,
    /// The capture of statements that this worker knows of.
    seen: Seen,
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        common: Arc<Common>,
        helpers: Helpers,
        poll: Poll,
        hub: Hub,
        listeners: Vec<Listener>,
        client_tls: Option<crate::secrets::ClientTls>,
    ) -> Option<Worker> {
        let mailbox = Arc::clone(common.mailboxes.get(usize::from(id.0))?);
        let port = Port::new(Arc::clone(&common), id);
        Some(Worker {
            id,
            common,
            mailbox,
            helpers,
            poll,
            hub,
            port,
            out: Outbox::new(),
            listeners: listeners.into_iter().map(Some).collect(),
            clients: Vec::new(),
            servers: Vec::new(),
            outgoing: Slab::new(),
            cancels: VecDeque::new(),
            forwards: Vec::new(),
            forwards_counted: [0; 2],
            lingering: Slab::new(),
            told: (Time::ZERO, 0, 0),
            again: VecDeque::new(),
            client_tls,
            buffer: vec![0; READ_BYTES],
            letters: Vec::new(),
            commands: VecDeque::new(),
            unwritten: Vec::new(),
            requesters: BTreeMap::new(),
            handovers: 0,
            panics: 0,
            tick_panics: 0,
            now: Time::ZERO,
            next_tick: Time::ZERO,
            draining: false,
            suspended: false,
            stopped: false,
            accept_again: false,
            peak: 0,
            refusals_told: [0; RefuseReason::COUNT],
            next_refusals: Time::ZERO,
            services: Vec::new(),
            spare_services: Vec::new(),
            next_services: Time::ZERO,
            accept_pause: None,
            next_accept_line: Time::ZERO,
            questions: 0,
            tcp: TcpWatch::default(),
            seen: Seen::default(),
        })
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        for (i, listener) in self.listeners.iter_mut().enumerate() {
            let Some(listener) = listener else { continue };
            if let Err(error) = self.poll.registry().register(
                listener,
                token(Kind::Listener, i),
                mio::Interest::READABLE,
            ) {
                tracing::error!(%error, "cannot watch the listening socket");
            }
        }
        while !self.stopped {
            let busy = !self.again.is_empty() || self.accept_again;
            let timeout = if busy { Duration::ZERO } else { self.sleep() };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the event loop cannot wait for events");
            }
            self.now = self.common.clock.now();
            self.mailbox.turns.fetch_add(1, Ordering::Relaxed);
            for event in &events {
                let (kind, slot) = parts(event.token());
                let ready = Ready {
                    read: event.is_readable() || event.is_read_closed() || event.is_error(),
                    ended: event.is_read_closed() || event.is_error(),
                    write: event.is_writable() || event.is_write_closed(),
                };
                let whose = self.whose_event(kind, slot);
                self.contained(whose, |w| w.event(kind, slot, ready));
            }
            self.after_events();
        }
        self.mailbox.close();
    }

    /// Until the next tick; longer when nothing can time out.
    fn sleep(&self) -> Duration {
        if self.suspended {
            return TICK;
        }
        let (clients, servers) = self.hub.counts();
        if self.id.0 != 0
            && clients == 0
            && servers == 0
            && self.lingering.is_empty()
            && self.outgoing.is_empty()
        {
            return Duration::from_secs(1);
        }
        self.next_tick
            .since(self.common.clock.now())
            .max(Duration::from_millis(1))
    }

    fn after_events(&mut self) {
        if self.accept_again {
            self.accept_again = false;
            for i in 0..self.listeners.len() {
                self.contained(Whose::Nobody, |w| w.accept(i));
            }
        }
        self.read_letters();
        for _ in 0..self.again.len() {
            let Some(peer) = self.again.pop_front() else {
                break;
            };
            if let Some(conn) = self.conn(peer) {
                conn.queued = false;
            }
            self.contained(Whose::Peer(peer), |w| w.drive(peer));
        }
        if self.now >= self.next_tick {
            // What was done since takes time, and a tick measures round trips.
            self.now = self.common.clock.now();
            self.next_tick = self.now.after(TICK);
            self.contained_tick();
            self.seen.look(&self.common.tap);
        }
    }

    fn event(&mut self, kind: Kind, slot: usize, ready: Ready) {
        match kind {
            Kind::Client => self.peer_ready(Peer::Client(slot as u32), ready),
            Kind::Server => self.peer_ready(Peer::Server(slot as u32), ready),
            Kind::Outgoing => self.outgoing_ready(slot),
            Kind::Lingering => self.linger_ready(slot),
            Kind::Listener => self.accept(slot),
            Kind::Waker => {}
        }
    }

    fn peer_ready(&mut self, peer: Peer, ready: Ready) {
        let Some(conn) = self.conn(peer) else { return };
        conn.readable |= ready.read;
        conn.ended |= ready.ended;
        if ready.write && !self.flush(peer) {
            return;
        }
        if self.is_still(peer) {
            return;
        }
        if ready.ended
            && let Peer::Client(slot) = peer
            && self.hub.is_waiting(slot)
        {
            return self.gone(peer, None);
        }
        if ready.read {
            self.drive(peer);
        }
    }

    /// Sends what a peer has not taken yet. False when it is gone.
    fn flush(&mut self, peer: Peer) -> bool {
        let Some(conn) = self.conn(peer) else {
            return false;
        };
        let waiting = !conn.unsent.is_empty() || conn.tls.as_ref().is_some_and(|t| t.wants_write());
        if !waiting {
            return true;
        }
        match conn.flush() {
            Some(left) => {
                self.hub
                    .backlog(self.now, peer, left, &mut self.port, &mut self.out);
                self.settle(&[]);
                true
            }
            None => {
                self.gone(peer, None);
                false
            }
        }
    }

    fn conn(&mut self, peer: Peer) -> Option<&mut Conn> {
        match peer {
            Peer::Client(slot) => self.clients.get_mut(slot as usize)?.as_deref_mut(),
            Peer::Server(slot) => self.servers.get_mut(slot as usize)?.as_deref_mut(),
        }
    }

    /// Reads a peer while the hub wants its bytes.
    fn drive(&mut self, peer: Peer) {
        if self.is_still(peer) {
            return;
        }
        for _ in 0..READS_MAX {
            match self.conn(peer) {
                Some(conn) if conn.readable => {
                    if conn.handshaking {
                        return self.client_handshake(peer);
                    }
                }
                _ => return,
            }
            if !self.hub.may_read(peer) {
                return;
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            let Some(conn) = self.conn(peer) else {
                self.buffer = buffer;
                return;
            };
            let got = conn.read(&mut buffer);
            let go_on = self.took(peer, got, &buffer);
            self.buffer = buffer;
            if !go_on {
                return;
            }
        }
        self.look_again(peer);
    }

    /// Handles the result of a read. True when another read may follow.
    fn took(&mut self, peer: Peer, got: Got, buffer: &[u8]) -> bool {
        let (n, more) = match got {
            Got::Bytes(n, more) => (n, more),
            Got::Nothing => {
                if let Some(conn) = self.conn(peer) {
                    conn.readable = false;
                }
                return false;
            }
            Got::End => {
                self.gone(peer, None);
                return false;
            }
            Got::Broken(error) => {
                self.gone(peer, Some(error));
                return false;
            }
        };
        let input = buffer.get(..n).unwrap_or_default();
        if let Some(conn) = self.conn(peer) {
            conn.readable = more;
            if !input.is_empty()
                && std::mem::take(&mut conn.fresh)
                && input.first() == Some(&wire::startup::TLS_HANDSHAKE)
                && matches!(peer, Peer::Client(_))
                && conn.tls.is_none()
            {
                return self.direct_tls(peer, input);
            }
        }
        match peer {
            Peer::Client(slot) => {
                self.observe_input(slot, input);
                if self.common.tap.is_on() {
                    self.tap_input(slot, input);
                }
                self.hub
                    .client_input(self.now, slot, input, &mut self.port, &mut self.out)
            }
            Peer::Server(slot) => {
                self.hub
                    .server_input(self.now, slot, input, &mut self.port, &mut self.out)
            }
        }
        self.settle(input);
        if let Peer::Server(slot) = peer
            && self.conn(peer).is_some_and(|c| c.logging_in)
        {
            return self.login_read(slot) && more;
        }
        more
    }

    /// A socket ended or broke.
    fn gone(&mut self, peer: Peer, error: Option<std::io::Error>) {
        match peer {
            Peer::Client(slot) => {
                self.hub
                    .client_gone(self.now, slot, &mut self.port, &mut self.out)
            }
            Peer::Server(slot) => {
                let text = error.map(|e| e.to_string());
                self.hub.server_gone(
                    self.now,
                    slot,
                    text.as_deref(),
                    &mut self.port,
                    &mut self.out,
                );
            }
        }
        self.settle(&[]);
    }

    fn look_again(&mut self, peer: Peer) {
        if let Some(conn) = self.conn(peer)
            && !std::mem::replace(&mut conn.queued, true)
        {
            self.again.push_back(peer);
        }
    }

    pub(super) fn purpose_of(&self, slot: usize) -> Option<&Purpose> {
        self.outgoing.get(slot).map(|o| &o.purpose)
    }
}

/// What an event says.
#[derive(Clone, Copy, Default)]
struct Ready {
    read: bool,
    ended: bool,
    write: bool,
}
