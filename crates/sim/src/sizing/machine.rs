//! One run: clients, the real pool, the modelled server.

use super::server::{Server, Step};
use super::workloads::{Load, Workload};
use crate::rng::Rng;
use events::{ClientId, ConnId, FlowId, PoolId, Time, WorkerId};
use pool::{
    AUTO_PERIOD, Action, AutoSettings, Checkin, Checkout, PoolSettings, Resized, Service, Upstream,
    UpstreamSettings,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How large the pool is.
#[derive(Clone, Copy, Debug)]
pub enum Sizing {
    /// So large.
    Fixed(u32),
    /// As large as it finds right.
    Auto,
}

/// What came out of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Transactions per second that ended in time, after the start-up.
    pub goodput: f64,
    /// Mean time from the request to the end, seconds, of these.
    pub response: f64,
    /// Every change of the size.
    pub changes: Vec<Resized>,
    /// The size at each half second.
    pub sizes: Vec<u32>,
    /// Most connections to the server at one moment.
    pub charged_max: u32,
}

impl Outcome {
    /// Most changes within any minute.
    pub fn changes_in_a_minute(&self) -> usize {
        let at: Vec<u64> = self
            .changes
            .iter()
            .map(|r| r.change.at.as_micros())
            .collect();
        let within = |from: &u64| {
            let minute = *from..*from + 60_000_000;
            at.iter().filter(|t| minute.contains(t)).count()
        };
        at.iter().map(within).max().unwrap_or(0)
    }

    /// Changes from a second on.
    pub fn changes_from(&self, second: u64) -> usize {
        let from = Time::from_micros(second * 1_000_000);
        let late = self.changes.iter().filter(|r| r.change.at >= from);
        late.count()
    }
}

/// The line of the modelled server.
const LINE: u32 = 90;
/// The floor of the automatic size.
const FLOOR: u32 = 4;
/// Tries of a client that gets no answer.
const TRIES_MAX: u32 = 4;
const CONNECT_US: u64 = 5000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    /// A client asks. With it the time of its first try.
    Ask(u32),
    /// A timed step of a job ended.
    Step(u32),
    /// A waiting client loses patience.
    Patience(u32, u32),
    Opened(u32),
    Closed(u32),
    /// An open load's next client.
    Arrival,
    Second,
}

/// A client; its transaction when it has a connection.
#[derive(Clone, Debug, Default)]
struct Client {
    generation: u32,
    asked_at: u64,
    began_at: u64,
    waiting: bool,
    conn: Option<ConnId>,
    steps: Vec<Step>,
    next: usize,
    /// The server has something to do for it since then.
    busy_since: Option<u64>,
    used: bool,
    /// How often it asked in vain.
    tries: u32,
}

struct Machine<'a> {
    workload: &'a Workload,
    rng: Rng,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    up: Upstream,
    pool: PoolId,
    flow: FlowId,
    server: Server,
    clients: Vec<Client>,
    free: Vec<u32>,
    opening: BTreeMap<u32, ConnId>,
    names: u32,
    service: Service,
    done: u64,
    took_us: u64,
    outcome: Outcome,
}

/// Runs a workload with a size. The same seed, the same result.
pub fn run(workload: &Workload, sizing: Sizing, seed: u64) -> Outcome {
    let mut up = Upstream::new(UpstreamSettings {
        line: LINE,
        ..UpstreamSettings::default()
    });
    let mut settings = PoolSettings {
        wait_timeout: None,
        lifetime: None,
        queue_max: 100_000,
        ..PoolSettings::default()
    };
    match sizing {
        Sizing::Fixed(size) => settings.size = size,
        Sizing::Auto => {
            settings.auto = Some(AutoSettings {
                floor: FLOOR,
                ceiling: LINE,
                server_cores: workload.cores,
                per_query: false,
            })
        }
    }
    let pool = up.add_pool(settings);
    let flow = up.flow(pool, "app");
    let mut machine = Machine {
        workload,
        rng: Rng::new(seed),
        now: 1,
        events: BTreeMap::new(),
        sequence: 0,
        up,
        pool,
        flow,
        server: Server::new((workload.scaling)(0.0)),
        clients: Vec::new(),
        free: Vec::new(),
        opening: BTreeMap::new(),
        names: 0,
        service: Service::default(),
        done: 0,
        took_us: 0,
        outcome: Outcome::default(),
    };
    machine.run();
    let span = (workload.seconds - workload.from) as f64;
    machine.outcome.goodput = machine.done as f64 / span;
    machine.outcome.response = machine.took_us as f64 / machine.done.max(1) as f64 / 1e6;
    machine.outcome
}

