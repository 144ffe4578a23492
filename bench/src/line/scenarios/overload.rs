//! More comes than can be served, and who is refused comes again.

use std::time::{Duration, Instant};

use super::{Scenario, Stage, group, sleeps};
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::{self, Group, Pace, Samples};
use crate::line::settings::{Pooler, Size, Wish};

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "overload",
    title: "Three times the capacity, with clients that retry",
    text: "Pool of 10, requests of 40 ms, longest wait one second. 1,000 clients send at random moments, together \
           three times what 20 clients without a pause get through; who is refused tries up to three times more at once. \
           A request counts as good, and a try as answered, within 1.2 seconds of the try's beginning. Then half the capacity \
           is asked for by the same application: normal is a p99 up to twice the one of that load before the storm.",
    max_connections: 100,
    play,
};

const CLIENTS: usize = 1000;
const DEADLINE: Duration = Duration::from_millis(1000);
const ANSWERED: Duration = Duration::from_millis(1200);
/// After the load fell.
const WATCHED: Duration = Duration::from_secs(6);

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let sql = sleeps(Duration::from_millis(40));
    let pooler = Pooler::start(
        stage,
        Wish {
            wait: DEADLINE,
            ..Wish::pool(Size::Fixed(10))
        },
    )?;
    let full = group(&pooler, "app", 20, &[&sql], Duration::ZERO);
    let (peak, seconds) = stage.play(&full, stage.main_part() / 2)?;
    let peak_rate = peak.good() as f64 / seconds;
    let half = group(&pooler, "app", 10, &[&sql], Duration::from_millis(40));
    let (calm, _) = stage.play(&half, stage.main_part() / 2)?;
    let bound = 2.0 * calm.quantile_ms(0.99).unwrap_or(0.0);
    let storm = Group {
        clients: CLIENTS,
        pace: Pace::Open {
            rate: 3.0 * peak_rate / CLIENTS as f64,
            retries: true,
        },
        ..full
    };
    let running = load::start(&storm, stage.seed)?;
    stage.wait(Duration::from_secs(1))?;
    let from = Instant::now();
    stage.wait(stage.main_part())?;
    running.fall_silent();
    let fell = Instant::now();
    let after = load::start(&half, stage.seed)?;
    stage.wait(WATCHED)?;
    let end = Instant::now();
    let after = after.stop()?;
    let all = running.stop()?;
    let seconds = (fell - from).as_secs_f64();
    // Work done in that time, whenever it was asked for.
    let answered = |s: &&load::Sample| s.tried <= ANSWERED;
    let in_time = Samples(all.0.iter().filter(answered).cloned().collect());
    let good = in_time.ended_between(from, seconds) as f64 / seconds;
    let samples = all.between(from, fell);
    let late = samples.0.iter().filter(|s| s.tried > ANSWERED).count();
    Ok(vec![
        figure("goodput, share of the peak", good / peak_rate).goal(Goal::AtLeast(0.95)),
        figure("requests not answered in time", late as f64)
            .note(format!("of {}", samples.0.len()))
            .goal(Goal::Never(0.0)),
        figure(
            "back to normal after the load fell, s",
            after.normal_since(fell, end, bound),
        )
        .goal(Goal::AtMost(5.0)),
        figure("requests per second at the peak", peak_rate),
        figure("good requests per second in the storm", good),
        errors("requests refused four times", &samples),
    ])
}
