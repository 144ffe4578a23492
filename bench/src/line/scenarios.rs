//! What is played, and what is counted.

use std::time::{Duration, Instant};

use super::Figure;
use super::load::{self, Group, Pace, Samples};
use super::settings::{Pooler, Wish};
use super::watch::{ORDINARY, Watch};
use crate::poolers::Target;
use crate::postgres::Postgres;
use crate::sandbox::Sandbox;
use crate::{DATABASE, Failure, USER};

/// Where a scenario is played.
pub struct Stage<'a> {
    /// Directories and the wish to stop.
    pub sandbox: &'a Sandbox,
    /// The server.
    pub postgres: &'a Postgres,
    /// The program.
    pub target: &'a Target,
    /// Length of the main part.
    pub seconds: u64,
    /// Of everything random.
    pub seed: u64,
}

/// A scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its title in the report.
    pub title: &'static str,
    /// What happens, in words.
    pub text: &'static str,
    /// The server's limit.
    pub max_connections: u32,
    /// Plays it once.
    pub play: fn(&Stage<'_>) -> Result<Vec<Figure>, Failure>,
}

/// All of them, in the order of the report.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "oversized",
        title: "A pool of 500 before a server with 100 connections",
        text: "400 clients without a pause, each request about half a millisecond of the server's CPU. Beside them an \
               ordinary user logs in past the pooler twice a second. Then the same load with fixed sizes of 5, 10, 20, 40 and 80.",
        max_connections: 100,
        play: oversized,
    },
    Scenario {
        name: "leak",
        title: "30 clients of one application begin and never end",
        text: "Pool of 20. Eight clients of another application send a short query every 20 ms; then the 30 come, each \
               with BEGIN and one statement. Watched for 40 seconds.",
        max_connections: 100,
        play: leak,
    },
    Scenario {
        name: "noisy",
        title: "A noisy application at ten times the pool",
        text: "Pool of 20, requests of 10 ms. Two quiet clients alone, then beside 200 clients of another application \
               without a pause.",
        max_connections: 100,
        play: noisy,
    },
    Scenario {
        name: "overload",
        title: "Three times the capacity, with clients that retry",
        text: "Pool of 10, requests of 20 ms, longest wait one second. 2,000 clients send at random moments, together \
               three times what 20 clients without a pause get through; who is refused tries up to three times more at once. \
               A request counts as good when it was answered within 1.2 seconds of its last try.",
        max_connections: 100,
        play: overload,
    },
];

/// Half a millisecond of CPU, or so.
const WORK: &str = "SELECT count(*) FROM generate_series(1, 3000)";

fn sleeps(time: Duration) -> String {
    format!("SELECT pg_sleep({})", time.as_secs_f64())
}

fn figure(what: &str, value: impl Into<Option<f64>>) -> Figure {
    Figure {
        what: what.into(),
        value: value.into(),
        note: String::new(),
    }
}

fn errors(what: &str, samples: &Samples) -> Figure {
    Figure {
        note: samples.troubles(),
        ..figure(what, samples.bad() as f64)
    }
}

fn group(
    pooler: &Pooler,
    application: &str,
    clients: usize,
    sql: &[&str],
    think: Duration,
) -> Group {
    Group {
        address: pooler.address,
        user: USER.into(),
        application: application.into(),
        clients,
        statements: sql.iter().map(|s| (*s).to_owned()).collect(),
        pace: Pace::Closed(think),
        requests: None,
    }
}

impl Stage<'_> {
    fn main_part(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Lets time pass, but not beyond an interruption.
    fn wait(&self, length: Duration) -> Result<(), Failure> {
        let until = Instant::now() + length;
        loop {
            self.sandbox.stop.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// A load for a while; what it met after the first second.
    fn play(&self, group: &Group, length: Duration) -> Result<(Samples, f64), Failure> {
        let running = load::start(group, self.seed)?;
        self.wait(Duration::from_secs(1))?;
        let from = Instant::now();
        self.wait(length)?;
        let to = Instant::now();
        let samples = running.stop()?.between(from, to);
        Ok((samples, (to - from).as_secs_f64()))
    }
}

fn oversized(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let sql = format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ORDINARY}') \
         THEN CREATE ROLE {ORDINARY} LOGIN; END IF; END $$"
    );
    stage.postgres.ask(stage.sandbox, DATABASE, &sql)?;
    let wait = Duration::from_secs(30);
    let with = |size: u32, length: Duration| -> Result<(Samples, f64, _), Failure> {
        let pooler = Pooler::start(stage, Wish { size, wait })?;
        let watch = Watch::start(stage.postgres.address)?;
        let group = group(&pooler, "busy", 400, &[WORK], Duration::ZERO);
        let (samples, seconds) = stage.play(&group, length)?;
        Ok((samples, seconds, watch.stop()?))
    };
    let (samples, seconds, seen) = with(500, stage.main_part())?;
    let rate = samples.good() as f64 / seconds;
    let mut best = (0, 0.0);
    for size in [5, 10, 20, 40, 80] {
        let (samples, seconds, _) = with(size, stage.main_part() / 2)?;
        let rate = samples.good() as f64 / seconds;
        if rate > best.1 {
            best = (size, rate);
        }
    }
    let mut refused = figure(
        "logins past the pooler that were refused",
        f64::from(seen.refused),
    );
    refused.note = format!("of {}", seen.logins);
    let mut ratio = figure("goodput, share of the best fixed size", rate / best.1);
    ratio.note = format!("best: {}", best.0);
    Ok(vec![
        errors("client errors", &samples),
        figure("most server connections", f64::from(seen.most)),
        refused,
        figure("requests per second", rate),
        ratio,
    ])
}

