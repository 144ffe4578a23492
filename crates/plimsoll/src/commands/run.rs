//! `plimsoll run`: the pooler.

use super::reach;
use crate::cli::{GuardWord, LogFormat, RunArgs};
use crate::sandbox::{Options, Sandbox, percent};
use crate::serve::{self, Serve};
use anyhow::Context;
use config::{Overrides, Plan, UrlOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The login of `--sandbox`: the server is private and soon gone.
const SANDBOX: &str = "sandbox";
/// The sandbox's `max_connections`, and the line below it: superusers come in too.
const SANDBOX_CONNECTIONS: u32 = 100;
const SANDBOX_LINE: u32 = 90;

/// Names the unix socket where the system chooses the TCP port.
const SOCKET_PORT: u16 = 6432;

/// Serves until a signal ends it.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let mut overrides = Overrides {
        line: args.line,
        metrics_listen: args.metrics,
        guards: args.guards.map(GuardWord::mode),
    };
    let disk = proxy::Disk::default();
    let (plan, source, sandbox) = if let Some(file) = &args.source.file {
        let Some(plan) = load_or_explain(file, &overrides, &disk) else {
            return Ok(ExitCode::FAILURE);
        };
        (plan, Source::File(file.clone(), overrides), None)
    } else if let Some(url) = &args.source.database {
        let Some(plan) = explained(from_url(url.reveal(), &args, overrides)) else {
            return Ok(ExitCode::FAILURE);
        };
        (plan, Source::Fixed, None)
    } else {
        overrides.line = Some(args.line.unwrap_or(SANDBOX_LINE));
        let mut options = Options::from_env();
        options.max_connections = SANDBOX_CONNECTIONS;
        let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
        let plan = sandbox_plan(&sandbox, &args, overrides)?;
        (plan, Source::Fixed, Some(sandbox))
    };
    let _log = start_log(&plan, &args)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let introduced = plan.clone();
    let fixed = matches!(source, Source::Fixed);
    let sandboxed = sandbox.is_some();
    let keeper: Box<dyn proxy::Keeper> = match source {
        Source::File(file, overrides) => Box::new(FromFile {
            file,
            overrides,
            disk: disk.clone(),
        }),
        Source::Fixed => Box::new(proxy::NoFile),
    };
    let started = Box::new(move |handle: &proxy::Handle| {
        if fixed {
            introduce(&introduced, handle, sandboxed);
        }
        reach::warn_if_unreachable(&introduced);
    });
    let served = serve::run(Serve {
        plan,
        keeper,
        disk,
        started,
    });
    drop(sandbox);
    served
}

/// Settings of one file, taken as they are.
struct FromFile {
    file: PathBuf,
    overrides: Overrides,
    disk: proxy::Disk,
}

impl proxy::Keeper for FromFile {
    fn reload(&self, handle: &proxy::Handle, _: &str) -> Result<Vec<String>, proxy::ReloadError> {
        let plan = load(&self.file, &self.overrides, &self.disk)
            .map_err(|e| proxy::ReloadError { lines: e.lines() })?;
        Ok(handle.adopt(plan)?)
    }
}

/// How to connect, for who started without a file. A password is shown only
/// where it guards nothing: in the sandbox.
#[expect(clippy::print_stdout, reason = "a person wants to know how to connect")]
fn introduce(plan: &Plan, handle: &proxy::Handle, sandbox: bool) {
    let (Some(user), Some(database)) = (plan.users.keys().next(), plan.databases.first()) else {
        return;
    };
    let place = handle.addresses().first().map(ToString::to_string);
    let place = place.unwrap_or_default();
    let password = if sandbox { ":sandbox" } else { "" };
    let url = |name: &str| {
        let (user, name) = (percent(user), percent(name));
        format!("postgres://{user}{password}@{place}/{name}")
    };
    println!("Connect    psql {}", url(&database.name));
    println!("Console    psql {} -c 'show pools'", url("pgbouncer"));
    if !sandbox {
        println!("           with the password of the URL that you gave");
    }
}

/// Where RELOAD reads from.
enum Source {
    File(PathBuf, Overrides),
    Fixed,
}

pub(super) fn load(
    file: &Path,
    overrides: &Overrides,
    disk: &proxy::Disk,
) -> Result<Plan, config::Errors> {
    config::load_with(file, disk, overrides)
}

fn load_or_explain(file: &Path, overrides: &Overrides, disk: &proxy::Disk) -> Option<Plan> {
    explained(load(file, overrides, disk))
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
    let mut plan = config::from_url_with(
        url,
        &UrlOptions {
            listen,
            unix_socket_dir: args.socket_dir.clone(),
            overrides,
        },
    )?;
    // A socket's name needs a number that its clients know beforehand.
    plan.unix_socket_port = match args.listen.port() {
        0 => SOCKET_PORT,
        port => port,
    };
    // Figures are for whoever has the URL; what changes something is for a settings file.
    plan.stats_users = plan.users.keys().cloned().collect();
    Ok(plan)
}

fn sandbox_plan(sandbox: &Sandbox, args: &RunArgs, overrides: Overrides) -> anyhow::Result<Plan> {
    sandbox.create_user(SANDBOX, SANDBOX, "")?;
    sandbox.create_database(SANDBOX, SANDBOX)?;
    let url = sandbox.url(SANDBOX, SANDBOX, SANDBOX);
    let mut plan =
        from_url(&url, args, overrides).map_err(|e| anyhow::anyhow!("{}", e.render()))?;
    plan.admin_users = vec![SANDBOX.to_owned()];
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
