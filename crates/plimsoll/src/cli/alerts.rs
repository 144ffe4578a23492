//! The command line of `plimsoll alerts`.

use super::PoolerArgs;
use clap::Args;
use std::time::Duration;

/// What needs a person now, and what did lately.
///
/// The alerts that fire or are about to, the worst first, each with the next
/// command and the owner; then those that began or ended within `--last`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 none fires; 1 one fires, or it could not be asked; 2 wrong use.\n\n\
    Examples:\n  \
    plimsoll alerts\n  \
    plimsoll alerts --last 1h --format json"
)]
pub struct AlertsArgs {
    /// How far back, at most a day: 30m, 6h
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span)]
    pub last: Duration,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);

fn span(text: &str) -> Result<Duration, String> {
    let span = config::parse_duration(text).filter(|span| *span <= SPAN_MAX);
    span.ok_or_else(|| "write a span of at most a day, as 30m or 6h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_day_at_most() {
        assert_eq!(span("90m"), Ok(Duration::from_secs(5_400)));
        assert!(span("25h").is_err() && span("90").is_err() && span("").is_err());
    }
}
