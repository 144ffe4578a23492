//! Several instances before one server, one of them replaced under load.

use std::time::{Duration, Instant};

use super::{Scenario, Stage, group, sleeps};
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::{self, Group, Places};
use crate::line::settings::{Pooler, Size, Wish};
use crate::line::watch::Watch;
use crate::{fail, stats};

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "fleet",
    title: "Three instances before one server, one replaced under load",
    text: "Server with 60 connections, a pool of 40 in each instance, 120 clients without a pause, requests of 20 ms. Clients log \
           in anew every three seconds or so, wherever a load balancer sends them. One instance leaves the balancer, gets \
           SIGTERM and ends; a second later another begins in its place. A balancer sends nobody to one that serves nobody. A session that was closed between two requests, or \
           with 57P01 before the first word of a reply, is no error: its client goes elsewhere. \
           Unused counts what is more than two below the line.",
    max_connections: 60,
    play,
};

const INSTANCES: usize = 3;
/// Shares are found in two or three readings.
const SETTLE: Duration = Duration::from_secs(5);
/// Below this nothing is said to be unused: somebody is always being closed or opened.
const SLACK: u32 = 2;
/// An instance that is asked to end may take so long.
const DRAIN: Duration = Duration::from_secs(20);

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let wish = Wish::pool(Size::Fixed(40));
    // The watcher comes first: the budget is counted with it.
    let watch = Watch::start(stage.postgres.address, false)?;
    let mut poolers = vec![Pooler::start(stage, wish)?];
    while poolers.len() < INSTANCES {
        poolers.push(Pooler::start_beside(stage, wish)?);
    }
    let places = Places::new(poolers.iter().map(|p| p.address).collect());
    let sql = sleeps(Duration::from_millis(20));
    let first = poolers.first().ok_or("no instance")?;
    let clients = Group {
        places: places.clone(),
        lifetime: Some(Duration::from_secs(3)),
        ..group(first, "app", 120, &[&sql], Duration::ZERO)
    };
    let running = load::start(&clients, stage.seed)?;
    stage.wait(SETTLE)?;
    let steady = Instant::now();
    stage.wait(stage.main_part())?;
    let rolled = Instant::now();
    let (drained, begun) = roll(stage, &mut poolers, &places, wish)?;
    stage.wait(stage.main_part() + Duration::from_secs(2))?;
    let end = Instant::now();
    let samples = running.stop()?;
    let seen = watch.stop()?;

    let looks: Vec<_> = seen.looks.iter().filter(|l| l.at >= steady).collect();
    let gap = |l: &&super::super::watch::Look| {
        stage.budget().saturating_sub(l.monitors + SLACK) > l.served
    };
    let unused = load::longest(looks.iter().map(gap));
    let period = (end - steady).as_secs_f64() / looks.len().max(1) as f64;
    let before: Vec<f64> = looks
        .iter()
        .filter(|l| l.at < rolled)
        .map(|l| f64::from(l.served))
        .collect();
    let calm = samples.between(steady, rolled);
    let rate = calm.good() as f64 / (rolled - steady).as_secs_f64();
    let moved: usize = samples.0.iter().map(|s| s.moved).sum();
    Ok(vec![
        errors("failed requests", &samples).goal(Goal::Never(0.0)),
        figure("most connections of all together", f64::from(seen.most()))
            .note(format!("{} looks", seen.looks.len()))
            .goal(Goal::Never(f64::from(stage.budget()))),
        figure("a share unused at most, s", unused as f64 * period).goal(Goal::Never(5.0)),
        figure(
            "goodput below 80 % of the one before at most, s",
            samples.longest_below(steady, end, 0.8 * rate),
        )
        .goal(Goal::Never(5.0)),
        figure(
            "connections that serve clients, steady",
            stats::median(&before),
        ),
        figure("requests per second, steady", rate),
        figure("p99, steady, ms", calm.quantile_ms(0.99)),
        figure(
            "p99, from the replacement on, ms",
            samples.between(rolled, end).quantile_ms(0.99),
        ),
        figure("time to end, s", drained),
        figure("time until the new instance serves, s", begun),
        figure("clients that went elsewhere without an error", moved as f64),
    ])
}

/// The last instance leaves and is replaced. The seconds until it has ended, and until the new one serves; `None` where
/// that does not happen.
fn roll(
    stage: &Stage<'_>,
    poolers: &mut Vec<Pooler>,
    places: &Places,
    wish: Wish,
) -> Result<(Option<f64>, Option<f64>), Failure> {
    let Some(mut old) = poolers.pop() else {
        return fail("no instance to replace");
    };
    places.remove(old.address);
    old.ask_to_end();
    let asked = Instant::now();
    let mut drained = None;
    while drained.is_none() && asked.elapsed() < DRAIN {
        stage.wait(Duration::from_millis(50))?;
        drained = old.ended().then(|| asked.elapsed().as_secs_f64());
    }
    drop(old);
    stage.wait(Duration::from_secs(1))?;
    let asked = Instant::now();
    match Pooler::start_beside(stage, wish) {
        Ok(new) => {
            let begun = asked.elapsed().as_secs_f64();
            places.add(new.address);
            poolers.push(new);
            Ok((drained, Some(begun)))
        }
        Err(why) => {
            stage.sandbox.stop.check()?;
            eprintln!("    {why}");
            Ok((drained, None))
        }
    }
}
