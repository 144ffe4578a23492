//! Virtual time: the event queue, the links, and the hubs between them.

mod admin;
mod checks;
mod clients;
mod ending;
mod faults;
pub(crate) mod grounds;
mod hubs;
mod leases;
mod links;
mod mail;
mod pipe;
mod plants;
mod servers;
mod settings;
mod shop;
mod strangers;
mod survey;
mod trace;

pub use shop::Shop;

use crate::client::Client;
use crate::rng::{Rng, mix};
use crate::scenario::Scenario;
use crate::session::Session;
use crate::stats::{Hit, Stats};
use events::{ClientId, ConnId, Time, WorkerId};
use pipe::Pipe;
use pool::Action;
use relay::{Command, Hub, Outbox, PoolKey, Seeds, Transfer};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use wire::scram::{Keys, Verifier};

/// Something that happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Event {
    /// Bytes of a client reach its hub.
    ClientUp(u32, u32),
    /// Bytes of a hub reach a client.
    ClientDown(u32, u32),
    /// Bytes of a hub reach a server.
    ServerUp(u32, u32),
    /// Bytes of a server reach its hub.
    ServerDown(u32, u32),
    /// A client does something.
    Act(u32),
    /// A statement's sleep is over.
    Wake(u32, u32, u32),
    /// A worker gets its next mail.
    Mail(u16),
    /// The hubs' tick.
    Tick,
    /// The pools' tick.
    PoolTick,
    /// The next fault.
    Fault,
    /// An administrator's turn.
    Admin,
    /// What an administrator began is over: kind, database.
    AdminEnd(u8, u8),
    /// A connect succeeded or failed.
    Connected(u32, u32),
    /// A server connection's socket is gone.
    Closed(u32, u32),
    /// A cancel request reaches the server.
    CancelArrives(u32),
    /// A pipe moves again.
    Unstall(u32, u32, bool),
}

/// From one worker to another.
#[derive(Debug)]
pub(crate) enum Mail {
    Action(Action),
    Arrive {
        link: u32,
        transfer: Box<Transfer>,
        to: ClientId,
    },
    Cancel {
        link: u32,
        generation: u32,
        pid: i32,
        key: Box<[u8]>,
    },
    CancelEnded {
        link: u32,
        generation: u32,
        conn: ConnId,
    },
    CancelDone {
        link: u32,
        generation: u32,
    },
    Ddl(PoolKey),
    Office(admin::Order),
    Derived {
        peer: relay::Peer,
        generation: u32,
        keys: Keys,
    },
}

/// Work of the worker that is being dispatched.
#[derive(Debug)]
pub(crate) enum Todo {
    Action(Action),
    Command(Command),
}

/// A client's connection to its hub.
#[derive(Debug)]
pub(crate) struct ClientLink {
    pub(crate) generation: u32,
    pub(crate) used: bool,
    pub(crate) client: u32,
    /// It carries a cancel request only.
    pub(crate) cancel: bool,
    /// The client's session that it was opened in.
    pub(crate) session: u64,
    pub(crate) worker: u16,
    /// Its slot in the hub, until the hub forgets it.
    pub(crate) slot: Option<u32>,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
}

/// Where a virtual server's login stands.
#[derive(Debug)]
pub(crate) enum Stage {
    Startup,
    Password,
    SaslFirst,
    SaslFinal(Box<wire::scram::server::ServerFirst>),
    Ready(Box<Session>),
    Gone,
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Stage::Startup => "start-up",
            Stage::Ready(session) if session.sleeps() => "sleeps",
            Stage::Ready(_) => "ready",
            Stage::Gone => "gone",
            _ => "login",
        }
    }
}

/// A hub's connection to the server.
#[derive(Debug)]
pub(crate) struct ServerLink {
    pub(crate) generation: u32,
    pub(crate) used: bool,
    pub(crate) conn: ConnId,
    pub(crate) worker: u16,
    /// Its slot in the hub, until the hub forgets it; `None` while it moves.
    pub(crate) slot: Option<u32>,
    pub(crate) moving: bool,
    /// The pool was told of a failed open: it does not wait for the end.
    pub(crate) failed: bool,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    pub(crate) stage: Stage,
    pub(crate) inbox: Vec<u8>,
    /// Counts sleeps, so that a late wake-up is recognised.
    pub(crate) run: u32,
    pub(crate) session_pid: i32,
}

