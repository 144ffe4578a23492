//! What clients felt, summed over the seconds of an incident.

use crate::safe;
use events::sample::{ApplicationSample, Name, OTHER, PoolSample, Record, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most pools and most applications with figures of their own.
const ROWS_MAX: usize = 32;
/// Classes of SQLSTATE that speak of the server's condition: connection,
/// resources, intervention, system, internal. Others are the application's own.
const FAILED_CLASSES: [&str; 5] = ["08", "53", "57", "58", "XX"];
/// Clients that suffered before the alert are looked for so far back.
const LOOK_BACK_MS: i64 = 10 * 60_000;
/// So long without any of them is a break.
const BREAK_MS: i64 = 5_000;
/// An application is named with the release that its connections named last.
const RELEASE_CHARS_MAX: usize = 40;

/// What clients felt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Impact {
    /// Seconds that were measured are folded up to here.
    pub folded_ms: i64,
    /// Time that was measured, milliseconds.
    pub measured_ms: u64,
    /// Requests for a connection: granted and refused.
    pub asked: u64,
    /// Refused.
    pub refused: u64,
    /// Granted after a wait beyond the objective.
    pub delayed: u64,
    /// Errors that clients got from the server's condition (SQLSTATE classes 08, 53, 57, 58, XX).
    pub failed: u64,
    /// Logins of clients that failed.
    pub login_failures: u64,
    /// Refusals by reason.
    pub refusals: Vec<(String, u64)>,
    /// The second in which the largest share of clients waited or was refused:
    /// these, of so many, then.
    pub worst_clients: (u32, u32, i64),
    /// The longest wait, microseconds.
    pub wait_most_us: u64,
    /// The 99th percentile of waits in the worst span, microseconds.
    pub wait_p99_us: u64,
    /// The last moment at which clients waited beyond the objective, were refused, or failed.
    pub hurt_last_ms: Option<i64>,
    /// The first such moment.
    pub hurt_first_ms: Option<i64>,
    /// Pools of which clients waited or were refused.
    pub pools: Vec<PoolImpact>,
    /// Applications of which clients waited.
    pub applications: Vec<ApplicationImpact>,
    /// Leases taken back, or counted where the guard only watches.
    pub reclaimed: u64,
}

/// The same of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolImpact {
    /// The database as clients know it.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// Requests for a connection: granted and refused.
    pub asked: u64,
    /// Refused.
    pub refused: u64,
    /// Granted after a wait beyond the objective.
    pub delayed: u64,
    /// Most clients that waited at a time.
    pub waiting_most: u32,
    /// The smallest and the largest size that it had.
    pub size: (u32, u32),
    /// Most connections lent at a time.
    pub used_most: u32,
}

/// The same of one application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApplicationImpact {
    /// Its name.
    pub name: String,
    /// The release that it named last.
    pub release: String,
    /// Requests for a connection that were granted.
    pub asked: u64,
    /// Sum of its waits, microseconds.
    pub wait_us: u64,
    /// Most clients of it that waited at a time.
    pub waiting_most: u32,
    /// Most clients of it.
    pub clients_most: u32,
    /// Milliseconds in which some of its clients waited.
    pub waited_ms: u64,
}

impl Impact {
    /// Folds in what the record holds beyond what was folded already.
    pub(super) fn follow(&mut self, record: &Record, from_ms: i64) {
        let from = self.folded_ms.max(from_ms);
        let first = record.seconds.front();
        let begin = first.map_or(i64::MAX, |s| s.at_ms - i64::from(s.span_ms));
        // Minutes are read where the seconds are gone: after a restart.
        let minutes = record
            .minutes
            .iter()
            .filter(|m| m.at_ms - i64::from(m.span_ms) >= from && m.at_ms <= begin);
        let seconds = record.seconds.iter().rev().take_while(|s| s.at_ms > from);
        let mut spans: Vec<&Sample> = seconds.collect();
        spans.extend(minutes);
        spans.sort_by_key(|s| s.at_ms);
        spans.into_iter().for_each(|span| self.fold(span));
    }

    /// Since when clients have suffered without a break, up to `since_ms`.
    pub(super) fn hurt_since(record: &Record, since_ms: i64) -> i64 {
        let mut first = since_ms;
        let before = record.seconds.iter().rev();
        let before = before.skip_while(|s| s.at_ms > since_ms);
        for second in before.take_while(|s| since_ms - s.at_ms <= LOOK_BACK_MS) {
            if hurt(second) > 0 {
                first = second.at_ms - i64::from(second.span_ms);
            } else if first - second.at_ms > BREAK_MS {
                break;
            }
        }
        first
    }

