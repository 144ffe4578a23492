//! `plimsoll run`: the pooler.

use crate::cli::{LogFormat, RunArgs};
use crate::sandbox::{Options, Sandbox};
use crate::serve::{self, Serve};
use anyhow::Context;
use config::{Overrides, Plan, UrlOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Serves until a signal ends it.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides {
        line: args.line,
        metrics_listen: args.metrics,
    };
    let (plan, source, sandbox) = if let Some(file) = &args.source.file {
        let Some(plan) = load_or_explain(file, &overrides) else {
            return Ok(ExitCode::FAILURE);
        };
        (plan, Source::File(file.clone(), overrides), None)
    } else if let Some(url) = &args.source.database {
        let Some(plan) = explained(from_url(url.reveal(), &args, overrides)) else {
            return Ok(ExitCode::FAILURE);
        };
        (plan, Source::Fixed, None)
    } else {
        let sandbox =
            Sandbox::start(Options::from_env()).context("the private PostgreSQL did not start")?;
        let plan = sandbox_plan(&sandbox, &args, overrides)?;
        (plan, Source::Fixed, Some(sandbox))
    };
    let _log = start_log(&plan, &args)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let reload: proxy::Reload = match source {
        Source::File(file, overrides) => {
            Box::new(move || load(&file, &overrides).map_err(|e| e.render()))
        }
        Source::Fixed => Box::new(|| Err("there is no settings file to read again".into())),
    };
    let served = serve::run(Serve { plan, reload });
    drop(sandbox);
    served
}

/// Where RELOAD reads from.
enum Source {
    File(PathBuf, Overrides),
    Fixed,
}

/// Reads files for the settings' reader.
struct Disk;

impl config::Source for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

fn load(file: &Path, overrides: &Overrides) -> Result<Plan, config::Errors> {
    config::load_with(file, &Disk, overrides)
}

fn load_or_explain(file: &Path, overrides: &Overrides) -> Option<Plan> {
    explained(load(file, overrides))
}

#[expect(
    clippy::print_stderr,
    reason = "a person reads what is wrong with the settings"
)]
fn explained(result: Result<Plan, config::Errors>) -> Option<Plan> {
    result
        .map_err(|errors| eprintln!("{}", errors.render()))
        .ok()
}

fn from_url(url: &str, args: &RunArgs, overrides: Overrides) -> Result<Plan, config::Errors> {
    let listen = vec![config::ListenAddress {
        host: args.listen.ip().to_string(),
        port: args.listen.port(),
    }];
    config::from_url_with(
        url,
        &UrlOptions {
            listen,
            overrides,
            ..UrlOptions::default()
        },
    )
}

#[expect(clippy::print_stdout, reason = "a person wants to know how to connect")]
fn sandbox_plan(sandbox: &Sandbox, args: &RunArgs, overrides: Overrides) -> anyhow::Result<Plan> {
    let password = "sandbox";
    sandbox.create_user("sandbox", password, "")?;
    sandbox.create_database("sandbox", "sandbox")?;
    let url = sandbox.url("sandbox", password, "sandbox");
    let plan = from_url(&url, args, overrides).map_err(|e| anyhow::anyhow!("{}", e.render()))?;
    println!("psql postgres://sandbox:{password}@{}/sandbox", args.listen);
    Ok(plan)
}

fn start_log(plan: &Plan, args: &RunArgs) -> anyhow::Result<Arc<control::log::Log>> {
    let options = control::log::LogOptions {
        format: match args.log_format {
            LogFormat::Text => control::log::LogFormat::Text,
            LogFormat::Json => control::log::LogFormat::Json,
        },
        file: plan.log_file.clone(),
        level: args.log_level.parse().unwrap_or(tracing::Level::INFO),
        color: control::log::Color::Auto,
    };
    control::log::init(options)
        .map(Arc::new)
        .context("cannot open the log")
}
