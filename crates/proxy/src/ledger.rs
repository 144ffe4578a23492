//! Carries the questions of each server's ledger to etcd and the answers back, on a
//! thread of its own. The pools decide all ([`pool::ledger`]); here is the way.
//!
//! ```text
//!   Upstream::ledger_step ──Ask──►  Store::ask ──transaction──►  etcd
//!   Upstream::ledger_heard ◄─Answer─┘
//! ```
//!
//! Without etcd nothing comes back, and by the ledger's own rules shares stand and
//! do not grow. At most four questions of a server are under way, by the same rules.

mod keys;
mod store;
mod sweep;
mod told;

use crate::address::{Endpoint, Remote};
use crate::port::{Common, act};
use crate::registry::UpstreamCell;
use config::Plan;
use etcd::Client;
use events::{Time, UpstreamId};
use keys::Keys;
use pool::ledger::{Answer, LedgerSettings, News, Origin, STORE_ANSWER_MAX};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as Done, Sender as Finished};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{CALL_MAX, Fault, Store};
use tokio::sync::mpsc::{Receiver, Sender, channel};
pub(crate) use told::Told;

/// Between two looks at what is to be asked; an answer is looked at as it comes.
const TURN: Duration = Duration::from_millis(50);
/// Answers that wait for the thread. With more, those who asked wait.
const ANSWERS_MAX: usize = 1024;
/// Questions to etcd at a time, of all servers.
const QUESTIONS_MAX: usize = 16;
/// A server's name that cannot be looked up is asked for again after so long.
const NAME_PAUSE: Duration = Duration::from_secs(2);
/// The process does not wait longer for its rows to be gone.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// How a ledger is entered, for the registry, which makes the pools.
pub(crate) fn settings(plan: &Plan, server: &Endpoint, instance: u32) -> Option<LedgerSettings> {
    (plan.fleet.share == config::Share::Ledger).then(|| LedgerSettings {
        instance,
        // The thread finds it out before the first question.
        origin: Origin::default(),
        ledger: keys(plan, server).id(),
    })
}

fn keys(plan: &Plan, server: &Endpoint) -> Keys {
    Keys::new(plan.etcd.ledger_base(&plan.monitor.fleet, &server.label()))
}

/// The thread, for whoever ends the process.
pub(crate) struct Ledgers {
    leaving: Arc<AtomicBool>,
    done: Mutex<Done<()>>,
}

impl Ledgers {
    /// Starts it, if the settings share by a ledger.
    pub(crate) fn start(common: &Arc<Common>) -> Result<Option<Ledgers>, String> {
        let plan = Arc::clone(&common.read().plan);
        if plan.fleet.share != config::Share::Ledger {
            return Ok(None);
        }
        let settings = etcd::Settings {
            answer_max: CALL_MAX,
            questions_max: QUESTIONS_MAX,
            ..etcd::Settings::of(&plan.etcd)
        };
        let client = Client::new(settings).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let leaving = Arc::new(AtomicBool::new(false));
        let (finished, done) = std::sync::mpsc::channel();
        let (answers, heard) = channel(ANSWERS_MAX);
        let thread = Thread {
            common: Arc::clone(common),
            client,
            plan,
            servers: BTreeMap::new(),
            answers,
            leaving: Arc::clone(&leaving),
        };
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || runtime.block_on(thread.run(heard, finished)))
            .map_err(|error| error.to_string())?;
        Ok(Some(Ledgers {
            leaving,
            done: Mutex::new(done),
        }))
    }

    /// The connections of this process have ended: its rows go, within a bound.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(LEAVE_MAX).is_err() {
            tracing::warn!(
                "the share stays in the ledger until its lease has ended: etcd did not take it back in time"
            );
        }
    }
}

/// An answer on its way back.
struct Heard {
    server: UpstreamId,
    seq: u32,
    answer: Result<Answer, Fault>,
}

/// One server's ledger.
struct Server {
    cell: Arc<UpstreamCell>,
    store: Arc<Store>,
    /// It is known where our connections come from.
    placed: bool,
    place_at: Time,
}

struct Thread {
    common: Arc<Common>,
    client: Client,
    plan: Arc<Plan>,
    servers: BTreeMap<UpstreamId, Server>,
    answers: Sender<Heard>,
    leaving: Arc<AtomicBool>,
}

impl Thread {
    async fn run(mut self, mut heard: Receiver<Heard>, finished: Finished<()>) {
        loop {
            if let Ok(Some(answer)) = tokio::time::timeout(TURN, heard.recv()).await {
                self.hear(answer);
                while let Ok(answer) = heard.try_recv() {
                    self.hear(answer);
                }
            }
            self.meet();
            let leaving = self.leaving.load(Ordering::Relaxed);
            let ids: Vec<UpstreamId> = self.servers.keys().copied().collect();
            for id in ids {
                self.turn(id, leaving).await;
            }
            if leaving && self.servers.values().all(|server| self.has_left(server)) {
                break;
            }
        }
        for server in self.servers.values() {
            server.store.revoke().await;
        }
        let _ = finished.send(());
    }

    fn has_left(&self, server: &Server) -> bool {
        let now = self.common.clock.now();
        let pools = server.cell.lock();
        pools.ledger_left() && pools.ledger_figures(now).is_none_or(|f| !f.sits)
    }

