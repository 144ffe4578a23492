//! The wiring of a serving process: data plane, control plane, signals.

use crate::plane::Plane;
use anyhow::Context;
use config::Plan;
use control::api::Api;
use control::settings::keeper::{Prepared, Running};
use control::{Control, Health};
use events::snapshot::Snapshot;
use proxy::{Handle, Keeper, Proxy};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a serving process needs.
pub struct Serve {
    /// The settings.
    pub plan: Plan,
    /// Reads them again.
    pub keeper: Box<dyn Keeper>,
    /// What they were read with; secrets are read again by it.
    pub disk: proxy::Disk,
    /// Keeps the settings, where they come from a file.
    pub prepared: Option<Prepared>,
    /// Called once when clients can connect, with the first address.
    pub started: Box<dyn FnOnce(&Handle)>,
}

/// Serves until a signal ends it.
pub fn run(serve: Serve) -> anyhow::Result<ExitCode> {
    let (metrics, pid_file) = (serve.plan.metrics_listen, serve.plan.pid_file.clone());
    // Before the first thread, so that none of them misses a signal.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2])
        .context("cannot watch for signals")?;
    let proxy = Proxy::start_with(serve.plan, serve.keeper, serve.disk)?;
    let handle = proxy.handle();
    // Before the first probe can ask.
    handle.hold_back(serve.prepared.as_ref().and_then(Prepared::held_back));
    let figures = Arc::default();
    let control = start_control_with(metrics, &handle, Arc::clone(&figures))?;
    let rotation = control::secrets::watch(Arc::new(Rotation(handle.clone())))
        .context("cannot start a thread")?;
    if let Some(path) = &pid_file {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write the PID file {}", path.display()))?;
    }
    let kept = start_keeper(serve.prepared, &handle)?;
    if let Some((running, _)) = &kept {
        // Set once, here.
        let _ = figures.set(running.figures());
    }
    for address in handle.addresses() {
        tracing::info!(%address, "listening");
    }
    for socket in handle.sockets() {
        tracing::info!(socket = %socket.display(), "listening");
    }
    if let Some(control) = &control {
        tracing::info!(address = %control.local_addr(), "metrics, livez and readyz");
    }
    (serve.started)(&handle);
    let for_signals = handle.clone();
    let closer = signals.handle();
    let watcher = std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || watch(&for_signals, &mut signals))
        .context("cannot start a thread")?;
    proxy.join();
    closer.close();
    let _ = watcher.join();
    if let Some((running, api)) = kept {
        if let Some(api) = api {
            api.stop();
        }
        running.stop();
    }
    rotation.stop();
    if let Some(control) = control {
        control.stop();
    }
    if let Some(path) = &pid_file {
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The keeper of the settings, and the API where there is a place for it.
fn start_keeper(
    prepared: Option<Prepared>,
    handle: &Handle,
) -> anyhow::Result<Option<(Running, Option<Api>)>> {
    let Some(prepared) = prepared else {
        return Ok(None);
    };
    let plan = handle.plan();
    let directory = plan.unix_socket_dir.as_deref();
    let path = control::api::socket_path(prepared.directory(), directory, plan.unix_socket_port);
    let state = prepared.directory().map(std::path::Path::to_owned);
    let running = prepared
        .start(Arc::new(Plane(handle.clone())))
        .context("cannot start a thread")?;
    let Some(path) = path else {
        tracing::warn!("no place for the API: name a unix socket or a state directory");
        return Ok(Some((running, None)));
    };
    let api = match control::api::start(&path, running.commands()) {
        Ok(api) => {
            tracing::info!(socket = %path.display(), "API");
            let pointer = state.map(|dir| dir.join(control::api::POINTER));
            if let Some(pointer) = pointer
                && let Err(error) = std::fs::write(&pointer, format!("{}\n", path.display()))
            {
                tracing::warn!(%error, "the socket's path is not in the state directory");
            }
            Some(api)
        }
        // Clients are served all the same, and the console is there.
        Err(error) => {
            tracing::error!(%error, socket = %path.display(), "the API does not listen");
            None
        }
    };
    Ok(Some((running, api)))
}

/// The metrics listener, where the settings ask for one.
pub fn start_control(
    listen: Option<std::net::SocketAddr>,
    handle: &Handle,
) -> anyhow::Result<Option<Control>> {
    start_control_with(listen, handle, Arc::default())
}

/// The settings' figures, once their keeper runs.
type Kept = Arc<OnceLock<Arc<control::settings::Figures>>>;

fn start_control_with(
    listen: Option<std::net::SocketAddr>,
    handle: &Handle,
    settings: Kept,
) -> anyhow::Result<Option<Control>> {
    let Some(listen) = listen else {
        return Ok(None);
    };
    let source = Arc::new(Figures {
        handle: handle.clone(),
        settings,
    });
    control::start(listen, source).map(Some).with_context(|| {
        format!("cannot listen on {listen} for metrics (--metrics, metrics_listen)")
    })
}

/// The control plane's view of the data plane.
struct Figures {
    handle: Handle,
    settings: Kept,
}

impl control::Source for Figures {
    fn snapshot(&self, detail: bool) -> Arc<Snapshot> {
        Arc::new(self.handle.snapshot(detail))
    }

    fn settings(&self) -> Option<Arc<control::settings::Figures>> {
        self.settings.get().map(Arc::clone)
    }

    fn live(&self) -> Health {
        self.handle
            .live()
            .map_or_else(Health::Bad, |()| Health::Good)
    }

    fn ready(&self) -> Health {
        self.handle
            .ready()
            .map_or_else(Health::Bad, |()| Health::Good)
    }
}

/// What the watch over secrets needs of the data plane.
struct Rotation(Handle);

impl control::secrets::Plane for Rotation {
    fn files(&self) -> Vec<std::path::PathBuf> {
        self.0.secret_files()
    }

    fn changed(&self, files: &[std::path::PathBuf]) {
        // What came of it is in the log and in the figures.
        drop(self.0.refresh_files(files));
    }

    fn tick(&self) {
        drop(self.0.refresh_due());
    }
}

/// HUP reloads; TERM and INT drain, a second one stops; QUIT stops at once;
/// USR1 pauses, USR2 resumes.
fn watch(handle: &Handle, signals: &mut Signals) {
    let mut draining = false;
    for signal in signals.forever() {
        match signal {
            // The outcome is in the log.
            SIGHUP => {
                // A change in steps takes seconds; other signals are heard meanwhile.
                let handle = handle.clone();
                let reload = std::thread::Builder::new().name("reload".into());
                drop(reload.spawn(move || drop(handle.reload("SIGHUP"))));
            }
            SIGUSR1 => drop(handle.pause(None)),
            SIGUSR2 => drop(handle.resume(None)),
            SIGQUIT => handle.stop_now(),
            _ if draining => handle.stop_now(),
            _ => {
                draining = true;
                tracing::info!("draining: transactions may end, idle clients are closed");
                let handle = handle.clone();
                let drained = std::thread::Builder::new()
                    .name("drain".into())
                    .spawn(move || drain(&handle));
                if drained.is_err() {
                    return;
                }
            }
        }
    }
}

/// Withdraws readiness, closes what is idle, waits for transactions within
/// the limit, then closes the rest.
fn drain(handle: &Handle) {
    let plan = handle.plan();
    handle.announce_drain();
    std::thread::sleep(plan.drain_delay);
    handle.drain();
    let end = Instant::now() + plan.drain_timeout;
    while handle.clients() > 0 && Instant::now() < end && !handle.is_stopping() {
        std::thread::sleep(Duration::from_millis(20));
    }
    if handle.clients() > 0 {
        tracing::warn!(
            clients = handle.clients(),
            "drain_timeout: closing clients in their transactions"
        );
    }
    handle.stop_now();
}
