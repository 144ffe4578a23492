//! The wiring of a serving process: data plane, control plane, signals.

use crate::api;
use crate::api::Extras;
use crate::daemon;
use crate::measuring;
use crate::pid_file::PidFile;
use crate::plane::Plane;
use crate::said;
use crate::systemd;
use crate::takeover::{self, Taken};
use anyhow::Context;
use config::{OnSignal, Plan};
use control::fleet::Fleet;
use control::settings::keeper::Prepared;
use control::{Control, Health};
use events::snapshot::Snapshot;
use proxy::{Handle, Keeper, Leave, Proxy, Sockets};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    /// What another process handed over.
    pub taken: Option<Taken>,
    /// Called once when clients can connect, with the first address.
    pub started: Box<dyn FnOnce(&Handle)>,
}

/// Serves until a signal ends it.
pub fn run(mut serve: Serve) -> anyhow::Result<ExitCode> {
    let (metrics, pid_file) = (serve.plan.metrics_listen, serve.plan.pid_file.clone());
    // Before the first thread, so that none of them misses a signal.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2])
        .context("cannot watch for signals")?;
    let taken = serve.taken.as_mut();
    let sockets = match taken {
        Some(taken) => Sockets::Handed(std::mem::take(&mut taken.sockets)),
        None => systemd::sockets(),
    };
    let proxy = Proxy::start_listening(serve.plan, serve.keeper, serve.disk, sockets)?;
    let handle = proxy.handle();
    // Before the first probe can ask.
    handle.hold_back(serve.prepared.as_ref().and_then(Prepared::held_back));
    let source = Arc::new(Figures::of(&handle));
    let control = start_control_with(metrics, Arc::clone(&source))?;
    let rotation = control::secrets::watch(Arc::new(Rotation(handle.clone())))
        .context("cannot start a thread")?;
    let pid_file = pid_file.map(|path| PidFile::write(&path, serve.taken.is_some()));
    let pid_file = pid_file.transpose()?;
    let state = serve.prepared.as_ref();
    let state = state.and_then(|p| p.directory().map(Path::to_owned));
    let plane = Arc::new(Plane(handle.clone()));
    let kept = serve.prepared.map(|p| p.start(plane)).transpose();
    let kept = kept.context("cannot start a thread")?;
    if let Some(running) = &kept {
        // Set once, here.
        let _ = source.settings.set(running.figures());
    }
    let (measured, channel) = measure(&source, state.as_deref());
    let api = api::start(api::Given {
        handle: &handle,
        figures: Arc::clone(&source.api),
        source,
        settings: kept.as_ref().map(|running| running.commands()),
        state: state.as_deref(),
        watched: measured.as_ref().map(measuring::Measured::watched),
        extras: Extras::default(),
    });
    tell_addresses(&handle, control.as_ref());
    (serve.started)(&handle);
    let place = place(&handle, state.as_deref());
    let beside = Arc::new(Mutex::new(Some(AtTheSide {
        channel,
        api,
        measured,
        kept,
        control,
        pid_file,
    })));
    if let Some(taken) = serve.taken.take() {
        taken
            .serving()
            .context("the process that was to be taken over does not let go")?;
        tracing::info!("taken over from the process that served before");
    }
    systemd::ready();
    daemon::serving();
    let offered = place.map(|place| {
        let released = Arc::clone(&beside);
        let release = move || stop_beside(&released);
        takeover::offer(place, handle.clone(), release, close_all)
    });
    until_the_end(proxy, signals)?;
    drop(offered);
    stop_beside(&beside);
    rotation.stop();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Watches for signals until the data plane has ended.
fn until_the_end(proxy: Proxy, mut signals: Signals) -> anyhow::Result<()> {
    let (handle, closer) = (proxy.handle(), signals.handle());
    let watcher = std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || watch(&handle, &mut signals))
        .context("cannot start a thread")?;
    proxy.join();
    closer.close();
    let _ = watcher.join();
    Ok(())
}

/// What stands beside the data plane, and of what one process at a time may have one.
struct AtTheSide {
    channel: Option<control::fleet::Running>,
    api: Option<control::api::Api>,
    measured: Option<measuring::Measured>,
    kept: Option<control::settings::keeper::Running>,
    control: Option<Control>,
    pid_file: Option<PidFile>,
}

/// Ends it, where that was not done before. With the settings' keeper the lock of the
/// state directory goes.
fn stop_beside(beside: &Mutex<Option<AtTheSide>>) {
    // Held until all has ended: who comes second finds it so.
    let mut beside = beside.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(beside) = beside.take() else { return };
    if let Some(channel) = beside.channel {
        channel.stop();
    }
    if let Some(api) = beside.api {
        api.stop();
    }
    if let Some(measured) = beside.measured {
        measured.stop();
    }
    if let Some(running) = beside.kept {
        running.stop();
    }
    if let Some(control) = beside.control {
        control.stop();
    }
    drop(beside.pid_file);
}

