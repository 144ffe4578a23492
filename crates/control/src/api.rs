//! The API of a running pooler: JSON over HTTP, on a unix socket and, where the
//! settings say so, on TCP.
//!
//! On the unix socket only the user that the pooler runs as, and root, may
//! connect: the system itself says who the peer is. On TCP a token says what a
//! caller may do. Each request is bounded in size and time; it runs off the data
//! plane, and what goes wrong in it ends nothing else. The one invariant: no
//! handler runs for a caller whose role its route does not allow.
//! Where the settings say so, callers on TCP without a token read as a viewer does
//! (docs/decisions/anonymous-reading.md).
//!
//! ```text
//!   unix socket ─┐                                 ┌─ settings (the keeper)
//!                ├─► listening ─► answering ─► table ─ about
//!   TCP ─► door ─┘   (bounds)     (checks) │   (who may) └ your module
//!                                          └─► the page's files
//! ```
//!
//! **A route of your own** is a row of a table and a function. The module exports
//! `pub(super) const ROUTES: &[Route]`, and its name goes into `table::routes`:
//!
//! ```
//! use config::ApiRole;
//! use control::api::{Answer, Call, Failure, Kind, Parameter, Parts, Route, Shape, Verb};
//!
//! #[derive(serde::Serialize, schemars::JsonSchema)]
//! struct Pools { clients: u64 }
//!
//! fn pools(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
//!     let detail = call.text("detail") == Some("yes");
//!     let snapshot = parts.source.snapshot(detail);
//!     Ok(Answer::json(&Pools { clients: snapshot.logins }))
//! }
//!
//! pub const ROUTES: &[Route] = &[Route {
//!     verb: Verb::Get,
//!     path: "/v1/pools",
//!     role: ApiRole::Viewer,
//!     summary: "How many clients there are.",
//!     parameters: &[Parameter {
//!         name: "detail",
//!         kind: Kind::Word(&["yes", "no"]),
//!         meaning: "Each client too.",
//!     }],
//!     body: None,
//!     answer: Shape::of::<Pools>(),
//!     handle: pools,
//! }];
//! ```
//!
//! What a handler answers from is in [`Parts`]: add an `Option` to it, answer
//! [`Failure::absent`] where it is `None`, and fill it where the binary starts the
//! API. A handler may wait: it has a thread; but few run at a time, so it must end
//! by itself within seconds. `PLIMSOLL_BLESS=1 cargo test -p plimsoll-control openapi`
//! writes the document and the docs page anew. A POST has a `body`, `Body::of::<T>()`,
//! read with [`Call::json`]; who asks is in [`Call::actor`].

mod about;
mod actions;
mod answering;
mod call;
mod client;
mod demo;
mod diagnosis;
mod door;
mod figures;
mod fleet;
mod incidents;
mod listening;
mod live;
mod measures;
mod notifiers;
pub mod openapi;
mod playbook;
mod settings;
mod statements;
mod streaming;
mod table;
mod traffic;
mod veil;

use crate::incidents::Incidents;
use crate::live::Feed;
use crate::lookout::Lookout;
use crate::measure::Measures;
use crate::notify::Notify;
use crate::server::Source;
use crate::settings::keeper::Command;
use answering::Shared;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use streaming::Bounds;
use tokio::sync::watch;

pub use about::{InstanceStatus, Whoami};
pub use actions::{ActAsk, ActionDone, Hands, PoolsAsk, Tapped};
pub use call::{Actor, Answer, Call, Failure};
pub use client::{Client, ClientError};
pub use demo::{DemoAsk, DemoOutage, DemoState, Director};
pub use figures::{Figures, Refused};
pub use incidents::{CloseAsk, IncidentLine, NoteAsk};
pub use measures::{ReleaseAsk, SeriesAnswer};
pub use notifiers::{NotifierLine, NotifyTestAsk, NotifyTested};
pub use playbook::{ChapterLine, ChapterPage};
pub use statements::{CaptureAsk, StopAsk};
pub use table::{Body, Handler, Kind, Parameter, Route, Shape, Verb, routes};
pub use veil::Veil;

/// Connections of one listener at a time.
const CONNECTIONS_MAX: usize = 32;
/// Handlers of one listener that run at a time.
const HANDLERS_MAX: usize = 8;
/// For one request, from its first byte to the end of its answer. A plan waits
/// for its prediction.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// For a request's body.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// For handlers that still run when the API stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// The file in the state directory that holds the socket's path.
pub const POINTER: &str = "api.path";

/// What handlers answer from. What may be missing is an `Option`.
#[derive(Clone)]
pub struct Parts {
    /// Figures and health of the data plane.
    pub source: Arc<dyn Source>,
    /// The keeper of the settings, where they come from a file.
    pub settings: Option<SyncSender<Command>>,
    /// What is measured.
    pub measures: Option<Measures>,
    /// Alerts and the newest diagnosis.
    pub lookout: Option<Arc<Lookout>>,
    /// Who tells people.
    pub notify: Option<Arc<Notify>>,
    /// What happened, and what people noted.
    pub incidents: Option<Incidents>,
    /// The newest second.
    pub feed: Option<Feed>,
    /// What the data plane does for a person.
    pub hands: Option<Arc<dyn Hands>>,
    /// Makes outages, in a demonstration.
    pub director: Option<Arc<dyn Director>>,
    /// Hides what Plimsoll makes of its figures, in a drill.
    pub veil: Veil,
    /// Which process this is.
    pub about: Arc<About>,
}

