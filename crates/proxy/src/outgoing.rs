//! Connections on their way to a server: address, socket, TLS.

use crate::address::{Endpoint, Remote};
use crate::port::Common;
use crate::socket::{Conn, Stream};
use crate::tls::TlsStream;
use config::{SslMode, Tls};
use events::snapshot::Address;
use events::{ConnId, Time};
use relay::PoolKey;
use std::io;
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
    /// TLS is still to be asked for.
    pub(crate) want_tls: bool,
    pub(crate) deadline: Time,
}

impl Outgoing {
    /// TLS settings that apply: never over a unix socket, as libpq.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        match self.endpoint.host {
            config::Host::UnixDir(_) => None,
            config::Host::Tcp(_) | config::Host::List(_) => match self.endpoint.tls.mode {
                // `allow` begins without; a server that insists says so.
                SslMode::Disable | SslMode::Allow => None,
                _ => Some(&self.endpoint.tls),
            },
        }
    }
}

/// Opens a socket towards `remote`; it may still be connecting.
pub(crate) fn dial(common: &Common, remote: &Remote) -> io::Result<(Stream, Address)> {
    match remote {
        Remote::Tcp(address) => {
            let stream = mio::net::TcpStream::connect(*address)?;
            stream.set_nodelay(true)?;
            let plan = Arc::clone(&common.read().plan);
            let socket = socket2::SockRef::from(&stream);
            // `SockRef` borrows the socket; the options are the listener's.
            crate::listen::tune(&socket, &plan.tcp_keepalive, plan.tcp_user_timeout)?;
            Ok((Stream::Tcp(stream), Address::Tcp(*address)))
        }
        Remote::Unix(path) => Ok((
            Stream::Unix(mio::net::UnixStream::connect(path)?),
            Address::Unix,
        )),
    }
}

/// A TLS session towards a server.
pub(crate) fn session(tls: &Tls, endpoint: &Endpoint) -> Result<TlsStream, String> {
    let config =
        crate::tls::client_config(tls, &|path| std::fs::read(path)).map_err(|e| e.to_string())?;
    let name = match &endpoint.host {
        config::Host::Tcp(name) => name.clone(),
        config::Host::UnixDir(_) | config::Host::List(_) => {
            return Err("no TLS over a unix socket".into());
        }
    };
    let name = crate::tls::server_name(&name).map_err(|e| e.to_string())?;
    let session = rustls::ClientConnection::new(config, name).map_err(|e| e.to_string())?;
    Ok(TlsStream::new(session))
}
