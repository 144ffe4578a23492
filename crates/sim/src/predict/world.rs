//! One run: a level's clients before the real pools, in virtual time.

mod clients;

use super::choice::{Choice, flow_key};
use super::curve::Beyond;
use super::model::{Level, Model};
use crate::rng::Rng;
use events::shape::ServerShape;
use events::{ConnId, FlowId, PoolId, Time, WorkerId};
use pool::{Action, Checkin, Upstream};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Between two ticks of the pools, at least.
const TICK: Duration = Duration::from_millis(1);
/// From a close to its end of file.
const CLOSE: Duration = Duration::from_micros(200);
/// Share of a run's requests that is not counted, until it has settled.
const WARM_UP: f64 = 0.2;
/// Virtual time of a run, at most.
const TIME_MAX: Duration = Duration::from_secs(4 * 3600);
/// Clients that ask after a refusal do so after this, at least.
const REFUSED_PAUSE_US: u64 = 10_000;
/// Clients at once, at most; who comes beyond is not played.
const AGENTS_MAX: usize = 100_000;

/// What a run needs.
pub(super) struct Setting<'a> {
    pub model: &'a Model,
    pub level: &'a Level,
    pub server: &'a ServerShape,
    pub choice: &'a Choice,
    pub open: Duration,
    pub beyond: Beyond,
    pub seed: u64,
    /// Requests to be played.
    pub requests: u64,
}

/// What came of a run, by pool of the shape.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Of those that were served, and of those that still waited at the end.
    pub waits: Vec<u32>,
    pub refused: u64,
    pub returned: u64,
    /// Connection time lent.
    pub lent_us: f64,
    pub span_us: u64,
    /// Leases at a load at which none were recorded.
    pub beyond: u64,
    /// More came than was served, and the queue grew.
    pub overrun: bool,
    pub in_use_max: u32,
    came: u64,
    waiting_at_half: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// An agent asks, if it has not turned to something else since.
    Ask(u32, u32),
    /// A piece of the record begins.
    Begin,
    Opened(ConnId),
    Closed(ConnId),
    /// The server does nothing for a while, and does again.
    Stall,
    Resume,
}

/// A client.
#[derive(Clone, Copy)]
struct Agent {
    flow: usize,
    /// What it plays: piece, actor, and the next step.
    play: usize,
    actor: usize,
    step: usize,
    /// When that piece began.
    began: u64,
    units: f32,
    generation: u32,
    /// Its last plan; an older one is void.
    plan: u32,
    doing: Doing,
    /// It comes again.
    stays: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Nothing, or it pauses.
    Pausing,
    /// Waiting since then.
    Waiting(u64),
    /// Holding a connection.
    Holding,
}

/// Work that ends when the pool's clock of work has come so far.
#[derive(Clone, Copy, PartialEq)]
struct Work {
    end: f64,
    agent: u32,
    conn: ConnId,
}

impl Eq for Work {}

impl PartialOrd for Work {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Work {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_end = self.end.total_cmp(&other.end);
        by_end.then(self.agent.cmp(&other.agent))
    }
}

#[derive(Default)]
struct Works {
    heap: BinaryHeap<Reverse<Work>>,
    /// Work done by each lease since the start, in multiples of the mean hold.
    clock: f64,
    /// Microseconds for one multiple, by load.
    pace: Vec<f64>,
}

struct World<'a> {
    s: &'a Setting<'a>,
    rng: Rng,
    up: Upstream,
    pools: Vec<Option<PoolId>>,
    by_id: Vec<usize>,
    flows: Vec<FlowId>,
    now: u64,
    ticked: u64,
    load: u32,
    lent: Vec<u32>,
    works: Vec<Works>,
    /// Until then nothing ends.
    stalled_until: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    numbers: u64,
    agents: Vec<Agent>,
    free: Vec<u32>,
    /// The agents of clients that come again; [`u32::MAX`]: not there yet.
    regulars: Vec<u32>,
    play: usize,
    began: u64,
    came: u64,
    warm: bool,
    half: bool,
    out: Vec<Tally>,
}

