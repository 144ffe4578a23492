//! What is typed for sizes and templates.

use super::LogFormat;
use super::words::{measured, positive, span};
use clap::Args;
use std::path::PathBuf;

/// What the traffic asks for.
///
/// Hold time is from borrowing a connection to its return, not the time of a
/// statement: SHOW LEASES and the histogram of hold times show it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll size --rate 400 --hold 20ms\n  \
    plimsoll size --rate 400 --hold 20ms --processes 12 --surge 3 --max-connections 100 --cores 8\n  \
    plimsoll size --metrics http://127.0.0.1:9930/metrics --for 5m\n  \
    plimsoll size --shape monday.shape --max-connections 100\n  \
    plimsoll size --metrics before.txt --metrics after.txt\n\n\
    Exit codes: 0 it fits (or no server was stated), 1 it does not.")]
pub struct SizeArgs {
    /// Transactions per second at the peak, over all copies
    #[arg(long, value_name = "N", value_parser = positive, required_unless_present_any = ["metrics", "shape"], requires = "hold")]
    pub rate: Option<f64>,
    /// How long each holds its connection, on average: 20ms, 1.5s
    #[arg(long, value_name = "TIME", value_parser = span, required_unless_present_any = ["metrics", "shape"], requires = "rate")]
    pub hold: Option<std::time::Duration>,
    /// Recorded traffic, as SHOW SHAPE prints it: rate, hold and spread of its busiest time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "hold"])]
    pub shape: Option<PathBuf>,
    /// Measure: the metrics page of a running pooler, read twice, or a saved one
    ///
    /// http://127.0.0.1:9930/metrics, or a file; two files, in their order, are what
    /// happened between them
    #[arg(long, value_name = "URL|FILE", conflicts_with_all = ["rate", "hold", "shape"], num_args = 1)]
    pub metrics: Vec<String>,
    /// How long lies between the two readings of a page: at the peak, some minutes
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = measured)]
    pub span: std::time::Duration,
    /// 99 of 100 wait no longer than this for a connection
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = span)]
    pub wait: std::time::Duration,
    /// 1 for random arrivals, 4 for strong bursts (variance over squared mean)
    ///
    /// Without it 1, or with --metrics what the hold times say
    #[arg(long, value_name = "X", value_parser = positive)]
    pub spread: Option<f64>,
    /// Growth to be ready for: 1.5 is half more traffic
    #[arg(long, value_name = "X", default_value = "1", value_parser = positive)]
    pub growth: f64,
    /// Processes with a pool of their own, over all copies
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub processes: u64,
    /// Further processes while a new version rolls out
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub surge: u64,
    /// The server's max_connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub max_connections: Option<u64>,
    /// Connections that others use of it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub others: u64,
    /// The server's processor cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub cores: Option<u64>,
    /// For people or for programs
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub format: LogFormat,
}

/// Which settings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll template                       the list\n  \
    plimsoll template django > settings.py\n  \
    plimsoll template pgbouncer --max-connections 200 --size 30")]
pub struct TemplateArgs {
    /// Which; without it: the list
    #[arg(value_name = "KIND")]
    pub kind: Option<String>,
    /// Connections of the pool: `plimsoll size` finds them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub size: Option<u64>,
    /// The server's max_connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub max_connections: Option<u64>,
}
