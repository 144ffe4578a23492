//! A small model of clients, a pool and a server in steps of a millisecond, told
//! as the samples that a diagnosis reads. Seeded: the same seed, the same record.

use events::sample::{
    ApplicationSample, Blocker, ClientsSample, Gauge, HostSample, LineSample, Marker, MarkerKind,
    PoolSample, Record, Sample, ServerActivity, ServerSample, SourceSample, TcpSample, Times,
};
use std::collections::VecDeque;

/// SplitMix64.
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }
}

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    pub name: &'static str,
    /// Requests a second that its users want.
    pub rate: f64,
    /// Its own pool: connections to us; more waits inside.
    pub clients: usize,
    /// Milliseconds of a statement at the server.
    pub service_ms: f64,
    /// Share of it that needs a processor.
    pub cpu: f64,
    /// Share of requests that keep their connection in a transaction for ever.
    pub leak: f64,
    /// Share of requests after which the application loses its own connection.
    pub inner_leak: f64,
    /// Each request logs in and leaves.
    pub connects: bool,
    /// Connections that it opens in each second and keeps: its own pool has no limit.
    pub opens: usize,
    pub release: &'static str,
    pub address: &'static str,
}

/// What holds at one moment.
#[derive(Clone, Debug)]
pub struct World {
    pub apps: Vec<App>,
    pub size: usize,
    pub cores: f64,
    /// Round trip to the server, milliseconds.
    pub rtt_ms: f64,
    /// Processors that others use up there.
    pub others_cpu: f64,
    pub others_active: u32,
    /// Share of statements that wait for a lock that nobody gives back.
    pub locked: f64,
    /// More at once than this cost each other.
    pub knee: f64,
    pub down: bool,
    pub login_refused: bool,
    pub client_failures: f64,
    pub others: u32,
    pub line: u32,
    pub throttled: f64,
    pub intermediary: bool,
    pub permitted: bool,
    pub probed: bool,
    pub paused: bool,
    /// How much a second may be slower than another.
    pub noise: f64,
}

impl World {
    pub fn calm() -> World {
        let app = |name, rate, clients| App {
            name,
            rate,
            clients,
            service_ms: 8.0,
            cpu: 0.2,
            leak: 0.0,
            inner_leak: 0.0,
            connects: false,
            opens: 0,
            release: "",
            address: "10.0.0.1",
        };
        World {
            apps: vec![app("web", 220.0, 40), app("jobs", 80.0, 20)],
            size: 10,
            cores: 2.0,
            rtt_ms: 0.2,
            others_cpu: 0.0,
            others_active: 0,
            locked: 0.0,
            knee: 1e9,
            down: false,
            login_refused: false,
            client_failures: 0.0,
            others: 4,
            line: 90,
            throttled: 0.0,
            intermediary: true,
            permitted: true,
            probed: true,
            paused: false,
            noise: 0.0,
        }
    }
}

struct Request {
    app: usize,
    asked: u64,
    granted: Option<u64>,
    /// Milliseconds of work left at the server, and on the way.
    left: f64,
    way: f64,
    cpu: f64,
    locked: bool,
    silent_since: Option<u64>,
}

/// One run.
pub struct Run {
    rng: Rng,
    world: World,
    now: u64,
    inner: Vec<usize>,
    lost: Vec<usize>,
    queue: VecDeque<Request>,
    lent: Vec<Request>,
    slow: f64,
    pub record: Record,
    /// Seconds before the fault.
    pub calm: usize,
    /// The probe and the activity view are read every so many seconds.
    pub every: u64,
    activity: Option<(u64, ServerActivity)>,
    probe_us: Option<u64>,
}

#[derive(Default)]
struct Tally {
    granted: u64,
    done: u64,
    waits: Vec<u64>,
    holds: Vec<u64>,
    services: Vec<u64>,
    asked: Vec<u64>,
    hold_us: Vec<u64>,
    logins: u64,
    connect_failed: u64,
    ended: u64,
    refused: u32,
    used: Vec<u32>,
    waiting: Vec<u32>,
    app_used: Vec<Vec<u32>>,
    app_waiting: Vec<Vec<u32>>,
}

pub const START_MS: i64 = 1_700_000_000_000;

impl Run {
    pub fn new(seed: u64, world: World) -> Run {
        let apps = world.apps.len() + 4;
        Run {
            rng: Rng(seed),
            world,
            now: 0,
            inner: vec![0; apps],
            lost: vec![0; apps],
            queue: VecDeque::new(),
            lent: Vec::new(),
            record: Record::default(),
            slow: 1.0,
            calm: 0,
            every: 3,
            activity: None,
            probe_us: None,
        }
    }

