//! `plimsoll predict-worker`: the child that predicts. Started by the pooler, not by people.

use std::process::ExitCode;

/// Answers one question.
pub fn run() -> anyhow::Result<ExitCode> {
    control::predict::serve(std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(anyhow::Error::msg)?;
    Ok(ExitCode::SUCCESS)
}
