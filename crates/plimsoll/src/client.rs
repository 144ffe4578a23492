//! A small PostgreSQL client that blocks: enough for the demonstration's
//! traffic, for the console, and for asking a server about its settings.

mod reach;

pub use reach::{ServerError, connect_server};

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rehearse::drive::{Link, Socket};
use wire::back::{Authentication, ErrorFields};
use wire::scram::{ChannelBinding, Keys, client::ClientFirst};
use wire::{back, frame, front, tag};

/// Longest attempt to reach an address.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest silence of the other side before the client gives up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Bytes asked for in one read.
const READ_BYTES: usize = 16 << 10;
/// Largest message taken: the demonstration's own rows are small.
const MESSAGE_MAX: usize = 1 << 20;

/// Where the demonstration connects: all its names are constants.
pub type Target = TargetOf<'static>;

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct TargetOf<'a> {
    /// Where the server or the pooler listens.
    pub address: Address,
    /// The user.
    pub user: &'a str,
    /// The password; unused where the server trusts.
    pub password: &'a str,
    /// The database.
    pub database: &'a str,
}

/// A socket's address.
#[derive(Clone)]
pub enum Address {
    /// TCP, through the pooler.
    Tcp(SocketAddr),
    /// A unix socket's path, straight to the server.
    Unix(PathBuf),
}

/// Why a request failed.
#[derive(Debug)]
pub enum ClientError {
    /// The connection failed or ended.
    Io(io::Error),
    /// The other side said what this client does not understand.
    Protocol(&'static str),
    /// An error reply: SQLSTATE and message.
    Server(String, String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Io(error) if is_silence(error) => f.write_str("no answer in time"),
            ClientError::Io(error) => write!(f, "connection: {error}"),
            ClientError::Protocol(what) => write!(f, "protocol: {what}"),
            ClientError::Server(code, message) => write!(f, "{code} {message}"),
        }
    }
}

impl ClientError {
    /// The SQLSTATE of an error reply.
    pub fn code(&self) -> Option<&str> {
        match self {
            ClientError::Server(code, _) => Some(code),
            _ => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Io(error)
    }
}

impl From<wire::WireError> for ClientError {
    fn from(_: wire::WireError) -> ClientError {
        ClientError::Protocol("a message could not be read")
    }
}

impl From<wire::scram::ScramError> for ClientError {
    fn from(_: wire::scram::ScramError) -> ClientError {
        ClientError::Protocol("the password exchange failed")
    }
}

trait Stream: Read + Write + Send {
    fn set_silence_max(&self, span: Duration) -> io::Result<()>;

    /// Nobody between reads along.
    fn is_private(&self) -> bool;

    /// The bare connection, for who speaks on it himself.
    fn into_link(self: Box<Self>) -> Link;
}

impl Stream for TcpStream {
    fn set_silence_max(&self, span: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(span))?;
        self.set_read_timeout(Some(span))
    }

    fn is_private(&self) -> bool {
        self.peer_addr().is_ok_and(|peer| peer.ip().is_loopback())
    }

    fn into_link(self: Box<Self>) -> Link {
        Link::new(Socket::Tcp(*self), None)
    }
}

impl Stream for UnixStream {
    fn set_silence_max(&self, span: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(span))?;
        self.set_read_timeout(Some(span))
    }

    fn is_private(&self) -> bool {
        true
    }

    fn into_link(self: Box<Self>) -> Link {
        Link::new(Socket::Unix(*self), None)
    }
}

/// A logged-in session. Dropping it says good-bye.
pub struct Client {
    /// `None` once somebody else speaks on it.
    stream: Option<Box<dyn Stream>>,
    input: Vec<u8>,
    /// Where the next message begins in `input`.
    start: usize,
    output: Vec<u8>,
    /// Until when the login is to be over; `None`: it is.
    login_until: Option<Instant>,
}

