//! Client messages after login: framing, and which message goes where.

use crate::client::Phase;
use crate::errors::Trouble;
use crate::expect::Expect;
use crate::hub::Hub;
use crate::outbox::{Feed, Outbox, Peer};
use crate::pools::Pools;
use events::{CloseReason, Time};
use wire::back::{self, Status};
use wire::frame::{self, Frame};

/// Texts of simple queries are read up to this length for what they do to the
/// session; a longer one is passed on as it comes, and the connection is
/// reset after it.
pub(crate) const QUERY_READ_MAX: usize = 1 << 20;
/// Largest statement that can be prepared.
pub(crate) const PARSE_MAX: usize = 16 << 20;
/// Largest Describe, Close or Execute.
pub(crate) const SMALL_MAX: usize = 64 << 10;
/// How much of a Bind must be here for its names to be read.
pub(crate) const BIND_HEAD: usize = 32 << 10;

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
            Phase::Waiting { .. } | Phase::Preparing | Phase::Held { .. } => {
                client.held.extend_from_slice(input)
            }
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
        let known = || {
            matches!(
                frame.tag,
                b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'd' | b'c' | b'f' | b'F'
            )
        };
        if client.skip && known() {
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

    pub(crate) fn drop_frame(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
    ) -> Step {
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
        // The number of the function.
        b'F' => Ok(frame.len.min(frame::HEADER + 4)),
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
