//! Starting the data plane, and what other threads may ask of it.

mod acting;
mod figures;
mod handover;
mod leaving;
mod measures;
mod pausing;
mod probes;
mod reload;
mod shape;
mod suspending;

use crate::compile;
use crate::console;
use crate::guards::Switch;
use crate::helpers::{Clock, Helpers};
use crate::listen::{self, Listener, Sockets};
use crate::mail::{Mail, Mailbox};
use crate::observer::{Observer, Watch};
use crate::port::{Common, ConsoleJob};
use crate::registry::{Registry, UpstreamCell};
use crate::secrets::{Disk, Material, Secrets};
use crate::worker::{Worker, waker_token};
use config::Plan;
use events::{ClientId, Guard, GuardCounts, GuardMode, WorkerId};
pub(crate) use figures::Figures;
use figures::Period;
pub use leaving::Leave;
use relay::{Hub, Seeds};
pub use reload::{Keeper, NoFile, ReloadError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
pub(crate) use suspending::Stillness;

/// Why the data plane could not start: what, and what to do.
#[derive(Debug)]
pub struct StartError(String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A running data plane.
pub struct Proxy {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// What other threads hold of the data plane. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    common: Arc<Common>,
    keeper: Box<dyn Keeper>,
    addresses: Vec<SocketAddr>,
    sockets: Vec<PathBuf>,
    draining: AtomicBool,
    stopping: AtomicBool,
    holding: suspending::Holding,
    /// An end that waits for others, once one was asked for.
    leaving: Mutex<Option<Leave>>,
    /// Why the settings keep the instance from being ready. Set by whoever keeps
    /// the settings, read by probes.
    held_back: Mutex<Option<String>>,
    /// RELOADs of the console that have no answer yet.
    reloads: AtomicU32,
    /// What the guards over settings did; the pools count theirs themselves.
    decisions: Mutex<GuardCounts>,
    versions: AtomicU64,
    period: Mutex<Period>,
    watched: Mutex<BTreeMap<usize, (u64, Instant)>>,
    guards: Switch,
    /// The way to the store that the line is shared by.
    ledgers: Option<crate::ledger::Ledgers>,
}

/// A loop that did not turn for this long is not alive.
const STUCK: Duration = Duration::from_secs(10);
/// Console statements that wait.
const CONSOLE_MAX: usize = 256;

impl Proxy {
    /// Opens the sockets and starts the workers, or nothing.
    ///
    /// # Errors
    /// A socket that cannot be opened, certificates that cannot be read, too few files.
    pub fn start(plan: Plan, keeper: Box<dyn Keeper>) -> Result<Proxy, StartError> {
        Proxy::start_with(plan, keeper, Disk::default())
    }

    /// As [`Proxy::start`]; secrets are read again by `disk`, which knows what
    /// commands printed when the plan was read.
    ///
    /// # Errors
    /// The same.
    pub fn start_with(
        plan: Plan,
        keeper: Box<dyn Keeper>,
        disk: Disk,
    ) -> Result<Proxy, StartError> {
        Proxy::start_all(plan, keeper, disk, None, Sockets::Own)
    }

    /// As [`Proxy::start`], with somebody who watches the clients.
    ///
    /// # Errors
    /// The same.
    pub fn start_observed(plan: Plan, observer: Arc<dyn Observer>) -> Result<Proxy, StartError> {
        let watch = Some(Watch::new(observer));
        Proxy::start_all(plan, Box::new(NoFile), Disk::default(), watch, Sockets::Own)
    }

    fn start_all(
        plan: Plan,
        keeper: Box<dyn Keeper>,
        disk: Disk,
        watch: Option<Watch>,
        sockets: Sockets,
    ) -> Result<Proxy, StartError> {
        listen::open_files(&plan).map_err(StartError)?;
        let plan = Arc::new(plan);
        let listeners = listen::open(&plan, sockets).map_err(StartError)?;
        let count = listen::count_workers(&plan);
        let tls = Material::read(&plan).map_err(StartError)?;
        tls.warn();
        let (client_tls, server_tls) = (tls.client_tls(), tls.server_config());
        let (polls, mailboxes) = loops(count)?;
        let (mock_seed, instance) = (random(), u32::from_le_bytes(random()));
        let (console, jobs) = std::sync::mpsc::sync_channel(CONSOLE_MAX);
        let mut registry = Registry::new(Arc::clone(&plan), server_tls, count, instance);
        registry.warm();
        let common = Arc::new(Common {
            registry: RwLock::new(registry),
            mailboxes,
            clock: Clock::start(),
            secrets: Secrets::new(disk, mock_seed, tls),
            console,
            console_statements: AtomicU64::new(0),
            waits: crate::console::waiting::Waits::default(),
            resolved: crate::names::Resolved::default(),
            watch,
            tap: crate::tap::Tap::default(),
            actions: crate::actions::Actions::default(),
            #[cfg(test)]
            panic_in: Mutex::new(None),
        });
        let helpers = Helpers::start(&common)
            .map_err(|e| StartError(format!("cannot start a thread: {e}")))?;
        let ledgers = crate::ledger::Ledgers::start(&common)
            .map_err(|e| StartError(format!("cannot share the line by etcd: {e}")))?;
        let inner = Arc::new(Inner {
            common: Arc::clone(&common),
            keeper,
            addresses: listeners.iter().filter_map(tcp_address).collect(),
            sockets: listeners.iter().filter_map(unix_path).collect(),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            holding: suspending::Holding::default(),
            leaving: Mutex::default(),
            held_back: Mutex::default(),
            reloads: AtomicU32::new(0),
            decisions: Mutex::default(),
            versions: AtomicU64::new(0),
            period: Mutex::default(),
            watched: Mutex::default(),
            guards: Switch::default(),
            ledgers,
        });
        let handle = Handle { inner };
        let binding = client_tls.as_ref().and_then(|c| c.binding.clone());
        let directory = Arc::new(compile::directory(&plan, mock_seed, binding));
        let parts = Parts {
            common: &common,
            helpers: &helpers,
            directory,
            client_tls,
        };
        let threads = start_workers(&parts, polls, listeners)?;
        start_console(&handle, jobs)?;
        Ok(Proxy { handle, threads })
    }

    /// The handle for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the workers have ended.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
        // Nothing is connected any more, so what was claimed is free.
        if let Some(ledgers) = &self.handle.inner.ledgers {
            ledgers.leave();
        }
    }
}

/// What every worker gets.
struct Parts<'a> {
    common: &'a Arc<Common>,
    helpers: &'a Helpers,
    directory: Arc<relay::Directory>,
    client_tls: Option<crate::secrets::ClientTls>,
}

