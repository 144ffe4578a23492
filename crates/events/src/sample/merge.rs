//! How spans add up.

use super::parts::{
    ApplicationSample, ClientsSample, Gauge, HostSample, PoolSample, ServerActivity, ServerSample,
    SourceSample, TcpSample, Times, WaitSample,
};
use super::{Name, Sample, guarded};

/// Worst waits kept in a span of any length.
const WAITS_MAX: usize = 16;
/// Rows of one kind kept in a span; more names than this come only with churn.
const ROWS_MAX: usize = 256;

pub(super) fn samples(sum: &mut Sample, later: &Sample) {
    sum.at_ms = sum.at_ms.max(later.at_ms);
    sum.span_ms = sum.span_ms.saturating_add(later.span_ms);
    sum.version = sum.version.max(later.version);
    rows(&mut sum.pools, &later.pools, same_pool, pool);
    let same = |a: &ServerSample, b: &ServerSample| a.upstream == b.upstream;
    rows(&mut sum.servers, &later.servers, same, server);
    rows(
        &mut sum.applications,
        &later.applications,
        same_application,
        application,
    );
    let same = |a: &SourceSample, b: &SourceSample| a.address == b.address;
    rows(&mut sum.sources, &later.sources, same, source);
    clients(&mut sum.clients, &later.clients);
    counts(&mut sum.closes, &later.closes);
    counts(&mut sum.refusals, &later.refusals);
    host(&mut sum.host, &later.host);
    waits(&mut sum.waits, &later.waits);
    guarded::guards(&mut sum.guards, &later.guards);
    guarded::add_guarded(&mut sum.guarded, &later.guarded);
}

fn rows<T: Clone>(
    sum: &mut Vec<T>,
    later: &[T],
    same: impl Fn(&T, &T) -> bool,
    add: impl Fn(&mut T, &T),
) {
    for row in later {
        if let Some(sum) = sum.iter_mut().find(|s| same(s, row)) {
            add(sum, row);
        } else if sum.len() < ROWS_MAX {
            sum.push(row.clone());
        }
    }
}

fn same_pool(a: &PoolSample, b: &PoolSample) -> bool {
    a.database == b.database && a.user == b.user
}

fn same_application(a: &ApplicationSample, b: &ApplicationSample) -> bool {
    a.name == b.name && a.database == b.database && a.user == b.user
}

fn pool(sum: &mut PoolSample, later: &PoolSample) {
    sum.upstream = Name::clone(&later.upstream);
    sum.size = later.size;
    gauge(&mut sum.used, &later.used);
    gauge(&mut sum.idle, &later.idle);
    gauge(&mut sum.clients, &later.clients);
    gauge(&mut sum.waiting, &later.waiting);
    sum.oldest_wait_us = sum.oldest_wait_us.max(later.oldest_wait_us);
    sum.arrivals += later.arrivals;
    sum.transactions += later.transactions;
    sum.queries += later.queries;
    times(&mut sum.wait, &later.wait);
    times(&mut sum.hold, &later.hold);
    times(&mut sum.service, &later.service);
    sum.refused += later.refused;
    sum.silent = sum.silent.max(later.silent);
    sum.suspects = sum.suspects.max(later.suspects);
    sum.reclaimed += later.reclaimed;
    sum.oldest_hold_us = sum.oldest_hold_us.max(later.oldest_hold_us);
    sum.paused |= later.paused;
}

fn application(sum: &mut ApplicationSample, later: &ApplicationSample) {
    gauge(&mut sum.clients, &later.clients);
    gauge(&mut sum.used, &later.used);
    gauge(&mut sum.waiting, &later.waiting);
    gauge(&mut sum.silent, &later.silent);
    sum.logins += later.logins;
    sum.arrivals += later.arrivals;
    sum.hold_us = sum.hold_us.saturating_add(later.hold_us);
    sum.wait_us = sum.wait_us.saturating_add(later.wait_us);
    sum.oldest_hold_us = sum.oldest_hold_us.max(later.oldest_hold_us);
    if !later.release.is_empty() {
        sum.release = Name::clone(&later.release);
    }
    if later.silent_statement != 0 {
        sum.silent_statement = later.silent_statement;
    }
}

