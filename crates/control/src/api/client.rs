//! Who asks: the command line's side of the API.

use crate::settings::keeper::{
    Applied, ApplyAsk, AskError, HistoryLine, Planned, RollbackAsk, Status, VersionText,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How often somebody who listens is asked whether they go on.
const LOOK: Duration = Duration::from_millis(100);
/// For one question: somewhat more than the pooler takes at most.
const TIME_MAX: Duration = Duration::from_secs(70);

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there.
    Nobody(String, io::Error),
    /// It listens, and does not answer as it should.
    Broken(String),
    /// It says no.
    Refused(AskError),
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientError::Nobody(place, error) => {
                write!(f, "no pooler answers on {place}: {error}")
            }
            ClientError::Broken(what) => write!(f, "the pooler's answer: {what}"),
            ClientError::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A pooler's API. Each question is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    place: Place,
    patience: Duration,
}

#[derive(Clone)]
enum Place {
    Socket(PathBuf),
    /// Without a token as anybody, who may read unless `anonymous = "none"`.
    Tcp {
        address: SocketAddr,
        token: Option<String>,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Socket(path) => path.display().fmt(f),
            Place::Tcp { address, .. } => write!(f, "http://{address}"),
        }
    }
}

impl std::fmt::Debug for Place {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// The pooler whose socket is there.
    pub fn new(path: impl Into<PathBuf>) -> Client {
        Client {
            place: Place::Socket(path.into()),
            patience: TIME_MAX,
        }
    }

