//! A seeded world of pools: seconds of samples as a healthy or a failing site
//! would give them. A fluid model: arrivals are drawn for each second, what
//! cannot be served waits, what waits beyond its deadline is refused.

// By its path, since the tests include this file from elsewhere.
#[path = "pool.rs"]
mod pool;

use super::rng::Rng;
use diagnose::alert::{Facts, PoolFacts};
use events::sample::{ClientsSample, LineSample, Sample, ServerSample};
pub use pool::{Pool, daylight};
use std::collections::BTreeMap;

/// Seconds in a day.
pub const DAY: u64 = 86_400;

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
        if self.second.is_multiple_of(3_600) {
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

impl World {
    /// The line is below what the first pool would use: clients wait with room in their pool.
    pub fn squeeze(&mut self) {
        self.squeezed = true;
    }
}
