//! Many samples folded into one: means, rates and ends, in floating point, so
//! that no number of a hostile bundle can overflow.

use events::sample::{
    ApplicationSample, ClientsSample, Gauge, HostSample, Name, PoolSample, Sample, ServerSample,
    SourceSample, TcpSample, Times,
};
use std::collections::BTreeMap;

/// Rows of one kind that are read from one sample.
pub(crate) const ROWS_MAX: usize = 300;
/// Rows of one kind that are kept in a window.
const KEPT_MAX: usize = 600;

/// A gauge over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    sum: f64,
    samples: f64,
    pub least: f64,
    pub most: f64,
    pub first: f64,
    pub last: f64,
}

impl Level {
    fn add(&mut self, gauge: &Gauge) {
        if gauge.looks > 0 {
            let (least, most) = (f64::from(gauge.least), f64::from(gauge.most));
            let mean = gauge.mean().min(f64::from(u32::MAX));
            self.put(least, mean, most, f64::from(gauge.last));
        }
    }

    fn one(&mut self, value: f64) {
        self.put(value, value, value, value);
    }

    fn put(&mut self, least: f64, mean: f64, most: f64, last: f64) {
        let first = self.samples == 0.0;
        self.least = if first { least } else { self.least.min(least) };
        self.first = if first { mean } else { self.first };
        self.most = self.most.max(most);
        self.last = last;
        self.sum += mean;
        self.samples += 1.0;
    }

    /// The mean; `None` when it was never looked at.
    pub fn known(&self) -> Option<f64> {
        (self.samples > 0.0).then(|| self.sum / self.samples)
    }

    /// The mean; 0 when it was never looked at.
    pub fn mean(&self) -> f64 {
        self.known().unwrap_or(0.0)
    }
}

/// Durations over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub count: f64,
    sum_us: f64,
    p50: f64,
    /// The least median of a second with some of them.
    least50: Option<f64>,
    pub most_us: f64,
    pub beyond: f64,
}

impl Span {
    fn add(&mut self, times: &Times) {
        let count = times.count as f64;
        self.count += count;
        self.sum_us += times.sum_us as f64;
        self.p50 += times.p50_us as f64 * count;
        if times.count >= 3 {
            let p50 = times.p50_us as f64;
            self.least50 = Some(self.least50.map_or(p50, |least| least.min(p50)));
        }
        self.most_us = self.most_us.max(times.most_us as f64);
        self.beyond += times.beyond as f64;
    }

    pub fn mean_us(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum_us / self.count)
    }

    pub fn p50_us(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.p50 / self.count)
    }

    /// The median of the quickest second.
    pub fn least50_us(&self) -> Option<f64> {
        self.least50
    }

    pub fn sum_us(&self) -> f64 {
        self.sum_us
    }
}

/// One pool over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolWindow {
    pub database: Name,
    pub user: Name,
    pub upstream: Name,
    pub seconds: f64,
    pub samples: u32,
    pub size: f64,
    pub size_most: f64,
    pub used: Level,
    pub clients: Level,
    pub waiting: Level,
    pub oldest_wait_us: f64,
    pub arrivals: f64,
    pub transactions: f64,
    pub wait: Span,
    pub hold: Span,
    pub service: Span,
    pub refused: f64,
    pub silent: Level,
    pub suspects: f64,
    pub oldest_hold_us: f64,
    pub paused: bool,
}

impl PoolWindow {
    fn add(&mut self, row: &PoolSample, seconds: f64) {
        if self.samples == 0 {
            self.database = Name::clone(&row.database);
            self.user = Name::clone(&row.user);
        }
        self.upstream = Name::clone(&row.upstream);
        self.seconds += seconds;
        self.samples += 1;
        self.size = f64::from(row.size);
        self.size_most = self.size_most.max(self.size);
        self.used.add(&row.used);
        self.clients.add(&row.clients);
        self.waiting.add(&row.waiting);
        self.oldest_wait_us = self.oldest_wait_us.max(row.oldest_wait_us as f64);
        self.arrivals += row.arrivals as f64;
        self.transactions += row.transactions as f64;
        self.wait.add(&row.wait);
        self.hold.add(&row.hold);
        self.service.add(&row.service);
        self.refused += row.refused as f64;
        self.silent.one(f64::from(row.silent));
        self.suspects = f64::from(row.suspects);
        self.oldest_hold_us = row.oldest_hold_us as f64;
        self.paused = row.paused;
    }

    pub fn per_s(&self, count: f64) -> f64 {
        rate(count, self.seconds)
    }

    /// `database/user`, as in markers and on the page.
    pub fn name(&self) -> String {
        match self.user.is_empty() {
            true => self.database.to_string(),
            false => format!("{}/{}", self.database, self.user),
        }
    }

    /// Lent connections whose client is not silent: those that work, or whose
    /// statement or reply is under way.
    pub fn busy(&self) -> f64 {
        (self.used.mean() - self.silent.mean()).max(0.0)
    }

