//! The HTTP listener: three pages, each bounded in every direction.
//!
//! One request per connection: a monitor comes every few seconds, and a
//! connection that ends cannot be hoarded. When more peers come than fit, the
//! oldest connection gives way, so that slow ones cannot lock out a probe.

mod guard;

use crate::metrics::{self, Facts, Format, Process};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use events::snapshot::Snapshot;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// Connections at a time; the next one takes the place of the oldest.
const CONNECTIONS_MAX: usize = 64;
/// Metrics texts in memory at a time: with thousands of pools one is tens of MiB.
const SCRAPES_MAX: usize = 4;
/// Request line and headers, bytes (hyper's smallest is 8 KiB).
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Header lines.
const HEADERS_MAX: usize = 64;
/// For the request's head to arrive.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// For the whole connection, from accept to its end.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// For what is still being answered when the control plane stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);
/// After an accept that failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the control plane reads the data plane. Its calls must return at
/// once: they are made on the control plane's only thread.
pub trait Source: Send + Sync {
    /// The newest figures; `detail` asks for the rows of clients and servers too.
    fn snapshot(&self, detail: bool) -> Arc<Snapshot>;
    /// Do the workers' loops advance? Never a question about the database.
    fn live(&self) -> Health;
    /// What serves.
    fn plan(&self) -> Option<Arc<config::Plan>> {
        None
    }
    /// The settings' own figures, where they come from a file.
    fn settings(&self) -> Option<Arc<crate::settings::Figures>> {
        None
    }
    /// The HTTP API's own figures, where there is one.
    fn api(&self) -> Option<Arc<crate::api::Figures>> {
        None
    }
    /// What is measured and watched.
    fn watched(&self) -> Option<crate::Watched> {
        None
    }
    /// The channel to the other instances, where there is one.
    fn fleet(&self) -> Option<crate::fleet::Fleet> {
        None
    }
    /// Where clients connect, as another machine would best: address and port.
    fn clients_at(&self) -> Option<SocketAddr> {
        None
    }
    /// Cancel requests that nobody here knows may be for clients of these.
    fn pass_cancels_to(&self, _peers: &[SocketAddr]) {}
    /// What people did to the data plane since this was called last. Only who
    /// measures calls it.
    fn take_actions(&self) -> Vec<events::sample::Marker> {
        Vec::new()
    }
    /// Are the settings accepted, the listeners open, and is no drain under way?
    fn ready(&self) -> Health;
}

/// The answer of a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// 200.
    Good,
    /// 503 with this short reason, which must hold no secret.
    Bad(String),
}

/// The running control plane. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Control {
    local_addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// The address that it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Closes the listener, lets running requests end within two seconds, and
    /// returns when the thread is gone.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: the data plane does not care, and the panic hook has said so.
            let _ = thread.join();
        }
    }
}

/// Opens the listener and starts the thread. Errors are the listener's, the
/// runtime's or the thread's; later ones stay inside the control plane.
pub fn start(listen: SocketAddr, source: Arc<dyn Source>) -> io::Result<Control> {
    spawn(listen, router(source))
}

/// The same pages for a guard of files, which serves nobody.
///
/// # Errors
/// The listener's, the runtime's or the thread's.
pub fn start_guard(listen: SocketAddr, page: crate::guard::Page) -> io::Result<Control> {
    spawn(listen, guard::router(Arc::new(page)))
}

fn spawn(listen: SocketAddr, router: Router) -> io::Result<Control> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let local_addr = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || runtime.block_on(serve(listener, router, stopped)))?;
    Ok(Control {
        local_addr,
        stop: Some(stop),
        thread: Some(thread),
    })
}

#[derive(Clone)]
struct App {
    source: Arc<dyn Source>,
    scrapes: Arc<Semaphore>,
}

fn router(source: Arc<dyn Source>) -> Router {
    let app = App {
        source,
        scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
    };
    Router::new()
        .route("/metrics", get(scrape))
        .route(
            "/livez",
            get(async |State(app): State<App>| probe(app.source.live())),
        )
        .route(
            "/readyz",
            get(async |State(app): State<App>| probe(app.source.ready())),
        )
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .with_state(app)
}

fn probe(health: Health) -> Response {
    let (status, body) = match health {
        Health::Good => (StatusCode::OK, serde_json::json!({ "status": "ok" })),
        Health::Bad(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            serde_json::json!({ "status": "failing", "reason": reason }),
        ),
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        format!("{body}\n"),
    )
        .into_response()
}

async fn scrape(State(app): State<App>, headers: HeaderMap) -> Response {
    let Ok(permit) = app.scrapes.try_acquire_owned() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many scrapes at a time\n",
        )
            .into_response();
    };
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let format = Format::accepted(accept);
    let settings = app.source.settings();
    let watched = app.source.watched();
    let api = app.source.api();
    let fleet = app.source.fleet();
    let facts = Facts {
        fleet: fleet.as_ref(),
        settings: settings.as_deref(),
        watched: watched.as_ref(),
        api: api.as_deref(),
        version: env!("CARGO_PKG_VERSION"),
        process: Process::read(),
        log_lines_dropped: crate::log::dropped(),
    };
    let text = metrics::render(&app.source.snapshot(false), &facts, format);
    let body = Bytes::from_owner(Exposition {
        text,
        _permit: permit,
    });
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// A text that counts against [`SCRAPES_MAX`] until its last byte is sent.
struct Exposition {
    text: String,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Exposition {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

async fn serve(listener: TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the control plane cannot use its listener"),
    };
    let mut tasks = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    make_room(&mut oldest_first);
                    oldest_first.push_back(tasks.spawn(converse(socket, router.clone())));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control plane cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            // A task that panicked or was aborted ends here like any other.
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    let drained = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_TIME_MAX, drained).await;
}

/// Leaves at most one less than the limit, at the cost of the oldest.
pub(crate) fn make_room(oldest_first: &mut VecDeque<AbortHandle>) {
    oldest_first.retain(|task| !task.is_finished());
    while oldest_first.len() >= CONNECTIONS_MAX {
        if let Some(task) = oldest_first.pop_front() {
            task.abort();
        }
    }
}

async fn converse(socket: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    // Whatever went wrong is the peer's loss: it sees its connection end.
    let _ = tokio::time::timeout(CONNECTION_TIME_MAX, connection).await;
}

#[cfg(test)]
mod tests;
