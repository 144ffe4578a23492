//! The same faults in CI: does a check fail for the broken version and pass for the mended one?

use super::keeper::Keeper;
use super::library::{self, Outage};
use super::process::Process;
use super::stage::{USER, surround};
use super::templates::{fill, settle, templates};
use super::tools::Tools;
use crate::sandbox::{Options, Sandbox};
use anyhow::Context;
use practice::outage::{Gate, Gated};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest gate.
const GATE_MAX: Duration = Duration::from_secs(180);
/// Nobody listens there: the settings are only read.
const LISTEN_PORT: u16 = 6432;

/// Tries every gate of an outage, each before a private PostgreSQL of its own schema.
pub(super) fn tried(
    outage: &Outage,
    tools: &Tools,
    logs: Option<&Path>,
    stop: &AtomicBool,
) -> anyhow::Result<Vec<Gated>> {
    if let Some(logs) = logs {
        std::fs::create_dir_all(logs).with_context(|| logs.display().to_string())?;
    }
    let mut options = Options::from_env();
    options.max_connections = outage.scenario.database.max_connections;
    let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
    let dir = sandbox.socket_dir().join("gates");
    match &outage.files {
        None => drop(library::unpack_all(&dir)?),
        Some(_) => drop(library::unpack(outage, ".", &dir)?),
    }
    fill_templates(outage, &sandbox, &dir)?;
    sandbox.create_user(USER, USER, "createdb")?;
    let mut gated = Vec::new();
    for gate in &outage.scenario.gates {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let run = |words: &[String], within: Option<&String>, kind: &str| {
            database(&sandbox, outage, &dir)?;
            let place = within.map_or(dir.clone(), |within| dir.join(within));
            let mut command = tools.command(words, &[])?;
            surround(&mut command, sandbox.port());
            command.current_dir(&place);
            let log = format!("gate-{}-{kind}.log", outage.name);
            code(
                command,
                logs.unwrap_or(sandbox.socket_dir()).join(log),
                stop,
            )
        };
        gated.push(Gated {
            outage: outage.name.clone(),
            gate: gate.name.clone(),
            command: shown(gate),
            broken: run(&gate.command, gate.within.as_ref(), "broken")?,
            mended: run(&gate.mended, gate.mended_within.as_ref(), "mended")?,
        });
    }
    if stop.load(Ordering::Relaxed) {
        // The one that was stopped says nothing of its fault.
        gated.pop();
    }
    Ok(gated)
}

/// Settings are checked as they would serve.
fn fill_templates(outage: &Outage, sandbox: &Sandbox, dir: &Path) -> anyhow::Result<()> {
    settle(dir)?;
    for templates in templates(outage) {
        let below = dir.join(templates);
        if below.is_dir() {
            fill(&below, sandbox.port(), LISTEN_PORT, dir)?;
        }
    }
    Ok(())
}

/// A fresh database with the application's schema.
fn database(sandbox: &Sandbox, outage: &Outage, dir: &Path) -> anyhow::Result<()> {
    sandbox.psql("postgres", "drop database if exists app with (force)")?;
    sandbox.create_database("app", USER)?;
    if let Some(schema) = &outage.scenario.database.schema {
        let sql = std::fs::read_to_string(dir.join(schema)).with_context(|| schema.clone())?;
        sandbox.psql("app", &format!("set session authorization {USER};\n{sql}"))?;
    }
    Ok(())
}

/// The exit code of a gate; `None`: it could not start, took too long, or was stopped.
fn code(command: Command, log: PathBuf, stop: &AtomicBool) -> anyhow::Result<Option<i32>> {
    let mut keeper = Keeper::start().context("cannot start /bin/sh")?;
    let gate = Process::new("gate", command, log);
    // What cannot be started is said by its absence from those that hold.
    let ended = gate.run_out(GATE_MAX, stop, &mut keeper).unwrap_or(None);
    Ok(ended.and_then(|status| status.code()))
}

/// The command as a person would type it.
fn shown(gate: &Gate) -> String {
    let words = gate.command.iter().map(|word| match word.as_str() {
        "{plimsoll}" => "plimsoll".to_owned(),
        "{python}" => "python".to_owned(),
        "{node}" => "node".to_owned(),
        word => word.to_owned(),
    });
    words.collect::<Vec<String>>().join(" ")
}
