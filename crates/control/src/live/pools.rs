//! Pools between two snapshots: rates, means, and why each stands where it does.

use super::{PoolLine, PoolTable, Second, Span, Totals, holds, name, page};
use diagnose::alert::Alert;
use events::Histogram;
use events::snapshot::{PoolRow, Snapshot};
use std::cmp::Ordering;

/// A wait that ends sooner is how a busy pool works, and no trouble.
const WAIT_US: u64 = 50_000;

/// All pools of a second; texts are filled in for those that are shown.
pub(super) struct Pools<'a> {
    rows: &'a [PoolRow],
    lines: Vec<Line>,
    pub totals: Totals,
}

/// A pool's figures, and what tables are ordered by.
struct Line {
    figures: PoolLine,
    standing: &'static str,
    trouble: Trouble,
}

/// How much it needs a person: the more, the greater.
type Trouble = (u8, u64, u32, u64);

impl<'a> Pools<'a> {
    /// `alerts` may say when a pool will be full.
    pub fn of(second: &'a Second, alerts: &[Alert]) -> Pools<'a> {
        let span_s = second.span_s();
        let before = second.before.as_deref();
        let forecasts: Vec<(&str, &str, f64)> = alerts
            .iter()
            .filter_map(|a| Some((a, a.forecast.as_ref()?)))
            .map(|(a, f)| (&*a.subject.database, &*a.subject.user, f.left_s))
            .collect();
        let mut sums = Sums::default();
        let rows = second.now.pools.iter().enumerate();
        let lines = rows
            .map(|(at, row)| {
                let earlier = earlier(before, at, row);
                sums.add(earlier, row);
                let mut line = line(earlier, row, span_s);
                let told = forecasts.iter();
                let mut told = told.filter(|(d, u, _)| (*d, *u) == (&*row.database, &*row.user));
                let told = told.next().map(|(.., left_s)| left_s.max(0.0) as u64);
                line.full_in_s = told.or_else(|| second.full_in_s.get(&at).copied());
                let standing = standing(&line);
                Line {
                    trouble: trouble(&line, standing),
                    figures: line,
                    standing,
                }
            })
            .collect();
        Pools {
            rows: &second.now.pools,
            lines,
            totals: sums.totals(span_s),
        }
    }

    /// So many in this order, with their texts.
    pub fn take(&self, sort: &str, span: Span) -> Vec<PoolLine> {
        self.of_these((0..self.lines.len()).collect(), sort, span)
    }

    /// The same of some; places are moved, not the lines.
    fn of_these(&self, places: Vec<usize>, sort: &str, span: Span) -> Vec<PoolLine> {
        let shown = page(places, span, |a, b| self.order(sort, *a, *b));
        let both = |at: usize| self.lines.get(at).zip(self.rows.get(at));
        let shown = shown.into_iter().filter_map(both);
        shown.map(|(line, row)| told(line, row)).collect()
    }

    fn order(&self, sort: &str, a: usize, b: usize) -> Ordering {
        let (Some(x), Some(y)) = (self.lines.get(a), self.lines.get(b)) else {
            return a.cmp(&b);
        };
        let most = |f: fn(&PoolLine) -> f64| f(&y.figures).total_cmp(&f(&x.figures));
        let found = match sort {
            "name" => Ordering::Equal,
            "used" => most(|l| f64::from(l.used)),
            "waiting" => {
                most(|l| f64::from(l.waiting)).then_with(|| most(|l| l.oldest_wait_us as f64))
            }
            "wait" => most(|l| l.wait_us.unwrap_or(-1.0)),
            "service" => most(|l| l.service_us.unwrap_or(-1.0)),
            "rate" => most(|l| l.transactions_per_s),
            _ => y.trouble.cmp(&x.trouble),
        };
        let names = |at: usize| self.rows.get(at).map(|r| (&r.database, &r.user));
        found
            .then_with(|| names(a).cmp(&names(b)))
            .then_with(|| a.cmp(&b))
    }
}

/// A page of the table of pools.
pub(crate) fn pool_table(
    second: &Second,
    alerts: &[Alert],
    sort: &str,
    filter: &str,
    span: Span,
) -> PoolTable {
    let pools = Pools::of(second, alerts);
    let filter = filter.to_ascii_lowercase();
    let both = pools.rows.iter().zip(&pools.lines).enumerate();
    let fits = both.filter(|(_, (row, line))| {
        let texts = [&*row.database, &*row.user, &*row.upstream, line.standing];
        texts.iter().any(|text| holds(text, &filter))
    });
    let fits: Vec<usize> = fits.map(|(at, _)| at).collect();
    PoolTable {
        at_ms: second.at_ms,
        total: u32::try_from(fits.len()).unwrap_or(u32::MAX),
        rows: pools.of_these(fits, sort, span),
    }
}

/// The same pool in the snapshot before. Pools keep their places.
fn earlier<'a>(before: Option<&'a Snapshot>, at: usize, row: &PoolRow) -> Option<&'a PoolRow> {
    let before = before?;
    let same = |r: &&PoolRow| r.database == row.database && r.user == row.user;
    let there = before.pools.get(at).filter(same);
    there.or_else(|| before.pools.iter().find(same))
}