/// Which process this is.
#[derive(Clone, Debug)]
pub struct About {
    /// Its host and process, as `shop-1:4711`.
    pub instance: String,
    /// The name of its fleet; empty: none.
    pub fleet: String,
    /// When it started.
    pub started: Instant,
}

/// The API's settings in force, with their tokens. Called for each request, so
/// that a rotated token holds at once.
pub type Access = Arc<dyn Fn() -> config::Api + Send + Sync>;

/// How to start it.
pub struct Options {
    /// The unix socket; `None`: there is no place for one.
    pub socket: Option<PathBuf>,
    /// The TCP listener; `None`: none.
    pub listen: Option<SocketAddr>,
    /// What handlers answer from.
    pub parts: Parts,
    /// Who may come.
    pub access: Access,
    /// Where it counts.
    pub figures: Arc<Figures>,
}

/// A running API.
pub struct Api {
    socket: Option<PathBuf>,
    address: Option<SocketAddr>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Folds seconds while somebody listens.
    folding: Option<(Feed, JoinHandle<()>)>,
}

impl Api {
    /// The socket that it listens on.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends it, and removes the socket.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some((feed, thread)) = self.folding.take() {
            feed.end();
            let _ = thread.join();
        }
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// The socket's path: beside the clients' socket, else in the state directory.
pub fn socket_path(
    state: Option<&Path>,
    unix_socket_dir: Option<&Path>,
    port: u16,
) -> Option<PathBuf> {
    let beside = unix_socket_dir.map(|dir| dir.join(format!(".s.PLIMSOLL.{port}")));
    beside.or_else(|| state.map(|dir| dir.join("api.sock")))
}

/// Begins to listen. A place that cannot be listened on is told in the log, and
/// the other one is served: clients of the database are served in any case.
///
/// # Errors
/// The system's, of the thread and its runtime.
pub fn start(options: Options) -> io::Result<Api> {
    start_with(options, routes(), Bounds::default())
}

fn start_with(options: Options, mut routes: Vec<Route>, bounds: Bounds) -> io::Result<Api> {
    let told = |error: io::Error, place: String| {
        tracing::error!(%error, place, "the API does not listen there");
    };
    let local = options.socket.clone().and_then(|path| {
        let bound = listening::bind(&path);
        let bound = bound.map_err(|error| told(error, path.display().to_string()));
        bound.ok().map(|listener| (listener, path))
    });
    let remote = options.listen.and_then(|listen| {
        let bound = bind(listen).map_err(|error| told(error, listen.to_string()));
        bound.ok()
    });
    let (local, socket) = local.unzip();
    let address = remote.as_ref().and_then(|l| l.local_addr().ok());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(2 * HANDLERS_MAX)
        .thread_name("api-handler")
        .build()?;
    let (stop, stopped) = watch::channel(());
    if options.parts.director.is_some() {
        routes.extend_from_slice(demo::ROUTES);
    }
    let routes = Arc::new(routes);
    let folding = match &options.parts.feed {
        Some(feed) => {
            let parts = options.parts.clone();
            let thread = feed.fold(move |second| live::frame(&parts, second))?;
            Some((feed.clone(), thread))
        }
        None => None,
    };
    let thread = std::thread::Builder::new()
        .name("api".into())
        .spawn(move || {
            let listeners = serve(local, remote, (&options, bounds), &routes, stopped);
            runtime.block_on(listeners);
            runtime.shutdown_timeout(STOP_TIME_MAX);
        })?;
    Ok(Api {
        socket,
        address,
        stop: Some(stop),
        thread: Some(thread),
        folding,
    })
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(
    local: Option<UnixListener>,
    remote: Option<TcpListener>,
    (options, bounds): (&Options, Bounds),
    routes: &Arc<Vec<Route>>,
    stopped: watch::Receiver<()>,
) {
    let shared = || Arc::new(Shared::new(options, Arc::clone(routes), bounds));
    let local = async {
        match local.map(tokio::net::UnixListener::from_std) {
            None => {}
            Some(Ok(listener)) => listening::local(listener, shared(), stopped.clone()).await,
            Some(Err(error)) => tracing::error!(%error, "the API cannot use its socket"),
        }
    };
    let remote = async {
        match remote.map(tokio::net::TcpListener::from_std) {
            None => {}
            Some(Ok(listener)) => listening::remote(listener, shared(), stopped.clone()).await,
            Some(Err(error)) => tracing::error!(%error, "the API cannot use its listener"),
        }
    };
    tokio::join!(local, remote);
}

#[cfg(test)]
mod tests;
