//! The HTTP API of a serving process: where it listens, and what it answers from.

use crate::plane::Plane;
use control::api::{self, About, Api, Figures, Options, Parts, Veil};
use control::settings::keeper::Command;
use control::{Source, Watched};
use proxy::Handle;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

/// What the API answers from, and where its history may be.
pub struct Given<'a> {
    /// The data plane.
    pub handle: &'a Handle,
    /// Its figures and health.
    pub source: Arc<dyn Source>,
    /// The keeper of the settings, where they come from a file.
    pub settings: Option<SyncSender<Command>>,
    /// The state directory.
    pub state: Option<&'a Path>,
    /// What is measured, and who looks out.
    pub watched: Option<Watched>,
    /// What a page of a drill or a demonstration has beyond.
    pub extras: Extras,
    /// Where requests are counted.
    pub figures: Arc<Figures>,
}

/// What the page of a drill or a demonstration shows beyond that of any pooler.
#[derive(Default)]
pub struct Extras {
    /// Hides conclusions, in a drill.
    pub veil: Veil,
    /// Makes outages, in a demonstration.
    pub director: Option<Arc<dyn api::Director>>,
}

/// Starts it where there is a place for it. Clients are served all the same
/// where there is none, and the console is there.
pub fn start(given: Given<'_>) -> Option<Api> {
    let plan = given.handle.plan();
    let directory = plan.socket_directory();
    let socket = api::socket_path(given.state, directory, plan.unix_socket_port);
    if socket.is_none() && plan.api.listen.is_none() {
        tracing::warn!("no place for the API: name a unix socket or a state directory");
        return None;
    }
    let about = About {
        instance: instance(),
        fleet: plan.monitor.fleet.clone(),
        started: Instant::now(),
    };
    let handle = given.handle.clone();
    let watched = given.watched;
    let started = api::start(Options {
        socket,
        listen: plan.api.listen,
        parts: Parts {
            source: given.source,
            settings: given.settings,
            measures: watched.as_ref().map(|w| w.measures.clone()),
            lookout: watched.as_ref().map(|w| Arc::clone(&w.lookout)),
            incidents: watched.as_ref().map(|w| w.incidents.clone()),
            feed: watched.as_ref().map(|w| w.feed.clone()),
            hands: Some(Arc::new(Plane(given.handle.clone()))),
            notify: watched.and_then(|w| w.notify),
            director: given.extras.director,
            veil: given.extras.veil,
            about: Arc::new(about),
        },
        access: Arc::new(move || handle.plan().api.clone()),
        figures: given.figures,
    });
    let api = match started {
        Ok(api) => api,
        Err(error) => {
            tracing::error!(%error, "the API does not start");
            return None;
        }
    };
    if let Some(address) = api.address() {
        tracing::info!(%address, "API");
        tracing::info!(url = page(address), "live page");
    }
    if let Some(socket) = api.socket() {
        tracing::info!(socket = %socket.display(), "API");
        let pointer = given.state.map(|dir| dir.join(api::POINTER));
        if let Some(pointer) = pointer
            && let Err(error) = std::fs::write(&pointer, format!("{}\n", socket.display()))
        {
            tracing::warn!(%error, "the socket's path is not in the state directory");
        }
    }
    Some(api)
}

/// Where a browser on this machine finds the live page.
pub fn page(address: std::net::SocketAddr) -> String {
    format!("http://{address}/")
}

/// Host and process: what tells the instances of a fleet apart.
pub fn instance() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}
