//! `plimsoll run`: the pooler.

use std::process::ExitCode;

use crate::cli::RunArgs;

/// Serves until a signal ends it.
pub fn run(_args: RunArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build cannot serve yet: the event loops are not wired in")
}
