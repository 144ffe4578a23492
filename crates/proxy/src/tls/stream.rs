//! TLS over a non-blocking socket, for an edge-triggered loop.

use rustls::{Connection, IoState};
use std::io::{self, ErrorKind, Read, Write};

/// Bytes that one connection may hold encrypted and unsent.
pub const UNSENT_BYTES_MAX: usize = 64 << 10;

/// A TLS connection without its socket: each call brings the socket along and
/// does as much as it can without blocking.
///
/// `WouldBlock` always means that the *socket* has no more to read or no room;
/// plaintext that rustls has already decrypted is handed out first. After a
/// successful read, ask [`TlsStream::has_plain`] and
/// [`TlsStream::socket_drained`] whether to read on: epoll will not say it again.
/// Any call may leave bytes to send ([`TlsStream::wants_write`]), reads too.
#[derive(Debug)]
pub struct TlsStream {
    conn: Connection,
    /// Decrypted bytes that wait inside rustls.
    plain: usize,
    /// The last read from the socket was short or refused.
    drained: bool,
}

impl TlsStream {
    /// Begins either side; nothing is sent before the first call with a socket.
    pub fn new(conn: impl Into<Connection>) -> TlsStream {
        let mut conn = conn.into();
        conn.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        TlsStream {
            conn,
            plain: 0,
            drained: false,
        }
    }

    /// The connection, for its certificates, version and ALPN.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// The handshake is not over; no binding, no peer certificate yet.
    pub fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    /// Takes in TLS bytes that were read from the socket before this stream
    /// existed (direct TLS: the start of the ClientHello). After an SSLRequest
    /// there must be none: bytes sent in plain before the handshake are an attack.
    pub fn feed(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.conn.read_tls(&mut bytes)?;
            self.process()?;
        }
        Ok(())
    }

    /// Drives the handshake: `Ok` when it is over and all of it sent,
    /// `WouldBlock` while it waits for the peer or for room.
    pub fn handshake<S: Read + Write>(&mut self, io: &mut S) -> io::Result<()> {
        loop {
            self.flush(io)?;
            if !self.conn.is_handshaking() {
                return Ok(());
            }
            if self.receive(io)? == 0 {
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
        let mut filled = 0;
        while let Some(room) = buf.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.conn.reader().read(room) {
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    self.plain = self.plain.saturating_sub(n);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return if filled > 0 { Ok(filled) } else { Err(error) },
            }
            // A short read emptied the socket: another call would only say so.
            if filled > 0 && self.drained {
                break;
            }
            match self.receive(io) {
                // At the end of the stream the reader above says which end it was.
                Ok(_) => {}
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Encrypts and sends; returns how many bytes were taken. Taken is not
    /// sent: up to [`UNSENT_BYTES_MAX`] may wait for [`TlsStream::flush`].
    /// `WouldBlock` when nothing could be taken.
    pub fn write_plain<S: Write>(&mut self, io: &mut S, data: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            let rest = data.get(taken..).unwrap_or_default();
            let n = if rest.is_empty() {
                0
            } else {
                self.conn.writer().write(rest)?
            };
            taken += n;
            match self.flush(io) {
                Ok(()) if taken < data.len() && n > 0 => {}
                // Before the handshake's end rustls keeps a bounded amount back.
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
        self.conn.wants_write()
    }

    /// Sends what waits; `WouldBlock` when some of it must wait on.
    pub fn flush<S: Write>(&mut self, io: &mut S) -> io::Result<()> {
        while self.conn.wants_write() {
            match self.conn.write_tls(io) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says goodbye; [`TlsStream::flush`] as after a write, then close the socket.
    pub fn close<S: Write>(&mut self, io: &mut S) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush(io)
    }

    /// Decrypted bytes wait inside: read again, no event will come for them.
    pub fn has_plain(&self) -> bool {
        self.plain > 0
    }

    /// The socket was empty at the last read from it, so that an event will
    /// come for more. An end of file that arrived together with the data is
    /// not seen by this; the loop learns of it as for a plain socket.
    pub fn socket_drained(&self) -> bool {
        self.drained
    }

    /// One read from the socket, its records decrypted, and what they call for sent if there is room.
    fn receive<S: Read + Write>(&mut self, io: &mut S) -> io::Result<usize> {
        let mut watched = Watched {
            io: &mut *io,
            short: false,
        };
        let n = loop {
            match self.conn.read_tls(&mut watched) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        self.drained = watched.short;
        let n = n?;
        let processed = self.process();
        // Key updates, handshake messages and alerts; a full socket only delays them.
        match self.flush(io) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => processed.and(Err(error)),
            _ => processed.map(|()| n),
        }
    }

    fn process(&mut self) -> io::Result<()> {
        let state: IoState = self
            .conn
            .process_new_packets()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        self.plain = state.plaintext_bytes_to_read();
        Ok(())
    }
}

/// Notes whether the socket gave less than it was asked for.
struct Watched<'a, S> {
    io: &'a mut S,
    short: bool,
}

impl<S: Read> Read for Watched<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.io.read(buf);
        self.short = match &read {
            Ok(n) => *n < buf.len(),
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        read
    }
}
