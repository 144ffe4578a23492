//! Runs one case: calm, blow, hurt, questions.

use crate::case::Case;
use crate::kinds;
use crate::load::Work;
use crate::stage::{Felt, Stage};
use diagnose::Verdict;
use std::path::Path;
use std::time::{Duration, Instant};

/// Seconds from the hurt to the verdict that counts; one is asked for each [`ASK_EACH_S`].
const JUDGED_AFTER_S: f64 = 8.0;

/// Seconds between two questions.
const ASK_EACH_S: f64 = 2.0;

/// What one question brought.
pub struct Asked {
    /// Seconds since the hurt was seen.
    pub after_s: f64,
    /// Clients suffer at that moment.
    pub hurting: bool,
    /// What it said.
    pub verdict: Result<Verdict, String>,
    /// How long it took.
    pub took: Duration,
}

/// How a case went.
pub struct Outcome {
    /// Calm, as clients felt it.
    pub calm: Felt,
    /// The trouble, as clients felt it when the last question was asked.
    pub trouble: Felt,
    /// Seconds from the blow to the hurt; `None`: it did not hurt.
    pub hurt_after_s: Option<f64>,
    /// Failures by kind, over the whole case.
    pub failures: Vec<(String, u64)>,
    /// The questions, oldest first.
    pub asked: Vec<Asked>,
    /// What it knew at the end.
    pub bundle: Result<Vec<u8>, String>,
    /// The share of the machine's processor time that was taken in the calm, percent.
    pub busy: f64,
    /// How long the case took.
    pub seconds: f64,
}

/// Runs it. `keep`: where the bundle and the log go.
pub fn run(case: &Case, program: &Path, keep: Option<&Path>) -> Result<Outcome, String> {
    let began = Instant::now();
    let mut rng = case.rng.clone();
    let mut plan = kinds::usual_plan(&mut rng);
    for kind in &case.kinds {
        (kind.prepare)(&mut plan, &mut rng);
    }
    plan.rights = case.rights;
    plan.settings.guards_act = case.guards_act;
    let mut stage = Stage::set(plan, program, &mut rng)?;
    let before = processor();
    let calm = be_calm(case, &mut stage);
    let after = processor();
    let busy = 100.0 * (after.0 - before.0) / (after.1 - before.1).max(1.0);
    let blow = Instant::now();
    for kind in &case.kinds {
        (kind.strike)(&mut stage, &mut rng)?;
    }
    if case.afresh {
        stage.rest(2.0);
        stage.front.start_afresh()?;
        stage.rest(2.0);
    }
    let hurt_after_s = match case.nothing() {
        true => None,
        false => wait_for_hurt(&stage, blow),
    };
    let asked = ask(&stage, hurt_after_s.is_none() && !case.nothing());
    let trouble = stage.felt(4.0);
    let failures = stage
        .crowd
        .meter
        .failures
        .lock()
        .map(|f| f.clone())
        .unwrap_or_default();
    let bundle = stage.front.bundle();
    if let Some(dir) = keep {
        let _ = std::fs::write(
            dir.join(format!("case-{:03}.log", case.number)),
            stage.front.log(),
        );
    }
    drop(stage);
    Ok(Outcome {
        calm,
        trouble,
        hurt_after_s,
        failures: failures.into_iter().collect(),
        asked,
        bundle,
        busy,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Processor time of the machine since it started: taken, and all of it.
fn processor() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|n| n.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// The calm, with what is innocent in it.
fn be_calm(case: &Case, stage: &mut Stage) -> Felt {
    if case.batch {
        let batch = Work::query("select count(*) from orders where item < 2000");
        stage.app("worker").also(1, batch);
    }
    if stage.plan.hurts_at_once {
        stage.rest(3.0);
        stage.usual_ms = 5.0;
        return stage.felt(2.0);
    }
    let before = case
        .deploy_before_s
        .unwrap_or(0.0)
        .min(stage.plan.calm_s - 2.0);
    stage.rest(stage.plan.calm_s - before);
    let calm = stage.felt(5.0);
    stage.usual_ms = calm.p90_ms.max(1.0);
    if case.deploy_before_s.is_some() {
        let app = stage.app("api");
        let _ = stage.front.mark_release(&app.name, "5.5.0");
        app.deploy("5.5.0");
        stage.rest(before);
    }
    calm
}

/// Seconds from the blow until clients suffer; `None`: they do not.
pub fn wait_for_hurt(stage: &Stage, blow: Instant) -> Option<f64> {
    let mut times = 0;
    while blow.elapsed().as_secs_f64() < stage.plan.patience_s + 15.0 {
        times = if stage.hurts(&stage.felt(2.0)) {
            times + 1
        } else {
            0
        };
        // Seen twice in a row: not a moment's noise.
        if times >= 2 {
            return Some(blow.elapsed().as_secs_f64());
        }
        stage.rest(0.5);
    }
    None
}

/// Asks until the verdict that counts. Of a case that does not hurt, once.
fn ask(stage: &Stage, once: bool) -> Vec<Asked> {
    let hurt = Instant::now();
    let mut asked = Vec::new();
    loop {
        if !once {
            let next = ASK_EACH_S * (asked.len() + 1) as f64;
            stage.rest((next - hurt.elapsed().as_secs_f64()).max(0.0));
        }
        let after_s = hurt.elapsed().as_secs_f64();
        let hurting = stage.hurts(&stage.felt(2.0));
        let (verdict, took) = stage.front.ask();
        asked.push(Asked {
            after_s,
            hurting,
            verdict,
            took,
        });
        if once || after_s >= JUDGED_AFTER_S - 0.1 {
            return asked;
        }
    }
}