/// Everything.
pub struct World {
    pub(crate) s: Scenario,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    seq: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    pub(crate) hubs: Vec<Hub>,
    out: Outbox,
    pub(crate) shop: Shop,
    pub(crate) links: Vec<ClientLink>,
    free_links: Vec<u32>,
    pub(crate) servers: Vec<ServerLink>,
    free_servers: Vec<u32>,
    client_slots: Vec<Vec<u32>>,
    server_slots: Vec<Vec<u32>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) owners: BTreeMap<ClientId, u32>,
    mail: Vec<VecDeque<(u64, Mail)>>,
    todo: VecDeque<Todo>,
    commands: Vec<Command>,
    touched: Vec<relay::Peer>,
    pool_tick: u64,
    /// The count of events when this millisecond began.
    moment: u64,
    pub(crate) cancels: Vec<CancelTrip>,
    pub(crate) stats: Stats,
    pub(crate) hash: u64,
    pub(crate) trace: Option<VecDeque<String>>,
    pub(crate) broken: Option<String>,
    /// The database: how often each insert was committed.
    pub(crate) db: Vec<u8>,
    /// No more faults and no more new work.
    pub(crate) quiet: bool,
    pub(crate) refuse_until: u64,
    pub(crate) unreachable_until: u64,
    pub(crate) slow_login_until: u64,
    pub(crate) reject_until: u64,
    /// The next replay of parameters is rejected.
    pub(crate) bad_parameters: bool,
    pub(crate) verifier: Verifier,
    pub(crate) buffer: Vec<u8>,
    /// What administrators did, by database.
    records: Vec<admin::Record>,
    letters: Vec<admin::Letter>,
    pub(crate) drained: bool,
    /// Workers that have stopped.
    stopped: Vec<u16>,
    least: grounds::Least,
    survey: survey::Survey,
    /// Inserts of transactions that were taken back.
    taken_back: Vec<u64>,
    /// A planted bug acts once.
    pub(crate) planted: bool,
}

/// A cancel request on its way to the server.
#[derive(Debug)]
pub(crate) struct CancelTrip {
    pub(crate) link: u32,
    pub(crate) generation: u32,
    pub(crate) conn: ConnId,
    /// The client link that asked for it, if one did.
    pub(crate) asked: Option<(u32, u32)>,
}

/// Far more events than all clients together can cause in one virtual millisecond.
const EVENTS_PER_MS: u64 = 1_000_000;

/// Client names and passwords: the same for all.
pub(crate) const PASSWORD: &str = "secret";

impl World {
    /// A world before its first event.
    pub fn new(seed: u64, s: Scenario) -> World {
        let verifier = Verifier::from_password(PASSWORD.as_bytes(), b"salt", 1);
        let directory = Arc::new(settings::directory(&s, &verifier));
        let ids = Arc::new(AtomicU64::new(0));
        let hubs = (0..s.workers)
            .map(|w| {
                let seeds = Seeds {
                    hash: 7,
                    key: [9; 32],
                    nonce: [w as u8; 32],
                };
                Hub::new(WorkerId(w as u16), Arc::clone(&directory), seeds)
                    .number_with(Arc::clone(&ids))
            })
            .collect();
        let mut world = World {
            rng: Rng::new(seed),
            now: 1,
            seq: 0,
            heap: BinaryHeap::new(),
            hubs,
            out: Outbox::new(),
            shop: Shop::new(&s),
            links: Vec::new(),
            free_links: Vec::new(),
            servers: Vec::new(),
            free_servers: Vec::new(),
            client_slots: vec![Vec::new(); s.workers],
            server_slots: vec![Vec::new(); s.workers],
            clients: (0..s.clients).map(|i| Client::new(i as u32, &s)).collect(),
            owners: BTreeMap::new(),
            mail: (0..s.workers).map(|_| VecDeque::new()).collect(),
            todo: VecDeque::new(),
            commands: Vec::new(),
            touched: Vec::new(),
            pool_tick: u64::MAX,
            moment: 0,
            cancels: Vec::new(),
            stats: Stats::default(),
            hash: seed,
            trace: None,
            broken: None,
            db: Vec::new(),
            quiet: false,
            refuse_until: 0,
            unreachable_until: 0,
            slow_login_until: 0,
            reject_until: 0,
            bad_parameters: false,
            verifier,
            buffer: Vec::new(),
            records: vec![admin::Record::default(); s.pools.len()],
            letters: Vec::new(),
            drained: false,
            stopped: Vec::new(),
            least: grounds::Least::default(),
            survey: survey::Survey::default(),
            taken_back: Vec::new(),
            planted: false,
            s,
        };
        for i in 0..world.clients.len() as u32 {
            let at = world.rng.below(5_000);
            world.at(at, Event::Act(i));
        }
        world.plan_first();
        world
    }

