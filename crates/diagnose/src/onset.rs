//! When the present trouble began.
//!
//! One pass over the seconds, oldest first. What is calm teaches what is usual;
//! what is not calm teaches nothing. Some things hurt whatever was before
//! (refusals, failed connects, long waits); others only by comparison (service
//! times, arrivals, logins). A second of the first kind counts twice.

use crate::window::{ROWS_MAX, seconds_of};
use events::sample::{ApplicationSample, Name, PoolSample, Sample, ServerSample};
use std::collections::BTreeMap;

/// Seconds that must be calm before comparisons mean anything.
const LEARN: f64 = 3.0;
/// Calm seconds in a row that end an episode.
const CALM_ENDS: usize = 5;
/// Samples in which two hits must fall.
const NEAR: usize = 5;
/// Seconds in which a small shift must stay.
const LATELY: usize = 5;
/// After so many samples without real pain, a shift is the new normal.
const NEW_NORMAL: u32 = 600;
/// Rows that are learned at most.
const LEARNED_MAX: usize = 256;
/// A wait that hurts whatever the objective, microseconds.
const LONG_WAIT_US: u64 = 200_000;
/// Refusals that mean that clients suffer.
const HURTING: [&str; 6] = [
    "wait_timeout",
    "queue_full",
    "shed",
    "server_down",
    "disabled",
    "too_many_clients",
];
/// Errors that statements seldom end with unless something is wrong: lock
/// timeouts, deadlocks, cancels, read-only, shutdowns.
const TELLING: [&str; 9] = [
    "55P03", "40P01", "57014", "25006", "57P01", "57P02", "57P03", "53300", "53200",
];

/// How each sample went: 0 calm, 1 odd, 2 it hurts.
pub(crate) fn weigh(samples: &[&Sample]) -> Vec<u8> {
    let mut usual = Usual::default();
    samples.iter().map(|s| usual.judge(s)).collect()
}

/// The first sample of the trouble in which the last one stands, if any.
pub(crate) fn find(weights: &[u8]) -> Option<usize> {
    let tail = weights.len().saturating_sub(NEAR + 3);
    let recent = weights.get(tail..).unwrap_or_default();
    let still = recent.iter().rev().take(4).any(|w| *w > 0);
    if !still || recent.iter().map(|w| u32::from(*w)).sum::<u32>() < 2 {
        return None;
    }
    let mut from = weights.len().saturating_sub(1);
    let mut calm = 0;
    for (at, weight) in weights.iter().enumerate().rev() {
        if *weight == 0 {
            calm += 1;
            if calm >= CALM_ENDS {
                break;
            }
            continue;
        }
        let near = weights.iter().skip(at).take(NEAR);
        if near.map(|w| u32::from(*w)).sum::<u32>() >= 2 {
            (from, calm) = (at, 0);
        }
    }
    Some(from)
}

/// What was calm so far.
#[derive(Default)]
struct Usual {
    pools: BTreeMap<(Name, Name), PoolUsual>,
    apps: BTreeMap<(Name, Name, Name), AppUsual>,
    probes: BTreeMap<Name, Mean>,
    blocked: Mean,
    errors: Mean,
    accepts: Mean,
    failures: Mean,
    client_rtt: Mean,
    shifted: u32,
}

#[derive(Default)]
struct PoolUsual {
    service_p50: Mean,
    service_mean: Mean,
    transactions: Mean,
    arrivals: Mean,
    clients: Mean,
    wait_us: Mean,
    silent: Mean,
    size: f64,
    /// The last few seconds, calm or not: what is small and stays, shows there.
    wait_now: Lately,
    arrivals_now: Lately,
    /// Lately all was lent and somebody waited for a good part of a statement.
    pressed_now: Lately,
}

#[derive(Default)]
struct AppUsual {
    busy: Mean,
    /// How long its requests hold a connection, microseconds.
    hold_us: Mean,
    hold_now: Lately,
}

impl AppUsual {
    /// Its requests have held connections for longer for some seconds.
    fn slow_lately(&self) -> bool {
        self.hold_now.above(2.5, 2_000.0)
    }
}

/// The last few seconds, and what was usual before them: what is small and stays
/// must not become usual while it is looked at.
#[derive(Default)]
struct Lately {
    /// Values, and whether their second was calm.
    ring: [(f64, bool); LATELY],
    seen: usize,
    usual: Mean,
}

