//! Runs cargo in the foreground for tasks that are programs of their own: no
//! budget of time, and what they print goes straight to the terminal.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::{Outcome, cargo};

pub(crate) fn cargo(args: &[&str]) -> Outcome {
    println!("cargo {}", args.join(" "));
    let status = cargo::command()
        .args(args)
        .status()
        .map_err(|error| format!("could not run cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo {}: {status}", args.join(" ")))
    }
}

/// Becomes a program that was built, at the top of the repository: a signal meets it and not us. Returns only if that
/// failed.
pub(crate) fn become_program(path: &Path, args: &[String]) -> Outcome {
    let name = path.display();
    println!("{name} {}", args.join(" "));
    let mut command = Command::new(path);
    command.args(args).current_dir(crate::repository());
    Err(format!("could not run {name}: {}", command.exec()))
}
