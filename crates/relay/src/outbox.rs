//! What a dispatch wants written and done.

use crate::directory::{PoolKey, Replication};
use events::snapshot::Address;
use events::{ClientId, CloseReason, ConnId, Time};
use std::sync::Arc;

/// One end of the hub, by its slot in the worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Peer {
    /// A client connection.
    Client(u32),
    /// A server connection.
    Server(u32),
}

/// Where a segment's bytes stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// In the input that was handed to the dispatch.
    Input,
    /// In the outbox's own buffer.
    Own,
}

/// A run of bytes for one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Who gets them.
    pub to: Peer,
    /// Where they stand.
    pub source: Source,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// What the shell must do besides writing. Segments are written first.
#[derive(Debug)]
pub enum Command {
    /// Close a client connection once what is queued for it was written. The
    /// hub has forgotten the slot.
    CloseClient {
        /// Its slot.
        slot: u32,
        /// Who it was; for the log.
        name: ClientName,
        /// Why.
        reason: CloseReason,
        /// What it was told at the end; `None`: nothing.
        said: Option<Box<str>>,
    },
    /// Close a server connection; the hub has forgotten the slot. The shell
    /// tells the pool `closed` when the socket is gone.
    CloseServer {
        /// Its slot.
        slot: u32,
        /// Its id in the pool.
        conn: ConnId,
        /// The pool that it belongs to.
        pool: PoolKey,
        /// Why.
        reason: CloseReason,
        /// Its number and when it was opened; for the log.
        name: ServerName,
    },
    /// A server connection could not be opened or logged in; the hub has
    /// forgotten the slot, and the pool knows.
    ServerFailed {
        /// Its slot.
        slot: u32,
        /// Its id in the pool.
        conn: ConnId,
        /// Its pool.
        pool: PoolKey,
        /// Why.
        reason: CloseReason,
        /// The server's or the system's own words.
        text: Box<str>,
        /// Its number and when it was opened; for the log.
        name: ServerName,
        /// The words are the server's.
        by_server: bool,
    },
    /// Begin TLS with a client: the answer 'S' stands in the segments.
    StartTls {
        /// Its slot.
        slot: u32,
    },
    /// The peer may be read again.
    Resume(Peer),
    /// Derive SCRAM keys away from this thread; answer with `Hub::derived`.
    Derive {
        /// For whom.
        peer: Peer,
        /// The slot's generation, handed back with the answer.
        generation: u32,
        /// The password, salt and iterations.
        job: DeriveJob,
    },
    /// A cancel request came in on client slot `slot`: find its worker and call
    /// `Hub::cancel` there; then `Hub::cancel_requester_done`.
    Cancel {
        /// The requester's slot.
        slot: u32,
        /// Process number as handed out by us.
        pid: i32,
        /// Secret as handed out by us.
        key: Box<[u8]>,
        /// Another instance passed it on: it goes no further.
        forwarded: bool,
    },
    /// Open a connection to the server of `conn` and send this cancel request;
    /// at its end call `Hub::cancel_ended`.
    CancelServer {
        /// Slot of the server session.
        slot: u32,
        /// Its id.
        conn: ConnId,
        /// Its pool.
        pool: PoolKey,
        /// The CancelRequest packet.
        packet: Vec<u8>,
    },
    /// A console client sent a statement; answer with `Hub::console_reply`.
    Console {
        /// The client.
        client: ClientId,
        /// The statement text.
        text: Box<[u8]>,
    },
    /// DDL was seen: other workers call `Hub::ddl_seen`.
    Ddl {
        /// The pool whose database changed.
        pool: PoolKey,
    },
    /// A client got an error of ours; for the log.
    Told {
        /// Its slot.
        slot: u32,
        /// Who it is.
        name: ClientName,
        /// The code.
        code: &'static str,
        /// What it says.
        text: Box<str>,
    },
    /// A login cannot go on because of the settings; for the log.
    Misconfigured {
        /// Its slot.
        slot: u32,
        /// Whose login it is.
        name: ClientName,
        /// What is wrong.
        text: Box<str>,
    },
    /// A client has said who it is, and its proof is asked for; for the log.
    LoginAttempt {
        /// Its slot.
        slot: u32,
        /// Who it is.
        name: ClientName,
        /// TLS version and cipher; `None`: it has none.
        tls: Option<Box<str>>,
        /// The replication that it asks for.
        replication: Replication,
        /// Why that is worth a line of its own.
        note: LoginNote,
    },
    /// The look-up of a client's secret failed; for the log.
    LookUpFailed {
        /// Who it is.
        name: ClientName,
        /// The server's words.
        text: Box<str>,
    },
    /// A client finished its login; for the log.
    LoggedIn {
        /// Who it is.
        name: ClientName,
    },
}

/// How a client is called in logs: as in SHOW CLIENTS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientName {
    /// The column `id`, which KILL_CLIENT takes.
    pub id: u64,
    /// The user of its start-up packet; empty before that.
    pub user: Arc<str>,
    /// The database of its start-up packet; empty before that.
    pub database: Arc<str>,
    /// Where it comes from.
    pub addr: Address,
    /// When it connected.
    pub since: Time,
}

