//! What monitor sessions measure beside the budget's reading: the round trip of a
//! trivial query, what the server is doing, and who blocks others there.
//!
//! Each is a statement of its own, sent only while the session has nothing else
//! to do, and given up by the server after a second: a reading of the budget that
//! falls due meanwhile waits for its end. None reads a statement's text.
//!
//! The round trip is as exact as the shell's time, which it tells once for each
//! turn of its loop: it may be longer than in truth by what such a turn takes,
//! some ten microseconds on an idle worker, milliseconds on one that is overloaded.

use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::requests::Io;
use crate::server::{Capture, Row};
use events::{Activity, Blocker, Histogram, Time};
use std::time::Duration;
use wire::front;

/// Between two trivial queries.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at what the server is doing.
const ACTIVITY_PAUSE: Duration = Duration::from_secs(2);
/// The same after one that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(30);
/// Between two questions who blocks: answering takes the server's lock tables.
const BLOCKERS_PAUSE: Duration = Duration::from_secs(5);
/// What was said of blockers holds so long.
const BLOCKERS_TOLD: Duration = Duration::from_secs(12);
/// Active backends that are told apart from ours.
const PIDS_MAX: usize = 512;
/// Rows of an answer: figures, wait events, processes.
const ROWS_MAX: usize = 64 + PIDS_MAX;
/// Kinds of wait events: PostgreSQL has about ten.
const WAITS_MAX: usize = 16;
/// Longest name taken from the server, bytes.
const NAME_MAX: usize = 64;

/// The trivial query.
const PROBE: &str = "SELECT 1";

/// Which database it is: the same before and after a failover, another one where
/// the name leads to another cluster. Some providers do not let it be asked.
const IDENTITY: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";

/// Rows of a kind, a name and a number. Figures first, then what active backends
/// wait for, then their processes but for those at the address of a peer.
///
/// What a role may not see of others comes as NULL, also the kind of a backend.
const ACTIVITY: &str = "SET LOCAL statement_timeout = 1000; \
WITH seen AS MATERIALIZED (SELECT pid, usesysid, application_name, client_addr, state, \
wait_event_type, xact_start FROM pg_catalog.pg_stat_activity \
WHERE datid IS NOT NULL AND usesysid IS NOT NULL \
AND (backend_type IS NULL OR backend_type = 'client backend')), \
them AS MATERIALIZED (SELECT * FROM seen WHERE pid <> pg_catalog.pg_backend_pid()), \
peers AS MATERIALIZED (SELECT t.client_addr FROM them t, seen s \
WHERE s.pid = pg_catalog.pg_backend_pid() AND t.usesysid = s.usesysid \
AND t.application_name LIKE 'plimsoll/%' AND t.client_addr IS DISTINCT FROM s.client_addr), \
d AS (SELECT pg_catalog.sum(xact_commit) AS commits, pg_catalog.sum(xact_rollback) AS rollbacks, \
pg_catalog.sum(blks_read) AS blks_read, pg_catalog.sum(blks_hit) AS blks_hit, \
pg_catalog.sum(deadlocks) AS deadlocks, pg_catalog.sum(temp_bytes) AS temp_bytes \
FROM pg_catalog.pg_stat_database), \
t AS (SELECT pg_catalog.count(*) FILTER (WHERE state = 'active') AS active, \
pg_catalog.count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle, \
pg_catalog.count(*) FILTER (WHERE state = 'active' AND wait_event_type = 'Lock') AS blocked, \
(extract(epoch FROM pg_catalog.max(pg_catalog.clock_timestamp() - xact_start)) * 1000)::bigint \
AS longest FROM them) \
SELECT 'figure', f.name, f.n::text FROM d, t, LATERAL (VALUES \
('permitted', pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::int::numeric), \
('active', t.active), ('idle', t.idle), ('blocked', t.blocked), ('longest', t.longest), \
('recovery', pg_catalog.pg_is_in_recovery()::int), \
('started', extract(epoch FROM pg_catalog.pg_postmaster_start_time())::bigint), \
('commits', d.commits), ('rollbacks', d.rollbacks), ('blks_read', d.blks_read), \
('blks_hit', d.blks_hit), ('deadlocks', d.deadlocks), ('temp_bytes', d.temp_bytes)) AS f (name, n) \
UNION ALL (SELECT 'wait', coalesce(wait_event_type, 'cpu'), pg_catalog.count(*)::text \
FROM them WHERE state = 'active' GROUP BY 2 ORDER BY pg_catalog.count(*) DESC LIMIT 16) \
UNION ALL (SELECT 'pid', '', pid::text FROM them WHERE state = 'active' \
AND NOT EXISTS (SELECT FROM peers p WHERE p.client_addr IS NOT DISTINCT FROM them.client_addr) \
LIMIT 512)";

