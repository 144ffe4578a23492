//! `plimsoll demo`: a private PostgreSQL, the pooler before it, traffic through it.

use std::process::ExitCode;

use crate::cli::DemoArgs;

/// Shows the pooler at work until Ctrl-C.
pub fn run(_args: DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build cannot serve yet: the event loops are not wired in")
}
