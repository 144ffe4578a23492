//! A seeded world of pools: seconds of samples as a healthy or a failing site
//! would give them. A fluid model: arrivals are drawn for each second, what
//! cannot be served waits, what waits beyond its deadline is refused.

use super::rng::Rng;
use diagnose::alert::{Facts, PoolFacts};
use events::sample::{
    ApplicationSample, ClientsSample, Gauge, LineSample, Name, PoolSample, Sample, ServerSample,
    Times,
};
use std::collections::BTreeMap;

/// Seconds in a day.
pub const DAY: u64 = 86_400;
/// The objective for waits, seconds.
const OBJECTIVE_S: f64 = 0.1;

/// One pool of the world.
pub struct Pool {
    pub name: Name,
    pub size: f64,
    /// Requests in a second at the top of the day.
    pub rate: f64,
    /// Seconds that one holds a connection.
    pub hold: f64,
    /// The night's share of the day's traffic.
    pub night: f64,
    /// Seconds that a client may wait.
    pub deadline: f64,
    /// A batch runs each night from this second of the day, for so long, with so many workers.
    pub batch: Option<(u64, u64, f64)>,
    /// Connections that are never given back.
    pub leaked: f64,
    /// All of an application's connections, and they are busy (1) or silent (2) since a moment.
    pub upstream: Option<(f64, u8)>,
    /// Traffic times this.
    pub growth: f64,
    pub ceiling: f64,
    backlog: f64,
    /// Seconds of slowness (cold caches) left.
    cold: f64,
    /// Seconds of a burst left, and its factor.
    burst: (f64, f64),
    pub refused: f64,
    pub suspects: u32,
    /// The second since which somebody has been silent; 0: nobody is.
    silent_since: u64,
    /// This share waits too long although the pool is not full.
    pub late: f64,
}

impl Pool {
    pub fn new(name: &str, size: f64, rate: f64, hold: f64) -> Pool {
        Pool {
            name: name.into(),
            size,
            rate,
            hold,
            night: 0.15,
            deadline: 30.0,
            batch: None,
            leaked: 0.0,
            upstream: None,
            growth: 1.0,
            ceiling: size,
            backlog: 0.0,
            cold: 0.0,
            burst: (0.0, 1.0),
            refused: 0.0,
            suspects: 0,
            silent_since: 0,
            late: 0.0,
        }
    }
}

/// Everything.
pub struct World {
    pub rng: Rng,
    pub pools: Vec<Pool>,
    pub second: u64,
    /// Deploys, bursts, cron jobs and restarts of the database happen.
    pub events: bool,
    pub facts: BTreeMap<(String, String), PoolFacts>,
    pub deadlines: BTreeMap<String, u64>,
    /// The pooler started anew with this second.
    pub restarted: bool,
    /// Seconds for which the server cannot be reached.
    pub down: f64,
    /// Connections of others at the server.
    pub others: f64,
    pub line: f64,
    squeezed: bool,
    started: u64,
}

impl World {
    pub fn new(seed: u64, pools: Vec<Pool>) -> World {
        let mut facts = BTreeMap::new();
        for pool in &pools {
            let of_pool = PoolFacts {
                deadline_ms: Some((pool.deadline * 1e3) as u64),
                ceiling: (pool.ceiling > pool.size).then_some(pool.ceiling as u32),
                session: false,
            };
            facts.insert((pool.name.to_string(), "app".to_owned()), of_pool);
        }
        World {
            rng: Rng::new(seed),
            pools,
            second: 0,
            events: true,
            facts,
            deadlines: BTreeMap::from([("nightly-*".to_owned(), 4 * 3_600_000)]),
            restarted: false,
            down: 0.0,
            others: 5.0,
            line: 200.0,
            squeezed: false,
            started: 0,
        }
    }

    /// A site as they are: a shop, an API, a small tool, reports at night, an
    /// automatic pool.
    pub fn site(seed: u64) -> World {
        let mut rng = Rng::new(seed ^ 0xA1E7);
        let mut vary = |x: f64| x * rng.within(0.85, 1.15);
        let mut shop = Pool::new("shop", 24.0, vary(900.0), 0.012);
        shop.batch = Some((2 * 3_600, 2_400, 60.0));
        let mut api = Pool::new("api", 20.0, vary(260.0), 0.03);
        api.night = 0.4;
        let mut tool = Pool::new("tool", 5.0, vary(3.0), 0.2);
        tool.night = 0.0;
        let mut reports = Pool::new("reports", 4.0, vary(0.02), 20.0);
        reports.deadline = 3_600.0;
        reports.batch = Some((3_600, 5_400, 12.0));
        let mut auto = Pool::new("auto", 10.0, vary(300.0), 0.02);
        auto.ceiling = 60.0;
        let mut world = World::new(seed, vec![shop, api, tool, reports, auto]);
        world.line = 90.0;
        world
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts {
            pools: Some(&self.facts),
            deadlines: Some(&self.deadlines),
            ..Facts::default()
        }
    }

