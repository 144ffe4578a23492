//! Client messages after login: framing, checkout, simple queries.

use crate::client::{NONE, Phase};
use crate::effects::{self, Script};
use crate::errors::Trouble;
use crate::expect::Expect;
use crate::hub::{Hub, Pools};
use crate::outbox::{Command, Feed, Outbox, Peer};
use crate::params;
use crate::pins::Pins;
use crate::server::ServerPhase;
use events::{ClientId, CloseReason, RefuseReason, Time};
use pool::Checkout;
use std::sync::Arc;
use std::time::Duration;
use wire::back::{self, Status};
use wire::frame::{self, Frame};
use wire::front;

/// Texts of simple queries are read up to this length for what they do to the
/// session; a longer one is passed on as it comes, and the connection is
/// reset after it.
pub(crate) const QUERY_READ_MAX: usize = 1 << 20;
/// Largest statement that can be prepared.
pub(crate) const PARSE_MAX: usize = 16 << 20;
/// Largest Describe, Close or Execute.
pub(crate) const SMALL_MAX: usize = 64 << 10;
/// How much of a Bind must be here for its names to be read.
pub(crate) const BIND_HEAD: usize = 16 << 10;

/// What became of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It was handled.
    Done,
    /// Not yet: the client waits; keep the frame.
    Wait,
    /// Look at the same frame again.
    Again,
    /// The session is closed.
    Closed,
}

/// Everything that a step needs besides the hub.
pub(crate) struct Io<'a> {
    pub(crate) now: Time,
    pub(crate) pools: &'a mut dyn Pools,
    pub(crate) out: &'a mut Outbox,
}

impl Hub {
    /// Bytes from a client.
    pub fn client_input(
        &mut self,
        now: Time,
        slot: u32,
        input: &[u8],
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let mut io = Io { now, pools, out };
        match &client.phase {
            Phase::Ready => self.request_input(slot, input, &mut io),
            Phase::Login(_) => self.login_input(slot, input, &mut io),
            Phase::Console { .. } => self.console_input(slot, input, &mut io),
            Phase::Waiting { .. } | Phase::Preparing => client.held.extend_from_slice(input),
            Phase::Cancelling => {}
        }
    }

    fn request_input(&mut self, slot: u32, input: &[u8], io: &mut Io<'_>) {
        let mut at = 0;
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        if let Some(pool) = &client.pool {
            let key = pool.key;
            self.local(key).stats.totals.bytes_received += input.len() as u64;
        }
        // First complete the frame that was cut off, then go on in place.
        loop {
            let Some(client) = self.clients.get_mut(slot) else {
                return;
            };
            if client.held.is_empty() || at == input.len() {
                break;
            }
            let want = missing(&client.held).min(input.len() - at);
            client.held.extend_from_slice(&input[at..at + want]);
            at += want;
            self.pump_held(slot, io);
            match self.clients.get_mut(slot) {
                // It must wait: the rest is held too.
                Some(c) if !matches!(c.phase, Phase::Ready) => {
                    c.held.extend_from_slice(&input[at..]);
                    return;
                }
                Some(_) => {}
                None => return,
            }
        }
        let consumed = self.pump(
            slot,
            Feed {
                bytes: input,
                base: Some(0),
            },
            at,
            io,
        );
        self.hold(slot, &input[consumed.min(input.len())..]);
    }

    /// Handles what a client held back, now that it may go on.
    pub(crate) fn pump_held(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let mut held = std::mem::take(&mut client.held);
        let consumed = self.pump(
            slot,
            Feed {
                bytes: &held,
                base: None,
            },
            0,
            io,
        );
        if consumed >= held.len() {
            self.recycle(held);
        } else if let Some(client) = self.clients.get_mut(slot) {
            held.drain(..consumed);
            client.held = held;
        }
    }