impl Client {
    /// Connects and logs in.
    pub fn connect(target: &TargetOf<'_>, application: &str) -> Result<Client, ClientError> {
        let stream: Box<dyn Stream> = match &target.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, CONNECT_MAX)?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path)?),
        };
        Client::log_in(stream, SILENCE_MAX, target, application)
    }

    /// Logs in on a connection that stands.
    fn log_in(
        stream: Box<dyn Stream>,
        silence: Duration,
        target: &TargetOf<'_>,
        application: &str,
    ) -> Result<Client, ClientError> {
        stream.set_silence_max(silence)?;
        let mut client = Client {
            stream: Some(stream),
            input: Vec::new(),
            start: 0,
            output: Vec::new(),
            login_until: Some(Instant::now() + silence),
        };
        let parameters = [
            ("user", target.user),
            ("database", target.database),
            ("application_name", application),
        ];
        front::startup(&mut client.output, 0, parameters);
        client.send()?;
        client.authenticate(target.user, target.password)?;
        client.until_ready()?;
        client.login_until = None;
        Ok(client)
    }

    /// Runs SQL and returns the first value of the last row, as text.
    pub fn query(&mut self, sql: &str) -> Result<Option<String>, ClientError> {
        front::query(&mut self.output, sql.as_bytes());
        self.send()?;
        self.until_ready()
    }

    /// Prepares a statement under a name.
    pub fn prepare(&mut self, name: &str, sql: &str) -> Result<(), ClientError> {
        // No types are stated: the server finds them.
        front::parse(&mut self.output, name.as_bytes(), sql.as_bytes(), &[0, 0]);
        front::sync(&mut self.output);
        self.send()?;
        self.until_ready().map(drop)
    }

    /// Executes a prepared statement with one parameter, as text.
    pub fn execute(&mut self, name: &str, value: &str) -> Result<Option<String>, ClientError> {
        // Formats: none stated, so all are text; one value; results as text.
        let mut rest = vec![0, 0, 0, 1];
        let len = i32::try_from(value.len()).map_err(|_| ClientError::Protocol("a long value"))?;
        rest.extend_from_slice(&len.to_be_bytes());
        rest.extend_from_slice(value.as_bytes());
        rest.extend_from_slice(&[0, 0]);
        front::bind_renamed(&mut self.output, b"", name.as_bytes(), &rest);
        front::execute(&mut self.output, b"", 0);
        front::sync(&mut self.output);
        self.send()?;
        self.until_ready()
    }

    /// Says nothing for a while and listens whether the other side ends the
    /// session: then with the reason.
    pub fn listen(&mut self, span: Duration) -> Result<(), ClientError> {
        self.stream()?.set_silence_max(span)?;
        let heard = self.message();
        self.stream()?.set_silence_max(SILENCE_MAX)?;
        match heard {
            Ok((tag::back::ERROR, body)) if is_fatal(&body) => Err(server_error(&body)),
            Ok(_) => Ok(()),
            Err(ClientError::Io(e)) if is_silence(&e) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self) -> Result<(), ClientError> {
        let output = std::mem::take(&mut self.output);
        let sent = self.stream()?.write_all(&output);
        self.output = output;
        self.output.clear();
        Ok(sent?)
    }

    fn stream(&mut self) -> io::Result<&mut Box<dyn Stream>> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.stream.as_mut().ok_or_else(gone)
    }

    /// The bare connection, ready for the next request. Nobody says good-bye on it.
    pub fn into_link(mut self) -> Result<Link, ClientError> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.stream()?.set_silence_max(SILENCE_MAX)?;
        if self.input.len() > self.start {
            return Err(ClientError::Protocol("a message after the login"));
        }
        Ok(self.stream.take().ok_or_else(gone)?.into_link())
    }

    /// Answers the server's questions until it is content.
    fn authenticate(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        let mut first = None;
        let mut last = None;
        loop {
            let (kind, body) = self.message()?;
            if kind != tag::back::AUTHENTICATION {
                return Err(unexpected(kind, &body));
            }
            match Authentication::parse(&body)? {
                Authentication::Ok => return Ok(()),
                // In the clear only where nobody listens, or it is encrypted.
                Authentication::Cleartext if self.stream()?.is_private() => {
                    front::password(&mut self.output, password.as_bytes());
                }
                Authentication::Md5(salt) => {
                    let answer = wire::md5::response(user, password, salt);
                    front::password(&mut self.output, answer.as_bytes());
                }
                Authentication::Sasl(_) => {
                    let exchange = ClientFirst::start(&nonce()?, ChannelBinding::Unavailable)?;
                    let message = exchange.message().as_bytes();
                    front::sasl_initial(&mut self.output, "SCRAM-SHA-256", message);
                    first = Some(exchange);
                }
                Authentication::SaslContinue(data) => {
                    let exchange = first.take().ok_or(ClientError::Protocol("login order"))?;
                    let asked = exchange.server_first(data)?;
                    let keys = Keys::derive(password.as_bytes(), asked.salt(), asked.iterations());
                    let answer = asked.prove(&keys);
                    front::sasl_response(&mut self.output, answer.message().as_bytes());
                    last = Some(answer);
                }
                Authentication::SaslFinal(data) => {
                    let exchange = last.take().ok_or(ClientError::Protocol("login order"))?;
                    exchange.finish(data)?;
                    continue;
                }
                _ => return Err(ClientError::Protocol("another way to log in is asked for")),
            }
            self.send()?;
        }
    }

    /// Runs SQL and returns all values of all rows, as text.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ClientError> {
        front::query(&mut self.output, sql.as_bytes());
        self.send()?;
        let mut rows = Vec::new();
        self.replies(|values| {
            let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
            rows.push(values.iter().map(|v| v.map(text)).collect());
        })?;
        Ok(rows)
    }

    /// Reads replies up to ReadyForQuery; the first value of the last row.
    fn until_ready(&mut self) -> Result<Option<String>, ClientError> {
        let mut value = None;
        self.replies(|values| {
            let first = values.first().copied().flatten();
            value = first.map(|v| String::from_utf8_lossy(v).into_owned());
        })?;
        Ok(value)
    }

    /// Reads replies up to ReadyForQuery. An error reply is the result once
    /// the session is ready again, so that the next request can follow.
    fn replies(&mut self, mut row: impl FnMut(&[Option<&[u8]>])) -> Result<(), ClientError> {
        let mut failed = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                tag::back::READY => return failed.map_or(Ok(()), Err),
                tag::back::ERROR => {
                    let error = server_error(&body);
                    if is_fatal(&body) {
                        return Err(error);
                    }
                    failed = Some(error);
                }
                tag::back::DATA_ROW => row(&back::data_row_values(&body)?),
                _ => {}
            }
        }
    }

    /// The next message: its type and body.
    fn message(&mut self) -> Result<(u8, Vec<u8>), ClientError> {
        loop {
            let rest = self.input.get(self.start..).unwrap_or_default();
            let head = frame::peek(rest).map_err(|_| ClientError::Protocol("a length lies"))?;
            if let Some(head) = head {
                if head.len > MESSAGE_MAX {
                    return Err(ClientError::Protocol("a message is too long"));
                }
                if let Some(body) = rest.get(frame::HEADER..head.len) {
                    let message = (head.tag, body.to_vec());
                    self.start += head.len;
                    return Ok(message);
                }
            }
            self.input.drain(..self.start);
            self.start = 0;
            // Whoever always says something, and never that it is ready, holds nobody up.
            if self.login_until.is_some_and(|until| Instant::now() > until) {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            let mut chunk = [0; READ_BYTES];
            match self.stream()?.read(&mut chunk) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(n) => self
                    .input
                    .extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        front::terminate(&mut self.output);
        self.send().ok();
    }
}

/// The read timeout passed.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}

fn unexpected(kind: u8, body: &[u8]) -> ClientError {
    if kind == tag::back::ERROR {
        server_error(body)
    } else {
        ClientError::Protocol("a message that was not expected at login")
    }
}

fn server_error(body: &[u8]) -> ClientError {
    match ErrorFields::parse(body) {
        Ok(fields) => ClientError::Server(fields.code().to_owned(), fields.message().into_owned()),
        Err(error) => error.into(),
    }
}

fn is_fatal(body: &[u8]) -> bool {
    ErrorFields::parse(body).is_ok_and(|f| matches!(f.severity(), "FATAL" | "PANIC"))
}

/// A fresh nonce: printable, without commas.
fn nonce() -> io::Result<String> {
    let mut bytes = [0; wire::scram::NONCE_LEN];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