/// Who blocks, of the first that wait: the one at the root that is longest in its
/// transaction, with how many it blocks and how many blockers there are.
const BLOCKERS: &str = "SET LOCAL statement_timeout = 1000; \
WITH waiting AS MATERIALIZED (SELECT pid FROM pg_catalog.pg_stat_activity \
WHERE state = 'active' AND wait_event_type = 'Lock' LIMIT 20), \
edges AS MATERIALIZED (SELECT DISTINCT w.pid, b.blocker FROM waiting w, \
LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b (blocker)), \
blockers AS (SELECT blocker, pg_catalog.count(*) AS n FROM edges GROUP BY blocker) \
SELECT b.blocker::text, a.application_name, coalesce(a.state, a.backend_type), \
(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::bigint::text, \
b.n::text, (SELECT pg_catalog.count(*)::text FROM blockers) \
FROM blockers b LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.blocker \
ORDER BY EXISTS (SELECT FROM edges e WHERE e.pid = b.blocker), a.xact_start NULLS LAST LIMIT 1";

/// What was measured of one server. It outlives its monitor session.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Round trips of a trivial query.
    pub probe: Histogram,
    /// The last of them, microseconds.
    pub probe_last_us: Option<u64>,
    /// When that was sent.
    pub probe_at: Option<Time>,
    /// What the server was seen to do. Who of the active backends is a stranger
    /// ([`Activity::others_active`]) is for whoever knows all workers to say.
    pub activity: Option<Activity>,
    /// Processes of the active backends, without those that have a peer's address.
    pub active_pids: Vec<u32>,
}

/// When what is due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    probe: Time,
    activity: Time,
    blockers: Time,
    /// Which database it is was asked, once for each session.
    identity: bool,
    /// When blockers were told last.
    told: Time,
}

impl Due {
    /// The next thing to ask; its pause begins.
    fn next(&mut self, now: Time, blocked: bool) -> Option<Purpose> {
        if now >= self.probe {
            self.probe = now.after(PROBE_PAUSE);
            return Some(Purpose::Probe);
        }
        if !std::mem::replace(&mut self.identity, true) {
            return Some(Purpose::Identity);
        }
        if blocked && now >= self.blockers {
            self.blockers = now.after(BLOCKERS_PAUSE);
            return Some(Purpose::Blockers);
        }
        if now >= self.activity {
            self.activity = now.after(ACTIVITY_PAUSE);
            return Some(Purpose::Activity);
        }
        None
    }

    fn failed(&mut self, now: Time, purpose: Purpose) {
        let later = now.after(FAILED_PAUSE);
        match purpose {
            Purpose::Activity => self.activity = later,
            Purpose::Blockers => self.blockers = later,
            _ => {}
        }
    }
}

impl Hub {
    /// Measurements of servers whose monitor session was here, by its pool.
    pub fn watched(&self) -> Vec<(crate::PoolKey, Watched)> {
        self.watched.iter().map(|(k, w)| (*k, w.clone())).collect()
    }

    /// Asks what is due, if the session has nothing else to do. Called at ticks
    /// only, for which the shell's time is fresh.
    pub(super) fn monitor_measure(&mut self, i: usize, io: &mut Io<'_>) {
        let Some(monitor) = self.monitors.get_mut(i) else {
            return;
        };
        let slot = monitor.slot;
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        if !server.at_rest() {
            return;
        }
        let seen = self.watched.get(&monitor.key);
        let blocked = seen
            .and_then(|w| w.activity.as_ref())
            .is_some_and(|a| a.blocked > 0);
        let Some(purpose) = monitor.due.next(io.now, blocked) else {
            return;
        };
        let text = match purpose {
            Purpose::Activity => ACTIVITY,
            Purpose::Blockers => BLOCKERS,
            Purpose::Identity => IDENTITY,
            _ => PROBE,
        };
        server.query_at = io.now;
        server.capture = (purpose != Purpose::Probe).then(|| Capture::rows(ROWS_MAX));
        server.expected.push(Expect::OwnQuery(purpose));
        io.out
            .write(Peer::Server(slot), |v| front::query(v, text.as_bytes()));
    }