/// Plays the level.
pub(super) fn play(setting: &Setting<'_>) -> Vec<Tally> {
    let mut world = World::new(setting);
    world.next_stall();
    world.begin();
    let end = u64::try_from(TIME_MAX.as_micros()).unwrap_or(u64::MAX);
    let warm = (setting.requests as f64 * WARM_UP) as u64;
    let half = warm + (setting.requests - warm) / 2;
    // Opens, ticks and closes are events too; a run never goes on for ever.
    let mut steps_left = setting.requests.saturating_mul(12).saturating_add(100_000);
    while world.came < setting.requests && world.now < end && steps_left > 0 && world.step() {
        steps_left -= 1;
        if !world.warm && world.came >= warm {
            world.settled();
        }
        if !world.half && world.came >= half {
            world.half = true;
            world.count_waiting();
        }
    }
    world.finish()
}

impl<'a> World<'a> {
    fn new(s: &'a Setting<'a>) -> World<'a> {
        let (mut up, pools) = s.choice.upstream(s.server);
        let mut flows = Vec::new();
        for (pool, flow) in &s.level.flows {
            let pool = pools.get(*pool).copied().flatten();
            let key = flow_key(*flow);
            flows.push(pool.map_or(FlowId(0), |pool| up.flow(pool, &key)));
        }
        let most = s.choice.line.min(10_000) + 1;
        let works = s.model.curves.iter().map(|curve| Works {
            pace: (0..=most)
                .map(|load| curve.hold_us(f64::from(load.max(1)), s.beyond))
                .collect(),
            ..Works::default()
        });
        let mut by_id = Vec::new();
        for (at, pool) in pools.iter().enumerate() {
            if let Some(pool) = pool {
                let id = pool.0 as usize;
                by_id.resize(by_id.len().max(id + 1), usize::MAX);
                by_id[id] = at;
            }
        }
        World {
            rng: Rng::new(s.seed),
            works: works.collect(),
            lent: vec![0; pools.len()],
            out: vec![Tally::default(); pools.len()],
            by_id,
            pools,
            up,
            flows,
            s,
            now: 1,
            ticked: 0,
            load: 0,
            stalled_until: 0,
            events: BinaryHeap::new(),
            numbers: 0,
            agents: Vec::new(),
            free: Vec::new(),
            regulars: vec![u32::MAX; s.level.clients as usize],
            play: 0,
            began: 0,
            came: 0,
            warm: false,
            half: false,
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.numbers += 1;
        self.events.push(Reverse((at, self.numbers, event)));
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    /// The next thing that happens. False when nothing ever will.
    fn step(&mut self) -> bool {
        let event = self.events.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let work = self.next_work();
        let tick = self.up.next_tick().map_or(u64::MAX, |due| {
            due.as_micros().max(self.ticked + TICK.as_micros() as u64)
        });
        let next = event.min(work.0).min(tick);
        if next == u64::MAX {
            return false;
        }
        self.advance(next);
        if next == tick {
            self.ticked = self.now;
            self.up.tick(self.time());
        } else if next == work.0 {
            self.end_work(work.1);
        } else if let Some(Reverse((_, _, event))) = self.events.pop() {
            self.event(event);
        }
        self.drain();
        true
    }

    /// The lease that ends next: when, and of which pool.
    fn next_work(&self) -> (u64, usize) {
        let mut first = (u64::MAX, 0);
        if self.now < self.stalled_until {
            return first;
        }
        for (p, works) in self.works.iter().enumerate() {
            if let Some(Reverse(work)) = works.heap.peek() {
                let left = (work.end - works.clock).max(0.0) * self.pace(works);
                let at = self.now.saturating_add(left.ceil() as u64);
                if at < first.0 {
                    first = (at, p);
                }
            }
        }
        first
    }

    fn pace(&self, works: &Works) -> f64 {
        let last = works.pace.len().saturating_sub(1);
        let at = (self.load as usize).min(last);
        works.pace.get(at).copied().unwrap_or(1.0)
    }

    fn advance(&mut self, to: u64) {
        let to = to.max(self.now);
        let span = (to - self.now) as f64;
        for p in 0..self.works.len() {
            let pace = self.pace(&self.works[p]);
            if self.now >= self.stalled_until {
                self.works[p].clock += span / pace;
            }
            self.out[p].lent_us += span * f64::from(self.lent[p]);
            self.out[p].span_us += to - self.now;
        }
        self.now = to;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Ask(agent, plan) => {
                if self.agents[agent as usize].plan == plan {
                    self.ask(agent);
                }
            }
            Event::Begin => self.begin(),
            Event::Opened(conn) => self.up.opened(self.time(), conn, WorkerId(0), conn.slot),
            Event::Closed(conn) => self.up.closed(self.time(), conn),
            Event::Stall => self.stall(),
            Event::Resume => {}
        }
    }

