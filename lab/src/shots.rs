//! The five outages of the reports, staged one at a time, and pictures of the live page while they last.
//!
//! Each is a real pooler before a real PostgreSQL with clients on it: a calm, the blow, the hurt. Nothing on a picture
//! is drawn by us.

mod camera;
mod outages;

use crate::kinds;
use crate::rng::Rng;
use crate::run;
use crate::stage::{Rights, Stage};
use outages::{OUTAGES, Outage};
use plimsoll_e2e::sandbox::{free_port, until_deadline};
use std::path::Path;
use std::time::{Duration, Instant};

/// The same clients each time.
const SEED: u64 = 7;

/// Seconds of calm: with the trouble after it, the page's shortest range is full. The pooler itself waits half a minute
/// after its start before it raises an alert.
const CALM_S: f64 = 45.0;

/// Longest wait from the hurt to the cause.
const NAMED_WITHIN: Duration = Duration::from_secs(40);

/// Seconds from the cause to the picture: alerts and the incident follow the verdict.
const SETTLES_S: f64 = 6.0;

/// The outage with this number.
fn numbered(number: &str) -> Result<&'static Outage, String> {
    let all: Vec<&str> = OUTAGES.iter().map(|outage| outage.number).collect();
    let found = OUTAGES.iter().find(|outage| outage.number == number);
    found.ok_or_else(|| format!("there is no outage {number}; there are {}", all.join(" ")))
}

/// Stages each outage, or only one, and leaves its pictures in `dir`.
pub fn shoot(dir: &Path, only: Option<&str>, program: &Path) -> Result<(), String> {
    let wanted: Vec<&Outage> = match only {
        Some(number) => vec![numbered(number)?],
        None => OUTAGES.iter().collect(),
    };
    let camera = camera::Camera::find()?;
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut failed = Vec::new();
    for outage in wanted {
        let began = Instant::now();
        println!("{} {}: {}", outage.number, outage.title, outage.done);
        match picture(outage, dir, &camera, program) {
            Ok(said) => println!("    {said}\n    {:.0} s", began.elapsed().as_secs_f64()),
            Err(error) => {
                println!("    no picture: {error}");
                failed.push(outage.number);
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("no picture of {}", failed.join(" "))),
    }
}

/// One outage from its calm to its pictures; what the page says.
fn picture(
    outage: &Outage,
    dir: &Path,
    camera: &camera::Camera,
    program: &Path,
) -> Result<String, String> {
    let light = dir.join(format!("{}.png", outage.number));
    let dark = dir.join(format!("{}-dark.png", outage.number));
    let both = [("light", light.as_path()), ("dark", dark.as_path())];
    let wanted = if outage.dark { 2 } else { 1 };
    let (mut stage, page) = set_up(outage, program)?;
    let open = camera.open(&page, &both[..wanted])?;
    be_calm(&mut stage);
    strike(outage, &mut stage)?;
    named(outage, &stage)?;
    stage.rest(SETTLES_S);
    open.shoot()
}

/// Stages one and holds it, so that a person can look at the page.
pub fn look(number: &str, minutes: f64, program: &Path) -> Result<(), String> {
    let outage = numbered(number)?;
    println!("{} {}", outage.number, outage.title);
    let (mut stage, page) = set_up(outage, program)?;
    println!("The page: {page}");
    println!("Calm for {CALM_S:.0} s; then {}.", outage.done);
    be_calm(&mut stage);
    strike(outage, &mut stage)?;
    println!("It is done. It stays for {minutes} min; Ctrl-C ends it and takes all of it away.");
    stage.rest(minutes * 60.0);
    Ok(())
}

/// The stage before its calm, and the address of its page.
fn set_up(outage: &Outage, program: &Path) -> Result<(Stage, String), String> {
    let mut rng = Rng::new(SEED);
    let mut plan = kinds::usual_plan(&mut rng);
    plan.rights = Rights::Full;
    plan.calm_s = CALM_S;
    plan.patience_s = 30.0;
    let port = free_port();
    let more = &mut plan.settings.more;
    more.push(("api", format!("listen = \"127.0.0.1:{port}\"")));
    // What would mend the outage only says so.
    more.push((
        "guards",
        "auto_size = \"observe\"\nshed = \"observe\"".to_owned(),
    ));
    (outage.prepare)(&mut plan);
    let stage = Stage::set(plan, program, &mut rng)?;
    Ok((
        stage,
        format!("http://127.0.0.1:{port}/#/overview?range=1m"),
    ))
}

fn be_calm(stage: &mut Stage) {
    stage.rest(stage.plan.calm_s);
    // Long enough that a moment's noise is not taken for the usual.
    stage.usual_ms = stage.felt(20.0).p90_ms.max(1.0);
}

/// The blow; where it hurts, until clients feel it.
fn strike(outage: &Outage, stage: &mut Stage) -> Result<(), String> {
    let blow = Instant::now();
    (outage.strike)(stage)?;
    if outage.cause.is_none() {
        return Ok(());
    }
    let hurt = run::wait_for_hurt(stage, blow);
    hurt.map(|_| ())
        .ok_or_else(|| format!("{}: clients felt nothing", outage.number))
}

/// Waits until the diagnosis names the true cause first. Where nothing hurts, the browser waits for what there is to see.
fn named(outage: &Outage, stage: &Stage) -> Result<(), String> {
    let Some(cause) = outage.cause else {
        return Ok(());
    };
    let mut said = String::new();
    let found = until_deadline(NAMED_WITHIN, &mut || {
        stage.rest(1.0);
        let verdict = stage.front.ask().0.ok()?;
        said = serde_json::to_string_pretty(&verdict).unwrap_or_default();
        let first = verdict.findings.first()?;
        (first.cause == cause).then_some(())
    });
    found.ok_or_else(|| {
        format!(
            "{}: {} is not the first answer:\n{said}",
            outage.number,
            cause.label()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_has_an_outage_and_a_wrong_number_is_told() {
        for number in ["000", "001", "002", "003", "004"] {
            assert_eq!(numbered(number).map(|o| o.number), Ok(number));
        }
        let told = numbered("005").map(|o| o.number);
        assert!(told.is_err_and(|e| e.contains("000 001")));
    }
}
