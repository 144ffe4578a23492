//! Clients that begin and never end.

use std::time::{Duration, Instant};

use super::{Scenario, Stage, group, sleeps};
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::{self, Group, Samples, Step};
use crate::line::settings::{Pooler, Size, Wish};

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "leak",
    title: "30 clients of one application begin and never end",
    text: "Pool of 20, longest wait 20 s. Eight clients of one application ask for 5 ms of work every 20 ms, and two of another think for \
           three seconds between BEGIN and COMMIT, as they should not but may. Then the 30 come, each with BEGIN and an INSERT. \
           Watched for 15 seconds. Times count from the moment that they come.",
    max_connections: 100,
    play,
};

const WATCHED: Duration = Duration::from_secs(15);
/// A little longer, so that nobody is refused for the wait while it is watched, and a round ends soon.
const WAIT: Duration = Duration::from_secs(20);
const LEAK: &str = "leaky/2.1";
/// A literal of the leak's statement, which may be seen nowhere.
const LITERAL: &str = "marker-4711";

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let wish = Wish {
        wait: WAIT,
        ..Wish::pool(Size::Fixed(20))
    };
    let pooler = Pooler::start(stage, wish)?;
    let work = sleeps(Duration::from_millis(5));
    let others = group(&pooler, "shop", 8, &[&work], Duration::from_millis(20));
    let ask = |sql: &str| Step::Ask(sql.into());
    let thoughtful = Group {
        steps: vec![
            ask("BEGIN"),
            ask("INSERT INTO baskets VALUES (1, 'slow')"),
            Step::Think(Duration::from_secs(3)),
            ask("COMMIT"),
        ],
        ..group(&pooler, "thoughtful", 2, &[], Duration::from_millis(500))
    };
    let insert = format!("INSERT INTO baskets VALUES (42, '{LITERAL}')");
    let leaky = Group {
        requests: Some(1),
        ..group(&pooler, LEAK, 30, &["BEGIN", &insert], Duration::ZERO)
    };
    let running = load::start(&others, stage.seed)?;
    let thinking = load::start(&thoughtful, stage.seed + 1)?;
    stage.wait(Duration::from_secs(1))?;
    let from = Instant::now();
    stage.wait(stage.main_part())?;
    let began = Instant::now();
    let leak = load::start(&leaky, stage.seed)?;
    let mut named = None;
    while began.elapsed() < WATCHED {
        stage.wait(Duration::from_millis(100))?;
        if named.is_none() && pooler.log_says(&["leaky", "INSERT"]) {
            named = Some(began.elapsed().as_secs_f64());
        }
    }
    let end = Instant::now();
    let literal = pooler.log_says(&[LITERAL]);
    let (samples, thoughts) = (running.stop()?, thinking.stop()?);
    drop(leak.stop()?);
    let baseline = samples.between(from, began).quantile_ms(0.99);
    let during = samples.between(began, end);
    let touched = Samples(during.0.iter().chain(&thoughts.0).cloned().collect());
    let normal = samples.normal_since(began, end, 2.0 * baseline.unwrap_or(0.0));
    Ok(vec![
        figure("others' p99 back under twice the one before, s", normal).goal(Goal::AtMost(10.0)),
        figure("application and statement in the log, s", named).goal(Goal::AtMost(10.0)),
        errors("errors of others", &touched).goal(Goal::Never(0.0)),
        figure(
            "the statement's literal in the log",
            f64::from(u8::from(literal)),
        )
        .goal(Goal::Never(0.0)),
        figure("others' p99 before, ms", baseline),
        figure(
            "others' longest wait, s",
            during.quantile_ms(1.0).map(|ms| ms / 1e3),
        ),
        figure(
            "leases taken back",
            pooler.metric("plimsoll_pool_reclaims_total"),
        ),
    ])
}
