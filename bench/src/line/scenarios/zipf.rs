//! More pools than the line has connections.

use std::time::{Duration, Instant};

use super::{Scenario, Stage, group, sleeps};
use crate::DATABASE;
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::{self, Group, Pace, Samples};
use crate::line::settings::{MANY, Pooler, Size, Wish, one_of_many};

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "zipf",
    title: "300 pools on a line of 90",
    text: "300 users with a pool of 20 each. The nth most popular sends a 1/n of what the first sends, at random moments, \
           requests of 20 ms, together 1,000 a second (20 connections busy on average), and nobody waits longer than 30 s. \
           A time counts from the moment when a request was due. PgBouncer gets the line as `max_db_connections`. \
           The first eight seconds do not count.",
    max_connections: 100,
    play,
};

/// Of all pools together, per second.
const RATE: f64 = 1000.0;
const HOLD: Duration = Duration::from_millis(20);
const WARM: Duration = Duration::from_secs(8);
/// The main part is longer by this: rare pools have few requests.
const LONGER: Duration = Duration::from_secs(8);
/// The most popular pools, and the least popular.
const POPULAR: usize = 10;
const RARE: usize = 240;
/// More than this many evictions a second were thrash: each costs the server a login. Ten are the documented bound; the
/// window's ends are not exact.
const EVICTIONS_MAX: f64 = 10.5;

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let pooler = Pooler::start(
        stage,
        Wish {
            // One slot of the budget is for the monitor session.
            line: Some(stage.budget() - 1),
            ..Wish::pool(Size::Fixed(20))
        },
    )?;
    let sql = sleeps(HOLD);
    let sum: f64 = (1..=MANY).map(|n| 1.0 / n as f64).sum();
    let mut running = Vec::new();
    for n in 0..MANY {
        let rate = RATE / sum / (n + 1) as f64;
        // Enough that clients seldom wait for themselves.
        let clients = 1 + (4.0 * rate * HOLD.as_secs_f64()).ceil() as usize;
        let group = Group {
            user: one_of_many(n),
            pace: Pace::Open {
                rate: rate / clients as f64,
                retries: false,
            },
            ..group(&pooler, "app", clients, &[&sql], Duration::ZERO)
        };
        running.push(load::start(&group, stage.seed + n as u64)?);
    }
    stage.wait(WARM)?;
    let (from, sessions) = (Instant::now(), logins(stage)?);
    let evictions = pooler.metric("plimsoll_budget_evictions_total");
    stage.wait(stage.main_part() + LONGER)?;
    let (to, after) = (Instant::now(), logins(stage)?);
    let seconds = (to - from).as_secs_f64();
    let evicted = pooler.metric("plimsoll_budget_evictions_total");
    running.iter().for_each(load::Running::fall_silent);
    let mut pools = Vec::new();
    for group in running {
        pools.push(group.stop()?.between(from, to));
    }
    let of = |pools: &[Samples]| Samples(pools.iter().flat_map(|s| s.0.clone()).collect());
    let (popular, rare, all) = (of(&pools[..POPULAR]), of(&pools[MANY - RARE..]), of(&pools));
    let evictions = evicted.zip(evictions).map(|(b, a)| (b - a) / seconds);
    let quantiles = |samples: &Samples, what: &str| {
        [("p50", 0.5), ("p99", 0.99)]
            .map(|(name, q)| figure(&format!("{what}, {name}, ms"), samples.quantile_ms(q)))
    };
    let mut figures = vec![
        errors("refused", &all).goal(Goal::Never(0.0)),
        figure("evictions per second", evictions).goal(Goal::AtMost(EVICTIONS_MAX)),
        figure(
            "logins at the server per second",
            (after - sessions) / seconds,
        ),
        figure("good requests per second", all.good() as f64 / seconds),
    ];
    figures.extend(quantiles(&popular, "10 most popular"));
    figures.extend(quantiles(&rare, "240 least popular"));
    Ok(figures)
}

/// Sessions that the server has begun.
fn logins(stage: &Stage<'_>) -> Result<f64, Failure> {
    let sql = format!("SELECT sessions FROM pg_stat_database WHERE datname = '{DATABASE}'");
    Ok(stage.postgres.ask(stage.sandbox, DATABASE, &sql)?.parse()?)
}
