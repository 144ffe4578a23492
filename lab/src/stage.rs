//! A case as it runs: what stands before it begins, calm, the blow, the hurt, the questions.

use crate::cluster::Cluster;
use crate::front::{Front, Settings};
use crate::load::{App, Crowd, Point};
use crate::proxy;
use crate::rng::Rng;
use crate::squeeze::Squeeze;
use crate::wire::{Weather, Wire};
use plimsoll_e2e::sandbox::{Dir, RunAs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// How Plimsoll, the clients and the server reach each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// All on loopback.
    Loopback,
    /// A wire between Plimsoll and the server.
    ToServer,
    /// The same, with a proxy on loopback between Plimsoll and the wire.
    ToServerByProxy,
    /// A wire between clients and Plimsoll.
    ToClients,
}

/// Which rights the monitor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// It may see what others do.
    Full,
    /// It logs in, and may see nothing of others.
    Blind,
    /// There is none.
    None,
}

/// What stands before a case begins.
#[derive(Debug)]
pub struct Plan {
    /// How all reach each other.
    pub way: Way,
    /// Settings of Plimsoll, changed before it starts.
    pub settings: Settings,
    /// Lines of PostgreSQL's settings.
    pub server: Vec<String>,
    /// Statements run before the case begins.
    pub before: Vec<String>,
    /// Applications.
    pub apps: Vec<App>,
    /// The monitor's rights.
    pub rights: Rights,
    /// Seconds of calm.
    pub calm_s: f64,
    /// The processor time of PostgreSQL can be squeezed.
    pub squeeze_server: bool,
    /// That of Plimsoll too.
    pub squeeze_pooler: bool,
    /// It hurts from the first moment: no calm to compare with.
    pub hurts_at_once: bool,
    /// Most seconds from the blow to the hurt.
    pub patience_s: f64,
}

/// A case at work.
pub struct Stage {
    /// What was planned.
    pub plan: Plan,
    /// The server.
    pub cluster: Cluster,
    /// The pooler.
    pub front: Front,
    /// The clients.
    pub crowd: Crowd,
    /// The wire's weather, where there is a wire.
    pub weather: Option<Arc<Weather>>,
    /// Processor time of PostgreSQL.
    pub server_squeeze: Option<Squeeze>,
    /// Processor time of Plimsoll.
    pub pooler_squeeze: Option<Squeeze>,
    /// True when the case is over, for whatever runs beside it.
    pub over: Arc<AtomicBool>,
    /// The 90th percentile of what clients saw in the calm, milliseconds.
    pub usual_ms: f64,
    helpers: Vec<JoinHandle<()>>,
    _wire: Option<Wire>,
    _dir: Dir,
}

/// How clients fared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Felt {
    /// Units of work that ended or are stuck, in a second.
    pub per_s: f64,
    /// 90th percentile, milliseconds.
    pub p90_ms: f64,
    /// Share that failed, percent.
    pub failed: f64,
}

impl Felt {
    fn of(points: &[Point], span_s: f64) -> Felt {
        let mut us: Vec<u32> = points.iter().map(|p| p.us).collect();
        us.sort_unstable();
        let at = |q: f64| {
            us.get(((us.len() as f64 - 1.0) * q) as usize)
                .map_or(0.0, |us| f64::from(*us) / 1e3)
        };
        let failed = points.iter().filter(|p| p.failed).count() as f64;
        Felt {
            per_s: points.len() as f64 / span_s,
            p90_ms: at(0.9),
            failed: 100.0 * failed / points.len().max(1) as f64,
        }
    }
}

