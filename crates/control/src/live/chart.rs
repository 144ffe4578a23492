//! Curves of the record: seconds where there are some, else minutes, in steps.

use super::now::marker;
use super::{Chart, MARKERS_MAX, name};
use events::sample::{OTHER, PoolSample, Record, Sample};

/// Samples in which a pool is looked for by its cleaned name.
const LATELY: usize = 60;

/// What a chart shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// As `database/user`; empty: all together.
    pub pool: &'a str,
    /// UTC, milliseconds since 1970; `from_ms` is not later.
    pub from_ms: i64,
    pub until_ms: i64,
    /// Most values of a curve, at least 1.
    pub points: u32,
}

/// Values of one step, as they add up.
#[derive(Clone, Default)]
struct Step {
    measured: bool,
    span_ms: u64,
    size: u32,
    used: u32,
    waiting: u32,
    silent: u32,
    wait: (u64, u64),
    service: (u64, u64),
    transactions: u64,
    refused: u64,
}

/// The steps of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    /// Where the first begins.
    begin_ms: i64,
    step_ms: i64,
    count: usize,
}

impl Steps {
    /// At most so many, on round moments: what a step covers does not change
    /// while the chart moves on.
    fn of(asked: &Asked<'_>, base_ms: i64) -> Steps {
        let (from, until) = (asked.from_ms, asked.until_ms);
        let length = until.saturating_sub(from).max(1);
        let up = |n: i64, by: i64| n.saturating_add(by - 1).div_euclid(by);
        if asked.points <= 1 {
            return Steps {
                begin_ms: from,
                step_ms: length,
                count: 1,
            };
        }
        let step_ms = up(length, i64::from(asked.points) - 1);
        let step_ms = up(step_ms, base_ms).saturating_mul(base_ms);
        let begin_ms = from.div_euclid(step_ms) * step_ms;
        let count = up(until.saturating_sub(begin_ms).max(1), step_ms);
        Steps {
            begin_ms,
            step_ms,
            count: usize::try_from(count).unwrap_or(0),
        }
    }

    /// The step in which a span ends.
    fn place(&self, at_ms: i64) -> Option<usize> {
        // A step holds its end, not its begin.
        let at = at_ms.checked_sub(self.begin_ms)?.checked_sub(1)?;
        let at = usize::try_from(at.div_euclid(self.step_ms)).ok()?;
        (at < self.count).then_some(at)
    }
}

/// The chart. Where nothing was measured, or the pool was among the many others,
/// it says `None`.
pub(crate) fn chart(record: &Record, asked: &Asked<'_>) -> Chart {
    let fine = record.seconds.front().map_or(i64::MAX, |s| s.at_ms);
    let within = |s: &&Sample| s.at_ms > asked.from_ms && s.at_ms <= asked.until_ms;
    // What is older than the seconds is told in minutes.
    let coarse = record.minutes.iter().filter(|m| m.at_ms < fine);
    let coarse: Vec<&Sample> = coarse.filter(within).collect();
    let base_ms = if coarse.is_empty() { 1_000 } else { 60_000 };
    let steps = Steps::of(asked, base_ms);
    let mut all = vec![Step::default(); steps.count];
    let pool = raw_name(record, asked.pool);
    let seconds = record.seconds.iter().filter(within);
    for sample in coarse.into_iter().chain(seconds) {
        if let Some(step) = steps.place(sample.at_ms).and_then(|at| all.get_mut(at)) {
            step.add(sample, pool);
        }
    }
    let mut out = Chart {
        pool: name(asked.pool),
        step_ms: u32::try_from(steps.step_ms).unwrap_or(u32::MAX),
        markers: changes(record, asked),
        ..Chart::default()
    };
    let mut end = steps.begin_ms;
    for step in &all {
        end = end.saturating_add(steps.step_ms);
        out.at_ms.push(end.min(asked.until_ms));
        step.tell(&mut out, pool.is_some());
    }
    out
}