fn line(before: Option<&PoolRow>, now: &PoolRow, span_s: f64) -> PoolLine {
    let since = |f: fn(&PoolRow) -> u64| match before {
        Some(before) => f(now).saturating_sub(f(before)) as f64 / span_s,
        None => 0.0,
    };
    let mean = |f: fn(&PoolRow) -> &Histogram| mean(before.map(f), f(now));
    PoolLine {
        size: now.size,
        used: now.sv_active,
        idle: now.sv_idle,
        clients: now.cl_active.saturating_add(now.cl_waiting),
        waiting: now.cl_waiting,
        oldest_wait_us: now.maxwait_us,
        arrivals_per_s: since(|p| p.totals.server_assignments),
        transactions_per_s: since(|p| p.totals.xacts),
        refused_per_s: since(|p| p.refused),
        wait_us: mean(|p| &p.wait),
        service_us: mean(|p| &p.service),
        hold_us: mean(|p| &p.hold),
        silent: now.leaks.silent,
        suspects: now.leaks.suspects,
        held_back: match (now.disabled, now.paused) {
            (true, _) => "disabled".to_owned(),
            (_, true) => "paused".to_owned(),
            _ => String::new(),
        },
        ..PoolLine::default()
    }
}

/// The line with its texts.
fn told(line: &Line, row: &PoolRow) -> PoolLine {
    PoolLine {
        database: name(&row.database),
        user: name(&row.user),
        server: name(&row.upstream),
        mode: row.mode.to_owned(),
        standing: line.standing.to_owned(),
        ..line.figures.clone()
    }
}

/// The mean of what was counted between; `None`: nothing was, or it is not known.
fn mean(before: Option<&Histogram>, now: &Histogram) -> Option<f64> {
    let (count, sum) = between(before, now)?;
    (count > 0).then(|| sum as f64 / count as f64)
}

fn between(before: Option<&Histogram>, now: &Histogram) -> Option<(u64, u64)> {
    let before = before?;
    let count = now.count().saturating_sub(before.count());
    Some((count, now.sum_micros().saturating_sub(before.sum_micros())))
}

/// Why it stands where it does, in one word.
pub(super) fn standing(line: &PoolLine) -> &'static str {
    let hurts = line.oldest_wait_us >= WAIT_US && line.waiting > 0 || line.refused_per_s > 0.0;
    let full = line.used >= line.size && line.size > 0;
    match line {
        l if !l.held_back.is_empty() => "paused",
        _ if hurts && full => "full",
        _ if hurts => "waiting",
        l if l.suspects > 0 => "leaking",
        l if l.full_in_s.is_some() => "filling",
        _ => "well",
    }
}

/// Those in trouble first, then the busiest. A pause is somebody's wish unless
/// clients wait.
pub(super) fn trouble(line: &PoolLine, standing: &str) -> Trouble {
    let rank = match standing {
        "full" => 5,
        "waiting" => 4,
        "paused" if line.waiting > 0 => 4,
        "leaking" => 3,
        "filling" => 2,
        "paused" => 1,
        _ => 0,
    };
    let waits = if rank > 0 { line.oldest_wait_us } else { 0 };
    (rank, waits, line.used, line.arrivals_per_s as u64)
}

/// All pools together.
#[derive(Default)]
struct Sums {
    totals: Totals,
    arrivals: u64,
    transactions: u64,
    wait: (u64, u64),
    service: (u64, u64),
}

impl Sums {
    fn add(&mut self, before: Option<&PoolRow>, now: &PoolRow) {
        let totals = &mut self.totals;
        let clients = now.cl_active.saturating_add(now.cl_waiting);
        totals.clients = totals.clients.saturating_add(clients);
        totals.waiting = totals.waiting.saturating_add(now.cl_waiting);
        totals.oldest_wait_us = totals.oldest_wait_us.max(now.maxwait_us);
        totals.used = totals.used.saturating_add(now.sv_active);
        totals.idle = totals.idle.saturating_add(now.sv_idle);
        let Some(before) = before else { return };
        let since = |f: fn(&PoolRow) -> u64| f(now).saturating_sub(f(before));
        self.arrivals += since(|p| p.totals.server_assignments);
        self.transactions += since(|p| p.totals.xacts);
        for (sum, more) in [
            (&mut self.wait, between(Some(&before.wait), &now.wait)),
            (
                &mut self.service,
                between(Some(&before.service), &now.service),
            ),
        ] {
            let (count, us) = more.unwrap_or_default();
            *sum = (sum.0 + count, sum.1 + us);
        }
    }

    fn totals(self, span_s: f64) -> Totals {
        let mean = |(count, us): (u64, u64)| (count > 0).then(|| us as f64 / count as f64);
        Totals {
            arrivals_per_s: self.arrivals as f64 / span_s,
            transactions_per_s: self.transactions as f64 / span_s,
            wait_us: mean(self.wait),
            service_us: mean(self.service),
            ..self.totals
        }
    }
}
