//! Connections on their way to a server: address, socket, TLS.

use crate::address::{Endpoint, Remote};
use crate::port::Common;
use crate::socket::{Conn, Stream};
use crate::tls::TlsStream;
use crate::unix::unix_address;
use config::{Host, SslMode};
use events::snapshot::Address;
use events::{ClientId, ConnId, Time};
use relay::PoolKey;
use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a connection is for.
pub(crate) enum Purpose {
    /// A server connection of the hub's.
    Server { slot: u32, conn: ConnId },
    /// A cancel request.
    Cancel {
        server: u32,
        conn: ConnId,
        pool: PoolKey,
        packet: Vec<u8>,
    },
    /// A cancel request for a client of another instance.
    Forward {
        requester: ClientId,
        peer: Endpoint,
        packet: Vec<u8>,
    },
}

/// How far it is.
pub(crate) enum Stage {
    /// The resolver was asked, under this ticket.
    Naming(u64),
    /// The socket is connecting.
    Connecting,
    /// SSLRequest was sent.
    Asked,
    /// The TLS handshake runs.
    Handshake,
    /// A cancel request was sent: its end is awaited.
    Sent,
}

/// A connection on its way.
pub(crate) struct Outgoing {
    pub(crate) purpose: Purpose,
    pub(crate) stage: Stage,
    pub(crate) endpoint: Endpoint,
    /// Further hosts to try, the next one last.
    pub(crate) others: Vec<Endpoint>,
    /// Longest try of one host.
    pub(crate) patience: Duration,
    pub(crate) remotes: Vec<Remote>,
    pub(crate) conn: Option<Conn>,
    pub(crate) address: Address,
    /// The one that is being tried.
    pub(crate) remote: Option<Remote>,
    /// The settings' TLS, built when they were read.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) way: Way,
    /// Why TLS failed, where the plain way is tried after it.
    pub(crate) tls_failure: Option<String>,
    pub(crate) deadline: Time,
}

impl Outgoing {
    /// The handshake failed, and the mode allows the same address without TLS:
    /// then everything is made ready for that.
    pub(crate) fn tls_may_be_left_out(&mut self) -> bool {
        let handshake = matches!(self.stage, Stage::Handshake) && self.way.tls;
        let (true, Some(way), Some(remote)) = (handshake, self.way.next(), self.remote.take())
        else {
            return false;
        };
        self.way = way;
        self.stage = Stage::Connecting;
        self.remotes = vec![remote];
        true
    }
}

/// With TLS or without, and what may follow: libpq's rules for `sslmode`.
/// There is never more than one other way, so a connection has two attempts at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    /// TLS is asked for.
    pub(crate) tls: bool,
    /// A server without TLS is talked to in plain on the same connection.
    pub(crate) plain_is_fine: bool,
    /// When this way fails, the other one may be tried.
    pub(crate) other: bool,
}

impl Way {
    /// The first way of a mode. A unix socket never has TLS, as with libpq.
    pub(crate) fn first(mode: SslMode, host: &Host) -> Way {
        let (tls, plain_is_fine, other) = match (mode, host) {
            (SslMode::Disable, _) | (_, Host::UnixDir(_)) => (false, true, false),
            (SslMode::Allow, _) => (false, true, true),
            (SslMode::Prefer, _) => (true, true, true),
            (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => (true, false, false),
        };
        Way {
            tls,
            plain_is_fine,
            other,
        }
    }

    /// What is tried after this one failed: the last attempt.
    pub(crate) fn next(self) -> Option<Way> {
        self.other.then_some(Way {
            tls: !self.tls,
            plain_is_fine: self.tls,
            other: false,
        })
    }
}

/// A login that the server may refuse and that may then be tried another way:
/// kept with the connection until it is logged in.
pub(crate) struct OtherWay {
    pub(crate) conn: ConnId,
    pub(crate) endpoint: Endpoint,
    pub(crate) remote: Remote,
    pub(crate) way: Way,
}

/// The hosts that are left to try, should the one that is logged in to not do.
pub(crate) struct MoreHosts {
    pub(crate) conn: ConnId,
    /// The next one last.
    pub(crate) others: Vec<Endpoint>,
    pub(crate) patience: Duration,
}

/// Opens a socket towards `remote`; it may still be connecting.
pub(crate) fn dial(common: &Common, remote: &Remote) -> io::Result<(Stream, Address)> {
    match remote {
        Remote::Tcp(address) => {
            let plan = Arc::clone(&common.read().plan);
            Ok((
                Stream::tcp(connecting(*address, &plan)?, plan.sockets.buffer),
                Address::Tcp(*address),
            ))
        }
        Remote::Unix(path) => Ok((
            Stream::Unix(mio::net::UnixStream::connect_addr(&unix_address(path)?)?),
            Address::Unix,
        )),
    }
}

/// A socket on its way to `address`. The size of its buffers is set before, since the two sides agree on the scale of
/// TCP's window when they connect: a small buffer under a large scale moves a few kilobytes in each 200 ms.
fn connecting(address: SocketAddr, plan: &config::Plan) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    crate::listen::tune(&socket, plan)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        _ => {}
    }
    Ok(mio::net::TcpStream::from_std(socket.into()))
}

fn is_under_way(error: &io::Error) -> bool {
    let under_way = rustix::io::Errno::INPROGRESS.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(under_way)
}

/// A TLS session towards a server.
pub(crate) fn session(config: Arc<ClientConfig>, endpoint: &Endpoint) -> Result<TlsStream, String> {
    let name = match &endpoint.host {
        Host::Tcp(name) => name.clone(),
        Host::UnixDir(_) | Host::List(_) => {
            return Err("no TLS over a unix socket".into());
        }
    };
    let name = crate::tls::server_name(&name).map_err(|e| e.to_string())?;
    let session = UnbufferedClientConnection::new(config, name).map_err(|e| e.to_string())?;
    Ok(TlsStream::new(session))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "plain", "tls", and "tls or plain" where the server's "no TLS" is taken.
    fn ways(mode: SslMode, host: &Host) -> Vec<&'static str> {
        let mut found = Vec::new();
        let mut way = Some(Way::first(mode, host));
        while let Some(now) = way {
            found.push(match (now.tls, now.plain_is_fine) {
                (true, true) => "tls or plain",
                (true, false) => "tls",
                (false, _) => "plain",
            });
            assert!(found.len() <= 2, "no end of ways");
            way = now.next();
        }
        found
    }

    #[test]
    fn each_mode_tries_what_libpq_tries() {
        let rows: [(SslMode, &[&str]); 6] = [
            (SslMode::Disable, &["plain"]),
            (SslMode::Allow, &["plain", "tls"]),
            (SslMode::Prefer, &["tls or plain", "plain"]),
            (SslMode::Require, &["tls"]),
            (SslMode::VerifyCa, &["tls"]),
            (SslMode::VerifyFull, &["tls"]),
        ];
        for (mode, expected) in rows {
            assert_eq!(ways(mode, &Host::Tcp("db".into())), expected, "{mode:?}");
            let socket = Host::UnixDir("/run/postgresql".into());
            assert_eq!(ways(mode, &socket), ["plain"], "{mode:?} by a unix socket");
        }
    }
}
