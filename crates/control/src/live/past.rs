//! A moment of the past as one [`Live`]: from the record, so without leases.

use super::now::{Around, cleaned, markers};
use super::pools::{standing, trouble};
use super::{
    APPLICATIONS_MAX, ApplicationLine, Live, POOLS_MAX, PoolLine, SERVERS_MAX, ServerLine, Totals,
    name,
};
use events::sample::{ApplicationSample, OTHER, PoolSample, Record, Sample, ServerSample, Times};
use std::cmp::Reverse;

/// The second of a moment, or its minute, is at most so far away.
const NEAR_MS: i64 = 120_000;

/// The sample that covers a moment; `None`: nothing was measured then.
pub(crate) fn at(record: &Record, at_ms: i64) -> Option<&Sample> {
    let both = [&record.seconds, &record.minutes];
    both.into_iter().find_map(|all| {
        // The first that ends then or later; they stand in the order of time.
        let after = all.partition_point(|s| s.at_ms < at_ms);
        let covers = |s: &&Sample| s.at_ms.saturating_sub(at_ms) <= i64::from(s.span_ms) + 1_000;
        let covering = all.get(after).filter(covers);
        let before = || all.get(after.checked_sub(1)?);
        let near = |s: &&Sample| at_ms.saturating_sub(s.at_ms) <= NEAR_MS;
        covering.or_else(|| before().filter(near))
    })
}

/// Folds it.
pub(crate) fn past(sample: &Sample, around: Around) -> Live {
    let span_s = f64::from(sample.span_ms.max(1)) / 1e3;
    let named = |name: &str| name != OTHER;
    let pools = sample.pools.iter().filter(|p| named(&p.database));
    let mut pools: Vec<PoolLine> = pools.map(|p| pool(p, span_s)).collect();
    let pools_total = u32::try_from(pools.len()).unwrap_or(u32::MAX);
    pools.sort_by_key(|p| Reverse(trouble(p, &p.standing)));
    pools.truncate(POOLS_MAX);
    let mut rows: Vec<&ApplicationSample> = sample.applications.iter().collect();
    rows.sort_by_key(|a| Reverse((a.waiting.most, a.used.most, a.silent.most)));
    let applications = rows.into_iter().take(APPLICATIONS_MAX);
    let servers = sample.servers.iter().take(SERVERS_MAX);
    Live {
        at_ms: sample.at_ms,
        past: true,
        snapshot: sample.version,
        span_ms: sample.span_ms,
        verdict: cleaned(around.verdict),
        totals: Totals {
            clients_limit: around.clients_limit,
            ..totals(sample, span_s)
        },
        pools,
        pools_total,
        servers: servers.map(|s| server(s, span_s)).collect(),
        applications: applications.map(|a| application(a, span_s)).collect(),
        markers: markers(around.markers),
        ..around.base
    }
}

fn totals(sample: &Sample, span_s: f64) -> Totals {
    let sum = |f: fn(&PoolSample) -> u64| sample.pools.iter().map(f).sum::<u64>();
    let gauge = |f: fn(&PoolSample) -> u64| u32::try_from(sum(f)).unwrap_or(u32::MAX);
    let mean = |f: fn(&PoolSample) -> &Times| {
        let times = sample.pools.iter().map(f);
        let (count, us) = times.fold((0, 0), |(n, us), t| (n + t.count, us + t.sum_us));
        (count > 0).then(|| us as f64 / count as f64)
    };
    let refused: u64 = sample.refusals.iter().map(|(_, n)| u64::from(*n)).sum();
    let waits = sample.pools.iter().map(|p| p.oldest_wait_us);
    Totals {
        clients: sample.clients.connected.last,
        clients_limit: sample.clients.limit,
        waiting: gauge(|p| u64::from(p.waiting.most)),
        oldest_wait_us: waits.max().unwrap_or(0),
        used: gauge(|p| u64::from(p.used.most)),
        idle: gauge(|p| u64::from(p.idle.last)),
        arrivals_per_s: sum(|p| p.arrivals) as f64 / span_s,
        transactions_per_s: sum(|p| p.transactions) as f64 / span_s,
        refused_per_s: refused as f64 / span_s,
        wait_us: mean(|p| &p.wait),
        service_us: mean(|p| &p.service),
    }
}

fn pool(p: &PoolSample, span_s: f64) -> PoolLine {
    let mut line = PoolLine {
        database: name(&p.database),
        user: name(&p.user),
        server: name(&p.upstream),
        size: p.size,
        used: p.used.most,
        idle: p.idle.last,
        clients: p.clients.last,
        waiting: p.waiting.most,
        oldest_wait_us: p.oldest_wait_us,
        arrivals_per_s: p.arrivals as f64 / span_s,
        transactions_per_s: p.transactions as f64 / span_s,
        refused_per_s: p.refused as f64 / span_s,
        wait_us: p.wait.mean_us(),
        service_us: p.service.mean_us(),
        hold_us: p.hold.mean_us(),
        silent: p.silent,
        suspects: p.suspects,
        held_back: if p.paused { "paused" } else { "" }.to_owned(),
        ..PoolLine::default()
    };
    line.standing = standing(&line).to_owned();
    line
}

fn application(a: &ApplicationSample, span_s: f64) -> ApplicationLine {
    ApplicationLine {
        name: name(&a.name),
        release: name(&a.release),
        database: name(&a.database),
        user: name(&a.user),
        clients: a.clients.last,
        used: a.used.most,
        waiting: a.waiting.most,
        silent: a.silent.most,
        arrivals_per_s: a.arrivals as f64 / span_s,
        oldest_hold_us: a.oldest_hold_us,
    }
}

fn server(s: &ServerSample, span_s: f64) -> ServerLine {
    let activity = s.activity.as_ref().filter(|a| a.permitted);
    ServerLine {
        server: name(&s.upstream),
        state: s.line.state.to_string(),
        line: s.line.line,
        used: s.line.used,
        max_connections: s.line.max_connections,
        reserved: s.line.reserved,
        others: s.line.others,
        peers: s.line.peers,
        peers_held: s.line.peers_held,
        probe_us: s.probe_us,
        rtt_us: (s.tcp.sockets > 0).then_some(s.tcp.rtt_us),
        active: activity.map(|a| a.active),
        blocked: activity.map(|a| a.blocked),
        failed_per_s: (s.connect_failed + s.login_failed + s.full) as f64 / span_s,
        last_error: name(&s.last_error),
        ..ServerLine::default()
    }
}
