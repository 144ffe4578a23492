//! `plimsoll pgbouncer`: called as PgBouncer is called.

use super::run;
use crate::cli::{Cli, Command, PgbouncerArgs};
use crate::daemon;
use anyhow::{Context, bail};
use clap::Parser;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Serves until a signal ends it, in the background where that is asked for.
pub fn run(args: PgbouncerArgs) -> anyhow::Result<ExitCode> {
    if args.version {
        super::print(&format!("{}\n", proxy::PGBOUNCER_VERSION))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(file) = &args.file else {
        bail!("no configuration file specified; --help tells the options");
    };
    if args.daemon && !daemon::is_detached() {
        if !may_go_to_the_background(file)? {
            return Ok(ExitCode::FAILURE);
        }
        return daemon::detach();
    }
    if daemon::is_detached() {
        daemon::leave_terminal();
    }
    let cli = Cli::try_parse_from(as_ours(&args, file)).context("these options")?;
    let Command::Run(ours) = cli.command else {
        bail!("these options are no command of ours");
    };
    run::run(ours)
}

/// The command line of `plimsoll run` that means the same.
fn as_ours(args: &PgbouncerArgs, file: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["plimsoll".into(), "run".into()];
    if args.reboot {
        words.push("--takeover".into());
    }
    match args.verbose {
        0 => {}
        1 => words.push("--log-level=debug".into()),
        _ => words.push("--log-level=trace".into()),
    }
    // Without a terminal, what is logged there is lost.
    if args.quiet || args.daemon {
        words.push("--quiet".into());
    }
    if let Some(user) = &args.user {
        words.extend(["--user".into(), user.into()]);
    }
    words.push("--".into());
    words.push(file.into());
    words
}

/// Nobody could find a process without a PID file, nor hear one without a log. `false`: the settings have mistakes,
/// which were told.
fn may_go_to_the_background(file: &Path) -> anyhow::Result<bool> {
    let overrides = config::Overrides::default();
    let Some(plan) = run::explained(run::load(file, &overrides, &proxy::Disk::default())) else {
        return Ok(false);
    };
    if plan.pid_file.is_none() {
        bail!("daemon needs pidfile configured");
    }
    if plan.log_file.is_none() && !plan.process.syslog {
        bail!("daemon needs logfile or syslog configured");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_has_one_of_ours() {
        let args = PgbouncerArgs {
            file: None,
            daemon: false,
            reboot: true,
            quiet: true,
            verbose: 1,
            user: Some("postgres".into()),
            version: false,
        };
        let words = as_ours(&args, Path::new("-odd.ini"));
        let Command::Run(ours) = Cli::try_parse_from(&words).expect("ours").command else {
            panic!("{words:?}");
        };
        assert!(ours.quiet && ours.takeover.is_some());
        assert_eq!(ours.log_level, "debug");
        assert_eq!(ours.user.as_deref(), Some("postgres"));
        assert_eq!(ours.source.file.as_deref(), Some(Path::new("-odd.ini")));
        let plain = PgbouncerArgs {
            reboot: false,
            quiet: false,
            verbose: 0,
            user: None,
            ..args
        };
        assert_eq!(as_ours(&plain, Path::new("a")).len(), 4);
    }
}