    fn hold(&mut self, slot: u32, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        let spare = self.spare.pop();
        if let Some(client) = self.clients.get_mut(slot) {
            if client.held.capacity() == 0
                && let Some(spare) = spare
            {
                client.held = spare;
            }
            client.held.extend_from_slice(rest);
        }
    }

    /// A buffer that is free again; a few small ones are kept.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        const SPARE_MAX: usize = 64;
        const SPARE_BYTES: usize = 16 * 1024;
        if self.spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES && buffer.capacity() > 0
        {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Handles frames from `start` on; returns how far it came.
    fn pump(&mut self, slot: u32, feed: Feed<'_>, start: usize, io: &mut Io<'_>) -> usize {
        let mut at = start;
        loop {
            let Some(client) = self.clients.get_mut(slot) else {
                return feed.bytes.len();
            };
            let rest = &feed.bytes[at..];
            if rest.is_empty() {
                return at;
            }
            if client.stream_left > 0 {
                at = self.pass_rest(slot, feed, at, io);
                continue;
            }
            let frame = match frame::peek(rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => return at,
                Err(_) => {
                    self.fail_client(
                        slot,
                        &Trouble::BadPacket("invalid message length"),
                        CloseReason::ClientProtocol,
                        io,
                    );
                    return feed.bytes.len();
                }
            };
            match needed(&frame) {
                Ok(n) if rest.len() < n => return at,
                Ok(_) => {}
                Err(trouble) => {
                    self.fail_client(slot, &trouble, CloseReason::ClientProtocol, io);
                    return feed.bytes.len();
                }
            }
            let here = frame.len.min(rest.len());
            match self.request(slot, frame, feed, at, io) {
                Step::Done => at += here,
                Step::Again => {}
                Step::Wait => return at,
                Step::Closed => return feed.bytes.len(),
            }
        }
    }

    /// Passes on what is left of a message that is longer than the input.
    fn pass_rest(&mut self, slot: u32, feed: Feed<'_>, at: usize, io: &mut Io<'_>) -> usize {
        let Some(client) = self.clients.get_mut(slot) else {
            return feed.bytes.len();
        };
        let n = client.stream_left.min(feed.bytes.len() - at);
        client.stream_left -= n;
        let whole = client.stream_left == 0;
        if !client.stream_drop && client.is_linked() {
            io.out.pass(Peer::Server(client.link), feed, at, at + n);
            if whole && let Some(server) = self.servers.get_mut(client.link) {
                server.half_sent = false;
            }
        }
        if whole {
            // The lease may have ended while the message was still being sent.
            let link = client.link;
            self.maybe_release(io.now, link, io.pools, io.out);
        }
        at + n
    }

    /// One client message.
    fn request(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        if std::mem::take(&mut client.refused) {
            if matches!(frame.tag, b'Q' | b'F') {
                io.out
                    .write(Peer::Client(slot), |v| back::ready(v, Status::Idle));
                return self.drop_frame(slot, frame, feed, at);
            }
            client.skip = true;
        }
        // An unknown type is the end also for PostgreSQL, when it skips.
        let known = b"QPBDECHdcfF".contains(&frame.tag);
        if client.skip && known {
            return self.drop_frame(slot, frame, feed, at);
        }
        match frame.tag {
            b'Q' => self.simple_query(slot, frame, feed, at, io),
            b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' => {
                self.extended(slot, frame, feed, at, io)
            }
            b'd' | b'c' | b'f' => self.copy_data(slot, frame, feed, at, io),
            b'F' => self.function_call(slot, frame, feed, at, io),
            b'X' => {
                self.client_left(slot, CloseReason::ClientTerminate, io);
                Step::Closed
            }
            _ => {
                self.fail_client(
                    slot,
                    &Trouble::BadPacket("invalid frontend message type"),
                    CloseReason::ClientProtocol,
                    io,
                );
                Step::Closed
            }
        }
    }

    fn drop_frame(&mut self, slot: u32, frame: Frame, feed: Feed<'_>, at: usize) -> Step {
        if let Some(client) = self.clients.get_mut(slot) {
            client.stream_left = frame.len - frame.len.min(feed.bytes.len() - at);
            client.stream_drop = true;
        }
        Step::Done
    }