    /// Servers that came since.
    fn meet(&mut self) {
        let cells = self.common.read().upstreams().to_vec();
        for cell in cells {
            let now = self.common.clock.now();
            let here = cell.lock().ledger_figures(now).is_some();
            if !here || self.servers.contains_key(&cell.id) {
                continue;
            }
            let instance = self.common.read().instance_at(cell.id);
            let keys = keys(&self.plan, &cell.endpoint());
            let nonce = u64::from_le_bytes(crate::admin::random());
            tracing::info!(
                server = cell.endpoint().label(),
                keys = keys.base(),
                "the line is shared by a ledger in etcd"
            );
            let store = Store::new(self.client.clone(), keys, instance, nonce);
            let server = Server {
                store: Arc::new(store),
                placed: false,
                place_at: now,
                cell: Arc::clone(&cell),
            };
            self.servers.insert(cell.id, server);
        }
    }

    /// Asks what is to be asked now.
    async fn turn(&mut self, id: UpstreamId, leaving: bool) {
        let now = self.common.clock.now();
        let Some(server) = self.servers.get_mut(&id) else {
            return;
        };
        if !server.placed {
            if now < server.place_at {
                return;
            }
            match origin(&self.plan, &server.cell.endpoint()).await {
                Some(origin) => server.cell.lock().ledger_origin(origin),
                None => {
                    server.place_at = now.after(NAME_PAUSE);
                    server
                        .cell
                        .ledger()
                        .fault(now, "the server's name is not known");
                    return;
                }
            }
            server.placed = true;
        }
        if leaving {
            server.cell.lock().ledger_leave();
        }
        let (cell, store) = (Arc::clone(&server.cell), Arc::clone(&server.store));
        while let Some(ask) = act(&self.common, &cell, |pools| pools.ledger_step(now)) {
            let (store, answers) = (Arc::clone(&store), self.answers.clone());
            cell.ledger().asked();
            tokio::spawn(async move {
                // Beyond that the ledger has given it up, and asks something else.
                let asked = tokio::time::timeout(STORE_ANSWER_MAX, store.ask(ask.op)).await;
                let late = || etcd::Error::Lost(format!("nothing within {STORE_ANSWER_MAX:?}"));
                let answer = asked.unwrap_or_else(|_| Err(Fault::Etcd(late())));
                let heard = Heard {
                    server: id,
                    seq: ask.seq,
                    answer,
                };
                let _ = answers.send(heard).await;
            });
        }
    }

    fn hear(&mut self, heard: Heard) {
        let now = self.common.clock.now();
        let Some(server) = self.servers.get_mut(&heard.server) else {
            return;
        };
        let label = server.cell.endpoint().label();
        match heard.answer {
            Ok(answer) => {
                server.cell.ledger().answered(now, &label);
                let news = act(&self.common, &server.cell, |pools| {
                    pools.ledger_heard(now, heard.seq, answer)
                });
                match news {
                    Some(News::Erased(what)) => server.cell.ledger().erased(&label, what),
                    Some(News::TakenOut(rows)) => told::taken_out(&label, &rows),
                    None => {}
                }
            }
            Err(fault) => {
                server.cell.ledger().failed(now, &label, &fault.to_string());
                match fault {
                    Fault::Forgot { .. } => {
                        server.store.forget();
                        server.cell.ledger().forgot(now, &label);
                        let pools = |pools: &mut pool::Upstream| pools.ledger_forgotten(now);
                        act(&self.common, &server.cell, pools);
                    }
                    Fault::Taken => self.rename(heard.server),
                    _ => {}
                }
            }
        }
    }

    /// Another number for this instance, as long as it has no row.
    fn rename(&mut self, id: UpstreamId) {
        let now = self.common.clock.now();
        let Some(server) = self.servers.remove(&id) else {
            return;
        };
        let mut pools = server.cell.lock();
        if pools.ledger_figures(now).is_some_and(|f| f.joined) {
            drop(pools);
            self.servers.insert(id, server);
            return;
        }
        let other = u32::from_le_bytes(crate::admin::random());
        let settings = settings(&self.plan, &server.cell.endpoint(), other);
        if let Some(settings) = settings {
            pools.share_by_ledger(now, &settings);
        }
        drop(pools);
        let keys = server.store.keys.clone();
        let nonce = u64::from_le_bytes(crate::admin::random());
        let store = Store::new(self.client.clone(), keys, other, nonce);
        let server = Server {
            store: Arc::new(store),
            placed: false,
            ..server
        };
        self.servers.insert(id, server);
    }
}

/// Where the server sees our connections come from: as stated, or the address that
/// the system takes for the way there.
async fn origin(plan: &Plan, endpoint: &Endpoint) -> Option<Origin> {
    if let Ok(stated) = plan.fleet.origin.parse::<IpAddr>() {
        return Some(Origin::of(stated));
    }
    let to = match (endpoint.direct(), endpoint.name()) {
        (Some(Remote::Unix(_)), _) => return Some(Origin::LOCAL),
        (Some(Remote::Tcp(to)), _) => to,
        (None, Some(name)) => {
            let found = tokio::time::timeout(CALL_MAX, tokio::net::lookup_host(name)).await;
            found.ok()?.ok()?.next()?
        }
        (None, None) => return None,
    };
    etcd::own_address(to).map(Origin::of)
}