impl Lately {
    fn see(&mut self, value: f64) {
        if let Some(place) = self.ring.get_mut(self.seen % LATELY) {
            let (old, calm) = std::mem::replace(place, (value, false));
            if calm && self.seen >= LATELY {
                self.usual.learn(old);
            }
        }
        self.seen += 1;
    }

    /// The second seen last was calm.
    fn calm(&mut self) {
        let last = self.seen.wrapping_sub(1) % LATELY;
        if let Some((_, calm)) = self.ring.get_mut(last) {
            *calm = true;
        }
    }

    /// Beyond `times` what is usual by more than `plus`, in most of these seconds.
    fn above(&self, times: f64, plus: f64) -> bool {
        self.most(|v| self.usual.above(v, times, plus))
    }

    /// Below this share of what is usual, where that is `least` or more.
    fn below(&self, share: f64, least: f64) -> bool {
        let usual = self.usual.known().filter(|usual| *usual >= least);
        usual.is_some_and(|usual| self.most(|v| v < usual * share))
    }

    fn most(&self, is: impl Fn(f64) -> bool) -> bool {
        self.seen >= LATELY && self.ring.iter().filter(|(v, _)| is(*v)).count() >= LATELY - 1
    }
}

/// A mean that follows slowly.
#[derive(Default)]
struct Mean {
    value: f64,
    seen: f64,
}

impl Mean {
    fn learn(&mut self, value: f64) {
        self.seen = (self.seen + 1.0).min(20.0);
        self.value += (value - self.value) / self.seen;
    }

    fn known(&self) -> Option<f64> {
        (self.seen >= LEARN).then_some(self.value)
    }

    /// Beyond `times` what is usual, and by more than `plus`.
    fn above(&self, value: f64, times: f64, plus: f64) -> bool {
        self.known()
            .is_some_and(|usual| value > usual * times && value > usual + plus)
    }
}

impl Usual {
    /// 0: calm; 1: odd; 2: hurts.
    fn judge(&mut self, sample: &Sample) -> u8 {
        self.see(sample);
        let weight = match (hurts(sample), self.odd(sample)) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        };
        if weight == 1 {
            self.shifted += 1;
        } else {
            self.shifted = 0;
        }
        if self.shifted > NEW_NORMAL {
            *self = Usual::default();
        }
        if weight == 0 {
            self.learn(sample);
        }
        weight
    }

    fn see(&mut self, sample: &Sample) {
        let seconds = seconds_of(sample);
        for row in sample.applications.iter().take(ROWS_MAX) {
            let key = app_key(row);
            if let Some(us) = hold_us(row)
                && let Some(usual) = self.apps.get_mut(&key)
            {
                usual.hold_now.see(us);
            }
        }
        for row in sample.pools.iter().take(ROWS_MAX) {
            if self.pools.len() < LEARNED_MAX || self.pools.contains_key(&key(row)) {
                self.pools.entry(key(row)).or_default().see(row, seconds);
            }
        }
    }

    /// Applications of a pool that hold connections for longer, this second.
    fn slow_apps(&self, sample: &Sample, pool: &PoolSample) -> usize {
        let apps = of_pool(sample, pool);
        apps.filter(|a| {
            let usual = self.apps.get(&app_key(a));
            let us = hold_us(a);
            matches!((usual, us), (Some(u), Some(us)) if u.hold_us.above(us, 1.8, 1_000.0))
        })
        .count()
    }

    /// The same, for the last few seconds.
    fn slow_lately(&self, sample: &Sample, pool: &PoolSample) -> usize {
        let apps = of_pool(sample, pool).filter_map(|a| self.apps.get(&app_key(a)));
        apps.filter(|usual| usual.slow_lately()).count()
    }

    fn odd(&self, sample: &Sample) -> bool {
        let seconds = seconds_of(sample);
        let pools = sample.pools.iter().take(ROWS_MAX);
        let mut odd = pools
            .filter_map(|p| Some((p, self.pools.get(&key(p))?)))
            .any(|(p, usual)| usual.odd(p, seconds, self.slow_apps(sample, p)));
        let several = |p: &PoolSample| self.slow_lately(sample, p) >= 2;
        odd |= sample.pools.iter().take(ROWS_MAX).any(several);
        odd |= sample.servers.iter().take(ROWS_MAX).any(|s| {
            let usual = self.probes.get(&s.upstream);
            let probe = s.probe_us.map(|us| us as f64);
            matches!((usual, probe), (Some(u), Some(us)) if u.above(us, 3.0, 3_000.0))
        });
        let apps = sample.applications.iter().take(ROWS_MAX);
        odd |= apps.filter(|a| a.clients.last >= 2).any(|a| {
            let usual = self.apps.get(&app_key(a)).and_then(|u| u.busy.known());
            usual.is_some_and(|usual| usual < 0.75 && busy_share(a, seconds) >= 0.9)
        });
        odd |= self.blocked.above(blocked(sample), 2.0, 1.5);
        let clients = &sample.clients;
        // The least of many sockets: late acknowledgements of some do not move it far.
        odd |= clients.tcp.sockets > 0
            && self
                .client_rtt
                .above(clients.tcp.rtt_us_least as f64, 3.0, 15_000.0);
        odd |= self
            .accepts
            .above(clients.accepts as f64 / seconds, 3.0, 8.0);
        odd |= self
            .failures
            .above(clients.login_failures as f64 / seconds, 3.0, 1.0);
        odd | self.errors.above(telling(sample) / seconds, 3.0, 0.9)
    }

    fn learn(&mut self, sample: &Sample) {
        let seconds = seconds_of(sample);
        for row in sample.pools.iter().take(ROWS_MAX) {
            if self.pools.len() < LEARNED_MAX || self.pools.contains_key(&key(row)) {
                self.pools.entry(key(row)).or_default().learn(row, seconds);
            }
        }
        for row in sample.applications.iter().take(ROWS_MAX) {
            let key = app_key(row);
            if self.apps.len() < LEARNED_MAX || self.apps.contains_key(&key) {
                let usual = self.apps.entry(key).or_default();
                usual.busy.learn(busy_share(row, seconds));
                if let Some(us) = hold_us(row) {
                    usual.hold_us.learn(us);
                    usual.hold_now.calm();
                }
            }
        }
        self.blocked.learn(blocked(sample));
        for row in sample.servers.iter().take(ROWS_MAX) {
            let known = self.probes.contains_key(&row.upstream);
            if let Some(us) = row.probe_us
                && (known || self.probes.len() < LEARNED_MAX)
            {
                let probe = self.probes.entry(Name::clone(&row.upstream)).or_default();
                probe.learn(us as f64);
            }
        }
        let clients = &sample.clients;
        self.accepts.learn(clients.accepts as f64 / seconds);
        self.failures.learn(clients.login_failures as f64 / seconds);
        if clients.tcp.sockets > 0 {
            self.client_rtt.learn(clients.tcp.rtt_us_least as f64);
        }
        self.errors.learn(telling(sample) / seconds);
    }
}

