//! A second of the data plane, small enough to keep: what series, alerts,
//! diagnosis, incidents and bundles are made of.
//!
//! A [`Sample`] is a fold over two snapshots: counters become what was counted
//! between them, histograms become [`Times`]. Seconds add up to longer spans by
//! [`Sample::merge`]: a minute of the roll-ups is a `Sample` too, and keeps the
//! least and the most of each gauge. What was not measured is `None`, never
//! zero. A [`Record`] is what a diagnosis reads: samples, oldest first, and
//! [`Marker`]s, which say what changed.
//!
//! No statement, no literal and no secret stands here: names of databases,
//! users, applications and settings are all the text there is.
//!
//! ```
//! use events::sample::{Gauge, PoolSample, Sample};
//! let second = |used| Sample {
//!     span_ms: 1_000,
//!     pools: vec![PoolSample { used: Gauge::of(used), ..PoolSample::default() }],
//!     ..Sample::default()
//! };
//! let mut minute = second(4);
//! minute.merge(&second(8));
//! assert_eq!(minute.span_ms, 2_000);
//! assert_eq!((minute.pools[0].used.least, minute.pools[0].used.most), (4, 8));
//! assert_eq!(minute.pools[0].used.mean(), 6.0);
//! ```

mod guarded;
mod marker;
mod merge;
mod parts;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

pub use guarded::{GUARDED_MAX, GuardSample, GuardedSample, add_guarded};
pub use marker::{Marker, MarkerKind};
pub use parts::{
    ApplicationSample, Blocker, ClientsSample, Gauge, HostSample, LineSample, PoolSample,
    ServerActivity, ServerSample, SourceSample, TcpSample, Times, WaitSample,
};

/// A name that many samples share.
pub type Name = Arc<str>;

/// The name of the sum of what has no row of its own.
pub const OTHER: &str = "other";

/// The whole data plane over a span: a second, or a roll-up of many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    /// The end of the span, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// The time that counters cover, milliseconds, without gaps.
    pub span_ms: u32,
    /// The snapshot that it was folded from, the last of several.
    pub version: u64,
    /// The busiest pools; the rest summed as [`OTHER`].
    pub pools: Vec<PoolSample>,
    /// Database servers.
    pub servers: Vec<ServerSample>,
    /// The busiest applications by pool; the rest summed as [`OTHER`].
    pub applications: Vec<ApplicationSample>,
    /// Client addresses with the most connections; the rest as [`OTHER`].
    pub sources: Vec<SourceSample>,
    /// All clients together.
    pub clients: ClientsSample,
    /// Connections closed, by the label of their [`CloseReason`](crate::CloseReason); only those above zero.
    pub closes: Vec<(Name, u32)>,
    /// Requests refused, by the label of their [`RefuseReason`](crate::RefuseReason); only those above zero.
    pub refusals: Vec<(Name, u32)>,
    /// The machine that Plimsoll runs on.
    pub host: HostSample,
    /// The worst waits, with who held the connection.
    pub waits: Vec<WaitSample>,
    /// What each guard did, or would have done.
    pub guards: Vec<GuardSample>,
    /// Whom they met, and why; bounded, the rest summed as [`OTHER`].
    pub guarded: Vec<GuardedSample>,
}

impl Sample {
    /// How many requests were refused for the reason with this label.
    pub fn refused(&self, label: &str) -> u32 {
        count(&self.refusals, label)
    }

    /// How many connections were closed for the reason with this label.
    pub fn closed(&self, label: &str) -> u32 {
        count(&self.closes, label)
    }

    /// The pool of this database and user.
    pub fn pool(&self, database: &str, user: &str) -> Option<&PoolSample> {
        let named = |p: &&PoolSample| &*p.database == database && &*p.user == user;
        self.pools.iter().find(named)
    }

    /// The server with this label.
    pub fn server(&self, upstream: &str) -> Option<&ServerSample> {
        self.servers.iter().find(|s| &*s.upstream == upstream)
    }

    /// Adds what follows: counters add up, gauges keep least, mean and most, what
    /// is known only at an end is taken from the later one.
    pub fn merge(&mut self, later: &Sample) {
        merge::samples(self, later);
    }
}

fn count(list: &[(Name, u32)], label: &str) -> u32 {
    let found = list.iter().find(|(name, _)| &**name == label);
    found.map_or(0, |(_, n)| *n)
}

/// What a diagnosis reads: an hour of seconds, longer roll-ups, what changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Record {
    /// The instance's name.
    pub instance: Name,
    /// The version of the binary that wrote it.
    pub version: Name,
    /// Seconds, oldest first.
    pub seconds: VecDeque<Sample>,
    /// Minutes, oldest first; they may overlap the seconds.
    pub minutes: VecDeque<Sample>,
    /// What changed, oldest first.
    pub markers: Vec<Marker>,
    /// Settings that serve, by name: those that bound anything. No secret.
    pub settings: Vec<(Name, String)>,
}