fn leak(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    const WATCHED: Duration = Duration::from_secs(40);
    let wish = Wish {
        size: 20,
        wait: Duration::from_secs(30),
    };
    stage.postgres.ask(
        stage.sandbox,
        DATABASE,
        "CREATE TABLE IF NOT EXISTS baskets (id int, item text)",
    )?;
    let pooler = Pooler::start(stage, wish)?;
    let others = group(&pooler, "shop", 8, &["SELECT 1"], Duration::from_millis(20));
    let leaky = Group {
        requests: Some(1),
        ..group(
            &pooler,
            "leaky/2.1",
            30,
            &["BEGIN", "INSERT INTO baskets VALUES (42, 'marker')"],
            Duration::ZERO,
        )
    };
    let running = load::start(&others, stage.seed)?;
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
    let literal = pooler.log_says(&["marker"]);
    let samples = running.stop()?;
    drop(leak.stop()?);
    let before = samples.between(from, began);
    let baseline = before.quantile_ms(0.99).unwrap_or(0.0);
    let during = samples.between(began, end);
    Ok(vec![
        figure("others' p99 before, ms", baseline),
        figure(
            "others' p99 back under twice that, s after the leak began",
            normal_since(&samples, began, end, 2.0 * baseline),
        ),
        figure("application and statement in the log, s", named),
        figure("literals in the log", f64::from(u8::from(literal))),
        errors("others' errors", &during),
        figure(
            "others' longest wait, s",
            during.quantile_ms(1.0).map(|ms| ms / 1e3),
        ),
    ])
}

/// Seconds from `began` to the moment after which every second's p99 stays at `bound` or below.
fn normal_since(samples: &Samples, began: Instant, end: Instant, bound: f64) -> Option<f64> {
    const WINDOW: Duration = Duration::from_secs(1);
    let mut normal = None;
    let mut at = began;
    while at + WINDOW <= end {
        let window = samples.between(at, at + WINDOW);
        let good = window.bad() == 0 && window.quantile_ms(0.99).is_some_and(|p99| p99 <= bound);
        normal = good.then(|| normal.unwrap_or(at));
        at += WINDOW;
    }
    normal.map(|at| (at - began).as_secs_f64())
}

fn noisy(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    let wish = Wish {
        size: 20,
        wait: Duration::from_secs(30),
    };
    let sql = sleeps(Duration::from_millis(10));
    let pooler = Pooler::start(stage, wish)?;
    let quiet = group(&pooler, "quiet", 2, &[&sql], Duration::from_millis(20));
    let (alone, _) = stage.play(&quiet, stage.main_part())?;
    let noise = group(&pooler, "noisy", 200, &[&sql], Duration::ZERO);
    let noise = load::start(&noise, stage.seed + 1)?;
    stage.wait(Duration::from_secs(1))?;
    let (beside, _) = stage.play(&quiet, stage.main_part())?;
    let noise = noise.stop()?;
    let p99 = |samples: &Samples| samples.quantile_ms(0.99).unwrap_or(0.0);
    Ok(vec![
        figure("quiet p99 alone, ms", p99(&alone)),
        figure("quiet p99 beside the noise, ms", p99(&beside)),
        figure("ratio", p99(&beside) / p99(&alone)),
        errors("quiet errors", &beside),
        figure("noisy p99, ms", p99(&noise)),
        errors("noisy errors", &noise),
    ])
}

fn overload(stage: &Stage<'_>) -> Result<Vec<Figure>, Failure> {
    const CLIENTS: usize = 2000;
    const DEADLINE: Duration = Duration::from_millis(1000);
    const ANSWERED: Duration = Duration::from_millis(1200);
    let sql = sleeps(Duration::from_millis(20));
    let pooler = Pooler::start(
        stage,
        Wish {
            size: 10,
            wait: DEADLINE,
        },
    )?;
    let calm = group(&pooler, "calm", 20, &[&sql], Duration::ZERO);
    let (peak, seconds) = stage.play(&calm, stage.main_part() / 2)?;
    let peak_rate = peak.good() as f64 / seconds;
    let probe = group(&pooler, "probe", 4, &[&sql], Duration::from_millis(20));
    let (quiet, _) = stage.play(&probe, Duration::from_secs(3))?;
    let bound = 2.0 * quiet.quantile_ms(0.99).unwrap_or(0.0);
    let storm = Group {
        clients: CLIENTS,
        application: "storm".into(),
        pace: Pace::Open(3.0 * peak_rate / CLIENTS as f64),
        ..calm
    };
    let (samples, seconds) = stage.play(&storm, stage.main_part())?;
    let fell = Instant::now();
    let after = load::start(&probe, stage.seed)?;
    stage.wait(Duration::from_secs(8))?;
    let after = after.stop()?;
    let good = samples
        .0
        .iter()
        .filter(|s| s.trouble.is_none() && s.tried <= ANSWERED)
        .count() as f64
        / seconds;
    let late = samples.0.iter().filter(|s| s.tried > ANSWERED).count();
    Ok(vec![
        figure("requests per second at the peak", peak_rate),
        figure("good requests per second at three times that", good),
        figure("share of the peak", good / peak_rate),
        figure("requests not answered in time", late as f64),
        errors("requests that ended in an error", &samples),
        figure(
            "back to normal after the load fell, s",
            normal_since(&after, fell, Instant::now(), bound),
        ),
    ])
}
