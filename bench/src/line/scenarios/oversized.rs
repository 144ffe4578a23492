//! A pool far larger than the server.

use std::time::{Duration, Instant};

use super::{Scenario, Stage, group, sleeps};
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::{self, Samples};
use crate::line::settings::{Pooler, Size, Wish};
use crate::line::watch::{Seen, Watch};
use crate::poolers::Kind;

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "oversized",
    title: "A pool of 500 before a server with 100 connections",
    text: "400 clients without a pause. Beside them, past the pooler, another application logs in twice a second and keeps \
           three sessions, and an administrator logs in as often. *Busy* requests are BEGIN, a SELECT and an UPDATE by key, COMMIT: \
           all of it processor time. *Waiting* requests take 20 ms in the server and no processor time. In between the same load \
           runs with fixed sizes, each twice: 10, 20 and 40, and 40 and 80 for those that wait. `auto` is Plimsoll's automatic size. \
           Fixed sizes are measured after ten seconds, when caches are warm; the pool of 500 and `auto` after twenty, in which \
           Plimsoll searches. Errors and connections count from the first second.",
    max_connections: 100,
    play,
};

/// The size that is too large.
const TOO_LARGE: u32 = 500;
const CLIENTS: usize = 400;
const BUSY: [&str; 4] = [
    "BEGIN",
    "SELECT abalance FROM pgbench_accounts WHERE aid = (SELECT (random() * 999999)::int + 1)",
    "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = (SELECT (random() * 999999)::int + 1)",
    "COMMIT",
];
/// So long a size may be searched for before it counts.
const SEARCH: Duration = Duration::from_secs(20);
/// Until caches are warm and no more connections are opened.
const SETTLE: Duration = Duration::from_secs(10);

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let wait = sleeps(Duration::from_millis(20));
    let busy = Run::of(stage, &BUSY, &[10, 20, 40])?;
    let waiting = Run::of(stage, &[&wait], &[40, 80])?;
    let auto = match stage.target.kind {
        Kind::Plimsoll => Some(one(stage, Size::Auto, &BUSY, SEARCH)?),
        _ => None,
    };
    let (all, seen) = (
        Samples([busy.too_large.0.clone(), waiting.too_large.0.clone()].concat()),
        [&busy.seen, &waiting.seen],
    );
    let most = seen.iter().flat_map(|s| s.iter()).map(Seen::most).max();
    let logins = |of: fn(&Seen) -> (u32, u32), what: &str| {
        let each = seen.iter().flat_map(|s| s.iter()).map(of);
        let (tried, failed) = each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        figure(what, f64::from(failed))
            .note(format!("of {tried}"))
            .goal(Goal::Never(0.0))
    };
    let free = seen.iter().flat_map(|s| s.iter());
    let free = free.map(|s| s.least_free(stage.slots())).min();
    let of_auto = auto.map(|(_, rate, _)| rate / busy.best().1);
    Ok(vec![
        errors("client errors", &all).goal(Goal::Never(0.0)),
        figure("most connections at the server", most.map(f64::from))
            .goal(Goal::Never(f64::from(stage.budget()))),
        logins(|s| s.ordinary, "failed logins of another application"),
        logins(|s| s.administrator, "failed logins of the administrator"),
        busy.share("goodput of busy requests, share of the best fixed size"),
        waiting.share("goodput of waiting requests, share of the best fixed size"),
        figure("the same of busy requests with `auto`", of_auto),
        busy.rates_by_size("busy requests per second"),
        waiting.rates_by_size("waiting requests per second"),
        figure("fewest slots free at one moment", free.map(f64::from)),
    ])
}

/// A load with the size that is too large, and with others.
struct Run {
    too_large: Samples,
    seen: Vec<Seen>,
    /// Good requests per second, each time that a size was played; the one that is too large comes first.
    rates: Vec<(u32, Vec<f64>)>,
}

impl Run {
    fn of(stage: &Stage<'_>, sql: &[&str], fixed: &[u32]) -> Result<Run, Failure> {
        let mut order = vec![TOO_LARGE];
        order.extend(fixed);
        let mut run = Run {
            too_large: Samples::default(),
            seen: Vec::new(),
            rates: order.iter().map(|size| (*size, Vec::new())).collect(),
        };
        // There and back, so that what the machine does to one it does to the others. The goal is Plimsoll's alone.
        if stage.target.kind == Kind::Plimsoll {
            order.extend(order.clone().iter().rev());
        }
        for size in order {
            let settle = if size == TOO_LARGE { SEARCH } else { SETTLE };
            let (samples, rate, seen) = one(stage, Size::Fixed(size), sql, settle)?;
            for (of, rates) in &mut run.rates {
                if *of == size {
                    rates.push(rate);
                }
            }
            if size == TOO_LARGE {
                run.too_large.0.extend(samples.0);
                run.seen.push(seen);
            }
        }
        Ok(run)
    }

    fn best(&self) -> (u32, f64) {
        let fixed = self.rates.iter().skip(1);
        let best = fixed.map(|(size, rates)| (*size, mean(rates)));
        best.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
    }

    fn too_large_rate(&self) -> f64 {
        self.rates.first().map_or(0.0, |(_, rates)| mean(rates))
    }

    fn share(&self, what: &str) -> Figure {
        let (size, best) = self.best();
        figure(what, self.too_large_rate() / best)
            .note(format!("best: {size}"))
            .goal(Goal::AtLeast(0.95))
    }

    fn rates_by_size(&self, what: &str) -> Figure {
        let each = self.rates.iter().skip(1);
        let each = each.map(|(size, rates)| format!("{size}: {:.0}", mean(rates)));
        figure(what, self.too_large_rate()).note(each.collect::<Vec<_>>().join(", "))
    }
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / rates.len().max(1) as f64
}

/// What clients met once it had settled, good requests per second, and what the watcher saw from the start.
fn one(
    stage: &Stage<'_>,
    size: Size,
    sql: &[&str],
    settle: Duration,
) -> Result<(Samples, f64, Seen), Failure> {
    // The watcher comes first: the budget is counted with it.
    let watch = Watch::start(stage.postgres.address, true)?;
    let pooler = Pooler::start(stage, Wish::pool(size))?;
    let group = group(&pooler, "busy", CLIENTS, sql, Duration::ZERO);
    let running = load::start(&group, stage.seed)?;
    stage.wait(settle)?;
    let from = Instant::now();
    stage.wait(stage.main_part())?;
    let seconds = from.elapsed().as_secs_f64();
    let samples = running.stop()?;
    let rate = samples.ended_between(from, seconds) as f64 / seconds;
    Ok((samples, rate, watch.stop()?))
}
