//! `plimsoll notify`: who is told of alerts, and a test message.

use super::print;
use super::settings::pooler;
use crate::cli::{LogFormat, NotifyArgs, NotifyTestArgs, NotifyWhat, PoolerArgs};
use control::api::{NotifierLine, NotifyTestAsk, NotifyTested};
use std::fmt::Write;
use std::process::ExitCode;

/// What to say where the settings name nobody.
const NOBODY: &str = "Nobody is told: the settings have no [notify.NAME].\n";

/// Shows them, or tests them.
pub fn run(args: &NotifyArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        NotifyWhat::Test(args) => test(args),
        NotifyWhat::Show(args) => show(args),
    }
}

fn test(args: &NotifyTestArgs) -> anyhow::Result<ExitCode> {
    let ask = NotifyTestAsk {
        name: args.name.clone().unwrap_or_default(),
    };
    let client = pooler(&args.pooler)?;
    let tested: Vec<NotifyTested> = client.post("/v1/notifiers/test", &ask)?;
    match args.pooler.format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(&tested)?))?,
        LogFormat::Text if tested.is_empty() => print(NOBODY)?,
        LogFormat::Text => {
            let mut out = String::new();
            for line in &tested {
                let said = match &line.error {
                    None => "the test message was taken".to_owned(),
                    Some(error) => format!("failed: {}", diagnose::clean(error)),
                };
                let _ = writeln!(out, "{}: {said}", diagnose::clean(&line.name));
            }
            print(&out)?;
        }
    }
    let good = !tested.is_empty() && tested.iter().all(|line| line.error.is_none());
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(args: &PoolerArgs) -> anyhow::Result<ExitCode> {
    let lines: Vec<NotifierLine> = pooler(args)?.get("/v1/notifiers")?;
    match args.format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(&lines)?))?,
        LogFormat::Text if lines.is_empty() => print(NOBODY)?,
        LogFormat::Text => {
            let mut out = String::new();
            for line in &lines {
                let name = diagnose::clean(&line.name);
                let _ = write!(
                    out,
                    "{name}: {} sent, {} waiting, {} failed attempts, {} given up",
                    line.sent, line.queued, line.failed, line.dropped
                );
                if !line.last_error.is_empty() {
                    let _ = write!(out, "; last: {}", diagnose::clean(&line.last_error));
                }
                out.push('\n');
            }
            print(&out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
