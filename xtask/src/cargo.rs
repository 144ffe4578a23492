//! The one way in which a task calls cargo.

use std::process::Command;

/// Cargo, in this repository, as a person would call it from there.
///
/// What cargo told this task of its own package is taken away: build scripts of others watch these
/// names, and would run again, with all that depends on them, whenever the caller changes.
pub(crate) fn command() -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(crate::repository());
    command
}
