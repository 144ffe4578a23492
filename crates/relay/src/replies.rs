//! Server messages: each is forwarded to its owner or swallowed.

mod errors;
mod parameters;
mod steps;

pub(crate) use errors::{changed_shape, take_back};

use crate::client::Client;
use crate::directory::PoolKey;
use crate::errors::Trouble;
use crate::expect::{Expect, Purpose};
use crate::hub::{Hub, Local, OWN_COUNT, OWN_SCHEMA};
use crate::outbox::{Command, Feed, Outbox, Peer};
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::{Server, ServerPhase};
use events::{CloseReason, Time};
use wire::back;
use wire::frame::{self, Frame};

/// Largest server message that is read whole; longer ones are passed on unread.
const READ_MAX: usize = 64 << 10;

/// What a frame asks of the hub beyond the two sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Nothing,
    /// ReadyForQuery of the pooler's own statement.
    OwnDone(Purpose),
    /// The server broke the protocol.
    Nonsense,
    /// Schema objects changed.
    Ddl,
    /// They changed for the client that holds the connection, and nobody else.
    OwnSchema,
    /// The server takes no writes, here or at all.
    ReadOnly,
    /// The server said FATAL: nothing more comes from it.
    Fatal,
    /// A transaction block where there may be none.
    Forbidden,
}

/// The parts of the hub that a frame may touch, and the bytes it stands in.
struct Turn<'a> {
    now: Time,
    server: &'a mut Server,
    client: Option<&'a mut Client>,
    local: &'a mut Local,
    out: &'a mut Outbox,
    feed: Feed<'a>,
    /// What stands before this was passed on or swallowed. What follows is passed
    /// on in one piece: when something else comes between, and at the turn's end.
    settled: usize,
}

/// One message, as far as it is here.
#[derive(Clone, Copy)]
struct Message {
    frame: Frame,
    /// Where it begins in the turn's bytes, and where the part that is here ends.
    start: usize,
    end: usize,
}

impl Message {
    fn is_whole(&self) -> bool {
        self.end - self.start == self.frame.len
    }
}

impl Hub {
    /// Bytes from a server.
    pub fn server_input(
        &mut self,
        now: Time,
        slot: u32,
        input: &[u8],
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let mut io = Io { now, pools, out };
        server.used_at = now;
        if matches!(server.phase, ServerPhase::Login(_)) {
            return self.server_login_input(slot, input, &mut io);
        }
        let mut at = 0;
        loop {
            let Some(server) = self.servers.get_mut(slot) else {
                return;
            };
            if server.held.is_empty() || at == input.len() {
                break;
            }
            let want = missing(&server.held).min(input.len() - at);
            server.held.extend_from_slice(&input[at..at + want]);
            at += want;
            let held = std::mem::take(&mut server.held);
            let consumed = self.replies(
                slot,
                Feed {
                    bytes: &held,
                    base: None,
                },
                0,
                &mut io,
            );
            if consumed < held.len()
                && let Some(server) = self.servers.get_mut(slot)
            {
                server.held.extend_from_slice(&held[consumed..]);
            }
        }
        let consumed = self.replies(
            slot,
            Feed {
                bytes: input,
                base: Some(0),
            },
            at,
            &mut io,
        );
        if consumed < input.len()
            && let Some(server) = self.servers.get_mut(slot)
        {
            server.held.extend_from_slice(&input[consumed..]);
        }
        self.resume_sender(slot, io.out);
        self.answered(slot, &mut io);
        self.maybe_release(now, slot, io.pools, io.out);
    }

    /// Replies came: a client that was not read because too many were owed may
    /// be read again.
    fn resume_sender(&mut self, slot: u32, out: &mut Outbox) {
        let Some(link) = self.servers.get(slot).map(|s| s.link) else {
            return;
        };
        if self.clients.get(link).is_some_and(|c| c.paused) && self.may_read_client(link) {
            self.resume_client(link, out);
        }
    }