    fn plan_first(&mut self) {
        self.at(100_000, Event::Tick);
        self.least.lower(&self.s);
        if self.s.admin > 0 {
            self.at(self.s.admin, Event::Admin);
        }
        if self.s.faults.every > 0 {
            self.at(self.s.faults.every, Event::Fault);
        }
    }

    pub(crate) fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    /// Plans an event `delay` µs from now.
    pub(crate) fn at(&mut self, delay: u64, event: Event) {
        self.seq += 1;
        self.heap.push(Reverse((self.now + delay, self.seq, event)));
    }

    pub(crate) fn latency(&mut self) -> u64 {
        self.rng.range(self.s.latency.0, self.s.latency.1)
    }

    /// Handles the next event; false when a check failed or nothing is left.
    pub fn step(&mut self) -> bool {
        let Some(Reverse((at, _, event))) = self.heap.pop() else {
            return false;
        };
        if at / 1000 != self.now / 1000 {
            self.moment = self.stats.events;
        } else if self.stats.events - self.moment > EVENTS_PER_MS {
            self.fail("something runs in circles: time does not get on");
        }
        self.now = at;
        self.stats.events += 1;
        let mut state = self.hash ^ at;
        self.hash = mix(&mut state);
        match event {
            Event::ClientUp(link, generation) => self.client_up(link, generation),
            Event::ClientDown(link, generation) => self.client_down(link, generation),
            Event::ServerUp(link, generation) => self.server_up(link, generation),
            Event::ServerDown(link, generation) => self.server_down(link, generation),
            Event::Act(client) => self.act(client),
            Event::Wake(link, generation, run) => self.wake(link, generation, run),
            Event::Mail(worker) => self.mail_arrives(worker),
            Event::Tick => self.tick(),
            Event::PoolTick => self.pools_tick(),
            Event::Fault => self.fault(),
            Event::Admin => self.administer(),
            Event::AdminEnd(kind, db) => self.admin_ends(kind, db),
            Event::Connected(link, generation) => self.connected(link, generation),
            Event::Closed(link, generation) => self.closed(link, generation),
            Event::CancelArrives(trip) => self.cancel_arrives(trip),
            Event::Unstall(link, generation, server) => self.unstall(link, generation, server),
        }
        if self.s.plant == Some(crate::scenario::Plant::Panic) && self.now > 20_000 {
            panic!("planted");
        }
        if let Some(text) = self.shop.broken.pop() {
            self.fail(text);
        }
        self.broken.is_none()
    }

    /// A checker says no.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.trace.is_some() {
            self.dump();
            self.note(|| format!("BROKEN: {text}"));
        }
        self.broken.get_or_insert(text);
    }

    fn tick(&mut self) {
        self.at(100_000, Event::Tick);
        for w in 0..self.hubs.len() {
            let now = self.time();
            self.shop.worker = WorkerId(w as u16);
            self.hubs[w].tick(now, &mut self.shop, &mut self.out);
            self.settle(w, &[]);
        }
        if let Err(error) = self.shop.up.check_invariants() {
            self.fail(format!("pool invariant: {error}"));
        }
        self.check_progress();
        self.check_taken_back();
    }

    fn pools_tick(&mut self) {
        self.pool_tick = u64::MAX;
        let now = self.time();
        self.shop.up.tick(now);
        self.pools_moved();
    }

    /// Sends on what the pools decided outside of a dispatch.
    pub(crate) fn pools_moved(&mut self) {
        while let Some(action) = self.shop.up.poll() {
            self.check_action(&action);
            self.post_action(action);
        }
        self.plan_pool_tick();
    }

    pub(crate) fn plan_pool_tick(&mut self) {
        if let Some(at) = self.shop.up.next_tick() {
            let at = at.as_micros().max(self.now + 1);
            if at < self.pool_tick {
                self.pool_tick = at;
                self.at(at - self.now, Event::PoolTick);
            }
        }
    }

    pub(crate) fn post_action(&mut self, action: Action) {
        self.post(action.worker().0, Mail::Action(action));
    }

    /// Puts mail for a worker on its way; it arrives in the order sent.
    pub(crate) fn post(&mut self, worker: u16, mail: Mail) {
        let delay = self.rng.below(200);
        let queue = &mut self.mail[worker as usize];
        let at = (self.now + delay).max(queue.back().map_or(0, |(at, _)| *at));
        queue.push_back((at, mail));
        self.at(at - self.now, Event::Mail(worker));
    }

    /// Nothing is under way to or from any client, and nobody waits.
    pub fn is_quiet(&self) -> bool {
        self.clients.iter().all(Client::is_quiet)
    }

    /// The clients as they are, for a failure's report.
    pub fn hit(&mut self, hit: Hit) {
        self.stats.hit(hit);
    }
}