impl Stage {
    /// Starts everything, and the clients.
    pub fn set(mut plan: Plan, program: &Path, rng: &mut Rng) -> Result<Stage, String> {
        static WIRES: AtomicU64 = AtomicU64::new(0);
        let dir = Dir::new("lab-stage", RunAs::myself());
        let log = dir.path().join("helpers.log");
        let number = WIRES.fetch_add(1, Relaxed);
        let wire = match plan.way {
            Way::Loopback => None,
            _ => Some(Wire::stretch(number, &log)?),
        };
        let cluster = Cluster::start(&plan.server, wire.as_ref())?;
        for sql in &plan.before {
            cluster.sql("shop", sql)?;
        }
        if plan.rights == Rights::Blind {
            cluster.sql("postgres", "revoke pg_monitor from monitor")?;
        }
        let over = Arc::new(AtomicBool::new(false));
        let mut helpers = Vec::new();
        let far = wire.as_ref().map_or("127.0.0.1", |w| w.far.as_str());
        plan.settings.server = match plan.way {
            Way::ToServer => (far.to_owned(), cluster.port()),
            Way::ToServerByProxy => {
                let (port, thread) = proxy::start(far, cluster.port(), &over)?;
                helpers.push(thread);
                ("127.0.0.1".to_owned(), port)
            }
            Way::Loopback | Way::ToClients => ("127.0.0.1".to_owned(), cluster.port()),
        };
        if plan.rights == Rights::None {
            plan.settings.monitor = None;
        }
        let inside = wire.as_ref().filter(|_| plan.way == Way::ToClients);
        let front = Front::start(program, plan.settings.clone(), inside)?;
        let squeeze = |wanted: bool, pid: u32, what: &str| {
            wanted
                .then(|| Squeeze::around(pid, &format!("{number}-{what}"), &log))
                .transpose()
        };
        let server_squeeze = squeeze(plan.squeeze_server, cluster.pid().unwrap_or(0), "server")?;
        let pooler_squeeze = squeeze(plan.squeeze_pooler, front.pid(), "pooler")?;
        let crowd = Crowd::start(&plan.apps, &front.target(), rng);
        Ok(Stage {
            weather: wire.as_ref().map(|w| w.weather.clone()),
            plan,
            cluster,
            front,
            crowd,
            server_squeeze,
            pooler_squeeze,
            over,
            usual_ms: 10.0,
            helpers,
            _wire: wire,
            _dir: dir,
        })
    }

    /// How clients fared in the last seconds; those of the harmful application do not count.
    pub fn felt(&self, seconds: f64) -> Felt {
        let points = self.crowd.meter.recent((seconds * 1e3) as u32);
        let others: Vec<Point> = points.iter().filter(|p| !p.culprit).copied().collect();
        Felt::of(if others.is_empty() { &points } else { &others }, seconds)
    }

    /// Lets it run.
    pub fn rest(&self, seconds: f64) {
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }

    /// Whether clients suffer now, against the calm.
    pub fn hurts(&self, felt: &Felt) -> bool {
        felt.failed > 5.0 || felt.p90_ms > (self.usual_ms * 4.0).max(self.usual_ms + 30.0)
    }

    /// An application by its name.
    pub fn app(&self, name: &str) -> App {
        let found = self.plan.apps.iter().find(|app| app.name == name);
        found.unwrap_or(&self.plan.apps[0]).clone()
    }

    /// Something that goes on beside, until the case is over.
    pub fn beside(&mut self, work: impl FnOnce(Arc<AtomicBool>) + Send + 'static) {
        let over = self.over.clone();
        self.helpers.push(std::thread::spawn(move || work(over)));
    }

    /// A superuser's session that says these, one after the other, and again if told so, until the case is over.
    pub fn other_session(
        &mut self,
        name: &str,
        statements: Vec<String>,
        again: bool,
    ) -> Result<(), String> {
        let target = self
            .cluster
            .target("shop", "postgres")
            .parameter("application_name", name);
        let mut session =
            plimsoll_e2e::raw::Client::login(&target.patience(Duration::from_secs(120)))
                .map_err(|e| format!("{name}: {e}"))?;
        self.beside(move |over| {
            loop {
                for sql in &statements {
                    if over.load(Relaxed) || session.query(sql).is_err() {
                        return;
                    }
                }
                if !again {
                    break;
                }
            }
            while !over.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        // What waits for the server must not wait for its own end.
        if let Some(squeeze) = &self.server_squeeze {
            let _ = squeeze.quota(None);
        }
        if let Some(squeeze) = &self.pooler_squeeze {
            let _ = squeeze.quota(None);
        }
        if let Some(weather) = &self.weather {
            weather.set(0, 0, 0);
            weather.pace(0);
        }
        self.cluster.stop("QUIT");
        self.crowd.end();
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}
