//! The command line of `plimsoll drill`.

use super::words::measured;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Practise an outage.
///
/// A private PostgreSQL, the pooler, applications; then something goes wrong. Find the
/// cause and mend it; a debrief says how it went, and how it went in the report that
/// the drill is drawn from. The diagnosis is withheld: it is the last hint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll drill                         one chosen blind\n  \
    plimsoll drill --difficulty hard --seed 7\n  \
    plimsoll drill 004                     by the report's number, or by its name\n  \
    plimsoll drill --list\n  \
    plimsoll drill restaurant --answers commands.txt --format json\n\n\
    Exit codes: 0 solved, 1 not, 2 wrong use of the command line.")]
pub struct DrillArgs {
    /// Which one; without it one is chosen blind
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// List the drills, without their causes
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
    /// Choose among these
    #[arg(long, value_name = "LEVEL", value_enum, conflicts_with = "name")]
    pub difficulty: Option<LevelWord>,
    /// Choose the same again, or the same as others
    #[arg(long, value_name = "N", conflicts_with = "name")]
    pub seed: Option<u64>,
    /// Commands from a file instead of the terminal, `-`: from standard input
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// How the debrief is written; with json all else goes to standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = super::LogFormat::Text)]
    pub format: super::LogFormat,
    /// Show what Plimsoll makes of its figures from the start
    #[arg(long)]
    pub diagnosis: bool,
    /// Withhold it until the last hint, as without this option
    #[arg(long, conflicts_with = "diagnosis")]
    pub no_diagnosis: bool,
    /// End after this time, from the pager on
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = measured)]
    pub limit: std::time::Duration,
}

/// How hard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LevelWord {
    /// The figures say it at the first look.
    Easy,
    /// Something else looks like it.
    Medium,
    /// The first two ideas are usually wrong.
    Hard,
}
