//! The run: events in virtual time, and what is checked at each.

use super::{Arrivals, Crowd, Fate, Outcome};
use crate::rng::Rng;
use events::{ClientId, ConnId, FlowId, PoolId, RefuseReason, Time, WorkerId};
use pool::{Action, Checkin, Checkout, FLOW_PASS_MAX, LOCAL_PASS_MAX, Upstream};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// Time that a connection takes from one worker to another.
const MOVE: Duration = Duration::from_micros(30);
/// Time between two ticks, at least; so much late a deadline may be.
const TICK: Duration = Duration::from_millis(1);
/// One request: its group, the client's slot, and which try it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Request {
    group: usize,
    client: u32,
    number: u32,
    tries: u32,
    first: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Ask(Request),
    /// The next arrival of an open group.
    Next(usize, u32),
    Return(ConnId),
    Opened(ConnId, u16),
    Moved(ConnId, u16, u32),
    Closed(ConnId),
}

struct Waiting {
    request: Request,
    since: Time,
    /// Grants to younger waiters of its flow.
    passed: u8,
    queued: bool,
}

pub(super) struct World<'a> {
    crowd: &'a Crowd,
    pub(super) up: Upstream,
    pool: PoolId,
    flows: Vec<FlowId>,
    /// By group: its longest wait, and the first group of the same flow.
    deadlines: Vec<Option<Duration>>,
    home: Vec<usize>,
    /// Queued clients, by the first group of their flow.
    queued: Vec<u32>,
    now: Time,
    ticked: Time,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    numbers: u64,
    waiting: BTreeMap<u32, Waiting>,
    holding: BTreeMap<ConnId, Request>,
    next_client: u32,
    grants: u64,
    opens: u64,
    /// Grants to others since a waiting flow was served, by its first group.
    left_out: BTreeMap<usize, u64>,
    pub(super) out: Outcome,
}

impl<'a> World<'a> {
    pub(super) fn new(crowd: &'a Crowd) -> World<'a> {
        let mut up = Upstream::new(crowd.upstream.clone());
        #[cfg(test)]
        if let Some(fault) = crowd.fault {
            up.plant(fault);
        }
        up.set_workers(crowd.workers);
        let pool = up.add_pool(crowd.pool.clone());
        let flows: Vec<FlowId> = crowd.groups.iter().map(|g| up.flow(pool, g.flow)).collect();
        let deadlines = flows
            .iter()
            .map(|f| up.plight(pool, *f, false).deadline)
            .collect();
        let keys: Vec<&str> = crowd.groups.iter().map(|g| g.flow).collect();
        let home = |key: &&str| keys.iter().position(|k| k == key).unwrap_or(0);
        let mut world = World {
            home: keys.iter().map(home).collect(),
            crowd,
            up,
            pool,
            flows,
            deadlines,
            queued: vec![0; crowd.groups.len()],
            now: Time::from_micros(1),
            ticked: Time::ZERO,
            events: BinaryHeap::new(),
            numbers: 0,
            waiting: BTreeMap::new(),
            holding: BTreeMap::new(),
            next_client: 0,
            grants: 0,
            opens: 0,
            left_out: BTreeMap::new(),
            out: Outcome {
                fates: crowd.groups.iter().map(|_| Fate::default()).collect(),
                waiting_max: 0,
                quiet_at: Time::ZERO,
                guards: events::GuardCounts::default(),
                broken: None,
            },
        };
        for (g, group) in crowd.groups.iter().enumerate() {
            let from = Time::ZERO.after(group.from);
            match group.arrivals {
                Arrivals::Open(_) => world.at(from, Event::Next(g, 0)),
                Arrivals::Closed(clients, _) => {
                    for _ in 0..clients {
                        let client = world.new_client();
                        world.at(from, Event::Ask(first(g, client, 0, from)));
                    }
                }
            }
        }
        world
    }

    fn new_client(&mut self) -> u32 {
        self.next_client += 1;
        self.next_client
    }

    fn at(&mut self, at: Time, event: Event) {
        self.numbers += 1;
        self.events.push(Reverse((at, self.numbers, event)));
    }

    pub(super) fn fail(&mut self, what: String) {
        let at = self.now;
        self.out.broken.get_or_insert(format!("{what}, at {at:?}"));
    }

    pub(super) fn step(&mut self) -> bool {
        let due = self
            .up
            .next_tick()
            .map(|due| due.max(self.ticked.after(TICK)));
        let next = self.events.peek().map(|Reverse((at, ..))| *at);
        match (due, next) {
            (Some(due), next) if next.is_none_or(|n| due <= n) => {
                // Idle connections would keep the clock going for ever.
                if next.is_none() && self.waiting.is_empty() {
                    return false;
                }
                self.now = self.now.max(due);
                self.ticked = self.now;
                self.up.tick(self.now);
            }
            (_, Some(_)) => {
                if let Some(Reverse((at, _, event))) = self.events.pop() {
                    self.now = self.now.max(at);
                    self.event(event);
                }
            }
            (_, None) => return false,
        }
        self.drain();
        self.judge();
        true
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Next(g, number) => self.arrival(g, number),
            Event::Ask(request) => self.ask(request),
            Event::Return(conn) => self.give_back(conn),
            Event::Opened(conn, worker) => {
                self.up.opened(self.now, conn, WorkerId(worker), conn.slot);
            }
            Event::Moved(conn, worker, client) => {
                let to = self.id(client);
                if self
                    .up
                    .arrived(self.now, conn, WorkerId(worker), conn.slot, to)
                {
                    self.lend(client, conn);
                }
            }
            Event::Closed(conn) => self.up.closed(self.now, conn),
        }
    }