    /// How long a transaction keeps a connection that is not silent, by Little's
    /// law: what has not ended yet counts too. Microseconds.
    pub fn busy_us(&self) -> f64 {
        let ended = self.transactions.max(0.5);
        let most = self.oldest_hold_us.max(self.seconds * 1e6);
        (self.busy() * self.seconds * 1e6 / ended).min(most)
    }
}

/// One application in one pool over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppWindow {
    pub name: Name,
    pub seconds: f64,
    pub clients: Level,
    pub used: Level,
    pub waiting: Level,
    pub silent: Level,
    pub logins: f64,
    pub arrivals: f64,
    pub hold_us: f64,
    pub oldest_hold_us: f64,
    pub release: Name,
    pub silent_statement: u64,
}

impl AppWindow {
    fn add(&mut self, row: &ApplicationSample, seconds: f64) {
        self.name = Name::clone(&row.name);
        self.seconds += seconds;
        self.clients.add(&row.clients);
        self.used.add(&row.used);
        self.waiting.add(&row.waiting);
        self.silent.add(&row.silent);
        self.logins += row.logins as f64;
        self.arrivals += row.arrivals as f64;
        self.hold_us += row.hold_us as f64;
        self.oldest_hold_us = row.oldest_hold_us as f64;
        if !row.release.is_empty() {
            self.release = Name::clone(&row.release);
        }
        if row.silent_statement != 0 {
            self.silent_statement = row.silent_statement;
        }
    }

    pub fn per_s(&self, count: f64) -> f64 {
        rate(count, self.seconds)
    }
}

/// One client address over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceWindow {
    pub seconds: f64,
    pub clients: Level,
    pub accepts: f64,
    pub login_failures: f64,
}

impl SourceWindow {
    fn add(&mut self, row: &SourceSample, seconds: f64) {
        self.seconds += seconds;
        self.clients.one(f64::from(row.clients));
        self.accepts += row.accepts as f64;
        self.login_failures += row.login_failures as f64;
    }
}

/// TCP over a window; no sockets: nothing is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct TcpWindow {
    /// The least of the sockets: what no socket is without.
    pub least_us: Level,
    pub retransmits: f64,
    pub unanswered_us: f64,
    seconds: f64,
}

impl TcpWindow {
    fn add(&mut self, row: &TcpSample, seconds: f64) {
        if row.sockets == 0 {
            return;
        }
        self.seconds += seconds;
        self.least_us.one(row.rtt_us_least as f64);
        self.retransmits += row.retransmits as f64;
        self.unanswered_us = self.unanswered_us.max(row.unanswered_us as f64);
    }

    /// Segments sent again, in a second; `None` when no socket was looked at.
    pub fn again_per_s(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| rate(self.retransmits, self.seconds))
    }
}

/// One server over a window, without its activity.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerWindow {
    pub upstream: Name,
    pub seconds: f64,
    pub opened: f64,
    pub connect_failed: f64,
    pub login_failed: f64,
    pub full: f64,
    pub ended: f64,
    pub last_error: Name,
    pub errors: BTreeMap<Name, f64>,
    pub tcp: TcpWindow,
    pub intermediary: bool,
    pub line: f64,
    pub line_used: f64,
    pub max_connections: f64,
    pub others: Option<f64>,
}

impl ServerWindow {
    fn add(&mut self, row: &ServerSample, seconds: f64) {
        self.upstream = Name::clone(&row.upstream);
        self.seconds += seconds;
        self.opened += row.opened as f64;
        self.connect_failed += row.connect_failed as f64;
        self.login_failed += row.login_failed as f64;
        self.full += row.full as f64;
        self.ended += row.ended_by_server as f64;
        if !row.last_error.is_empty() {
            self.last_error = Name::clone(&row.last_error);
        }
        for (code, n) in row.errors.iter().take(ROWS_MAX) {
            if self.errors.len() < KEPT_MAX {
                *self.errors.entry(Name::clone(code)).or_default() += *n as f64;
            }
        }
        self.tcp.add(&row.tcp, seconds);
        self.intermediary |= row.intermediary;
        self.line = f64::from(row.line.line);
        self.line_used = f64::from(row.line.used);
        self.max_connections = f64::from(row.line.max_connections);
        self.others = row.line.others.map(f64::from).or(self.others);
    }

    pub fn per_s(&self, count: f64) -> f64 {
        rate(count, self.seconds)
    }

    /// How many errors with one of these SQLSTATEs.
    pub fn errors_of(&self, codes: &[&str]) -> f64 {
        let hit = |(code, _): &(&Name, &f64)| codes.contains(&&***code);
        self.errors.iter().filter(hit).map(|(_, n)| n).sum()
    }
}

/// All clients over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientsWindow {
    pub connected: Level,
    pub limit: f64,
    pub accepts: f64,
    pub logins: f64,
    pub login_failures: f64,
    pub tcp: TcpWindow,
}

