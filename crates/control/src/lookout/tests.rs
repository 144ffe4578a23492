//! What is looked for each second, and what is told of it.

use super::*;
use crate::Health;
use events::sample::{Gauge, PoolSample, ServerSample, Times};

struct Served(Arc<config::Plan>);

impl Source for Served {
    fn snapshot(&self, _detail: bool) -> Arc<Snapshot> {
        Arc::default()
    }

    fn plan(&self) -> Option<Arc<config::Plan>> {
        Some(Arc::clone(&self.0))
    }

    fn live(&self) -> Health {
        Health::Good
    }

    fn ready(&self) -> Health {
        Health::Good
    }
}

struct Text(&'static str);

impl config::Source for Text {
    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn read_secret(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn run(&self, _: &config::SecretCommand) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

pub(crate) fn plan() -> Arc<config::Plan> {
    let text = "[owners.shop]\nteam = \"payments\"\n[database.shop]\nhost = \"db\"\n";
    let plan = config::load("plimsoll.toml".as_ref(), &Text(text));
    Arc::new(plan.expect("good settings"))
}

/// A second of a pool of four: calm, or full with people in line.
fn second(n: i64, full: bool) -> Sample {
    let many = if full { 4 } else { 1 };
    let waits = Times {
        count: 20,
        sum_us: if full { 40_000_000 } else { 0 },
        p50_us: if full { 2_000_000 } else { 10 },
        p99_us: if full { 3_000_000 } else { 20 },
        most_us: if full { 3_000_000 } else { 20 },
        beyond: if full { 20 } else { 0 },
    };
    Sample {
        at_ms: n * 1_000,
        span_ms: 1_000,
        pools: vec![PoolSample {
            database: "shop".into(),
            user: "web".into(),
            upstream: "db:5432".into(),
            size: 4,
            used: Gauge::of(many),
            clients: Gauge::of(20),
            waiting: Gauge::of(if full { 12 } else { 0 }),
            oldest_wait_us: if full { 3_000_000 } else { 0 },
            arrivals: 20,
            transactions: 20,
            queries: 20,
            wait: waits,
            ..PoolSample::default()
        }],
        servers: vec![ServerSample {
            upstream: "db:5432".into(),
            ..ServerSample::default()
        }],
        ..Sample::default()
    }
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<AlertChange>>>);

impl Sink for Told {
    fn second(&mut self, second: &Second<'_>) -> Vec<Marker> {
        self.0
            .lock()
            .expect("whole")
            .extend(second.changes.iter().cloned());
        Vec::new()
    }
}

struct Clumsy;

impl Sink for Clumsy {
    fn second(&mut self, _: &Second<'_>) -> Vec<Marker> {
        panic!("a bug of this test's");
    }
}

#[test]
fn a_full_pool_is_told_within_ten_seconds_with_its_owner() {
    let told = Told::default();
    let lookout = Arc::new(Lookout::default());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Clumsy), Box::new(told.clone())];
    let source = Arc::new(Served(plan()));
    let mut watching = Watching::new(Arc::clone(&lookout), source, sinks);
    let mut record = Record::default();
    let mut markers = Vec::new();
    for n in 0..120 {
        record.seconds.push_back(second(n, n >= 100));
        markers.extend(watching.second(&record, &Arc::default()));
    }
    // The diagnosis has a share of the time, and these seconds took milliseconds.
    let hurt = || lookout.newest().map(|v| v.state) == Some(diagnose::State::Hurt);
    let patience = Instant::now() + Duration::from_secs(20);
    while !hurt() && Instant::now() < patience {
        watching.second(&record, &Arc::default());
    }
    let told = told.0.lock().expect("whole").clone();
    let first = told.first().expect("an alert");
    let fired = first.fired_ms.expect("it fires");
    assert!((100_000..=110_000).contains(&fired), "{fired}");
    assert_eq!(
        first.owner.as_ref().map(|o| o.team.as_str()),
        Some("payments")
    );
    assert!(
        first.runbook.ends_with(&first.name.label().to_lowercase()),
        "{}",
        first.runbook
    );
    assert!(markers.iter().any(|m| m.kind == MarkerKind::Alert));
    assert!(!lookout.alerts().is_empty());
    assert!(hurt(), "{:?}", lookout.newest());
}
