//! Server messages: each is forwarded to its owner or swallowed.

mod errors;
mod parameters;

pub(crate) use errors::{changed_shape, take_back};

use crate::client::Client;
use crate::directory::PoolKey;
use crate::effects;
use crate::errors::Trouble;
use crate::expect::{Expect, Purpose};
use crate::hub::{Hub, Local, Pools};
use crate::outbox::{Command, Feed, Outbox, Peer};
use crate::requests::Io;
use crate::server::{Server, ServerPhase};
use events::{CloseReason, Time};
use wire::back::{self, Status};
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
    /// The server said FATAL: nothing more comes from it.
    Fatal,
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
                After::Ddl => self.ddl(key, io),
                After::OwnDone(purpose) => self.own_done(slot, purpose, io),
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

    fn ddl(&mut self, key: PoolKey, io: &mut Io<'_>) {
        self.local(key).ddl += 1;
        io.out.command(Command::Ddl { pool: key });
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
            b'N' | b'A' => self.deliver(m, own),
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

    /// Replies that end one message of an extended batch.
    fn step_reply(&mut self, m: Message, own: bool) -> After {
        let fits = match (m.frame.tag, self.server.expected.front()) {
            (b'1', Some(Expect::Parse(_) | Expect::OwnParse(_)))
            | (b'2', Some(Expect::Bind | Expect::BindOld(_)))
            | (b'3', Some(Expect::Close | Expect::OwnClose(_)))
            | (b's', Some(Expect::Execute(_)))
            | (b'I', Some(Expect::Execute(_))) => true,
            // The empty query of a simple Query is followed by ReadyForQuery.
            (b'I', Some(Expect::Query(_) | Expect::OwnQuery(_))) => {
                self.deliver(m, own);
                return After::Nothing;
            }
            _ => false,
        };
        if !fits {
            self.swallow(m.start, m.end);
            return After::Nonsense;
        }
        self.deliver(m, own);
        match self.server.expected.front() {
            Some(Expect::Parse(Some(p))) if !p.name.is_empty() => {
                let statement = std::sync::Arc::clone(&p.statement);
                self.server.prepared.ready(&statement);
            }
            Some(Expect::OwnParse(s)) => {
                let statement = std::sync::Arc::clone(s);
                self.server.prepared.ready(&statement);
            }
            Some(Expect::OwnClose(s)) => {
                let statement = std::sync::Arc::clone(s);
                self.server.prepared.closed(&statement);
            }
            // Suspended at its row limit: its functions were called already.
            Some(Expect::Execute(script)) if script.is_some() && m.frame.tag == b's' => {
                self.suspended();
            }
            _ => {}
        }
        self.next(m.end);
        After::Nothing
    }

    fn suspended(&mut self) {
        let Some(Expect::Execute(place)) = self.server.expected.front_mut() else {
            return;
        };
        if let Some(mut script) = place.take()
            && let Some(client) = self.client.as_deref_mut()
        {
            effects::finished(&mut script, b"SELECT", client, self.server);
        }
    }

    /// The head of the queue is answered by what ends at `end`; local replies
    /// behind it go out.
    #[inline]
    fn next(&mut self, end: usize) {
        self.server.expected.pop();
        if self.server.expected.front().is_some_and(Expect::is_local) {
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

    /// CommandComplete.
    fn completed(&mut self, m: Message) -> After {
        let mut ddl = false;
        // The script is taken out so that both sessions can be changed.
        let taken = match self.server.expected.front_mut() {
            Some(Expect::Query(script) | Expect::Execute(script)) => script.take(),
            Some(Expect::OwnQuery(_)) => None,
            _ => return After::Nonsense,
        };
        self.server.copy_in = false;
        if let Some(mut script) = taken {
            let tag = back::command_tag(self.body(m));
            if let Some(client) = self.client.as_deref_mut() {
                ddl = effects::finished(&mut script, tag, client, self.server).ddl;
            }
            if let Some(Expect::Query(place)) = self.server.expected.front_mut() {
                *place = Some(script);
            }
        }
        if matches!(self.server.expected.front(), Some(Expect::Execute(_))) {
            self.next(m.end);
        }
        if ddl { After::Ddl } else { After::Nothing }
    }

    fn ready(&mut self, m: Message) -> After {
        let Ok(status) = back::ready_status(self.body(m)) else {
            self.swallow(m.start, m.end);
            return After::Nonsense;
        };
        if self.server.expected.late_sync() {
            self.server.status = status;
            self.server.unsynced = false;
            self.deliver(m, false);
            return After::Nothing;
        }
        if !self.server.expected.front().is_some_and(Expect::ends_batch) {
            self.swallow(m.start, m.end);
            return After::Nonsense;
        }
        self.server.status = status;
        self.server.copy_in = false;
        let purpose = match self.server.expected.front() {
            Some(Expect::OwnQuery(purpose)) => Some(*purpose),
            Some(Expect::OwnSync) => Some(Purpose::Rollback),
            _ => None,
        };
        // The client is told FATAL instead, when the turn ends.
        let forbidden = purpose.is_none()
            && status == Status::Transaction
            && self.server.pool.mode == crate::directory::PoolMode::Statement;
        self.deliver(m, purpose.is_some() || forbidden);
        if purpose.is_none() {
            self.count(status);
            if let Some(client) = self.client.as_deref_mut()
                && status == Status::Idle
            {
                effects::transaction_over(client, self.server);
            }
        }
        self.next(m.end);
        match purpose {
            Some(purpose) => After::OwnDone(purpose),
            None => After::Nothing,
        }
    }

    fn count(&mut self, status: Status) {
        let stats = &mut self.local.stats;
        let took = self.now.since(self.server.query_at);
        stats.totals.queries += 1;
        stats.totals.query_us += took.as_micros() as u64;
        stats.service.record(took);
        if status == Status::Idle {
            stats.totals.xacts += 1;
            stats.totals.xact_us += self.now.since(self.server.xact_at).as_micros() as u64;
            self.server.xact_at = self.now;
        }
        self.server.query_at = self.now;
    }

    /// COPY in of the extended protocol: Syncs sent ahead are ignored by the server.
    fn copy_begins(&mut self) {
        let ahead = self.server.expected.copy_began();
        self.server.copy_in = !ahead.ended;
        if ahead.unsynced && matches!(self.server.expected.front(), Some(Expect::Execute(_))) {
            self.server.unsynced = true;
        }
    }
}

/// Local replies whose turn has come.
pub(crate) fn emit_locals(slot: u32, server: &mut Server, out: &mut Outbox) {
    while server.expected.front().is_some_and(Expect::is_local) {
        let status = server.status;
        match server.expected.pop() {
            Some(Expect::LocalParse(_)) => out.write(Peer::Client(slot), back::parse_complete),
            Some(Expect::LocalClose(_)) => out.write(Peer::Client(slot), back::close_complete),
            Some(Expect::LocalDeallocate) => out.write(Peer::Client(slot), |v| {
                back::command_complete(v, "DEALLOCATE");
                back::ready(v, status);
            }),
            _ => {}
        }
    }
}