    /// Handles frames from `start` on; returns how far it came.
    fn replies(&mut self, slot: u32, feed: Feed<'_>, start: usize, io: &mut Io<'_>) -> usize {
        let mut at = start;
        while at < feed.bytes.len() {
            let Some(server) = self.servers.get_mut(slot) else {
                return feed.bytes.len();
            };
            let key = server.pool.key;
            let (consumed, after) = {
                if self.locals.len() <= key.0 as usize {
                    self.local(key);
                }
                let Some(server) = self.servers.get_mut(slot) else {
                    return feed.bytes.len();
                };
                let client = self.clients.get_mut(server.link);
                let Some(local) = self.locals.get_mut(key.0 as usize) else {
                    return feed.bytes.len();
                };
                let mut turn = Turn {
                    now: io.now,
                    server,
                    client,
                    local,
                    out: io.out,
                    feed,
                    settled: at,
                };
                turn.run(at)
            };
            at += consumed;
            match after {
                After::Nothing => return at,
                After::Ddl => self.ddl(slot, key, io),
                After::OwnSchema => self.own_schema_changed(slot),
                After::ReadOnly => {
                    if let Some(conn) = self.servers.get(slot).map(|s| s.conn) {
                        io.pools.read_only(io.now, key, conn);
                    }
                }
                After::OwnDone(purpose) => self.own_done(slot, purpose, io),
                After::Forbidden => self.forbidden(slot, io),
                After::Fatal => {
                    self.server_over(slot, CloseReason::ServerFatal, io);
                    return feed.bytes.len();
                }
                After::Nonsense => {
                    self.server_nonsense(slot, io);
                    return feed.bytes.len();
                }
            }
        }
        at
    }

    fn ddl(&mut self, slot: u32, key: PoolKey, io: &mut Io<'_>) {
        self.local(key).ddl += 1;
        io.out.command(Command::Ddl { pool: key });
        self.own_schema_changed(slot);
    }

    /// Until its transaction ends, or its temporary tables do, what this client
    /// prepares fits nobody else: a number that no worker gives twice.
    fn own_schema_changed(&mut self, slot: u32) {
        self.own_schemas += 1;
        let number = OWN_SCHEMA | u64::from(self.worker.0) << 40 | self.own_schemas & OWN_COUNT;
        let link = self.servers.get(slot).map(|s| s.link);
        if let Some(client) = link.and_then(|link| self.clients.get_mut(link)) {
            client.extra().own_schema = number;
        }
    }

    fn server_nonsense(&mut self, slot: u32, io: &mut Io<'_>) {
        let link = self.servers.get(slot).map(|s| s.link);
        self.drop_server(slot, CloseReason::ServerProtocol, io);
        if let Some(client) = link {
            self.fail_client(
                client,
                &Trouble::ServerNonsense,
                CloseReason::ServerProtocol,
                io,
            );
        }
    }
}

/// How many bytes to add to a cut-off frame before it is looked at again.
fn missing(held: &[u8]) -> usize {
    match frame::peek(held) {
        Ok(Some(f)) => needed(&f).saturating_sub(held.len()).max(1),
        _ => frame::HEADER.saturating_sub(held.len()).max(1),
    }
}

/// How many bytes of a frame must be here before it can be handled.
#[inline]
fn needed(frame: &Frame) -> usize {
    match frame.tag {
        b'C' | b'Z' | b'E' | b'S' | b'N' if frame.len <= READ_MAX => frame.len,
        _ => frame::HEADER,
    }
}

impl<'a> Turn<'a> {
    /// Runs over frames until one asks something of the hub. Returns the bytes
    /// consumed.
    fn run(&mut self, start: usize) -> (usize, After) {
        let (at, after) = self.frames(start);
        self.pass_to(at);
        (at - start, after)
    }

    fn frames(&mut self, start: usize) -> (usize, After) {
        let bytes = self.feed.bytes;
        let mut at = start;
        while at < bytes.len() {
            if self.server.stream_left > 0 {
                at = self.rest_of_message(at);
                continue;
            }
            let rest = &bytes[at..];
            let frame = match frame::peek(rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => {
                    self.swallow(at, bytes.len());
                    return (bytes.len(), After::Nonsense);
                }
            };
            let need =
                if frame.tag == b'D' && self.server.capture.is_some() && frame.len <= READ_MAX {
                    frame.len
                } else {
                    needed(&frame)
                };
            if rest.len() < need {
                break;
            }
            let message = Message {
                frame,
                start: at,
                end: at + frame.len.min(rest.len()),
            };
            let after = self.message(message);
            at = message.end;
            if after != After::Nothing {
                return (at, after);
            }
        }
        (at, After::Nothing)
    }

