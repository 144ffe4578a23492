//! Does a change hurt? Judged from what the data plane publishes, look by look,
//! against how it was just before the change.
//!
//! Each suspicion is a running sum of evidence (Page's CUSUM, 1954): every fact
//! that fits "worse" adds, every fact that fits "as before" takes away, and it
//! never falls below zero. So a few slow seconds of an hour ago count for
//! nothing, and a real loss of service is seen in a second. One hiccup is one
//! look: evidence from fewer than [`LOOKS_MIN`] looks convicts nobody.
//!
//! While things were bad already, the comparison is with that: only "worse than
//! before the change" counts, which is what a person in an incident needs.

use events::snapshot::{PoolRow, Snapshot};
use events::{CloseReason, Histogram, RefuseReason, Time};
use std::collections::BTreeMap;
use std::time::Duration;

use super::Verdict;

/// Waits below this are no harm by themselves.
const WAIT_FLOOR_US: u64 = 100_000;
/// A wait is long when it is so many times the 99th percentile before.
const WAIT_FACTOR: u64 = 4;
/// Evidence that convicts: odds of ten thousand to one.
const EVIDENCE: f64 = 9.2;
/// It must come from so many looks.
const LOOKS_MIN: u32 = 4;
/// Of healthy checkouts at least this share is taken to wait long, by chance.
const LONG_SHARE_MIN: f64 = 0.005;
/// Harm shows as at least this many times as many.
const HARM_FACTOR: f64 = 4.0;
/// Refusals and closes for one reason that come by chance, a second.
const CHANCE_PER_SECOND: f64 = 0.1;
/// The service is slower when a query takes so many times as long…
const SERVICE_FACTOR: f64 = 2.0;
/// …and no more of them are done than this share of before.
const SERVICE_GAIN: f64 = 1.1;
/// Throughput has fallen below this share of before, while clients wait.
const THROUGHPUT_SHARE: f64 = 0.7;
/// Pools that are judged: those with the most traffic before.
const POOLS_MAX: usize = 1_000;
/// Somebody waited so long before the change: an incident is open.
const INCIDENT_WAIT_US: u64 = 1_000_000;

/// Ends of clients and servers that a setting can cause.
const HARM_CLOSES: [CloseReason; 13] = [
    CloseReason::ClientLoginTimeout,
    CloseReason::ClientAuthentication,
    CloseReason::ClientRefused,
    CloseReason::ClientIdleTimeout,
    CloseReason::IdleTransactionTimeout,
    CloseReason::TransactionTimeout,
    CloseReason::QueryTimeout,
    CloseReason::QueryWaitTimeout,
    CloseReason::ParametersRefused,
    CloseReason::ServerConnectFailed,
    CloseReason::ServerLoginFailed,
    CloseReason::ServerFull,
    CloseReason::Panic,
];
/// Refusals that a setting can cause.
const HARM_REFUSALS: [RefuseReason; 6] = [
    RefuseReason::WaitTimeout,
    RefuseReason::QueueFull,
    RefuseReason::Shed,
    RefuseReason::ServerDown,
    RefuseReason::PinShare,
    RefuseReason::TooManyClients,
];

/// How long is looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JudgeSettings {
    /// No step is fine before.
    pub step_min: Duration,
    /// After this a step goes on, with a warning where there was too little traffic.
    pub step_max: Duration,
    /// So many checkouts are enough to call a step fine.
    pub checkouts_min: u64,
    /// How long the whole is watched after the last step.
    pub watch: Duration,
}

impl JudgeSettings {
    /// The usual ones, with this time of watching.
    pub fn watching(watch: Duration) -> JudgeSettings {
        JudgeSettings {
            watch,
            ..JudgeSettings::default()
        }
    }
}

impl Default for JudgeSettings {
    fn default() -> Self {
        JudgeSettings {
            step_min: Duration::from_secs(2),
            step_max: Duration::from_secs(10),
            checkouts_min: 200,
            watch: Duration::from_secs(60),
        }
    }
}