fn source(sum: &mut SourceSample, later: &SourceSample) {
    sum.clients = sum.clients.max(later.clients);
    sum.accepts += later.accepts;
    sum.logins += later.logins;
    sum.login_failures += later.login_failures;
}

fn clients(sum: &mut ClientsSample, later: &ClientsSample) {
    gauge(&mut sum.connected, &later.connected);
    sum.limit = later.limit;
    sum.accepts += later.accepts;
    sum.logins += later.logins;
    sum.login_failures += later.login_failures;
    sum.left += later.left;
    tcp(&mut sum.tcp, &later.tcp);
}

fn server(sum: &mut ServerSample, later: &ServerSample) {
    let before = std::mem::replace(&mut sum.line, later.line.clone());
    sum.line.used_most = before.used_most.max(later.line.used_most);
    sum.line.held_ms = before.held_ms.saturating_add(later.line.held_ms);
    sum.opened += later.opened;
    sum.connect_failed += later.connect_failed;
    sum.login_failed += later.login_failed;
    sum.full += later.full;
    sum.ended_by_server += later.ended_by_server;
    if !later.last_error.is_empty() {
        sum.last_error = Name::clone(&later.last_error);
    }
    for (code, n) in &later.errors {
        match sum.errors.iter_mut().find(|(c, _)| c == code) {
            Some((_, sum)) => *sum += n,
            None => sum.errors.push((Name::clone(code), *n)),
        }
    }
    tcp(&mut sum.tcp, &later.tcp);
    sum.intermediary = later.intermediary;
    sum.probe_us = sum.probe_us.max(later.probe_us);
    sum.activity = match (sum.activity.take(), &later.activity) {
        (Some(before), Some(later)) => Some(activity(&before, later)),
        (before, later) => later.clone().or(before),
    };
}

/// Counters add up; the rest is of the reading with the most blocked.
fn activity(before: &ServerActivity, later: &ServerActivity) -> ServerActivity {
    let worse = match before.blocked > later.blocked {
        true => before,
        false => later,
    };
    ServerActivity {
        age_ms: later.age_ms,
        in_recovery: later.in_recovery,
        started_at: later.started_at,
        longest_transaction_ms: before
            .longest_transaction_ms
            .max(later.longest_transaction_ms),
        transactions: before.transactions + later.transactions,
        blocks_read: before.blocks_read + later.blocks_read,
        blocks_hit: before.blocks_hit + later.blocks_hit,
        deadlocks: before.deadlocks + later.deadlocks,
        temp_bytes: before.temp_bytes + later.temp_bytes,
        ..worse.clone()
    }
}

fn tcp(sum: &mut TcpSample, later: &TcpSample) {
    if later.sockets == 0 {
        return;
    }
    if sum.sockets == 0 {
        *sum = *later;
        return;
    }
    sum.sockets = sum.sockets.max(later.sockets);
    sum.rtt_us_least = sum.rtt_us_least.min(later.rtt_us_least);
    sum.rtt_us = sum.rtt_us.max(later.rtt_us);
    sum.rtt_us_most = sum.rtt_us_most.max(later.rtt_us_most);
    sum.retransmits += later.retransmits;
    sum.unanswered_us = sum.unanswered_us.max(later.unanswered_us);
}

fn host(sum: &mut HostSample, later: &HostSample) {
    sum.cpu_busy_permille = sum.cpu_busy_permille.max(later.cpu_busy_permille);
    sum.own_cpu_permille = sum.own_cpu_permille.max(later.own_cpu_permille);
    sum.throttled_ms = match (sum.throttled_ms, later.throttled_ms) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
    sum.turns_least = match (sum.turns_least, later.turns_least) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    sum.cores = later.cores;
}

