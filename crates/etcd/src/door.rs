//! Connections: some are kept for the next question, a broken one is never asked
//! twice, and the endpoint that answered last is asked next.

use crate::{ANSWER_BYTES_MAX, Error, Settings, read, tls};
use bytes::Bytes;
use config::ETCD_ENDPOINTS_MAX;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;

/// Of an answer's head.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;
/// Connections that are kept between questions.
const IDLE_MAX: usize = 8;
/// A connection on which nothing moves is asked whether it lives after so long,
const QUIET_MAX: Duration = Duration::from_secs(10);
/// and so often, before it is given up.
const PROBES: u32 = 3;
const PROBE_PAUSE: Duration = Duration::from_secs(3);

/// One member of the cluster.
#[derive(Clone, Debug)]
struct Endpoint {
    host: String,
    port: u16,
    secure: bool,
    authority: String,
}

/// A connection, and the task that moves its bytes.
struct Line {
    endpoint: usize,
    sender: SendRequest<Full<Bytes>>,
    driven: Driven,
}

pub(crate) struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is asked: a path of the gateway and its JSON.
#[derive(Clone)]
pub(crate) struct Question {
    pub path: &'static str,
    pub body: Bytes,
    pub token: Option<String>,
}

/// Which endpoint a question went to, once it did.
struct Asked(AtomicUsize);

impl Asked {
    const NOBODY: usize = usize::MAX;

    fn new() -> Asked {
        Asked(AtomicUsize::new(Asked::NOBODY))
    }

    fn set(&self, endpoint: usize) {
        self.0.store(endpoint, Ordering::Relaxed);
    }

    fn endpoint(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != Asked::NOBODY)
    }
}

pub(crate) struct Door {
    endpoints: Vec<Endpoint>,
    /// The endpoint to ask next.
    turn: AtomicUsize,
    /// Touched by each call for a moment; never held over a wait.
    idle: Mutex<Vec<Line>>,
}

impl Door {
    pub fn new(settings: &Settings) -> Result<Door, Error> {
        let endpoints: Result<Vec<Endpoint>, Error> =
            settings.endpoints.iter().map(|e| endpoint(e)).collect();
        let endpoints = endpoints?;
        if endpoints.is_empty() || endpoints.len() > ETCD_ENDPOINTS_MAX {
            let text = format!("between 1 and {ETCD_ENDPOINTS_MAX} endpoints of etcd are needed");
            return Err(Error::Settings(text));
        }
        Ok(Door {
            endpoints,
            turn: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// One question and its whole answer, until `by`.
    pub async fn ask(
        &self,
        settings: &Settings,
        question: &Question,
        by: Instant,
    ) -> Result<Bytes, Error> {
        let asked = Asked::new();
        let exchange = self.exchange(settings, question, by, &asked);
        match timeout_at(by, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("nothing came within {:?}", settings.answer_max);
                Err(match asked.endpoint() {
                    Some(endpoint) => {
                        self.leave(endpoint);
                        Error::Lost(text)
                    }
                    None => Error::Unreachable(text),
                })
            }
        }
    }

    async fn exchange(
        &self,
        settings: &Settings,
        question: &Question,
        by: Instant,
        asked: &Asked,
    ) -> Result<Bytes, Error> {
        let (line, response) = self.send(settings, question, by, asked).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let body = match body.await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(Error::nonsense("the answer is too large"));
            }
            Err(_) => {
                self.leave(line.endpoint);
                return Err(Error::Lost("the answer broke off".into()));
            }
        };
        let endpoint = line.endpoint;
        self.keep(line);
        if status == StatusCode::OK {
            return Ok(body);
        }
        let refusal = read::refusal(status.as_u16(), &body);
        if matches!(refusal, Error::Lost(_) | Error::Nonsense(_)) {
            // This member has no leader, or is no etcd.
            self.leave(endpoint);
        }
        Err(refusal)
    }

    /// A question whose answer goes on; the caller reads it. Nothing may wait for
    /// its end.
    pub async fn stream(
        &self,
        settings: &Settings,
        question: &Question,
        by: Instant,
    ) -> Result<(Incoming, Driven), Error> {
        let asked = Asked::new();
        let late = |_| Error::Unreachable(format!("nothing came within {:?}", settings.answer_max));
        let sent = self.send(settings, question, by, &asked);
        let (line, response) = timeout_at(by, sent).await.map_err(late)??;
        if response.status() == StatusCode::OK {
            return Ok((response.into_body(), line.driven));
        }
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let body = timeout_at(by, body).await;
        let body = body
            .map_err(late)?
            .map(|b| b.to_bytes())
            .unwrap_or_default();
        Err(read::refusal(status, &body))
    }

