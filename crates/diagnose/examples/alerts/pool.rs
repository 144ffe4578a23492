//! One pool as a fluid: what comes, what is served, what waits, what is refused.

use super::super::rng::Rng;
use super::DAY;
use events::sample::{ApplicationSample, Gauge, Name, PoolSample, Times};

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
    pub backlog: f64,
    /// Seconds of slowness (cold caches) left.
    pub cold: f64,
    /// Seconds of a burst left, and its factor.
    pub burst: (f64, f64),
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
    /// One second more: its row, and those of its applications.
    pub fn step(
        &mut self,
        second: u64,
        rng: &mut Rng,
        down: bool,
        since_start: u64,
    ) -> (PoolSample, Vec<ApplicationSample>) {
        let (rate, hold) = self.asked(second, rng, since_start);
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
        let held = self.leaked.floor() + extra + batch_used;
        let used = self.used(held, busy, down, rng);
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

    /// Requests in this second, and how long each holds a connection.
    fn asked(&mut self, second: u64, rng: &mut Rng, since_start: u64) -> (f64, f64) {
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
        (rate, hold)
    }

    /// Connections in use: `held` all along, and about `busy` beside them.
    fn used(&self, held: f64, busy: f64, down: bool, rng: &mut Rng) -> Gauge {
        let spread = busy.sqrt() * 1.5;
        let whole = |x: f64| x.round().clamp(0.0, self.size) as u32;
        match self.backlog >= 1.0 && !down {
            true => Gauge::of(whole(self.size)),
            false => Gauge {
                least: whole(held + (busy - spread).max(0.0)),
                most: whole(held + busy + spread),
                last: whole(held + busy + rng.normal() * busy.sqrt() * 0.5),
                sum: ((held + busy) * 100.0) as u64,
                looks: 100,
            },
        }
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
            batch: (_, batch_waiting, batch_wait),
            used,
            ..
        } = *flow;
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
            database: Name::clone(&self.name),
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
        let apps = self.applications(flow, row.oldest_hold_us);
        (row, apps)
    }

    /// What its applications have of it.
    fn applications(&self, flow: &Flow, oldest_hold_us: u64) -> Vec<ApplicationSample> {
        let Flow {
            served,
            hold,
            wait,
            silent,
            busy,
            batch: (batch_used, batch_waiting, batch_wait),
            ..
        } = *flow;
        let whole = |x: f64| x.round().clamp(0.0, self.size) as u32;
        let name = Name::clone(&self.name);
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
            oldest_hold_us,
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
        apps
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
