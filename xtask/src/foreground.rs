//! Runs cargo in the foreground for tasks that are programs of their own: no
//! budget of time, and what they print goes straight to the terminal.

use std::process::Command;

use crate::Outcome;

pub(crate) fn cargo(args: &[&str]) -> Outcome {
    println!("cargo {}", args.join(" "));
    let status = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(args)
        .current_dir(crate::repository())
        .status()
        .map_err(|error| format!("could not run cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo {}: {status}", args.join(" ")))
    }
}
