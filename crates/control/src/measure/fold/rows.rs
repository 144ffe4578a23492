//! Rows of one second: what stands now, and what happened in between.

use events::sample::{
    ClientsSample, Gauge, Name, PoolSample, Sample, ServerSample, TcpSample, Times,
};
use events::snapshot::{PoolRow, Snapshot};
use events::{CloseReason, Histogram, TcpRow, Time, UpstreamRow};
use std::time::Duration;

pub(super) fn pool(before: &PoolRow, now: &PoolRow, objective_us: u64) -> PoolSample {
    let since = |f: fn(&PoolRow) -> u64| f(now).saturating_sub(f(before));
    PoolSample {
        size: now.size,
        used: Gauge::of(now.sv_active),
        idle: Gauge::of(now.sv_idle),
        clients: Gauge::of(now.cl_active.saturating_add(now.cl_waiting)),
        waiting: Gauge::of(now.cl_waiting),
        oldest_wait_us: now.maxwait_us,
        arrivals: since(|p| p.totals.server_assignments),
        transactions: since(|p| p.totals.xacts),
        queries: since(|p| p.totals.queries),
        wait: times(&before.wait, &now.wait, objective_us),
        hold: times(&before.hold, &now.hold, u64::MAX),
        service: times(&before.service, &now.service, u64::MAX),
        refused: since(|p| p.refused),
        silent: now.leaks.silent,
        suspects: now.leaks.suspects,
        reclaimed: since(|p| p.leaks.reclaimed.iter().chain(&p.leaks.observed).sum()),
        paused: now.paused || now.disabled,
        ..PoolSample::default()
    }
}

/// Adds a pool at the same moment, not a later one of the same pool.
pub(super) fn beside(sum: &mut PoolSample, row: &PoolSample) {
    let mut times = row.clone();
    for (mine, theirs) in [
        (&mut times.used, sum.used),
        (&mut times.idle, sum.idle),
        (&mut times.clients, sum.clients),
        (&mut times.waiting, sum.waiting),
    ] {
        *mine = Gauge::of(mine.last.saturating_add(theirs.last));
    }
    let gauges = (times.used, times.idle, times.clients, times.waiting);
    let mut both = Sample {
        pools: vec![sum.clone()],
        ..Sample::default()
    };
    times.database = Name::clone(&sum.database);
    times.user = Name::clone(&sum.user);
    let (size, silent, suspects) = (
        sum.size.saturating_add(row.size),
        sum.silent + row.silent,
        sum.suspects + row.suspects,
    );
    both.merge(&Sample {
        pools: vec![times],
        ..Sample::default()
    });
    if let Some(both) = both.pools.pop() {
        *sum = both;
    }
    (sum.used, sum.idle, sum.clients, sum.waiting) = gauges;
    (sum.size, sum.silent, sum.suspects) = (size, silent, suspects);
    // Some pools that are paused do not pause the rest.
    sum.paused = false;
}

fn times(before: &Histogram, now: &Histogram, objective_us: u64) -> Times {
    let between = now.since(before);
    if between.count() == 0 {
        return Times::default();
    }
    Times {
        count: between.count(),
        sum_us: between.sum_micros(),
        p50_us: between.quantile_micros(0.5),
        p99_us: between.quantile_micros(0.99),
        most_us: between.max_micros(),
        beyond: between
            .count()
            .saturating_sub(between.count_at_most(objective_us)),
    }
}

pub(super) fn clients(before: &Snapshot, now: &Snapshot, pools: &[PoolSample]) -> ClientsSample {
    let closed = |reason| now.closed(reason).saturating_sub(before.closed(reason));
    let connected = pools.iter().map(|p| p.clients.last).sum();
    ClientsSample {
        connected: Gauge::of(connected),
        limit: 0,
        accepts: now.accepts.saturating_sub(before.accepts),
        logins: now.logins.saturating_sub(before.logins),
        login_failures: closed(CloseReason::ClientAuthentication),
        left: closed(CloseReason::ClientGone) + closed(CloseReason::ClientTerminate),
        tcp: tcp(&before.clients_tcp, &now.clients_tcp),
    }
}

pub(super) fn server(before: &UpstreamRow, now: &UpstreamRow, at: Time) -> ServerSample {
    let since = |f: fn(&UpstreamRow) -> u64| f(now).saturating_sub(f(before));
    ServerSample {
        opened: since(|u| u.opened),
        connect_failed: since(|u| u.connect_failed),
        login_failed: since(|u| u.login_failed),
        full: since(|u| u.full),
        ended_by_server: since(|u| u.ended_by_server),
        tcp: tcp(&before.tcp, &now.tcp),
        intermediary: now.local,
        probe_us: probe(now, at),
        ..ServerSample::default()
    }
}

/// A round trip says how things are for so long.
const PROBE_AGE_MAX: Duration = Duration::from_secs(15);

fn probe(row: &UpstreamRow, at: Time) -> Option<u64> {
    let fresh = row
        .probe_at
        .is_some_and(|sent| at.since(sent) <= PROBE_AGE_MAX);
    row.probe_last_us.filter(|_| fresh)
}

fn tcp(before: &TcpRow, now: &TcpRow) -> TcpSample {
    TcpSample {
        sockets: now.sockets,
        rtt_us_least: now.rtt_us_min,
        rtt_us: now.rtt_us_p50,
        rtt_us_most: now.rtt_us_max,
        retransmits: now.retransmits.saturating_sub(before.retransmits),
        unanswered_us: now.unanswered_us,
    }
}

pub(super) fn micros(now: Time, then: Time) -> u64 {
    u64::try_from(now.since(then).as_micros()).unwrap_or(u64::MAX)
}
