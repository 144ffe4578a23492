//! A socket of any kind, with TLS or without, and what it could not send yet.

use crate::address::{Endpoint, Remote};
use crate::tap::Tapped;
use crate::tls::TlsStream;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

/// A stream socket.
pub(crate) enum Stream {
    Tcp(mio::net::TcpStream),
    /// With a small send buffer, and the most bytes of one write. Linux takes 64 KiB at a time even there, as one
    /// segment; its receiver acknowledges a lone segment after 40 ms, and nothing more goes out before.
    Small(mio::net::TcpStream, usize),
    Unix(mio::net::UnixStream),
}

macro_rules! either {
    ($self:expr, $s:ident => $body:expr) => {
        match $self {
            Stream::Tcp($s) | Stream::Small($s, _) => $body,
            Stream::Unix($s) => $body,
        }
    };
}

/// Send buffers of at least so many bytes need no care.
const ROOMY: usize = 64 << 10;

impl Stream {
    /// A TCP socket whose buffers have this size, where the settings state one.
    pub(crate) fn tcp(socket: mio::net::TcpStream, buffer: Option<u32>) -> Stream {
        match buffer.map(|bytes| bytes as usize) {
            Some(bytes) if bytes < ROOMY => Stream::Small(socket, bytes.max(1024)),
            _ => Stream::Tcp(socket),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        either!(self, s => s.read(buf))
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Small(s, piece) => in_pieces(s, buf, *piece),
            other => either!(other, s => s.write(buf)),
        }
    }
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let Stream::Small(socket, piece) = self else {
            return either!(self, s => s.write_vectored(bufs));
        };
        let mut sent = 0;
        for buf in bufs {
            let taken = match in_pieces(socket, buf, *piece) {
                Ok(taken) => taken,
                Err(error) if sent == 0 => return Err(error),
                // The next write says it again.
                Err(_) => break,
            };
            sent += taken;
            if taken < buf.len() {
                break;
            }
        }
        Ok(sent)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As much as the socket takes, in writes of at most `piece` bytes.
fn in_pieces(socket: &mut mio::net::TcpStream, buf: &[u8], piece: usize) -> io::Result<usize> {
    let mut sent = 0;
    for part in buf.chunks(piece.max(1)) {
        match socket.write(part) {
            Ok(n) => {
                sent += n;
                if n < part.len() {
                    break;
                }
            }
            Err(error) if sent == 0 => return Err(error),
            // Full, or broken: the next write says it again.
            Err(_) => break,
        }
    }
    Ok(sent)
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        either!(self, s => s.register(registry, token, interests))
    }
    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        either!(self, s => s.reregister(registry, token, interests))
    }
    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        either!(self, s => s.deregister(registry))
    }
}

impl Stream {
    pub(crate) fn shutdown_write(&self) {
        let _ = either!(self, s => s.shutdown(Shutdown::Write));
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        either!(self, s => s.take_error()).ok().flatten()
    }

    /// Our end, for SHOW SERVERS.
    pub(crate) fn local_address(&self) -> events::snapshot::Address {
        match self {
            Stream::Tcp(s) | Stream::Small(s, _) => s.local_addr().map_or(
                events::snapshot::Address::Unix,
                events::snapshot::Address::Tcp,
            ),
            Stream::Unix(_) => events::snapshot::Address::Unix,
        }
    }

    /// A unix socket whose other end is a process of the user that we run as.
    /// Only Linux is asked; elsewhere nobody is.
    pub(crate) fn peer_is_owner(&self) -> bool {
        self.peer_uid() == Some(rustix::process::geteuid().as_raw())
    }

    /// The user of the process at the other side of a unix socket.
    pub(crate) fn peer_uid(&self) -> Option<u32> {
        match self {
            Stream::Tcp(_) | Stream::Small(..) => None,
            #[cfg(target_os = "linux")]
            Stream::Unix(s) => {
                let peer = rustix::net::sockopt::socket_peercred(s).ok()?;
                Some(peer.uid.as_raw())
            }
            #[cfg(not(target_os = "linux"))]
            Stream::Unix(_) => None,
        }
    }

    /// The process at the other side of a unix socket.
    pub(crate) fn peer_pid(&self) -> Option<u32> {
        match self {
            Stream::Tcp(_) | Stream::Small(..) => None,
            #[cfg(target_os = "linux")]
            Stream::Unix(s) => {
                let peer = rustix::net::sockopt::socket_peercred(s).ok()?;
                u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
            }
            #[cfg(not(target_os = "linux"))]
            Stream::Unix(_) => None,
        }
    }

    /// A connecting socket is connected.
    pub(crate) fn is_connected(&self) -> bool {
        either!(self, s => s.peer_addr().is_ok())
    }
}