    /// One of these was answered.
    pub(crate) fn monitor_measured(
        &mut self,
        slot: u32,
        purpose: Purpose,
        failed: bool,
        io: &mut Io<'_>,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let capture = server.capture.take().unwrap_or_default();
        let (key, asked_at) = (server.pool.key, server.query_at);
        let Some(monitor) = self.monitors.iter_mut().find(|m| m.slot == slot) else {
            return;
        };
        let watched = self.watched.entry(key).or_default();
        match purpose {
            _ if failed => monitor.due.failed(io.now, purpose),
            Purpose::Probe => {
                let took = io.now.since(asked_at);
                watched.probe.record(took);
                watched.probe_last_us = Some(took.as_micros() as u64);
                watched.probe_at = Some(asked_at);
            }
            Purpose::Identity => {
                let row = capture.all().first();
                let system = row.and_then(|row| text(row, 0)?.parse().ok());
                if let Some(system) = system {
                    io.pools.identified(key, system);
                }
            }
            Purpose::Blockers => {
                monitor.due.told = io.now;
                if let Some(activity) = &mut watched.activity {
                    (activity.blockers, activity.oldest_blocker) = blockers(&capture);
                }
            }
            _ => {
                let (mut activity, pids) = activity(io.now, &capture);
                // Who blocks is asked less often: what was said holds on.
                let before = watched.activity.take().filter(|_| {
                    activity.blocked > 0 && io.now.since(monitor.due.told) <= BLOCKERS_TOLD
                });
                if let Some(before) = before {
                    activity.blockers = before.blockers;
                    activity.oldest_blocker = before.oldest_blocker;
                }
                watched.activity = Some(activity);
                watched.active_pids = pids;
            }
        }
        self.monitor_go_on(key, io);
    }
}

fn text(row: &Row, i: usize) -> Option<&str> {
    std::str::from_utf8(row.get(i)?.as_deref()?).ok()
}