    fn fold(&mut self, sample: &Sample) {
        self.folded_ms = self.folded_ms.max(sample.at_ms);
        self.measured_ms = self.measured_ms.saturating_add(sample.span_ms.into());
        let pools = || sample.pools.iter();
        let refused: u64 = sample.refusals.iter().map(|(_, n)| u64::from(*n)).sum();
        let granted: u64 = pools().map(|p| p.arrivals).sum();
        let delayed: u64 = pools().map(|p| p.wait.beyond).sum();
        let errors = sample.servers.iter().flat_map(|s| &s.errors);
        let failed: u64 = errors.filter(of_condition).map(|(_, n)| n).sum();
        let add = |sum: &mut u64, n: u64| *sum = sum.saturating_add(n);
        add(&mut self.asked, granted + refused);
        add(&mut self.refused, refused);
        add(&mut self.delayed, delayed);
        add(&mut self.failed, failed);
        add(&mut self.login_failures, sample.clients.login_failures);
        add(&mut self.reclaimed, pools().map(|p| p.reclaimed).sum());
        for (reason, n) in &sample.refusals {
            let room = self.refusals.len() < ROWS_MAX;
            match self.refusals.iter_mut().find(|(r, _)| **r == **reason) {
                Some((_, sum)) => add(sum, u64::from(*n)),
                None if room => {
                    self.refusals.push((reason.to_string(), u64::from(*n)));
                }
                None => {}
            }
        }
        let p99 = pools().map(|p| p.wait.p99_us).max().unwrap_or(0);
        let most = pools().map(|p| p.wait.most_us.max(p.oldest_wait_us)).max();
        self.wait_p99_us = self.wait_p99_us.max(p99);
        self.wait_most_us = self.wait_most_us.max(most.unwrap_or(0));
        if refused + delayed + failed > 0 {
            self.hurt_last_ms = Some(sample.at_ms);
            self.hurt_first_ms.get_or_insert(sample.at_ms);
        }
        self.worst_second(sample, refused);
        pools().for_each(|pool| self.pool(pool));
        let applications = sample.applications.iter();
        applications.for_each(|row| self.application(row, sample.span_ms));
    }

    fn worst_second(&mut self, sample: &Sample, refused: u64) {
        let waiting: u64 = sample.pools.iter().map(|p| u64::from(p.waiting.most)).sum();
        let clients: u64 = sample.pools.iter().map(|p| u64::from(p.clients.most)).sum();
        let clients = clients.max(sample.clients.connected.most.into());
        // Who is refused may ask again within the second: no more than there are.
        let hit = waiting.saturating_add(refused).min(clients);
        let (most, of, _) = self.worst_clients;
        if clients > 0 && hit * u64::from(of) >= u64::from(most) * clients && hit > 0 {
            let bounded = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            let more = hit * u64::from(of) > u64::from(most) * clients;
            if more || of == 0 {
                self.worst_clients = (bounded(hit), bounded(clients), sample.at_ms);
            }
        }
    }

    fn pool(&mut self, pool: &PoolSample) {
        let felt = pool.refused + pool.wait.beyond > 0 || pool.waiting.most > 0;
        let (database, user) = (safe::name(&pool.database), safe::name(&pool.user));
        let known = self
            .pools
            .iter()
            .position(|p| (&p.database, &p.user) == (&database, &user));
        let index = match known {
            Some(index) => index,
            None if felt && self.pools.len() < ROWS_MAX => {
                let size = (pool.size, pool.size);
                self.pools.push(PoolImpact {
                    database,
                    user,
                    size,
                    ..PoolImpact::default()
                });
                self.pools.len() - 1
            }
            None => return,
        };
        let Some(row) = self.pools.get_mut(index) else {
            return;
        };
        row.asked = row.asked.saturating_add(pool.arrivals + pool.refused);
        row.refused = row.refused.saturating_add(pool.refused);
        row.delayed = row.delayed.saturating_add(pool.wait.beyond);
        row.waiting_most = row.waiting_most.max(pool.waiting.most);
        row.size = (row.size.0.min(pool.size), row.size.1.max(pool.size));
        row.used_most = row.used_most.max(pool.used.most);
    }