    /// One second more.
    pub fn step(&mut self) -> Sample {
        self.second += 1;
        self.restarted = false;
        if self.events {
            self.happen();
        }
        let (second, since_start) = (self.second, self.second - self.started);
        let down = self.down > 0.0;
        self.down = (self.down - 1.0).max(0.0);
        let mut pools = Vec::new();
        let mut applications = Vec::new();
        for pool in &mut self.pools {
            // The pool has its size; the line holds it back.
            let size = pool.size;
            if self.squeezed {
                pool.size = self.line.min(size);
            }
            let (mut row, apps) = pool.step(second, &mut self.rng, down, since_start);
            if self.squeezed {
                (pool.size, row.size) = (size, size as u32);
            }
            pools.push(row);
            applications.extend(apps);
        }
        let used: u32 = pools.iter().map(|p| p.used.last).sum();
        let server = ServerSample {
            upstream: "db:5432".into(),
            line: LineSample {
                state: "known".into(),
                line: self.line as u32,
                used,
                max_connections: 100,
                others: Some(self.others as u32),
                ..LineSample::default()
            },
            opened: u64::from(!down && self.rng.share() < 0.2),
            connect_failed: u64::from(down),
            probe_us: (!down).then_some(400),
            ..ServerSample::default()
        };
        Sample {
            at_ms: self.at_ms(),
            span_ms: 1_000,
            version: second,
            pools,
            applications,
            servers: vec![server],
            clients: ClientsSample::default(),
            ..Sample::default()
        }
    }

    pub fn at_ms(&self) -> i64 {
        1_700_006_400_000 + self.second as i64 * 1_000
    }

    /// What happens on any day, and needs nobody.
    fn happen(&mut self) {
        let count = self.pools.len() as f64;
        let at = (self.rng.share() * count) as usize;
        let day = DAY as f64;
        // Forty bursts a day: up to three times the traffic for up to 8 s, or up
        // to 1.8 times for up to 40 s. More for longer would be an outage.
        let burst = self.rng.share() < 40.0 / day;
        let (long, high) = match self.rng.share() < 0.5 {
            true => (self.rng.within(2.0, 8.0), self.rng.within(1.2, 3.0)),
            false => (self.rng.within(8.0, 40.0), self.rng.within(1.2, 1.8)),
        };
        // Fifteen deploys a day: all clients come anew, caches are cold for up to 15 s.
        let deploy = self.rng.share() < 15.0 / day;
        let cold = self.rng.within(3.0, 15.0);
        if let Some(pool) = self.pools.get_mut(at) {
            if burst && pool.burst.0 <= 0.0 {
                pool.burst = (long, high);
            }
            if deploy {
                pool.cold = cold;
            }
        }
        // Cron: each hour, for 5 s, twice the traffic everywhere.
        if self.second % 3_600 == 0 {
            for pool in &mut self.pools {
                pool.burst = (5.0, 2.0);
            }
        }
        // The database restarts twice a week, for up to 6 s.
        if self.rng.share() < 2.0 / (7.0 * day) {
            self.down = self.rng.within(1.0, 6.0);
        }
        // Others come and go at the server.
        self.others = (self.others + self.rng.normal() * 0.05).clamp(0.0, 9.0);
        // The pooler itself is restarted every third day.
        if self.rng.share() < 1.0 / (3.0 * day) {
            self.restarted = true;
            self.started = self.second;
            for pool in &mut self.pools {
                (pool.backlog, pool.cold) = (0.0, 10.0);
            }
        }
        // Slow growth that stays below the limit: a tenth in 30 days.
        for pool in &mut self.pools {
            pool.growth = 1.0 + 0.1 * (self.second as f64 / (30.0 * day)).min(1.0);
        }
    }
}