    /// What is left of a message that was longer than the bytes it began in.
    fn rest_of_message(&mut self, at: usize) -> usize {
        let n = self.server.stream_left.min(self.feed.bytes.len() - at);
        self.server.stream_left -= n;
        if self.server.stream_drop {
            self.swallow(at, at + n);
        }
        if self.server.stream_left == 0 {
            self.next_locals(at + n);
        }
        at + n
    }

    /// Passes on all before `end` that is not settled yet.
    #[inline]
    fn pass_to(&mut self, end: usize) {
        let start = std::mem::replace(&mut self.settled, end);
        if start < end && self.client.is_some() {
            self.local.stats.totals.bytes_sent += (end - start) as u64;
            self.out
                .pass(Peer::Client(self.server.link), self.feed, start, end);
        }
    }

    /// These bytes go nowhere; those before them do.
    fn swallow(&mut self, start: usize, end: usize) {
        self.pass_to(start);
        self.settled = end;
    }

    /// The message goes to the client, or, when `own`, nowhere.
    #[inline]
    fn deliver(&mut self, m: Message, own: bool) {
        self.server.stream_left = m.frame.len - (m.end - m.start);
        self.server.stream_drop = own;
        if own {
            self.swallow(m.start, m.end);
        }
    }

    /// Tells the client something of our own, after all before `end`.
    fn say(&mut self, end: usize, build: impl FnOnce(&mut Vec<u8>)) {
        self.pass_to(end);
        if self.client.is_some() {
            self.out.write(Peer::Client(self.server.link), build);
        }
    }

    #[inline]
    fn body(&self, m: Message) -> &'a [u8] {
        &self.feed.bytes[m.start + frame::HEADER..m.end]
    }

    #[inline]
    fn message(&mut self, m: Message) -> After {
        let own = self.server.expected.front().is_some_and(Expect::is_own);
        match m.frame.tag {
            b'D' | b'd' | b'c' | b'V' | b't' => {
                if own && m.frame.tag == b'D' {
                    self.capture(m);
                }
                self.deliver(m, own);
            }
            b'T' | b'n' => {
                self.deliver(m, own);
                if matches!(self.server.expected.front(), Some(Expect::Describe)) {
                    self.next(m.end);
                }
            }
            b'1' | b'2' | b'3' | b's' | b'I' => return self.step_reply(m, own),
            b'C' => {
                self.deliver(m, own);
                return self.completed(m);
            }
            b'Z' => return self.ready(m),
            b'E' => return self.error(m),
            b'S' => self.parameter(m, own),
            b'N' => self.deliver(m, own),
            b'A' => {
                // Only who listens here is notified, whatever runs meanwhile.
                let listens = self.client.as_deref().is_some_and(Client::has_pins);
                self.deliver(m, own && !listens);
            }
            b'G' | b'W' | b'H' => {
                self.deliver(m, own);
                if m.frame.tag != b'H' && !own {
                    self.copy_begins();
                }
            }
            _ => {
                self.swallow(m.start, m.end);
                return After::Nonsense;
            }
        }
        After::Nothing
    }

    fn capture(&mut self, m: Message) {
        let body = self.body(m);
        if m.is_whole()
            && let Some(capture) = self.server.capture.as_mut()
        {
            capture.take(body);
        }
    }

    /// The head of the queue is answered by what ends at `end`; local replies
    /// behind it go out.
    #[inline]
    fn next(&mut self, end: usize) {
        self.server.expected.pop();
        self.next_locals(end);
    }

    /// Not in the middle of a message: they would be taken for a part of it.
    #[inline]
    fn next_locals(&mut self, end: usize) {
        if self.server.expected.front().is_some_and(Expect::is_local)
            && self.server.stream_left == 0
        {
            self.locals(end);
        }
    }

    fn locals(&mut self, end: usize) {
        self.pass_to(end);
        if self.client.is_some() {
            emit_locals(self.server.link, self.server, self.out);
        } else {
            while self.server.expected.front().is_some_and(Expect::is_local) {
                self.server.expected.pop();
            }
        }
    }
}

/// Local replies whose turn has come.
pub(crate) fn emit_locals(slot: u32, server: &mut Server, out: &mut Outbox) {
    while server.expected.front().is_some_and(Expect::is_local) {
        match server.expected.pop() {
            Some(Expect::LocalParse(_)) => out.write(Peer::Client(slot), back::parse_complete),
            Some(Expect::LocalClose(_)) => out.write(Peer::Client(slot), back::close_complete),
            _ => {}
        }
    }
}
