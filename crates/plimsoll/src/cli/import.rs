//! What is typed to move from PgBouncer.

use clap::Args;
use std::path::PathBuf;

/// A pgbouncer.ini as plimsoll.toml, with comments.
///
/// Every key is translated, with its file and line beside it; what is not taken over
/// is listed with the reason. Nothing is started, and the ini stays as it is. Passwords
/// of `[databases]` are never printed: they go to files that the text names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll import /etc/pgbouncer/pgbouncer.ini --observe\n  \
    plimsoll import pgbouncer.ini --observe --line 80 -o /etc/plimsoll/plimsoll.toml --secrets /etc/plimsoll/secrets\n\n\
    A week of watching: import with --observe, run it, then `plimsoll guards --since 7d`\n\
    says what each guard would have done and which is safe to switch on.\n\n\
    To keep the pgbouncer.ini itself (`plimsoll run pgbouncer.ini`), settings that PgBouncer\n\
    lacks stand in comments that it skips, in any place of the file:\n  \
    ;plimsoll: line = 80\n  \
    ;plimsoll: monitor_user = plimsoll\n\n\
    Exit codes: 0 done, 1 the ini has mistakes (all are named) or a file is in the way.")]
pub struct ImportArgs {
    /// The pgbouncer.ini; its %include and relative paths start in the working directory
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Guards only watch and errors keep PgBouncer's texts: nothing acts by itself yet
    #[arg(long)]
    pub observe: bool,
    /// Write the settings there instead of printing them
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write each password of a `[databases]` line into a file of this directory (mode 0600)
    ///
    /// Without it the text names files in `secrets` beside itself, for you to write
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Overwrite files that are there
    #[arg(long)]
    pub force: bool,
    /// Most server connections over all pools: the line, which PgBouncer has no word for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub line: Option<u32>,
}

/// What a time of watching came to.
#[derive(Debug, Args)]
pub struct WatchedArgs {
    /// What each guard did or would have done for so long: how often, for whom, and
    /// whether it is safe to switch on
    ///
    /// Read from the pooler's state directory; it need not run. Kept for 14 days, see state.retention
    #[arg(long, value_name = "TIME", value_parser = super::words::span)]
    pub since: Option<std::time::Duration>,
    /// The pooler's state directory, where its settings do not say it
    #[arg(long, value_name = "DIR", requires = "since")]
    pub state: Option<PathBuf>,
}