    /// Sends it once: on a connection that is there, or on a new one to the first
    /// endpoint that takes one.
    async fn send(
        &self,
        settings: &Settings,
        question: &Question,
        by: Instant,
        asked: &Asked,
    ) -> Result<(Line, Response<Incoming>), Error> {
        while let Some(mut line) = self.waiting() {
            let request = self.request(question, line.endpoint)?;
            asked.set(line.endpoint);
            match line.sender.try_send_request(request).await {
                Ok(response) => return Ok((line, response)),
                Err(mut error) => {
                    // It closed before anything was sent: the question is still ours.
                    if error.take_message().is_some() {
                        asked.set(Asked::NOBODY);
                        continue;
                    }
                    self.leave(line.endpoint);
                    return Err(self.broken(line.endpoint, &error.into_error()));
                }
            }
        }
        let mut line = self.connect_somewhere(settings, by).await?;
        let request = self.request(question, line.endpoint)?;
        asked.set(line.endpoint);
        match line.sender.send_request(request).await {
            Ok(response) => Ok((line, response)),
            Err(error) => {
                self.leave(line.endpoint);
                Err(self.broken(line.endpoint, &error))
            }
        }
    }

    fn request(&self, question: &Question, at: usize) -> Result<Request<Full<Bytes>>, Error> {
        let authority = &self.endpoints[at].authority;
        let mut request = Request::post(question.path)
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &question.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        request
            .body(Full::new(question.body.clone()))
            .map_err(|_| Error::nonsense("a token that cannot be sent"))
    }

    async fn connect_somewhere(&self, settings: &Settings, by: Instant) -> Result<Line, Error> {
        let count = self.endpoints.len();
        // Each has its part of the time, so that one that is silent does not take it all.
        let left = by.saturating_duration_since(Instant::now());
        let part = left / (count as u32 + 1);
        let first = self.turn.load(Ordering::Relaxed);
        let mut last = Error::Unreachable("no endpoint".into());
        for step in 0..count {
            let at = (first + step) % count;
            let late = |_| Error::Unreachable(format!("no connection within {part:?}"));
            let tried = tokio::time::timeout(part, self.connect(settings, at)).await;
            match tried.map_err(late).and_then(|connected| connected) {
                Ok(line) => {
                    self.turn.store(at, Ordering::Relaxed);
                    return Ok(line);
                }
                Err(error @ Error::Settings(_)) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(&self, settings: &Settings, at: usize) -> Result<Line, Error> {
        let Endpoint {
            host, port, secure, ..
        } = &self.endpoints[at];
        let failed = |error: std::io::Error| {
            Error::Unreachable(format!("{}: {error}", self.endpoints[at].authority))
        };
        let socket = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(failed)?;
        let _ = socket.set_nodelay(true);
        let probes = TcpKeepalive::new()
            .with_time(QUIET_MAX)
            .with_interval(PROBE_PAUSE)
            .with_retries(PROBES);
        let _ = SockRef::from(&socket).set_tcp_keepalive(&probes);
        if !secure {
            return shake(at, socket).await;
        }
        let connector = tls::of(settings)?;
        let name = ServerName::try_from(host.clone())
            .map_err(|_| Error::Settings("an endpoint's name cannot be checked".into()))?;
        let stream = connector.connect(name, socket).await.map_err(failed)?;
        shake(at, stream).await
    }

    /// A connection that broke under a question. Where the other side turned down our
    /// certificate it has not read the question: with TLS 1.3 it says so only then.
    fn broken(&self, at: usize, error: &hyper::Error) -> Error {
        let authority = &self.endpoints[at].authority;
        match tls::turned_down(error) {
            Some(alert) => Error::Unreachable(format!(
                "{authority}: it turns down our certificate, or that there is none: {alert}"
            )),
            None => Error::Lost(format!("{authority}: {error}")),
        }
    }

    /// One that can be asked at once.
    fn waiting(&self) -> Option<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(line) = idle.pop() {
            if line.sender.is_ready() {
                return Some(line);
            }
        }
        None
    }

    fn keep(&self, line: Line) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !line.sender.is_closed() {
            idle.push(line);
        }
    }

    /// This one did not answer: the next one's turn, on new connections.
    fn leave(&self, endpoint: usize) {
        let next = (endpoint + 1) % self.endpoints.len();
        let (order, at) = (Ordering::Relaxed, endpoint);
        let _ = self.turn.compare_exchange(at, next, order, order);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|line| line.endpoint != endpoint);
    }
}

async fn shake(
    endpoint: usize,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Line, Error> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::Unreachable(error.to_string()))?;
    let driven = Driven(tokio::spawn(async move {
        let _ = connection.await;
    }));
    Ok(Line {
        endpoint,
        sender,
        driven,
    })
}

fn endpoint(text: &str) -> Result<Endpoint, Error> {
    let wrong = || {
        Error::Settings(format!(
            "endpoint {text:?} is not http://host:port or https://host:port"
        ))
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    let plain = uri.path().len() <= 1 && uri.query().is_none();
    // A name and password in the address would end up in logs.
    if !plain || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    Ok(Endpoint {
        host,
        port: authority.port_u16().unwrap_or(2379),
        secure,
        authority: authority.to_string(),
    })
}