impl ClientsWindow {
    fn add(&mut self, row: &ClientsSample, seconds: f64) {
        self.connected.add(&row.connected);
        self.limit = f64::from(row.limit);
        self.accepts += row.accepts as f64;
        self.logins += row.logins as f64;
        self.login_failures += row.login_failures as f64;
        self.tcp.add(&row.tcp, seconds);
    }
}

/// The machine over a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostWindow {
    pub busy: Level,
    pub own: Level,
    pub throttled_ms: Option<f64>,
    pub turns: Level,
    pub cores: f64,
}

impl HostWindow {
    fn add(&mut self, row: &HostSample) {
        if let Some(busy) = row.cpu_busy_permille {
            self.busy.one(f64::from(busy));
        }
        if let Some(own) = row.own_cpu_permille {
            self.own.one(f64::from(own));
        }
        if let Some(ms) = row.throttled_ms {
            self.throttled_ms = Some(self.throttled_ms.unwrap_or(0.0) + f64::from(ms));
        }
        if let Some(turns) = row.turns_least {
            self.turns.one(turns as f64);
        }
        self.cores = f64::from(row.cores);
    }
}

/// Who: database, user.
pub(crate) type PoolKey = (Name, Name);
/// Who: database, user, application.
pub(crate) type AppKey = (Name, Name, Name);

/// A stretch of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub samples: u32,
    pub seconds: f64,
    pub pools: BTreeMap<PoolKey, PoolWindow>,
    pub apps: BTreeMap<AppKey, AppWindow>,
    pub sources: BTreeMap<Name, SourceWindow>,
    pub servers: BTreeMap<Name, ServerWindow>,
    pub clients: ClientsWindow,
    pub host: HostWindow,
    pub closes: BTreeMap<Name, f64>,
    pub refusals: BTreeMap<Name, f64>,
}

impl Window {
    /// All of these, oldest first.
    pub fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Window {
        let mut window = Window::default();
        samples.for_each(|sample| window.add(sample));
        window
    }

    fn add(&mut self, sample: &Sample) {
        let seconds = seconds_of(sample);
        self.samples += 1;
        self.seconds += seconds;
        for row in sample.pools.iter().take(ROWS_MAX) {
            let key = (Name::clone(&row.database), Name::clone(&row.user));
            slot(&mut self.pools, key, |p| p.add(row, seconds));
        }
        for row in sample.applications.iter().take(ROWS_MAX) {
            let (database, user) = (Name::clone(&row.database), Name::clone(&row.user));
            let key = (database, user, Name::clone(&row.name));
            slot(&mut self.apps, key, |a| a.add(row, seconds));
        }
        for row in sample.sources.iter().take(ROWS_MAX) {
            let key = Name::clone(&row.address);
            slot(&mut self.sources, key, |s| s.add(row, seconds));
        }
        for row in sample.servers.iter().take(ROWS_MAX) {
            let key = Name::clone(&row.upstream);
            slot(&mut self.servers, key, |s| s.add(row, seconds));
        }
        self.clients.add(&sample.clients, seconds);
        self.host.add(&sample.host);
        counts(&mut self.closes, &sample.closes);
        counts(&mut self.refusals, &sample.refusals);
    }

    pub fn per_s(&self, count: f64) -> f64 {
        rate(count, self.seconds)
    }

    /// Refusals with one of these labels, in a second.
    pub fn refused_per_s(&self, labels: &[&str]) -> f64 {
        self.per_s(sum_of(&self.refusals, labels))
    }

    /// Connections closed with one of these labels, in a second.
    pub fn closed_per_s(&self, labels: &[&str]) -> f64 {
        self.per_s(sum_of(&self.closes, labels))
    }
}

/// The seconds that a sample's counters cover; a nonsensical span counts as one.
pub(crate) fn seconds_of(sample: &Sample) -> f64 {
    match sample.span_ms {
        0 => 1.0,
        ms => f64::from(ms) / 1e3,
    }
}

fn slot<K: Ord, V: Default>(map: &mut BTreeMap<K, V>, key: K, add: impl FnOnce(&mut V)) {
    if map.len() < KEPT_MAX || map.contains_key(&key) {
        add(map.entry(key).or_default());
    }
}

fn counts(sum: &mut BTreeMap<Name, f64>, list: &[(Name, u32)]) {
    for (name, n) in list.iter().take(ROWS_MAX) {
        slot(sum, Name::clone(name), |sum: &mut f64| {
            *sum += f64::from(*n)
        });
    }
}

fn sum_of(list: &BTreeMap<Name, f64>, labels: &[&str]) -> f64 {
    labels.iter().filter_map(|l| list.get(*l)).sum()
}

fn rate(count: f64, seconds: f64) -> f64 {
    match seconds > 0.0 {
        true => count / seconds,
        false => 0.0,
    }
}
