//! `plimsoll run`: the pooler.

use super::alone::warn_of_files_mounted_alone;
use super::reach;
use crate::account;
use crate::cli::{GuardWord, LogFormat, RunArgs};
use crate::plane::{ByKeeper, Rereading};
use crate::sandbox::{Options, Sandbox, percent};
use crate::serve::{self, Serve};
use crate::takeover::{self, Taken};
use anyhow::Context;
use config::{Overrides, Plan, UrlOptions};
use control::settings::keeper::{self, BootError, Prepared, StateDirectory};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

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
        ..Overrides::default()
    };
    let disk = proxy::Disk::default();
    let mut taken = None;
    let (plan, prepared, sandbox) = if let Some(file) = &args.source.file {
        become_its_user(file, &overrides, &disk, &args)?;
        if let Some(patience) = args.takeover {
            // What has mistakes must not end what serves.
            let Some(own) = explained(load(file, &overrides, &disk)) else {
                return Ok(ExitCode::FAILURE);
            };
            taken = take_over(&own, &args, patience)?;
        }
        let Some(prepared) = prepare(file, overrides, &disk, &args)? else {
            return Ok(ExitCode::FAILURE);
        };
        (prepared.plan().clone(), Some(prepared), None)
    } else if let Some(url) = &args.source.database {
        let Some(plan) = explained(from_url(url.reveal(), &args, overrides)) else {
            return Ok(ExitCode::FAILURE);
        };
        (plan, None, None)
    } else {
        overrides.line = Some(args.line.unwrap_or(SANDBOX_LINE));
        let mut options = Options::from_env();
        options.max_connections = SANDBOX_CONNECTIONS;
        let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
        let plan = sandbox_plan(&sandbox, &args, overrides)?;
        (plan, None, Some(sandbox))
    };
    let log = start_log(&plan, &args)?;
    if args.takeover.is_some() && taken.is_none() {
        tracing::warn!("no process is there to take over from: an ordinary start");
    }
    warn(&plan, &args);
    let introduced = plan.clone();
    let fixed = prepared.is_none();
    let sandboxed = sandbox.is_some();
    let keeper = Box::new(Rereading {
        keeper: keeper_of(prepared.as_ref()),
        log: Arc::clone(&log),
        log_level: args.log_level.clone(),
    });
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
        prepared,
        taken,
        started,
    });
    drop(sandbox);
    // Threads that are left may hold it too.
    log.flush();
    served
}

/// Who is asked to read the settings again.
fn keeper_of(prepared: Option<&Prepared>) -> Box<dyn proxy::Keeper> {
    match prepared {
        Some(prepared) => Box::new(ByKeeper(prepared.commands())),
        None => Box::new(proxy::NoFile),
    }
}

/// Goes on as the user that the command line names, or else the settings: before anything is opened.
fn become_its_user(
    file: &Path,
    overrides: &Overrides,
    disk: &proxy::Disk,
    args: &RunArgs,
) -> anyhow::Result<()> {
    if let Some(user) = &args.user {
        return account::become_user(user);
    }
    // What has mistakes is told by who reads it next, or the history serves in its place.
    let own = load(file, overrides, disk).ok();
    let user = own.and_then(|plan| plan.process.user);
    user.map_or(Ok(()), |user| account::become_user(&user))
}

/// Where the history usually is.
const STATE: &str = "/var/lib/plimsoll";

/// The sockets of the process that serves these settings, where there is one.
fn take_over(own: &Plan, args: &RunArgs, patience: Duration) -> anyhow::Result<Option<Taken>> {
    let stated = args.state.clone().or_else(|| own.keeping.directory.clone());
    let state = stated.or_else(usual_state);
    let directory = own.socket_directory();
    let place = takeover::place(state.as_deref(), directory, own.unix_socket_port);
    let place = place.context("--takeover needs a unix socket or a state directory")?;
    takeover::take(&place, patience)
        .with_context(|| format!("cannot take over at {}", place.display()))
}

/// systemd names one or several, with colons between.
pub(super) fn usual_state() -> Option<PathBuf> {
    let given = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    let given = given.split(':').next().filter(|dir| !dir.is_empty());
    given.map(PathBuf::from).or_else(|| {
        let usual = PathBuf::from(STATE);
        usual.is_dir().then_some(usual)
    })
}

/// Reads the settings and their history. `None`: they have mistakes, which were told.
fn prepare(
    file: &Path,
    overrides: Overrides,
    disk: &proxy::Disk,
    args: &RunArgs,
) -> anyhow::Result<Option<Prepared>> {
    let usual = usual_state();
    let options = keeper::Options {
        path: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
        overrides,
        secrets: Arc::new(disk.clone()),
        state: match &args.state {
            Some(dir) => StateDirectory::At(dir.clone()),
            None => StateDirectory::Usual(usual.into_iter().collect()),
        },
        baseline: args.baseline.clone(),
        container: in_container(),
    };
    match keeper::prepare(options) {
        Ok(prepared) => Ok(Some(prepared)),
        Err(BootError::Mistakes(errors, note)) => {
            explain(&errors, note.as_deref());
            Ok(None)
        }
        Err(BootError::Store(error)) => Err(error).context("no history, not even in memory"),
    }
}

/// A container's marks: those of Docker, Podman and Kubernetes.
fn in_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    marks.iter().any(|mark| Path::new(mark).exists())
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
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

pub(super) fn load(
    file: &Path,
    overrides: &Overrides,
    disk: &proxy::Disk,
) -> Result<Plan, config::Errors> {
    config::load_with(file, disk, overrides)
}

#[expect(
    clippy::print_stderr,
    reason = "a person reads what is wrong with the settings"
)]
fn explain(errors: &config::Errors, note: Option<&str>) {
    eprintln!("{}", errors.render());
    if let Some(note) = note {
        eprintln!("note: {note}");
    }
}

pub(super) fn explained(result: Result<Plan, config::Errors>) -> Option<Plan> {
    result.map_err(|errors| explain(&errors, None)).ok()
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

/// What is worth a word before anything is opened.
fn warn(plan: &Plan, args: &RunArgs) {
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let files = config::secret_files(plan).into_iter();
    warn_of_files_mounted_alone(files.chain(args.source.file.clone()));
}

fn start_log(plan: &Plan, args: &RunArgs) -> anyhow::Result<Arc<control::log::Log>> {
    let options = control::log::LogOptions {
        format: match args.log_format {
            LogFormat::Text => control::log::LogFormat::Text,
            LogFormat::Json => control::log::LogFormat::Json,
        },
        style: match plan.process.log_style {
            config::LogStyle::Plimsoll => control::log::LogStyle::Plimsoll,
            config::LogStyle::Pgbouncer => control::log::LogStyle::Pgbouncer,
        },
        file: plan.log_file.clone(),
        level: crate::plane::level(&args.log_level, plan.process.verbose),
        color: control::log::Color::Auto,
        syslog: syslog(&plan.process),
        quiet: args.quiet,
    };
    let log = control::log::init(options).context("cannot open the log")?;
    crate::said::files(plan);
    Ok(Arc::new(log))
}

fn syslog(process: &config::Process) -> Option<control::log::SyslogOptions> {
    process.syslog.then(|| control::log::SyslogOptions {
        ident: process.syslog_ident.clone(),
        facility: control::log::facility(&process.syslog_facility).unwrap_or(DAEMON),
        place: None,
    })
}

/// The facility of programs in the background, in syslog.h.
const DAEMON: u8 = 3;
