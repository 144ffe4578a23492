//! What is played, and what is counted.

mod fleet;
mod leak;
mod noisy;
mod overload;
mod oversized;
mod zipf;

use std::time::{Duration, Instant};

use super::figure::Figure;
use super::load::{self, Group, Pace, Places, Samples, Step};
use super::settings::{APP, Pooler};
use crate::Failure;
use crate::poolers::Target;
use crate::postgres::Postgres;
use crate::sandbox::Sandbox;

/// Where a scenario is played.
pub struct Stage<'a> {
    /// Directories and the wish to stop.
    pub sandbox: &'a Sandbox,
    /// The server.
    pub postgres: &'a Postgres,
    /// The program.
    pub target: &'a Target,
    /// The server's limit.
    pub max_connections: u32,
    /// Length of the main part.
    pub seconds: u64,
    /// Of everything random.
    pub seed: u64,
}

/// A scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its title in the report.
    pub title: &'static str,
    /// What happens, in words.
    pub text: &'static str,
    /// The server's limit.
    pub max_connections: u32,
    /// Plays it once.
    pub play: fn(&Stage<'_>) -> Result<Vec<Figure>, Failure>,
}

/// All of them, in the order of the report.
pub const SCENARIOS: &[Scenario] = &[
    oversized::SCENARIO,
    leak::SCENARIO,
    noisy::SCENARIO,
    overload::SCENARIO,
    fleet::SCENARIO,
    zipf::SCENARIO,
];

/// PostgreSQL's default; nothing else is kept back in the private server.
const SUPERUSER_RESERVED: u32 = 3;
/// Plimsoll's default.
const HEADROOM: u32 = 5;
/// The watcher's session.
const WATCHER: u32 = 1;

fn sleeps(time: Duration) -> String {
    format!("SELECT pg_sleep({})", time.as_secs_f64())
}

/// Clients of the application's user; the tests of one pooler go to one place.
fn group(
    pooler: &Pooler,
    application: &str,
    clients: usize,
    sql: &[&str],
    think: Duration,
) -> Group {
    Group {
        places: Places::new(vec![pooler.address]),
        user: APP.into(),
        application: application.into(),
        clients,
        steps: sql.iter().map(|s| Step::Ask((*s).to_owned())).collect(),
        pace: Pace::Closed(think),
        requests: None,
        lifetime: None,
    }
}

impl Stage<'_> {
    fn main_part(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Slots that everybody may use.
    fn slots(&self) -> u32 {
        self.max_connections.saturating_sub(SUPERUSER_RESERVED)
    }

    /// What poolers may have open together, by the server's own settings and the documented rule, while nobody but the
    /// watcher is there. Monitor sessions are within it.
    fn budget(&self) -> u32 {
        self.slots().saturating_sub(WATCHER + HEADROOM)
    }

    /// Lets time pass, but not beyond an interruption.
    fn wait(&self, length: Duration) -> Result<(), Failure> {
        let until = Instant::now() + length;
        loop {
            self.sandbox.stop.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// A load for a while; what it met after the first second.
    fn play(&self, group: &Group, length: Duration) -> Result<(Samples, f64), Failure> {
        let running = load::start(group, self.seed)?;
        self.wait(Duration::from_secs(1))?;
        let from = Instant::now();
        self.wait(length)?;
        let to = Instant::now();
        let samples = running.stop()?.between(from, to);
        Ok((samples, (to - from).as_secs_f64()))
    }
}