/// The share of the day's top: low at night, a steep morning, two humps.
pub fn daylight(second: u64, night: f64) -> f64 {
    let hour = (second % DAY) as f64 / 3_600.0;
    let bump = |top: f64, wide: f64| (-((hour - top) / wide).powi(2)).exp();
    // The office opens within half an hour.
    let office = 1.0 / (1.0 + (-(hour - 8.5) * 6.0).exp()) / (1.0 + ((hour - 18.0) * 2.5).exp());
    let shape = (0.55 * office + 0.35 * bump(11.0, 2.0) + 0.45 * bump(20.0, 2.5)).min(1.0);
    let weekend = matches!((second / DAY) % 7, 5 | 6);
    night + (1.0 - night) * shape * if weekend { 0.6 } else { 1.0 }
}

/// What a second did.
struct Flow {
    served: f64,
    hold: f64,
    wait: f64,
    late: f64,
    refused: f64,
    silent: f64,
    busy: f64,
    /// Connections, waiters and their longest wait.
    batch: (f64, f64, f64),
    used: Gauge,
}

impl Pool {
    fn step(
        &mut self,
        second: u64,
        rng: &mut Rng,
        down: bool,
        since_start: u64,
    ) -> (PoolSample, Vec<ApplicationSample>) {
        let burst = if self.burst.0 > 0.0 {
            self.burst.1
        } else {
            1.0
        };
        self.burst.0 -= 1.0;
        let slow = if self.cold > 0.0 { 1.6 } else { 1.0 };
        self.cold -= 1.0;
        let come = (since_start as f64 / 20.0).min(1.0);
        let rate = self.rate * daylight(second, self.night) * burst * self.growth * come;
        // An application whose own pool is the limit asks for no more than that.
        let hold = self.hold * slow * rng.within(0.9, 1.1);
        let rate = match self.upstream {
            Some((clients, 1)) => clients / hold,
            Some(_) => 0.0,
            None => rate,
        };
        let (batch_used, batch_waiting, batch_wait) = self.batch(second);
        let extra = self.upstream.map_or(0.0, |(clients, kind)| match kind {
            2 => clients,
            _ => 0.0,
        });
        let free = (self.size - self.leaked.floor() - extra - batch_used).max(0.0);
        let arrivals = rng.poisson(rate);
        let capacity = if down { 0.0 } else { free / hold };
        let before = self.backlog;
        let served = (before + arrivals).min(capacity);
        self.backlog = before + arrivals - served;
        // Whoever has waited for the deadline is refused.
        let most = (rate * self.deadline).max(1.0);
        let refused = (self.backlog - most).max(0.0).floor();
        self.backlog -= refused;
        self.refused += refused;
        let wait = match self.backlog >= 1.0 {
            true if capacity > 0.0 => (self.backlog / rate.max(0.01)).min(self.deadline),
            true => (self.backlog / rate.max(0.01)).min(self.deadline),
            false => 0.0,
        };
        let busy = (served * hold).min(free);
        let spread = busy.sqrt() * 1.5;
        let held = self.leaked.floor() + extra + batch_used;
        let whole = |x: f64| x.round().clamp(0.0, self.size) as u32;
        let used = match self.backlog >= 1.0 && !down {
            true => Gauge::of(whole(self.size)),
            false => Gauge {
                least: whole(held + (busy - spread).max(0.0)),
                most: whole(held + busy + spread),
                last: whole(held + busy + rng.normal() * busy.sqrt() * 0.5),
                sum: ((held + busy) * 100.0) as u64,
                looks: 100,
            },
        };
        let late = match wait > OBJECTIVE_S || before / rate.max(0.01) > OBJECTIVE_S {
            true => served,
            false => rng
                .poisson(served * tail(free, busy, hold).max(self.late))
                .min(served),
        };
        let silent = self.leaked.floor() + extra;
        self.silent_since = match (silent > 0.0, self.silent_since) {
            (false, _) => 0,
            (true, 0) => second,
            (true, since) => since,
        };
        let rows = self.rows(
            second,
            &Flow {
                served,
                hold,
                wait,
                late,
                refused,
                silent,
                busy,
                batch: (batch_used, batch_waiting, batch_wait),
                used,
            },
        );
        self.resize(busy);
        rows
    }