    /// Sends a client's message on to its server as it is.
    pub(crate) fn pass_frame(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let here = frame.len.min(feed.bytes.len() - at);
        client.stream_left = frame.len - here;
        client.stream_drop = false;
        if let Some(server) = self.servers.get_mut(client.link) {
            server.half_sent = client.stream_left > 0;
        }
        out.pass(Peer::Server(client.link), feed, at, at + here);
    }

    fn simple_query(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        let end = at + frame.len.min(feed.bytes.len() - at);
        let whole = feed.bytes.len() - at >= frame.len;
        let body = &feed.bytes[at + frame::HEADER..end];
        let text = if whole {
            match front::Query::parse(body) {
                Ok(query) => query.text,
                Err(_) => {
                    self.fail_client(
                        slot,
                        &Trouble::BadPacket("malformed Query"),
                        CloseReason::ClientProtocol,
                        io,
                    );
                    return Step::Closed;
                }
            }
        } else {
            body
        };
        match self.ensure_server(slot, io) {
            Step::Done => {}
            other => return other,
        }
        let Some(client) = self.clients.get(slot) else {
            return Step::Closed;
        };
        let Some(server) = self.servers.get(client.link) else {
            return Step::Closed;
        };
        if server.expected.is_skipping() {
            // The server reads it, and drops it as all else until Sync.
            self.pass_frame(slot, frame, feed, at, io.out);
            return Step::Done;
        }
        // What is still to be answered may begin to be tracked.
        let tracks =
            !server.expected.is_empty() || client.ext.as_ref().is_some_and(|e| e.tracker.is_some());
        let script = if wire::sql::is_plain(text) || (!tracks && effects::is_transaction_word(text))
        {
            None
        } else {
            effects::script_of(text, client.quoting())
        };
        let entry = match script {
            None => Expect::Query(None),
            Some(script) => {
                if whole && let Some(step) = self.own_deallocate(slot, &script, io) {
                    return step;
                }
                if let Some(what) = script.effects.iter().find_map(|e| Pins::wants(&e.change))
                    && !self.take_pin(slot)
                {
                    self.refuse_pin_query(slot, what, io);
                    return self.drop_frame(slot, frame, feed, at);
                }
                Expect::Query(Some(Script::own(script)))
            }
        };
        self.begin(slot, io.now);
        let Some(server) = self.linked_server(slot) else {
            return Step::Closed;
        };
        server.unnamed = None;
        server.unsynced = false;
        if !whole {
            server.dirty = true;
        }
        server.batch += 1;
        server.expected.push(entry);
        if let Some(ext) = self.clients.get_mut(slot).and_then(|c| c.ext.as_mut()) {
            ext.unnamed = None;
        }
        if !whole && let Some(key) = self.pool_key(slot) {
            self.local(key).stats.unread += 1;
        }
        self.pass_frame(slot, frame, feed, at, io.out);
        Step::Done
    }

    fn function_call(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        match self.ensure_server(slot, io) {
            Step::Done => {}
            other => return other,
        }
        self.begin(slot, io.now);
        if let Some(server) = self.linked_server(slot) {
            server.batch += 1;
            server.unsynced = false;
            server.expected.push(Expect::Function);
        }
        self.pass_frame(slot, frame, feed, at, io.out);
        Step::Done
    }

    /// COPY data. What comes after the COPY failed is dropped, as PostgreSQL
    /// ignores it.
    fn copy_data(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        let Some(server) = self.linked_server(slot) else {
            return self.drop_frame(slot, frame, feed, at);
        };
        if frame.tag != b'd' {
            if !server.copy_in && !server.expected.is_empty() {
                server.expected.push(Expect::CopyEnd);
            }
            server.copy_in = false;
        }
        self.pass_frame(slot, frame, feed, at, io.out);
        Step::Done
    }