/// Where another process can take over.
fn place(handle: &Handle, state: Option<&Path>) -> Option<PathBuf> {
    let plan = handle.plan();
    takeover::place(state, plan.socket_directory(), plan.unix_socket_port)
}

/// Begins to measure, and to talk to the other instances: what is told of alerts, and
/// what they are told of this one, comes of each measured second.
fn measure(
    source: &Arc<Figures>,
    state: Option<&Path>,
) -> (Option<measuring::Measured>, Option<control::fleet::Running>) {
    // Each is set once, here.
    if let Some(fleet) = Fleet::of(&source.handle.plan(), &api::instance()) {
        let _ = source.fleet.set(fleet);
    }
    let measured = measuring::start(source.clone(), state);
    if let Some(measured) = &measured {
        let _ = source.watched.set(measured.watched());
    }
    (measured, start_channel(source))
}

/// The channel to the other instances, where the settings ask for one. Clients are
/// served all the same where it does not start.
fn start_channel(source: &Arc<Figures>) -> Option<control::fleet::Running> {
    let fleet = source.fleet.get()?;
    match fleet.start(source.clone()) {
        Ok(running) => {
            tracing::info!(address = %running.address(), "the fleet's channel");
            Some(running)
        }
        Err(error) => {
            tracing::error!(%error, "the fleet's channel does not start: this instance is alone");
            None
        }
    }
}

fn tell_addresses(handle: &Handle, control: Option<&Control>) {
    said::listening(handle);
    if let Some(control) = control {
        tracing::info!(address = %control.local_addr(), "metrics, livez and readyz");
    }
    said::up();
}

/// The metrics listener, where the settings ask for one.
pub fn start_control(
    listen: Option<std::net::SocketAddr>,
    handle: &Handle,
) -> anyhow::Result<Option<Control>> {
    start_control_with(listen, Arc::new(Figures::of(handle)))
}

/// What stands beside a pooler that a command starts for itself.
#[derive(Default)]
pub struct Beside<'a> {
    /// The keeper of its settings, where they come from a file.
    pub kept: Option<&'a control::settings::keeper::Running>,
    /// The state directory.
    pub state: Option<&'a Path>,
    /// What its page shows beyond that of any pooler.
    pub extras: Extras,
}

/// Measurements and the API of a pooler that a command starts for itself.
pub struct Watching {
    measured: Option<measuring::Measured>,
    api: Option<control::api::Api>,
}

impl Watching {
    /// Begins to measure, and listens where the settings say.
    pub fn start(handle: &Handle, beside: Beside<'_>) -> Watching {
        let source = Arc::new(Figures::of(handle));
        if let Some(kept) = beside.kept {
            // Set once, here.
            let _ = source.settings.set(kept.figures());
        }
        let measured = measuring::start(source.clone(), beside.state);
        if let Some(measured) = &measured {
            // Set once, here.
            let _ = source.watched.set(measured.watched());
        }
        let api = api::start(api::Given {
            handle,
            figures: Arc::clone(&source.api),
            source,
            settings: beside.kept.map(|kept| kept.commands()),
            state: beside.state,
            watched: measured.as_ref().map(measuring::Measured::watched),
            extras: beside.extras,
        });
        Watching { measured, api }
    }

    /// What the diagnosis says now, hidden or not; `None`: nothing is measured.
    pub fn verdict(&self) -> Option<diagnose::Verdict> {
        let measures = self.measured.as_ref()?.watched().measures;
        let now = jiff::Timestamp::now().as_millisecond();
        Some(measures.look(|record| diagnose::diagnose_now(record, now)))
    }

    /// The API's unix socket.
    pub fn socket(&self) -> Option<&Path> {
        self.api.as_ref()?.socket()
    }

    /// Where the live page is; `None`: the API listens on no TCP address.
    pub fn page(&self) -> Option<String> {
        Some(api::page(self.api.as_ref()?.address()?))
    }

    /// Ends both.
    pub fn stop(self) {
        if let Some(api) = self.api {
            api.stop();
        }
        if let Some(measured) = self.measured {
            measured.stop();
        }
    }
}

/// The settings' figures, once their keeper runs.
type Kept = OnceLock<Arc<control::settings::Figures>>;

