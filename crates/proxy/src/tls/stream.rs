//! TLS over a non-blocking socket, for an edge-triggered loop.
//!
//! On rustls' connections without buffers: what an idle connection has read and
//! written whole takes no memory here. Their buffered kin keep 4 KiB each.

mod session;

use rustls::CommonState;
pub use session::Session;
use session::{Next, Sink, Wish, step};
use std::io::{self, ErrorKind, Read, Write};

/// Bytes that one connection may hold encrypted and unsent.
pub const UNSENT_BYTES_MAX: usize = 64 << 10;
/// Bytes asked of the socket at a time: a whole record fits.
const READ_BYTES: usize = 17 << 10;
/// Plaintext of one record.
const RECORD_BYTES: usize = 16 << 10;
/// Encrypted bytes that wait for the rest of a record or of a handshake
/// message; rustls gives up on larger ones earlier.
const INCOMING_MAX: usize = 128 << 10;

/// A TLS connection without its socket: each call brings the socket along and
/// does as much as it can without blocking.
///
/// `WouldBlock` always means that the *socket* has no more to read or no room;
/// plaintext that is already decrypted is handed out first. After a
/// successful read, ask [`TlsStream::has_plain`] and
/// [`TlsStream::socket_drained`] whether to read on: epoll will not say it again.
/// Any call may leave bytes to send ([`TlsStream::wants_write`]), reads too.
pub struct TlsStream {
    session: Session,
    /// Encrypted bytes of records that are not whole yet.
    incoming: Vec<u8>,
    /// Bytes to encrypt once the handshake is over.
    early: Vec<u8>,
    /// Decrypted bytes that nobody had room for, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// Encrypted bytes that the socket did not take yet, from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
    /// What ended it: rustls is not asked again after an error.
    failed: Option<rustls::Error>,
    /// The peer said goodbye.
    closed: bool,
    /// The socket ended.
    ended: bool,
    /// The last read from the socket was short or refused.
    drained: bool,
}

impl std::fmt::Debug for TlsStream {
    /// Without what it carries.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream")
            .field("session", &self.session)
            .field("unsent", &self.unsent())
            .finish_non_exhaustive()
    }
}

impl TlsStream {
    /// Begins either side; nothing is sent before the first call with a socket.
    pub fn new(session: impl Into<Session>) -> TlsStream {
        TlsStream {
            session: session.into(),
            incoming: Vec::new(),
            early: Vec::new(),
            failed: None,
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            sent: 0,
            closed: false,
            ended: false,
            drained: false,
        }
    }

    /// The connection's facts: its certificates, version and ALPN.
    pub fn connection(&self) -> &CommonState {
        match &self.session {
            Session::Server(session) => session,
            Session::Client(session) => session,
        }
    }

