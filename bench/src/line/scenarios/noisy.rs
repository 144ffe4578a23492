//! A noisy user beside a quiet one.

use std::time::Duration;

use super::{Scenario, Stage, group, sleeps};
use crate::Failure;
use crate::line::figure::{Figure, Goal, errors, figure};
use crate::line::load::{self, Group};
use crate::line::settings::{NOISY, Pooler, QUIET, Size, Wish};

/// See its text.
pub const SCENARIO: Scenario = Scenario {
    name: "noisy",
    title: "A noisy user at ten times the pool",
    text: "One pool of 20 for all users (`user` of the database), requests of 10 ms. Two clients of a quiet user alone, then \
           beside 200 clients of another user without a pause.",
    max_connections: 100,
    play,
};

fn play(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let sql = sleeps(Duration::from_millis(10));
    let pooler = Pooler::start(
        stage,
        Wish {
            shared: true,
            ..Wish::pool(Size::Fixed(20))
        },
    )?;
    let of = |user: &str, clients, think| Group {
        user: user.into(),
        ..group(&pooler, "app", clients, &[&sql], think)
    };
    let quiet = of(QUIET, 2, Duration::from_millis(20));
    let (alone, _) = stage.play(&quiet, stage.main_part())?;
    let noise = load::start(&of(NOISY, 200, Duration::ZERO), stage.seed + 1)?;
    stage.wait(Duration::from_secs(1))?;
    let (beside, _) = stage.play(&quiet, stage.main_part())?;
    let noise = noise.stop()?;
    let p99 = |samples: &load::Samples| samples.quantile_ms(0.99);
    let ratio = p99(&beside).zip(p99(&alone)).map(|(b, a)| b / a);
    Ok(vec![
        figure("the quiet user's p99, share of its p99 alone", ratio).goal(Goal::AtMost(2.0)),
        errors("errors of the quiet user", &beside).goal(Goal::Never(0.0)),
        figure("quiet p99 alone, ms", p99(&alone)),
        figure("quiet p99 beside the noise, ms", p99(&beside)),
        figure("noisy p99, ms", p99(&noise)),
        errors("errors of the noisy user", &noise),
    ])
}