/// The newest within the span, the oldest first.
fn changes(record: &Record, asked: &Asked<'_>) -> Vec<events::sample::Marker> {
    let within = asked.from_ms..=asked.until_ms;
    let newest = record.markers.iter().rev();
    let newest = newest.filter(|m| within.contains(&m.at_ms));
    let mut found: Vec<_> = newest.take(10 * MARKERS_MAX).cloned().map(marker).collect();
    found.sort_by_key(|m| m.at_ms);
    found
}

/// The pool that is asked for, by its names as they are: what is asked for may
/// have been cleaned. `None`: all together.
fn raw_name<'a>(record: &'a Record, asked: &'a str) -> Option<(&'a str, &'a str)> {
    if asked.is_empty() {
        return None;
    }
    let exact = |p: &&PoolSample| is_named(&p.database, &p.user, asked);
    let shown = |p: &&PoolSample| is_named(&name(&p.database), &name(&p.user), asked);
    let newest = || {
        record
            .seconds
            .iter()
            .rev()
            .chain(record.minutes.iter().rev())
    };
    let found = newest().find_map(|s| s.pools.iter().find(exact));
    let lately = || newest().take(LATELY);
    let found = found.or_else(|| lately().find_map(|s| s.pools.iter().find(shown)));
    match found {
        Some(pool) => Some((&pool.database, &pool.user)),
        // It is not in the record: no sample has it.
        None => Some((asked, "")),
    }
}

fn is_named(database: &str, user: &str, asked: &str) -> bool {
    let rest = asked.strip_prefix(database);
    rest.and_then(|rest| rest.strip_prefix('/')) == Some(user)
}

impl Step {
    fn add(&mut self, sample: &Sample, pool: Option<(&str, &str)>) {
        match pool {
            Some((database, user)) => {
                let Some(pool) = sample.pool(database, user).filter(|_| database != OTHER) else {
                    return;
                };
                self.size = pool.size;
                self.counters(pool);
                self.gauges(pool.used.most, pool.waiting.most, pool.silent);
                self.refused += pool.refused;
            }
            None => {
                let sum = |f: fn(&PoolSample) -> u32| {
                    sample
                        .pools
                        .iter()
                        .fold(0u32, |n, p| n.saturating_add(f(p)))
                };
                sample.pools.iter().for_each(|p| self.counters(p));
                self.gauges(
                    sum(|p| p.used.most),
                    sum(|p| p.waiting.most),
                    sum(|p| p.silent),
                );
                let refused = sample.refusals.iter();
                self.refused += refused.map(|(_, n)| u64::from(*n)).sum::<u64>();
            }
        }
        self.measured = true;
        self.span_ms += u64::from(sample.span_ms);
    }

    fn gauges(&mut self, used: u32, waiting: u32, silent: u32) {
        self.used = self.used.max(used);
        self.waiting = self.waiting.max(waiting);
        self.silent = self.silent.max(silent);
    }

    fn counters(&mut self, pool: &PoolSample) {
        for (sum, times) in [
            (&mut self.wait, &pool.wait),
            (&mut self.service, &pool.service),
        ] {
            *sum = (sum.0 + times.count, sum.1.saturating_add(times.sum_us));
        }
        self.transactions += pool.transactions;
    }

    fn tell(&self, out: &mut Chart, one: bool) {
        let known = |n: u32| self.measured.then_some(n);
        let mean = |(count, us): (u64, u64)| (count > 0).then(|| us as f64 / count as f64);
        let rate = |n: u64| (self.span_ms > 0).then(|| n as f64 * 1e3 / self.span_ms as f64);
        out.size.push(known(self.size).filter(|_| one));
        out.used.push(known(self.used));
        out.waiting.push(known(self.waiting));
        out.silent.push(known(self.silent));
        out.wait_us.push(mean(self.wait));
        out.service_us.push(mean(self.service));
        out.transactions_per_s.push(rate(self.transactions));
        out.refused_per_s.push(rate(self.refused));
    }
}

#[cfg(test)]
#[path = "chart_tests.rs"]
mod tests;
