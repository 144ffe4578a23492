//! A crowd of clients before one pool, in virtual time: the pool's decisions
//! alone, without sessions and bytes. For questions about queues: who waits how
//! long, who is refused, and what one connection more changes.
//!
//! What a request needs is drawn from the seed, the client and the request's
//! number, never from what happened before. So two runs that differ in one
//! setting see the same arrivals and the same work.
//!
//! Checked all the while: nobody waits beyond its deadline, who is shed is told
//! at once, no flow and no waiter is passed over more than its bound, and no
//! connection is opened above the line.

mod world;

use events::{Histogram, Time};
use pool::{PoolSettings, UpstreamSettings};
use std::collections::BTreeMap;
use std::time::Duration;
use world::World;

/// Events after which a run is given up.
const EVENTS_MAX: u64 = 20_000_000;

/// When the clients of a group ask.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// So many requests a second, whatever becomes of them.
    Open(f64),
    /// Each of so many clients asks again after this pause.
    Closed(u32, Duration),
}

/// Clients of one user and application.
#[derive(Clone, Debug)]
pub struct Group {
    /// The flow's key: `user NUL application`.
    pub flow: &'static str,
    /// When they ask.
    pub arrivals: Arrivals,
    /// Mean time that a request holds a connection; between half and one and a
    /// half of it.
    pub hold: Duration,
    /// They ask from here…
    pub from: Duration,
    /// …to here.
    pub until: Duration,
    /// A refused request is tried again so often, after [`Crowd::retry_after`].
    pub retries: u32,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// What is drawn is drawn from it.
    pub seed: u64,
    /// Event loops over which clients are spread.
    pub workers: u16,
    /// The server's line and how fast connections are opened.
    pub upstream: UpstreamSettings,
    /// The pool.
    pub pool: PoolSettings,
    /// Who comes.
    pub groups: Vec<Group>,
    /// Time to open a connection.
    pub open: Duration,
    /// The server's caches are cold: so many requests hold a connection for so long.
    pub cold: (u32, Duration),
    /// Pause of a refused client before it tries again.
    pub retry_after: Duration,
    /// A planted bug; tests only.
    #[cfg(test)]
    pub fault: Option<pool::Fault>,
}

/// What became of a group.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// Requests that were served, by the second in which they ended.
    pub served: BTreeMap<u64, u64>,
    /// Tries that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// From the first try to the end, of those that were served.
    pub response: Histogram,
    /// From a try to its grant, in microseconds, of those that were served.
    pub waits: Vec<u64>,
    /// When the last wait above 100 ms ended.
    pub last_long_wait: Time,
    /// Requests that were never served.
    pub lost: u64,
}

impl Fate {
    /// Requests served.
    pub fn total(&self) -> u64 {
        self.served.values().sum()
    }

    /// The wait that so many per mille of the served ones did not exceed.
    pub fn wait(&self, permille: usize) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = (waits.len() * permille / 1000).min(waits.len().saturating_sub(1));
        Duration::from_micros(waits.get(at).copied().unwrap_or(0))
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// By group.
    pub fates: Vec<Fate>,
    /// Most clients that waited.
    pub waiting_max: u32,
    /// When nobody waited any more, at the end.
    pub quiet_at: Time,
    /// What the guards did.
    pub guards: events::GuardCounts,
    /// What a checker said.
    pub broken: Option<String>,
}

/// Runs until everybody who came has been answered.
pub fn run(crowd: &Crowd) -> Outcome {
    let mut world = World::new(crowd);
    let mut events = 0;
    while world.out.broken.is_none() && world.step() {
        events += 1;
        if events > EVENTS_MAX {
            world.fail("too many events".into());
        }
    }
    world.out.guards = world.up.counters().guards;
    world.out
}

#[cfg(test)]
#[path = "crowd_tests.rs"]
mod tests;