/// A thread for each event loop; the first has the listeners.
fn start_workers(
    parts: &Parts<'_>,
    polls: Vec<mio::Poll>,
    listeners: Vec<Listener>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let (hash, key) = (u64::from_le_bytes(random()), random());
    let ids = Arc::new(AtomicU64::new(0));
    let mut listeners = Some(listeners);
    let mut threads = Vec::new();
    for (i, poll) in polls.into_iter().enumerate() {
        let id = WorkerId(i as u16);
        let seeds = Seeds {
            hash,
            key,
            nonce: random(),
        };
        let hub = Hub::new(id, Arc::clone(&parts.directory), seeds).number_with(Arc::clone(&ids));
        let mine = listeners.take().unwrap_or_default();
        let worker = Worker::new(
            id,
            Arc::clone(parts.common),
            parts.helpers.clone(),
            poll,
            hub,
            mine,
            parts.client_tls.clone(),
        )
        .ok_or_else(|| StartError("a worker has no mailbox".into()))?;
        threads.push(spawn(i, worker)?);
    }
    Ok(threads)
}

/// An event loop and a mailbox for each worker.
fn loops(count: u16) -> Result<(Vec<mio::Poll>, Vec<Arc<Mailbox>>), StartError> {
    let mut polls = Vec::new();
    let mut mailboxes = Vec::new();
    for _ in 0..count {
        let (poll, waker) =
            loop_parts().map_err(|e| StartError(format!("cannot make an event loop: {e}")))?;
        polls.push(poll);
        mailboxes.push(Arc::new(Mailbox::new(waker)));
    }
    Ok((polls, mailboxes))
}

