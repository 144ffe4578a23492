//! A logged-in connection as bytes: TCP, unix socket or TLS, without blocking.

use rustls::ClientConnection;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// Opens connections for the generator. It may block: it is called on threads of its own.
pub trait Connector: Send + Sync {
    /// A connection that is logged in and ready.
    ///
    /// # Errors
    /// Why there is none, without secrets.
    fn connect(&self) -> Result<Link, String>;
}

/// A logged-in connection.
pub struct Link {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
}

/// The socket below.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Link {
    /// A connection on which the server said that it is ready, and nothing after.
    pub fn new(socket: Socket, tls: Option<Box<ClientConnection>>) -> Link {
        Link { socket, tls }
    }

    /// From now on nothing blocks.
    pub(crate) fn unblock(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => stream.set_nonblocking(true),
            Socket::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// What the event loop watches.
    pub(crate) fn fd(&self) -> RawFd {
        match &self.socket {
            Socket::Tcp(stream) => stream.as_raw_fd(),
            Socket::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Reads what is there; 0: the other side closed.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(into),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).read(into),
        }
    }

    /// Writes what can be written, and takes it from the begin of `out`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            let rest = out.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break self.flush();
            }
            let wrote = match &mut self.tls {
                None => self.socket.write(rest),
                Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).write(rest),
            };
            match wrote {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(many) => sent += many,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        out.drain(..sent);
        match result {
            // The rest follows when the socket takes more.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }

    /// What TLS has encrypted and the socket has not taken yet.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