impl PoolUsual {
    fn see(&mut self, row: &PoolSample, seconds: f64) {
        self.wait_now.see(wait_us(row));
        self.arrivals_now.see(row.arrivals as f64 / seconds);
        self.pressed_now.see(f64::from(u8::from(pressed(row))));
    }

    fn odd(&self, row: &PoolSample, seconds: f64, slow_apps: usize) -> bool {
        let service = &row.service;
        let mean = service.mean_us().unwrap_or(0.0);
        // The long statements of one application, with room for them, are a batch.
        let done = row.transactions as f64 / seconds;
        let fewer = self
            .transactions
            .known()
            .is_none_or(|was| done < was * 0.85);
        let felt = slow_apps != 1 || fewer || row.waiting.most > 0;
        let slow = service.count >= 3
            && (self.service_p50.above(service.p50_us as f64, 1.6, 2_000.0)
                || felt && self.service_mean.above(mean, 2.2, 5_000.0));
        let fell = |mean: &Mean, value: f64| {
            mean.known()
                .is_some_and(|usual| usual >= 8.0 && value < usual * 0.35)
        };
        let per_s = |n: u64| n as f64 / seconds;
        let drained = fell(&self.arrivals, per_s(row.arrivals))
            || self.arrivals_now.below(0.55, 20.0)
            || fell(&self.transactions, per_s(row.transactions));
        let waits =
            self.wait_us.above(wait_us(row), 5.0, 10_000.0) || self.wait_now.above(5.0, 3_000.0);
        let silent = self.silent.above(f64::from(row.silent), 1.5, 1.5);
        let cut = self.size > 0.0 && f64::from(row.size) < self.size * 0.9 && row.waiting.most > 0;
        let pressed = self.pressed_now.most(|v| v > 0.0);
        slow || drained || waits || silent || cut || pressed
    }