    pub fn change(&mut self, change: impl FnOnce(&mut World)) {
        change(&mut self.world);
    }

    pub fn mark(&mut self, ago_ms: i64, kind: MarkerKind, subject: &str, text: &str) {
        self.record.markers.push(Marker {
            at_ms: START_MS + self.now as i64 - ago_ms,
            kind,
            subject: subject.into(),
            text: text.into(),
            actor: "deploy".into(),
        });
    }

    pub fn seconds(&mut self, n: u64) {
        (0..n).for_each(|_| self.second());
    }

    fn second(&mut self) {
        let apps = self.world.apps.len();
        let mut tally = Tally {
            asked: vec![0; apps],
            hold_us: vec![0; apps],
            app_used: vec![Vec::new(); apps],
            app_waiting: vec![Vec::new(); apps],
            ..Tally::default()
        };
        self.slow = 1.0 + self.rng.unit() * self.world.noise;
        for app in &mut self.world.apps {
            app.clients += app.opens;
            tally.logins += app.opens as u64;
        }
        for ms in 0..1000 {
            self.arrive(&mut tally);
            self.grant(&mut tally);
            self.work(&mut tally);
            self.now += 1;
            // One look a second, as the pooler takes it.
            if ms == 999 {
                self.look(&mut tally);
            }
        }
        self.inside();
        let sample = self.sample(&tally);
        self.record.seconds.push_back(sample);
    }

    fn arrive(&mut self, tally: &mut Tally) {
        for at in 0..self.world.apps.len() {
            let app = self.world.apps[at].clone();
            // Poisson, by a share of each millisecond.
            if self.rng.unit() < app.rate / 1e3 {
                self.inner[at] += 1;
            }
            let mine = |r: &&Request| r.app == at;
            let busy = self.queue.iter().filter(mine).count()
                + self.lent.iter().filter(mine).count()
                + self.lost[at];
            if self.inner[at] > 0 && busy < app.clients {
                self.inner[at] -= 1;
                tally.asked[at] += 1;
                tally.logins += u64::from(app.connects);
                let spread = -(1.0 - self.rng.unit()).ln() * 0.5 + 0.5;
                let locked = self.rng.unit() < self.world.locked;
                self.queue.push_back(Request {
                    app: at,
                    asked: self.now,
                    granted: None,
                    left: (app.service_ms * spread * self.slow).max(0.3),
                    way: self.world.rtt_ms,
                    cpu: app.cpu,
                    locked,
                    silent_since: None,
                });
            }
        }
    }

    fn grant(&mut self, tally: &mut Tally) {
        if self.world.down {
            for request in self.lent.drain(..) {
                tally.ended += 1;
                tally.hold_us[request.app] += (self.now - request.granted.unwrap_or(0)) * 1000;
            }
            if self.now.is_multiple_of(500) {
                tally.connect_failed += 1;
            }
            while self
                .queue
                .front()
                .is_some_and(|r| self.now - r.asked > 2_000)
            {
                self.queue.pop_front();
                tally.refused += 1;
            }
            return;
        }
        let room = self.world.size.min(self.world.line as usize);
        while self.lent.len() < room && !self.world.paused {
            let Some(mut request) = self.queue.pop_front() else {
                break;
            };
            tally.waits.push((self.now - request.asked) * 1000);
            tally.granted += 1;
            request.granted = Some(self.now);
            self.lent.push(request);
        }
    }

    fn running(&self) -> f64 {
        let cpu = self.lent.iter().filter(|r| works(r));
        cpu.map(|r| r.cpu).sum()
    }

    fn pace(&self) -> f64 {
        let free = (self.world.cores - self.world.others_cpu).max(0.2);
        let running = self.running();
        let crowd = (running / self.world.knee).max(1.0);
        (free / running.max(0.01)).min(1.0) / crowd
    }