/// A connection as a worker keeps it.
pub(crate) struct Conn {
    pub(crate) stream: Stream,
    pub(crate) tls: Option<Box<TlsStream>>,
    /// Bytes that the socket did not take yet, from `sent` on.
    pub(crate) unsent: Vec<u8>,
    /// The socket may have bytes to read: epoll tells a change only once.
    pub(crate) readable: bool,
    /// The other side has ended its half: read on until the end of file.
    pub(crate) ended: bool,
    /// A TLS handshake runs.
    pub(crate) handshaking: bool,
    /// TLS began without SSLRequest.
    pub(crate) direct: bool,
    /// Nothing was read yet: the first byte may be that of a TLS handshake.
    pub(crate) fresh: bool,
    /// Towards a server: its login is not over.
    pub(crate) logging_in: bool,
    /// Towards a client: channel binding of the certificate that it was shown.
    pub(crate) binding: Option<std::sync::Arc<[u8]>>,
    /// Towards a server: how to connect if it refuses the login.
    pub(crate) other_way: Option<Box<crate::outgoing::OtherWay>>,
    /// Towards a server: where to connect if it must not serve.
    pub(crate) more_hosts: Option<Box<crate::outgoing::MoreHosts>>,
    /// It stands in the worker's list of connections to look at again.
    pub(crate) queued: bool,
    /// A client's: what the observer calls it.
    pub(crate) watched_as: u64,
    /// A client's: how it stands towards a capture of statements.
    pub(crate) tapped: Tapped,
    /// What the system told of it last.
    pub(crate) told: crate::tcp::Told,
    /// A server's: which of the server's hosts and addresses it leads to. A
    /// cancel request for it goes there, and to no other.
    pub(crate) dialled: Option<Box<(Endpoint, Remote)>>,
}

/// What became of a read.
pub(crate) enum Got {
    /// So many bytes; `false`: nothing more is there now.
    Bytes(usize, bool),
    /// Nothing is there now.
    Nothing,
    /// The other side closed.
    End,
    /// The connection broke.
    Broken(io::Error),
}

impl Conn {
    pub(crate) fn new(stream: Stream) -> Conn {
        Conn {
            stream,
            tls: None,
            unsent: Vec::new(),
            readable: false,
            ended: false,
            handshaking: false,
            direct: false,
            fresh: true,
            logging_in: false,
            binding: None,
            other_way: None,
            more_hosts: None,
            queued: false,
            watched_as: crate::observer::UNWATCHED,
            tapped: Tapped::default(),
            told: crate::tcp::Told::default(),
            dialled: None,
        }
    }

    /// Reads once. A read that does not fill the buffer has emptied the
    /// socket, so it is the last one of this turn.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Got {
        let result = match &mut self.tls {
            None => self.stream.read(buf),
            Some(tls) => tls.read_plain(&mut self.stream, buf),
        };
        match result {
            Ok(0) => Got::End,
            Ok(n) => Got::Bytes(n, n == buf.len() || self.ended || self.tls.is_some()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Got::Nothing,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Got::Bytes(0, true),
            Err(e) => Got::Broken(e),
        }
    }

    /// Writes these bytes; what the socket does not take is kept. Returns the
    /// bytes kept, or `None` when the connection is broken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Some(self.left());
        }
        let Conn { tls, stream, .. } = self;
        let sent = taken(|| match tls {
            None => stream.write(bytes),
            Some(tls) => tls.write_plain(stream, bytes),
        })?;
        if sent < bytes.len() {
            self.unsent.extend_from_slice(&bytes[sent..]);
        }
        Some(self.left())
    }

    /// The same for several runs, in one system call.
    pub(crate) fn write_runs(&mut self, runs: &[IoSlice<'_>]) -> Option<usize> {
        if self.tls.is_some() {
            for run in runs {
                self.write(run)?;
            }
            return Some(self.left());
        }
        let mut skip = 0;
        if self.unsent.is_empty() {
            skip = taken(|| self.stream.write_vectored(runs))?;
        }
        for run in runs {
            let sent = skip.min(run.len());
            skip -= sent;
            self.unsent.extend_from_slice(&run[sent..]);
        }
        Some(self.left())
    }

    /// Sends what is left. Returns the bytes still left, or `None` when the
    /// connection is broken.
    pub(crate) fn flush(&mut self) -> Option<usize> {
        if let Some(tls) = &mut self.tls
            && tls.wants_write()
            && let Err(e) = tls.flush(&mut self.stream)
            && e.kind() != io::ErrorKind::WouldBlock
        {
            return None;
        }
        while !self.unsent.is_empty() {
            let result = match &mut self.tls {
                None => self.stream.write(&self.unsent),
                Some(tls) => tls.write_plain(&mut self.stream, &self.unsent),
            };
            match result {
                Ok(0) => break,
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Some(self.left())
    }

    /// Bytes that are not out; those inside TLS count as one.
    fn left(&self) -> usize {
        self.unsent.len() + usize::from(self.tls.as_ref().is_some_and(|t| t.wants_write()))
    }
}

/// How many bytes a write took; `None` when the connection is broken. A signal
/// is no reason to wait: the system would not tell when to go on.
fn taken(mut write: impl FnMut() -> io::Result<usize>) -> Option<usize> {
    loop {
        match write() {
            Ok(n) => return Some(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Some(0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