    fn learn(&mut self, row: &PoolSample, seconds: f64) {
        if row.service.count > 0 {
            self.service_p50.learn(row.service.p50_us as f64);
            self.service_mean
                .learn(row.service.mean_us().unwrap_or(0.0));
        }
        self.transactions.learn(row.transactions as f64 / seconds);
        self.arrivals.learn(row.arrivals as f64 / seconds);
        self.clients.learn(row.clients.mean());
        self.wait_us.learn(wait_us(row));
        self.silent.learn(f64::from(row.silent));
        self.wait_now.calm();
        self.arrivals_now.calm();
        self.size = f64::from(row.size);
    }
}

fn key(row: &PoolSample) -> (Name, Name) {
    (Name::clone(&row.database), Name::clone(&row.user))
}

fn app_key(row: &ApplicationSample) -> (Name, Name, Name) {
    let (database, user) = (Name::clone(&row.database), Name::clone(&row.user));
    (database, user, Name::clone(&row.name))
}

fn of_pool<'a>(
    sample: &'a Sample,
    pool: &'a PoolSample,
) -> impl Iterator<Item = &'a ApplicationSample> {
    let rows = sample.applications.iter().take(ROWS_MAX);
    rows.filter(|a| a.database == pool.database && a.user == pool.user)
}

/// How long a request of an application holds a connection; `None` of few.
fn hold_us(row: &ApplicationSample) -> Option<f64> {
    (row.arrivals >= 5).then(|| row.hold_us as f64 / row.arrivals as f64)
}

/// The share of an application's connections that are busy.
fn busy_share(row: &ApplicationSample, seconds: f64) -> f64 {
    let clients = row.clients.mean().max(1.0);
    let looked = (row.used.mean() - row.silent.mean()) / clients;
    let ended = row.hold_us as f64 / 1e6 / seconds / clients;
    looked.max(ended.min(1.0))
}

/// Backends that wait for locks.
fn blocked(sample: &Sample) -> f64 {
    let readings = sample.servers.iter().take(ROWS_MAX);
    let blocked = readings.filter_map(|s| s.activity.as_ref());
    blocked.map(|a| f64::from(a.blocked)).sum()
}

/// All is lent, and who asks waits for about as long again as a connection is kept
/// or for what people feel.
fn pressed(row: &PoolSample) -> bool {
    let hold = row.hold.mean_us().unwrap_or(0.0);
    row.used.most >= row.size && row.waiting.last > 0 && wait_us(row) >= (hold * 0.5).max(5_000.0)
}

/// Mean wait of those who asked, microseconds.
fn wait_us(row: &PoolSample) -> f64 {
    row.wait.sum_us as f64 / (row.arrivals.max(row.wait.count).max(1)) as f64
}

fn telling(sample: &Sample) -> f64 {
    let servers = sample.servers.iter().take(ROWS_MAX);
    let errors = servers.flat_map(|s| s.errors.iter().take(ROWS_MAX));
    let telling = errors.filter(|(code, _)| TELLING.contains(&&**code));
    telling.map(|(_, n)| *n as f64).sum()
}

/// Whatever was before, this hurts.
fn hurts(sample: &Sample) -> bool {
    let refused = |(label, n): &(Name, u32)| *n > 0 && HURTING.contains(&&**label);
    // Held back for a third of the time, whoever asks waits for that.
    let held_back = sample.host.throttled_ms.unwrap_or(0);
    if u64::from(held_back) * 3 >= u64::from(sample.span_ms.max(1)) {
        return true;
    }
    sample.refusals.iter().take(ROWS_MAX).any(refused)
        || sample.servers.iter().take(ROWS_MAX).any(server_hurts)
        || sample.pools.iter().take(ROWS_MAX).any(pool_hurts)
}

fn server_hurts(row: &ServerSample) -> bool {
    // Writes to a standby: many of them are nobody's intent.
    let misled = row
        .errors
        .iter()
        .take(ROWS_MAX)
        .filter(|(code, _)| &**code == "25006");
    let misled: u64 = misled.map(|(_, n)| *n).sum();
    if misled >= 5 && row.activity.as_ref().is_some_and(|a| a.in_recovery) {
        return true;
    }
    row.connect_failed > 0 || row.login_failed > 0 || row.full > 0 || row.ended_by_server > 1
}

fn pool_hurts(row: &PoolSample) -> bool {
    let many = row.wait.count.max(row.arrivals) / 50;
    row.wait.beyond > many
        || (row.waiting.most > 0 && row.oldest_wait_us >= LONG_WAIT_US)
        || (row.paused && row.waiting.most > 0)
}