    fn work(&mut self, tally: &mut Tally) {
        let (pace, now) = (self.pace(), self.now);
        let pooler = 1.0 - self.world.throttled;
        let mut at = 0;
        while at < self.lent.len() {
            let request = &mut self.lent[at];
            if request.silent_since.is_some() {
                at += 1;
                continue;
            }
            if request.way > 0.0 {
                request.way -= pooler.max(0.05);
            } else if !request.locked {
                // The part that needs no processor goes on at its own pace.
                let speed = 1.0 / (request.cpu / pace + (1.0 - request.cpu));
                request.left -= speed * pooler.max(0.1);
            }
            if request.left > 0.0 {
                at += 1;
                continue;
            }
            let app = &self.world.apps[request.app];
            tally
                .services
                .push(request_us(now, request.granted, self.rng.unit()));
            if self.rng.unit() < app.leak {
                request.silent_since = Some(now);
                at += 1;
                continue;
            }
            if self.rng.unit() < app.inner_leak {
                self.lost[request.app] += 1;
            }
            let held = request_us(now, request.granted, self.rng.unit());
            tally.done += 1;
            tally.holds.push(held);
            tally.hold_us[request.app] += held;
            self.lent.swap_remove(at);
        }
    }

    fn look(&mut self, tally: &mut Tally) {
        tally.used.push(self.lent.len() as u32);
        tally.waiting.push(self.queue.len() as u32);
        for at in 0..self.world.apps.len() {
            let lent = self.lent.iter().filter(|r| r.app == at).count();
            let waits = self.queue.iter().filter(|r| r.app == at).count();
            tally.app_used[at].push(lent as u32);
            tally.app_waiting[at].push(waits as u32);
        }
    }

    fn inside(&mut self) {
        if !(self.now / 1000).is_multiple_of(self.every) || self.world.down {
            return;
        }
        let noise = self.rng.between(0.8, 1.3);
        let pace = self.pace();
        let slow = (1.0 / pace - 1.0) * 2_000.0;
        let starved = self.world.throttled * 20_000.0;
        self.probe_us = self
            .world
            .probed
            .then_some(((self.world.rtt_ms * 1e3 + 250.0 + slow + starved) * noise) as u64);
        let works: Vec<&Request> = self.lent.iter().filter(|r| works(r)).collect();
        let cpu = works.iter().map(|r| r.cpu).sum::<f64>().round() as u32;
        let locked = self.lent.iter().filter(|r| r.locked).count() as u32;
        let mut active = works.len() as u32 + locked;
        let others = self.world.others_active;
        active += others;
        let waits = vec![
            ("cpu".into(), cpu + others),
            ("IO".into(), 0),
            ("Timeout".into(), (works.len() as u32).saturating_sub(cpu)),
            ("Lock".into(), locked),
        ];
        let blocker = (locked > 0).then(|| Blocker {
            pid: 4711,
            application: "migrate".into(),
            state: "idle in transaction".into(),
            transaction_ms: 9_000,
            blocked: locked,
        });
        let silent = self
            .lent
            .iter()
            .filter(|r| r.silent_since.is_some())
            .count();
        let reading = ServerActivity {
            permitted: self.world.permitted,
            active,
            waits,
            others_active: others,
            blocked: locked,
            blocker,
            idle_in_transaction: silent as u32,
            started_at: 1_699_000_000,
            ..ServerActivity::default()
        };
        self.activity = self.world.probed.then_some((self.now, reading));
    }

    fn sample(&mut self, tally: &Tally) -> Sample {
        let silent = |app: Option<usize>| {
            let of = |r: &&Request| {
                app.is_none_or(|a| r.app == a)
                    && r.silent_since.is_some_and(|at| self.now - at >= 1000)
            };
            self.lent.iter().filter(of).count() as u32
        };
        let clients: u32 = self.world.apps.iter().map(|a| a.clients as u32).sum();
        let oldest = self.queue.iter().map(|r| (self.now - r.asked) * 1000).max();
        let holding = self.lent.iter().filter_map(|r| r.granted);
        let oldest_hold = holding.map(|g| (self.now - g) * 1000).max().unwrap_or(0);
        let pool = PoolSample {
            database: "shop".into(),
            user: "app".into(),
            upstream: "db1:5432".into(),
            size: self.world.size as u32,
            used: gauge(&tally.used),
            clients: Gauge::of(clients),
            waiting: gauge(&tally.waiting),
            oldest_wait_us: oldest.unwrap_or(0),
            arrivals: tally.granted,
            transactions: tally.done,
            queries: tally.done,
            wait: times(&tally.waits, 100_000),
            hold: times(&tally.holds, 0),
            service: times(&tally.services, 0),
            refused: u64::from(tally.refused),
            silent: silent(None),
            oldest_hold_us: oldest_hold,
            paused: self.world.paused,
            ..PoolSample::default()
        };
        let apps = self.world.apps.iter().enumerate();
        let applications = apps
            .map(|(at, app)| ApplicationSample {
                database: "shop".into(),
                user: "app".into(),
                name: app.name.into(),
                clients: Gauge::of(app.clients as u32),
                used: gauge(&tally.app_used[at]),
                waiting: gauge(&tally.app_waiting[at]),
                silent: Gauge::of(silent(Some(at))),
                arrivals: tally.asked[at],
                hold_us: tally.hold_us[at],
                release: app.release.into(),
                ..ApplicationSample::default()
            })
            .collect();
        let mut refusals = Vec::new();
        if tally.refused > 0 {
            refusals.push(("server_down".into(), tally.refused));
        }
        let failures = self.world.client_failures.round() as u64;
        let background = u64::from(self.rng.unit() < 0.3);
        Sample {
            at_ms: START_MS + self.now as i64,
            span_ms: 1000,
            version: self.now,
            pools: vec![pool],
            applications,
            sources: self.sources(failures),
            servers: vec![self.server(tally)],
            clients: ClientsSample {
                connected: Gauge::of(clients),
                limit: 500,
                accepts: tally.logins + failures + background,
                logins: tally.logins + background,
                login_failures: failures,
                tcp: TcpSample {
                    sockets: 9,
                    rtt_us_least: 150,
                    rtt_us: 300,
                    rtt_us_most: 900,
                    ..TcpSample::default()
                },
                ..ClientsSample::default()
            },
            refusals,
            host: HostSample {
                cpu_busy_permille: Some(300),
                own_cpu_permille: Some(if self.world.throttled > 0.0 { 500 } else { 80 }),
                throttled_ms: Some((self.world.throttled * 1000.0) as u32),
                turns_least: Some(tally.done * 2),
                cores: 2,
            },
            ..Sample::default()
        }
    }