/// One thing that became worse, with its figures.
#[derive(Clone, PartialEq, Debug)]
pub struct Grounds {
    /// "app/anna", or empty for the whole pooler.
    pub pool: String,
    /// A sentence with both figures.
    pub text: String,
}

impl std::fmt::Display for Grounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pool.is_empty() {
            true => f.write_str(&self.text),
            false => write!(f, "{}: {}", self.pool, self.text),
        }
    }
}

/// What a look says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Judgement {
    /// `None`: it takes longer.
    pub verdict: Option<Verdict>,
    /// What is worse; or why nothing can be said.
    pub grounds: Vec<Grounds>,
}

type Name = (String, String);

/// A running sum of evidence.
#[derive(Clone, Copy, Default, Debug)]
struct Suspicion {
    evidence: f64,
    looks: u32,
}

impl Suspicion {
    /// True: convicted.
    fn add(&mut self, evidence: f64, speaks_for: bool) -> bool {
        self.evidence += evidence;
        self.looks += u32::from(speaks_for);
        if self.evidence <= 0.0 {
            *self = Suspicion::default();
        }
        self.evidence > EVIDENCE && self.looks >= LOOKS_MIN
    }
}

/// How a pool was, and what speaks against it now.
#[derive(Clone, Debug)]
struct Watched {
    /// Checkouts a second.
    rate: f64,
    /// Waits above this are long, microseconds.
    long_us: u64,
    /// The share of checkouts that waited longer.
    long_share: f64,
    /// Mean time of a query, microseconds; 0: none.
    service_us: f64,
    queries_per_second: f64,
    waiting: u32,
    /// As of the last look.
    wait: Histogram,
    service: Histogram,
    waits: Suspicion,
    stuck: Suspicion,
    slow: Suspicion,
    less: Suspicion,
}

/// One count of refusals or closes.
#[derive(Clone, Debug)]
struct Harm {
    label: &'static str,
    read: fn(&Snapshot, usize) -> u64,
    index: usize,
    before: f64,
    last: u64,
    suspicion: Suspicion,
}

/// Compares what comes with what was.
#[derive(Clone, Debug)]
pub struct Judge {
    settings: JudgeSettings,
    pools: BTreeMap<Name, Watched>,
    harms: Vec<Harm>,
    last: Time,
    since: Time,
    checkouts: u64,
    incident: bool,
}

fn seconds(from: Time, to: Time) -> f64 {
    to.as_micros().saturating_sub(from.as_micros()) as f64 / 1e6
}

fn mean(histogram: &Histogram) -> f64 {
    match histogram.count() {
        0 => 0.0,
        n => histogram.sum_micros() as f64 / n as f64,
    }
}

fn name(row: &PoolRow) -> Name {
    (row.database.clone(), row.user.clone())
}