/// How a server connection is called in logs: as in SHOW SERVERS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerName {
    /// The column `id`.
    pub id: u64,
    /// When the pool asked for it.
    pub since: Time,
}

/// What a log says of a login beside its attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoginNote {
    /// Nothing.
    Nothing,
    /// The pooler knows no secret of this user.
    NoSuchUser,
    /// It enters the console as the system's user that the pooler runs as.
    Owner,
}

/// A key derivation (PBKDF2), a millisecond or more of CPU.
pub struct DeriveJob {
    /// The password in the clear.
    pub password: Box<str>,
    /// Salt.
    pub salt: Box<[u8]>,
    /// Iterations.
    pub iterations: u32,
}

impl std::fmt::Debug for DeriveJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "DeriveJob {{ password: …, iterations: {} }}",
            self.iterations
        )
    }
}

/// Output of a dispatch. One per worker, reused: in the steady state it does
/// not allocate.
#[derive(Default, Debug)]
pub struct Outbox {
    segments: Vec<Segment>,
    own: Vec<u8>,
    commands: Vec<Command>,
}

/// Bytes of a client or server on their way through a dispatch: the shell's
/// input, or what the session held back.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'a> {
    pub(crate) bytes: &'a [u8],
    /// Position of `bytes[0]` in the shell's input; `None` for held bytes,
    /// which are copied out because the session drops them.
    pub(crate) base: Option<usize>,
}

impl Outbox {
    /// Empty.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    /// The runs of bytes to write, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The bytes of a segment, given the dispatch's input.
    pub fn bytes<'a>(&'a self, segment: &Segment, input: &'a [u8]) -> &'a [u8] {
        match segment.source {
            Source::Input => input.get(segment.start..segment.end).unwrap_or(&[]),
            Source::Own => self.own.get(segment.start..segment.end).unwrap_or(&[]),
        }
    }

    /// The segments and own bytes are done with.
    pub fn clear_segments(&mut self) {
        self.segments.clear();
        self.own.clear();
        if self.own.capacity() > OWN_KEPT {
            self.own.shrink_to(OWN_KEPT);
        }
    }

    /// Adds what another outbox holds.
    pub fn append(&mut self, mut other: Outbox) {
        let base = self.own.len();
        self.own.extend_from_slice(&other.own);
        self.segments
            .extend(other.segments.iter().map(|s| match s.source {
                Source::Input => *s,
                Source::Own => Segment {
                    start: s.start + base,
                    end: s.end + base,
                    ..*s
                },
            }));
        self.commands.append(&mut other.commands);
    }

    /// Takes the commands.
    pub fn take_commands(&mut self, into: &mut impl Extend<Command>) {
        into.extend(self.commands.drain(..));
    }

    /// Nothing to write or do.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.commands.is_empty()
    }

    /// There are commands.
    pub fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Passes `feed.bytes[start..end]` on.
    #[inline]
    pub(crate) fn pass(&mut self, to: Peer, feed: Feed<'_>, start: usize, end: usize) {
        if start == end {
            return;
        }
        match feed.base {
            Some(base) => self.segment(to, Source::Input, base + start, base + end),
            None => {
                let at = self.own.len();
                self.own.extend_from_slice(&feed.bytes[start..end]);
                self.segment(to, Source::Own, at, self.own.len());
            }
        }
    }

    /// Writes a message of our own.
    pub(crate) fn write(&mut self, to: Peer, build: impl FnOnce(&mut Vec<u8>)) {
        let at = self.own.len();
        build(&mut self.own);
        let end = self.own.len();
        if end > at {
            self.segment(to, Source::Own, at, end);
        }
    }

    #[inline]
    fn segment(&mut self, to: Peer, source: Source, start: usize, end: usize) {
        if let Some(last) = self.segments.last_mut()
            && last.to == to
            && last.source == source
            && last.end == start
        {
            last.end = end;
            return;
        }
        self.segments.push(Segment {
            to,
            source,
            start,
            end,
        });
    }
}

/// What the own buffer keeps between dispatches, bytes.
const OWN_KEPT: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ranges_become_one_segment() {
        let input = b"abcdef";
        let mut out = Outbox::new();
        let feed = Feed {
            bytes: input,
            base: Some(0),
        };
        out.pass(Peer::Client(1), feed, 0, 2);
        out.pass(Peer::Client(1), feed, 2, 4);
        out.write(Peer::Client(1), |v| v.extend_from_slice(b"own"));
        out.pass(Peer::Server(1), feed, 4, 6);
        let texts: Vec<_> = out
            .segments()
            .iter()
            .map(|s| out.bytes(s, input).to_vec())
            .collect();
        assert_eq!(texts, [b"abcd".to_vec(), b"own".to_vec(), b"ef".to_vec()]);
    }

    #[test]
    fn held_bytes_are_copied() {
        let mut out = Outbox::new();
        {
            let held = b"held".to_vec();
            out.pass(
                Peer::Server(0),
                Feed {
                    bytes: &held,
                    base: None,
                },
                1,
                4,
            );
        }
        assert_eq!(out.bytes(&out.segments()[0], b""), b"eld");
    }
}