    fn application(&mut self, sample: &ApplicationSample, span_ms: u32) {
        if &*sample.name == OTHER {
            return;
        }
        let name = safe::name(&sample.name);
        let known = self.applications.iter().position(|a| a.name == name);
        let index = match known {
            Some(index) => index,
            None if sample.waiting.most > 0 && self.applications.len() < ROWS_MAX => {
                self.applications.push(ApplicationImpact {
                    name,
                    ..ApplicationImpact::default()
                });
                self.applications.len() - 1
            }
            None => return,
        };
        let Some(row) = self.applications.get_mut(index) else {
            return;
        };
        row.asked = row.asked.saturating_add(sample.arrivals);
        row.wait_us = row.wait_us.saturating_add(sample.wait_us);
        row.waiting_most = row.waiting_most.max(sample.waiting.most);
        row.clients_most = row.clients_most.max(sample.clients.most);
        if sample.waiting.most > 0 {
            row.waited_ms = row.waited_ms.saturating_add(span_ms.into());
        }
        if !sample.release.is_empty() {
            row.release = safe::line(&sample.release, RELEASE_CHARS_MAX);
        }
    }

    /// Percent of the requests for a connection.
    pub fn share(&self, count: u64) -> Option<f64> {
        (self.asked > 0).then(|| count as f64 * 100.0 / self.asked as f64)
    }
}

fn of_condition((state, _): &&(Name, u64)) -> bool {
    FAILED_CLASSES.iter().any(|class| state.starts_with(class))
}

/// Requests that were refused, waited too long or failed.
fn hurt(sample: &Sample) -> u64 {
    let refused = sample.refusals.iter().map(|(_, n)| u64::from(*n));
    let delayed = sample.pools.iter().map(|p| p.wait.beyond);
    let errors = sample.servers.iter().flat_map(|s| &s.errors);
    let failed = errors.filter(of_condition).map(|(_, n)| *n);
    refused.chain(delayed).chain(failed).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::sample::{Gauge, Times};

    fn second(at_s: i64, waiting: u32, refused: u32) -> Sample {
        Sample {
            at_ms: at_s * 1_000,
            span_ms: 1_000,
            refusals: vec![("shed".into(), refused)],
            pools: vec![PoolSample {
                database: "shop".into(),
                user: "web".into(),
                size: 5,
                clients: Gauge::of(40),
                waiting: Gauge::of(waiting),
                arrivals: 90,
                refused: refused.into(),
                wait: Times {
                    beyond: u64::from(waiting),
                    most_us: u64::from(waiting) * 100_000,
                    ..Times::default()
                },
                ..PoolSample::default()
            }],
            ..Sample::default()
        }
    }

    #[test]
    fn each_second_counts_once() {
        let mut record = Record::default();
        let mut impact = Impact::default();
        record.seconds.push_back(second(10, 0, 0));
        record.seconds.push_back(second(11, 20, 10));
        impact.follow(&record, 10_000);
        impact.follow(&record, 10_000);
        record.seconds.push_back(second(12, 30, 0));
        record.seconds.push_back(second(13, 0, 0));
        impact.follow(&record, 10_000);
        assert_eq!(
            (impact.asked, impact.refused, impact.delayed),
            (280, 10, 50)
        );
        assert_eq!(impact.worst_clients, (30, 40, 11_000));
        assert_eq!(impact.wait_most_us, 3_000_000);
        assert_eq!(impact.hurt_last_ms, Some(12_000));
        assert_eq!(impact.pools[0].waiting_most, 30);
        assert_eq!(impact.measured_ms, 3_000);
    }

    #[test]
    fn the_onset_is_where_clients_began_to_suffer_without_a_break() {
        let mut record = Record::default();
        for at in 0..100 {
            let waiting = u32::from(at == 20 || (50..60).contains(&at) || at >= 63);
            record.seconds.push_back(second(at, waiting, 0));
        }
        assert_eq!(Impact::hurt_since(&record, 90_000), 49_000);
        assert_eq!(Impact::hurt_since(&record, 30_000), 30_000);
        assert_eq!(Impact::hurt_since(&Record::default(), 30_000), 30_000);
    }

    #[test]
    fn after_a_restart_minutes_stand_in_for_lost_seconds() {
        let mut record = Record::default();
        let mut minute = second(120, 3, 1);
        minute.span_ms = 60_000;
        record.minutes.push_back(minute.clone());
        // This one overlaps the seconds.
        minute.at_ms = 180_000;
        record.minutes.push_back(minute);
        record.seconds.push_back(second(150, 2, 1));
        let mut impact = Impact {
            folded_ms: 60_000,
            ..Impact::default()
        };
        impact.follow(&record, 0);
        assert_eq!((impact.refused, impact.measured_ms), (2, 61_000));
    }
}