impl Judge {
    /// Before the change: two snapshots, some seconds or a minute apart. The
    /// later one is where the judging begins.
    pub fn new(settings: JudgeSettings, before: &Snapshot, at: &Snapshot) -> Judge {
        let span = seconds(before.at, at.at);
        let old: BTreeMap<Name, &PoolRow> = before.pools.iter().map(|p| (name(p), p)).collect();
        let mut rows: Vec<&PoolRow> = at.pools.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.wait.count()));
        let pools = rows
            .into_iter()
            .take(POOLS_MAX)
            .map(|row| (name(row), watched(old.get(&name(row)).copied(), row, span)))
            .collect();
        let mut harms = Vec::new();
        for reason in HARM_REFUSALS {
            let read: fn(&Snapshot, usize) -> u64 = |s, i| s.refusals.get(i).copied().unwrap_or(0);
            harms.push(harm(reason.label(), read, reason as usize));
        }
        for reason in HARM_CLOSES {
            let read: fn(&Snapshot, usize) -> u64 = |s, i| s.closes.get(i).copied().unwrap_or(0);
            harms.push(harm(reason.label(), read, reason as usize));
        }
        let mut refused = 0.0;
        for harm in &mut harms {
            harm.last = (harm.read)(at, harm.index);
            let came = harm.last.saturating_sub((harm.read)(before, harm.index));
            harm.before = if span > 0.0 { came as f64 / span } else { 0.0 };
            refused += harm.before;
        }
        let longest = at.pools.iter().map(|p| p.maxwait_us).max().unwrap_or(0);
        Judge {
            settings,
            pools,
            harms,
            last: at.at,
            since: at.at,
            checkouts: 0,
            incident: longest > INCIDENT_WAIT_US || refused > 1.0,
        }
    }

    /// Things were bad already: only worse than that counts.
    pub fn incident_open(&self) -> bool {
        self.incident
    }

    /// The next step serves since then.
    pub fn begin_step(&mut self, now: Time) {
        self.since = now;
        self.checkouts = 0;
    }

    /// Another look. A step's verdict: worse, fine, or unknown after its longest time.
    pub fn look(&mut self, now: &Snapshot) -> Judgement {
        let span = seconds(self.last, now.at);
        if span <= 0.0 {
            return Judgement::default();
        }
        self.last = now.at;
        let mut grounds = Vec::new();
        for row in &now.pools {
            let Some(watched) = self.pools.get_mut(&name(row)) else {
                // A pool that the change made: it has no before. Its refusals count.
                continue;
            };
            self.checkouts += watched.look(row, span, &mut grounds);
        }
        for harm in &mut self.harms {
            grounds.extend(harm.look(now, span));
        }
        let took = Duration::from_secs_f64(seconds(self.since, now.at));
        let verdict = if !grounds.is_empty() {
            Some(Verdict::Worse)
        } else if self.checkouts >= self.settings.checkouts_min && took >= self.settings.step_min {
            // Suspicion under way is waited for.
            let calm = took >= self.settings.step_max || !self.suspicious();
            calm.then_some(Verdict::Fine)
        } else if took >= self.settings.step_max {
            grounds.push(Grounds {
                pool: String::new(),
                text: format!(
                    "{} checkouts in {} s are too few to judge by",
                    self.checkouts,
                    took.as_secs()
                ),
            });
            Some(Verdict::Unknown)
        } else {
            None
        };
        Judgement { verdict, grounds }
    }

    fn suspicious(&self) -> bool {
        let of_pool = |w: &Watched| {
            [&w.waits, &w.stuck, &w.slow, &w.less]
                .iter()
                .any(|s| s.evidence > 0.0 && s.looks > 0)
        };
        self.pools.values().any(of_pool) || self.harms.iter().any(|h| h.suspicion.looks > 0)
    }
}

fn harm(label: &'static str, read: fn(&Snapshot, usize) -> u64, index: usize) -> Harm {
    Harm {
        label,
        read,
        index,
        before: 0.0,
        last: 0,
        suspicion: Suspicion::default(),
    }
}

fn watched(old: Option<&PoolRow>, row: &PoolRow, span: f64) -> Watched {
    let since = |new: &Histogram, old: Option<&Histogram>| match old {
        Some(old) => new.since(old),
        None => new.clone(),
    };
    let wait = since(&row.wait, old.map(|r| &r.wait));
    let service = since(&row.service, old.map(|r| &r.service));
    let per_second = |n: u64| if span > 0.0 { n as f64 / span } else { 0.0 };
    let p99 = wait.quantile_micros(0.99).max(row.maxwait_us);
    let long_us = (WAIT_FACTOR * p99).max(WAIT_FLOOR_US);
    let long = wait.count().saturating_sub(wait.count_at_most(long_us));
    let long_share = (long as f64 / wait.count().max(1) as f64).max(LONG_SHARE_MIN);
    Watched {
        rate: per_second(wait.count()),
        long_us,
        long_share,
        service_us: mean(&service),
        queries_per_second: per_second(service.count()),
        waiting: row.cl_waiting,
        wait: row.wait.clone(),
        service: row.service.clone(),
        waits: Suspicion::default(),
        stuck: Suspicion::default(),
        slow: Suspicion::default(),
        less: Suspicion::default(),
    }
}

