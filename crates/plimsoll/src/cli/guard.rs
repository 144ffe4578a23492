//! The command line of `plimsoll guard`: files that are not Plimsoll's own.

use super::{DatabaseUrl, LogFormat};
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Guard settings files that are not Plimsoll's own: history, drift alert, the way back.
///
/// Runs until it is ended. What each file says at the first look is its accepted
/// content. Whatever differs later is drift: one line in the log with the changed
/// lines, and a version in the history. A person accepts it, or writes the accepted
/// content back. Nothing is reloaded or restarted, and no secret is kept.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    plimsoll guard /etc/postgresql/16/main/postgresql.conf\n  \
    plimsoll guard /etc/app/ --metrics 127.0.0.1:9931 --log-format json\n  \
    plimsoll guard postgresql.conf --database postgres://guard@127.0.0.1/postgres\n  \
    plimsoll guard --once /etc/app/                      in CI, or from cron\n  \
    plimsoll guard diff /etc/app/app.conf\n  \
    plimsoll guard accept /etc/app/app.conf --reason 'ticket 7'\n  \
    plimsoll guard restore /etc/app/app.conf\n\n\
    Includes of postgresql.conf and pgbouncer.ini are followed. A new file in a guarded\n\
    directory is drift, and a missing one too.\n\n\
    Exit codes: 0 ended by a signal; with --once: 0 as accepted, 1 it differs; 2 could not.")]
pub struct GuardArgs {
    /// What to do; without it: guard.
    #[command(subcommand)]
    pub action: Option<GuardAction>,
    /// Files, or directories of them
    #[arg(value_name = "FILE", required_unless_present = "database")]
    pub files: Vec<PathBuf>,
    /// Compare once with the history, say how each file stands, and end
    #[arg(long, conflicts_with_all = ["restore", "metrics"])]
    pub once: bool,
    /// Write the accepted content back by itself, at most 3 times in 10 minutes
    ///
    /// Never through a symlink (a ConfigMap), never on a read-only or single-file
    /// mount, never a text whose secrets are left out
    #[arg(long)]
    pub restore: bool,
    /// A PostgreSQL server whose own settings are compared too, every 10 s
    ///
    /// What its files say, what runs, and what was accepted: it names what waits for a
    /// reload or a restart. A role with pg_read_all_settings sees all; for pg_file_settings
    /// GRANT SELECT on it and EXECUTE on pg_show_all_file_settings(). The password may
    /// stand in PGPASSWORD
    #[arg(long, value_name = "URL")]
    pub database: Option<DatabaseUrl>,
    /// Where /metrics, /livez and /readyz listen, e.g. 127.0.0.1:9931
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Where the history is.
    #[command(flatten)]
    pub state: GuardState,
    /// Log lines as text or as JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Where the history is, and how answers look.
#[derive(Clone, Debug, Args)]
pub struct GuardState {
    /// Directory of the history (guard.db)
    ///
    /// Without it: STATE_DIRECTORY, else /var/lib/plimsoll where it is
    #[arg(long, value_name = "DIR", global = true)]
    pub state: Option<PathBuf>,
    /// For scripts: JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub format: LogFormat,
}

/// What to do with guarded files.
#[derive(Debug, Subcommand)]
pub enum GuardAction {
    /// The change is meant: what the file says now is accepted
    Accept(GuardAcceptArgs),
    /// Write an accepted content back
    Restore(GuardRestoreArgs),
    /// What each file said, since when, and who accepted it
    History(GuardHistoryArgs),
    /// What differs between the accepted content and the file now
    Diff(GuardDiffArgs),
}

/// The change is meant.
///
/// A file that is gone is accepted as gone. A server's settings are named as the
/// history names them: server:db.internal:5432/shop.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 accepted; 1 not; 2 wrong use.")]
pub struct GuardAcceptArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Why: it stands in the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// Write an accepted content back.
///
/// In one step, with the file's mode and owner, and only if the file did not change
/// since it was shown. An earlier version becomes the accepted one. Nothing is
/// reloaded or restarted: it says what is needed.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the file says it; 1 it was not written; 2 wrong use.\n\n\
    Examples:\n  \
    plimsoll guard restore /etc/app/app.conf\n  \
    plimsoll guard restore postgresql.conf 7 --yes --database postgres://guard@127.0.0.1/postgres"
)]
pub struct GuardRestoreArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// This version of it; without a number: the accepted one
    #[arg(value_name = "VERSION")]
    pub version: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Why: it stands in the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// The server that reads the file: which values then need a reload, which a restart
    #[arg(long, value_name = "URL")]
    pub database: Option<DatabaseUrl>,
}

/// What each file said, since when, and who accepted it.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 done; 2 there is no history, or wrong use.")]
pub struct GuardHistoryArgs {
    /// Of this file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// One version in full: its text without secrets
    #[arg(long, value_name = "VERSION")]
    pub version: Option<u64>,
    /// How many, the newest first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// What differs between the accepted content and the file now.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing differs; 1 it differs; 2 could not.")]
pub struct GuardDiffArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Against this version, instead of the accepted one
    #[arg(value_name = "VERSION")]
    pub version: Option<u64>,
}