fn start_control_with(
    listen: Option<std::net::SocketAddr>,
    source: Arc<Figures>,
) -> anyhow::Result<Option<Control>> {
    let Some(listen) = listen else {
        return Ok(None);
    };
    control::start(listen, source).map(Some).with_context(|| {
        format!("cannot listen on {listen} for metrics (--metrics, metrics_listen)")
    })
}

/// The control plane's view of the data plane.
struct Figures {
    handle: Handle,
    settings: Kept,
    watched: OnceLock<control::Watched>,
    fleet: OnceLock<Fleet>,
    api: Arc<control::api::Figures>,
}

impl Figures {
    fn of(handle: &Handle) -> Figures {
        Figures {
            handle: handle.clone(),
            settings: Kept::default(),
            watched: OnceLock::new(),
            fleet: OnceLock::new(),
            api: Arc::default(),
        }
    }
}

impl control::Source for Figures {
    fn snapshot(&self, detail: bool) -> Arc<Snapshot> {
        Arc::new(self.handle.snapshot(detail))
    }

    fn watched(&self) -> Option<control::Watched> {
        self.watched.get().cloned()
    }

    fn fleet(&self) -> Option<Fleet> {
        self.fleet.get().cloned()
    }

    fn take_actions(&self) -> Vec<events::sample::Marker> {
        self.handle.take_actions()
    }

    fn plan(&self) -> Option<Arc<Plan>> {
        Some(self.handle.plan())
    }

    fn settings(&self) -> Option<Arc<control::settings::Figures>> {
        self.settings.get().map(Arc::clone)
    }

    fn api(&self) -> Option<Arc<control::api::Figures>> {
        Some(Arc::clone(&self.api))
    }

    fn clients_at(&self) -> Option<std::net::SocketAddr> {
        self.handle.clients_at()
    }

    fn pass_cancels_to(&self, peers: &[std::net::SocketAddr]) {
        self.handle.pass_cancels_to(peers);
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

/// HUP reloads; TERM and INT end as the settings say, and at once where an end was asked for already; QUIT stops
/// at once; USR1 pauses, USR2 resumes.
fn watch(handle: &Handle, signals: &mut Signals) {
    let mut draining = false;
    for signal in signals.forever() {
        match signal {
            // The outcome is in the log.
            SIGHUP => {
                said::heard("SIGHUP, re-reading config");
                // A change in steps takes seconds; other signals are heard meanwhile.
                let handle = handle.clone();
                let reload = std::thread::Builder::new().name("reload".into());
                drop(reload.spawn(move || drop(handle.reload("SIGHUP"))));
            }
            SIGUSR1 => {
                said::pausing(handle);
                if let Err(error) = handle.pause(None, "SIGUSR1") {
                    tracing::warn!(%error, "USR1 pauses nothing");
                }
            }
            SIGUSR2 if said::resumes(handle) => drop(handle.resume(None, "SIGUSR2")),
            SIGUSR2 => {}
            SIGQUIT => {
                said::heard("SIGQUIT, fast exit");
                handle.note_action("SIGQUIT", "SHUTDOWN", "");
                handle.end_now();
            }
            _ if handle.is_suspended() => {
                tracing::info!("told to end while suspended: ending at once");
                handle.end_now();
            }
            _ if draining || handle.is_leaving() => {
                said::ending_now(signal);
                handle.stop_now();
            }
            _ if handle.plan().process.signals == OnSignal::Wait => {
                let (leave, command) = match signal {
                    SIGINT => (Leave::ServersReleased, "SHUTDOWN WAIT_FOR_SERVERS"),
                    _ => (Leave::ClientsGone, "SHUTDOWN WAIT_FOR_CLIENTS"),
                };
                handle.note_action("a signal", command, "");
                said::leaving(signal, leave);
                handle.leave(leave);
            }
            _ => {
                draining = true;
                systemd::stopping();
                handle.note_action("a signal", "SHUTDOWN, draining", "");
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

/// Withdraws readiness, then closes all as it comes to rest.
fn drain(handle: &Handle) {
    let plan = handle.plan();
    handle.announce_drain();
    std::thread::sleep(plan.process.drain.delay);
    close_all(handle);
}

/// Closes what is idle, waits for transactions within the limit, then closes the rest.
fn close_all(handle: &Handle) {
    let plan = handle.plan();
    handle.drain();
    let end = Instant::now() + plan.process.drain.timeout;
    while handle.clients() > 0 && Instant::now() < end && !handle.is_stopping() {
        std::thread::sleep(Duration::from_millis(20));
    }
    if handle.clients() > 0 {
        tracing::warn!(
            clients = handle.clients(),
            "drain_timeout: closing clients in their transactions"
        );
    } else {
        handle.take_leave();
    }
    handle.stop_now();
}