impl Watched {
    /// Returns how many checkouts there were.
    fn look(&mut self, row: &PoolRow, span: f64, grounds: &mut Vec<Grounds>) -> u64 {
        let wait = row.wait.since(&self.wait);
        let service = row.service.since(&self.service);
        self.wait.clone_from(&row.wait);
        self.service.clone_from(&row.service);
        let label = || format!("{}/{}", row.database, row.user);
        let mut say = |text: String| {
            grounds.push(Grounds {
                pool: label(),
                text,
            });
        };
        let checkouts = wait.count();
        let long = checkouts.saturating_sub(wait.count_at_most(self.long_us));
        let (p0, n) = (self.long_share, checkouts as f64);
        let p1 = (p0 * 10.0).min(0.5 + p0 / 2.0);
        let evidence =
            long as f64 * (p1 / p0).ln() + (n - long as f64) * ((1.0 - p1) / (1.0 - p0)).ln();
        if self.waits.add(evidence, long > 0) {
            say(format!(
                "{long} of {checkouts} checkouts waited longer than {} ms; {:.1} % did before",
                self.long_us / 1000,
                self.before_percent()
            ));
        }
        let stuck = row.maxwait_us > self.long_us && row.cl_waiting > 0;
        if self
            .stuck
            .add(if stuck { EVIDENCE / 3.0 } else { -EVIDENCE }, stuck)
        {
            say(format!(
                "a client has waited {} ms; above {} ms is long here",
                row.maxwait_us / 1000,
                self.long_us / 1000
            ));
        }
        let queries = service.count() as f64 / span;
        let slow = self.service_us > 0.0
            && service.count() >= 5
            && mean(&service) > SERVICE_FACTOR * self.service_us
            && queries < SERVICE_GAIN * self.queries_per_second;
        if self
            .slow
            .add(if slow { EVIDENCE / 8.0 } else { -EVIDENCE }, slow)
        {
            say(format!(
                "a query takes {:.1} ms, {:.1} ms before, and no more of them are done",
                mean(&service) / 1000.0,
                self.service_us / 1000.0
            ));
        }
        let less = row.cl_waiting > 2 * self.waiting + 2
            && self.rate > 5.0
            && checkouts as f64 / span < THROUGHPUT_SHARE * self.rate;
        if self
            .less
            .add(if less { EVIDENCE / 5.0 } else { -EVIDENCE }, less)
        {
            say(format!(
                "{:.0} checkouts a second, {:.0} before, while {} clients wait",
                checkouts as f64 / span,
                self.rate,
                row.cl_waiting
            ));
        }
        checkouts
    }

    /// The floor of the share is an assumption, not a figure to show.
    fn before_percent(&self) -> f64 {
        if self.long_share > LONG_SHARE_MIN {
            100.0 * self.long_share
        } else {
            0.0
        }
    }
}

impl Harm {
    fn look(&mut self, now: &Snapshot, span: f64) -> Option<Grounds> {
        let total = (self.read)(now, self.index);
        let came = total.saturating_sub(self.last);
        self.last = total;
        let chance = self.before.max(CHANCE_PER_SECOND);
        let harm = HARM_FACTOR * chance + 1.0;
        let evidence = came as f64 * (harm / chance).ln() - (harm - chance) * span;
        // Refusals are no hiccup: two looks of them are enough.
        let convicted = self.suspicion.add(evidence, came > 0);
        let enough = self.suspicion.evidence > EVIDENCE && self.suspicion.looks >= 2;
        (convicted || enough).then(|| Grounds {
            pool: String::new(),
            text: format!(
                "{} came {:.1} times a second, {:.1} before",
                self.label,
                came as f64 / span,
                self.before
            ),
        })
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
