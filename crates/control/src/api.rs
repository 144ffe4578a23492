//! The API of a running pooler: JSON over HTTP on a unix socket.
//!
//! Only the user that the pooler runs as, and root, may connect: the system
//! itself says who the peer is. Each request is bounded in size and time, and
//! is answered by the keeper of the settings.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/settings` | what serves, and what is under way |
//! | `GET /v1/settings/history?most=N` | the newest versions |
//! | `GET /v1/settings/versions/N` | one version, its texts, what happened to it |
//! | `POST /v1/settings/plan` | what a change would do |
//! | `POST /v1/settings/apply` | begins a change |
//! | `POST /v1/settings/rollback` | begins the way back |

mod client;

use crate::settings::keeper::{Ask, AskError, Command, Reply};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, oneshot};

pub use client::{Client, ClientError};

/// Largest request: the largest settings file, and JSON's quotes.
const BODY_BYTES_MAX: usize = 40 << 20;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 32;
/// For one request, from its first byte to the end of its answer. A plan waits
/// for its prediction.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// Versions in one answer.
const HISTORY_MAX: u32 = 10_000;

/// The file in the state directory that holds the socket's path.
pub const POINTER: &str = "api.path";

/// A running API.
pub struct Api {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it, and removes the socket.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket's path: in the state directory, else beside the clients' socket.
pub fn socket_path(
    state: Option<&Path>,
    unix_socket_dir: Option<&Path>,
    port: u16,
) -> Option<PathBuf> {
    let beside = unix_socket_dir.map(|dir| dir.join(format!(".s.PLIMSOLL.{port}")));
    beside.or_else(|| state.map(|dir| dir.join("api.sock")))
}

/// Begins to listen. A socket that a dead process left is replaced; one that
/// answers is left alone.
///
/// # Errors
/// The system's, and that another process listens there.
pub fn start(path: &Path, commands: SyncSender<Command>) -> io::Result<Api> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let what = format!("another process listens on {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let router = router(commands);
    let thread = std::thread::Builder::new()
        .name("api".into())
        .spawn(move || runtime.block_on(serve(listener, router, stopped)))?;
    Ok(Api {
        path: path.to_owned(),
        stop: Some(stop),
        thread: Some(thread),
    })
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = match tokio::net::UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the API cannot use its socket"),
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (Ok(place), true) = (Arc::clone(&room).try_acquire_owned(), is_trusted(&socket)) else {
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            converse(socket, router).await;
            drop(place);
        });
    }
}

/// The peer is who the pooler runs as, or root.
fn is_trusted(socket: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let trusted = socket
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
    if !trusted {
        tracing::warn!("a connection to the API was refused: its user is another");
    }
    trusted
}

async fn converse(socket: UnixStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(5))
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let _ = tokio::time::timeout(REQUEST_TIME_MAX, connection).await;
}

type Commands = SyncSender<Command>;

fn router(commands: Commands) -> Router {
    Router::new()
        .route("/v1/settings", get(status))
        .route("/v1/settings/history", get(history))
        .route("/v1/settings/versions/{id}", get(version))
        .route("/v1/settings/plan", post(plan))
        .route("/v1/settings/apply", post(apply))
        .route("/v1/settings/rollback", post(rollback))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(commands)
}

async fn status(State(commands): State<Commands>) -> Response {
    ask(&commands, Ask::Status).await
}

async fn history(State(commands): State<Commands>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let most = query.strip_prefix("most=").unwrap_or("100").parse();
    match most {
        Ok(most) => {
            let most = HISTORY_MAX.min(most);
            ask(&commands, |reply| Ask::History(most, reply)).await
        }
        Err(_) => bad_request("most is no number"),
    }
}

async fn version(State(commands): State<Commands>, UrlPath(id): UrlPath<String>) -> Response {
    match id.parse() {
        Ok(id) => ask(&commands, |reply| Ask::Version(id, reply)).await,
        Err(_) => bad_request("a version is a number"),
    }
}

async fn plan(State(commands): State<Commands>, body: Bytes) -> Response {
    asked(&commands, &body, Ask::Plan).await
}

async fn apply(State(commands): State<Commands>, body: Bytes) -> Response {
    asked(&commands, &body, Ask::Apply).await
}

async fn rollback(State(commands): State<Commands>, body: Bytes) -> Response {
    asked(&commands, &body, Ask::Rollback).await
}

async fn asked<Q: DeserializeOwned, T: Serialize + Send + 'static>(
    commands: &Commands,
    body: &[u8],
    make: impl FnOnce(Q, Reply<T>) -> Ask,
) -> Response {
    match serde_json::from_slice(body) {
        Ok(question) => ask(commands, |reply| make(question, reply)).await,
        // The text is not repeated: it may hold a secret.
        Err(error) => bad_request(&format!("not the JSON expected, line {}", error.line())),
    }
}

async fn ask<T: Serialize + Send + 'static>(
    commands: &Commands,
    make: impl FnOnce(Reply<T>) -> Ask,
) -> Response {
    let (tell, told) = oneshot::channel();
    let reply: Reply<T> = Box::new(move |answer| drop(tell.send(answer)));
    let command = Command::Ask(make(reply));
    if commands.try_send(command).is_err() {
        return failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "the keeper of the settings is busy",
        );
    }
    match told.await {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(error)) => json(status_of(&error), &error),
        Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "the pooler is ending"),
    }
}

fn status_of(error: &AskError) -> StatusCode {
    match error.kind.as_str() {
        "busy" | "same" => StatusCode::CONFLICT,
        "unknown_version" => StatusCode::NOT_FOUND,
        "history" => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn bad_request(line: &str) -> Response {
    failed(StatusCode::BAD_REQUEST, line)
}

fn failed(status: StatusCode, line: &str) -> Response {
    let error = AskError {
        kind: "failed".to_owned(),
        lines: vec![line.to_owned()],
        help: String::new(),
        shown: String::new(),
    };
    json(status, &error)
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