    fn sources(&self, failures: u64) -> Vec<SourceSample> {
        let apps = self.world.apps.iter();
        apps.map(|a| SourceSample {
            address: a.address.into(),
            clients: a.clients as u32,
            login_failures: failures,
            ..SourceSample::default()
        })
        .collect()
    }

    fn server(&mut self, tally: &Tally) -> ServerSample {
        let world = &self.world;
        let refused = u64::from(world.login_refused) * 2;
        let full = u64::from((world.line as usize) < world.size && !self.queue.is_empty());
        let code = match (world.down, world.login_refused, full > 0) {
            (true, _, _) => "57P01",
            (_, true, _) => "28P01",
            (_, _, true) => "53300",
            _ => "",
        };
        ServerSample {
            upstream: "db1:5432".into(),
            line: LineSample {
                state: "known".into(),
                line: world.line,
                used: world.size.min(world.line as usize) as u32,
                max_connections: 100,
                others: world.permitted.then_some(world.others),
                ..LineSample::default()
            },
            connect_failed: tally.connect_failed,
            login_failed: refused,
            full,
            ended_by_server: tally.ended,
            last_error: code.into(),
            tcp: TcpSample {
                sockets: 4,
                rtt_us_least: match world.intermediary {
                    true => 60,
                    false => (world.rtt_ms * 1e3) as u64,
                },
                rtt_us: match world.intermediary {
                    true => 80,
                    false => (world.rtt_ms * 1e3) as u64,
                },
                rtt_us_most: 200,
                ..TcpSample::default()
            },
            intermediary: world.intermediary,
            probe_us: self.probe_us,
            activity: self.activity.as_ref().map(|(at, reading)| ServerActivity {
                age_ms: self.now - at,
                ..reading.clone()
            }),
            ..ServerSample::default()
        }
    }
}

fn works(request: &Request) -> bool {
    request.silent_since.is_none() && request.way <= 0.0 && !request.locked
}

fn request_us(now: u64, granted: Option<u64>, within: f64) -> u64 {
    (now - granted.unwrap_or(now)) * 1000 + (within * 1000.0) as u64
}

fn gauge(looks: &[u32]) -> Gauge {
    Gauge {
        least: looks.iter().copied().min().unwrap_or(0),
        most: looks.iter().copied().max().unwrap_or(0),
        last: looks.last().copied().unwrap_or(0),
        sum: looks.iter().map(|n| u64::from(*n)).sum(),
        looks: looks.len() as u32,
    }
}

fn times(us: &[u64], objective: u64) -> Times {
    let mut sorted = us.to_vec();
    sorted.sort_unstable();
    let at = |permille: usize| {
        let index = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or(0)
    };
    Times {
        count: us.len() as u64,
        sum_us: us.iter().sum(),
        p50_us: at(500),
        p99_us: at(990),
        most_us: at(1000),
        beyond: match objective {
            0 => 0,
            most => us.iter().filter(|us| **us > most).count() as u64,
        },
    }
}
