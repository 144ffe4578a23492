//! `plimsoll man`.

use clap::Args;
use std::path::PathBuf;

/// Print the manual page, or write one for each command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll man | man -l -\n  \
    plimsoll man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write all pages there: plimsoll.1, plimsoll-run.1, …
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