fn gauge(sum: &mut Gauge, later: &Gauge) {
    match (sum.looks, later.looks) {
        (_, 0) => {}
        (0, _) => *sum = *later,
        _ => {
            sum.least = sum.least.min(later.least);
            sum.most = sum.most.max(later.most);
            sum.last = later.last;
            sum.sum += later.sum;
            sum.looks = sum.looks.saturating_add(later.looks);
        }
    }
}

/// Quantiles of sums are not known: they are the mean of the parts' quantiles,
/// weighted by count, and never above the longest.
fn times(sum: &mut Times, later: &Times) {
    let all = sum.count + later.count;
    if all > 0 {
        let mean = |a: u64, b: u64| {
            let weighed =
                u128::from(a) * u128::from(sum.count) + u128::from(b) * u128::from(later.count);
            u64::try_from(weighed / u128::from(all)).unwrap_or(u64::MAX)
        };
        (sum.p50_us, sum.p99_us) = (
            mean(sum.p50_us, later.p50_us),
            mean(sum.p99_us, later.p99_us),
        );
    }
    sum.count = all;
    sum.sum_us = sum.sum_us.saturating_add(later.sum_us);
    sum.most_us = sum.most_us.max(later.most_us);
    sum.beyond += later.beyond;
}

fn counts(sum: &mut Vec<(Name, u32)>, later: &[(Name, u32)]) {
    for (name, n) in later {
        match sum.iter_mut().find(|(s, _)| s == name) {
            Some((_, sum)) => *sum = sum.saturating_add(*n),
            None => sum.push((Name::clone(name), *n)),
        }
    }
}

fn waits(sum: &mut Vec<WaitSample>, later: &[WaitSample]) {
    sum.extend(later.iter().cloned());
    sum.sort_by_key(|w| std::cmp::Reverse(w.wait_us));
    sum.truncate(WAITS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u32) -> Sample {
        Sample {
            at_ms: i64::from(n) * 1_000,
            span_ms: 1_000,
            pools: vec![PoolSample {
                database: "shop".into(),
                used: Gauge::of(n),
                wait: Times {
                    count: 1,
                    sum_us: u64::from(n),
                    p50_us: u64::from(n),
                    ..Times::default()
                },
                ..PoolSample::default()
            }],
            refusals: vec![("shed".into(), n)],
            ..Sample::default()
        }
    }

    #[test]
    fn seconds_add_up_to_a_minute() {
        let mut minute = Sample::default();
        (1..=60).for_each(|n| minute.merge(&second(n)));
        assert_eq!((minute.at_ms, minute.span_ms), (60_000, 60_000));
        assert_eq!(minute.refused("shed"), 60 * 61 / 2);
        let pool = minute.pool("shop", "").expect("a pool");
        assert_eq!(
            (pool.used.least, pool.used.most, pool.used.last),
            (1, 60, 60)
        );
        assert_eq!(pool.used.mean(), 30.5);
        assert_eq!(pool.wait.mean_us(), Some(30.5));
    }

    #[test]
    fn what_was_not_measured_stays_unknown() {
        let mut sum = Sample {
            servers: vec![ServerSample::default()],
            ..Sample::default()
        };
        let later = sum.clone();
        sum.merge(&later);
        assert_eq!(sum.servers[0].probe_us, None);
        assert_eq!(sum.servers[0].activity, None);
        assert_eq!(sum.servers[0].tcp.sockets, 0);
    }

    #[test]
    fn rows_are_bounded() {
        let mut sum = Sample::default();
        for n in 0..2_000 {
            sum.merge(&Sample {
                sources: vec![SourceSample {
                    address: n.to_string().into(),
                    ..SourceSample::default()
                }],
                ..Sample::default()
            });
        }
        assert_eq!(sum.sources.len(), ROWS_MAX);
    }
}
