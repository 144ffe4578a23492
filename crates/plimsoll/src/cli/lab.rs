//! What is typed to replay outages.

use clap::Args;
use std::path::PathBuf;

/// Outages, replayed with real applications: with their own pool, behind
/// PgBouncer, behind Plimsoll.
///
/// Each run brings a private PostgreSQL, the application of the outage, its users,
/// and does what was done. It measures what users met, and says what Plimsoll
/// said. A person's time is compressed as the scenario says; a machine's is not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll lab --list\n  \
    plimsoll lab 004-app\n  \
    plimsoll lab --output docs            # all of them: docs/lab.md, its charts and figures\n  \
    plimsoll lab 002 --with plimsoll,pgbouncer --seed 3\n  \
    plimsoll lab my-outage.toml --pooler pgbouncer-1.25=/opt/pgbouncer/bin/pgbouncer\n  \
    plimsoll lab --gates                  # only: does CI stop these faults?\n  \
    plimsoll lab --copy my-outages        # the files of the outages, to write your own\n\n\
    Needed: PostgreSQL; for the applications Python 3 and Node.js, whose packages go into a\n\
    directory of their own (--tools) from the registries that pip and npm are set to. What is\n\
    missing leaves its column or its outage out, and says so.\n\n\
    Exit codes: 0 all ran; 1 a run was no measurement, or a gate let a fault pass; 2 it could not run.")]
pub struct LabArgs {
    /// Outages by name or number, or files of scenarios; none: all
    #[arg(value_name = "OUTAGE")]
    pub outages: Vec<String>,
    /// Say which outages there are
    #[arg(long)]
    pub list: bool,
    /// Only these columns: own, pgbouncer, plimsoll, or the name of a --pooler
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub with: Vec<String>,
    /// Another pooler: a name, and the command that is given its settings file
    ///
    /// Its settings are the scenario's template of that name, else those of the part
    /// of the name before the first "-" (pgbouncer-1.25: pgbouncer's)
    #[arg(long = "pooler", value_name = "NAME=COMMAND", value_parser = pooler)]
    pub poolers: Vec<(String, String)>,
    /// Only try whether CI stops these faults
    #[arg(long, conflicts_with = "no_gates")]
    pub gates: bool,
    /// Leave that out
    #[arg(long)]
    pub no_gates: bool,
    /// Write lab.md, lab.json and the charts there; rows of earlier runs stay
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// For people, or one JSON value
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = super::LogFormat::Text)]
    pub format: super::LogFormat,
    /// Other users at other moments
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where packages for Python and Node.js are kept [default: plimsoll-lab in the cache directory]
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_LAB_TOOLS")]
    pub tools: Option<PathBuf>,
    /// Write the files of the outages there, and end
    #[arg(long, value_name = "DIR")]
    pub copy: Option<PathBuf>,
    /// Copy what the programs of each run wrote to their logs there
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
}

fn pooler(text: &str) -> Result<(String, String), String> {
    let (name, command) = text
        .split_once('=')
        .ok_or("write NAME=COMMAND, as pgbouncer-1.25=/opt/bin/pgbouncer")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let sound = !name.is_empty() && name.chars().all(plain) && name != "own" && name != "plimsoll";
    match sound && !command.trim().is_empty() {
        true => Ok((name.to_owned(), command.to_owned())),
        false => Err(
            "a name of letters, digits and dashes other than own and plimsoll, and a command"
                .to_owned(),
        ),
    }
}
