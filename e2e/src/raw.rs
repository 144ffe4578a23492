//! A tiny protocol 3 client that sends any bytes and shows what came back.
//!
//! It checks nothing beyond framing: what is sent may be wrong on purpose.

mod describe;
mod login;
pub mod message;

pub use describe::{describe_backend, describe_frontend};
pub use message::Backend;

use crate::sandbox::PATIENCE;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Largest message that the client takes.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// Address.
    pub address: Address,
    /// Start-up parameters in order; `user` and `database` among them.
    pub parameters: Vec<(String, String)>,
    /// Password for whatever is asked.
    pub password: Option<String>,
    /// Protocol version of the start-up packet.
    pub version: u32,
    /// Longest wait for bytes.
    pub patience: Duration,
    /// The client's own address, where the system shall not choose it.
    pub from: Option<Ipv4Addr>,
}

/// An address.
#[derive(Clone, Debug)]
pub enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// Path of a socket.
    Unix(PathBuf),
}

impl Target {
    /// By TCP.
    pub fn tcp(host: &str, port: u16, database: &str, user: &str) -> Self {
        Self::new(Address::Tcp(host.into(), port), database, user)
    }

    /// By unix socket.
    pub fn unix(socket: PathBuf, database: &str, user: &str) -> Self {
        Self::new(Address::Unix(socket), database, user)
    }

    fn new(address: Address, database: &str, user: &str) -> Self {
        Target {
            address,
            parameters: vec![
                ("user".into(), user.into()),
                ("database".into(), database.into()),
            ],
            password: None,
            version: 3 << 16,
            patience: PATIENCE,
            from: None,
        }
    }

    /// With a password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// With a start-up parameter.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// With another protocol version.
    pub fn version(mut self, major: u32, minor: u32) -> Self {
        self.version = major << 16 | minor;
        self
    }

    /// With another patience.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// From this address of ours.
    pub fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = Some(address);
        self
    }

    /// As a URL for drivers, by TCP.
    pub fn url(&self) -> String {
        let Address::Tcp(host, port) = &self.address else {
            panic!("URLs are for TCP");
        };
        format!(
            "postgresql://{}@{host}:{port}/{}",
            self.value("user"),
            self.value("database")
        )
    }

    /// A start-up parameter's value.
    pub fn value(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }
}

/// Why a step of a client failed.
#[derive(Debug)]
pub enum Error {
    /// The connection failed or ended.
    Io(io::Error),
    /// The other side answered with ErrorResponse.
    Server(Box<message::Fields>),
    /// It said something that does not belong here.
    Unexpected(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "{error}"),
            Error::Server(fields) => write!(f, "{fields}"),
            Error::Unexpected(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl Error {
    /// SQLSTATE, if the other side gave one.
    pub fn code(&self) -> &str {
        match self {
            Error::Server(fields) => fields.code(),
            _ => "",
        }
    }

    /// Whether nothing came in time.
    pub fn timed_out(&self) -> bool {
        use io::ErrorKind::{TimedOut, WouldBlock};
        matches!(self, Error::Io(error) if matches!(error.kind(), TimedOut | WouldBlock))
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(target: &Target) -> io::Result<Self> {
        Ok(match &target.address {
            Address::Tcp(host, port) => {
                let stream = match target.from {
                    None => TcpStream::connect((host.as_str(), *port))?,
                    Some(address) => connect_from(address, host, *port, target.patience)?,
                };
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        })
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => {
                s.set_read_timeout(Some(patience))?;
                s.set_write_timeout(Some(patience))
            }
            Stream::Unix(s) => {
                s.set_read_timeout(Some(patience))?;
                s.set_write_timeout(Some(patience))
            }
        }
    }
}

fn connect_from(
    address: Ipv4Addr,
    host: &str,
    port: u16,
    patience: Duration,
) -> io::Result<TcpStream> {
    let host: Ipv4Addr = host
        .parse()
        .map_err(|_| io::Error::other("only an IPv4 address has a source address here"))?;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(address, 0).into())?;
    socket.connect_timeout(&SocketAddrV4::new(host, port).into(), patience)?;
    Ok(socket.into())
}

/// A connection, logged in or not.
pub struct Client {
    stream: Stream,
    patience: Duration,
    unread: Vec<u8>,
    read_at: usize,
    /// What the other side said before ReadyForQuery: parameters, key.
    pub greeting: Vec<Backend>,
    /// The key of BackendKeyData: process id and secret.
    pub key: Option<(u32, Vec<u8>)>,
}

impl Client {
    /// Connects without sending anything.
    pub fn connect(target: &Target) -> Result<Self, Error> {
        let stream = Stream::connect(target)?;
        stream.set_patience(target.patience)?;
        Ok(Client {
            stream,
            patience: target.patience,
            unread: Vec::new(),
            read_at: 0,
            greeting: Vec::new(),
            key: None,
        })
    }

    /// Connects and logs in, to the first ReadyForQuery.
    pub fn login(target: &Target) -> Result<Self, Error> {
        let mut client = Self::connect(target)?;
        client.send(&message::startup(target.version, &target.parameters))?;
        login::answer(&mut client, target)?;
        Ok(client)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.stream {
            Stream::Tcp(s) => s.write_all(bytes)?,
            Stream::Unix(s) => s.write_all(bytes)?,
        }
        Ok(())
    }

    /// The next message.
    pub fn read(&mut self) -> Result<Backend, Error> {
        let head: [u8; 5] = self.exactly(5)?.try_into().expect("five bytes");
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..MESSAGE_BYTES_MAX).contains(&length) {
            let tag = char::from(head[0]);
            return Err(Error::Unexpected(format!("{tag:?} with length {length}")));
        }
        let body = self.exactly(length - 4)?;
        Ok(Backend { tag: head[0], body })
    }

    /// One byte, as after SSLRequest.
    pub fn read_byte(&mut self) -> Result<u8, Error> {
        Ok(self.exactly(1)?[0])
    }

    fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        while self.unread.len() - self.read_at < count {
            self.unread.drain(..self.read_at);
            self.read_at = 0;
            let mut chunk = [0; 64 << 10];
            let read = match &mut self.stream {
                Stream::Tcp(s) => s.read(&mut chunk),
                Stream::Unix(s) => s.read(&mut chunk),
            };
            let n = match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if n == 0 {
                return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            self.unread.extend_from_slice(&chunk[..n]);
        }
        let bytes = self.unread[self.read_at..self.read_at + count].to_vec();
        self.read_at += count;
        Ok(bytes)
    }

    /// Messages up to and with ReadyForQuery. An end before it is told with the last error that came.
    pub fn read_to_ready(&mut self) -> Result<Vec<Backend>, Error> {
        let mut messages: Vec<Backend> = Vec::new();
        loop {
            let message = match self.read() {
                Ok(message) => message,
                Err(end) => {
                    let last = messages.iter().rev().find(|message| message.tag == b'E');
                    return Err(last.map_or(end, |m| Error::Server(Box::new(m.fields()))));
                }
            };
            let ready = message.tag == b'Z';
            messages.push(message);
            if ready {
                return Ok(messages);
            }
        }
    }

    /// Sends a Query and reads to ReadyForQuery.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Backend>, Error> {
        self.send(&message::query(sql))?;
        self.read_to_ready()
    }

