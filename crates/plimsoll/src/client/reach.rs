//! The way to a database server that a URL names: names, time limits, TLS.

use super::{Client, ClientError, Stream, TargetOf};
use config::{Host, ServerUrl, SslMode};
use rehearse::drive::{Link, Socket};
use rustls::{ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Longest silence of a server that was asked something.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why a server could not be asked.
#[derive(Debug)]
pub enum ServerError {
    /// The name leads to no address.
    Name(String),
    /// Nothing answers there, or not in time.
    Unreachable(io::Error),
    /// TLS is asked for, and cannot be had.
    Tls(String),
    /// The server refused, or did not say what was expected.
    Login(ClientError),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Name(why) => write!(f, "the host has no address: {why}"),
            ServerError::Unreachable(error) if super::is_silence(error) => {
                f.write_str("it cannot be reached: no answer in time")
            }
            ServerError::Unreachable(error) => write!(f, "it cannot be reached: {error}"),
            ServerError::Tls(why) => write!(f, "TLS: {why}"),
            ServerError::Login(error) => write!(f, "{error}"),
        }
    }
}

/// Connects to the server and logs in, each step within a bounded time.
///
/// # Errors
/// What failed, without the password.
pub fn connect_server(server: &ServerUrl, application: &str) -> Result<Client, ServerError> {
    let database = &server.database;
    let secret = database.password.as_ref().map_or("", |p| p.0.as_str());
    let user = database.user.as_deref().unwrap_or_default();
    let name = database.dbname.as_deref().unwrap_or(&database.name);
    let stream: Box<dyn Stream> = match database.host.singles().first() {
        Some(Host::UnixDir(directory)) => {
            let path = directory.join(format!(".s.PGSQL.{}", database.port));
            Box::new(proxy::connect_unix(&path).map_err(ServerError::Unreachable)?)
        }
        Some(Host::Tcp(host)) => over_tcp(host, server)?,
        _ => return Err(ServerError::Name("it names no host".to_owned())),
    };
    let target = TargetOf {
        // Only for a connection that is yet to be made.
        address: super::Address::Unix(Path::new("").to_owned()),
        user,
        password: secret,
        database: name,
    };
    Client::log_in(stream, silence(server), &target, application).map_err(ServerError::Login)
}

/// The URL's connect_timeout bounds the login too, as libpq's does.
fn silence(server: &ServerUrl) -> Duration {
    ANSWER_MAX.min(server.connect_timeout)
}

fn over_tcp(host: &str, server: &ServerUrl) -> Result<Box<dyn Stream>, ServerError> {
    let addresses = (host, server.database.port)
        .to_socket_addrs()
        .map_err(|e| ServerError::Name(e.to_string()))?;
    let begun = Instant::now();
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.take(ADDRESSES_MAX) {
        let left = server.connect_timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            failed = io::Error::from(io::ErrorKind::TimedOut);
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                let limits = stream
                    .set_nodelay(true)
                    .and_then(|()| stream.set_read_timeout(Some(silence(server))))
                    .and_then(|()| stream.set_write_timeout(Some(silence(server))));
                limits.map_err(ServerError::Unreachable)?;
                return protected(stream, host, server);
            }
            Err(error) => failed = error,
        }
    }
    Err(ServerError::Unreachable(failed))
}

/// Asks for TLS as libpq's sslmode says.
fn protected(
    mut stream: TcpStream,
    host: &str,
    server: &ServerUrl,
) -> Result<Box<dyn Stream>, ServerError> {
    let tls = &server.tls;
    if tls.mode == SslMode::Disable {
        return Ok(Box::new(stream));
    }
    if !tls.direct {
        let mut request = Vec::new();
        wire::front::ssl_request(&mut request);
        let mut answer = [0];
        stream
            .write_all(&request)
            .and_then(|()| stream.read_exact(&mut answer))
            .map_err(ServerError::Unreachable)?;
        match (answer, tls.mode >= SslMode::Require) {
            ([b'S'], _) => {}
            ([b'N'], false) => return Ok(Box::new(stream)),
            ([b'N'], true) => {
                return Err(ServerError::Tls("the server offers none".to_owned()));
            }
            _ => return Err(ServerError::Tls("no PostgreSQL answers there".to_owned())),
        }
    }
    let wrong = |error: proxy::tls::TlsError| ServerError::Tls(error.to_string());
    let settings = proxy::tls::client_config(tls, &|path| std::fs::read(path)).map_err(wrong)?;
    let name = proxy::tls::server_name(host).map_err(wrong)?;
    let session = ClientConnection::new(settings, name)
        .map_err(|error| ServerError::Tls(error.to_string()))?;
    let mut stream = StreamOwned::new(session, stream);
    // The handshake here, so that its fault is not taken for a refused login.
    while stream.conn.is_handshaking() {
        let done = stream.conn.complete_io(&mut stream.sock);
        done.map_err(|error| ServerError::Tls(error.to_string()))?;
    }
    if tls.direct && !proxy::tls::speaks_postgresql(&stream.conn) {
        return Err(ServerError::Tls("no PostgreSQL answers there".to_owned()));
    }
    Ok(Box::new(stream))
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn set_silence_max(&self, span: Duration) -> io::Result<()> {
        self.sock.set_silence_max(span)
    }

    fn is_private(&self) -> bool {
        true
    }

    fn into_link(self: Box<Self>) -> Link {
        let tls = Some(Box::new(self.conn));
        Link::new(Socket::Tcp(self.sock), tls)
    }
}