fn loop_parts() -> std::io::Result<(mio::Poll, mio::Waker)> {
    let poll = mio::Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), waker_token())?;
    Ok((poll, waker))
}

fn start_console(handle: &Handle, jobs: Receiver<ConsoleJob>) -> Result<(), StartError> {
    let handle = handle.clone();
    std::thread::Builder::new()
        .name("console".into())
        .spawn(move || console::run(&handle, &jobs))
        .map(drop)
        .map_err(|e| StartError(format!("cannot start a thread: {e}")))
}

fn tcp_address(listener: &Listener) -> Option<SocketAddr> {
    match listener {
        Listener::Tcp { local, .. } => Some(*local),
        Listener::Unix { .. } => None,
    }
}

fn unix_path(listener: &Listener) -> Option<PathBuf> {
    match listener {
        Listener::Tcp { .. } => None,
        Listener::Unix { path, .. } => Some(path.clone()),
    }
}

fn spawn(i: usize, worker: Worker) -> Result<std::thread::JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(format!("worker-{i}"))
        .spawn(move || worker.run())
        .map_err(|e| StartError(format!("cannot start a thread: {e}")))
}

/// Bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            // Without random bytes no key would be secret: nothing may start.
            Err(error) => {
                tracing::error!(%error, "the system gives no random bytes");
                std::process::abort();
            }
        }
    }
    bytes
}

impl Handle {
    /// What the workers share.
    pub(crate) fn common(&self) -> &Common {
        &self.inner.common
    }

    pub(crate) fn switch(&self) -> &Switch {
        &self.inner.guards
    }

    pub(crate) fn actions(&self) -> &crate::actions::Actions {
        &self.inner.common.actions
    }

    /// Every pool follows the switch at once.
    pub(crate) fn switch_guards(&self, off: bool) {
        self.inner.common.write().switch_guards(off);
    }

    pub(crate) fn upstreams(&self) -> Vec<Arc<UpstreamCell>> {
        self.inner.common.read().upstreams().to_vec()
    }

    pub(crate) fn clock_now(&self) -> events::Time {
        self.inner.common.clock.now()
    }

    /// TCP addresses that are listened on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// Unix sockets that are listened on.
    pub fn sockets(&self) -> &[PathBuf] {
        &self.inner.sockets
    }

    /// The settings in force.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.inner.common.read().plan)
    }

    pub(crate) fn console_reply(&self, client: ClientId, reply: Vec<u8>) {
        self.inner
            .common
            .post(client.worker, Mail::Console { client, reply });
    }

    /// States to the fleet's other instances, where a monitor session meets them,
    /// which settings this one turned down: the first 24 bits of their hash.
    pub fn state_rejected(&self, hash: Option<u32>) {
        for upstream in self.upstreams() {
            upstream.lock().state_rejected(hash);
        }
    }

    /// A guard over settings came to its decision.
    pub fn note_decision(&self, guard: Guard, mode: GuardMode) {
        self.lock(&self.inner.decisions).decided(guard, mode);
    }

    pub(crate) fn decisions(&self) -> GuardCounts {
        *self.lock(&self.inner.decisions)
    }

    pub(crate) fn reloads_under_way(&self) -> &AtomicU32 {
        &self.inner.reloads
    }

    fn lock<'a, T>(&self, what: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        what.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