    /// Sends a Query; its rows as text, or its first error.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        rows(self.query(sql)?)
    }

    /// The first column of the first row.
    pub fn value(&mut self, sql: &str) -> Result<String, Error> {
        let rows = self.rows(sql)?;
        rows.into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .ok_or_else(|| Error::Unexpected("no row".into()))
    }

    /// Waits that long for a message; `None` if none came.
    pub fn read_within(&mut self, patience: Duration) -> Result<Option<Backend>, Error> {
        self.stream.set_patience(patience)?;
        let result = self.read();
        self.stream.set_patience(self.patience)?;
        match result {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.timed_out() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads until the other side closes; what it said.
    pub fn read_to_end(&mut self) -> Result<Vec<Backend>, Error> {
        let mut messages = Vec::new();
        loop {
            match self.read() {
                Ok(message) => messages.push(message),
                Err(error) if error.timed_out() => return Err(error),
                Err(Error::Unexpected(what)) => return Err(Error::Unexpected(what)),
                Err(_) => return Ok(messages),
            }
        }
    }

    /// Says that it will send no more, and goes on reading.
    pub fn finish_sending(&self) {
        let _ = match &self.stream {
            Stream::Tcp(s) => s.shutdown(Shutdown::Write),
            Stream::Unix(s) => s.shutdown(Shutdown::Write),
        };
    }

    /// A cancel request for this session.
    pub fn cancel_request(&self) -> Vec<u8> {
        let (pid, secret) = self.key.as_ref().expect("a key");
        message::cancel(*pid, secret)
    }

    /// Ends politely.
    pub fn terminate(mut self) {
        let _ = self.send(&message::empty(b'X'));
    }
}

/// Sends a cancel request and waits until the other side has closed.
pub fn cancel(target: &Target, request: &[u8]) -> Result<(), Error> {
    let mut client = Client::connect(target)?;
    client.send(request)?;
    client.read_to_end().map(|_| ())
}

/// The rows among messages, or the first error.
pub fn rows(messages: Vec<Backend>) -> Result<Vec<Vec<String>>, Error> {
    let mut rows = Vec::new();
    for message in messages {
        match message.tag {
            b'E' => return Err(Error::Server(Box::new(message.fields()))),
            b'D' => rows.push(message.columns()),
            _ => {}
        }
    }
    Ok(rows)
}