/// A number; negative ones, NULL and nonsense are zero.
fn number(row: &Row, i: usize) -> u64 {
    text(row, i).and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn count(row: &Row, i: usize) -> u32 {
    u32::try_from(number(row, i)).unwrap_or(u32::MAX)
}

/// A name as the server gives it, which whoever is connected there may have chosen.
fn name(row: &Row, i: usize) -> String {
    let plain = text(row, i).unwrap_or_default().chars();
    let mut name: String = plain.filter(|c| !c.is_control()).take(NAME_MAX).collect();
    while name.len() > NAME_MAX {
        name.pop();
    }
    name
}

fn activity(now: Time, capture: &Capture) -> (Activity, Vec<u32>) {
    let mut seen = Activity {
        at: now,
        ..Activity::default()
    };
    let mut pids = Vec::new();
    for row in capture.all() {
        match (text(row, 0), text(row, 1)) {
            (Some("figure"), Some(figure)) => take_figure(&mut seen, figure, row),
            (Some("wait"), Some(_)) if seen.waiting.len() < WAITS_MAX => {
                seen.waiting.push((name(row, 1), count(row, 2)));
            }
            (Some("pid"), _) if pids.len() < PIDS_MAX => pids.push(count(row, 2)),
            _ => {}
        }
    }
    (seen, pids)
}

fn take_figure(seen: &mut Activity, figure: &str, row: &Row) {
    match figure {
        "permitted" => seen.permitted = number(row, 2) == 1,
        "active" => seen.active = count(row, 2),
        "idle" => seen.idle_in_transaction = count(row, 2),
        "blocked" => seen.blocked = count(row, 2),
        "longest" => seen.longest_xact_ms = number(row, 2),
        "recovery" => seen.in_recovery = number(row, 2) == 1,
        "started" => seen.started_at_unix = i64::try_from(number(row, 2)).unwrap_or(0),
        "commits" => seen.commits = number(row, 2),
        "rollbacks" => seen.rollbacks = number(row, 2),
        "blks_read" => seen.blks_read = number(row, 2),
        "blks_hit" => seen.blks_hit = number(row, 2),
        "deadlocks" => seen.deadlocks = number(row, 2),
        "temp_bytes" => seen.temp_bytes = number(row, 2),
        _ => {}
    }
}

/// How many block, and the one at the root.
fn blockers(capture: &Capture) -> (u32, Option<Blocker>) {
    let Some(row) = capture.all().first() else {
        return (0, None);
    };
    let blocker = Blocker {
        pid: count(row, 0),
        application: name(row, 1),
        state: match count(row, 0) {
            0 => "prepared transaction".to_owned(),
            _ => name(row, 2),
        },
        xact_age_ms: number(row, 3),
        blocked: count(row, 4),
    };
    (count(row, 5), Some(blocker))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(rows: &[&[Option<&str>]]) -> Capture {
        let mut capture = Capture::rows(ROWS_MAX);
        for values in rows {
            let values: Vec<_> = values.iter().map(|v| v.map(str::as_bytes)).collect();
            let mut message = Vec::new();
            wire::back::data_row(&mut message, &values);
            capture.take(&message.split_off(wire::frame::HEADER));
        }
        capture
    }

    #[test]
    fn an_answer_is_read_whatever_stands_in_it() {
        let at = Time::from_micros(7);
        let rows: [&[Option<&str>]; 12] = [
            &[Some("figure"), Some("permitted"), Some("1")],
            &[Some("figure"), Some("active"), Some("4")],
            &[Some("figure"), Some("blocked"), Some("99999999999")],
            &[Some("figure"), Some("longest"), None],
            &[Some("figure"), Some("commits"), Some("-5")],
            &[Some("figure"), Some("unheard of"), Some("1")],
            &[Some("wait"), Some("Lo\u{1b}[31mck"), Some("3")],
            &[Some("wait"), Some("cpu"), Some("1")],
            &[Some("pid"), Some(""), Some("4711")],
            &[Some("pid"), None, Some("4712")],
            &[Some("figure")],
            &[],
        ];
        let (seen, pids) = activity(at, &capture(&rows));
        let wanted = Activity {
            at,
            permitted: true,
            active: 4,
            blocked: u32::MAX,
            waiting: vec![("Lo[31mck".into(), 3), ("cpu".into(), 1)],
            ..Activity::default()
        };
        assert_eq!((seen, pids), (wanted, vec![4711, 4712]));
        assert_eq!(blockers(&capture(&[])), (0, None));
        let long = "ä".repeat(500);
        let row: &[Option<&str>] = &[
            Some("12"),
            Some(&long),
            None,
            Some("1500"),
            Some("3"),
            Some("2"),
        ];
        let (n, blocker) = blockers(&capture(&[row]));
        let blocker = blocker.expect("a blocker");
        assert_eq!(
            (n, blocker.pid, blocker.blocked, blocker.xact_age_ms),
            (2, 12, 3, 1500)
        );
        assert_eq!(
            (blocker.application.len(), blocker.state.as_str()),
            (NAME_MAX, "")
        );
    }

    #[test]
    fn each_is_asked_at_its_own_pace() {
        let mut due = Due::default();
        let mut asked = Vec::new();
        for ms in (0..10_000).step_by(100) {
            let now = Time::from_micros(1_000_000 + ms * 1000);
            asked.extend(due.next(now, ms >= 3_000));
        }
        let count = |purpose| asked.iter().filter(|p| **p == purpose).count();
        assert_eq!(count(Purpose::Probe), 10);
        assert_eq!(count(Purpose::Activity), 5);
        assert_eq!(count(Purpose::Blockers), 2);
        let now = Time::from_micros(60_000_000);
        due.failed(now, Purpose::Activity);
        assert_eq!(due.next(now, false), Some(Purpose::Probe));
        assert_eq!(
            due.next(now, false),
            None,
            "no activity so soon after a failure"
        );
        assert_eq!(due.next(now, true), Some(Purpose::Blockers));
    }
}