    /// The handshake is not over; no binding, no peer certificate yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection().is_handshaking()
    }

    /// Takes in TLS bytes that were read from the socket before this stream
    /// existed (direct TLS: the start of the ClientHello). After an SSLRequest
    /// there must be none: bytes sent in plain before the handshake are an attack.
    pub fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.incoming.extend_from_slice(bytes);
        self.process(&mut Sink::none(), None)
    }

    /// Drives the handshake: `Ok` when it is over and all of it sent,
    /// `WouldBlock` while it waits for the peer or for room.
    pub fn handshake<S: Read + Write>(&mut self, io: &mut S) -> io::Result<()> {
        self.process(&mut Sink::none(), None)?;
        loop {
            self.flush(io)?;
            if !self.is_handshaking() {
                return Ok(());
            }
            if self.receive(io, &mut Sink::none())? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads plaintext until `buf` is full or the socket is empty.
    ///
    /// `Ok(0)`: the peer said goodbye (close_notify), or `buf` is empty.
    /// `UnexpectedEof`: the connection was cut, so the data may be too.
    /// `InvalidData`: not TLS, a bad certificate, a forged record; an alert is on its way out.
    pub fn read_plain<S: Read + Write>(&mut self, io: &mut S, buf: &mut [u8]) -> io::Result<usize> {
        let mut sink = Sink { buf, filled: 0 };
        self.hand_out(&mut sink);
        while !sink.is_full() {
            if self.closed {
                break;
            }
            if self.ended {
                match sink.filled {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    _ => break,
                }
            }
            // A short read emptied the socket: another call would only say so.
            if sink.filled > 0 && self.drained {
                break;
            }
            match self.receive(io, &mut sink) {
                Ok(_) => {}
                Err(_) if sink.filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sink.filled)
    }

    /// Encrypts and sends; returns how many bytes were taken. Taken is not
    /// sent: up to [`UNSENT_BYTES_MAX`] may wait for [`TlsStream::flush`].
    /// `WouldBlock` when nothing could be taken.
    pub fn write_plain<S: Write>(&mut self, io: &mut S, data: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            let rest = data.get(taken..).unwrap_or_default();
            let held = self.unsent() + self.early.len();
            let room = UNSENT_BYTES_MAX.saturating_sub(held);
            let part = rest.get(..rest.len().min(room).min(RECORD_BYTES));
            let part = part.unwrap_or_default();
            let n = if part.is_empty() {
                0
            } else {
                self.encrypt(part)?
            };
            taken += n;
            match self.flush(io) {
                Ok(()) if taken < data.len() && n > 0 => {}
                // Before the handshake's end a bounded amount is kept.
                Ok(()) if taken > 0 || data.is_empty() => return Ok(taken),
                Ok(()) => return Err(ErrorKind::WouldBlock.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock && taken > 0 => {
                    return Ok(taken);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// There are bytes for the socket: call [`TlsStream::flush`] when it is writable.
    pub fn wants_write(&self) -> bool {
        self.unsent() > 0
    }

    /// Sends what waits; `WouldBlock` when some of it must wait on.
    pub fn flush<S: Write>(&mut self, io: &mut S) -> io::Result<()> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|r| !r.is_empty()) {
            match io.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        Ok(())
    }

    /// Says goodbye; [`TlsStream::flush`] as after a write, then close the socket.
    pub fn close<S: Write>(&mut self, io: &mut S) -> io::Result<()> {
        let mut goodbye = Wish {
            data: &[],
            goodbye: true,
            taken: false,
        };
        // What the peer sends now changes nothing.
        let _ = self.process(&mut Sink::none(), Some(&mut goodbye));
        self.flush(io)
    }

    /// Decrypted bytes wait inside: read again, no event will come for them.
    pub fn has_plain(&self) -> bool {
        self.plain.len() > self.taken
    }

    /// The socket was empty at the last read from it, so that an event will
    /// come for more. An end of file that arrived together with the data is
    /// not seen by this; the loop learns of it as for a plain socket.
    pub fn socket_drained(&self) -> bool {
        self.drained
    }

    fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Encrypts all of `data`, or nothing; returns how much that is.
    fn encrypt(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.is_handshaking() {
            self.early.extend_from_slice(data);
            return Ok(data.len());
        }
        let mut wish = Wish {
            data,
            goodbye: false,
            taken: false,
        };
        self.process(&mut Sink::none(), Some(&mut wish))?;
        Ok(if wish.taken { data.len() } else { 0 })
    }

    /// The handshake may be over: then what waited for that goes out.
    fn encrypt_early(&mut self) -> io::Result<()> {
        if self.early.is_empty() || self.is_handshaking() {
            return Ok(());
        }
        for part in std::mem::take(&mut self.early).chunks(RECORD_BYTES) {
            self.encrypt(part)?;
        }
        Ok(())
    }

    /// Plaintext from an earlier call, as far as there is room.
    fn hand_out(&mut self, sink: &mut Sink<'_>) {
        let rest = self.plain.get(self.taken..).unwrap_or_default();
        self.taken += sink.take(rest);
        if !self.has_plain() {
            self.plain = Vec::new();
            self.taken = 0;
        }
    }

    /// One read from the socket, its records decrypted, and what they call for sent if there is room.
    fn receive<S: Read + Write>(&mut self, io: &mut S, sink: &mut Sink<'_>) -> io::Result<usize> {
        let held = self.incoming.len();
        if held >= INCOMING_MAX {
            let error = "a TLS message is too large";
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        self.incoming.resize(held + READ_BYTES, 0);
        let room = self.incoming.get_mut(held..).unwrap_or_default();
        let read = loop {
            match io.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        self.incoming.truncate(held + *read.as_ref().unwrap_or(&0));
        self.drained = match &read {
            Ok(n) => *n < READ_BYTES,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        let processed = match &read {
            Ok(_) => self.process(sink, None).and_then(|()| self.encrypt_early()),
            Err(_) => Ok(()),
        };
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        let n = read?;
        self.ended |= n == 0;
        // Key updates, handshake messages and alerts; a full socket only delays them.
        match self.flush(io) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => processed.and(Err(error)),
            _ => processed.map(|()| n),
        }
    }

    /// Goes on as far as the bytes that are here allow.
    fn process(&mut self, sink: &mut Sink<'_>, mut wish: Option<&mut Wish<'_>>) -> io::Result<()> {
        let mut at = 0;
        while self.failed.is_none() {
            let input = self.incoming.get_mut(at..).unwrap_or_default();
            let (plain, out) = (&mut self.plain, &mut self.outgoing);
            let (discard, next) = step(&mut self.session, input, sink, plain, out, &mut wish);
            at += discard;
            match next {
                Ok(Next::Again) => {}
                Ok(Next::PeerClosed) => self.closed = true,
                Ok(Next::Blocked) => break,
                Err(error) => {
                    self.failed = Some(error);
                    self.encode_alert(sink);
                }
            }
        }
        self.incoming.drain(..at.min(self.incoming.len()));
        match &self.failed {
            Some(error) => Err(io::Error::new(ErrorKind::InvalidData, error.clone())),
            None => Ok(()),
        }
    }

    /// The alert that tells the peer what was wrong. Not one byte of input is
    /// looked at again for it.
    fn encode_alert(&mut self, sink: &mut Sink<'_>) {
        while self.connection().wants_write() {
            let (plain, out) = (&mut self.plain, &mut self.outgoing);
            let (_, next) = step(&mut self.session, &mut [], sink, plain, out, &mut None);
            if !matches!(next, Ok(Next::Again)) {
                return;
            }
        }
    }
}
