//! `plimsoll diagnose`, `bundle`, `mark`: what is wrong, what says so, and what
//! changed.

use super::print;
use super::settings::{actor, moment, pooler};
use crate::cli::{BundleArgs, DiagnoseArgs, LogFormat, MarkArgs, MarkWhat, ReleaseArgs};
use anyhow::Context;
use control::api::{Client, ReleaseAsk};
use control::bundle::Bundle;
use diagnose::{State, Verdict};
use events::sample::Marker;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Columns where the output is no terminal.
const WIDTH: usize = 100;
/// The time between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(1);

/// What is wrong.
pub fn diagnose(args: &DiagnoseArgs) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.bundle {
        let bundle = Bundle::read(file).with_context(|| file.display().to_string())?;
        return tell(
            &diagnose::diagnose(&bundle.record, args.at),
            args.pooler.format,
        );
    }
    let client = pooler(&args.pooler)?;
    if args.watch {
        return watch(&client, args.pooler.format);
    }
    tell(&ask(&client, args.at)?, args.pooler.format)
}

fn ask(client: &Client, at: Option<i64>) -> anyhow::Result<Verdict> {
    let path = match at {
        Some(at) => format!("/v1/diagnosis?at_ms={}", at.max(0)),
        None => "/v1/diagnosis".to_owned(),
    };
    Ok(client.get(&path)?)
}

fn tell(verdict: &Verdict, format: LogFormat) -> anyhow::Result<ExitCode> {
    match format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(verdict)?))?,
        LogFormat::Text => print(&text(verdict))?,
    }
    Ok(match verdict.state {
        State::Calm => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn text(verdict: &Verdict) -> String {
    format!(
        "{} (snapshot {})\n{}",
        moment(verdict.at_ms),
        verdict.snapshot,
        diagnose::render(verdict, width())
    )
}

/// The terminal's, between 60 and 120 columns.
fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return WIDTH;
    }
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| size.ws_col);
    columns.map_or(WIDTH, |n| usize::from(n).clamp(60, 120))
}

fn watch(client: &Client, format: LogFormat) -> anyhow::Result<ExitCode> {
    let clear = std::io::stdout().is_terminal() && format == LogFormat::Text;
    loop {
        let verdict = ask(client, None)?;
        if clear {
            print("\x1b[H\x1b[2J")?;
        }
        tell(&verdict, format)?;
        std::thread::sleep(WATCH);
    }
}

/// What a diagnosis reads, in one file.
pub fn bundle(args: &BundleArgs) -> anyhow::Result<ExitCode> {
    let client = pooler(&args.pooler)?;
    let now = control::measure::now_ms();
    let last = i64::try_from(args.last.as_millis()).unwrap_or(i64::MAX);
    let from = now.saturating_sub(last).max(0);
    let bytes = client.bytes(&format!("/v1/bundle?from_ms={from}&until_ms={now}"))?;
    let bundle = Bundle::from_bytes(&bytes)?;
    let path = args.output.clone().unwrap_or_else(|| default_name(now));
    if path.as_os_str() == "-" {
        std::io::stdout().lock().write_all(&bytes)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_new(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    let said = serde_json::json!({
        "file": path,
        "bytes": bytes.len(),
        "seconds": bundle.record.seconds.len(),
        "minutes": bundle.record.minutes.len(),
        "markers": bundle.record.markers.len(),
    });
    match args.pooler.format {
        LogFormat::Json => print(&format!("{said}\n"))?,
        LogFormat::Text => print(&format!(
            "{}: {} KiB, {} seconds, {} minutes, {} markers\n\
             It holds figures and names; no statement, no secret.\n\
             Read it with  plimsoll diagnose --bundle {}\n",
            path.display(),
            bytes.len() / 1024 + 1,
            bundle.record.seconds.len(),
            bundle.record.minutes.len(),
            bundle.record.markers.len(),
            path.display()
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that is there is not written over, and others may not read the new one.
fn write_new(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

fn default_name(now_ms: i64) -> PathBuf {
    let stamp: String = moment(now_ms)
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    PathBuf::from(format!("plimsoll-{stamp}.bundle"))
}

/// Notes a change.
pub fn mark(args: &MarkArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        MarkWhat::Release(release) => mark_release(release),
    }
}

fn mark_release(args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    let client = pooler(&args.pooler)?;
    let ask = ReleaseAsk {
        application: args.application.clone(),
        version: args.version.clone(),
        at_ms: args.at,
        actor: actor(),
    };
    let marker: Marker = client.post("/v1/releases", &ask)?;
    match args.pooler.format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(&marker)?))?,
        LogFormat::Text => print(&format!(
            "{}  release {}\n",
            moment(marker.at_ms),
            diagnose::clean(&marker.text)
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}