    /// Stalls come by chance, as often as they were seen.
    fn next_stall(&mut self) {
        let stalls = &self.s.level.stalls;
        if stalls.rate > 0.0 {
            let unit = (self.rng.bits() >> 11) as f64 / (1u64 << 53) as f64;
            let pause = -(1.0 - unit).ln() / stalls.rate * 1e6;
            self.at(self.now + pause as u64 + 1, Event::Stall);
        }
    }

    fn stall(&mut self) {
        let lengths = &self.s.level.stalls.lengths;
        let drawn = self.rng.below(lengths.len() as u64) as usize;
        let long = lengths.get(drawn).copied().unwrap_or(0);
        self.stalled_until = self.stalled_until.max(self.now + u64::from(long));
        self.at(self.stalled_until, Event::Resume);
        self.next_stall();
    }

    // --- who is served ---

    fn lend(&mut self, agent: u32, conn: ConnId) {
        let a = &mut self.agents[agent as usize];
        let (pool, units) = (self.s.level.flows[a.flow].0, a.units);
        if let Doing::Waiting(since) = a.doing {
            let waited = u32::try_from(self.now - since).unwrap_or(u32::MAX);
            self.out[pool].waits.push(waited);
        }
        a.doing = Doing::Holding;
        self.load += 1;
        self.lent[pool] += 1;
        let known = self.s.model.curves[pool].known();
        let load = f64::from(self.load);
        self.out[pool].beyond += u64::from(load < known.0 * 0.8 || load > known.1 * 1.25);
        self.out[pool].in_use_max = self.out[pool].in_use_max.max(self.lent[pool]);
        let works = &mut self.works[pool];
        works.heap.push(Reverse(Work {
            end: works.clock + f64::from(units),
            agent,
            conn,
        }));
    }

    fn end_work(&mut self, p: usize) {
        let Some(Reverse(work)) = self.works[p].heap.pop() else {
            return;
        };
        self.load -= 1;
        self.lent[p] -= 1;
        self.out[p].returned += 1;
        if let Checkin::Close(_) = self.up.checkin(self.time(), work.conn, None) {
            self.at(
                self.now + CLOSE.as_micros() as u64,
                Event::Closed(work.conn),
            );
        }
        self.agents[work.agent as usize].doing = Doing::Pausing;
        self.plan(work.agent, 0);
    }

    fn drain(&mut self) {
        while let Some(action) = self.up.poll() {
            match action {
                Action::Grant { client, conn, .. } => self.lend(client.slot, conn),
                Action::Open { conn, .. } => {
                    let took = self.s.open.as_micros() as u64;
                    self.at(self.now + took.max(1), Event::Opened(conn));
                }
                Action::Close { conn, .. } => {
                    self.at(self.now + CLOSE.as_micros() as u64, Event::Closed(conn));
                }
                Action::Refuse { client, .. } => self.refused(client.slot),
                // One worker, and nobody tells of silence.
                Action::Handover { .. }
                | Action::Reclaim { .. }
                | Action::Leave { .. }
                | Action::Oust { .. } => {}
            }
        }
    }

    // --- what is counted ---

    /// From here on it counts.
    fn settled(&mut self) {
        self.warm = true;
        for out in &mut self.out {
            *out = Tally::default();
        }
    }

    fn waiting(&self, p: usize) -> u64 {
        let of = self.by_id.iter().position(|at| *at == p);
        of.map_or(0, |id| {
            u64::from(self.up.figures(PoolId(id as u32), self.time()).waiting)
        })
    }

    fn count_waiting(&mut self) {
        for p in 0..self.out.len() {
            self.out[p].waiting_at_half = self.waiting(p);
        }
    }

    fn finish(mut self) -> Vec<Tally> {
        for p in 0..self.out.len() {
            let waiting = self.waiting(p);
            let out = &mut self.out[p];
            let answered = out.returned + out.refused;
            out.overrun = waiting > 20
                && waiting as f64 > 1.3 * out.waiting_at_half as f64
                && (answered as f64) < 0.99 * out.came as f64;
        }
        for a in &self.agents {
            if let Doing::Waiting(since) = a.doing {
                let pool = self.s.level.flows[a.flow].0;
                let waited = u32::try_from(self.now - since).unwrap_or(u32::MAX);
                self.out[pool].waits.push(waited);
            }
        }
        for out in &mut self.out {
            out.waits.sort_unstable();
        }
        self.out
    }
}
