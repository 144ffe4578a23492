//! The generator: sends requests when they are due, through connections that stand.
//!
//! One thread, one event loop. It never waits for an answer before the next request
//! that is due, as long as a connection is free; when none is, the request waits,
//! and that wait is part of its latency. It watches itself: how late it sent what it
//! could have sent, and whether it lacked a CPU. A run in which it lagged calls
//! itself invalid ([`crate::measured::Run::invalid`]).
//!
//! ```text
//!   Due ─► desk ─► session ─► link ─► PostgreSQL, Plimsoll, any pooler
//!            │        │
//!            └► book ◄┘   what was measured
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the clock and the threads of a run"
)]

mod book;
mod desk;
mod engine;
mod frames;
mod lateness;
mod link;
mod load;
mod logins;
mod pace;
pub mod recorded;
mod session;
mod stand_in;
mod timer;

use crate::expression::Variables;
use crate::measured::{Second, Tally};
use crate::scenario::{Connect, Protocol, Scenario};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use engine::run;
pub use link::{Connector, Link, Socket};
pub use session::Play;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to, as a person named it, without secrets.
    pub target: String,
    /// When it begins: seconds since 1970, UTC.
    pub began_unix_s: u64,
    /// Names of the classes, and what each plays.
    pub classes: Vec<(String, Play)>,
    /// How statements are sent.
    pub protocol: Protocol,
    /// What scripts begin with.
    pub variables: Variables,
    /// Most connections at a time.
    pub connections: u32,
    /// When they are opened: all before the first request, or each for one.
    pub connect: Connect,
    /// A request that is not answered then has failed.
    pub timeout: Duration,
    /// How often a request that was refused or lost is tried again.
    pub retries: u32,
    /// How long after.
    pub retry_after: Duration,
    /// What chance draws.
    pub seed: u64,
    /// How long requests are due.
    pub planned: Duration,
    /// Ends the run at once when it is set.
    pub stop: Arc<AtomicBool>,
    /// It is sent to see whether it can run: errors are told with their lines and words.
    pub trial: bool,
}

impl Plan {
    /// The plan of a scenario.
    pub fn of(scenario: &Scenario, target: &str, began_unix_s: u64) -> Plan {
        let classes = scenario.classes.iter().map(|class| {
            let play = match class.stand_in {
                true => Play::Hold,
                false => Play::Script(class.script.clone()),
            };
            (class.script.name.clone(), play)
        });
        Plan {
            target: target.to_owned(),
            began_unix_s,
            classes: classes.collect(),
            protocol: scenario.protocol,
            variables: scenario.variables.clone(),
            connections: scenario.connections,
            connect: scenario.connect,
            timeout: scenario.timeout,
            retries: scenario.retries,
            retry_after: scenario.retry_after,
            seed: scenario.seed,
            planned: scenario.lasts(),
            stop: Arc::default(),
            trial: false,
        }
    }
}

/// How a run goes, about once a second.
pub struct Glance<'a> {
    /// Since its start.
    pub elapsed: Duration,
    /// How long requests are due.
    pub planned: Duration,
    /// All so far.
    pub all: &'a Tally,
    /// The second that is just over. Requests that were due in it may still run.
    pub second: Second,
    /// Requests on a connection.
    pub busy: usize,
    /// Requests that wait for one.
    pub queued: usize,
    /// Connections that stand.
    pub connected: usize,
    /// 99th percentile of the generator's own lag so far, microseconds.
    pub lag_p99_us: u64,
}

/// Whether a run goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Go {
    /// It does.
    On,
    /// A person ends it.
    Stop,
    /// A threshold ends it: its text.
    Abort(String),
}

/// Why a run did not begin.
#[derive(Debug)]
pub enum DriveError {
    /// Not all connections could be opened.
    Connections {
        /// How many could.
        opened: u32,
        /// How many were asked for.
        wanted: u32,
        /// Why the next could not, without secrets.
        why: String,
    },
    /// The operating system refused what the generator needs.
    System(io::Error),
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriveError::Connections { opened: 0, why, .. } => {
                write!(f, "no connection could be opened: {why}")
            }
            DriveError::Connections {
                opened,
                wanted,
                why,
            } => write!(
                f,
                "only {opened} of {wanted} connections could be opened: {why}"
            ),
            DriveError::System(error) => write!(f, "the generator could not start: {error}"),
        }
    }
}

impl std::error::Error for DriveError {}

impl From<io::Error> for DriveError {
    fn from(error: io::Error) -> DriveError {
        DriveError::System(error)
    }
}