    fn id(&self, client: u32) -> ClientId {
        ClientId {
            worker: WorkerId((client % u32::from(self.crowd.workers.max(1))) as u16),
            generation: 0,
            slot: client,
        }
    }

    /// What a request draws, whatever happened before it.
    fn draw(&self, group: usize, number: u32, client: u32) -> Rng {
        let mut seed = self.crowd.seed ^ (group as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        seed ^= u64::from(number) << 32 | u64::from(client);
        let mut rng = Rng::new(seed);
        rng.below(1 << 30);
        rng
    }

    fn arrival(&mut self, g: usize, number: u32) {
        let group = &self.crowd.groups[g];
        let Arrivals::Open(rate) = group.arrivals else {
            return;
        };
        if self.now >= Time::ZERO.after(group.until) {
            return;
        }
        // Exponential pauses: arrivals that know nothing of each other.
        let uniform =
            (self.draw(g, number, u32::MAX).below(1 << 30) + 1) as f64 / (1u64 << 30) as f64;
        let pause = Duration::from_secs_f64(-uniform.ln() / rate);
        let client = self.new_client();
        self.ask(first(g, client, number, self.now));
        self.at(self.now.after(pause), Event::Next(g, number + 1));
    }

    fn ask(&mut self, request: Request) {
        let (client, group) = (self.id(request.client), request.group);
        match self
            .up
            .checkout(self.now, self.pool, client, self.flows[group])
        {
            Checkout::Granted { conn, .. } => {
                self.out.fates[group].waits.push(0);
                self.hold(request, conn);
            }
            Checkout::Queued => {
                self.left_out.entry(self.home[group]).or_insert(0);
                self.queued[self.home[group]] += 1;
                let waiting = Waiting {
                    request,
                    since: self.now,
                    passed: 0,
                    queued: true,
                };
                self.waiting.insert(request.client, waiting);
            }
            Checkout::Refused(reason) => self.refused(request, reason),
        }
    }

    fn refused(&mut self, mut request: Request, reason: RefuseReason) {
        let fate = &mut self.out.fates[request.group];
        *fate.refused.entry(reason.label()).or_default() += 1;
        request.tries += 1;
        if request.tries > self.crowd.groups[request.group].retries {
            fate.lost += 1;
            return self.goes_on(request, self.crowd.retry_after);
        }
        self.at(self.now.after(self.crowd.retry_after), Event::Ask(request));
    }

    /// A client of a closed group asks again, not before `rest` is over.
    fn goes_on(&mut self, request: Request, rest: Duration) {
        let group = &self.crowd.groups[request.group];
        if let Arrivals::Closed(_, pause) = group.arrivals {
            let at = self.now.after(pause.max(rest));
            if at < Time::ZERO.after(group.until) {
                let next = first(request.group, request.client, request.number + 1, at);
                self.at(at, Event::Ask(next));
            }
        }
    }

    fn hold(&mut self, request: Request, conn: ConnId) {
        let mean = self.crowd.groups[request.group].hold;
        let spread = self
            .draw(request.group, request.number, request.client)
            .range(500, 1500);
        let (cold, cold_hold) = self.crowd.cold;
        let hold = match self.grants < u64::from(cold) {
            true => cold_hold,
            false => mean * spread as u32 / 1000,
        };
        self.grants += 1;
        if self.holding.insert(conn, request).is_some() {
            self.fail(format!("{conn} was lent twice"));
        }
        self.at(self.now.after(hold), Event::Return(conn));
    }

    fn lend(&mut self, client: u32, conn: ConnId) {
        let Some(waiting) = self.waiting.remove(&client) else {
            return self.fail(format!("client {client} was served without waiting"));
        };
        let waited = self.now.since(waiting.since);
        let fate = &mut self.out.fates[waiting.request.group];
        fate.waits.push(waited.as_micros() as u64);
        if waited > Duration::from_millis(100) {
            fate.last_long_wait = self.now;
        }
        self.hold(waiting.request, conn);
    }

    fn give_back(&mut self, conn: ConnId) {
        let Some(request) = self.holding.remove(&conn) else {
            return;
        };
        let fate = &mut self.out.fates[request.group];
        *fate
            .served
            .entry(self.now.as_micros() / 1_000_000)
            .or_default() += 1;
        fate.response.record(self.now.since(request.first));
        if let Checkin::Close(_) = self.up.checkin(self.now, conn, None) {
            self.at(self.now.after(MOVE), Event::Closed(conn));
        }
        self.goes_on(request, Duration::ZERO);
    }

    fn drain(&mut self) {
        while let Some(action) = self.up.poll() {
            match action {
                Action::Grant { client, conn, .. } => {
                    self.chosen(client.slot);
                    self.lend(client.slot, conn);
                }
                Action::Handover { conn, to, .. } => {
                    self.chosen(to.slot);
                    self.at(
                        self.now.after(MOVE),
                        Event::Moved(conn, to.worker.0, to.slot),
                    );
                }
                Action::Open { worker, conn, .. } => {
                    self.at(
                        self.now.after(self.crowd.open),
                        Event::Opened(conn, worker.0),
                    );
                }
                // Nobody here is silent.
                Action::Close { conn, .. } => self.at(self.now.after(MOVE), Event::Closed(conn)),
                // Nobody here tells of silent leases.
                Action::Reclaim { .. } => self.fail("a lease was taken back".into()),
                Action::Leave { .. } | Action::Oust { .. } => self.fail("nothing moved".into()),
                Action::Refuse { client, reason, .. } => {
                    if reason == RefuseReason::Shed {
                        self.fail("a waiter was shed after it had waited".into());
                    }
                    if let Some(waiting) = self.waiting.remove(&client.slot) {
                        self.unqueue(waiting.queued, waiting.request.group);
                        self.refused(waiting.request, reason);
                    }
                }
            }
        }
    }

    /// A flow of which nobody is queued is not left out.
    fn unqueue(&mut self, was_queued: bool, group: usize) {
        let group = self.home[group];
        self.queued[group] -= u32::from(was_queued);
        if self.queued[group] == 0 {
            self.left_out.remove(&group);
        }
    }

    /// A waiter was chosen: who was passed over for it?
    fn chosen(&mut self, client: u32) {
        let Some(chosen) = self.waiting.get_mut(&client) else {
            return;
        };
        chosen.queued = false;
        let (group, since) = (self.home[chosen.request.group], chosen.since);
        let mut worst = 0;
        if self.crowd.workers > 1 {
            for (other, waiting) in &mut self.waiting {
                let same = self.home[waiting.request.group] == group && waiting.queued;
                if same && *other != client && waiting.since < since {
                    waiting.passed += 1;
                    worst = worst.max(waiting.passed);
                }
            }
        }
        if worst > LOCAL_PASS_MAX {
            self.fail(format!("a waiter was passed {worst} times within its flow"));
        }
        let flows = self.left_out.len() as u64;
        let mut longest = 0;
        for (other, count) in &mut self.left_out {
            if *other != group {
                *count += 1;
                longest = longest.max(*count);
            }
        }
        self.left_out.insert(group, 0);
        self.unqueue(true, group);
        if longest > FLOW_PASS_MAX + flows + u64::from(self.crowd.pool.size) {
            self.fail(format!("a flow was left out for {longest} grants"));
        }
    }

    fn judge(&mut self) {
        let opens = self.up.counters().opens;
        if opens > self.opens && self.up.charged() > self.up.line() {
            let charged = self.up.charged();
            self.fail(format!("opened with {charged} connections above the line"));
        }
        self.opens = opens;
        let waiting = self.waiting.len() as u32;
        self.out.waiting_max = self.out.waiting_max.max(waiting);
        match waiting {
            0 => {}
            _ => self.out.quiet_at = self.now,
        }
        // Of each flow all wait equally long: the oldest is late first.
        if self.numbers.is_multiple_of(64) {
            for waiting in self.waiting.values() {
                let deadline = self.deadlines[waiting.request.group];
                if deadline.is_some_and(|d| waiting.since.after(d + TICK) < self.now) {
                    let client = waiting.request.client;
                    return self.fail(format!("client {client} waits beyond its deadline"));
                }
            }
        }
    }
}

fn first(group: usize, client: u32, number: u32, first: Time) -> Request {
    Request {
        group,
        client,
        number,
        tries: 0,
        first,
    }
}
