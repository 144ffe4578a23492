//! The command line of `plimsoll top`.

use super::PoolerArgs;
use crate::commands::top_keys;
use clap::Args;
use std::time::Duration;

/// The pooler live in the terminal: who waits and why, which pool, who holds, what changed.
///
/// One screen answers: is anyone waiting, and how long; which pool, and when it
/// will be full; who holds connections; is it the pool or the server; what
/// changed. Actions (cancel, reclaim, kill, pause, resume) ask first.
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub struct TopArgs {
    /// Print one frame as text and end: for scripts
    ///
    /// Without escape sequences where the output is no terminal. With --format json:
    /// the same figures as one JSON value
    #[arg(long)]
    pub once: bool,
    /// The first view
    #[arg(long, value_name = "VIEW", value_enum)]
    pub view: Option<TopView>,
    /// Order of rows: of pools trouble, name, used, waiting, wait, service or rate; of leases held, silent, application, database or state
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<String>,
    /// Only rows with this in a name
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Between two looks: 500ms, 2s, at most 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// A moment of the past (UTC), as 2026-11-21T14:10:00Z; n goes back to now
    #[arg(long, value_name = "TIME", value_parser = super::diagnosis::moment)]
    pub at: Option<i64>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// A view of top.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum TopView {
    /// All five answers.
    Overview,
    /// Pools.
    Pools,
    /// Leases.
    Leases,
    /// Servers and their lines.
    Budget,
    /// Alerts and incidents.
    Alerts,
}

fn after_help() -> String {
    format!(
        "Keys:\n{}\n\
         Reading needs nothing on the unix socket but the pooler's own user or root; over TCP a\n\
         token (--api, --token-file), and an operator's for actions.\n\
         NO_COLOR is heeded. Where TERM is dumb, or the output is no terminal: as --once.\n\n\
         Exit codes: 0 left, or one frame printed; 1 nobody answers; 2 wrong use.\n\n\
         Examples:\n  \
         plimsoll top\n  \
         plimsoll top --view leases --sort silent --filter web\n  \
         plimsoll top --at 2026-11-21T14:10:00Z\n  \
         plimsoll top --once | mail -s plimsoll team@example.org\n  \
         plimsoll top --once --format json | jq .totals.waiting",
        top_keys()
    )
}

fn interval(text: &str) -> Result<Duration, String> {
    match super::words::span(text)? {
        time if time < Duration::from_millis(100) => Err("at least 100ms".to_owned()),
        time if time > Duration::from_secs(3_600) => Err("at most 1h".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_no_flood_and_no_sleep() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in ["0", "10ms", "2h", "x", ""] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
