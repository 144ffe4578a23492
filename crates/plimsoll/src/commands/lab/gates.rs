//! The same faults in CI: does a check fail for the broken version and pass for the mended one?

use super::library::{self, Outage};
use super::stage::{USER, surround};
use super::templates::{fill, settle, templates};
use super::tools::Tools;
use crate::sandbox::{Options, Sandbox};
use anyhow::Context;
use practice::outage::{Gate, Gated};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Longest gate.
const GATE_MAX: Duration = Duration::from_secs(180);
/// Pause between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Nobody listens there: the settings are only read.
const LISTEN_PORT: u16 = 6432;

/// Tries every gate of an outage, each before a private PostgreSQL of its own schema.
pub(super) fn tried(
    outage: &Outage,
    tools: &Tools,
    logs: Option<&Path>,
) -> anyhow::Result<Vec<Gated>> {
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
        let run = |words: &[String], within: Option<&String>, kind: &str| {
            database(&sandbox, outage, &dir)?;
            let place = within.map_or(dir.clone(), |within| dir.join(within));
            let log = logs.map(|logs| logs.join(format!("gate-{}-{kind}.log", outage.name)));
            code(tools, words, &place, sandbox.port(), log.as_deref())
        };
        gated.push(Gated {
            outage: outage.name.clone(),
            gate: gate.name.clone(),
            command: shown(gate),
            broken: run(&gate.command, gate.within.as_ref(), "broken")?,
            mended: run(&gate.mended, gate.mended_within.as_ref(), "mended")?,
        });
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

/// The exit code of a gate; `None`: it could not start, or took too long.
fn code(
    tools: &Tools,
    words: &[String],
    place: &Path,
    port: u16,
    log: Option<&Path>,
) -> anyhow::Result<Option<i32>> {
    let mut command = tools.command(words, &[])?;
    surround(&mut command, port);
    command.current_dir(place).stdin(Stdio::null());
    match log {
        Some(log) => {
            let file = std::fs::File::create(log).with_context(|| log.display().to_string())?;
            command.stderr(file.try_clone()?).stdout(file);
        }
        None => drop(command.stdout(Stdio::null()).stderr(Stdio::null())),
    }
    let Ok(mut child) = command.spawn() else {
        return Ok(None);
    };
    let until = Instant::now() + GATE_MAX;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(LOOK);
    }
    child.kill().ok();
    child.wait().ok();
    Ok(None)
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