impl Machine<'_> {
    fn run(&mut self) {
        let end = self.workload.seconds * 1_000_000;
        self.at(self.now, Event::Second);
        if matches!(self.workload.load, Load::Open { .. }) {
            self.at(self.now, Event::Arrival);
        }
        let mut next_sample = AUTO_PERIOD.as_micros() as u64;
        loop {
            let event = self.events.first_key_value().map_or(end, |((t, _), _)| *t);
            let job = self.server.next_end().unwrap_or(u64::MAX);
            let next = event.min(job).min(next_sample);
            if next >= end {
                return;
            }
            self.now = self.now.max(next);
            if next == next_sample {
                next_sample += AUTO_PERIOD.as_micros() as u64;
                self.sample();
            } else if job <= event {
                while let Some(client) = self.server.ended(self.now) {
                    self.step(client);
                }
            } else if let Some((_, event)) = self.events.pop_first() {
                self.event(event);
            }
            self.drain();
        }
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    fn seconds(&self) -> f64 {
        self.now as f64 / 1e6
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((time, self.sequence), event);
    }

    fn after(&mut self, mean: u64, event: Event) {
        let span = self.drawn(mean);
        self.at(self.now + span, event);
    }

    /// Exponential, with this mean.
    fn drawn(&mut self, mean: u64) -> u64 {
        let unit = (self.rng.bits() >> 11) as f64 / (1u64 << 53) as f64;
        ((-(1.0 - unit).ln()) * mean as f64) as u64 + 1
    }

    fn id(&self, client: u32) -> ClientId {
        ClientId {
            worker: WorkerId(0),
            generation: self.clients[client as usize].generation,
            slot: client,
        }
    }

    fn sample(&mut self) {
        let now = self.now;
        let under_way: u64 = self
            .clients
            .iter()
            .filter_map(|c| Some(now - c.busy_since?))
            .sum();
        let service = Service {
            busy_us: self.service.busy_us + under_way,
            ..self.service
        };
        self.up.note_service(self.pool, WorkerId(0), service);
        self.up.sample(self.time());
        self.up.tick(self.time());
        while let Some(resized) = self.up.poll_resized() {
            self.outcome.changes.push(resized);
        }
        let size = self.up.pool_settings(self.pool).map_or(0, |s| s.size);
        self.outcome.sizes.push(size);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Second => {
                self.server
                    .rescale(self.now, (self.workload.scaling)(self.seconds()));
                self.match_clients();
                self.at(self.now + 100_000, Event::Second);
            }
            Event::Arrival => {
                if let Load::Open { rate, .. } = self.workload.load {
                    let gap = (1e6 / rate(self.seconds()).max(0.01)) as u64;
                    let client = self.new_client();
                    self.ask(client);
                    self.after(gap, Event::Arrival);
                }
            }
            Event::Ask(client) => self.ask(client),
            Event::Step(client) => self.step(client),
            Event::Patience(client, generation) => self.lose_patience(client, generation),
            Event::Opened(name) => {
                if let Some(conn) = self.opening.remove(&name) {
                    self.up.opened(self.time(), conn, WorkerId(0), name);
                }
            }
            Event::Closed(name) => {
                if let Some(conn) = self.opening.remove(&name) {
                    self.up.closed(self.time(), conn);
                }
            }
        }
    }

    /// A closed load has so many clients now.
    fn match_clients(&mut self) {
        let Load::Closed { clients, think_us } = self.workload.load else {
            return;
        };
        let wanted = clients(self.seconds());
        while self.clients.len() as u32 - (self.free.len() as u32) < wanted {
            let client = self.new_client();
            self.after(think_us, Event::Ask(client));
        }
    }

    fn new_client(&mut self) -> u32 {
        let client = self.free.pop().unwrap_or_else(|| {
            self.clients.push(Client::default());
            self.clients.len() as u32 - 1
        });
        let c = &mut self.clients[client as usize];
        c.used = true;
        c.tries = 0;
        c.generation += 1;
        client
    }

    fn ask(&mut self, client: u32) {
        if let Load::Closed { clients, .. } = self.workload.load {
            let here = self.clients.len() - self.free.len();
            if here as u32 > clients(self.seconds()) {
                return self.leave(client);
            }
        }
        self.clients[client as usize].asked_at = self.now;
        if let Load::Open {
            patience_us: Some(patience),
            ..
        } = self.workload.load
        {
            let generation = self.clients[client as usize].generation;
            self.at(self.now + patience, Event::Patience(client, generation));
        }
        let id = self.id(client);
        match self.up.checkout(self.time(), self.pool, id, self.flow) {
            Checkout::Granted { conn, .. } => self.begin(client, conn),
            Checkout::Queued => self.clients[client as usize].waiting = true,
            Checkout::Refused(_) => self.leave(client),
        }
    }

    fn leave(&mut self, client: u32) {
        let c = &mut self.clients[client as usize];
        c.used = false;
        c.generation += 1;
        self.free.push(client);
    }

    fn lose_patience(&mut self, client: u32, generation: u32) {
        let c = &mut self.clients[client as usize];
        if !c.used || c.generation != generation || !c.waiting {
            return;
        }
        c.waiting = false;
        let id = self.id(client);
        self.up.cancel_wait(self.time(), id, self.pool);
        self.try_again(client);
    }

    /// A client without an answer tries again, a little later; not for ever.
    fn try_again(&mut self, client: u32) {
        let c = &mut self.clients[client as usize];
        c.generation += 1;
        c.tries += 1;
        match c.tries < TRIES_MAX {
            true => self.after(50_000, Event::Ask(client)),
            false => self.leave(client),
        }
    }

    fn begin(&mut self, client: u32, conn: ConnId) {
        let classes = (self.workload.classes)(self.seconds());
        let mut draw = self.rng.below(1000) as u32;
        let class = classes.iter().find(|class| {
            let hit = draw < class.permille;
            draw = draw.saturating_sub(class.permille);
            hit
        });
        let c = &mut self.clients[client as usize];
        c.waiting = false;
        c.conn = Some(conn);
        c.began_at = self.now;
        c.steps = class.map(|class| class.steps.clone()).unwrap_or_default();
        c.next = 0;
        self.step(client);
    }

    /// A step ended; the next one begins.
    fn step(&mut self, client: u32) {
        loop {
            let c = &mut self.clients[client as usize];
            let Some(step) = c.steps.get(c.next).copied() else {
                return self.finish(client);
            };
            c.next += 1;
            let works = !matches!(step, Step::Think(_));
            self.set_busy(client, works);
            match step {
                Step::Cpu(mean) => {
                    let work = self.drawn(mean);
                    return self.server.compute(self.now, client, work);
                }
                Step::Sleep(mean) | Step::Think(mean) => {
                    return self.after(mean, Event::Step(client));
                }
                Step::Lock(lock) if !self.server.lock(self.now, client, lock) => return,
                Step::Lock(_) => {}
            }
        }
    }

    fn set_busy(&mut self, client: u32, busy: bool) {
        let now = self.now;
        let c = &mut self.clients[client as usize];
        if let Some(since) = c.busy_since.take() {
            self.service.busy_us += now - since;
        }
        c.busy_since = busy.then_some(now);
    }

    fn finish(&mut self, client: u32) {
        self.set_busy(client, false);
        self.service.queries += 1;
        let c = &mut self.clients[client as usize];
        let locks: Vec<u32> = c
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Lock(lock) => Some(*lock),
                _ => None,
            })
            .collect();
        let (conn, took) = (c.conn.take(), self.now - c.asked_at);
        let began_at = c.began_at;
        let in_time = match self.workload.load {
            Load::Open {
                gives_up_us: Some(most),
                ..
            } => self.now - began_at <= most,
            _ => true,
        };
        if !in_time {
            self.service.in_vain += 1;
        } else if self.now >= self.workload.from * 1_000_000 {
            self.done += 1;
            self.took_us += took;
        }
        if let Some(conn) = conn
            && let Checkin::Close(_) = self.up.checkin(self.time(), conn, None)
        {
            self.close(conn);
        }
        for lock in locks {
            if let Some(next) = self.server.unlock(self.now, lock) {
                self.step(next);
            }
        }
        match self.workload.load {
            Load::Closed { think_us, .. } => self.after(think_us, Event::Ask(client)),
            Load::Open { .. } if in_time => self.leave(client),
            Load::Open { .. } => self.try_again(client),
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.names += 1;
        self.opening.insert(self.names, conn);
        self.at(self.now + 1000, Event::Closed(self.names));
    }

    fn drain(&mut self) {
        self.outcome.charged_max = self.outcome.charged_max.max(self.up.charged());
        while let Some(action) = self.up.poll() {
            match action {
                Action::Open { conn, .. } => {
                    self.names += 1;
                    self.opening.insert(self.names, conn);
                    self.at(self.now + CONNECT_US, Event::Opened(self.names));
                }
                Action::Close { conn, .. } => self.close(conn),
                Action::Grant { client, conn, .. } => {
                    let c = &self.clients[client.slot as usize];
                    if c.used && c.generation == client.generation {
                        self.begin(client.slot, conn);
                    } else if let Checkin::Close(_) = self.up.checkin(self.time(), conn, None) {
                        self.close(conn);
                    }
                }
                Action::Refuse { .. }
                | Action::Handover { .. }
                | Action::Reclaim { .. }
                | Action::Leave { .. }
                | Action::Oust { .. } => {}
            }
        }
    }
}

/// For the table: a duration in milliseconds.
pub(super) fn millis(seconds: f64) -> f64 {
    Duration::from_secs_f64(seconds.max(0.0)).as_secs_f64() * 1000.0
}
