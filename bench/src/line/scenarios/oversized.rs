//! A pool far larger than the server.

use std::time::Duration;

use super::{Scenario, Stage, group};
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::Samples;
use crate::line::settings::{Pooler, Wish};
use crate::line::watch::{Seen, Watch};

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "oversized",
    title: "A pool of 500 before a server with 100 connections",
    text: "400 clients without a pause, each request about half a millisecond of the server's CPU. Beside them, past the \
           pooler, another application logs in twice a second and keeps three sessions, and an administrator logs in as often. \
           The same load runs with fixed sizes of 10, 20, 40 and 80 in between, each twice.",
    max_connections: 100,
    play,
};

/// The size that is too large; the others are the search.
const TOO_LARGE: u32 = 500;
/// There and back, so that what the machine does to one it does to the others.
const ORDER: [u32; 10] = [TOO_LARGE, 10, 20, 40, 80, 80, 40, 20, 10, TOO_LARGE];
const CLIENTS: usize = 400;
/// Half a millisecond of CPU, or so.
const WORK: &str = "SELECT count(*) FROM generate_series(1, 3000)";

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let part = stage.main_part() / 2;
    let mut rates: Vec<(u32, Vec<f64>)> = Vec::new();
    let (mut all, mut seen) = (Samples::default(), Seen::default());
    for size in ORDER {
        let (samples, seconds, looks) = one(stage, size, part)?;
        let rate = samples.good() as f64 / seconds;
        match rates.iter_mut().find(|(of, _)| *of == size) {
            Some((_, rates)) => rates.push(rate),
            None => rates.push((size, vec![rate])),
        }
        if size == TOO_LARGE {
            all.0.extend(samples.0);
            seen.looks.extend(looks.looks);
            seen.ordinary.0 += looks.ordinary.0;
            seen.ordinary.1 += looks.ordinary.1;
            seen.administrator.0 += looks.administrator.0;
            seen.administrator.1 += looks.administrator.1;
        }
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let fixed = rates.iter().filter(|(size, _)| *size != TOO_LARGE);
    let best = fixed.map(|(size, rates)| (*size, mean(rates)));
    let best = best.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
    let rate = rates.first().map_or(0.0, |(_, rates)| mean(rates));
    let each: Vec<String> = rates
        .iter()
        .map(|(size, rates)| format!("{size}: {:.0}", mean(rates)))
        .collect();
    let of = |(tried, failed): (u32, u32), what: &str| {
        figure(what, f64::from(failed))
            .note(format!("of {tried}"))
            .goal(Goal::Never(0.0))
    };
    let budget = f64::from(stage.budget());
    Ok(vec![
        errors("client errors", &all).goal(Goal::Never(0.0)),
        figure("most connections at the server", f64::from(seen.most()))
            .note(format!("{} looks", seen.looks.len()))
            .goal(Goal::Never(budget)),
        of(seen.ordinary, "failed logins of another application"),
        of(seen.administrator, "failed logins of the administrator"),
        figure("goodput, share of the best fixed size", rate / best.1)
            .note(format!("best: {}", best.0))
            .goal(Goal::AtLeast(0.95)),
        figure("requests per second", rate).note(format!("by size {}", each.join(", "))),
        figure(
            "fewest slots free at one moment",
            f64::from(seen.least_free(stage.slots())),
        ),
    ])
}

fn one(stage: &Stage<'_>, size: u32, part: Duration) -> Result<(Samples, f64, Seen), Failure> {
    // The watcher comes first: the budget is counted with it.
    let watch = Watch::start(stage.postgres.address, true)?;
    let pooler = Pooler::start(stage, Wish::pool(size))?;
    let work = std::env::var("PLIM_WORK").unwrap_or(WORK.into());
    let sql: Vec<&str> = work.split(';').collect();
    let group = group(&pooler, "busy", CLIENTS, &sql, Duration::ZERO);
    let (samples, seconds) = stage.play(&group, part)?;
    Ok((samples, seconds, watch.stop()?))
}
