//! The command line of incidents and of the playbook.

use super::PoolerArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What happened: incidents with their timeline, notes of people, reports.
///
/// An alert opens an incident by itself, and what happens is collected in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll incident list\n  \
    plimsoll incident note last 'is it the network?' --path network\n  \
    plimsoll incident report last -o report.md")]
pub struct IncidentArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: IncidentAction,
}

/// What to do with incidents.
#[derive(Debug, Subcommand)]
pub enum IncidentAction {
    /// The incidents, the newest first
    List(IncidentListArgs),
    /// One incident: timeline, diagnosis, notes
    Show(IncidentShowArgs),
    /// Note what you saw, or what you look into
    Note(IncidentNoteArgs),
    /// Close it by hand; it closes by itself when all alerts stay resolved
    Close(IncidentCloseArgs),
    /// The report, in the sections of a post-incident review
    Report(IncidentReportArgs),
}

/// Which are listed.
#[derive(Debug, Args)]
pub struct IncidentListArgs {
    /// How many, the newest first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Which is shown.
#[derive(Debug, Args)]
pub struct IncidentShowArgs {
    /// The incident, as 2026-11-21-1; "last" is the newest
    #[arg(value_name = "ID", default_value = "last", value_parser = id)]
    pub id: String,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// What is noted.
#[derive(Debug, Args)]
#[command(
    after_help = "Causes: limit_too_small, limit_too_large, upstream_pool_too_small, upstream_leak, leak, growth,\n\
    settings_change, slow_statements, locks, server_saturated, network, abusive_source,\n\
    connection_storm, database_down, credentials, budget_squeezed, pooler_starved"
)]
pub struct IncidentNoteArgs {
    /// The incident, as 2026-11-21-1; "last" is the newest
    #[arg(value_name = "ID", value_parser = id)]
    pub id: String,
    /// What is noted
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The cause that is looked into from now on: the report counts the minutes
    #[arg(long, value_name = "CAUSE", value_parser = cause)]
    pub path: Option<diagnose::Cause>,
    /// Who notes it, if not you
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Which is closed, and why.
#[derive(Debug, Args)]
pub struct IncidentCloseArgs {
    /// The incident, as 2026-11-21-1; "last" is the newest
    #[arg(value_name = "ID", value_parser = id)]
    pub id: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who closes it, if not you
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// Which is reported, and where to.
#[derive(Debug, Args)]
pub struct IncidentReportArgs {
    /// The incident, as 2026-11-21-1; "last" is the newest
    #[arg(value_name = "ID", default_value = "last", value_parser = id)]
    pub id: String,
    /// The file; without it the report is printed
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which pooler; `--format json` gives the report as JSON.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// What to do, step by step, with this installation's names and values.
///
/// Takes an alert, a cause, or the words that people use ("timeouts", "503").
/// Works without a running pooler too, then with placeholder names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll playbook\n  \
    plimsoll playbook timeouts\n  \
    plimsoll playbook PlimsollLeak\n  \
    plimsoll playbook too many connections")]
pub struct PlaybookArgs {
    /// An alert, a cause, or a symptom in your words; without it: what there is
    #[arg(value_name = "SYMPTOM")]
    pub symptom: Vec<String>,
    /// As Markdown, to paste into a ticket
    #[arg(long)]
    pub markdown: bool,
    /// Which pooler.
    #[command(flatten)]
    pub pooler: PoolerArgs,
}

/// An id may stand in a path of the API as it is.
fn id(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let fits = !text.is_empty() && text.len() <= 40 && text.chars().all(good);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "write an id as 2026-11-21-1, or last".to_owned())
}

fn cause(text: &str) -> Result<diagnose::Cause, String> {
    let known = text.replace('-', "_").to_lowercase();
    diagnose::Cause::of_label(&known).ok_or_else(|| {
        let all: Vec<&str> = diagnose::Cause::ALL.iter().map(|c| c.label()).collect();
        format!("write one of: {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_causes_are_checked_before_anybody_is_asked() {
        assert_eq!(id("2026-11-21-1"), Ok("2026-11-21-1".to_owned()));
        assert!(id("../x").is_err() && id("").is_err() && id("a b").is_err());
        assert_eq!(
            cause("slow-statements"),
            Ok(diagnose::Cause::SlowStatements)
        );
        assert!(cause("gremlins").is_err());
    }
}