    /// The second as samples tell it.
    fn rows(&self, second: u64, flow: &Flow) -> (PoolSample, Vec<ApplicationSample>) {
        let Flow {
            served,
            hold,
            wait,
            late,
            refused,
            silent,
            busy,
            batch: (batch_used, batch_waiting, batch_wait),
            used,
        } = *flow;
        let whole = |x: f64| x.round().clamp(0.0, self.size) as u32;
        let name = Name::clone(&self.name);
        let waiting = self.backlog.floor() + batch_waiting;
        let oldest_s = wait.max(batch_wait);
        let times = |count: f64, sum_s: f64, beyond: f64| Times {
            count: count as u64,
            sum_us: (sum_s * 1e6) as u64,
            p50_us: 1_000,
            p99_us: 5_000,
            most_us: (sum_s * 1e6) as u64,
            beyond: beyond as u64,
        };
        let row = PoolSample {
            database: Name::clone(&name),
            user: "app".into(),
            upstream: "db:5432".into(),
            size: self.size as u32,
            used,
            waiting: Gauge::of(waiting as u32),
            clients: Gauge::of(100),
            oldest_wait_us: (oldest_s * 1e6) as u64,
            arrivals: served as u64,
            wait: times(served, served * wait, late),
            hold: times(served, served * hold, 0.0),
            service: times(served, served * hold, 0.0),
            refused: refused as u64,
            silent: silent as u32,
            suspects: self.suspects,
            oldest_hold_us: match self.silent_since {
                0 => 50_000,
                since => (second - since + 1) * 1_000_000,
            },
            ..PoolSample::default()
        };
        let clients = self.upstream.map_or(40.0, |(clients, _)| clients);
        let of_web = match self.upstream {
            Some(_) => Gauge::of(clients as u32),
            None => Gauge::of(whole(silent + busy)),
        };
        let mut apps = vec![ApplicationSample {
            database: Name::clone(&name),
            user: "app".into(),
            name: "web".into(),
            clients: Gauge::of(clients as u32),
            used: of_web,
            waiting: Gauge::of(self.backlog as u32),
            silent: Gauge::of(silent as u32),
            arrivals: served as u64,
            hold_us: (served * hold * 1e6) as u64,
            wait_us: (served * wait * 1e6) as u64,
            oldest_hold_us: row.oldest_hold_us,
            ..ApplicationSample::default()
        }];
        if batch_used > 0.0 {
            apps.push(ApplicationSample {
                database: name,
                user: "app".into(),
                name: "nightly-export".into(),
                clients: Gauge::of((batch_used + batch_waiting) as u32),
                used: Gauge::of(batch_used as u32),
                waiting: Gauge::of(batch_waiting as u32),
                arrivals: 1,
                hold_us: 5_000_000,
                wait_us: (batch_wait * 1e6) as u64,
                ..ApplicationSample::default()
            });
        }
        (row, apps)
    }

    /// Connections of the nightly batch, its waiters, and their longest wait.
    /// It takes what its fair share leaves to it: at night, nearly all.
    fn batch(&self, second: u64) -> (f64, f64, f64) {
        let Some((start, long, workers)) = self.batch else {
            return (0.0, 0.0, 0.0);
        };
        let of_day = second % DAY;
        if !(start..start + long).contains(&of_day) {
            return (0.0, 0.0, 0.0);
        }
        let room = (self.size * 0.7).floor();
        let used = match self.rate > 1.0 {
            true => workers.min(room),
            // Its own pool: it fills it.
            false => workers.min(self.size),
        };
        let waiting = (workers - used).max(0.0);
        let wait = if waiting > 0.0 {
            ((of_day - start) % 400) as f64
        } else {
            0.0
        };
        (used, waiting, wait)
    }

    /// An automatic size follows its load.
    fn resize(&mut self, busy: f64) {
        if self.ceiling <= self.size && self.name.as_ref() != "auto" {
            return;
        }
        if self.name.as_ref() == "auto" {
            let want = (busy * 1.5 + 4.0).clamp(10.0, self.ceiling);
            self.size += (want - self.size).clamp(-0.01, 2.0);
            self.size = self.size.clamp(10.0, self.ceiling);
        }
    }
}

/// About the share that waits beyond the objective in a pool that is not full.
fn tail(free: f64, busy: f64, hold: f64) -> f64 {
    if busy <= 0.0 || free <= 0.0 {
        return 0.0;
    }
    let room = (free - busy).max(0.0);
    let waits = (-room / busy.sqrt().max(0.3) * 1.6).exp();
    waits * (-(room / hold) * OBJECTIVE_S).exp()
}

impl World {
    /// The line is below what the first pool would use: clients wait with room in their pool.
    pub fn squeeze(&mut self) {
        self.squeezed = true;
    }
}
