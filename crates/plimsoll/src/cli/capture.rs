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
///
/// --statements is another thing: a file of what clients sent, with EVERY VALUE in
/// it, to play it again on a copy of the database in a private place.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, nothing is written; 2 wrong use; 3 written, but the capture\n\
    ended before its time (the pooler went away, or Ctrl-C): the file says so.\n\n\
    Examples:\n  \
    plimsoll capture\n  \
    plimsoll capture --for 24h --output weekday.shape\n  \
    plimsoll capture --api http://127.0.0.1:9931 --output - | head -30\n  \
    plimsoll capture --statements --for 10m --size 1GiB --output /srv/private/monday.statements\n\n\
    The file is played by a scenario:  [load] shape = \"traffic.shape\"\n\
    and sized by:  plimsoll size --shape traffic.shape\n\n\
    With --statements the file holds personal data, and each secret that a statement holds.\n\
    Keep it as a dump of the database, never in git. It needs `statements = \"allow\"` in\n\
    [capture] of the pooler's settings file, and the API's admin role: on the unix socket\n\
    who the pooler runs as, on TCP the admin token. The pooler's log says who captures.\n\
    Played by:  plimsoll rehearse FILE --on URL"
)]
pub struct CaptureArgs {
    /// What clients send, with every value in it: dangerous data (see below)
    #[arg(long)]
    pub statements: bool,
    /// End the capture of statements that runs
    #[arg(long, conflicts_with_all = ["statements", "span", "output", "force", "size"])]
    pub stop: bool,
    /// How long: 60s, 2h, 24h; at most 7 days, with --statements 1h
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = capture_span)]
    pub span: Duration,
    /// The file; - for standard output. Else traffic.shape or traffic.statements
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Largest file, KiB (512): more of the recorded requests fit into a larger one.
    /// With --statements how much clients may send until it ends, as 64MiB (256MiB, at most 4GiB)
    #[arg(long, value_name = "SIZE", value_parser = size_kib)]
    pub size: Option<u64>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// A number of KiB, or one with its unit.
fn size_kib(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1), ("MiB", 1 << 10), ("GiB", 1 << 20)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(unit));
    let (unit, each) = unit.copied().unwrap_or(("", 1));
    let number = text.strip_suffix(unit).unwrap_or(text).trim();
    let kib = number.parse::<u64>().ok().and_then(|n| n.checked_mul(each));
    kib.filter(|kib| *kib > 0)
        .ok_or_else(|| "write a number of KiB, or one with KiB, MiB or GiB".to_owned())
}

fn capture_span(text: &str) -> Result<Duration, String> {
    match super::words::span(text) {
        Ok(span) if span < Duration::from_secs(1) => Err("at least 1s".to_owned()),
        Ok(span) if span > CAPTURE_MAX => Err("at most 7 days".to_owned()),
        other => other,
    }
}
