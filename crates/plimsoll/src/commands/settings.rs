//! `plimsoll plan`, `apply`, `history`, `rollback`, `status`: guarded settings.

mod follow;
mod peers;
mod show;
mod whereabouts;

pub(super) use show::moment;
pub(super) use whereabouts::{actor, pooler};

use super::print;
use crate::cli::{ApplyArgs, HistoryArgs, LogFormat, PlanArgs, RollbackArgs, StatusArgs};
use anyhow::{Context, bail};
use control::api::ClientError;
use control::fleet::FleetView;
use control::settings::keeper::{self, ApplyAsk, Planned, RollbackAsk, Status};
use control::settings::store::Store;
use serde::Serialize;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// With `--detailed-exitcode`: there are differences.
const DIFFERS: u8 = 2;

/// What a change would do.
pub fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let client = whereabouts::client(args.file.as_deref(), &args.pooler)?;
    let ask = ask(args.file.as_deref())?;
    let planned = match client.plan(&ask) {
        Ok(planned) => planned,
        Err(error) => return Ok(refused(&error)),
    };
    output(args.pooler.format, &planned, || show::plan(&planned))?;
    let code = match (planned.changes.is_empty(), planned.would_begin) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) if args.detailed_exitcode => DIFFERS,
        (false, true) => 0,
    };
    Ok(ExitCode::from(code))
}

/// Lets new settings serve.
pub fn apply(args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    let client = whereabouts::client(args.file.as_deref(), &args.pooler)?;
    let mut ask = ask(args.file.as_deref())?;
    (ask.now, ask.force) = (args.now, args.force);
    ask.reason = args.reason.clone().unwrap_or_default();
    let text = args.pooler.format == LogFormat::Text;
    // A plan takes seconds of prediction; who says `--now` does not wait for it.
    if args.dry_run || (!args.yes && !args.now) {
        let planned = match client.plan(&ask) {
            Ok(planned) => planned,
            Err(error) => return Ok(refused(&error)),
        };
        if text || args.dry_run {
            output(args.pooler.format, &planned, || show::plan(&planned))?;
        }
        if args.dry_run || planned.changes.is_empty() {
            return Ok(match planned.would_begin || planned.changes.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            });
        }
        if !confirmed(&planned)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let applied = match client.apply(&ask) {
        Ok(applied) => applied,
        Err(ClientError::Refused(error)) if error.kind == "same" => {
            if text {
                print("These settings serve already.\n")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Ok(refused(&error)),
    };
    let limit = follow::Limit {
        until_the_end: args.wait,
        timeout: args.timeout,
    };
    let line = follow::follow(&client, applied.version, limit, text)?;
    output(args.pooler.format, &line, || show::outcome(&line))?;
    Ok(follow::code(&line))
}

/// The versions that were.
pub fn history(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let most = if args.git { 10_000 } else { args.limit };
    let client = whereabouts::client(args.file.as_deref(), &args.pooler);
    let lines = match client.as_ref().map(|client| client.history(most)) {
        Ok(Ok(lines)) => lines,
        Ok(Err(ClientError::Refused(error))) => bail!("{error}"),
        // Nobody serves: the state directory tells the same.
        other => {
            let store = whereabouts::store(args.file.as_deref(), &args.pooler);
            let Ok(store) = store else {
                return match other {
                    Ok(Err(error)) => Err(error.into()),
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                    Ok(Ok(_)) => Ok(ExitCode::SUCCESS),
                };
            };
            return offline(args, &store, most);
        }
    };
    let client = client?;
    if let Some(version) = args.version {
        let text = client.version(version)?;
        output(args.pooler.format, &text, || show::version(&text))?;
    } else if args.git {
        let all = lines.iter().filter(|l| show::was_applied(l));
        let texts: Result<Vec<_>, _> = all.map(|l| client.version(l.version)).collect();
        print(&show::git(&texts?))?;
    } else {
        output(args.pooler.format, &lines, || show::history(&lines))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn offline(args: &HistoryArgs, store: &Store, most: u32) -> anyhow::Result<ExitCode> {
    if let Some(version) = args.version {
        let text = keeper::version_text(store, version)?;
        let text = text.with_context(|| format!("there is no version {version}"))?;
        output(args.pooler.format, &text, || show::version(&text))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = keeper::history(store, most)?;
    if args.git {
        let mut texts = Vec::new();
        for line in lines.iter().filter(|l| show::was_applied(l)) {
            texts.extend(keeper::version_text(store, line.version)?);
        }
        print(&show::git(&texts))?;
    } else {
        output(args.pooler.format, &lines, || show::history(&lines))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Back to an earlier version.
pub fn rollback(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let client = whereabouts::client(args.file.as_deref(), &args.pooler)?;
    let ask = RollbackAsk {
        version: args.version,
        actor: whereabouts::actor(),
        reason: args.reason.clone(),
    };
    let applied = match client.rollback(&ask) {
        Ok(applied) => applied,
        Err(error) => return Ok(refused(&error)),
    };
    let text = args.pooler.format == LogFormat::Text;
    let line = follow::follow(&client, applied.version, follow::Limit::short(), text)?;
    output(args.pooler.format, &line, || show::outcome(&line))?;
    Ok(follow::code(&line))
}

/// What serves.
pub fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let client = whereabouts::client(args.file.as_deref(), &args.pooler)?;
    let status = client.status()?;
    // A pooler that cannot say who else is there serves all the same.
    let fleet = client.fleet().ok().flatten();
    let whole = Whole {
        status: &status,
        fleet: fleet.as_ref(),
    };
    output(args.pooler.format, &whole, || {
        let others = fleet.as_ref().map(peers::text);
        show::status(&status) + &others.unwrap_or_default()
    })?;
    let well = status.drift.is_none() && status.held_back.is_none();
    Ok(match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What serves, and who else is there.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    status: &'a Status,
    fleet: Option<&'a FleetView>,
}

/// Where a container has no place for a file: `kubectl exec -i POD -- plimsoll apply - < new.toml`.
const STDIN: &str = "-";
/// Of settings on standard input; the largest known are a tenth of it.
const STDIN_BYTES_MAX: u64 = 16 << 20;

fn read_stdin() -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::io::stdin()
        .lock()
        .take(STDIN_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    match read as u64 > STDIN_BYTES_MAX {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}

/// The new settings, and who asks.
fn ask(file: Option<&Path>) -> anyhow::Result<ApplyAsk> {
    let text = file.map(|file| {
        let read = match file == Path::new(STDIN) {
            true => read_stdin(),
            false => std::fs::read_to_string(file),
        };
        read.with_context(|| format!("cannot read {}", file.display()))
    });
    Ok(ApplyAsk {
        text: text.transpose()?,
        actor: whereabouts::actor(),
        ..ApplyAsk::default()
    })
}

fn confirmed(planned: &Planned) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to be asked: add --yes");
    }
    if !planned.would_begin {
        print("\nIt would be refused. Nothing was changed.\n")?;
        return Ok(false);
    }
    print("\nApply? Only `yes` is taken: ")?;
    std::io::stdout().flush().ok();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    let yes = answer.trim() == "yes";
    if !yes {
        print("Nothing was changed.\n")?;
    }
    Ok(yes)
}

#[expect(clippy::print_stderr, reason = "a person or a CI log reads it")]
fn refused(error: &ClientError) -> ExitCode {
    eprintln!("plimsoll: {error}");
    ExitCode::FAILURE
}

fn output<T: Serialize>(
    format: LogFormat,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        LogFormat::Text => print(&text()),
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(value)?)),
    }
}
