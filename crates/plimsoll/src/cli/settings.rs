//! The command line of guarded settings: plan, apply, history, rollback, status.

use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Which running pooler.
#[derive(Debug, Clone, Args)]
pub struct PoolerArgs {
    /// The pooler's API socket, or the directory of it
    ///
    /// .s.PLIMSOLL.PORT beside the clients' unix socket, else api.sock in the state directory
    #[arg(
        long,
        value_name = "PATH",
        env = "PLIMSOLL_SOCKET",
        hide_env_values = true
    )]
    pub socket: Option<PathBuf>,
    /// The pooler's API on TCP, as http://127.0.0.1:9931; reading needs no token there, acting does
    #[arg(
        long,
        value_name = "URL",
        env = "PLIMSOLL_API",
        conflicts_with_all = ["socket", "state"]
    )]
    pub api: Option<String>,
    /// The file with the token for it; without it PLIMSOLL_TOKEN holds the token
    #[arg(long, value_name = "FILE", requires = "api")]
    pub token_file: Option<PathBuf>,
    /// The pooler's state directory
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// For scripts: one JSON value
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = super::LogFormat::Text)]
    pub format: super::LogFormat,
}

/// What a change would do, before it is made.
///
/// It shows each setting that differs with its old and new value, what the check
/// finds, what the recorded traffic predicts, and how the change would go.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing differs, or differences without --detailed-exitcode;\n\
    1 failed, or it would be refused; 2 with --detailed-exitcode: there are differences.\n\n\
    Examples:\n  \
    plimsoll plan /etc/plimsoll/plimsoll.toml\n  \
    plimsoll plan new.toml --socket /run/plimsoll --detailed-exitcode"
)]
pub struct PlanArgs {
    /// The new settings, `-` for standard input; without it: the pooler's own settings file as it is now
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Exit with 2 where there are differences
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Let new settings serve, through the gate.
///
/// Check, prediction, then step by step where the change gives less room; what
/// hurts is taken back by itself. What only gives more room acts at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 they serve; 1 refused or taken back; 2 wrong use.\n\n\
    Examples:\n  \
    plimsoll apply new.toml\n  \
    plimsoll apply new.toml --yes --wait --reason 'ticket 7'\n  \
    plimsoll apply new.toml --now --reason 'the pool is full'\n\n\
    Where `settings.source` is store, the pooler's settings file is written once the\n\
    change has proved itself. Where it is deploy, the file stays: put the change there too."
)]
pub struct ApplyArgs {
    /// The new settings, `-` for standard input; without it: the pooler's own settings file as it is now
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Only show the plan
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until the change has proved itself (settings.watch), not only until it serves
    #[arg(long)]
    pub wait: bool,
    /// Longest wait: 90s, 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    pub timeout: Duration,
    /// In an emergency: at once, without check, prediction and steps, and not taken back by itself
    #[arg(long, requires = "reason")]
    pub now: bool,
    /// Past the check and the prediction; still in steps, and taken back where it hurts
    #[arg(long, requires = "reason", conflicts_with = "now")]
    pub force: bool,
    /// Why: it stands in the history and in the log
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: Option<String>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// The versions that were, and what became of them.
///
/// Works without a running pooler too, from its state directory.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll history\n  \
    plimsoll history 7\n  \
    plimsoll history --git | git -C settings fast-import")]
pub struct HistoryArgs {
    /// One version in full: its text without secrets, and what happened to it
    #[arg(value_name = "VERSION")]
    pub version: Option<u64>,
    /// How many, the newest first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// All that were applied, as commits for git fast-import
    #[arg(long, conflicts_with_all = ["version", "limit"])]
    pub git: bool,
    /// The pooler's settings file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Back to an earlier version, at once.
///
/// Without a number: the change under way is taken back, or else the version
/// before the current one serves again. Secrets stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll rollback --reason 'waits since the deploy'\n  \
    plimsoll rollback 7 --reason 'ticket 8'")]
pub struct RollbackArgs {
    /// To this version
    #[arg(value_name = "VERSION")]
    pub version: Option<u64>,
    /// Why: it stands in the history and in the log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// The pooler's settings file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// What serves, what is under way, and whether the settings file says the same.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all is well; 1 the file says something else, the instance is not ready,\n\
    or nobody answers."
)]
pub struct StatusArgs {
    /// The pooler's settings file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

fn span(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "write a number and a unit, as 90s or 5m".to_owned())
}
