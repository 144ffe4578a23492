//! The command line of the diagnosis: diagnose, bundle, mark.

use super::PoolerArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// What is wrong, with the figures that say so, and what it is not.
///
/// It names causes of a closed set, the most likely first, each with the figures
/// that support it and the next step; what it is not, with the figure that
/// contradicts it; and what is unknown, with what would make it known.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all is calm; 1 something is wrong, or it could not be asked; 2 wrong use.\n\n\
    Examples:\n  \
    plimsoll diagnose\n  \
    plimsoll diagnose --at 2026-11-21T14:10:00Z\n  \
    plimsoll diagnose --bundle outage.plimsoll --format json"
)]
pub struct DiagnoseArgs {
    /// A moment of the last day (UTC), instead of now
    ///
    /// As 2026-11-21T14:10:00Z; in a bundle, a moment that it covers
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<i64>,
    /// Judge a bundle, instead of a running pooler
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Ask again each second until Ctrl-C
    #[arg(long, conflicts_with_all = ["bundle", "at"])]
    pub watch: bool,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// What a diagnosis reads, in one file, to send to a colleague.
///
/// Figures, markers, and names of databases, users and applications: no
/// statement, no literal, no secret. zcat and jq read it too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll bundle\n  \
    plimsoll bundle --last 1h -o outage.plimsoll\n  \
    plimsoll diagnose --bundle outage.plimsoll")]
pub struct BundleArgs {
    /// How far back it goes
    #[arg(long, value_name = "TIME", default_value = "15min", value_parser = super::words::span)]
    pub last: Duration,
    /// The file; without it plimsoll-TIME.bundle in this directory
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Note a change that the pooler cannot see by itself.
#[derive(Debug, Args)]
pub struct MarkArgs {
    /// What.
    #[command(subcommand)]
    pub what: MarkWhat,
}

/// What may be noted.
#[derive(Debug, Subcommand)]
pub enum MarkWhat {
    /// A release of an application went out
    Release(ReleaseArgs),
}

/// A release of an application went out.
///
/// From a deployment: leaks and slow statements that begin with it are then named
/// with it. Innocent releases are not convicted: a marker alone is no evidence.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll mark release shop-web 2.4.1\n  \
    plimsoll mark release shop-web \"$GITHUB_SHA\" --api http://127.0.0.1:9931 --token-file token")]
pub struct ReleaseArgs {
    /// The application, as its connections name it (application_name)
    #[arg(value_name = "APPLICATION")]
    pub application: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    pub version: String,
    /// When it went out (UTC), if not now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<i64>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Who is told of alerts, and a test message.
#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// What.
    #[command(subcommand)]
    pub what: NotifyWhat,
}

/// What may be asked of notifiers.
#[derive(Debug, Subcommand)]
pub enum NotifyWhat {
    /// Send a test message and say what came of it
    ///
    /// Exit codes: 0 every message was taken; 1 one was not; 2 wrong use
    Test(NotifyTestArgs),
    /// Who is told, and how that went so far
    Show(PoolerArgs),
}

/// Which notifiers.
#[derive(Debug, Args)]
pub struct NotifyTestArgs {
    /// Its name in [notify.NAME]; without it: all
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Milliseconds since 1970.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let at: Result<jiff::Timestamp, _> = text.trim().replacen(' ', "T", 1).parse();
    let at = at.map_err(|_| "write a time with its zone, as 2026-11-21T14:10:00Z".to_owned())?;
    Ok(at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_zone() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(moment("1970-01-01 00:00:01Z"), Ok(1_000));
        assert_eq!(moment("1970-01-01T01:00:01+01:00"), Ok(1_000));
        assert!(moment("14:10").is_err());
        assert!(moment("2026-11-21T14:10:00").is_err());
    }
}
