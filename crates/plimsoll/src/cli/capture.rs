//! The command line of captures.

use super::PoolerArgs;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Longest capture: each day adds to the same five minutes of the day.
const CAPTURE_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What the traffic looks like, in a file for a rehearsal.
///
/// Reads a running pooler while it serves: when requests come, how long they hold
/// a connection, what for, and whose time that is. No literal and no secret is in
/// the file, and it is small enough for git; read its head before you keep it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, nothing is written; 2 wrong use; 3 written, but the capture\n\
    ended before its time (the pooler went away, or Ctrl-C): the file says so.\n\n\
    Examples:\n  \
    plimsoll capture\n  \
    plimsoll capture --for 24h --output weekday.shape\n  \
    plimsoll capture --api http://127.0.0.1:9931 --output - | head -30\n\n\
    The file is played by a scenario:  [load] shape = \"traffic.shape\"\n\
    and sized by:  plimsoll size --shape traffic.shape"
)]
pub struct CaptureArgs {
    /// How long: 60s, 2h, 24h; at most 7 days
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = capture_span)]
    pub span: Duration,
    /// The file; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "traffic.shape")]
    pub output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Largest file, KiB; more of the recorded requests fit into a larger one
    #[arg(long, value_name = "KIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub size: u32,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

fn capture_span(text: &str) -> Result<Duration, String> {
    match super::words::span(text) {
        Ok(span) if span < Duration::from_secs(1) => Err("at least 1s".to_owned()),
        Ok(span) if span > CAPTURE_MAX => Err("at most 7 days".to_owned()),
        other => other,
    }
}