    pub(crate) fn pool_key(&self, slot: u32) -> Option<crate::directory::PoolKey> {
        self.clients.get(slot)?.pool.as_ref().map(|p| p.key)
    }

    pub(crate) fn linked_server(&mut self, slot: u32) -> Option<&mut crate::server::Server> {
        let link = self.clients.get(slot)?.link;
        self.servers.get_mut(link)
    }

    /// A query begins: times are counted from here.
    pub(crate) fn begin(&mut self, slot: u32, now: Time) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        client.request_at = now;
        let Some(server) = self.servers.get_mut(client.link) else {
            return;
        };
        server.used = true;
        if server.expected.is_empty() {
            server.query_at = now;
            if server.status == Status::Idle {
                server.xact_at = now;
            }
        }
    }

    /// Makes sure that the client holds a server connection which is ready
    /// for it. `Wait`: it is queued, or the pooler's own statements run first.
    pub(crate) fn ensure_server(&mut self, slot: u32, io: &mut Io<'_>) -> Step {
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        if let Some(server) = self.servers.get(client.link) {
            if Arc::ptr_eq(&server.params, &client.params) || !server.between_batches() {
                return Step::Done;
            }
            return if self.prepare(slot, io) {
                Step::Done
            } else {
                Step::Wait
            };
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
        match io.pools.checkout(io.now, key, id, flow) {
            Checkout::Granted {
                conn,
                slot: server_slot,
            } => match self.servers.get_mut(server_slot).filter(|s| s.conn == conn) {
                Some(server) => {
                    server.phase = ServerPhase::Lent;
                    if self.attach_client(slot, server_slot, io) {
                        Step::Done
                    } else {
                        Step::Wait
                    }
                }
                None => Step::Wait,
            },
            Checkout::Queued => {
                client.phase = Phase::Waiting { notified: false };
                Step::Wait
            }
            Checkout::Refused(reason) => {
                let text = io.pools.failure(key);
                client.phase = Phase::Waiting { notified: false };
                self.refuse_now(slot, reason, Duration::ZERO, text.as_deref(), io)
            }
        }
    }

    /// Links a client and a server connection that the pool lent to it.
    /// True when the client's statements may be sent at once.
    fn attach_client(&mut self, slot: u32, server_slot: u32, io: &mut Io<'_>) -> bool {
        let (Some(client), Some(server)) = (
            self.clients.get_mut(slot),
            self.servers.get_mut(server_slot),
        ) else {
            return false;
        };
        client.link = server_slot;
        server.link = slot;
        server.lent_at = io.now;
        server.half_sent = false;
        server.used = false;
        let waited = io.now.since(client.request_at).as_micros() as u64;
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
        if self.attach_client(slot, server_slot, &mut io) {
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
        let suspect = delay.is_some_and(|d| io.now.since(server.used_at) > d);
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
}

/// How many bytes of a frame must be here before it can be handled.
fn needed(frame: &Frame) -> Result<usize, Trouble<'static>> {
    let bounded = |max: usize, what: &'static str| {
        if frame.len > max {
            Err(Trouble::TooLarge { what, max })
        } else {
            Ok(frame.len)
        }
    };
    match frame.tag {
        b'Q' => Ok(frame.len.min(QUERY_READ_MAX)),
        b'P' => bounded(PARSE_MAX, "a statement to be prepared"),
        b'B' => Ok(frame.len.min(BIND_HEAD)),
        b'D' | b'E' | b'C' => bounded(SMALL_MAX, "a message"),
        _ => Ok(frame::HEADER),
    }
}

/// How many bytes to add to a cut-off frame before it is looked at again.
fn missing(held: &[u8]) -> usize {
    match frame::peek(held) {
        Ok(Some(frame)) => needed(&frame)
            .unwrap_or(0)
            .saturating_sub(held.len())
            .max(1),
        _ => frame::HEADER.saturating_sub(held.len()).max(1),
    }
}