    /// The same, but an answer that takes longer than this is none.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Client {
        self.patience = patience.min(TIME_MAX);
        self
    }

    /// The pooler whose API listens at `url`, as `http://127.0.0.1:9931`; without a
    /// token it answers what it answers anybody.
    ///
    /// # Errors
    /// What is wrong with the URL or the token, in one line with what to do.
    pub fn tcp(url: &str, token: Option<&str>) -> Result<Client, String> {
        let forward = "forward its port (ssh -L 9931:127.0.0.1:9931 HOST) and name that";
        let place = url.trim_end_matches('/');
        if place.starts_with("https://") {
            return Err(format!("{url}: TLS is not spoken here; {forward}"));
        }
        let place = place.strip_prefix("http://").unwrap_or(place);
        let place = match place.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => place.to_owned(),
        };
        let address: SocketAddr = place
            .parse()
            .map_err(|_| format!("{url} is no place of an API; write http://127.0.0.1:PORT"))?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{url}: the token would travel in clear text; {forward}"
            ));
        }
        let token = token.map(str::trim);
        let sound = |t: &str| !t.is_empty() && t.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if token.is_some_and(|token| !sound(token)) {
            return Err(
                "there is no token: name its file with --token-file, or set PLIMSOLL_TOKEN"
                    .to_owned(),
            );
        }
        let token = token.map(str::to_owned);
        Ok(Client {
            place: Place::Tcp { address, token },
            patience: TIME_MAX,
        })
    }

    /// How this instance is.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn instance(&self) -> Answer<super::InstanceStatus> {
        self.get("/v1/status")
    }

    /// The other instances of its fleet; `None`: it has no channel to them, or is of
    /// a version that knows none.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn fleet(&self) -> Answer<Option<crate::fleet::FleetView>> {
        match self.get("/v1/fleet") {
            Ok(view) => Ok(Some(view)),
            Err(ClientError::Refused(error)) if is_absent(&error.kind) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What serves.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn status(&self) -> Answer<Status> {
        self.get("/v1/settings")
    }

    /// The newest versions, so many.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn history(&self, most: u32) -> Answer<Vec<HistoryLine>> {
        self.get(&format!("/v1/settings/history?most={most}"))
    }

    /// One version.
    ///
    /// # Errors
    /// There is none; or nobody answers.
    pub fn version(&self, id: u64) -> Answer<VersionText> {
        self.get(&format!("/v1/settings/versions/{id}"))
    }

    /// What a change would do.
    ///
    /// # Errors
    /// The settings have mistakes; or nobody answers.
    pub fn plan(&self, ask: &ApplyAsk) -> Answer<Planned> {
        self.post("/v1/settings/plan", ask)
    }

    /// Begins a change.
    ///
    /// # Errors
    /// Why it is not begun.
    pub fn apply(&self, ask: &ApplyAsk) -> Answer<Applied> {
        self.post("/v1/settings/apply", ask)
    }

    /// Begins the way back.
    ///
    /// # Errors
    /// Why it is not begun.
    pub fn rollback(&self, ask: &RollbackAsk) -> Answer<Applied> {
        self.post("/v1/settings/rollback", ask)
    }

    /// What a route answers; `path` with its query.
    ///
    /// # Errors
    /// Nobody answers, or it says no.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        let answer = self.ask(Method::GET, path, Vec::new())?;
        serde_json::from_slice(&answer).map_err(|e| ClientError::Broken(e.to_string()))
    }

    /// What a route answers, as it is.
    ///
    /// # Errors
    /// Nobody answers, or it says no.
    pub fn bytes(&self, path: &str) -> Answer<Bytes> {
        self.ask(Method::GET, path, Vec::new())
    }

    /// Has something done.
    ///
    /// # Errors
    /// Nobody answers, or it says no.
    pub fn post<Q: Serialize, T: DeserializeOwned>(&self, path: &str, question: &Q) -> Answer<T> {
        let broken = |e: serde_json::Error| ClientError::Broken(e.to_string());
        let body = serde_json::to_vec(question).map_err(broken)?;
        let answer = self.ask(Method::POST, path, body)?;
        serde_json::from_slice(&answer).map_err(broken)
    }

    /// Has something done whose answer goes on: hands each piece to `take`, and nothing
    /// where none came for a moment, until that says `false` or the answer ends.
    ///
    /// # Errors
    /// Nobody answers, or it says no; the answer broke off.
    pub fn post_on<Q: Serialize>(
        &self,
        path: &str,
        question: &Q,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Answer<()> {
        let broken = |what: String| ClientError::Broken(what);
        let body = serde_json::to_vec(question).map_err(|e| broken(e.to_string()))?;
        runtime()?.block_on(async {
            let asked = self.open(Method::POST, path, body);
            let asked = tokio::time::timeout(self.patience, asked).await;
            let late = |_| broken(format!("none in {} s", self.patience.as_secs()));
            let (response, _driven) = asked.map_err(late)??;
            let status = response.status();
            let mut body = response.into_body();
            if !status.is_success() {
                let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                let whole = whole.map_err(|e| broken(e.to_string()))?;
                return Err(no(status, &whole.to_bytes()));
            }
            loop {
                let frame = match tokio::time::timeout(LOOK, body.frame()).await {
                    Err(_) => Bytes::new(),
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                    Ok(Some(Err(error))) => return Err(broken(error.to_string())),
                };
                if !take(&frame) {
                    return Ok(());
                }
            }
        })
    }

    fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Answer<Bytes> {
        let broken = |what: String| ClientError::Broken(what);
        let (status, answer) = runtime()?.block_on(async {
            match tokio::time::timeout(self.patience, self.exchange(method, path, body)).await {
                Ok(answered) => answered,
                Err(_) => Err(broken(format!("none in {} s", self.patience.as_secs()))),
            }
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(no(status, &answer))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Answer<(StatusCode, Bytes)> {
        let (response, driven) = self.open(method, path, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await;
        let body = body.map_err(|e| ClientError::Broken(e.to_string()))?;
        let _ = driven.await;
        Ok((status, body.to_bytes()))
    }

    async fn open(&self, method: Method, path: &str, body: Vec<u8>) -> Answer<Opened> {
        let nobody = |error| ClientError::Nobody(self.place.to_string(), error);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json");
        match &self.place {
            Place::Socket(path) => {
                let socket = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(nobody)?;
                trust(path, &socket)?;
                let request = request.header("host", "localhost");
                sent(socket, request.body(Full::new(body.into()))).await
            }
            Place::Tcp { address, token } => {
                let socket = tokio::net::TcpStream::connect(address)
                    .await
                    .map_err(nobody)?;
                let mut request = request.header("host", address.to_string());
                if let Some(token) = token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                sent(socket, request.body(Full::new(body.into()))).await
            }
        }
    }
}

/// Settings, perhaps with a password, go only to root, to ourselves, or to who
/// owns the socket's directory alone.
fn trust(path: &Path, socket: &tokio::net::UnixStream) -> Answer<()> {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid().as_raw();
    let peer = socket.peer_cred().map(|peer| peer.uid());
    let directory = path.parent().and_then(|dir| dir.metadata().ok());
    let owner = directory.filter(|d| d.mode() & 0o022 == 0).map(|d| d.uid());
    match peer {
        Ok(uid) if uid == 0 || uid == own || Some(uid) == owner => Ok(()),
        _ => Err(ClientError::Broken(format!(
            "{} belongs to another user, in a directory that others may write: it is not trusted",
            path.display()
        ))),
    }
}

/// The pooler has no such part, or no such route.
fn is_absent(kind: &str) -> bool {
    matches!(kind, "absent" | "not_found")
}

/// The head of an answer, and what drives its connection.
type Opened = (Response<Incoming>, JoinHandle<Result<(), hyper::Error>>);

async fn sent<S>(
    socket: S,
    request: Result<Request<Full<Bytes>>, hyper::http::Error>,
) -> Answer<Opened>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
    let request = request.map_err(|e| ClientError::Broken(e.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(broken)?;
    let driven = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, driven))
}

fn runtime() -> Answer<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    runtime.map_err(|e| ClientError::Broken(e.to_string()))
}

/// What an answer that is no good one says.
fn no(status: StatusCode, answer: &[u8]) -> ClientError {
    match serde_json::from_slice(answer) {
        Ok(error) => ClientError::Refused(error),
        Err(_) => ClientError::Broken(format!(
            "{status}, and no reason that is understood; is it another version, or no pooler?"
        )),
    }
}
